//! The memory chart: what heap and resident memory gained since cycle 0, a panel per library. Growth, not level,
//! because a heap of kilobytes and a resident set of megabytes are asked the same question: does it rise?

use plotters::style::RGBColor;

use dlsoak_record::{Metric, Run, Soak};

use super::super::Error;
use super::super::summary::{self, Mark};
use super::axis;
use super::canvas::{Anchor, Canvas, Font, Frame, LABEL, NOTE, PANEL, TITLE, picture};
use super::gained::{self, Gained};
use super::palette::{AXIS, BAD, GOOD, GRID, MUTED, OPEN, Shape, WINDOW};
use super::plot::Plot;
use super::text::Weight;

const WIDTH: f64 = 1000.0;
const MARGIN: f64 = 16.0;
/// Between panels.
const GUTTER: f64 = 26.0;
const TOP: f64 = 66.0;
/// Left of each plot, for its tick labels.
const AXIS_ROOM: f64 = 66.0;
/// Above each plot: name and verdict, and a line of text per series.
const HEADING: f64 = 62.0;
const PLOT: f64 = 128.0;
/// Below each plot: tick labels and a gap.
const FOOT: f64 = 44.0;
/// What a plot covers at least, in bytes. Resident memory moves by pages, and by 64 KiB where the kernel maps
/// around a fault: a scale that showed that as a mountain would lie.
const LEAST: f64 = 256.0 * 1024.0;

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
    Kind { metric: Metric::Rss, label: "RSS", color: RGBColor(0x00, 0x72, 0xb2), shape: Shape::Square },
    Kind { metric: Metric::Heap, label: "heap", color: RGBColor(0xd5, 0x5e, 0x00), shape: Shape::Disc },
];

/// A series of one panel: growth since its first checkpoint.
struct Series<'a> {
    kind: &'a Kind,
    gained: Gained<'a>,
}

/// Growth of heap and resident memory against cycles: a panel per library, with points, fitted line and slope.
///
/// # Errors
///
/// When plotters refuses to draw, which no data should cause.
pub fn draw(run: &Run) -> Result<String, Error> {
    let columns = match run.soaks.len() {
        0 | 1 => 1,
        2..=12 => 2,
        _ => 3,
    };
    let rows = run.soaks.len().div_ceil(columns).max(1);
    let panel = HEADING + PLOT + FOOT;
    let height = TOP + panel * rows as f64;
    let width = (WIDTH - 2.0 * MARGIN - GUTTER * (columns as f64 - 1.0)) / columns as f64;
    picture(WIDTH, height, "Growth of heap and resident memory against cycles", |canvas| {
        canvas.text("Memory gained since cycle 0", (MARGIN, 28.0), Anchor::Start, TITLE)?;
        let note = "points: checkpoints with every handle closed; line: fitted slope, with its 95 % interval in brackets; \
                    each panel has its own scale";
        canvas.text(&NOTE.fit(note, WIDTH - 2.0 * MARGIN), (MARGIN, 47.0), Anchor::Start, NOTE)?;
        if run.soaks.is_empty() {
            let middle = (WIDTH / 2.0, TOP + panel / 2.0);
            return canvas.text("no data", middle, Anchor::Middle, NOTE);
        }
        for (i, soak) in run.soaks.iter().enumerate() {
            let left = MARGIN + (i % columns) as f64 * (width + GUTTER);
            let top = TOP + (i / columns) as f64 * panel + HEADING;
            let frame = Frame { left: left + AXIS_ROOM, right: left + width, top, bottom: top + PLOT };
            draw_panel(canvas, soak, left, &frame)?;
        }
        Ok(())
    })
}

/// One library.
fn draw_panel(canvas: &Canvas<'_>, soak: &Soak, left: f64, frame: &Frame) -> Result<(), Error> {
    draw_heading(canvas, soak, left, frame)?;
    let series: Vec<Series<'_>> = KINDS
        .iter()
        .filter_map(|kind| Some(Series { kind, gained: Gained::of(soak, kind.metric)? }))
        .collect();
    let cycles = series.iter().flat_map(|s| s.gained.points.iter().map(|p| p.0)).fold(0.0, f64::max);
    let values = || series.iter().flat_map(|s| s.gained.points.iter().map(|p| p.1));
    let (low, high) = (values().fold(0.0, f64::min), values().fold(0.0, f64::max));
    let x = axis::cycles(cycles, ((frame.right - frame.left) / 70.0) as usize);
    let y = axis::bytes(low, high, LEAST, 4);
    if series.is_empty() {
        canvas.sides(frame)?;
        let middle = ((frame.left + frame.right) / 2.0, (frame.top + frame.bottom) / 2.0);
        return canvas.text("no data", middle, Anchor::Middle, NOTE);
    }
    let plot = Plot { canvas, frame, x: &x, y: &y };
    draw_window(&plot, &series)?;
    draw_axes(&plot)?;
    for one in &series {
        plot.points(&one.gained.points, one.kind.shape, one.kind.color)?;
    }
    for one in &series {
        if let Some(ends) = one.gained.fitted() {
            plot.line(&ends, one.kind.color, 2.0)?;
        }
    }
    Ok(())
}

/// Name and verdict, then the slopes, each beside the marker of its series.
fn draw_heading(canvas: &Canvas<'_>, soak: &Soak, left: f64, frame: &Frame) -> Result<(), Error> {
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
    for (i, kind) in KINDS.iter().rev().enumerate() {
        let y = baseline + 19.0 + 17.0 * i as f64;
        canvas.marker((left + 5.0, y - 4.5), kind.shape, 4.0, kind.color)?;
        canvas.text(kind.label, (left + 15.0, y), Anchor::Start, LABEL)?;
        let text = summary::growth_of(soak, kind.metric)
            .map_or_else(|| "no slope".to_owned(), |growth| gained::slope(growth, "cycle"));
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

/// The cycles that the lines were fitted on, as a ground behind them.
fn draw_window(plot: &Plot<'_, '_>, series: &[Series<'_>]) -> Result<(), Error> {
    let Some((from, to)) = gained::window(series.iter().map(|s| &s.gained)) else { return Ok(()) };
    plot.ground(from, to, 0.0, WINDOW)
}
