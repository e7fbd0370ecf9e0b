//! From the evidence on each metric, how the soak ended and what was unloaded, to one verdict and the gate's rules.

use super::growth::{
    Bounds, CLEAN_BELOW, COUNT_CLEAN_BELOW, Errors, Evidence, Finding, LEAK_ABOVE, evidence, is_memory,
};
use super::series::Exposure;
use super::{Judgement, Policy};
use crate::record::{Gate, Leak, Metric, OutcomeKind, Rule, Soak, UnloadState, Verdict};

/// Judges a soak; see [`super::judge`].
pub(super) fn judge(soak: &Soak, policy: &Policy) -> Judgement {
    let exposure = Exposure::of(soak);
    let evidence = evidence(soak, &exposure, Errors::at_the_end(), bounds(soak, policy));
    let leak = leak(&evidence, soak);
    let residue: Vec<_> =
        soak.residue.iter().filter(|found| !policy.allow_residue.contains(&found.kind)).collect();
    let found = |finding| evidence.iter().any(|e| decides(e) && e.finding == finding);
    let undecided =
        evidence.is_empty() || found(Finding::Undecided) || found(Finding::Late) || found(Finding::Fading);
    let pinned = soak.unload.state != UnloadState::Unloaded;

    let verdict = match soak.outcome.kind {
        OutcomeKind::Crashed => Verdict::Crashed,
        OutcomeKind::Hung => Verdict::Hung,
        OutcomeKind::Exited => Verdict::Exited,
        OutcomeKind::Limit => Verdict::Limit,
        OutcomeKind::LoadFailed => Verdict::LoadFailed,
        OutcomeKind::Completed | OutcomeKind::Interrupted if found(Finding::Leak) => Verdict::Leak,
        _ if !residue.is_empty() => Verdict::Residue,
        _ if pinned && (policy.allow_pinned.is_none() || !undecided) => Verdict::Pinned,
        _ if undecided => Verdict::Inconclusive,
        _ => Verdict::Clean,
    };
    let passed = match verdict {
        Verdict::Clean => Some(true),
        Verdict::Pinned => Some(policy.allow_pinned.is_some()),
        Verdict::Inconclusive => None,
        _ => Some(false),
    };
    let reasons = evidence
        .iter()
        .filter(|e| decides(e) && e.finding != Finding::Clean)
        .map(|e| format!("{:?}: {:?} {:?}", e.growth.metric, e.finding, e.rates))
        .collect();
    let rules = vec![Rule {
        name: "max-leak-rate".to_owned(),
        limit: policy.max_leak_rate.as_ref().map_or_else(|| "default".to_owned(), ToString::to_string),
        measured: String::new(),
        passed,
        detail: None,
    }];
    let growth = evidence.into_iter().map(|e| e.growth).collect();
    Judgement { growth, leak, verdict, reasons, gate: Gate { passed, rules } }
}

/// The bounds on each metric, per cycle.
pub(super) fn bounds(soak: &Soak, policy: &Policy) -> impl Fn(Metric) -> Bounds {
    let seconds = if soak.cycles.completed > 0 { soak.seconds / soak.cycles.completed as f64 } else { 0.0 };
    let rate = policy.max_leak_rate.as_ref().map(|limit| limit.bytes_per_cycle(seconds));
    let counts = policy.max_growth.clone();
    move |metric| {
        if is_memory(metric) {
            Bounds { leak_above: rate.unwrap_or(LEAK_ABOVE), clean_below: rate.unwrap_or(CLEAN_BELOW) }
        } else {
            let limit = counts.per_cycle(metric).unwrap_or(0.0);
            Bounds { leak_above: limit, clean_below: limit.max(COUNT_CLEAN_BELOW) }
        }
    }
}

/// Whether the metric takes part in the verdict. The proportional set size does not: it moves when other processes
/// come and go.
pub(super) fn decides(evidence: &Evidence) -> bool {
    evidence.growth.metric != Metric::Pss
}

/// The leak in the metric that tells most about its kind.
fn leak(evidence: &[Evidence], soak: &Soak) -> Option<Leak> {
    const ORDER: [Metric; 6] =
        [Metric::Heap, Metric::Anon, Metric::PrivateDirty, Metric::Rss, Metric::PageTables, Metric::Virtual];
    let proven = |metric| evidence.iter().find(|e| e.growth.metric == metric && e.finding == Finding::Leak);
    let growth = &ORDER.into_iter().find_map(proven)?.growth;
    let seconds = if soak.cycles.completed > 0 { soak.seconds / soak.cycles.completed as f64 } else { 0.0 };
    Some(Leak {
        metric: growth.metric,
        bytes_per_cycle: growth.per_cycle,
        low: growth.low,
        high: growth.high,
        mb_per_second: if seconds > 0.0 { growth.per_cycle / seconds / 1e6 } else { 0.0 },
        bytes_per_load: growth.per_load,
    })
}
