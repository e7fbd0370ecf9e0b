//! The percentile chart: latency against percentile, both logarithmic, so that the tail that decides how a plugin
//! host feels gets the room and the median is still there. Lines are named where they end.

use hdrhistogram::Histogram;

use dlsoak_record::{Latencies, Latency, Run, Soak};

use super::super::histogram::decode;
use super::super::{Error, units};
use super::axis::{self, NINES, PERCENTILES, Scale};
use super::canvas::{Anchor, Canvas, Frame, LABEL, NOTE, PANEL, TITLE, picture};
use super::cover;
use super::labels;
use super::palette::{GRID, look};

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 14.0;
/// Height of the heading of the picture, and of each panel.
const TOP: f64 = 62.0;
const HEADING: f64 = 26.0;
/// Below each plot: tick labels and a gap.
const FOOT: f64 = 40.0;
/// A plot is at least this high, and higher where its labels need it.
const PLOT: f64 = 220.0;
/// The longest label.
const LABEL_MAX: f64 = 190.0;
/// Lines of a panel: more can't be followed.
const MOST: usize = 24;

/// A phase of the cycle that has a panel.
struct Phase {
    title: &'static str,
    pick: fn(&Latencies) -> Option<&Latency>,
}

const PHASES: [Phase; 3] = [
    Phase { title: "open (dlopen)", pick: |l| l.open.as_ref() },
    Phase { title: "call", pick: |l| l.call.as_ref() },
    Phase { title: "close (dlclose)", pick: |l| l.close.as_ref() },
];

/// The line of one library: its place in the run, and (nines, nanoseconds) from left to right.
struct Line<'a> {
    index: usize,
    name: &'a str,
    points: Vec<(f64, f64)>,
}

/// Latency by percentile, as HdrHistogram plots it: a panel each for open, call and close, a line per library. Of many libraries, those
/// with the longest 99th percentiles have lines.
///
/// # Errors
///
/// When plotters refuses to draw, which no data should cause.
pub fn draw(run: &Run) -> Result<String, Error> {
    let shown: Vec<(usize, &Soak)> = shown(run);
    let plot = PLOT.max(shown.len() as f64 * labels::GAP + 8.0);
    let panel = HEADING + plot + FOOT;
    let height = TOP + panel * PHASES.len() as f64;
    picture(WIDTH, height, "Latency by percentile of open, call and close", |canvas| {
        canvas.text("Latency by percentile", (LEFT, 28.0), Anchor::Start, TITLE)?;
        canvas.text(&subtitle(run, shown.len()), (LEFT, 47.0), Anchor::Start, NOTE)?;
        // One width of plot for all panels, so that percentiles stand above each other.
        let label_room =
            shown.iter().map(|(_, soak)| LABEL.width(&LABEL.fit(&soak.name, LABEL_MAX))).fold(0.0, f64::max);
        // The last tick's label hangs over the end of the axis by half its width.
        let room = (label_room + labels::LEADER).max(NOTE.width(PERCENTILES[PERCENTILES.len() - 1].1) / 2.0);
        let right = WIDTH - RIGHT - room;
        for (i, phase) in PHASES.iter().enumerate() {
            let top = TOP + panel * i as f64 + HEADING;
            let frame = Frame { left: LEFT, right, top, bottom: top + plot };
            draw_panel(canvas, &shown, phase, &frame)?;
        }
        Ok(())
    })
}

/// The libraries that have lines, with their places in the run.
fn shown(run: &Run) -> Vec<(usize, &Soak)> {
    let mut shown: Vec<(usize, &Soak)> = run.soaks.iter().enumerate().collect();
    let slowest = |soak: &Soak| {
        PHASES.iter().filter_map(|phase| (phase.pick)(&soak.latency_ns)).map(|latency| latency.p99).max()
    };
    if shown.len() > MOST {
        shown.sort_by_key(|(_, soak)| std::cmp::Reverse(slowest(soak)));
        shown.truncate(MOST);
        shown.sort_by_key(|(index, _)| *index);
    }
    shown
}

/// One panel: axes, lines, labels.
fn draw_panel(
    canvas: &Canvas<'_>,
    shown: &[(usize, &Soak)],
    phase: &Phase,
    frame: &Frame,
) -> Result<(), Error> {
    let mut lines = Vec::new();
    let mut missing = Vec::new();
    for (index, soak) in shown.iter().copied() {
        match (phase.pick)(&soak.latency_ns).and_then(decode) {
            Some(histogram) => lines.push(Line { index, name: &soak.name, points: points(&histogram) }),
            None => missing.push(soak.name.as_str()),
        }
    }
    canvas.text(phase.title, (frame.left, frame.top - 9.0), Anchor::Start, PANEL)?;
    if !missing.is_empty() && !lines.is_empty() {
        let from = frame.left + PANEL.width(phase.title) + 24.0;
        let text = NOTE.fit(&format!("no data: {}", missing.join(", ")), WIDTH - RIGHT - from);
        canvas.text(&text, (WIDTH - RIGHT, frame.top - 9.0), Anchor::End, NOTE)?;
    }
    let values = || lines.iter().flat_map(|line| line.points.iter().map(|point| point.1));
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let max_ticks = ((frame.bottom - frame.top) / 26.0) as usize;
    let scale = (!lines.is_empty()).then(|| axis::nanos(low, high, max_ticks));
    draw_axes(canvas, frame, scale.as_ref())?;
    let Some(scale) = scale else {
        let middle = ((frame.left + frame.right) / 2.0, (frame.top + frame.bottom) / 2.0);
        return canvas.text("no data", middle, Anchor::Middle, NOTE);
    };
    let place = |line: &Line<'_>| -> Vec<(f64, f64)> {
        let at = |(nines, ns): &(f64, f64)| (frame.x(*nines), frame.y(&scale, ns.max(1.0).log10()));
        line.points.iter().map(at).collect()
    };
    // A line that another covers is drawn as that one, and its name stands at the same end.
    let paths: Vec<Vec<(f64, f64)>> = lines.iter().map(place).collect();
    let leaders = cover::leaders(&paths);
    let once = || lines.iter().enumerate().filter(|(i, _)| leaders[*i] == *i).map(|(_, line)| line);
    for line in once() {
        draw_line(canvas, frame, &scale, line)?;
    }
    // Markers come after all lines, so that none is crossed out.
    for line in once() {
        draw_markers(canvas, frame, &scale, line)?;
    }
    let names: Vec<labels::Name> = lines
        .iter()
        .zip(&leaders)
        .map(|(line, leader)| {
            let (color, shape) = look(lines[*leader].index);
            let end = paths[*leader].last().copied().unwrap_or_default();
            labels::Name { text: LABEL.fit(line.name, LABEL_MAX), color, shape: Some(shape), end }
        })
        .collect();
    labels::draw(canvas, frame, &names, 0.0)?;
    Ok(())
}

/// Grid, frame and tick labels. Without a scale only the percentiles.
fn draw_axes(canvas: &Canvas<'_>, frame: &Frame, scale: Option<&Scale>) -> Result<(), Error> {
    for (quantile, label) in PERCENTILES {
        let x = frame.x(axis::nines(quantile));
        canvas.line(&[(x, frame.top), (x, frame.bottom)], GRID, 1.0)?;
        canvas.text(label, (x, frame.bottom + 17.0), Anchor::Middle, NOTE)?;
    }
    for (at, label) in scale.map_or(&[][..], |scale| &scale.ticks) {
        let Some(scale) = scale else { break };
        let y = frame.y(scale, *at);
        canvas.line(&[(frame.left, y), (frame.right, y)], GRID, 1.0)?;
        canvas.text(label, (frame.left - 8.0, y + 4.5), Anchor::End, NOTE)?;
    }
    canvas.sides(frame)
}

/// The line, as steps: a percentile is a value that was measured, never one between two.
fn draw_line(canvas: &Canvas<'_>, frame: &Frame, scale: &Scale, line: &Line<'_>) -> Result<(), Error> {
    let mut path: Vec<(f64, f64)> = Vec::new();
    let mut at = (frame.left, frame.bottom);
    for (i, &(nines, ns)) in line.points.iter().enumerate() {
        let next = (frame.x(nines), frame.y(scale, ns.max(1.0).log10()));
        if i == 0 {
            path.push(next);
        } else {
            // Steps within a pixel can't be seen; merging them keeps the file small.
            if next.0 - at.0 >= 0.5 || i + 1 == line.points.len() {
                path.push((at.0, next.1));
                path.push(next);
            } else {
                continue;
            }
        }
        at = next;
    }
    canvas.line(&path, look(line.index).0, 1.8)
}

/// A few markers on a line, at places that differ from line to line.
fn draw_markers(canvas: &Canvas<'_>, frame: &Frame, scale: &Scale, line: &Line<'_>) -> Result<(), Error> {
    let (color, shape) = look(line.index);
    let end = line.points.last().map_or(0.0, |point| point.0);
    // The golden ratio keeps any number of lines from standing in one column.
    let offset = 0.1 + 0.8 * (line.index as f64 * 0.618_034).fract();
    for decade in 0..5 {
        let nines = f64::from(decade) + offset;
        if nines > end {
            break;
        }
        let Some(&(_, ns)) = line.points.iter().find(|point| point.0 >= nines) else { break };
        let at = (frame.x(nines), frame.y(scale, ns.max(1.0).log10()));
        canvas.marker(at, shape, 4.0, color)?;
    }
    Ok(())
}

impl Frame {
    /// Place of a percentile, given in nines.
    fn x(&self, nines: f64) -> f64 {
        self.across(nines / NINES)
    }

    /// Place of a latency, given as its logarithm.
    fn y(&self, scale: &Scale, log: f64) -> f64 {
        self.up(scale.share(log))
    }
}

/// The percentile function as (nines, nanoseconds). It ends where its samples end: a thousand cycles say nothing
/// about 99.999 %.
pub(super) fn points(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let count = histogram.len() as f64;
    let last = axis::nines(1.0 - 1.0 / count);
    let mut points = vec![(0.0, histogram.min() as f64)];
    let mut seen = 0u64;
    for bucket in histogram.iter_recorded() {
        seen += bucket.count_since_last_iteration();
        let nines = axis::nines(seen as f64 / count);
        let value = histogram.highest_equivalent(bucket.value_iterated_to()) as f64;
        if nines >= last {
            points.push((last, value));
            // With more samples than the axis shows, what lies beyond its end is not drawn.
            if last >= NINES {
                break;
            }
        } else {
            points.push((nines, value));
        }
    }
    points
}

/// What was measured, in one line.
fn subtitle(run: &Run, shown: usize) -> String {
    let cycles: Vec<u64> = run.soaks.iter().map(|soak| soak.cycles.completed).collect();
    let amount = match (cycles.iter().min(), cycles.iter().max()) {
        (Some(low), Some(high)) if low == high => format!("{} cycles each", units::count(*high)),
        (Some(low), Some(high)) => format!("{} to {} cycles", units::count(*low), units::count(*high)),
        _ => "no soaks".to_owned(),
    };
    let all = run.soaks.len();
    let of = if shown < all { format!("the {shown} slowest of {all} libraries, ") } else { String::new() };
    NOTE.fit(
        &format!(
            "{of}{amount}; both axes logarithmic; {}, kernel {}, {}",
            run.host.libc, run.host.kernel, run.host.machine
        ),
        WIDTH - LEFT - RIGHT,
    )
}
