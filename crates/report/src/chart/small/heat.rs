//! Latency over the cycles as a heatmap: a row for the median, the 99th percentile and the largest value of each phase,
//! each shaded by how far it is above its own lowest. Drift is a row that darkens, a disturbance a dark column.

use super::super::super::{Error, units};
use super::super::axis;
use super::super::canvas::{Anchor, Frame};
use super::super::palette::HEAT;
use super::{Drawing, Key, LABEL, Name, TICK, WIDTH, column, cycles, sheet};
use dlsoak_record::{OverTimeColumn, Soak};

const PHASES: [&str; 4] = ["open", "symbol", "call", "close"];
const QUANTILES: [&str; 3] = ["p50", "p99", "max"];
const LEFT: f64 = 82.0;
/// Right of the plot stands the lowest value of each row.
const RIGHT: f64 = 338.0;
const ROW: f64 = 15.0;
const GAP: f64 = 5.0;
const TOP: f64 = 18.0;

/// Steps of the shading: how many times the lowest of its row a value is at least, and how the key says it.
const STEPS: [(f64, &str); HEAT.len()] = [
    (0.0, "1x"),
    (1.1, "1.1x"),
    (1.25, "1.25x"),
    (1.5, "1.5x"),
    (2.0, "2x"),
    (4.0, "4x"),
    (10.0, "10x and more"),
];

pub(super) fn draw(soak: &Soak, most: usize, name: &Name<'_>) -> Result<Option<Drawing>, Error> {
    let Some(series) = &soak.latency_over_time else { return Ok(None) };
    let mut rows = Vec::new();
    for (phase, columns) in PHASES.into_iter().zip(OverTimeColumn::LATENCIES.chunks(QUANTILES.len())) {
        for (label, of) in QUANTILES.into_iter().zip(columns) {
            let points = joined(column(series, *of), most);
            // A phase that there was none of is all zeros.
            if points.iter().any(|point| point.1 > 0.0) {
                rows.push((phase, label, points));
            }
        }
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let groups = rows.chunk_by(|a, b| a.0 == b.0).count() as f64;
    let bottom = TOP + ROW * rows.len() as f64 + GAP * (groups - 1.0);
    let high = rows.iter().flat_map(|row| row.2.iter().map(|point| point.0)).fold(1.0, f64::max);
    let x = axis::cycles(high, 4);
    let frame = Frame { left: LEFT, right: RIGHT, top: TOP, bottom };
    let svg = sheet(name, bottom + 28.0, |canvas| {
        canvas.text("lowest", (WIDTH - 4.0, TOP - 6.0), Anchor::End, TICK)?;
        let mut y = TOP;
        let mut before = "";
        for (phase, label, points) in &rows {
            if *phase != before {
                y += if before.is_empty() { 0.0 } else { GAP };
                before = phase;
                canvas.text(phase, (6.0, y + 12.0), Anchor::Start, LABEL)?;
            }
            canvas.text(label, (LEFT - 6.0, y + 12.0), Anchor::End, TICK)?;
            let lowest =
                points.iter().map(|point| point.1).filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min);
            let mut from = 0.0;
            for &(to, value) in points {
                let [left, right] = [from, to].map(|cycle| frame.across(x.share(cycle)));
                canvas.fill((left, y), (right - 0.5, y + ROW - 1.0), HEAT[step(value / lowest)])?;
                from = to;
            }
            let text = if lowest.is_finite() { units::nanos(lowest) } else { units::NONE.to_owned() };
            canvas.text(&text, (WIDTH - 4.0, y + 12.0), Anchor::End, TICK)?;
            y += ROW;
        }
        cycles(canvas, &frame, &x, "cycles")
    })?;
    const NAMES: [&str; HEAT.len()] = ["h0", "h1", "h2", "h3", "h4", "h5", "h6"];
    let key = STEPS.iter().zip(NAMES);
    let key = key.map(|((_, text), color)| Key { mark: "■", color, text: (*text).to_owned() }).collect();
    Ok(Some(Drawing { svg, key }))
}

/// At most about `most` intervals: neighbours are shown as the higher of them.
fn joined(points: Vec<(f64, f64)>, most: usize) -> Vec<(f64, f64)> {
    let each = points.len().div_ceil(most.max(1)).max(1);
    let join = |points: &[(f64, f64)]| points.iter().copied().reduce(|a, b| (b.0, a.1.max(b.1)));
    points.chunks(each).filter_map(join).collect()
}

/// The step of a ratio.
fn step(ratio: f64) -> usize {
    STEPS.iter().rposition(|(least, _)| ratio >= *least).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_by_ratio() {
        assert_eq!([step(1.0), step(1.12), step(2.0), step(9.9), step(1e9)], [0, 1, 4, 5, 6]);
        assert_eq!([step(f64::NAN), step(-1.0)], [0, 0]);
    }
}
