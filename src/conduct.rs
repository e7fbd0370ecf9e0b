//! One soak from its plan to its judged record: the soak itself, and the short soak without its calls. The command line and the
//! library's own interface both go through here.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use crate::analysis;
use crate::record::{Agent, OutcomeKind, Run, SCHEMA, Soak, Tool, Verdict, WithoutCall};
use crate::suite::plan::SoakPlan;
use crate::suite::replay::replay;
use crate::supervisor::{self, Context};

/// Most cycles of the short soak that leaves the calls out; not more than the soak itself took.
const WITHOUT_CALL_CYCLES: u64 = 10_000;

/// Soaks one library and judges the measurement. Where the calls may have a share in the result, a short soak without
/// them follows.
pub(crate) fn soak(plan: &SoakPlan, context: &Context<'_>) -> Soak {
    let began = Instant::now();
    let mut soak = judged(plan, context);
    soak.notes.extend(note_on_latencies(&soak));
    let calls = !plan.calls.is_empty() || plan.exercise.is_some();
    if calls
        && matches!(soak.verdict, Verdict::Leak | Verdict::Inconclusive)
        && !context.interrupted.load(Relaxed)
    {
        let leak = soak.leak.as_ref().map(|leak| (leak.metric, leak.bytes_per_cycle));
        let short = SoakPlan {
            // The soak without the calls has the rest of the time.
            allowance: plan.allowance.after(began.elapsed()),
            ..plan.without_calls(soak.cycles.completed.clamp(1, WITHOUT_CALL_CYCLES), leak)
        };
        let alone = judged(&short, context);
        if alone.outcome.kind == OutcomeKind::Completed {
            let position = soak.reasons.len().min(1);
            soak.reasons.insert(position, analysis::shares(&soak, &alone));
            soak.without_call = Some(WithoutCall {
                cycles: alone.cycles.completed,
                verdict: alone.verdict,
                growth: alone.growth,
            });
        }
    }
    soak
}

/// What a reader of the latencies should know.
fn note_on_latencies(soak: &Soak) -> Option<String> {
    // A user who sets the size of the cache gets what was set.
    let uncached = soak.env.get("GLIBC_TUNABLES").is_some_and(|set| set.contains("malloc.tcache_count=0"));
    let timed = soak.latency_ns.cycle.is_some();
    (soak.worker.agent == Agent::Plain && uncached && timed).then(|| {
        "the latencies are those with malloc's thread cache off, so calls that allocate take longer than in a host"
            .to_owned()
    })
}

/// Soaks one library and judges what was measured.
pub(crate) fn judged(plan: &SoakPlan, context: &Context<'_>) -> Soak {
    let mut soak = supervisor::soak(plan, context);
    let cycles = soak.cycles.completed.saturating_add(soak.cycles.warmup);
    soak.replay = replay(plan, &soak.outcome, cycles);
    judge(plan, &mut soak);
    soak
}

/// What was measured so far of a soak that is under way, judged; it stands for the soak where the run is cut short.
pub(crate) fn so_far(plan: &SoakPlan, measured: &Soak) -> Soak {
    let mut soak = measured.clone();
    soak.outcome.kind = OutcomeKind::Interrupted;
    soak.outcome.detail =
        Some("the run was cut short; this is what was measured up to a checkpoint".to_owned());
    judge(plan, &mut soak);
    soak
}

/// Fills in what the analysis makes of what was measured.
fn judge(plan: &SoakPlan, soak: &mut Soak) {
    let judgement = analysis::judge(soak, &plan.limits);
    soak.growth = judgement.growth;
    soak.leak = judgement.leak;
    soak.verdict = judgement.verdict;
    soak.reasons = judgement.reasons;
    soak.gate = judgement.gate;
}

/// The record of a run that begins now, without a soak. What runs before it have left behind is cleaned away.
pub(crate) fn begin(now: jiff::Timestamp) -> Run {
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
