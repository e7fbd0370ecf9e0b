//! From the evidence on each metric, how the soak ended and what was unloaded, to one verdict with its reasons.

use super::gate;
use super::growth::{
    Bounds, CLEAN_BELOW, COUNT_CLEAN_BELOW, Errors, Evidence, Finding, LEAK_ABOVE, evidence, is_memory,
};
use super::series::Exposure;
use super::words;
use super::{Judgement, Policy};
use dlsoak_record::ResidueKind as Kind;
use dlsoak_record::{Leak, Metric, OutcomeKind, Residue, Soak, Trend, UnloadState, Verdict};

/// Judges a soak; see [`super::judge`].
pub(super) fn judge(soak: &Soak, policy: &Policy) -> Judgement {
    let exposure = Exposure::of(soak);
    let evidence = evidence(soak, &exposure, Errors::at_the_end(), bounds(soak, policy));
    let leak = leak(&evidence, seconds_per_cycle(soak));
    let residue: Vec<&Residue> = soak
        .residue
        .iter()
        .filter(|found| !policy.allow_residue.contains(&found.kind) && !is_counted(found, &evidence))
        .collect();
    let pinned = soak.unload.state == UnloadState::Pinned;
    let undecided = is_undecided(&evidence) || is_heap_unseen(soak);

    let verdict = match soak.outcome.kind {
        OutcomeKind::Crashed => Verdict::Crashed,
        OutcomeKind::Hung => Verdict::Hung,
        OutcomeKind::Exited => Verdict::Exited,
        OutcomeKind::Limit => Verdict::Limit,
        OutcomeKind::LoadFailed => Verdict::LoadFailed,
        OutcomeKind::Completed | OutcomeKind::Interrupted if has(&evidence, Finding::Leak) => Verdict::Leak,
        OutcomeKind::Completed | OutcomeKind::Interrupted if !residue.is_empty() => Verdict::Residue,
        OutcomeKind::Completed | OutcomeKind::Interrupted
            if pinned && (policy.allow_pinned.is_none() || !undecided) =>
        {
            Verdict::Pinned
        }
        OutcomeKind::Completed | OutcomeKind::Interrupted if undecided => Verdict::Inconclusive,
        OutcomeKind::Completed | OutcomeKind::Interrupted => Verdict::Clean,
    };
    let reasons = reasons(soak, policy, &evidence, leak.as_ref(), &residue, verdict);
    let gate = gate::gate(soak, policy, &evidence, leak.as_ref(), &residue, verdict);
    let growth = evidence.into_iter().map(|e| e.growth).collect();
    Judgement { growth, leak, verdict, reasons, gate }
}

/// Whether nothing could tell the heap, so that no one can say that it does not grow.
fn is_heap_unseen(soak: &Soak) -> bool {
    let columns = &soak.checkpoints.columns;
    !columns.is_empty() && !columns.iter().any(|column| column == Metric::Heap.name())
}

/// The metric that counts what a kind of residue is about.
fn metric_of(found: &Residue) -> Option<Metric> {
    match found.kind.parse().ok()? {
        Kind::Threads => Some(Metric::Threads),
        Kind::Fds => Some(Metric::Fds),
        Kind::Mappings => Some(Metric::Mappings),
        Kind::Allocator => Some(Metric::Virtual),
        _ => None,
    }
}

/// Whether residue that grows is what a metric was judged by already: as a leak, or as growth that a limit allows.
fn is_counted(found: &Residue, evidence: &[Evidence]) -> bool {
    let (Some(metric), Some(rate)) = (metric_of(found), found.per_cycle) else { return false };
    let of_metric = evidence.iter().find(|e| e.growth.metric == metric);
    of_metric.is_some_and(|e| match e.finding {
        Finding::Leak => true,
        Finding::Clean => rate <= e.bounds.leak_above,
        Finding::Undecided | Finding::Late | Finding::Fading => false,
    })
}

/// Active time of a cycle in seconds; 0 where it is not known.
pub(super) fn seconds_per_cycle(soak: &Soak) -> f64 {
    let seconds = soak.seconds / soak.cycles.completed as f64;
    if seconds.is_finite() && seconds > 0.0 { seconds } else { 0.0 }
}

/// The bounds on each metric, per cycle.
pub(super) fn bounds(soak: &Soak, policy: &Policy) -> impl Fn(Metric) -> Bounds {
    let rate = policy.max_leak_rate.as_ref().map(|limit| limit.bytes_per_cycle(seconds_per_cycle(soak)));
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
/// come and go. Nor does private dirty memory: pages of files that were written just now count as dirty, and turn
/// from shared to private when another process that maps them ends. What a library leaks there is in `anon` or, for
/// shared mappings, in `rss` too.
pub(super) fn decides(evidence: &Evidence) -> bool {
    takes_part(evidence.growth.metric)
}

/// See [`decides`].
pub(super) fn takes_part(metric: Metric) -> bool {
    !matches!(metric, Metric::Pss | Metric::PrivateDirty)
}

/// Whether a metric that decides has that finding.
pub(super) fn has(evidence: &[Evidence], finding: Finding) -> bool {
    evidence.iter().any(|e| decides(e) && e.finding == finding)
}

/// Whether any metric that decides is neither clean nor a leak, or nothing was measured.
pub(super) fn is_undecided(evidence: &[Evidence]) -> bool {
    evidence.is_empty()
        || [Finding::Undecided, Finding::Late, Finding::Fading]
            .into_iter()
            .any(|finding| has(evidence, finding))
}

/// The leak in the metric that tells most about its kind: the narrowest that accounts for at least half of what
/// the next wider one grows by.
fn leak(evidence: &[Evidence], seconds_per_cycle: f64) -> Option<Leak> {
    let proven = |metric| evidence.iter().find(|e| e.growth.metric == metric && e.finding == Finding::Leak);
    let resident = [Metric::Heap, Metric::Anon, Metric::Rss].map(proven);
    let resident: Vec<&Evidence> = resident.into_iter().flatten().collect();
    let most = resident.iter().map(|e| e.growth.per_cycle).fold(0.0, f64::max);
    let stated = resident.into_iter().find(|e| e.growth.per_cycle >= most / 2.0);
    let growth = &stated.or_else(|| proven(Metric::PageTables)).or_else(|| proven(Metric::Virtual))?.growth;
    let per_second = if seconds_per_cycle > 0.0 { growth.per_cycle / seconds_per_cycle } else { 0.0 };
    Some(Leak {
        metric: growth.metric,
        bytes_per_cycle: growth.per_cycle,
        low: growth.low,
        high: growth.high,
        mb_per_second: per_second / 1e6,
        bytes_per_load: growth.per_load,
    })
}

/// Why, most important first.
fn reasons(
    soak: &Soak,
    policy: &Policy,
    evidence: &[Evidence],
    leak: Option<&Leak>,
    residue: &[&Residue],
    verdict: Verdict,
) -> Vec<String> {
    let mut reasons = Vec::new();
    let cycles = soak.cycles.completed;
    match soak.outcome.kind {
        OutcomeKind::Completed => {}
        OutcomeKind::Interrupted => {
            reasons.push(format!("interrupted after {} cycles; judged by those", words::count(cycles)));
        }
        _ => reasons.extend(soak.outcome.detail.clone()),
    }
    if let Some(leak) = leak {
        reasons.extend(leak_reasons(evidence, leak, cycles));
    }
    for e in evidence.iter().filter(|e| !is_memory(e.growth.metric) && e.finding == Finding::Leak) {
        let what = soak.residue.iter().find(|found| metric_of(found) == Some(e.growth.metric));
        let what = what.map_or_else(String::new, |found| format!(": {}", found.detail));
        reasons.push(format!("{} by {}{what}", words::grows(e.growth.metric), words::interval(e)));
    }
    for found in residue {
        reasons.push(format!("left behind: {}: {}", found.kind, found.detail));
    }
    match soak.unload.state {
        UnloadState::Unloaded => {}
        UnloadState::Partial => reasons.push(format!(
            "the library was unloaded each cycle, but what it brought stays: {}",
            soak.unload.objects_left.join(", ")
        )),
        UnloadState::Pinned => {
            let causes: Vec<&str> = soak.unload.causes.iter().map(|cause| cause.detail.as_str()).collect();
            let causes = if causes.is_empty() { "cause unknown".to_owned() } else { causes.join("; ") };
            reasons.push(format!("it is not unloaded: {causes}"));
            reasons.extend(policy.allow_pinned.iter().map(|why| format!("being pinned is allowed: {why}")));
        }
    }
    if verdict != Verdict::Leak {
        let undecided: Vec<&Evidence> = evidence
            .iter()
            .filter(|e| decides(e) && !matches!(e.finding, Finding::Leak | Finding::Clean))
            .collect();
        reasons.extend(words::all_undecided(&undecided));
        if is_heap_unseen(soak) {
            reasons.push(
                "dlsoak cannot measure the heap here, because the library uses a C library of its own (dlmopen); a leak \
                 that stays within pages already mapped would go unnoticed"
                    .to_owned(),
            );
        }
        if evidence.is_empty() && soak.outcome.kind == OutcomeKind::Completed {
            reasons.push("nothing was measured: there is no checkpoint".to_owned());
        }
    }
    let passing =
        |e: &&Evidence| e.finding == Finding::Clean && e.growth.trend == Trend::Growing && decides(e);
    for e in evidence.iter().filter(passing) {
        let metric = e.growth.metric;
        reasons.push(format!(
            "{} by {}, below the limit of {}",
            words::grows(metric),
            words::interval(e),
            words::rate(metric, e.bounds.leak_above)
        ));
    }
    if verdict == Verdict::Clean {
        let memory = |e: &&Evidence| is_memory(e.growth.metric) && decides(e);
        let high = evidence.iter().filter(memory).map(|e| e.growth.high).fold(0.0, f64::max);
        reasons.push(format!(
            "no growth over {} cycles; a leak of more than {} B/cycle would have been seen",
            words::count(cycles),
            words::number(high)
        ));
    }
    reasons.extend(kept_once(soak));
    reasons
}

/// What the first loads kept and no later one did, in one line.
fn kept_once(soak: &Soak) -> Option<String> {
    // The others say the same of other parts of memory.
    let told = [Metric::Heap, Metric::Rss, Metric::Virtual];
    let kept: Vec<String> = soak
        .one_time
        .iter()
        .filter(|kept| kept.amount > 0 && told.contains(&kept.metric))
        .map(|kept| format!("{} of {}", words::bytes(kept.amount as f64), words::name(kept.metric)))
        .collect();
    (!kept.is_empty()).then(|| format!("kept once, by the first loads: {}", kept.join(", ")))
}

/// What is said of a leak of memory: how much, what kind, and what else it could be.
fn leak_reasons(evidence: &[Evidence], leak: &Leak, cycles: u64) -> Vec<String> {
    let stated = evidence.iter().find(|e| e.growth.metric == leak.metric);
    let mut reasons = Vec::new();
    if let Some(stated) = stated {
        let per_load = leak
            .bytes_per_load
            .map_or_else(String::new, |bytes| format!(", {} B per real load", words::number(bytes)));
        reasons.push(format!(
            "{} by {}{per_load}, {} MB/s, in two disjoint octaves and without fading",
            words::grows(leak.metric),
            words::interval(stated),
            words::number(leak.mb_per_second)
        ));
    }
    reasons.extend(words::kind(evidence, Some(leak.metric)).map(str::to_owned));
    let also: Vec<String> = evidence
        .iter()
        .filter(|e| decides(e) && e.finding == Finding::Leak && is_memory(e.growth.metric))
        .filter(|e| e.growth.metric != leak.metric)
        .map(|e| {
            format!("{} {}", words::name(e.growth.metric), words::rate(e.growth.metric, e.growth.per_cycle))
        })
        .collect();
    if !also.is_empty() {
        reasons.push(format!("it shows in {} too", also.join(", ")));
    }
    reasons.push(format!(
        "a bounded cache would have to hold more than {} to look the same over {} cycles",
        words::bytes(leak.bytes_per_cycle * cycles as f64),
        words::count(cycles)
    ));
    reasons
}
