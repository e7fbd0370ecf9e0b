//! Series of known truth, for tests.

use dlsoak_record::{Growth, Metric, Trend, Unit};

use super::line::Point;
use super::schedule::{DEFAULT_CHECKPOINTS, Schedule, SplitMix};

/// The values at the checkpoints of a soak, of those after each cycle.
pub(super) fn series(cycles: u64, value: impl Fn(f64) -> f64) -> Vec<Point> {
    let schedule = Schedule::new(cycles, DEFAULT_CHECKPOINTS, 1);
    schedule.map(|cycle| (cycle as f64, value(cycle as f64))).collect()
}

/// Growth of the heap at this rate, known to within `half` of it.
pub(super) fn growth(per_cycle: f64, half: f64, trend: Trend) -> Growth {
    Growth {
        metric: Metric::Heap,
        unit: Unit::Bytes,
        per_cycle,
        low: per_cycle - half,
        high: per_cycle + half,
        per_second: 0.0,
        per_load: None,
        detectable: 1.0,
        trend,
        exact: half == 0.0,
        fit: None,
    }
}

/// The number of events up to each cycle, where one comes in this cycle with the probability `rate`.
pub(super) fn events(cycles: u64, seed: u64, rate: impl Fn(f64) -> f64) -> Vec<f64> {
    let (mut random, mut count) = (SplitMix(seed), 0.0);
    let mut counted = vec![0.0];
    for cycle in 0..cycles {
        count += f64::from(u8::from(random.uniform() < rate(cycle as f64)));
        counted.push(count);
    }
    counted
}

/// Noise with a standard deviation of 1 and this correlation time.
pub(super) fn noise(cycles: u64, seed: u64, correlation: f64) -> Vec<f64> {
    let mut random = SplitMix(seed);
    let keep = (-1.0 / correlation).exp();
    let mut value = random.normal();
    let next = |_| {
        value = keep * value + (1.0 - keep * keep).sqrt() * random.normal();
        value
    };
    (0..=cycles).map(next).collect()
}

/// The capacity of a container that has one entry more in each cycle and grows by this factor, after 500 cycles of warm-up.
pub(super) fn container(factor: f64) -> impl Fn(f64) -> f64 {
    move |cycle| {
        let mut capacity = 8.0_f64;
        while capacity < cycle + 500.0 {
            capacity = (capacity * factor).ceil();
        }
        32.0 * capacity
    }
}

impl SplitMix {
    /// Evenly from 0 to 1.
    pub(super) fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// With a standard deviation of 1 (Box and Muller).
    pub(super) fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}
