//! The memory chart: what heap and resident memory gained since cycle 0. Growth, not level, because a heap of kilobytes and a resident set
//! of megabytes are asked the same question: does it rise? What does not is a line of text.

use plotters::style::RGBColor;

use dlsoak_record::{Metric, Run, Soak};

use super::super::summary::{self, Mark};
use super::super::{Error, groups};
use super::canvas::{Anchor, Canvas, Font, Frame, LABEL, NOTE, PANEL, TITLE, picture};
use super::cover;
use super::gained::{self, Gained};
use super::palette::{AXIS, BAD, GOOD, GRID, HEAP, LIMIT, MUTED, OLDER, OPEN, RSS, Shape, WINDOW};
use super::plot::Plot;
use super::text::Weight;

const WIDTH: f64 = 1000.0;
const MARGIN: f64 = 16.0;
/// Between panels.
const GUTTER: f64 = 26.0;
/// The heading of the picture: its title, what it shows, and its key.
const TOP: f64 = 88.0;
/// Left of each plot, for its tick labels.
const AXIS_ROOM: f64 = 66.0;
/// Above each plot: name and verdict, and a line of text per series.
const HEADING: f64 = 62.0;
const PLOT: f64 = 128.0;
/// Below each plot: tick labels and a gap.
const FOOT: f64 = 44.0;
/// A line of text for what has no panel.
const LINE: f64 = 22.0;
/// Panels of a picture: more make one that nobody scrolls through.
const MOST: usize = 24;

const TICK: Font = Font { size: 12.0, weight: Weight::Regular, color: MUTED };

/// A metric that is drawn, and how.
struct Kind {
    metric: Metric,
    label: &'static str,
    color: RGBColor,
    shape: Shape,
}

/// Drawn in this order: heap lies on top, being the finer of the two.
const KINDS: [Kind; 2] = [
    Kind { metric: Metric::Rss, label: "RSS", color: RSS, shape: Shape::Square },
    Kind { metric: Metric::Heap, label: "heap", color: HEAP, shape: Shape::Disc },
];

/// A series of one panel: growth since its first checkpoint.
struct Series<'a> {
    kind: &'a Kind,
    gained: Gained<'a>,
}

/// The libraries of a run, by what there is to see.
struct Sorted<'a> {
    /// Each has a panel.
    shown: Vec<&'a Soak>,
    /// What stands below the panels instead of a panel each.
    lines: Vec<String>,
}

fn sorted(run: &Run) -> Sorted<'_> {
    let any = |soak: &Soak, is: fn(&Soak, Metric) -> bool| KINDS.iter().any(|kind| is(soak, kind.metric));
    let measured = |soak: &&Soak| KINDS.iter().any(|kind| Gained::of(soak, kind.metric).is_some());
    let (measured, unknown): (Vec<&Soak>, Vec<&Soak>) = run.soaks.iter().partition(measured);
    let (mut shown, rest): (Vec<&Soak>, Vec<&Soak>) =
        measured.into_iter().partition(|soak| any(soak, gained::grows));
    let (open, flat): (Vec<&Soak>, Vec<&Soak>) =
        rest.into_iter().partition(|soak| any(soak, gained::is_open));
    // What is proven has the first right to a panel.
    shown.extend(open);
    let more = shown.split_off(shown.len().min(MOST));
    let lines = [("grows or may grow", more), ("no growth", flat), ("no data", unknown)];
    let lines = lines.into_iter().filter(|(_, soaks)| !soaks.is_empty());
    Sorted { shown, lines: lines.map(|(what, soaks)| groups::named(what, &soaks)).collect() }
}

/// Growth of heap and resident memory against cycles: a panel with points, fitted line and slope for each library that grows or may grow.
///
/// # Errors
///
/// When plotters refuses to draw, which no data should cause.
pub fn draw(run: &Run) -> Result<String, Error> {
    let Sorted { shown, lines } = sorted(run);
    let columns = match shown.len() {
        0 | 1 => 1,
        2..=12 => 2,
        _ => 3,
    };
    let panel = HEADING + PLOT + FOOT;
    let panels = panel * shown.len().div_ceil(columns) as f64;
    let top = if shown.is_empty() { 62.0 } else { TOP };
    let height = top + panels + LINE * lines.len().max(usize::from(shown.is_empty())) as f64;
    let width = (WIDTH - 2.0 * MARGIN - GUTTER * (columns as f64 - 1.0)) / columns as f64;
    picture(WIDTH, height, "Growth of heap and resident memory against cycles", |canvas| {
        canvas.text("Memory gained since cycle 0", (MARGIN, 28.0), Anchor::Start, TITLE)?;
        if !shown.is_empty() {
            let note = "points: checkpoints with every handle closed; line: fitted slope, with its 95 % interval in brackets; \
                        each panel has its own scale";
            canvas.text(&NOTE.fit(note, WIDTH - 2.0 * MARGIN), (MARGIN, 47.0), Anchor::Start, NOTE)?;
            draw_key(canvas, &shown)?;
        }
        for (i, soak) in shown.iter().enumerate() {
            let left = MARGIN + (i % columns) as f64 * (width + GUTTER);
            let top = TOP + (i / columns) as f64 * panel + HEADING;
            let frame = Frame { left: left + AXIS_ROOM, right: left + width, top, bottom: top + PLOT };
            draw_panel(canvas, soak, left, &frame)?;
        }
        let lines = if run.soaks.is_empty() { vec!["no data".to_owned()] } else { lines };
        for (i, line) in lines.iter().enumerate() {
            let at = (MARGIN, top + panels + LINE * i as f64 - 8.0);
            canvas.text(&LABEL.fit(line, WIDTH - 2.0 * MARGIN), at, Anchor::Start, LABEL)?;
        }
        Ok(())
    })
}

/// What each ground and each line is that is in one of the panels.
fn draw_key(canvas: &Canvas<'_>, shown: &[&Soak]) -> Result<(), Error> {
    let any = |has: &dyn Fn(&Soak) -> bool| shown.iter().any(|soak| has(soak));
    let mut left = MARGIN;
    let mut entry = |text: &str, draw: &dyn Fn(f64) -> Result<(), Error>| {
        draw(left)?;
        canvas.text(text, (left + 28.0, 66.0), Anchor::Start, NOTE)?;
        left += 28.0 + NOTE.width(text) + 24.0;
        Ok::<(), Error>(())
    };
    entry("cycles that the line was fitted on", &|left| {
        canvas.fill((left, 54.0), (left + 22.0, 68.0), AXIS)?;
        canvas.fill((left + 1.0, 55.0), (left + 21.0, 67.0), WINDOW)
    })?;
    if any(&|soak| gained::limit(soak).is_some()) {
        entry("limit of the gate", &|left| {
            let dash = |from: f64| canvas.line(&[(from, 61.0), (from + 6.0, 61.0)], LIMIT, 1.6);
            [left, left + 9.0, left + 18.0].into_iter().try_for_each(dash)
        })?;
    }
    if any(&|soak| baseline(soak).is_some()) {
        entry("baseline", &|left| canvas.line(&[(left, 61.0), (left + 22.0, 61.0)], OLDER, 3.0))?;
    }
    Ok(())
}

/// Growth of the metric that the panel is about in the baseline.
fn baseline(soak: &Soak) -> Option<&dlsoak_record::Growth> {
    let of = |kind: &Kind| gained::older(soak, kind.metric);
    let grows = |kind: &&Kind| gained::grows(soak, kind.metric);
    KINDS.iter().rev().find(grows).map_or_else(|| KINDS.iter().rev().find_map(of), of)
}

/// One library.
fn draw_panel(canvas: &Canvas<'_>, soak: &Soak, left: f64, frame: &Frame) -> Result<(), Error> {
    let series: Vec<Series<'_>> = KINDS
        .iter()
        .filter_map(|kind| Some(Series { kind, gained: Gained::of(soak, kind.metric)? }))
        .collect();
    let limit = gained::limit(soak);
    let of: Vec<&Gained<'_>> = series.iter().map(|one| &one.gained).collect();
    let [x, y] = gained::scales(&of, limit, [((frame.right - frame.left) / 70.0) as usize, 4]);
    let plot = Plot { canvas, frame, x: &x, y: &y };
    let lines: Vec<Vec<(f64, f64)>> =
        of.iter().map(|one| one.points.iter().map(|point| plot.at(*point)).collect()).collect();
    let leaders = cover::leaders(&lines);
    // A line that another covers has the mark of that one.
    let marks: Vec<(&Kind, &Kind)> =
        series.iter().zip(&leaders).map(|(one, leader)| (one.kind, series[*leader].kind)).collect();
    draw_heading(canvas, soak, left, frame, &marks)?;
    if let Some((from, to)) = gained::window(of.iter().copied()) {
        plot.ground(from, to, 0.0, WINDOW)?;
    }
    draw_axes(&plot)?;
    if let Some(growth) = baseline(soak) {
        gained::draw_older(&plot, growth)?;
    }
    if let Some(limit) = limit {
        gained::gate(&plot, limit)?;
    }
    let once = || series.iter().zip(&marks).filter(|(one, (_, mark))| std::ptr::eq(one.kind, *mark));
    for (one, _) in once() {
        plot.points(&one.gained.points, one.kind.shape, one.kind.color)?;
    }
    for (one, _) in once() {
        if let Some(ends) = one.gained.fitted() {
            plot.line(&ends, one.kind.color, 2.0)?;
        }
    }
    Ok(())
}

/// Name and verdict, then the slopes, each beside the marker of its series.
fn draw_heading(
    canvas: &Canvas<'_>,
    soak: &Soak,
    left: f64,
    frame: &Frame,
    marks: &[(&Kind, &Kind)],
) -> Result<(), Error> {
    let mark = Mark::of(soak);
    let color = match mark {
        Mark::Pass => GOOD,
        Mark::Fail => BAD,
        Mark::Undecided => OPEN,
    };
    let verdict = Font { color, ..PANEL };
    let word = format!("{} {}", mark.word(), soak.judged.verdict.name());
    let baseline = frame.top - HEADING + 14.0;
    canvas.text(&word, (frame.right, baseline), Anchor::End, verdict)?;
    let name = PANEL.fit(&soak.name, frame.right - left - verdict.width(&word) - 16.0);
    canvas.text(&name, (left, baseline), Anchor::Start, PANEL)?;
    for (i, (kind, drawn)) in marks.iter().rev().enumerate() {
        let y = baseline + 19.0 + 17.0 * i as f64;
        canvas.marker((left + 5.0, y - 4.5), drawn.shape, 4.0, drawn.color)?;
        canvas.text(kind.label, (left + 15.0, y), Anchor::Start, LABEL)?;
        let text = summary::growth_of(soak, kind.metric)
            .map_or_else(|| "no slope".to_owned(), |growth| gained::slope(growth, "cycle"));
        let limit = (i == 0).then(|| gained::limit(soak)).flatten();
        let text = match limit {
            Some(limit) => format!("{text}; {}", gained::gate_in_words(limit)),
            None => text,
        };
        let from = left + 56.0;
        canvas.text(&LABEL.fit(&text, frame.right - from), (from, y), Anchor::Start, LABEL)?;
    }
    Ok(())
}

/// Ticks and grid.
fn draw_axes(plot: &Plot<'_, '_>) -> Result<(), Error> {
    let Plot { canvas, frame, x, y } = *plot;
    for (at, label) in &y.ticks {
        let (_, v) = plot.at((0.0, *at));
        let color = if *at == 0.0 { AXIS } else { GRID };
        canvas.line(&[(frame.left, v), (frame.right, v)], color, 1.0)?;
        canvas.text(label, (frame.left - 7.0, v + 4.0), Anchor::End, TICK)?;
    }
    let baseline = frame.bottom + 17.0;
    canvas.text("cycles", (frame.left - 12.0, baseline), Anchor::End, TICK)?;
    for (at, label) in &x.ticks {
        let (h, _) = plot.at((*at, 0.0));
        canvas.line(&[(h, frame.bottom), (h, frame.bottom + 4.0)], AXIS, 1.0)?;
        // The last one may hang over the end of the plot, but not over the edge of the picture.
        let middle = h.min(frame.right + MARGIN - 1.0 - TICK.width(label) / 2.0);
        canvas.text(label, (middle, baseline), Anchor::Middle, TICK)?;
    }
    canvas.sides(frame)
}
