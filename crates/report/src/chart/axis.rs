//! Scales and their ticks: percentiles toward 100 %, logarithmic time, linear cycles and bytes. Pure numbers; a
//! chart decides where they go.

use super::super::units;

/// Percentiles with a tick, and how each is written. The axis ends at the last.
pub(super) const PERCENTILES: [(f64, &str); 7] = [
    (0.0, "0 %"),
    (0.5, "50 %"),
    (0.9, "90 %"),
    (0.99, "99 %"),
    (0.999, "99.9 %"),
    (0.9999, "99.99 %"),
    (0.99999, "99.999 %"),
];

/// Decades of the percentile axis.
pub(super) const NINES: f64 = 5.0;

/// A quantile's place on the percentile axis, in decades of what lies beyond it: 0.9 is at 1, 0.99 at 2.
pub(super) fn nines(quantile: f64) -> f64 {
    let beyond = (1.0 - quantile).max(1e-12);
    (-beyond.log10()).clamp(0.0, NINES)
}

/// A range of an axis with its ticks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scale {
    /// Lower end, in the axis' own measure (its logarithm, for times).
    pub(super) low: f64,
    /// Upper end, always above the lower.
    pub(super) high: f64,
    /// Ticks in the same measure, each with its label.
    pub(super) ticks: Vec<(f64, String)>,
}

impl Scale {
    /// Where `value` lies between the ends, 0 to 1, cut off outside.
    pub(super) fn share(&self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

/// A logarithmic scale of nanoseconds from `low` to `high`, with at most about `max_ticks` ticks.
pub(super) fn nanos(low: f64, high: f64, max_ticks: usize) -> Scale {
    let (low, high) = (low.max(1.0).log10(), high.max(1.0).log10());
    let margin = ((high - low) * 0.06).max(0.15);
    // Below a nanosecond there is nothing to show, but a line at 1 ns must not lie on the frame.
    let (low, high) = (low - margin, high + margin);
    // The finest set of round values that is not too many.
    let sets: [&[f64]; 3] = [&[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0]];
    let ticks_of = |steps: &[f64], every: i32| -> Vec<(f64, String)> {
        let (first, last) = (low.floor() as i32, high.ceil() as i32);
        (first..=last)
            .filter(|decade| decade.rem_euclid(every) == 0)
            .flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)))
            .map(|ns| (ns.log10(), ns))
            .filter(|(at, ns)| *at >= low && *at <= high && *ns >= 1.0)
            .map(|(at, ns)| (at, units::nanos_tick(ns)))
            .collect()
    };
    let mut ticks = Vec::new();
    for steps in sets {
        ticks = ticks_of(steps, 1);
        if ticks.len() <= max_ticks {
            return Scale { low, high, ticks };
        }
    }
    for every in 2..=12 {
        if ticks.len() > max_ticks {
            ticks = ticks_of(&[1.0], every);
        }
    }
    Scale { low, high, ticks }
}

/// A linear scale of cycles from 0 to `high`.
pub(super) fn cycles(high: f64, max_ticks: usize) -> Scale {
    let high = high.max(1.0);
    let step = round_step(high / max_ticks.max(1) as f64).max(1.0);
    Scale { low: 0.0, high, ticks: multiples(0.0, high, step).map(|x| (x, units::short_count(x))).collect() }
}

/// A linear scale of bytes that covers `low` to `high` and 0, no narrower than `least`, in one unit.
pub(super) fn bytes(low: f64, high: f64, least: f64, max_ticks: usize) -> Scale {
    let (mut low, mut high) = (low.min(0.0), high.max(0.0));
    let missing = least - (high - low);
    if missing > 0.0 {
        // What does not move is drawn at the foot, and what only falls at the top.
        if high >= -low { high += missing } else { low -= missing }
    }
    let margin = (high - low) * 0.08;
    (low, high) = (low - margin, high + margin);
    let largest = high.max(-low);
    let mut divisor = 1.0;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        if largest < divisor * 1024.0 * 1.5 {
            break;
        }
        divisor *= 1024.0;
        unit = next;
    }
    let step = round_step((high - low) / divisor / max_ticks.max(1) as f64);
    let step = if divisor == 1.0 { step.max(1.0) } else { step };
    let ticks = multiples(low / divisor, high / divisor, step)
        .map(|x| (x * divisor, units::bytes_tick(x * divisor, divisor, unit)))
        .collect();
    Scale { low, high, ticks }
}

/// The next 1, 2 or 5 times a power of ten that is at least `raw`.
fn round_step(raw: f64) -> f64 {
    if !(raw.is_finite() && raw > 0.0) {
        return 1.0;
    }
    let power = 10f64.powf(raw.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|m| m * power)
        .find(|&s| s >= raw * 0.999_999)
        .unwrap_or(power * 10.0)
}

/// The multiples of `step` from `low` to `high`.
fn multiples(low: f64, high: f64, step: f64) -> impl Iterator<Item = f64> {
    let first = (low / step - 1e-9).ceil();
    let count = ((high / step + 1e-9).floor() - first).clamp(-1.0, 100.0) as i64;
    (0..=count).map(move |i| (first + i as f64) * step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: &Scale) -> Vec<&str> {
        scale.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn percentiles_are_spread_by_nines() {
        assert_eq!(nines(0.0), 0.0);
        assert!((nines(0.99) - 2.0).abs() < 1e-9);
        assert_eq!(nines(1.0), NINES);
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(labels(&cycles(100_000.0, 5)), ["0", "20k", "40k", "60k", "80k", "100k"]);
        assert_eq!(labels(&cycles(3.0, 5)), ["0", "1", "2", "3"]);
        assert_eq!(labels(&bytes(0.0, 3.2e6, 0.0, 4)), ["0", "1 MiB", "2 MiB", "3 MiB"]);
        assert_eq!(labels(&bytes(-2048.0, 2048.0, 0.0, 4)), ["-2 KiB", "0", "2 KiB"]);
        assert_eq!(
            labels(&nanos(200.0, 40_000.0, 9)),
            ["200 ns", "500 ns", "1 µs", "2 µs", "5 µs", "10 µs", "20 µs", "50 µs"]
        );
        assert!(labels(&nanos(1.0, 6e10, 7)).len() <= 7);
    }

    #[test]
    fn odd_ranges_still_make_a_scale() {
        for (low, high) in [(0.0, 0.0), (5.0, 5.0), (-9.3e18, 9.3e18), (-1.0, -1.0)] {
            let scale = bytes(low, high, 1.0, 4);
            assert!(scale.high > scale.low && !scale.ticks.is_empty() && scale.ticks.len() < 12, "{scale:?}");
            assert!(scale.share(high) <= 1.0);
        }
        let scale = nanos(0.0, 0.0, 6);
        assert!(scale.high > scale.low && !scale.ticks.is_empty());
        assert!(cycles(0.0, 5).high > 0.0);
    }
}
