//! Whether a metric grows faster or slower than before.

use super::super::verdict::takes_part;
use super::super::words;
use super::{Change, ChangeKind, GrowthChange};
use dlsoak_record::{Growth, Metric, Soak, Trend};

/// How much wider an interval must be for 99.9 % than for 95 %, of a normal distribution: 3.29 / 1.96.
const WIDER: f64 = 1.68;

/// Each metric that both measured.
pub(super) fn growth(base: &Soak, other: &Soak) -> Vec<GrowthChange> {
    let of = |soak: &'_ Soak, metric| soak.growth.iter().find(|growth| growth.metric == metric).cloned();
    Metric::ALL
        .into_iter()
        .filter(|metric| takes_part(*metric))
        .filter_map(|metric| Some(difference(&of(base, metric)?, &of(other, metric)?)))
        .collect()
}

/// The difference of two independent estimates, each with its interval.
pub(super) fn difference(base: &Growth, other: &Growth) -> GrowthChange {
    let change = other.per_cycle - base.per_cycle;
    let up = (other.high - other.per_cycle).hypot(base.per_cycle - base.low);
    let down = (other.per_cycle - other.low).hypot(base.high - base.per_cycle);
    // Growth is proven by the method's own test, which errs once in a thousand; an interval alone would err in one of
    // twenty metrics.
    let proven = [base, other].iter().any(|growth| growth.trend == Trend::Growing);
    let beyond = change > WIDER * down || -change > WIDER * up;
    GrowthChange {
        metric: base.metric,
        base: base.per_cycle,
        other: other.per_cycle,
        low: change - down,
        high: change + up,
        changed: proven && beyond,
    }
}

/// What changed, in plain words: the metric that tells most, with the others named.
pub(super) fn changes(growth: &[GrowthChange]) -> Option<Change> {
    let mut changed = growth.iter().filter(|change| change.changed);
    let first = changed.next()?;
    let also: Vec<&str> = changed.map(|change| words::name(change.metric)).collect();
    let also = if also.is_empty() { String::new() } else { format!(" (also: {})", also.join(", ")) };
    Some(Change {
        kind: ChangeKind::Growth,
        worse: Some(first.other > first.base),
        text: format!(
            "{} by {} instead of {}{also}",
            words::grows(first.metric),
            words::rate(first.metric, first.other),
            words::rate(first.metric, first.base),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::Unit;

    fn growth(per_cycle: f64, half: f64, trend: Trend) -> Growth {
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

    #[test]
    fn only_what_is_proven_and_beyond_its_noise_is_a_change() {
        let none = growth(0.0, 0.0, Trend::Flat);
        let leak = growth(32.0, 0.0, Trend::Growing);
        let change = difference(&none, &leak);
        assert!(change.changed && change.low == 32.0 && change.high == 32.0);
        assert!(difference(&leak, &none).changed);
        assert!(!difference(&leak, &leak).changed);
        // Far apart, and neither of them proven to grow.
        assert!(!difference(&growth(0.0, 1.0, Trend::Flat), &growth(9.0, 1.0, Trend::Unclear)).changed);
        // Proven, and not told apart.
        assert!(!difference(&growth(30.0, 3.0, Trend::Growing), &growth(35.0, 3.0, Trend::Growing)).changed);
        let text = changes(&[change]).unwrap();
        assert_eq!(text.text, "heap grows by 32 B/cycle instead of 0 B/cycle");
        assert_eq!(text.worse, Some(true));
    }
}
