//! Which of several libraries that were soaked in one process grow something.

use dlsoak_record::why::{CrashCause, FaultPlace};
use dlsoak_record::{Measured, Member, Metric, Outcome, Part, Why};

/// A library with less than this part of the growth is not named.
const LEAST: f64 = 0.1;
/// What all libraries together may differ from the growth by, as a part of it: in the cycles that it was measured in, and in others.
const SAME: f64 = 0.1;
const ALIKE: f64 = 0.5;

/// The libraries that grow a metric, which grows by this much per cycle: those that grow most first. None where they don't add up to that.
pub(super) fn growers(soak: &Measured, metric: Metric, per_cycle: f64) -> Vec<Part> {
    let in_cycles = |member: &Member| member.heap_per_cycle.filter(|_| metric == Metric::Heap);
    let in_visits = |member: &Member| {
        let grows = member.grows.iter().find(|grows| grows.metric == metric);
        grows.map(|grows| grows.per_cycle)
    };
    // The loader's lists show as growth of one library and as the opposite of another, so those in the cycles don't always add up.
    let named = parts(soak, per_cycle, SAME, in_cycles);
    if named.is_empty() { parts(soak, per_cycle, ALIKE, in_visits) } else { named }
}

fn parts(
    soak: &Measured,
    per_cycle: f64,
    tolerance: f64,
    rate: impl Fn(&Member) -> Option<f64>,
) -> Vec<Part> {
    let of = |member: &Member| Some(Part { object: member.name().to_owned(), per_cycle: rate(member)? });
    let mut parts: Vec<Part> =
        soak.together.iter().filter_map(of).filter(|part| part.per_cycle > 0.0).collect();
    let sum: f64 = parts.iter().map(|part| part.per_cycle).sum();
    if (sum - per_cycle).abs() > tolerance * per_cycle {
        return Vec::new();
    }
    parts.retain(|part| part.per_cycle >= LEAST * per_cycle);
    parts.sort_by(|a, b| b.per_cycle.total_cmp(&a.per_cycle));
    parts
}

/// Of a soak of several libraries that ended early: the one that what is gone belonged to, or else the one that was being opened, called
/// or closed.
pub(super) fn at_fault(outcome: &Outcome) -> Option<String> {
    let library = outcome.library.as_ref()?;
    let cause = match &outcome.why {
        Some(Why::Crash(crash)) => Some(&crash.cause),
        _ => None,
    };
    let place = outcome.fault.as_ref().and_then(|fault| fault.place.as_ref());
    let gone = match (cause, place) {
        (Some(CrashCause::StalePointer(pointer)), _) => Some(&pointer.target.object),
        (Some(CrashCause::UnloadedCode { object, .. }), _)
        | (_, Some(FaultPlace::Unloaded { object, .. })) => Some(object),
        _ => None,
    };
    Some(gone.unwrap_or(library).clone())
}

/// The only one of them.
pub(super) fn sole(parts: &[Part]) -> Option<String> {
    match parts {
        [one] => Some(one.object.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use dlsoak_record::{Language, MetricRate, UnloadState};

    use super::*;

    #[test]
    fn who_has_a_tenth_of_the_growth_is_named() {
        let member = |name: &str, heap: Option<f64>, rates: &[(Metric, f64)]| Member {
            heap_per_cycle: heap,
            path: format!("/l/{name}"),
            build_id: None,
            language: Language::Unknown,
            state: UnloadState::Unloaded,
            loads_per_cycle: None,
            unloads_per_cycle: None,
            grows: rates
                .iter()
                .map(|(metric, per_cycle)| MetricRate { metric: *metric, per_cycle: *per_cycle })
                .collect(),
        };
        let soak = |all: [Member; 3]| Measured { together: all.to_vec(), ..Measured::default() };
        let names = |soak: &Measured, metric, rate| -> Vec<String> {
            growers(soak, metric, rate).into_iter().map(|part| part.object).collect()
        };
        let visits = soak([
            member("a.so", None, &[(Metric::Heap, 2.0)]),
            member("b.so", None, &[(Metric::Heap, 30.0), (Metric::Fds, 1.0)]),
            member("c.so", None, &[]),
        ]);
        assert_eq!(names(&visits, Metric::Heap, 32.0), ["b.so"]);
        assert_eq!(names(&visits, Metric::Heap, 24.0), ["b.so"]);
        assert!(names(&visits, Metric::Heap, 100.0).is_empty(), "they don't explain it");
        assert_eq!(sole(&growers(&visits, Metric::Fds, 1.0)).as_deref(), Some("b.so"));
        assert!(names(&visits, Metric::Threads, 1.0).is_empty() && sole(&[]).is_none());
        // In the cycles themselves, where they add up: a library that leaks in company only.
        let cycles = soak([
            member("a.so", Some(16.0), &[]),
            member("b.so", Some(32.0), &[(Metric::Heap, 32.0)]),
            member("c.so", Some(0.0), &[]),
        ]);
        assert_eq!(names(&cycles, Metric::Heap, 48.0), ["b.so", "a.so"]);
        // The loader's list of 48 B comes with one close and goes with the next.
        let lists = soak([
            member("a.so", Some(48.0), &[]),
            member("b.so", Some(-48.0), &[]),
            member("c.so", Some(32.0), &[(Metric::Heap, 32.0)]),
        ]);
        assert_eq!(names(&lists, Metric::Heap, 32.0), ["c.so"]);
    }
}
