//! The rules of the gate: each limit that was applied, what was measured against it, and what it made of it.

use super::Policy;
use super::growth::{CLEAN_BELOW, Evidence, Finding, LEAK_ABOVE, is_memory};
use super::verdict::{decides, is_undecided, seconds_per_cycle};
use super::words;
use dlsoak_record::Per;
use dlsoak_record::{Gate, Leak, Residue, Rule, Soak, UnloadState, Verdict};

/// Bytes of the smallest chunk that glibc's malloc hands out.
const SMALLEST_CHUNK: f64 = 32.0;

/// The gate's answer and its rules. The verdict decides; the rules say how.
pub(super) fn gate(
    soak: &Soak,
    policy: &Policy,
    evidence: &[Evidence],
    leak: Option<&Leak>,
    residue: &[&Residue],
    verdict: Verdict,
) -> Gate {
    let passed = match verdict {
        Verdict::Clean => Some(true),
        Verdict::Pinned => Some(policy.allow_pinned.is_some()),
        Verdict::Inconclusive => None,
        _ => Some(false),
    };
    let mut rules = vec![memory(soak, policy, evidence, leak)];
    rules.extend(evidence.iter().filter(|e| !is_memory(e.growth.metric)).map(|e| count(policy, e)));
    if soak.unload.state == UnloadState::Pinned || policy.allow_pinned.is_some() {
        rules.push(unloaded(soak, policy));
    }
    if !soak.residue.is_empty() || !policy.allow_residue.is_empty() {
        rules.push(left(soak, policy, residue));
    }
    Gate { passed, rules }
}

/// What one rule makes of some evidence.
fn outcome(evidence: &[Evidence]) -> Option<bool> {
    if evidence.iter().any(|e| decides(e) && e.finding == Finding::Leak) {
        Some(false)
    } else if is_undecided(evidence) {
        None
    } else {
        Some(true)
    }
}

/// The rule on memory, with the metric in which the leak is stated or else the one that speaks most against it.
fn memory(soak: &Soak, policy: &Policy, evidence: &[Evidence], leak: Option<&Leak>) -> Rule {
    let of_memory: Vec<Evidence> =
        evidence.iter().filter(|e| is_memory(e.growth.metric) && decides(e)).cloned().collect();
    let passed = outcome(&of_memory);
    let matters = |e: &&Evidence| match passed {
        Some(false) => leak.is_some_and(|leak| leak.metric == e.growth.metric),
        None => !matches!(e.finding, Finding::Leak | Finding::Clean),
        Some(true) => true,
    };
    let worst = of_memory.iter().filter(matters).max_by(|a, b| a.growth.high.total_cmp(&b.growth.high));
    let measured = worst.map_or_else(
        || "nothing".to_owned(),
        |e| format!("{}: {}", words::name(e.growth.metric), words::interval(e)),
    );
    let limit = match &policy.max_leak_rate {
        Some(limit) => limit.to_string(),
        None => format!("no growth proven above {LEAK_ABOVE} B/cycle, and {CLEAN_BELOW} B/cycle excluded"),
    };
    Rule {
        name: "max-leak-rate".to_owned(),
        limit,
        measured,
        passed,
        limit_per_cycle: Some(
            policy
                .max_leak_rate
                .as_ref()
                .map_or(CLEAN_BELOW, |limit| limit.bytes_per_cycle(seconds_per_cycle(soak))),
        ),
        detail: price(soak, policy, &of_memory),
    }
}

/// A limit by time in bytes per cycle at the measured speed, with a warning where it can't mean what it says.
fn price(soak: &Soak, policy: &Policy, evidence: &[Evidence]) -> Option<String> {
    let limit = policy.max_leak_rate.as_ref()?;
    let seconds = seconds_per_cycle(soak);
    let per_cycle = limit.bytes_per_cycle(seconds);
    let shown = match limit.per() {
        Per::Cycle => None,
        Per::Second if seconds == 0.0 => Some(format!("{limit} has no meaning: no cycle was timed")),
        Per::Second => Some(format!(
            "{limit} is {} B/cycle at {} us a cycle",
            words::number(per_cycle),
            words::number(seconds * 1e6)
        )),
    };
    let excluded = evidence.iter().map(|e| e.growth.high - e.growth.per_cycle).fold(0.0, f64::max);
    let warning = if per_cycle < excluded {
        Some(format!(
            "that is less than these {} cycles can tell from none ({} B/cycle): run more cycles, or set the limit \
             per cycle",
            words::count(soak.cycles.completed),
            words::number(excluded.min(1e15))
        ))
    } else if limit.per() == Per::Second && per_cycle > SMALLEST_CHUNK {
        Some("that lets a whole chunk of heap leak in every cycle: set the limit per cycle".to_owned())
    } else {
        None
    };
    match (shown, warning) {
        (Some(shown), Some(warning)) => Some(format!("{shown}; {warning}")),
        (shown, warning) => shown.or(warning),
    }
}

/// The rule on one count.
fn count(policy: &Policy, evidence: &Evidence) -> Rule {
    let metric = evidence.growth.metric;
    let limit = match policy.max_growth.per_cycle(metric) {
        Some(limit) => words::rate(metric, limit),
        None => format!("no growth of {}", words::name(metric)),
    };
    Rule {
        name: "max-growth".to_owned(),
        limit,
        measured: words::interval(evidence),
        passed: outcome(std::slice::from_ref(evidence)),
        limit_per_cycle: Some(policy.max_growth.per_cycle(metric).unwrap_or(0.0)),
        detail: None,
    }
}

/// The rule on unloading.
fn unloaded(soak: &Soak, policy: &Policy) -> Rule {
    let pinned = soak.unload.state == UnloadState::Pinned;
    let limit = match &policy.allow_pinned {
        Some(why) => format!("may stay loaded: {why}"),
        None => "is unloaded".to_owned(),
    };
    let measured = if pinned { "is not unloaded" } else { "is unloaded" };
    Rule {
        name: "allow-pinned".to_owned(),
        limit,
        measured: measured.to_owned(),
        passed: Some(!pinned || policy.allow_pinned.is_some()),
        limit_per_cycle: None,
        detail: None,
    }
}

/// The rule on what else was left behind.
fn left(soak: &Soak, policy: &Policy, residue: &[&Residue]) -> Rule {
    let kinds = |kinds: Vec<&str>| if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") };
    Rule {
        name: "allow-residue".to_owned(),
        limit: kinds(policy.allow_residue.iter().map(String::as_str).collect()),
        measured: kinds(soak.residue.iter().map(|found| found.kind.as_str()).collect()),
        passed: Some(residue.is_empty()),
        limit_per_cycle: None,
        detail: None,
    }
}
