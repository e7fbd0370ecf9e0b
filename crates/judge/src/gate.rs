//! The rules of the gate: each limit that was applied, what was measured against it, and what it made of it.

use dlsoak_record::{
    AllowedPointer, Blame, Dependency, Gate, Leak, LimitFacts, Limits, Measured, OddLimit, Per, Residue,
    ResidueKind, Rule, RuleMeasured, RuleName, UnloadState, Verdict,
};

use super::growth::{Answer, CLEAN_BELOW, Evidence, is_memory};
use super::verdict::{UNBOUNDED, decides, is_undecided, may_stay, seconds_per_cycle};

/// Bytes of the smallest chunk that glibc's malloc hands out.
const SMALLEST_CHUNK: f64 = 32.0;

/// The gate's answer and its rules. The verdict decides; the rules say how.
pub(super) fn gate(
    soak: &Measured,
    limits: &Limits,
    evidence: &[Evidence],
    leak: Option<&Leak>,
    residue: &[&Residue],
    verdict: Verdict,
) -> Gate {
    let passed = match verdict {
        Verdict::Clean => Some(true),
        // What is missing of it might have failed.
        Verdict::Pinned if may_stay(soak, limits) => (!soak.is_cut_short()).then_some(true),
        Verdict::Pinned => Some(false),
        Verdict::Inconclusive => None,
        _ => Some(false),
    };
    let mut rules = vec![memory(soak, limits, evidence, leak)];
    rules.extend(evidence.iter().filter(|e| !is_memory(e.growth.metric)).map(|e| count(limits, e)));
    if soak.unload.state == UnloadState::Pinned || limits.allow_pinned.is_some() {
        rules.push(unloaded(soak, limits));
    }
    if !soak.residue.is_empty() || limits.allow_residue.is_some() {
        rules.push(left(soak, limits, residue));
    }
    Gate { passed, rules }
}

/// Passes what only dependencies do: `blamed` is all that is wrong. What else is undecided stays so.
pub(super) fn excuse(gate: &mut Gate, blamed: &[Dependency], undecided: bool) {
    gate.passed = if undecided { None } else { Some(true) };
    for rule in gate.rules.iter_mut().filter(|rule| rule.passed == Some(false)) {
        rule.passed = gate.passed;
    }
    let mut objects: Vec<String> = blamed.iter().flat_map(|dependency| dependency.objects.clone()).collect();
    objects.sort();
    objects.dedup();
    gate.rules.push(Rule {
        name: RuleName::Blame,
        metric: None,
        limit: Some(Blame::Library.name().to_owned()),
        limit_per_cycle: None,
        measured: RuleMeasured::Dependencies { objects },
        passed: gate.passed,
    });
}

/// What one rule makes of some evidence.
fn outcome(evidence: &[Evidence]) -> Option<bool> {
    if evidence.iter().any(|e| decides(e) && e.answer == Answer::Leak) {
        Some(false)
    } else if is_undecided(evidence) {
        None
    } else {
        Some(true)
    }
}

/// What was measured of one metric.
fn measured(evidence: &Evidence) -> RuleMeasured {
    let growth = &evidence.growth;
    let bound = |value: f64| (value.abs() < UNBOUNDED).then_some(value);
    RuleMeasured::Growth {
        metric: growth.metric,
        per_cycle: growth.per_cycle,
        low: bound(growth.low),
        high: bound(growth.high),
        exact: growth.exact && growth.low == growth.high,
    }
}

/// The rule on memory, with the metric in which the leak is stated or else the one that speaks most against it.
fn memory(soak: &Measured, limits: &Limits, evidence: &[Evidence], leak: Option<&Leak>) -> Rule {
    let of_memory = of_memory(evidence);
    let passed = outcome(&of_memory);
    let matters = |e: &&Evidence| match passed {
        Some(false) => leak.is_some_and(|leak| leak.metric == e.growth.metric),
        None => e.answer.is_open(),
        Some(true) => true,
    };
    let worst = of_memory.iter().filter(matters).max_by(|a, b| a.growth.high.total_cmp(&b.growth.high));
    let limit = limits.max_leak_rate.as_ref();
    Rule {
        name: RuleName::MaxLeakRate,
        metric: None,
        limit: limit.map(ToString::to_string),
        limit_per_cycle: Some(
            limit.map_or(CLEAN_BELOW, |limit| limit.bytes_per_cycle(seconds_per_cycle(soak))),
        ),
        measured: worst.map_or(RuleMeasured::Nothing, measured),
        passed,
    }
}

fn of_memory(evidence: &[Evidence]) -> Vec<Evidence> {
    evidence.iter().filter(|e| is_memory(e.growth.metric) && decides(e)).cloned().collect()
}

/// Where a limit can't mean what it says at the measured speed: what it comes to.
pub(super) fn odd_limit(soak: &Measured, limits: &Limits, evidence: &[Evidence]) -> Option<LimitFacts> {
    let limit = limits.max_leak_rate.as_ref()?;
    let seconds = seconds_per_cycle(soak);
    let per_cycle = limit.bytes_per_cycle(seconds);
    let of_memory = of_memory(evidence);
    let distinguishable = of_memory.iter().map(|e| e.growth.high - e.growth.per_cycle).fold(0.0, f64::max);
    let why = if limit.per() == Per::Second && seconds == 0.0 {
        OddLimit::Untimed
    } else if per_cycle < distinguishable {
        OddLimit::TooSmall
    } else if limit.per() == Per::Second && per_cycle > SMALLEST_CHUNK {
        OddLimit::AllowsChunk
    } else {
        return None;
    };
    Some(LimitFacts {
        why,
        limit: limit.clone(),
        per_cycle,
        seconds_per_cycle: seconds,
        distinguishable: distinguishable.min(1e15),
        cycles: soak.cycles.completed,
    })
}

/// The rule on one count.
fn count(limits: &Limits, evidence: &Evidence) -> Rule {
    let metric = evidence.growth.metric;
    let limit = limits.count(metric);
    Rule {
        name: RuleName::MaxGrowth,
        metric: Some(metric),
        limit: limit.map(|limit| limit.to_string()),
        limit_per_cycle: Some(limit.unwrap_or(0.0)),
        measured: measured(evidence),
        passed: outcome(std::slice::from_ref(evidence)),
    }
}

/// The rule on unloading. Its limit is the reason for which the library may stay.
fn unloaded(soak: &Measured, limits: &Limits) -> Rule {
    let state = soak.unload.state;
    let by_others = soak.never_unloads().map(|cause| cause.kind().name().to_owned());
    Rule {
        name: RuleName::AllowPinned,
        metric: None,
        limit: limits.allow_pinned.as_ref().map(ToString::to_string).or(by_others),
        limit_per_cycle: None,
        measured: RuleMeasured::Unload { state },
        passed: Some(state != UnloadState::Pinned || may_stay(soak, limits)),
    }
}

/// The rule on what else was left behind.
fn left(soak: &Measured, limits: &Limits, residue: &[&Residue]) -> Rule {
    let mut kinds: Vec<ResidueKind> = soak.residue.iter().map(|found| found.kind()).collect();
    kinds.dedup();
    let kinds_allowed = limits.allow_residue.iter().flatten().map(|kind| kind.name().to_owned());
    let pointers = limits.allow_pointer.iter().flatten().map(AllowedPointer::place);
    let allowed: Vec<String> = kinds_allowed.chain(pointers).collect();
    Rule {
        name: RuleName::AllowResidue,
        metric: None,
        limit: (!allowed.is_empty()).then(|| allowed.join(",")),
        limit_per_cycle: None,
        measured: RuleMeasured::Residue { kinds },
        passed: Some(residue.is_empty()),
    }
}
