//! Mappings, threads and file descriptors over the cycles: a strip each with its own scale, since one thread more
//! matters as much as a hundred mappings.

use super::super::super::summary;
use super::super::super::{Error, units};
use super::super::axis::{self, Scale};
use super::super::canvas::{Anchor, Frame};
use super::super::palette::{ANON, AXIS, GRID, HEAP, RSS, Shape};
use super::super::plot::{Plot, thin};
use super::{Drawing, Key, LABEL, LEFT, Name, RIGHT, TICK, cycles, sheet};
use dlsoak_record::{Metric, Soak};

const STRIP: f64 = 46.0;
const HEADING: f64 = 20.0;

pub(super) fn draw(soak: &Soak, most: usize, name: &Name<'_>) -> Result<Option<Drawing>, Error> {
    let strips = [
        (Metric::Mappings, "mappings", RSS, "rss", Shape::Square, "■"),
        (Metric::Threads, "threads", HEAP, "heap", Shape::Disc, "●"),
        (Metric::Fds, "descriptors", ANON, "anonymous", Shape::Up, "▲"),
    ];
    let strips: Vec<_> =
        strips.into_iter().map(|s| (summary::series(soak, s.0), s)).filter(|(p, _)| !p.is_empty()).collect();
    if strips.is_empty() {
        return Ok(None);
    }
    let high = strips.iter().flat_map(|(points, _)| points.iter().map(|p| p.0)).fold(0.0, f64::max);
    let x = axis::cycles(high, 5);
    let height = (STRIP + HEADING) * strips.len() as f64;
    let mut key = Vec::new();
    let svg = sheet(name, height + 28.0, |canvas| {
        let mut top = HEADING;
        for (points, (metric, label, color, color_name, shape, mark)) in &strips {
            let frame = Frame { left: LEFT, right: RIGHT, top, bottom: top + STRIP };
            let y = scale(points);
            let plot = Plot { canvas, frame: &frame, x: &x, y: &y };
            canvas.text(label, (LEFT, top - 5.0), Anchor::Start, LABEL)?;
            for (at, label) in &y.ticks {
                let (_, v) = plot.at((x.low, *at));
                canvas.line(&[(frame.left, v), (frame.right, v)], GRID, 1.0)?;
                canvas.text(label, (frame.left - 6.0, v + 4.0), Anchor::End, TICK)?;
            }
            canvas.line(&[(frame.left, frame.bottom), (frame.right, frame.bottom)], AXIS, 1.0)?;
            let points = thin(points, y.high - y.low, most);
            plot.line(&points, *color, 1.8)?;
            plot.markers(&points, *shape, *color)?;
            let slope = summary::growth_of(soak, *metric).map(|growth| summary::slope(growth, name.per));
            let text = slope.map_or_else(|| (*label).to_owned(), |slope| format!("{label}: {slope}"));
            key.push(Key { mark, color: color_name, text });
            top += STRIP + HEADING;
            if top > height {
                cycles(canvas, &frame, &x, &format!("{}s", name.per))?;
            }
        }
        Ok(())
    })?;
    Ok(Some(Drawing { svg, key }))
}

/// A scale of whole numbers with a tick at either end, and room for at least four.
fn scale(points: &[(f64, f64)]) -> Scale {
    let low = points.iter().map(|p| p.1).fold(f64::INFINITY, f64::min);
    let high = points.iter().map(|p| p.1).fold(low, f64::max);
    let missing = (4.0 - (high - low)).max(0.0);
    let (bottom, top) = ((low - (missing / 2.0).floor()).max(0.0), high + (missing / 2.0).ceil());
    let ticks = if high > low { vec![low, high] } else { vec![low] };
    let ticks = ticks.into_iter().map(|at| (at, units::short_count(at))).collect();
    Scale { low: bottom, high: top.max(bottom + 1.0), ticks }
}
