//! Decides whether a metric grows faster or slower than before.

use super::{Change, Changed, GrowthChange};
use dlsoak_record::{Growth, Metric, Soak, Trend};

/// Width of a 99.9 % interval of a normal distribution, relative to a 95 % interval: 3.29 / 1.96.
const WIDER: f64 = 1.68;

/// Each metric that both measured.
pub(super) fn growth(base: &Soak, other: &Soak) -> Vec<GrowthChange> {
    let of =
        |soak: &'_ Soak, metric| soak.judged.growth.iter().find(|growth| growth.metric == metric).cloned();
    Metric::ALL
        .into_iter()
        .filter(|metric| metric.takes_part())
        .filter_map(|metric| Some(difference(&of(base, metric)?, &of(other, metric)?)))
        .collect()
}

/// The difference of two independent estimates, each with its interval.
pub(super) fn difference(base: &Growth, other: &Growth) -> GrowthChange {
    let change = other.per_cycle - base.per_cycle;
    let up = (other.high - other.per_cycle).hypot(base.per_cycle - base.low);
    let down = (other.per_cycle - other.low).hypot(base.high - base.per_cycle);
    // The method's own test proves growth and errs once in a thousand metrics. An interval alone would err in one of twenty.
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

/// The change in the metric that best shows the kind of growth, with the others listed.
pub(super) fn changes(growth: &[GrowthChange]) -> Option<Change> {
    let mut changed = growth.iter().filter(|change| change.changed);
    let first = changed.next()?;
    Some(Change {
        worse: Some(first.other > first.base),
        what: Changed::Growth {
            metric: first.metric,
            before: first.base,
            after: first.other,
            also: changed.map(|change| change.metric).collect(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::growth;

    #[test]
    fn only_what_is_proven_and_beyond_its_noise_is_a_change() {
        let none = growth(0.0, 0.0, Trend::Flat);
        let leak = growth(32.0, 0.0, Trend::Growing);
        let change = difference(&none, &leak);
        assert!(change.changed && change.low == 32.0 && change.high == 32.0);
        assert!(difference(&leak, &none).changed);
        assert!(!difference(&leak, &leak).changed);
        // Far apart, but growth is proven in neither.
        assert!(!difference(&growth(0.0, 1.0, Trend::Flat), &growth(9.0, 1.0, Trend::Unclear)).changed);
        // Proven, but the intervals overlap.
        assert!(!difference(&growth(30.0, 3.0, Trend::Growing), &growth(35.0, 3.0, Trend::Growing)).changed);
        let what = Changed::Growth { metric: Metric::Heap, before: 0.0, after: 32.0, also: Vec::new() };
        assert_eq!(changes(&[change]), Some(Change { worse: Some(true), what }));
    }
}
