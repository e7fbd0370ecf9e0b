//! Whether a phase takes longer than before: the whole distribution, or its tail.
//!
//! Two runs of one library differ by more than the cycles of one run do: other programs, another layout of the address
//! space, another clock rate. What they share is the quiet cycles, which nothing disturbed. So a change is called by
//! the tenth percentile and confirmed by the median, and the tail is judged by a wide margin of its own.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::super::schedule::SplitMix;
use super::super::words;
use super::{Change, ChangeKind};
use dlsoak_record::histogram::decode;
use dlsoak_record::{Latencies, Latency};

/// The quantile of the quiet cycles.
const QUIET: f64 = 0.1;
/// A phase changed when its quiet cycles take this many times as long, or as short. Over 780 pairs of runs of the same
/// five libraries on a busy machine the largest ratio of a phase above a microsecond was 1.16.
const LEAST: f64 = 1.18;
/// And this many nanoseconds: phases below a microsecond differed by up to 190 ns with where the loader puts a library.
const LEAST_NS: f64 = 250.0;
/// The median must have gone the same way by this much.
const CONFIRMED: f64 = 1.085;
/// The tail is told to differ when its 99th percentile takes this many times as long, beside what the quiet cycles do. It is
/// not called a change: where another program was busy in a part of one run only, it was up to 12 times.
const TAIL: f64 = 3.0;
/// And this many nanoseconds.
const TAIL_NS: f64 = 1_000.0;
/// Phases that are shorter say nothing of the machine's pace.
const PACE_NS: f64 = 500.0;
/// Phases that it takes to tell the pace.
const PACE_PHASES: usize = 3;
/// Resamples of each histogram.
const RESAMPLES: usize = 1_000;
/// Error probability of the intervals.
const ALPHA: f64 = 0.01;
/// The same figures for the same records.
const SEED: u64 = 0x0063_6f6d_7061_7265;

/// Latency of one phase, before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LatencyChange {
    /// Name of the phase, as in the record.
    pub phase: &'static str,
    /// Before, in nanoseconds.
    pub base: Figures,
    /// After, in nanoseconds.
    pub other: Figures,
    /// How many times as long the median takes.
    pub p50_ratio: f64,
    /// Its 99 % interval by resampling both histograms: what chance within a run explains, and nothing else.
    pub p50_interval: (f64, f64),
    /// How many times as long the 99th percentile takes.
    pub p99_ratio: f64,
    /// Its 99 % interval, likewise.
    pub p99_interval: (f64, f64),
    /// What is made of it.
    pub told: Told,
}

/// Quantiles of a phase in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Tenth percentile: the quiet cycles.
    pub p10: u64,
    /// Median.
    pub p50: u64,
    /// 99th percentile.
    pub p99: u64,
}

/// What is made of a phase's latencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// No more than two runs of one library differ.
    Same,
    /// It takes longer.
    Slower,
    /// It takes less time.
    Faster,
    /// The slowest cycles take longer, the others do not: of the library or of a busy machine, that can't be told.
    TailSlower,
    /// The slowest cycles take less time, the others do not; likewise.
    TailFaster,
    /// It differs, as all phases of all libraries do.
    AsAll,
}

impl LatencyChange {
    /// How many times as long the quiet cycles take.
    pub(super) fn quiet_ratio(&self) -> f64 {
        ratio(self.base.p10, self.other.p10)
    }

    /// Whether the whole distribution moved up by this factor at least, and beyond what two runs differ by.
    pub(super) fn moved_up(&self, factor: f64) -> bool {
        self.told == Told::Slower && self.quiet_ratio() > factor && self.p50_ratio > factor
    }
}

/// The phases that both runs timed; not yet told.
pub(super) fn latency(base: &Latencies, other: &Latencies) -> Vec<LatencyChange> {
    let phases = [
        ("open", &base.open, &other.open),
        ("symbol", &base.symbol, &other.symbol),
        ("call", &base.call, &other.call),
        ("close", &base.close, &other.close),
    ];
    let both = phases.into_iter().filter_map(|(phase, a, b)| Some((phase, a.as_ref()?, b.as_ref()?)));
    both.filter_map(|(phase, a, b)| change(phase, a, b)).collect()
}

fn change(phase: &'static str, base: &Latency, other: &Latency) -> Option<LatencyChange> {
    let (a, b) = (decode(base)?, decode(other)?);
    // Without a call in the cycle, nothing is timed but the clock.
    if a.max() == 0 && b.max() == 0 {
        return None;
    }
    let figures = |h: &Histogram<u64>| Figures {
        p10: h.value_at_quantile(QUIET),
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
        told: Told::Same,
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

/// The quantiles of a histogram, for many questions: the histogram itself walks through all its buckets for each.
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

/// How many times as long everything takes: the median over the quiet cycles of all phases of all libraries.
pub(super) fn pace<'a>(phases: impl Iterator<Item = &'a LatencyChange>) -> Option<f64> {
    let long = phases.filter(|phase| phase.base.p10 as f64 >= PACE_NS && phase.other.p10 as f64 >= PACE_NS);
    let mut ratios: Vec<f64> = long.map(LatencyChange::quiet_ratio).collect();
    ratios.sort_by(f64::total_cmp);
    let middle = ratios.len() / 2;
    (ratios.len() >= PACE_PHASES).then(|| match ratios.len() % 2 {
        0 => (ratios[middle - 1] * ratios[middle]).sqrt(),
        _ => ratios[middle],
    })
}

/// Whether a pace is more than noise.
pub(super) fn is_large(pace: f64) -> bool {
    pace.max(1.0 / pace) >= LEAST
}

/// Fills in what is made of each phase.
pub(super) fn tell(phases: &mut [LatencyChange], pace: Option<f64>) {
    for phase in phases {
        phase.told = told(phase, pace.unwrap_or(1.0));
    }
}

fn told(phase: &LatencyChange, pace: f64) -> Told {
    let quiet = phase.quiet_ratio();
    let apart = |a: u64, b: u64| a.abs_diff(b) as f64;
    let by_chance = phase.p50_interval.0 <= 1.0 && phase.p50_interval.1 >= 1.0;
    // Upwards and downwards are the same with the ratios turned round.
    let up = quiet > 1.0;
    let turn = |ratio: f64| if up { ratio } else { 1.0 / ratio };
    let moved = turn(quiet) >= LEAST
        && apart(phase.base.p10, phase.other.p10) >= LEAST_NS
        && turn(phase.p50_ratio) >= CONFIRMED
        && !by_chance;
    if moved {
        return match (turn(quiet / pace) >= LEAST, up) {
            (false, _) => Told::AsAll,
            (true, true) => Told::Slower,
            (true, false) => Told::Faster,
        };
    }
    let tail = phase.p99_ratio / pace;
    let by_chance = phase.p99_interval.0 <= 1.0 && phase.p99_interval.1 >= 1.0;
    let beyond = apart(phase.base.p99, phase.other.p99) >= TAIL_NS && !by_chance;
    match tail {
        tail if beyond && tail >= TAIL && phase.p99_ratio >= TAIL => Told::TailSlower,
        tail if beyond && tail <= 1.0 / TAIL && phase.p99_ratio <= 1.0 / TAIL => Told::TailFaster,
        _ => Told::Same,
    }
}

/// What changed, in plain words.
pub(super) fn changes(phases: &[LatencyChange]) -> impl Iterator<Item = Change> + '_ {
    phases.iter().filter_map(|phase| {
        let worse = match phase.told {
            Told::Slower => true,
            Told::Faster => false,
            Told::Same | Told::AsAll | Told::TailSlower | Told::TailFaster => return None,
        };
        let micro = |ns: u64| words::number(ns as f64 / 1e3);
        Some(Change {
            kind: ChangeKind::Latency,
            worse: Some(worse),
            text: format!(
                "{} is {}: the median takes {} us instead of {} us ({} times)",
                phase.phase,
                if worse { "slower" } else { "faster" },
                micro(phase.other.p50),
                micro(phase.base.p50),
                words::number(phase.p50_ratio)
            ),
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

    fn tell_all(a: &Latencies, b: &Latencies) -> (Vec<Told>, Option<f64>) {
        let mut phases = latency(a, b);
        let pace = pace(phases.iter());
        tell(&mut phases, pace);
        (phases.iter().map(|phase| phase.told).collect(), pace)
    }

    #[test]
    fn the_phase_that_changed_is_the_one_that_is_named() {
        let base = run(15_000.0, 1_000.0, 4_000.0, 3.0, 1);
        let (told, pace) = tell_all(&base, &run(15_000.0, 1_000.0, 4_000.0, 3.0, 10));
        assert_eq!(told, [Told::Same; 4]);
        assert!((pace.unwrap() - 1.0).abs() < 0.02);
        let slower = run(15_000.0, 1_300.0, 4_000.0, 3.0, 20);
        assert_eq!(tell_all(&base, &slower).0, [Told::Same, Told::Same, Told::Slower, Told::Same]);
        assert_eq!(tell_all(&slower, &base).0, [Told::Same, Told::Same, Told::Faster, Told::Same]);
        // As much as two runs of one library may differ.
        let other = run(15_000.0, 1_120.0, 4_000.0, 3.0, 30);
        assert_eq!(tell_all(&base, &other).0, [Told::Same; 4]);
        let tail = run(15_000.0, 1_000.0, 4_000.0, 30.0, 40);
        assert_eq!(tell_all(&base, &tail).0, [Told::Same, Told::Same, Told::TailSlower, Told::Same]);
        let mut phases = latency(&base, &tail);
        tell(&mut phases, None);
        assert_eq!(changes(&phases).count(), 0);
        let text = changes(&{
            let mut phases = latency(&base, &slower);
            tell(&mut phases, None);
            phases
        })
        .next()
        .unwrap();
        assert!(text.text.starts_with("call is slower: the median takes 1.3"), "{}", text.text);
    }

    #[test]
    fn a_slower_machine_is_no_change_of_the_library() {
        let base = run(15_000.0, 1_000.0, 4_000.0, 3.0, 1);
        let mut slow = run(21_000.0, 1_400.0, 5_600.0, 3.0, 10);
        slow.symbol = Some(sample(980.0, 3.0, 50));
        let (told, pace) = tell_all(&base, &slow);
        assert_eq!(told, [Told::AsAll; 4]);
        assert!(is_large(pace.unwrap()));
        // What stands out from it is named.
        slow.call = Some(sample(2_400.0, 3.0, 60));
        assert_eq!(tell_all(&base, &slow).0[2], Told::Slower);
    }

    #[test]
    fn short_phases_need_more_than_a_ratio() {
        let base = Latencies { call: Some(sample(100.0, 1.0, 1)), ..Latencies::default() };
        let other = Latencies { call: Some(sample(290.0, 1.0, 2)), ..Latencies::default() };
        assert_eq!(tell_all(&base, &other), (vec![Told::Same], None));
        let other = Latencies { call: Some(sample(500.0, 1.0, 2)), ..Latencies::default() };
        assert_eq!(tell_all(&base, &other).0, [Told::Slower]);
    }

    #[test]
    fn a_resampled_interval_holds_the_ratio_and_shrinks_with_the_cycles() {
        let change = change("call", &sample(1_000.0, 3.0, 1), &sample(1_300.0, 3.0, 2)).unwrap();
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
