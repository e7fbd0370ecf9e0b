//! Latency by percentile of one library, a line per phase. Both axes are logarithmic, as in the overview.

use super::super::super::histogram::decode;
use super::super::super::{Error, units};
use super::super::axis::{self, NINES, PERCENTILES, Scale};
use super::super::canvas::Frame;
use super::super::latency::points;
use super::super::palette::{ANON, HEAP, KINDS, RSS, Shape};
use super::super::plot::Plot;
use super::{Drawing, Key, LEFT, Name, RIGHT, TOP, axes, sheet};
use dlsoak_record::Soak;

const HEIGHT: f64 = 232.0;
const BOTTOM: f64 = 204.0;

pub(super) fn draw(soak: &Soak, most: usize, name: &Name<'_>) -> Result<Option<Drawing>, Error> {
    let of = &soak.latency_ns;
    let phases = [
        ("open", &of.open, RSS, "rss", Shape::Square, "■"),
        ("close", &of.close, HEAP, "heap", Shape::Disc, "●"),
        ("call", &of.call, ANON, "anonymous", Shape::Up, "▲"),
        ("symbol", &of.symbol, KINDS[3], "library", Shape::Diamond, "◆"),
    ];
    let mut lines = Vec::new();
    let mut key = Vec::new();
    for (phase, latency, color, color_name, shape, mark) in phases {
        let Some(latency) = latency else { continue };
        let Some(histogram) = decode(latency) else { continue };
        // Nothing is called: a phase of nothing but zeros is none.
        if histogram.max() == 0 {
            continue;
        }
        let log: Vec<(f64, f64)> =
            points(&histogram).into_iter().map(|(nines, ns)| (nines, ns.max(1.0).log10())).collect();
        lines.push((log, color, shape));
        let [p50, p99] = [latency.p50, latency.p99].map(|ns| units::nanos(ns as f64));
        key.push(Key { mark, color: color_name, text: format!("{phase}: p50 {p50}, p99 {p99}") });
    }
    if lines.is_empty() {
        return Ok(None);
    }
    let values = || lines.iter().flat_map(|(points, ..)| points.iter().map(|point| 10f64.powf(point.1)));
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let y = axis::nanos(low, high, 8);
    // Every other one has a label: all would touch.
    let ticks =
        PERCENTILES.iter().step_by(2).map(|(q, label)| (axis::nines(*q), (*label).to_owned())).collect();
    let x = Scale { low: 0.0, high: NINES, ticks };
    let frame = Frame { left: LEFT, right: RIGHT - 14.0, top: TOP, bottom: BOTTOM };
    let svg = sheet(name, HEIGHT, |canvas| {
        let plot = Plot { canvas, frame: &frame, x: &x, y: &y };
        axes(&plot, "")?;
        for (points, color, _) in &lines {
            plot.line(&steps(points, NINES / (2.0 * most.max(1) as f64)), *color, 1.6)?;
        }
        for (points, color, shape) in &lines {
            plot.markers(points, *shape, *color)?;
        }
        Ok(())
    })?;
    Ok(Some(Drawing { svg, key }))
}

/// The percentile function as steps, at least `apart` from each other.
fn steps(points: &[(f64, f64)], apart: f64) -> Vec<(f64, f64)> {
    let mut path: Vec<(f64, f64)> = Vec::new();
    for (i, &(x, y)) in points.iter().enumerate() {
        match path.last().copied() {
            None => path.push((x, y)),
            Some((before, _)) if x - before >= apart || i + 1 == points.len() => {
                path.extend([(before, y), (x, y)]);
            }
            Some(_) => {}
        }
    }
    path
}
