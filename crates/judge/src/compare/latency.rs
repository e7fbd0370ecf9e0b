//! Decides whether a phase takes longer than before: the whole distribution, or its tail.
//!
//! Two runs of one library differ by more than the cycles of one run do, because of other programs, another layout of the address
//! space, or another clock rate. Interference only ever adds time (Chen and Revels 2016, *Robust benchmarking in noisy environments*),
//! so the quiet cycles, which nothing disturbed, are comparable. They decide, the median confirms, and the tail has a wide margin of
//! its own.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::super::schedule::SplitMix;
use super::{Change, Changed};
use dlsoak_record::histogram::decode;
use dlsoak_record::{Latencies, Latency, Phase};

/// The quantile of the quiet cycles. On a shared machine, whole runs went by in which nine cycles of ten took 1.5 times as long, and
/// with the tenth percentile `compare` named unchanged libraries in 21 of 108 pairs, with this one in none (`docs/compare.md`).
const QUIET: f64 = 0.005;
/// A phase changed if its quiet cycles take this many times as long, or less than its inverse. Over 528 pairs of runs of the
/// same five libraries on a busy machine, the largest ratio of a phase above a microsecond was 1.17.
const LEAST: f64 = 1.18;
/// And if they differ by this many nanoseconds: phases below a microsecond differed by up to 190 ns, depending on where the loader
/// puts a library.
const LEAST_NS: f64 = 250.0;
/// The median must have moved the same way by this factor.
const CONFIRMED: f64 = 1.085;
/// The tail differs if the 99th percentile takes this many times as long, relative to the pace. It does not count as a change:
/// if another program was busy during a part of one run, the factor was up to 12.
const TAIL: f64 = 3.0;
/// And if it differs by this many nanoseconds.
const TAIL_NS: f64 = 1_000.0;
/// Shorter phases do not show the machine's pace.
const PACE_NS: f64 = 500.0;
/// Phases that are needed to compute the pace.
const PACE_PHASES: usize = 3;
/// Resamples of each histogram.
const RESAMPLES: usize = 1_000;
/// Error probability of the intervals.
const ALPHA: f64 = 0.01;
/// A fixed seed gives the same figures for the same records.
const SEED: u64 = 0x0063_6f6d_7061_7265;

/// Latency of one phase, before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LatencyChange {
    /// The phase.
    pub phase: Phase,
    /// Before, in nanoseconds.
    pub base: Figures,
    /// After, in nanoseconds.
    pub other: Figures,
    /// Ratio of the medians, after to before.
    pub p50_ratio: f64,
    /// Its 99 % interval from resampling both histograms, which covers chance within a run and nothing else.
    pub p50_interval: (f64, f64),
    /// Ratio of the 99th percentiles, after to before.
    pub p99_ratio: f64,
    /// Its 99 % interval, computed the same way.
    pub p99_interval: (f64, f64),
    /// The result.
    pub outcome: LatencyOutcome,
}

/// Quantiles of a phase in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// The quiet cycles: 0.5 % of all took at most this long.
    pub quiet: u64,
    /// Median.
    pub p50: u64,
    /// 99th percentile.
    pub p99: u64,
}

/// How a phase's latencies changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LatencyOutcome {
    /// Within what two runs of one library differ by.
    Same,
    /// It takes longer.
    Slower,
    /// It takes less time.
    Faster,
    /// Only the slowest cycles take longer. The cause may be the library or a busy machine.
    TailSlower,
    /// Only the slowest cycles take less time. The cause may be the library or a machine that was busy before.
    TailFaster,
    /// It differs in the same way as all phases of all libraries.
    SameAsPace,
}

impl LatencyChange {
    /// Ratio of the quiet cycles, after to before.
    pub(super) fn quiet_ratio(&self) -> f64 {
        ratio(self.base.quiet, self.other.quiet)
    }

    /// Whether the whole distribution moved up by more than this factor, and beyond what two runs differ by.
    pub(super) fn moved_up(&self, factor: f64) -> bool {
        self.outcome == LatencyOutcome::Slower && self.quiet_ratio() > factor && self.p50_ratio > factor
    }
}

/// The phases that both runs timed, with the outcome still open.
pub(super) fn latency(base: &Latencies, other: &Latencies) -> Vec<LatencyChange> {
    let phases = [
        (Phase::Open, &base.open, &other.open),
        (Phase::Symbol, &base.symbol, &other.symbol),
        (Phase::Call, &base.call, &other.call),
        (Phase::Close, &base.close, &other.close),
    ];
    let both = phases.into_iter().filter_map(|(phase, a, b)| Some((phase, a.as_ref()?, b.as_ref()?)));
    both.filter_map(|(phase, a, b)| change(phase, a, b)).collect()
}

fn change(phase: Phase, base: &Latency, other: &Latency) -> Option<LatencyChange> {
    let (a, b) = (decode(base)?, decode(other)?);
    // Without a call in the cycle, the phase times only the clock.
    if a.max() == 0 && b.max() == 0 {
        return None;
    }
    let figures = |h: &Histogram<u64>| Figures {
        quiet: h.value_at_quantile(QUIET),
        p50: h.value_at_quantile(0.5),
        p99: h.value_at_quantile(0.99),
    };
    let (before, after) = (figures(&a), figures(&b));
    Some(LatencyChange {
        phase,
        base: before,
        other: after,
        p50_ratio: ratio(before.p50, after.p50),
        p50_interval: interval(&a, &b, 0.5),
        p99_ratio: ratio(before.p99, after.p99),
        p99_interval: interval(&a, &b, 0.99),
        outcome: LatencyOutcome::Same,
    })
}

fn ratio(base: u64, other: u64) -> f64 {
    other.max(1) as f64 / base.max(1) as f64
}

/// Bootstrap interval of the ratio of two quantiles. The quantile of a resample of n values is one of the values in order,
/// the k-th with k binomial (Efron 1979); k is drawn by its normal limit, so that a million cycles cost what a
/// thousand do.
fn interval(a: &Histogram<u64>, b: &Histogram<u64>, quantile: f64) -> (f64, f64) {
    let mut random = Normal(SplitMix(SEED));
    let (a, b) = (Steps::of(a), Steps::of(b));
    let mut draw = |steps: &Steps| {
        let spread = (quantile * (1.0 - quantile) / steps.count as f64).sqrt();
        steps.at((quantile + random.draw() * spread).clamp(0.0, 1.0))
    };
    let mut ratios: Vec<f64> = (0..RESAMPLES).map(|_| ratio(draw(&a), draw(&b))).collect();
    ratios.sort_by(f64::total_cmp);
    let cut = (RESAMPLES as f64 * ALPHA / 2.0) as usize;
    (ratios[cut], ratios[RESAMPLES - 1 - cut])
}

/// The quantiles of a histogram, prepared for many queries. The histogram itself walks through all its buckets for each query.
struct Steps {
    count: u64,
    /// Values up to and including each bucket, and the bucket's value.
    steps: Vec<(u64, u64)>,
}

impl Steps {
    fn of(histogram: &Histogram<u64>) -> Self {
        let mut count = 0;
        let step = histogram.iter_recorded().map(|bucket| {
            count += bucket.count_since_last_iteration();
            (count, histogram.highest_equivalent(bucket.value_iterated_to()))
        });
        let steps = step.collect();
        Self { count, steps }
    }

    fn at(&self, quantile: f64) -> u64 {
        let wanted = ((quantile * self.count as f64).ceil() as u64).max(1);
        let index = self.steps.partition_point(|(count, _)| *count < wanted);
        self.steps.get(index).or(self.steps.last()).map_or(0, |(_, value)| *value)
    }
}

/// Standard normal numbers (Box and Muller 1958).
struct Normal(SplitMix);

impl Normal {
    fn draw(&mut self) -> f64 {
        let mut unit = || ((self.0.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        let (radius, angle) = ((-2.0 * unit().ln()).sqrt(), std::f64::consts::TAU * unit());
        radius * angle.cos()
    }
}

/// Ratio of all times, after to before: the median over the quiet cycles of all phases of all libraries.
pub(super) fn pace<'a>(phases: impl Iterator<Item = &'a LatencyChange>) -> Option<f64> {
    let long =
        phases.filter(|phase| phase.base.quiet as f64 >= PACE_NS && phase.other.quiet as f64 >= PACE_NS);
    let mut ratios: Vec<f64> = long.map(LatencyChange::quiet_ratio).collect();
    ratios.sort_by(f64::total_cmp);
    let middle = ratios.len() / 2;
    (ratios.len() >= PACE_PHASES).then(|| match ratios.len() % 2 {
        0 => (ratios[middle - 1] * ratios[middle]).sqrt(),
        _ => ratios[middle],
    })
}

/// Whether a pace is beyond noise.
pub(super) fn is_large(pace: f64) -> bool {
    pace.max(1.0 / pace) >= LEAST
}

/// Fills in the outcome of each phase.
pub(super) fn tell(phases: &mut [LatencyChange], pace: Option<f64>) {
    for phase in phases {
        phase.outcome = outcome(phase, pace.unwrap_or(1.0));
    }
}

fn outcome(phase: &LatencyChange, pace: f64) -> LatencyOutcome {
    let quiet = phase.quiet_ratio();
    let apart = |a: u64, b: u64| a.abs_diff(b) as f64;
    let by_chance = phase.p50_interval.0 <= 1.0 && phase.p50_interval.1 >= 1.0;
    // Downwards is upwards with the ratios inverted.
    let up = quiet > 1.0;
    let turn = |ratio: f64| if up { ratio } else { 1.0 / ratio };
    let moved = turn(quiet) >= LEAST
        && apart(phase.base.quiet, phase.other.quiet) >= LEAST_NS
        && turn(phase.p50_ratio) >= CONFIRMED
        && !by_chance;
    if moved {
        return match (turn(quiet / pace) >= LEAST, up) {
            (false, _) => LatencyOutcome::SameAsPace,
            (true, true) => LatencyOutcome::Slower,
            (true, false) => LatencyOutcome::Faster,
        };
    }
    let tail = phase.p99_ratio / pace;
    let by_chance = phase.p99_interval.0 <= 1.0 && phase.p99_interval.1 >= 1.0;
    let beyond = apart(phase.base.p99, phase.other.p99) >= TAIL_NS && !by_chance;
    match tail {
        tail if beyond && tail >= TAIL && phase.p99_ratio >= TAIL => LatencyOutcome::TailSlower,
        tail if beyond && tail <= 1.0 / TAIL && phase.p99_ratio <= 1.0 / TAIL => LatencyOutcome::TailFaster,
        _ => LatencyOutcome::Same,
    }
}

/// The phases that changed.
pub(super) fn changes(phases: &[LatencyChange]) -> impl Iterator<Item = Change> + '_ {
    phases.iter().filter_map(|phase| {
        let worse = match phase.outcome {
            LatencyOutcome::Slower => true,
            LatencyOutcome::Faster => false,
            LatencyOutcome::Same
            | LatencyOutcome::SameAsPace
            | LatencyOutcome::TailSlower
            | LatencyOutcome::TailFaster => return None,
        };
        Some(Change {
            worse: Some(worse),
            what: Changed::Latency {
                phase: phase.phase,
                before: phase.base.p50,
                after: phase.other.p50,
                ratio: phase.p50_ratio,
            },
        })
    })
}

#[cfg(test)]
pub(super) mod tests {

    use super::*;

    /// Latencies around `middle` nanoseconds: a spread of 5 %, and a tail of one in fifty.
    pub(in super::super) fn sample(middle: f64, tail: f64, seed: u64) -> Latency {
        let mut random = Normal(SplitMix(seed));
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).unwrap();
        for index in 0..5_000 {
            let slow = if index % 50 == 0 { tail } else { 1.0 };
            histogram.saturating_record((middle * slow * (1.0 + 0.05 * random.draw().abs())) as u64);
        }
        dlsoak_record::histogram::encode(&histogram).unwrap()
    }

    fn run(open: f64, call: f64, close: f64, tail: f64, seed: u64) -> Latencies {
        Latencies {
            open: Some(sample(open, 3.0, seed)),
            symbol: Some(sample(700.0, 3.0, seed + 1)),
            call: Some(sample(call, tail, seed + 2)),
            close: Some(sample(close, 3.0, seed + 3)),
            cycle: None,
        }
    }

    fn outcomes(a: &Latencies, b: &Latencies) -> (Vec<LatencyOutcome>, Option<f64>) {
        let mut phases = latency(a, b);
        let pace = pace(phases.iter());
        tell(&mut phases, pace);
        (phases.iter().map(|phase| phase.outcome).collect(), pace)
    }

    #[test]
    fn the_phase_that_changed_is_named() {
        let base = run(15_000.0, 1_000.0, 4_000.0, 3.0, 1);
        let (found, pace) = outcomes(&base, &run(15_000.0, 1_000.0, 4_000.0, 3.0, 10));
        assert_eq!(found, [LatencyOutcome::Same; 4]);
        assert!((pace.unwrap() - 1.0).abs() < 0.02);
        let slower = run(15_000.0, 1_300.0, 4_000.0, 3.0, 20);
        assert_eq!(
            outcomes(&base, &slower).0,
            [LatencyOutcome::Same, LatencyOutcome::Same, LatencyOutcome::Slower, LatencyOutcome::Same]
        );
        assert_eq!(
            outcomes(&slower, &base).0,
            [LatencyOutcome::Same, LatencyOutcome::Same, LatencyOutcome::Faster, LatencyOutcome::Same]
        );
        // Two runs of one library may differ this much.
        let other = run(15_000.0, 1_120.0, 4_000.0, 3.0, 30);
        assert_eq!(outcomes(&base, &other).0, [LatencyOutcome::Same; 4]);
        let tail = run(15_000.0, 1_000.0, 4_000.0, 30.0, 40);
        assert_eq!(
            outcomes(&base, &tail).0,
            [LatencyOutcome::Same, LatencyOutcome::Same, LatencyOutcome::TailSlower, LatencyOutcome::Same]
        );
        let mut phases = latency(&base, &tail);
        tell(&mut phases, None);
        assert_eq!(changes(&phases).count(), 0);
        let mut phases = latency(&base, &slower);
        tell(&mut phases, None);
        let changed: Vec<Change> = changes(&phases).collect();
        let [Change { worse: Some(true), what: Changed::Latency { phase: Phase::Call, after, ratio, .. } }] =
            changed.as_slice()
        else {
            panic!("{changed:?}")
        };
        assert!((1_300..1_400).contains(after) && *ratio > 1.2, "{changed:?}");
    }

    #[test]
    fn a_slower_machine_is_not_a_change_of_the_library() {
        let base = run(15_000.0, 1_000.0, 4_000.0, 3.0, 1);
        let mut slow = run(21_000.0, 1_400.0, 5_600.0, 3.0, 10);
        slow.symbol = Some(sample(980.0, 3.0, 50));
        let (found, pace) = outcomes(&base, &slow);
        assert_eq!(found, [LatencyOutcome::SameAsPace; 4]);
        assert!(is_large(pace.unwrap()));
        // A phase that stands out from the pace is named.
        slow.call = Some(sample(2_400.0, 3.0, 60));
        assert_eq!(outcomes(&base, &slow).0[2], LatencyOutcome::Slower);
    }

    #[test]
    fn short_phases_need_more_than_a_ratio() {
        let base = Latencies { call: Some(sample(100.0, 1.0, 1)), ..Latencies::default() };
        let other = Latencies { call: Some(sample(290.0, 1.0, 2)), ..Latencies::default() };
        assert_eq!(outcomes(&base, &other), (vec![LatencyOutcome::Same], None));
        let other = Latencies { call: Some(sample(500.0, 1.0, 2)), ..Latencies::default() };
        assert_eq!(outcomes(&base, &other).0, [LatencyOutcome::Slower]);
    }

    #[test]
    fn a_resampled_interval_holds_the_ratio_and_shrinks_with_the_cycles() {
        let change = change(Phase::Call, &sample(1_000.0, 3.0, 1), &sample(1_300.0, 3.0, 2)).unwrap();
        let (low, high) = change.p50_interval;
        assert!(low < change.p50_ratio && change.p50_ratio < high && low > 1.28 && high < 1.32, "{change:?}");
        let histogram = decode(&sample(1_000.0, 3.0, 1)).unwrap();
        for quantile in [0.0, 0.1, 0.5, 0.9, 0.99, 1.0] {
            assert_eq!(Steps::of(&histogram).at(quantile), histogram.value_at_quantile(quantile.max(1e-9)));
        }
        let mut random = Normal(SplitMix(3));
        let draws: Vec<f64> = (0..10_000).map(|_| random.draw()).collect();
        let mean = draws.iter().sum::<f64>() / 1e4;
        let variance = draws.iter().map(|x| x * x).sum::<f64>() / 1e4;
        assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
