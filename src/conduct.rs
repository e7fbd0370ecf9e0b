//! One soak from its plan to its judged record: the soak itself, the pass that times it, and the short soak without its
//! calls. The command line and the library's own interface both go through here.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use crate::analysis;
use crate::record::{OutcomeKind, Run, SCHEMA, Soak, Tool, Verdict, WithoutCall};
use crate::suite::plan::SoakPlan;
use crate::suite::replay::replay;
use crate::supervisor::{self, Context};

/// Most cycles of the short soak that leaves the calls out; not more than the soak itself took.
const WITHOUT_CALL_CYCLES: u64 = 10_000;

/// Most cycles of the pass that times latencies: enough for the 99.999th percentile to have a sample.
const LATENCY_CYCLES: u64 = 100_000;

/// Soaks one library and judges what was measured. Then times it as hosts run it, and where the calls may have a
/// share in what was found, soaks it shortly without them.
pub(crate) fn soak(plan: &SoakPlan, context: &Context<'_>) -> Soak {
    let began = Instant::now();
    let mut soak = judged(plan, context);
    // What is left of its time is for all that follows.
    let left = |began: Instant| plan.allowance.after(began.elapsed());
    time(&SoakPlan { allowance: left(began), ..plan.clone() }, context, &mut soak);
    let calls = !plan.calls.is_empty() || plan.exercise.is_some();
    if calls
        && matches!(soak.verdict, Verdict::Leak | Verdict::Inconclusive)
        && !context.interrupted.load(Relaxed)
    {
        let leak = soak.leak.as_ref().map(|leak| (leak.metric, leak.bytes_per_cycle));
        let short = SoakPlan {
            allowance: left(began),
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

/// Times the latencies in a pass of their own, with malloc's thread cache on. Without the cache heap counts are
/// exact, but a call that allocates much takes up to three times as long as in a host.
fn time(plan: &SoakPlan, context: &Context<'_>, soak: &mut Soak) {
    let cycles = soak.cycles.completed.min(LATENCY_CYCLES);
    let whole = soak.outcome.kind == OutcomeKind::Completed && !context.interrupted.load(Relaxed);
    if plan.keep_tcache || !whole || cycles < u64::from(plan.threads) {
        return;
    }
    if plan.until_decided && plan.limits.max_p99_increase.is_none() {
        soak.notes.push(
            "latencies are those with malloc's thread cache off: --until-decided makes no pass for them"
                .to_owned(),
        );
        return;
    }
    let timed = supervisor::soak(&plan.for_latencies(cycles), context);
    if timed.outcome.kind == OutcomeKind::Completed && timed.cycles.completed == cycles {
        soak.latency_ns = timed.latency_ns;
        soak.latency_tcache = timed.latency_tcache;
        soak.warmup_latency_ns = timed.warmup_latency_ns;
        soak.latency_over_time = timed.latency_over_time;
        soak.notes.push(
            "latencies were timed in a pass of their own, with malloc's thread cache on as in any host"
                .to_owned(),
        );
    } else if timed.outcome.kind != OutcomeKind::Interrupted {
        let detail = timed.outcome.detail.unwrap_or_else(|| "it did not complete".to_owned());
        soak.notes.push(format!(
            "latencies are those with malloc's thread cache off; the pass with it on failed: {detail}"
        ));
    }
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
