//! Memory gained since the first checkpoint: resident, anonymous and heap, with the fitted lines and their bands, the
//! warm-up, and the line that the gate holds growth against.

use plotters::style::RGBColor;

use super::super::super::{Error, units};
use super::super::axis;
use super::super::canvas::Frame;
use super::super::gained::{self, Gained};
use super::super::palette::{ANON, ANON_BAND, HEAP, HEAP_BAND, LIMIT, RSS, RSS_BAND, Shape, WARMUP, WINDOW};
use super::super::plot::{Plot, thin};
use super::{Drawing, Key, LEFT, Name, RIGHT, TOP, axes, sheet};
use dlsoak_record::{Metric, Soak};

const HEIGHT: f64 = 232.0;
const BOTTOM: f64 = 204.0;
/// As in the overview: pages must not look like mountains.
const LEAST: f64 = 256.0 * 1024.0;
/// Heap is counted to the byte.
const LEAST_OF_HEAP: f64 = 1024.0;
/// The gate's line may stretch the plot to so many times what was measured.
const ROOM_FOR_GATE: f64 = 4.0;

struct Kind {
    metric: Metric,
    mark: &'static str,
    name: &'static str,
    color: RGBColor,
    band: RGBColor,
    shape: Shape,
}

/// The finest comes last, and so lies on top.
const KINDS: [Kind; 3] = [
    Kind { metric: Metric::Rss, mark: "■", name: "rss", color: RSS, band: RSS_BAND, shape: Shape::Square },
    Kind {
        metric: Metric::Anon,
        mark: "▲",
        name: "anonymous",
        color: ANON,
        band: ANON_BAND,
        shape: Shape::Up,
    },
    Kind {
        metric: Metric::Heap, mark: "●", name: "heap", color: HEAP, band: HEAP_BAND, shape: Shape::Disc
    },
];

struct Series<'a> {
    kind: &'a Kind,
    gained: Gained<'a>,
}

pub(super) fn draw(soak: &Soak, most: usize, name: &Name<'_>) -> Result<Option<Drawing>, Error> {
    let series: Vec<Series<'_>> = KINDS
        .iter()
        .filter_map(|kind| Some(Series { kind, gained: Gained::of(soak, kind.metric)? }))
        .collect();
    if series.is_empty() {
        return Ok(None);
    }
    let values = || series.iter().flat_map(|s| s.gained.points.iter().map(|p| p.1));
    let (low, high) = (values().fold(0.0, f64::min), values().fold(0.0, f64::max));
    let cycles = series.iter().flat_map(|s| s.gained.points.iter().map(|p| p.0)).fold(0.0, f64::max);
    let limit = limit(soak);
    let reach = limit.unwrap_or(0.0) * cycles;
    let counted = series.iter().all(|series| series.kind.metric == Metric::Heap);
    let least = if counted { LEAST_OF_HEAP } else { LEAST };
    let room = ROOM_FOR_GATE * (high - low).max(least);
    let y = axis::bytes(low, high.max(reach.min(room)), least, 5);
    let mut x = axis::cycles(cycles, 5);
    x.low = -(soak.cycles.warmup as f64).min(cycles);
    let frame = Frame { left: LEFT, right: RIGHT, top: TOP, bottom: BOTTOM };
    let svg = sheet(name, HEIGHT, |canvas| {
        let plot = Plot { canvas, frame: &frame, x: &x, y: &y };
        if let Some((from, to)) = gained::window(series.iter().map(|s| &s.gained)) {
            plot.ground(from, to, 0.0, WINDOW)?;
        }
        if x.low < 0.0 {
            plot.ground(x.low, 0.0, 3.0, WARMUP)?;
        }
        axes(&plot, &format!("{}s", name.per))?;
        for one in &series {
            if let Some([lower, upper]) = band(&one.gained) {
                plot.area(&lower, &upper, one.kind.band)?;
            }
        }
        if let Some(limit) = limit {
            dashed(&plot, limit, cycles)?;
        }
        for one in &series {
            let points = thin(&one.gained.points, y.high - y.low, most);
            plot.line(&points, one.kind.color, 1.0)?;
            if let Some(ends) = one.gained.fitted() {
                plot.line(&ends, one.kind.color, 2.2)?;
            }
            plot.markers(&points, one.kind.shape, one.kind.color)?;
        }
        Ok(())
    })?;
    let mut key: Vec<Key> = series.iter().rev().map(|series| described(series, name.per)).collect();
    if let Some(limit) = limit {
        let text = format!("gate: {} B/cycle", units::number(limit));
        key.push(Key { mark: "╌", color: "limit", text });
    }
    if x.low < 0.0 {
        let text = format!("warm-up: {} cycles, not judged", units::count(soak.cycles.warmup));
        key.push(Key { mark: "▌", color: "warmup", text });
    }
    Ok(Some(Drawing { svg, key }))
}

/// A series in words: its slope, and whether it grows.
fn described(series: &Series<'_>, per: &str) -> Key {
    let label = match series.kind.metric {
        Metric::Rss => "resident",
        Metric::Anon => "anonymous",
        _ => "heap",
    };
    let slope =
        series.gained.growth.map_or_else(String::new, |growth| format!(": {}", gained::slope(growth, per)));
    Key { mark: series.kind.mark, color: series.kind.name, text: format!("{label}{slope}") }
}

/// The limit on memory per cycle, where the record has it as a number.
fn limit(soak: &Soak) -> Option<f64> {
    let rule =
        soak.judged.gate.rules.iter().find(|rule| rule.name == dlsoak_record::RuleName::MaxLeakRate)?;
    rule.limit_per_cycle.filter(|limit| limit.is_finite() && *limit > 0.0)
}

/// Lower and upper edge of the band: the line turned about the middle of its window, to either end of the 95 % interval
/// of its slope.
fn band(series: &Gained<'_>) -> Option<[Vec<(f64, f64)>; 2]> {
    let growth = series.growth?;
    let [(from, first), (to, last)] = series.fitted()?;
    let (low, high) = (growth.low, growth.high);
    if !(low.is_finite() && high.is_finite() && low < high) {
        return None;
    }
    let middle = ((from + to) / 2.0, (first + last) / 2.0);
    let edge = |upper: bool| {
        [from, middle.0, to]
            .map(|cycle| {
                let [a, b] = [low, high].map(|slope| middle.1 + slope * (cycle - middle.0));
                (cycle, if upper { a.max(b) } else { a.min(b) })
            })
            .to_vec()
    };
    Some([edge(false), edge(true)])
}

/// The gate's line, in dashes, up to the edge of the plot.
fn dashed(plot: &Plot<'_, '_>, slope: f64, cycles: f64) -> Result<(), Error> {
    let end = cycles.min(plot.y.high / slope);
    const DASHES: usize = 24;
    for dash in 0..DASHES {
        let at = |part: f64| {
            let cycle = end * (dash as f64 + part) / DASHES as f64;
            (cycle, slope * cycle)
        };
        plot.line(&[at(0.0), at(0.55)], LIMIT, 1.6)?;
    }
    Ok(())
}
