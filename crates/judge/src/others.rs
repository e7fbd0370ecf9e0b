//! Whose fault it is, by what is gone in another host: one of the other kind, or one that keeps what the library needs loaded.

use dlsoak_record::{
    Behaviour, Dependency, Facts, HostChange, HostKind, Limits, Measured, Metric, MetricRate, OutcomeKind,
    Problem, ResidueKind, UnloadState,
};

use super::growth::{Answer, Errors, Evidence, evidence, is_memory};
use super::series::Exposure;
use super::verdict::{bounds, decides};
use super::{exhausted, judged_until, verdict};

/// Of growth that is gone no more than this part is left.
const LEFT: f64 = 0.1;
/// Bytes of the smallest chunk of malloc's.
const CHUNK: f64 = 32.0;
/// Octaves of a short soak that are looked at.
const NEWEST: usize = 2;

/// The evidence of a soak on its growth.
pub(super) fn growth_of(soak: &Measured, limits: &Limits) -> Vec<Evidence> {
    let exposure = Exposure::of(soak, judged_until(soak, &exhausted(soak)));
    evidence(soak, &exposure, Errors::at_the_end(), bounds(soak, limits))
}

/// What is wrong with a soak and may be a dependency's. Pointers into the library are not: only a soak of their own finds them.
pub fn problems(soak: &Measured) -> Vec<Problem> {
    let limits = soak.asked.limits();
    problems_in(soak, &growth_of(soak, &limits))
}

/// The same, where the evidence is there.
pub(super) fn problems_in(soak: &Measured, evidence: &[Evidence]) -> Vec<Problem> {
    if soak.outcome.kind == OutcomeKind::Crashed {
        return vec![Problem::Crashes];
    }
    let stated = verdict::stated(evidence).map(|growth| growth.metric);
    let counts = evidence.iter().filter(|e| decides(e) && e.answer == Answer::Leak);
    let counts = counts.map(|e| e.growth.metric).filter(|metric| !is_memory(*metric));
    let mut problems: Vec<Problem> =
        stated.into_iter().chain(counts).map(|metric| Problem::Grows { metric }).collect();
    for residue in kinds(soak) {
        problems.push(Problem::Left { residue });
    }
    // In every host, where the C library never unloads.
    if soak.unload.state == UnloadState::Pinned && !soak.worker.never_unloads() {
        problems.push(Problem::Stays);
    }
    problems
}

/// The kinds of residue that each soak looks for, each once.
fn kinds(soak: &Measured) -> Vec<ResidueKind> {
    let mut kinds: Vec<ResidueKind> = soak.residue.iter().map(|found| found.kind()).collect();
    kinds.retain(|kind| *kind != ResidueKind::DanglingPointer);
    kinds.dedup();
    kinds
}

/// Whether what is wrong with a soak is gone in another one.
pub fn is_gone(soak: &Measured, problem: Problem, other: &Measured) -> bool {
    let limits = soak.asked.limits();
    is_gone_by(&growth_of(soak, &limits), problem, other, &limits)
}

fn is_gone_by(here: &[Evidence], problem: Problem, other: &Measured, limits: &Limits) -> bool {
    if other.outcome.kind != OutcomeKind::Completed {
        return false;
    }
    match problem {
        // It completed.
        Problem::Crashes => true,
        Problem::Stays => other.unload.state != UnloadState::Pinned,
        Problem::Left { residue } => !kinds(other).contains(&residue),
        Problem::Grows { metric } => {
            let there = growth_of(other, limits);
            let Some((before, left)) = left(here, metric, &there) else { return false };
            // Nor may another metric have taken its place.
            let moved = |e: &Evidence| {
                is_memory(e.growth.metric)
                    && e.growth.metric != metric
                    && proven(e)
                    && e.growth.per_cycle > LEFT * before
            };
            left <= LEFT * before && !(is_memory(metric) && there.iter().any(moved))
        }
    }
}

fn proven(evidence: &Evidence) -> bool {
    decides(evidence) && evidence.answer == Answer::Leak
}

/// Whether each cycle leaks a chunk or more, so that a few cycles without one show enough.
fn is_in_each_cycle(metric: Metric, per_cycle: f64) -> bool {
    metric == Metric::Heap && per_cycle >= CHUNK
}

/// Whether a few cycles in another host show whether these problems of a soak are gone there.
pub fn are_seen_at_once(soak: &Measured, problems: &[Problem]) -> bool {
    let here = growth_of(soak, &soak.asked.limits());
    problems.iter().all(|problem| match problem {
        Problem::Grows { metric } => {
            here.iter().any(|e| e.growth.metric == *metric && is_in_each_cycle(*metric, e.growth.per_cycle))
        }
        _ => true,
    })
}

/// Growth per cycle of a metric here, and what may be left of it there.
fn left(here: &[Evidence], metric: Metric, there: &[Evidence]) -> Option<(f64, f64)> {
    let of = |all: &[Evidence]| all.iter().find(|e| e.growth.metric == metric).cloned();
    let (before, after) = (of(here)?.growth.per_cycle, of(there)?);
    // The bound allows for a leak that comes seldom.
    let seen = || after.rates.iter().take(NEWEST).copied().reduce(f64::max);
    let left = if is_in_each_cycle(metric, before) { seen()? } else { after.growth.high };
    Some((before, left))
}

/// Whether all growth is gone in a host, so that nothing of it can be the library's own.
pub(super) fn is_all_gone(soak: &Measured, problem: Problem, limits: &Limits) -> bool {
    let Problem::Grows { metric } = problem else { return true };
    let links = soak.other_hosts.iter().filter(|host| matches!(host.change, HostChange::Links { .. }));
    let mut there = links.filter(|host| host.soak.outcome.kind == OutcomeKind::Completed);
    let is_part = |e: &Evidence| e.growth.metric == metric || is_memory(metric) && is_memory(e.growth.metric);
    let grows = |e: &Evidence| !matches!(e.answer, Answer::Clean | Answer::Undecided) && decides(e);
    there.any(|host| !growth_of(&host.soak, limits).iter().any(|e| is_part(e) && grows(e)))
}

/// The dependency at fault for something that is wrong with a soak, where that is gone in a host that links it; of several such hosts by
/// the one that links fewest libraries.
pub(super) fn dependency(
    soak: &Measured,
    evidence: &[Evidence],
    problem: Problem,
    limits: &Limits,
) -> Option<Dependency> {
    // Of hosts that link as many, the last one was made to look at one library.
    let links = soak.other_hosts.iter().rev().filter_map(|host| match &host.change {
        HostChange::Links { objects } => Some((objects, &host.soak)),
        HostChange::Kind { .. } | HostChange::Alone { .. } => None,
    });
    let gone = links.filter(|(_, other)| is_gone_by(evidence, problem, other, limits));
    let (objects, other) = gone.min_by_key(|(objects, _)| objects.len())?;
    let grows =
        |metric: Metric| evidence.iter().find(|e| e.growth.metric == metric).map(|e| e.growth.per_cycle);
    let per_cycle = match problem {
        Problem::Grows { metric } => grows(metric),
        Problem::Left { .. } | Problem::Stays | Problem::Crashes => None,
    };
    let alone = alone(soak, objects, problem, limits);
    Some(Dependency { problem, objects: objects.clone(), per_cycle, alone, cycles: other.cycles.completed })
}

/// Growth per cycle where the one dependency is loaded by itself; 0 where none is proven.
fn alone(soak: &Measured, objects: &[String], problem: Problem, limits: &Limits) -> Option<f64> {
    let (Problem::Grows { metric }, [one]) = (problem, objects) else { return None };
    let is_it = |change: &HostChange| matches!(change, HostChange::Alone { object } if object == one);
    let mut hosts = soak.other_hosts.iter().filter(|host| host.soak.outcome.kind == OutcomeKind::Completed);
    let grown = growth_of(&hosts.find(|host| is_it(&host.change))?.soak, limits);
    let grows = grown.iter().find(|e| e.growth.metric == metric)?;
    Some(if proven(grows) { grows.growth.per_cycle } else { 0.0 })
}

/// The object that is alone at fault for something that is wrong with a soak.
pub fn object_at_fault(soak: &Measured, problem: Problem) -> Option<String> {
    let limits = soak.asked.limits();
    sole(dependency(soak, &growth_of(soak, &limits), problem, &limits)?.objects)
}

/// The one object of a list of one.
pub(super) fn sole(objects: Vec<String>) -> Option<String> {
    <[String; 1]>::try_from(objects).ok().map(|[object]| object)
}

/// What a library does otherwise in a host of the other kind, where it was soaked in one.
pub(super) fn hosts_differ(soak: &Measured, evidence: &[Evidence], limits: &Limits) -> Option<Facts> {
    let (kind, other) = soak.other_hosts.iter().find_map(|host| match host.change {
        HostChange::Kind { kind } => Some((kind, &host.soak)),
        HostChange::Links { .. } | HostChange::Alone { .. } => None,
    })?;
    if other.outcome.kind == OutcomeKind::Interrupted {
        return None;
    }
    let here = behaviour(soak, soak.worker.kind, evidence);
    let mut there = behaviour(other, kind, &growth_of(other, limits));
    // What grows over few cycles alone is a cache that fills; and what few cycles can't prove to grow may grow all the same.
    there.grows.retain(|grows| here.grows.iter().any(|own| own.metric == grows.metric));
    let is_other_growth = here
        .grows
        .iter()
        .any(|grows| is_gone_by(evidence, Problem::Grows { metric: grows.metric }, other, limits));
    // That libstdc++ stays by itself, where it comes with the library, is so for each of them.
    let stays = |of: &Behaviour| of.state == UnloadState::Pinned;
    let differs = (here.end, stays(&here), &here.residue) != (there.end, stays(&there), &there.residue);
    let differs = differs || is_other_growth;
    differs.then(|| Facts::HostsDiffer { here: Box::new(here), there: Box::new(there) })
}

fn behaviour(soak: &Measured, host: HostKind, evidence: &[Evidence]) -> Behaviour {
    let grows = evidence.iter().filter(|e| decides(e) && e.answer == Answer::Leak);
    Behaviour {
        host,
        end: soak.outcome.kind,
        state: soak.unload.state,
        causes: soak.unload.causes.clone(),
        grows: grows.map(|e| MetricRate { metric: e.growth.metric, per_cycle: e.growth.per_cycle }).collect(),
        residue: kinds(soak),
    }
}
