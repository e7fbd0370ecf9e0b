//! Memory gained since the first checkpoint: resident, anonymous and heap, with the fitted lines and their bands, the
//! warm-up, the gate's line, and behind them the line of the baseline.

use plotters::style::RGBColor;

use super::super::super::{Error, units};
use super::super::canvas::Frame;
use super::super::cover;
use super::super::gained::{self, Gained};
use super::super::palette::{ANON, ANON_BAND, HEAP, HEAP_BAND, RSS, RSS_BAND, Shape, WARMUP, WINDOW};
use super::super::plot::{Plot, thin};
use super::{Drawing, Key, LEFT, Name, RIGHT, TOP, axes, sheet};
use dlsoak_record::{Metric, Soak};

const HEIGHT: f64 = 232.0;
const BOTTOM: f64 = 204.0;

struct Kind {
    metric: Metric,
    label: &'static str,
    mark: &'static str,
    name: &'static str,
    color: RGBColor,
    band: (&'static str, RGBColor),
    shape: Shape,
}

/// The finest comes last, and so lies on top.
const KINDS: [Kind; 3] = [
    Kind {
        metric: Metric::Rss,
        label: "resident",
        mark: "■",
        name: "rss",
        color: RSS,
        band: ("rss-band", RSS_BAND),
        shape: Shape::Square,
    },
    Kind {
        metric: Metric::Anon,
        label: "anonymous",
        mark: "▲",
        name: "anonymous",
        color: ANON,
        band: ("anon-band", ANON_BAND),
        shape: Shape::Up,
    },
    Kind {
        metric: Metric::Heap,
        label: "heap",
        mark: "●",
        name: "heap",
        color: HEAP,
        band: ("heap-band", HEAP_BAND),
        shape: Shape::Disc,
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
    let limit = gained::limit(soak);
    let of: Vec<&Gained<'_>> = series.iter().map(|one| &one.gained).collect();
    let [mut x, y] = gained::scales(&of, limit, [5, 5]);
    x.low = -(soak.cycles.warmup as f64).min(x.high);
    let older = KINDS.iter().rev().find_map(|kind| {
        let growing = gained::grows(soak, kind.metric) || kind.metric == Metric::Heap;
        Some((kind, gained::older(soak, kind.metric).filter(|_| growing)?))
    });
    let window = gained::window(of.iter().copied());
    let frame = Frame { left: LEFT, right: RIGHT, top: TOP, bottom: BOTTOM };
    let mut drawn: Vec<usize> = Vec::new();
    let svg = sheet(name, HEIGHT, |canvas| {
        let plot = Plot { canvas, frame: &frame, x: &x, y: &y };
        if let Some((from, to)) = window {
            plot.ground(from, to, 0.0, WINDOW)?;
        }
        if x.low < 0.0 {
            plot.ground(x.low, 0.0, 3.0, WARMUP)?;
        }
        axes(&plot, &format!("{}s", name.per))?;
        if let Some((_, growth)) = older {
            gained::draw_older(&plot, growth)?;
        }
        let lines: Vec<Vec<(f64, f64)>> = series
            .iter()
            .map(|one| one.gained.points.iter().map(|point| plot.at(*point)).collect())
            .collect();
        drawn = cover::leaders(&lines);
        let once = || series.iter().enumerate().filter(|(i, _)| drawn[*i] == *i).map(|(_, one)| one);
        for one in once() {
            if let Some([lower, upper]) = band(&one.gained) {
                plot.area(&lower, &upper, one.kind.band.1)?;
            }
        }
        if let Some(limit) = limit {
            gained::gate(&plot, limit)?;
        }
        for one in once() {
            let points = thin(&one.gained.points, y.high - y.low, most);
            plot.line(&points, one.kind.color, 1.0)?;
            if let Some(ends) = one.gained.fitted() {
                plot.line(&ends, one.kind.color, 2.2)?;
            }
            plot.markers(&points, one.kind.shape, one.kind.color)?;
        }
        Ok(())
    })?;
    // A line that another covers has the mark of that one.
    let mut key: Vec<Key> = series
        .iter()
        .zip(&drawn)
        .rev()
        .map(|(one, leader)| {
            let Kind { mark, name: color, .. } = *series[*leader].kind;
            Key { mark, color, text: described(one, name.per) }
        })
        .collect();
    if let Some(limit) = limit {
        key.push(Key { mark: "╌", color: "limit", text: gained::gate_in_words(limit) });
    }
    for (i, one) in series.iter().enumerate().rev() {
        if drawn[i] == i && band(&one.gained).is_some() {
            let text = format!("95 % interval of {}", one.kind.label);
            key.push(Key { mark: "▌", color: one.kind.band.0, text });
        }
    }
    if let Some((from, to)) = window {
        let text =
            format!("judged: {}s {} to {}", name.per, units::short_count(from), units::short_count(to));
        key.push(Key { mark: "▌", color: "window", text });
    }
    if x.low < 0.0 {
        let text = format!("warm-up: {} cycles, not judged", units::count(soak.cycles.warmup));
        key.push(Key { mark: "▌", color: "warmup", text });
    }
    if let Some((kind, growth)) = older {
        let text = format!("{} in the baseline: {}", kind.label, gained::slope(growth, name.per));
        key.push(Key { mark: "―", color: "older", text });
    }
    Ok(Some(Drawing { svg, key }))
}

/// A series in words: its slope, and whether it grows.
fn described(series: &Series<'_>, per: &str) -> String {
    let slope =
        series.gained.growth.map_or_else(String::new, |growth| format!(": {}", gained::slope(growth, per)));
    format!("{}{slope}", series.kind.label)
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
