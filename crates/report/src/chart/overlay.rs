//! Memory of several runs laid over each other: a panel per library, a line per run.

use super::super::{Error, summary};
use super::axis::{self, Scale};
use super::canvas::{Anchor, Canvas, Frame, NOTE, PANEL, TITLE, picture};
use super::cover;
use super::gained::Gained;
use super::palette::{GRID, look};
use dlsoak_record::{Metric, Soak, Trend};

const WIDTH: f64 = 1000.0;
const MARGIN: f64 = 14.0;
const GUTTER: f64 = 30.0;
const COLUMNS: usize = 2;
/// Height of the heading of the picture, of each panel, of its plot, and below it.
const TOP: f64 = 84.0;
const HEADING: f64 = 26.0;
const PLOT: f64 = 170.0;
const FOOT: f64 = 40.0;
/// Left of each plot, for its tick labels.
const AXIS_ROOM: f64 = 62.0;
/// A chart of bytes covers at least this many, so that a page of noise does not fill it.
const LEAST: f64 = 4096.0;

/// One library in the runs that have it: its name, and for each run its place and its soak.
pub(in super::super) type Overlaid<'a> = (&'a str, Vec<(usize, &'a Soak)>);

/// Draws the chart. `labels` are what people call the runs.
pub(in super::super) fn draw(labels: &[&str], libraries: &[Overlaid<'_>]) -> Result<String, Error> {
    let rows = libraries.len().div_ceil(COLUMNS).max(1);
    let panel = HEADING + PLOT + FOOT;
    let width = (WIDTH - 2.0 * MARGIN - GUTTER) / COLUMNS as f64;
    picture(WIDTH, TOP + panel * rows as f64, "Memory of several runs against cycles", |canvas| {
        canvas.text("Memory gained since cycle 0, run by run", (MARGIN, 28.0), Anchor::Start, TITLE)?;
        draw_legend(canvas, labels)?;
        if libraries.is_empty() {
            let middle = (WIDTH / 2.0, TOP + panel / 2.0);
            return canvas.text("no library is in more than one run", middle, Anchor::Middle, NOTE);
        }
        for (index, library) in libraries.iter().enumerate() {
            let left = MARGIN + (index % COLUMNS) as f64 * (width + GUTTER);
            let top = TOP + (index / COLUMNS) as f64 * panel + HEADING;
            let frame = Frame { left: left + AXIS_ROOM, right: left + width, top, bottom: top + PLOT };
            draw_panel(canvas, library, left, &frame)?;
        }
        Ok(())
    })
}

/// Which look is which run.
fn draw_legend(canvas: &Canvas<'_>, labels: &[&str]) -> Result<(), Error> {
    let room = (WIDTH - 2.0 * MARGIN) / labels.len().max(1) as f64;
    for (index, label) in labels.iter().enumerate() {
        let left = MARGIN + room * index as f64;
        let (color, shape) = look(index);
        canvas.line(&[(left, 52.0), (left + 22.0, 52.0)], color, 2.0)?;
        canvas.marker((left + 11.0, 52.0), shape, 4.0, color)?;
        canvas.text(&NOTE.fit(label, room - 40.0), (left + 28.0, 56.5), Anchor::Start, NOTE)?;
    }
    Ok(())
}

/// One library.
fn draw_panel(canvas: &Canvas<'_>, library: &Overlaid<'_>, left: f64, frame: &Frame) -> Result<(), Error> {
    let (name, soaks) = library;
    let metric = telling(soaks);
    let heading = format!("{name}: {}", if metric == Metric::Heap { "heap" } else { "resident memory" });
    canvas.text(&PANEL.fit(&heading, frame.right - left), (left, frame.top - 9.0), Anchor::Start, PANEL)?;
    let lines: Vec<(usize, Vec<(f64, f64)>)> =
        soaks.iter().filter_map(|(run, soak)| Some((*run, Gained::of(soak, metric)?.points))).collect();
    let points = || lines.iter().flat_map(|(_, line)| line.iter());
    let cycles = points().map(|point| point.0).fold(0.0, f64::max);
    let low = points().map(|point| point.1).fold(0.0, f64::min);
    let high = points().map(|point| point.1).fold(0.0, f64::max);
    let x = axis::cycles(cycles, 5);
    let y = axis::bytes(low, high, LEAST, 4);
    draw_axes(canvas, frame, &x, &y)?;
    let place = |point: &(f64, f64)| (frame.across(x.share(point.0)), frame.up(y.share(point.1)));
    let paths: Vec<Vec<(f64, f64)>> =
        lines.iter().map(|(_, line)| line.iter().map(place).collect()).collect();
    // A line that covers another is drawn once, and has the markers of both runs.
    let leaders = cover::leaders(&paths);
    for (i, path) in paths.iter().enumerate().filter(|(i, _)| leaders[*i] == *i) {
        canvas.line(path, look(lines[i].0).0, 1.8)?;
    }
    // Markers come after all lines, at places that differ from run to run.
    for ((run, _), path) in lines.iter().zip(&paths) {
        let (color, shape) = look(*run);
        let offset = (0.15 + *run as f64 * 0.618_034).fract();
        for part in [offset / 2.0, offset / 2.0 + 0.5] {
            if let Some(at) = path.get((part * path.len() as f64) as usize) {
                canvas.marker(*at, shape, 4.0, color)?;
            }
        }
    }
    Ok(())
}

/// The heap where it grows in any of the runs, else resident memory.
fn telling(soaks: &[(usize, &Soak)]) -> Metric {
    let grows = |soak: &Soak| {
        summary::growth_of(soak, Metric::Heap).is_some_and(|growth| growth.trend == Trend::Growing)
    };
    if soaks.iter().any(|(_, soak)| grows(soak)) { Metric::Heap } else { Metric::Rss }
}

/// Grid, frame and tick labels.
fn draw_axes(canvas: &Canvas<'_>, frame: &Frame, x: &Scale, y: &Scale) -> Result<(), Error> {
    for (at, label) in &y.ticks {
        let height = frame.up(y.share(*at));
        canvas.line(&[(frame.left, height), (frame.right, height)], GRID, 1.0)?;
        canvas.text(label, (frame.left - 8.0, height + 4.5), Anchor::End, NOTE)?;
    }
    for (at, label) in &x.ticks {
        let across = frame.across(x.share(*at));
        canvas.line(&[(across, frame.top), (across, frame.bottom)], GRID, 1.0)?;
        let anchor = if across > frame.right - 12.0 { Anchor::End } else { Anchor::Middle };
        canvas.text(label, (across, frame.bottom + 17.0), anchor, NOTE)?;
    }
    canvas.sides(frame)
}
