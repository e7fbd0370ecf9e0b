//! Distinguishes what loading leaks from what calling leaks, by the same library soaked with and without its calls.

use dlsoak_record::{Growth, Leak, Limits, Measured, Metric, Share, Sharer, Trend};

use super::growth::Evidence;
use super::{Look, looked, verdict};

/// Rates that differ by no more than this part of the greater soak's count as the same.
const SAME: f64 = 0.1;

fn is_same(without: f64, with: f64) -> bool {
    (without - with).abs() <= SAME * with.abs()
}

/// Whether a soak without its calls, which is under way, leaks for certain, and as much per cycle as was found with them.
/// `lost`: with the calls, nothing points to what leaks, so no cache holds it here either. `look_index` as in [`super::look`].
pub fn is_all_of_it(
    alone: &Measured,
    (metric, with): (Metric, f64),
    lost: bool,
    limits: &Limits,
    look_index: u32,
) -> bool {
    let (look, evidence) = looked(alone, limits, look_index);
    let is_it = |Evidence { growth, .. }: &Evidence| {
        growth.metric == metric && growth.trend == Trend::Growing && is_same(growth.per_cycle, with)
    };
    (look == Look::Leak || lost && look == Look::LeakOrCache) && evidence.iter().any(is_it)
}

/// What part of `growth` is left when the calls are left out, as in `alone`; `None` where the two can't be compared.
///
/// Compared is the metric that the leak is stated in, or the heap where none is proven.
pub(super) fn shares(
    growth: &[Growth],
    leak: Option<&Leak>,
    alone: &Measured,
    limits: &Limits,
) -> Option<Share> {
    share(growth, leak, &verdict::judge(alone, limits).growth)
}

fn share(with: &[Growth], leak: Option<&Leak>, without: &[Growth]) -> Option<Share> {
    let metric = leak.map_or(Metric::Heap, |leak| leak.metric);
    let of = |growth: &[Growth]| growth.iter().find(|g| g.metric == metric).cloned();
    let (with, without) = (of(with)?, of(without)?);
    let by = match without.trend {
        Trend::Growing if is_same(without.per_cycle, with.per_cycle) => Sharer::Load,
        Trend::Growing => Sharer::Both,
        Trend::Flat => Sharer::Call,
        Trend::Decaying | Trend::Unclear => Sharer::Undecided,
    };
    let bound = |value: f64| (value.abs() < verdict::UNBOUNDED).then_some(value);
    Some(Share {
        by,
        proven: leak.is_some(),
        metric,
        with: with.per_cycle,
        without: without.per_cycle,
        low: bound(without.low),
        high: bound(without.high),
        instances: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    fn growth(per_cycle: f64, trend: Trend) -> Vec<Growth> {
        vec![Growth { detectable: 0.1, ..synthetic::growth(per_cycle, 0.0, trend) }]
    }

    #[test]
    fn the_share_of_the_load_is_distinguished_from_that_of_the_call() {
        let with = growth(112.0, Trend::Growing);
        let by = |without: &[Growth]| share(&with, None, without).map(|share| share.by);
        assert_eq!(by(&growth(0.0, Trend::Flat)), Some(Sharer::Call));
        assert_eq!(by(&growth(111.0, Trend::Growing)), Some(Sharer::Load));
        assert_eq!(by(&growth(32.0, Trend::Growing)), Some(Sharer::Both));
        assert_eq!(by(&growth(3.0, Trend::Unclear)), Some(Sharer::Undecided));
        let mut unbounded = growth(0.0, Trend::Unclear);
        (unbounded[0].low, unbounded[0].high) = (f64::MIN, f64::MAX);
        assert_eq!(share(&with, None, &unbounded).map(|share| (share.low, share.high)), Some((None, None)));
        assert_eq!(by(&[]), None);
    }
}
