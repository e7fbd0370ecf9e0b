//! `--patterns all`: a short soak of each calling pattern, since what a library leaves depends on which thread calls it.

use std::sync::atomic::Ordering::Relaxed;

use crate::record::{CallFrom, Metric, OutcomeKind, Pattern, Soak};
use crate::suite::plan::SoakPlan;
use crate::supervisor::Context;

/// Cycles of each short soak: fewer than the 1,024 thread keys of a process would hide the most common difference.
const CYCLES: u64 = 2_000;

/// Soaks each pattern shortly.
pub(super) fn all(plan: &SoakPlan, context: &Context<'_>) -> Vec<Pattern> {
    let left = CallFrom::ALL.into_iter().take_while(|_| !context.interrupted.load(Relaxed));
    left.map(|call_from| pattern(&crate::conduct::judged(&plan.called_from(call_from, CYCLES), context)))
        .collect()
}

/// What of a short soak is worth comparing.
fn pattern(soak: &Soak) -> Pattern {
    let heap = soak.growth.iter().find(|growth| growth.metric == Metric::Heap);
    Pattern {
        call_from: soak.call_from,
        cycles: soak.cycles.completed,
        end: soak.outcome.kind,
        detail: soak.outcome.detail.clone().filter(|_| soak.outcome.kind != OutcomeKind::Completed),
        state: soak.unload.state,
        loads_per_cycle: soak.unload.loads_per_cycle,
        heap_per_cycle: heap.map(|growth| growth.per_cycle),
        cycle_p50_ns: soak.latency_ns.cycle.as_ref().map(|latency| latency.p50),
        verdict: soak.verdict,
    }
}

/// Where the patterns differ, in plain words; `None` where all come to the same.
pub(super) fn difference(patterns: &[Pattern]) -> Option<String> {
    let first = patterns.first()?;
    let same =
        |other: &Pattern| (other.end, other.state, other.verdict) == (first.end, first.state, first.verdict);
    if patterns.iter().all(same) {
        return None;
    }
    let each: Vec<String> = patterns
        .iter()
        .map(|pattern| format!("{} when called from {}", word(pattern), pattern.call_from.name()))
        .collect();
    Some(format!("it depends on the thread that calls: {}", each.join(", ")))
}

/// The verdict, as the record spells it.
fn word(pattern: &Pattern) -> &'static str {
    crate::report::summary::verdict_word(pattern.verdict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{UnloadState, Verdict};

    #[test]
    fn only_a_difference_is_told() {
        let of = |call_from, state, verdict| Pattern {
            call_from,
            cycles: 10,
            end: OutcomeKind::Completed,
            detail: None,
            state,
            loads_per_cycle: 1.0,
            heap_per_cycle: None,
            cycle_p50_ns: None,
            verdict,
        };
        let main = of(CallFrom::Main, UnloadState::Pinned, Verdict::Pinned);
        let worker = of(CallFrom::Worker, UnloadState::Pinned, Verdict::Pinned);
        let short = of(CallFrom::ShortLived, UnloadState::Unloaded, Verdict::Clean);
        assert_eq!(difference(&[main.clone(), worker.clone()]), None);
        assert_eq!(
            difference(&[main, worker, short]).unwrap(),
            "it depends on the thread that calls: pinned when called from main, pinned when called from worker, clean \
             when called from short-lived"
        );
        assert_eq!(difference(&[]), None);
    }
}
