//! What a metric gained since the first checkpoint, with the line that was fitted to it: what every chart of memory
//! draws.

use super::super::{Error, summary, units};
use super::axis::{self, Scale};
use super::palette::{LIMIT, OLDER};
use super::plot::Plot;
use dlsoak_record::{Growth, Metric, RuleName, Soak, Trend};

/// What a plot covers at least, in bytes. Resident memory moves by pages, and by 64 KiB where the kernel maps around a fault: a scale
/// that showed that as a mountain would lie.
pub(super) const LEAST: f64 = 256.0 * 1024.0;
/// Heap is counted to the byte.
pub(super) const LEAST_OF_HEAP: f64 = 1024.0;
/// The gate's line may stretch the plot to up to this many times what was measured.
const ROOM_FOR_GATE: f64 = 4.0;

/// The ends of a fitted line.
pub(super) type Ends = [(f64, f64); 2];

/// One series.
pub(super) struct Gained<'a> {
    /// What was measured.
    pub(super) metric: Metric,
    /// The level at the first checkpoint.
    start: f64,
    /// (cycle, gain).
    pub(super) points: Vec<(f64, f64)>,
    /// What the analysis made of it.
    pub(super) growth: Option<&'a Growth>,
}

impl<'a> Gained<'a> {
    /// The series of a metric; none where it has no checkpoint.
    pub(super) fn of(soak: &'a Soak, metric: Metric) -> Option<Self> {
        let mut points = summary::series(soak, metric);
        let start = points.first()?.1;
        for point in &mut points {
            point.1 -= start;
        }
        Some(Gained { metric, start, points, growth: summary::growth_of(soak, metric) })
    }

    /// The fitted line, over the cycles it was fitted on.
    pub(super) fn fitted(&self) -> Option<Ends> {
        let (growth, fit) = self.growth.and_then(|g| Some((g, g.fit.as_ref()?)))?;
        let value = |cycle: f64| fit.intercept - self.start + growth.per_cycle * cycle;
        let (from, to) = (fit.from_cycle as f64, fit.to_cycle as f64);
        let sound = value(from).is_finite() && value(to).is_finite() && from < to;
        sound.then(|| [(from, value(from)), (to, value(to))])
    }
}

/// Whether a metric of the soak is proven to grow.
pub(in super::super) fn grows(soak: &Soak, metric: Metric) -> bool {
    let leaks = soak.judged.leak.as_ref().is_some_and(|leak| leak.metric == metric);
    leaks || summary::growth_of(soak, metric).is_some_and(|growth| growth.trend == Trend::Growing)
}

/// Whether a metric of the soak neither is proven to grow nor is known not to.
pub(in super::super) fn is_open(soak: &Soak, metric: Metric) -> bool {
    let open = |growth: &Growth| matches!(growth.trend, Trend::Unclear | Trend::Decaying);
    summary::growth_of(soak, metric).is_some_and(open)
}

/// The limit of the gate on memory per cycle, where the record has it as a number.
pub(super) fn limit(soak: &Soak) -> Option<f64> {
    let rule = soak.judged.gate.rules.iter().find(|rule| rule.name == RuleName::MaxLeakRate)?;
    rule.limit_per_cycle.filter(|limit| limit.is_finite() && *limit > 0.0)
}

/// What the baseline has of a metric.
pub(super) fn older(soak: &Soak, metric: Metric) -> Option<&Growth> {
    let older = soak.baseline.as_ref()?.soak.as_ref()?;
    older.growth.iter().find(|growth| growth.metric == metric && growth.per_cycle.is_finite())
}

/// The scales of a plot of these series: of cycles, and of bytes with room for the gate's line.
pub(super) fn scales(series: &[&Gained<'_>], limit: Option<f64>, ticks: [usize; 2]) -> [Scale; 2] {
    let points = || series.iter().flat_map(|series| &series.points);
    let (low, high) = (points().map(|p| p.1).fold(0.0, f64::min), points().map(|p| p.1).fold(0.0, f64::max));
    let cycles = points().map(|p| p.0).fold(0.0, f64::max);
    let counted = series.iter().all(|series| series.metric == Metric::Heap);
    let least = if counted { LEAST_OF_HEAP } else { LEAST };
    let reach = limit.unwrap_or(0.0) * cycles;
    let room = ROOM_FOR_GATE * (high - low).max(least);
    [axis::cycles(cycles, ticks[0]), axis::bytes(low, high.max(reach.min(room)), least, ticks[1])]
}

/// The gate's line, in dashes, from the first checkpoint to the edge of the plot.
pub(super) fn gate(plot: &Plot<'_, '_>, limit: f64) -> Result<(), Error> {
    let end = plot.x.high.min(plot.y.high / limit);
    let dashes = ((plot.frame.right - plot.frame.left) / 14.0) as usize;
    for dash in 0..dashes {
        let at = |part: f64| {
            let cycle = end * (dash as f64 + part) / dashes as f64;
            (cycle, limit * cycle)
        };
        plot.line(&[at(0.0), at(0.55)], LIMIT, 1.6)?;
    }
    Ok(())
}

/// The gate's line in words.
pub(super) fn gate_in_words(limit: f64) -> String {
    format!("gate: {} B/cycle", units::number(limit))
}

/// The line of the baseline, which is behind all others.
pub(super) fn draw_older(plot: &Plot<'_, '_>, growth: &Growth) -> Result<(), Error> {
    let slope = growth.per_cycle;
    let edge = if slope > 0.0 { plot.y.high } else { plot.y.low };
    let end = if slope == 0.0 { plot.x.high } else { plot.x.high.min(edge / slope) };
    plot.line(&[(0.0, 0.0), (end, slope * end)], OLDER, 3.0)
}

/// The cycles that the lines of some series were fitted on.
pub(super) fn window<'a>(series: impl Iterator<Item = &'a Gained<'a>> + Clone) -> Option<(f64, f64)> {
    let fits = || series.clone().filter_map(|s| s.growth?.fit.as_ref());
    let from = fits().map(|fit| fit.from_cycle as f64).fold(f64::INFINITY, f64::min);
    let to = fits().map(|fit| fit.to_cycle as f64).fold(0.0, f64::max);
    (from < to).then_some((from, to))
}

/// A slope with its interval, and whether it grows.
pub(in super::super) fn slope(growth: &Growth, per: &str) -> String {
    let trend = match growth.trend {
        Trend::Growing => ", growing",
        Trend::Flat => "",
        Trend::Decaying => ", fading",
        Trend::Unclear => ", unclear",
    };
    format!("{}{trend}", summary::slope(growth, per))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::sample;

    #[test]
    fn the_gate_has_room_but_not_all_of_it() {
        let run = sample::run(2);
        let heap = Gained::of(&run.soaks[0], Metric::Heap).unwrap();
        let high = |limit| scales(&[&heap], limit, [5, 5])[1].high;
        assert!(high(None) < 2_000.0 && high(Some(0.02)) > 2_000.0);
        assert_eq!(high(Some(16.0)), high(Some(1e9)));
        assert!(grows(&run.soaks[1], Metric::Heap) && !grows(&run.soaks[0], Metric::Heap));
    }
}
