//! The charts of a soak, each with what it shows in words, its key, and the table behind it. What does not grow is a line of text.

use super::super::ages::{self, Age};
use super::super::chart::gained;
use super::super::chart::small::{self, Chart, Key, Name};
use super::super::histogram::phases;
use super::super::loads::Loads;
use super::super::summary::{self, Figure as Growth};
use super::super::{Error, units, words};
use super::Detail;
use dlsoak_record::{Cohorts, Column, Latency, Metric, OverTime, Soak};

/// A chart in the page.
pub(super) struct Figure {
    pub(super) id: String,
    pub(super) title: &'static str,
    /// What it is of.
    pub(super) of: String,
    pub(super) svg: String,
    pub(super) key: Vec<Key>,
    pub(super) note: String,
    pub(super) table: Table,
}

/// A table of figures.
pub(super) struct Table {
    pub(super) caption: String,
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

/// What a page shows of a soak's course.
#[derive(Default)]
pub(super) struct Course {
    pub(super) figures: Vec<Figure>,
    /// What has no picture, each in a line.
    pub(super) lines: Vec<String>,
}

/// Which pictures a soak has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pictures {
    /// What grows or may grow, loads that were fewer than opens, and latencies.
    All,
    /// What grows.
    Growth,
    /// None, because enough others have some.
    Few,
}

impl Pictures {
    fn has(self, soak: &Soak, metrics: &[Metric]) -> bool {
        let any = |is: fn(&Soak, Metric) -> bool| metrics.iter().any(|metric| is(soak, *metric));
        self != Self::Few && any(gained::grows) || self == Self::All && any(gained::is_open)
    }
}

const MEMORY: [Metric; 3] = [Metric::Heap, Metric::Rss, Metric::Anon];
const COUNTS: [Metric; 3] = [Metric::Mappings, Metric::Threads, Metric::Fds];

/// The pictures of a soak, and a line for what has none.
pub(super) fn course(soak: &Soak, anchor: &str, detail: Detail, pictures: Pictures) -> Result<Course, Error> {
    let rows = detail.rows;
    let mut figures = Vec::new();
    let mut lines = Vec::new();
    let mut add = |id: &str, title: &'static str, note: &str, says: String, chart: Chart, table: Table| {
        let id = format!("{anchor}-{id}");
        let full = format!("{title}: {}", units::printable(&soak.name));
        let name = Name { id: &id, title: &full, description: &says, per: "cycle" };
        if let Some(drawing) = chart(soak, detail.points, &name)? {
            let (svg, key, note) = (drawing.svg, drawing.key, note.to_owned());
            figures.push(Figure { id, title, of: units::printable(&soak.name), svg, key, note, table });
        }
        Ok::<(), Error>(())
    };
    if pictures.has(soak, &MEMORY) {
        add(
            "memory",
            "Memory gained since cycle 0",
            "Thin: checkpoints with every handle closed. Thick: the fitted line. Lines that cover each other are drawn once.",
            told(soak),
            small::MEMORY,
            of_checkpoints(
                soak,
                &[Metric::Rss, Metric::Anon, Metric::Heap, Metric::PrivateDirty, Metric::Virtual]
                    .map(Column::Metric),
                true,
                rows,
            ),
        )?;
        add(
            "kinds",
            "What grew, by kind of mapping",
            "Resident memory above the lowest that each kind had, stacked. In the key: its level at the end, and what it \
             gained.",
            "A stacked area of resident memory by kind of mapping over the cycles; the key and the table give the figures."
                .to_owned(),
            small::KINDS,
            of_series(soak.resident_by_kind.as_ref(), "Resident memory by kind of mapping", rows, units::bytes),
        )?;
    } else {
        lines.extend(slopes(soak));
    }
    if let Some(cohorts) = soak.cohorts.as_ref().filter(|_| pictures != Pictures::Few) {
        add(
            "survivors",
            "What is left of old cycles",
            &ages::explained(cohorts),
            "Bars of the bytes per cycle that are left at the end, by the cycles that allocated them, and lines of those that were left \
             half-way; the table gives the figures."
                .to_owned(),
            small::SURVIVORS,
            survivors(cohorts),
        )?;
    }
    match Loads::of(soak) {
        Some(loads) if pictures == Pictures::All && !loads.is_each() => add(
            "loads",
            "Opened, and really loaded",
            "An open that loads nothing only raises a reference count.",
            format!("Two lines over the cycles: {}.", loads.words()),
            small::LOADS,
            of_checkpoints(soak, &[Column::Loads, Column::Unloads], false, rows),
        )?,
        Some(loads) => lines.push(format!("Loads: {}", loads.words())),
        None => {}
    }
    if pictures == Pictures::All {
        add(
            "latency",
            "Latency by percentile",
            "Both axes are logarithmic; the line ends where its samples end.",
            "A line for each phase of a cycle, latency against percentile; the table gives the figures."
                .to_owned(),
            small::LATENCY,
            percentiles(soak),
        )?;
        add(
            "heat",
            "Latency over the cycles",
            "Each row is shaded by how far an interval is above the lowest of its row: drift darkens a row, a disturbance a \
             column.",
            "A heatmap of the median, the 99th percentile and the largest latency of each phase over the cycles; the table \
             gives the figures."
                .to_owned(),
            small::HEAT,
            of_series(soak.latency_over_time.as_ref(), "Latency over the cycles", rows, units::nanos),
        )?;
    }
    if pictures.has(soak, &COUNTS) {
        add(
            "counts",
            "Mappings, threads and descriptors",
            "Each strip has its own scale.",
            "Three lines: mappings, threads and file descriptors over the cycles; the table gives the figures."
                .to_owned(),
            small::COUNTS,
            of_checkpoints(
                soak,
                &[
                    Column::Metric(Metric::Mappings),
                    Column::Metric(Metric::Threads),
                    Column::Metric(Metric::Fds),
                    Column::Metric(Metric::PageTables),
                    Column::Loads,
                    Column::Unloads,
                ],
                false,
                rows,
            ),
        )?;
    } else {
        lines.extend(levels(soak));
    }
    Ok(Course { figures, lines })
}

/// Growth of memory, in a line.
fn slopes(soak: &Soak) -> Option<String> {
    let of = |metric: &Metric| {
        let growth = summary::growth_of(soak, *metric)?;
        Some(format!("{} {}", words::metric(*metric), gained::slope(growth, "cycle")))
    };
    let slopes: Vec<String> = MEMORY.iter().filter_map(of).collect();
    let grows = MEMORY.iter().any(|metric| gained::grows(soak, *metric) || gained::is_open(soak, *metric));
    let word = if grows { "Memory" } else { "No growth of memory" };
    (!slopes.is_empty()).then(|| format!("{word}: {}", slopes.join("; ")))
}

/// Mappings, threads and descriptors at the first and at the last checkpoint, in a line.
fn levels(soak: &Soak) -> Option<String> {
    let of = |(metric, one): (&Metric, &str)| {
        let points = summary::series(soak, *metric);
        let [first, last] = [points.first()?.1, points.last()?.1].map(units::number);
        Some(if first == last {
            format!("{one} {last}")
        } else {
            format!("{one} {first}, at the end {last}")
        })
    };
    let names = ["mappings", "threads", "descriptors"];
    let levels: Vec<String> = COUNTS.iter().zip(names).filter_map(of).collect();
    (!levels.is_empty()).then(|| format!("Counts: {}", levels.join("; ")))
}

/// The charts of what a watch saw: of a library over its loads, or of the host over its steps, as a soak.
pub(super) fn watched(
    soak: &Soak,
    anchor: &str,
    per: &'static str,
    detail: Detail,
) -> Result<Vec<Figure>, Error> {
    const WITH_VIRTUAL: [Metric; 4] = [Metric::Heap, Metric::Rss, Metric::Anon, Metric::Virtual];
    let mut figures = Vec::new();
    let charts: [(_, _, Chart, &[Metric]); 2] = [
        ("memory", "Memory gained", small::MEMORY, &WITH_VIRTUAL),
        ("counts", "Mappings, threads and descriptors", small::COUNTS, &COUNTS),
    ];
    for (id, title, chart, metrics) in charts {
        // What never was there is no picture.
        let is_there = |metric: &Metric| summary::series(soak, *metric).iter().any(|point| point.1 != 0.0);
        if !metrics.iter().any(is_there) {
            continue;
        }
        let is_memory = id == "memory";
        let (id, of) = (format!("{anchor}-{id}"), units::printable(&soak.name));
        let says = format!("{title} over the {per}s, at the end of each step; the table gives the figures.");
        let name = Name { id: &id, title: &format!("{title}: {of}"), description: &says, per };
        let Some(drawing) = chart(soak, detail.points, &name)? else { continue };
        let columns: Vec<Column> = metrics.iter().map(|metric| Column::Metric(*metric)).collect();
        let mut table = of_checkpoints(soak, &columns, is_memory, detail.rows);
        if let Some(first) = table.head.first_mut() {
            *first = format!("{per}s");
        }
        table.caption = table.caption.replace("the checkpoints", "the end of each step");
        let note = "At the end of each step.".to_owned();
        figures.push(Figure { id, title, of, svg: drawing.svg, key: drawing.key, note, table });
    }
    Ok(figures)
}

/// What the chart of memory shows, in a sentence.
fn told(soak: &Soak) -> String {
    let Some(headline) = summary::headline(soak) else { return "Nothing was measured.".to_owned() };
    let (amount, metric) = (units::bytes(headline.per_cycle), headline.metric);
    let what = match headline.figure {
        Growth::Below => {
            return format!("No growth of {metric}; a leak of {amount} per cycle would have been seen.");
        }
        Growth::Leak => "leaks",
        Growth::Exact => "counted",
        Growth::Within => "grows, within the limit,",
        Growth::Unclear | Growth::Fading => "perhaps gained",
    };
    format!("{amount} per cycle {what} in {metric}; the table gives the checkpoints.")
}

/// A table of some columns of the checkpoints, as far as they are there.
fn of_checkpoints(soak: &Soak, wanted: &[Column], memory: bool, most: usize) -> Table {
    let points = &soak.checkpoints;
    let wanted = std::iter::once(&Column::Cycle).chain(wanted);
    let columns: Vec<(usize, Column)> =
        wanted.filter_map(|column| Some((points.position(*column)?, *column))).collect();
    let what = if memory { "Memory" } else { "Counts" };
    let rows = evenly(&points.rows, most);
    Table {
        caption: caption(&format!("{what} at the checkpoints"), rows.len(), points.rows.len()),
        head: columns.iter().map(|(_, column)| head(column.name())).collect(),
        rows: rows
            .into_iter()
            .map(|row| {
                let cell = |(index, column): &(usize, Column)| {
                    let value = row.get(*index).copied();
                    match *column {
                        Column::Cycle => value.map_or_else(none, whole),
                        _ if memory || *column == Column::Metric(Metric::PageTables) => {
                            value.map_or_else(none, |x| units::bytes(x as f64))
                        }
                        _ => value.map_or_else(none, whole),
                    }
                };
                columns.iter().map(cell).collect()
            })
            .collect(),
    }
}

/// A table of a series, its first column the cycle.
fn of_series(series: Option<&OverTime>, caption_of: &str, most: usize, cell: fn(f64) -> String) -> Table {
    let empty = OverTime::default();
    let series = series.unwrap_or(&empty);
    let rows = evenly(&series.rows, most);
    // What is nothing but zeros was not there.
    let shown: Vec<usize> = (0..series.columns.len())
        .filter(|i| *i == 0 || series.rows.iter().any(|row| row.get(*i).is_some_and(|x| *x != 0)))
        .collect();
    Table {
        caption: caption(caption_of, rows.len(), series.rows.len()),
        head: shown.iter().filter_map(|i| series.columns.get(*i)).map(|column| head(column.name())).collect(),
        rows: rows
            .into_iter()
            .map(|row| {
                let value = |i: &usize| {
                    let value = row.get(*i).copied();
                    value.map_or_else(none, |x| if *i == 0 { whole(x) } else { cell(x as f64) })
                };
                shown.iter().map(value).collect()
            })
            .collect(),
    }
}

/// What is left of what cycles allocated, oldest first.
fn survivors(cohorts: &Cohorts) -> Table {
    let bytes = |bytes: u64| units::bytes(bytes as f64);
    let row = |age: &Age| {
        let [halfway, end] = [age.halfway, Some(age.end)].map(|alive| {
            let Some(alive) = alive else { return [none(), none(), none()] };
            [units::count(alive.blocks), bytes(alive.bytes), units::bytes(age.per_cycle(alive))]
        });
        let cycles = format!("{} to {}", units::count(age.from), units::count(age.to));
        std::iter::once(cycles).chain(halfway).chain(end).collect()
    };
    Table {
        caption: format!(
            "What is left of what {} allocated, by age",
            words::counted(cohorts.cycles, "cycle")
        ),
        head: [
            "cycles",
            "blocks half-way",
            "bytes half-way",
            "per cycle half-way",
            "blocks at the end",
            "bytes at the end",
            "per cycle at the end",
        ]
        .map(str::to_owned)
        .to_vec(),
        rows: ages::ages(cohorts).iter().map(row).collect(),
    }
}

/// The percentiles of each phase.
fn percentiles(soak: &Soak) -> Table {
    let row = |(name, latency): (&str, &Latency)| {
        let times = [latency.min, latency.p50, latency.p90, latency.p99, latency.p999, latency.max]
            .map(|ns| units::nanos(ns as f64));
        let mut row = vec![name.to_owned(), units::count(latency.count), units::nanos(latency.mean)];
        row.extend(times);
        row
    };
    Table {
        caption: "Latency by phase".to_owned(),
        head: ["phase", "cycles", "mean", "min", "p50", "p90", "p99", "p99.9", "max"]
            .map(str::to_owned)
            .to_vec(),
        rows: phases(&soak.latency_ns).map(row).collect(),
    }
}

/// At most about `most` of the rows, the first and the last among them.
fn evenly(rows: &[Vec<i64>], most: usize) -> Vec<&Vec<i64>> {
    let step = rows.len().div_ceil(most.max(1)).max(1);
    let last = rows.len().saturating_sub(1);
    rows.iter().enumerate().filter(|(i, _)| i % step == 0 || *i == last).map(|(_, row)| row).collect()
}

fn caption(what: &str, shown: usize, all: usize) -> String {
    if shown == all { what.to_owned() } else { format!("{what}: {shown} of {all}; all are in record.json") }
}

/// The name of a column for people.
fn head(name: &str) -> String {
    units::printable(&name.replace('_', " "))
}

fn whole(value: i64) -> String {
    units::number(value as f64)
}

fn none() -> String {
    units::NONE.to_owned()
}
