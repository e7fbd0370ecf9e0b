//! Why it was not unloaded. What is certain is said at once; else a short diagnostic soak is run under the loader's
//! own log. Every library that stays gets at least one cause.

mod diagnosis;
mod graph;
mod words;

use super::session::Session;
use super::staging::{Staging, same_file};
use super::unload::Watch;
use super::{Context, SoakPlan};
use crate::elf::{self, Facts};
use crate::record::{Cause, OutcomeKind, Soak, UnloadState};
use crate::sampling::Sampler;
use diagnosis::Diagnosis;
pub(super) use diagnosis::words as end_words;
use graph::Object;

/// Cycles of the diagnostic soak: the first load, one that could find something left, and one to be sure.
const CYCLES: u64 = 3;

/// Thread-local destructors that one object has pending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pending {
    /// The object's file, as the kernel names it.
    file: std::path::PathBuf,
    /// How many are pending.
    count: u64,
    /// On how many threads.
    threads: u64,
}

/// What is pending in a parked worker.
pub(super) fn pending(session: &Session<'_>) -> Vec<Pending> {
    use std::sync::atomic::Ordering::Relaxed;
    let sampler: &Sampler = &session.sampler;
    let mut found: Vec<Pending> = Vec::new();
    for entry in &session.channel.header().pending {
        let (object, count) = (entry.object.load(Relaxed), entry.count.load(Relaxed));
        if object == 0 || count == 0 {
            continue;
        }
        let Some(file) = sampler.file_at(object) else { continue };
        match found.iter_mut().find(|known| known.file == file) {
            Some(known) => {
                known.count += u64::from(count);
                known.threads += 1;
            }
            None => found.push(Pending { file, count: u64::from(count), threads: 1 }),
        }
    }
    found
}

/// Fills in why the library, or something that it brought, stayed.
pub(super) fn find(
    soak: &mut Soak,
    plan: &SoakPlan,
    facts: &Facts,
    staging: &Staging,
    watch: &Watch,
    pending: &[Pending],
    context: &Context<'_>,
) {
    let state = soak.unload.state;
    if state == UnloadState::Unloaded {
        return;
    }
    let certain = certain(state, plan, facts, watch);
    if !certain.is_empty() {
        soak.unload.causes = certain;
        return;
    }
    let interrupted = soak.outcome.kind == OutcomeKind::Interrupted;
    let diagnosis = if interrupted {
        Diagnosis::not_made("it was interrupted")
    } else {
        diagnosis::diagnose(plan, staging, &soak.env, context)
    };
    // What the diagnostic worker was left with, and what it lacks of what the measured one was.
    let mut names = diagnosis.left.clone();
    names.extend(watch.left().iter().filter(|name| !diagnosis.left.contains(name)).cloned());
    let objects: Vec<Object> = names
        .into_iter()
        .map(|name| {
            let of_it = |pending: &&Pending| same_file(&pending.file, name.as_ref());
            let own = diagnosis.pending.iter().find(of_it).or_else(|| pending.iter().find(of_it));
            Object {
                facts: crate::files::read_library(name.as_ref())
                    .ok()
                    .and_then(|bytes| Facts::parse(&bytes).ok()),
                destructors: own.map_or((0, 0), |pending| (pending.count, pending.threads)),
                is_library: staging.is_library(name.as_ref()),
                name,
            }
        })
        .collect();
    let mut causes = graph::explain(&objects, &diagnosis.log, diagnosis.released, state);
    if causes.is_empty() {
        causes.push(words::unknown(state, &diagnosis, &objects));
    }
    for cause in &mut causes {
        cause.detail = staging.unstaged(&cause.detail);
        cause.object = cause.object.take().map(|object| staging.unstaged(&object));
    }
    soak.unload.causes = causes;
}

/// Causes that need no diagnosis.
fn certain(state: UnloadState, plan: &SoakPlan, facts: &Facts, watch: &Watch) -> Vec<Cause> {
    if state != UnloadState::Pinned {
        return Vec::new();
    }
    let mut causes = Vec::new();
    if watch.was_there_before() {
        causes.push(words::already_loaded());
    }
    causes.extend(elf::nodelete(facts));
    if plan.flags.nodelete() {
        causes.push(words::nodelete_by_caller());
    }
    causes
}
