//! Tells what the load leaks from what the call leaks, by the same library soaked with and without its calls.

use super::{Look, Policy, looked, words};
use dlsoak_record::{Growth, Metric, Soak, Trend};

/// Rates that differ by no more than this part of the greater soak's are called the same.
const SAME: f64 = 0.1;

fn is_same(without: f64, with: f64) -> bool {
    (without - with).abs() <= SAME * with.abs()
}

/// Whether a soak without its calls, which is under way, leaks for certain, and as much per cycle as was found with them.
/// `look_index` as in [`super::look`].
pub fn is_all_of_it(alone: &Soak, metric: Metric, with: f64, policy: &Policy, look_index: u32) -> bool {
    let (look, growth) = looked(alone, policy, look_index);
    let is_it = |growth: &Growth| {
        growth.metric == metric && growth.trend == Trend::Growing && is_same(growth.per_cycle, with)
    };
    look == Look::Leak && growth.iter().any(is_it)
}

/// Says, in one line, what part of the growth of `soak` is left when the calls are left out, as `alone` was.
///
/// Compared is the metric that the leak is stated in; the heap where none is proven.
pub fn shares(soak: &Soak, alone: &Soak) -> String {
    let metric = soak.leak.as_ref().map_or(Metric::Heap, |leak| leak.metric);
    let of = |soak: &Soak| soak.growth.iter().find(|g| g.metric == metric).cloned();
    let (Some(with), Some(without)) = (of(soak), of(alone)) else {
        return "a short soak without the call could not be compared".to_owned();
    };
    let name = words::name(metric);
    let rate = |bytes: f64| words::rate(metric, bytes);
    let total = with.per_cycle;
    match without.trend {
        Trend::Growing if is_same(without.per_cycle, total) => {
            format!(
                "the load leaks, not the call: without the call {name} grows by {} too",
                rate(without.per_cycle)
            )
        }
        Trend::Growing => format!(
            "without the call {name} grows by {}: that is the load's share, the call's is {}",
            rate(without.per_cycle),
            rate(total - without.per_cycle)
        ),
        Trend::Flat if soak.leak.is_some() => {
            format!(
                "the call leaks, not the load: without the call {name} does not grow (at most {})",
                rate(without.high)
            )
        }
        Trend::Flat => format!("without the call {name} does not grow (at most {})", rate(without.high)),
        // Nothing is excluded: the bounds are the largest numbers there are.
        Trend::Decaying | Trend::Unclear if without.high >= f64::MAX => {
            format!(
                "a short soak without the call is undecided: too few checkpoints to say how {name} grows there"
            )
        }
        Trend::Decaying | Trend::Unclear => format!(
            "a short soak without the call is undecided: {name} grows by {} there, between {} and {}",
            rate(without.per_cycle),
            rate(without.low),
            rate(without.high)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::{Growth, Leak, Unit};

    fn soak(per_cycle: f64, trend: Trend, leaks: bool) -> Soak {
        let leak = leaks.then_some(Leak {
            metric: Metric::Heap,
            bytes_per_cycle: per_cycle,
            low: per_cycle,
            high: per_cycle,
            mb_per_second: 1.0,
            bytes_per_load: None,
        });
        let growth = Growth {
            metric: Metric::Heap,
            unit: Unit::Bytes,
            per_cycle,
            low: per_cycle,
            high: per_cycle,
            per_second: 0.0,
            per_load: None,
            detectable: 0.1,
            trend,
            exact: true,
            fit: None,
        };
        Soak { growth: vec![growth], leak, ..Soak::default() }
    }

    #[test]
    fn the_share_of_the_load_is_told_from_that_of_the_call() {
        let with = soak(112.0, Trend::Growing, true);
        assert!(shares(&with, &soak(0.0, Trend::Flat, false)).starts_with("the call leaks, not the load"));
        assert!(
            shares(&with, &soak(111.0, Trend::Growing, true)).starts_with("the load leaks, not the call")
        );
        assert!(shares(&with, &soak(32.0, Trend::Growing, true)).contains("the call's is 80 B/cycle"));
        assert!(shares(&with, &soak(3.0, Trend::Unclear, false)).contains("undecided"));
        let mut unbounded = soak(0.0, Trend::Unclear, false);
        (unbounded.growth[0].low, unbounded.growth[0].high) = (f64::MIN, f64::MAX);
        assert!(shares(&with, &unbounded).ends_with("too few checkpoints to say how heap grows there"));
        let none = Soak { growth: Vec::new(), ..with.clone() };
        assert!(shares(&with, &none).contains("could not be compared"));
    }
}
