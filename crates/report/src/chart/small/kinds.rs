//! What grew, by kind of mapping: resident memory above the lowest that each kind had, stacked. The level of a kind,
//! which is mostly the code of the process, would hide what moves.

use super::super::super::{Error, units};
use super::super::axis;
use super::super::canvas::{Anchor, Frame};
use super::super::palette::{GROUND, KINDS};
use super::super::plot::Plot;
use super::{Drawing, Key, LEFT, Name, RIGHT, TICK, TOP, axes, column, sheet};
use dlsoak_record::{OverTime, OverTimeColumn, Soak};

const HEIGHT: f64 = 232.0;
const BOTTOM: f64 = 204.0;
/// As in the chart of memory.
const LEAST: f64 = 256.0 * 1024.0;

/// For each kind, from the bottom of the stack, its colour's name and what people call it.
const NAMES: [(&str, &str); 6] = [
    ("heap", "heap"),
    ("anonymous", "anonymous"),
    ("stacks", "stacks"),
    ("library", "the library"),
    ("other", "other libraries"),
    ("files", "files"),
];

pub(super) fn draw(soak: &Soak, most: usize, name: &Name<'_>) -> Result<Option<Drawing>, Error> {
    let Some(series) = &soak.resident_by_kind else { return Ok(None) };
    let series = thinned(series, most);
    let layers: Vec<Vec<(f64, f64)>> =
        OverTimeColumn::KINDS.iter().map(|kind| column(&series, *kind)).collect();
    let length = layers.iter().map(Vec::len).min().unwrap_or(0);
    if length == 0 {
        return Ok(None);
    }
    let mut below: Vec<(f64, f64)> = layers[0].iter().take(length).map(|point| (point.0, 0.0)).collect();
    let mut stack = Vec::new();
    let mut key = Vec::new();
    for (layer, (color, label)) in layers.iter().zip(NAMES) {
        let lowest = layer.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
        let above: Vec<(f64, f64)> =
            below.iter().zip(layer).map(|(base, point)| (base.0, base.1 + point.1 - lowest)).collect();
        let ends = [layer.first(), layer.get(length - 1)].map(|point| point.map_or(0.0, |point| point.1));
        let gained = ends[1] - ends[0];
        let change = match gained {
            0.0 => "unchanged".to_owned(),
            gained if gained > 0.0 => format!("+{}", units::bytes(gained)),
            gained => units::bytes(gained),
        };
        let text = format!("{label}: {}, {change}", units::bytes(ends[1]));
        key.push(Key { mark: "■", color, text });
        stack.push((below, above.clone()));
        below = above;
    }
    let high = below.iter().map(|point| point.1).fold(0.0, f64::max);
    let cycles = below.iter().map(|point| point.0).fold(0.0, f64::max);
    let (x, y) = (axis::cycles(cycles, 5), axis::bytes(0.0, high, LEAST, 5));
    let frame = Frame { left: LEFT, right: RIGHT, top: TOP, bottom: BOTTOM };
    let svg = sheet(name, HEIGHT, |canvas| {
        let plot = Plot { canvas, frame: &frame, x: &x, y: &y };
        axes(&plot, "cycles")?;
        if high == 0.0 {
            canvas.text("nothing grew", plot.at((cycles / 2.0, y.high / 2.0)), Anchor::Middle, TICK)?;
        }
        for ((low, high), color) in stack.iter().zip(KINDS) {
            if low.iter().zip(high).any(|(a, b)| b.1 - a.1 > 0.0) {
                plot.area(low, high, color)?;
                plot.line(high, GROUND, 0.5)?;
            }
        }
        Ok(())
    })?;
    // As the eye meets them: the top of the stack first.
    key.reverse();
    Ok(Some(Drawing { svg, key }))
}

/// At most about `most` rows, the last one among them.
fn thinned(series: &OverTime, most: usize) -> OverTime {
    let last = series.rows.len().saturating_sub(1);
    let step = series.rows.len().div_ceil(most.max(1)).max(1);
    let rows = series.rows.iter().enumerate().filter(|(i, _)| i % step == 0 || *i == last);
    OverTime { columns: series.columns.clone(), rows: rows.map(|(_, row)| row.clone()).collect() }
}
