//! Growth of one metric: the lines of the last octaves, their intervals, and whether growth is proven, excluded,
//! fading or none of these.

use super::line::{Line, Point};
use super::series::{Exposure, METRICS, column};
use crate::record::{Fit, Growth, Metric, Soak, Trend, Unit};

/// Error probability of calling a leak, over all metrics and looks.
const ALPHA_LEAK: f64 = 0.01;
/// Error probability of passing a leak, over all looks.
const ALPHA_CLEAN: f64 = 0.05;
/// Metrics of memory that may call a leak: the first is split over them.
const DECIDING: f64 = 9.0;
/// Octaves that are looked at: N/2..N, N/4..N/2, N/8..N/4.
const OCTAVES: usize = 3;
/// Growth that stays above this share of the octave before it does not fade. A logarithm keeps 0.5, a square
/// root 0.71.
const LASTING: f64 = 0.8;
/// Growth that falls below this share of the octave before it is a cache that fills.
const FADING: f64 = 0.6;

/// Bytes per cycle above which growth is a leak, where no limit is given.
pub(super) const LEAK_ABOVE: f64 = 0.1;
/// Bytes per cycle below which growth is excluded, where no limit is given: half the smallest chunk of glibc.
pub(super) const CLEAN_BELOW: f64 = 16.0;
/// Things per cycle below which growth of a count is excluded, where no larger limit is given.
pub(super) const COUNT_CLEAN_BELOW: f64 = 0.01;

/// How the error probabilities are shared out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Errors {
    leak: f64,
    clean: f64,
}

impl Errors {
    /// For the one judgement at the end.
    pub(super) fn at_the_end() -> Self {
        Self { leak: ALPHA_LEAK / DECIDING, clean: ALPHA_CLEAN }
    }

    /// For look number `index`, from 0, of any number: half of what is left is spent at each.
    pub(super) fn at_look(index: u32) -> Self {
        let share = 0.5_f64.powi(index.min(60) as i32 + 1);
        Self { leak: ALPHA_LEAK / DECIDING * share, clean: ALPHA_CLEAN * share }
    }
}

/// The limits that one metric is held against, per cycle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bounds {
    /// Proven growth above this is a leak.
    pub leak_above: f64,
    /// Growth whose upper bound is below this is none.
    pub clean_below: f64,
}

/// What the series says about one metric.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evidence {
    /// For the record.
    pub growth: Growth,
    /// What it was held against.
    pub bounds: Bounds,
    /// The answer.
    pub finding: Finding,
    /// Growth per cycle in the last octaves, newest first.
    pub rates: Vec<f64>,
}

/// The answer for one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// Growth above the limit, in two octaves, not fading.
    Leak,
    /// No growth at or above the limit.
    Clean,
    /// Growth that fades: a cache, perhaps.
    Fading,
    /// Growth in the last octave only.
    Late,
    /// The interval straddles the limit.
    Undecided,
}

/// Evidence on every metric that was measured.
pub(super) fn evidence(
    soak: &Soak,
    exposure: &Exposure,
    errors: Errors,
    bounds: impl Fn(Metric) -> Bounds,
) -> Vec<Evidence> {
    METRICS
        .into_iter()
        .filter_map(|metric| {
            let series = exposure.series(&soak.checkpoints, metric)?;
            Some(assess(metric, &series, soak, exposure, errors, bounds(metric)))
        })
        .collect()
}

/// Judges one series.
fn assess(
    metric: Metric,
    series: &[Point],
    soak: &Soak,
    exposure: &Exposure,
    errors: Errors,
    bounds: Bounds,
) -> Evidence {
    let unit = column(metric).1;
    let floors = Floors::of(metric, soak.threads);
    let to_cycle = exposure.per_cycle;
    let lines = octaves(series);
    let newest = lines.first().copied().flatten();
    let rates: Vec<f64> = lines.iter().map_while(|line| line.map(|line| line.slope * to_cycle)).collect();

    let finding = find(&lines, errors, bounds, floors, to_cycle);
    let (per_cycle, low, high, exact) = match newest {
        Some(line) if line.exact => {
            let rate = line.slope * to_cycle;
            (rate, rate, rate, true)
        }
        Some(line) => {
            let rate = line.slope * to_cycle;
            let half = line.half_width(0.05, floors.low) * to_cycle;
            (rate, rate - half, rate + half, false)
        }
        None => (0.0, f64::MIN, f64::MAX, false),
    };
    let detectable = lines
        .iter()
        .take(2)
        .map(|line| line.map_or(f64::MAX, |line| line.half_width(errors.leak, floors.low) * to_cycle))
        .fold(bounds.leak_above, f64::max);
    let seconds = if soak.cycles.completed > 0 { soak.seconds / soak.cycles.completed as f64 } else { 0.0 };
    let growth = Growth {
        metric,
        unit,
        per_cycle,
        low,
        high,
        per_second: if seconds > 0.0 { per_cycle / seconds } else { 0.0 },
        per_load: exposure.loads_per_cycle.map(|loads| per_cycle / loads),
        detectable,
        trend: match finding {
            Finding::Leak => Trend::Growing,
            Finding::Clean => Trend::Flat,
            Finding::Fading => Trend::Decaying,
            Finding::Late | Finding::Undecided => Trend::Unclear,
        },
        exact,
        fit: newest.and_then(|line| fit(&line, exposure)),
    };
    Evidence { growth, bounds, finding, rates }
}

/// The lines of the last octaves, newest first.
fn octaves(series: &[Point]) -> Vec<Option<Line>> {
    let (Some(first), Some(last)) = (series.first(), series.last()) else { return Vec::new() };
    let length = last.0 - first.0;
    (0..OCTAVES)
        .map(|octave| {
            let to = first.0 + length * 0.5_f64.powi(octave as i32);
            let from = first.0 + length * 0.5_f64.powi(octave as i32 + 1);
            let start = series.partition_point(|point| point.0 < from);
            let end = series.partition_point(|point| point.0 <= to);
            Line::through(series.get(start..end)?)
        })
        .collect()
}

/// Smallest ranges that are believed: what can move without being seen.
#[derive(Debug, Clone, Copy)]
struct Floors {
    low: f64,
    high: f64,
}

impl Floors {
    fn of(metric: Metric, threads: u32) -> Self {
        let threads = f64::from(threads.max(1));
        match metric {
            Metric::Heap => Self { low: 64.0, high: 1024.0 * threads },
            Metric::Mappings | Metric::Threads | Metric::Fds => Self { low: 1.0, high: 1.0 },
            _ => Self { low: 4096.0 * threads, high: 4096.0 * threads },
        }
    }
}

/// The finding on one metric.
fn find(lines: &[Option<Line>], errors: Errors, bounds: Bounds, floors: Floors, to_cycle: f64) -> Finding {
    let Some(newest) = lines.first().copied().flatten() else { return Finding::Undecided };
    let low = |line: &Line| (line.slope - line.half_width(errors.leak, floors.low)) * to_cycle;
    let high = (newest.slope + newest.half_width(errors.clean, floors.high)) * to_cycle;
    let grows_now = low(&newest) > bounds.leak_above;
    let Some(before) = lines.get(1).copied().flatten() else { return Finding::Undecided };
    let lasting = newest.slope >= LASTING * before.slope;
    let grew_before = low(&before) > bounds.leak_above;
    if grows_now && grew_before && lasting {
        Finding::Leak
    } else if high < bounds.clean_below && (!grows_now || newest.slope < FADING * before.slope) {
        Finding::Clean
    } else if !lasting && low(&before) > 0.0 {
        Finding::Fading
    } else if grows_now && !grew_before {
        Finding::Late
    } else {
        Finding::Undecided
    }
}

/// The line in cycles, for charts.
fn fit(line: &Line, exposure: &Exposure) -> Option<Fit> {
    let index = exposure.at.partition_point(|at| *at < line.span.0);
    let from = *exposure.cycles.get(index)?;
    let to = *exposure.cycles.last()?;
    let value = line.intercept + line.slope * line.span.0;
    let per_cycle = line.slope * exposure.per_cycle;
    Some(Fit { intercept: value - per_cycle * from, from_cycle: from as u64, to_cycle: to as u64 })
}

/// True for the metrics that are bytes.
pub(super) fn is_memory(metric: Metric) -> bool {
    column(metric).1 == Unit::Bytes
}
