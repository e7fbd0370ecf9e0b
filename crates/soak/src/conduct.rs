//! One soak from its plan to its judged record: the soak itself, and the short soak without its calls. The command line and the
//! library's own interface both go through here.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use crate::analysis;
use crate::record::{Measured, OutcomeKind, Run, SCHEMA, Soak, Tool, Verdict, Why};
use crate::suite::plan::SoakPlan;
use crate::suite::replay::replay;
use crate::supervisor::{self, Context};

/// Most cycles of the short soak that leaves the calls out; not more than the soak itself took.
const WITHOUT_CALL_CYCLES: u64 = 10_000;

/// Soaks one library and judges the measurement. Where the calls may have a share in the result, a short soak without
/// them follows.
pub fn soak(plan: &SoakPlan, context: &Context<'_>) -> Soak {
    let began = Instant::now();
    let soak = judged(plan, context);
    let calls = !plan.calls.is_empty() || plan.exercise.is_some();
    let verdict = soak.judged.verdict;
    if !calls
        || !matches!(verdict, Verdict::Leak | Verdict::Inconclusive)
        || context.interrupted.load(Relaxed)
    {
        return soak;
    }
    let leak = soak.judged.leak.as_ref().map(|leak| (leak.metric, leak.bytes_per_cycle));
    let short = SoakPlan {
        // The soak without the calls has the rest of the time.
        allowance: plan.allowance.after(began.elapsed()),
        ..plan.without_calls(soak.cycles.completed.clamp(1, WITHOUT_CALL_CYCLES), leak)
    };
    let alone = measured(&short, context);
    if alone.outcome.kind != OutcomeKind::Completed {
        return soak;
    }
    analysis::judged(Measured { without_calls: Some(Box::new(alone)), ..soak.measured })
}

/// Soaks one library.
pub fn measured(plan: &SoakPlan, context: &Context<'_>) -> Measured {
    let mut soak = supervisor::soak(plan, context);
    let cycles = soak.cycles.completed.saturating_add(soak.cycles.warmup);
    soak.replay = replay(plan, &soak.outcome, cycles);
    soak
}

/// Soaks one library and judges what was measured.
pub fn judged(plan: &SoakPlan, context: &Context<'_>) -> Soak {
    analysis::judged(measured(plan, context))
}

/// What was measured so far of a soak that is under way, judged; it stands for the soak where the run is cut short.
pub fn so_far(measured: &Measured) -> Soak {
    let mut soak = measured.clone();
    soak.outcome.kind = OutcomeKind::Interrupted;
    soak.outcome.why = Some(Why::CutShort);
    analysis::judged(soak)
}

/// The record of a run that begins now, without a soak. What runs before it have left behind is cleaned away.
pub fn begin(now: jiff::Timestamp) -> Run {
    supervisor::clean_private();
    Run {
        schema: SCHEMA.to_owned(),
        tool: Tool { version: env!("CARGO_PKG_VERSION").to_owned() },
        started_at: now.to_string(),
        passed: false,
        host: supervisor::host(),
        partition: None,
        soaks: Vec::new(),
    }
}
