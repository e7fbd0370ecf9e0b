//! Why it was not unloaded. What is certain is said at once; else a short diagnostic soak is run under the loader's
//! own log. Every library that stays gets at least one cause.

mod diagnosis;
mod graph;

use super::measure::Library;
use super::session::Session;
use super::staging::{Staging, same_file};
use super::unload::Watch;
use super::{Context, SoakPlan};
use crate::elf::{self, Facts};
use crate::record::{
    Cause, CauseFacts, CauseKind, EndedEarly, Measured, OpenedBy, OutcomeKind, Pass, Undiagnosed, UnloadState,
};
use crate::sampling::Sampler;
use diagnosis::Diagnosis;
use graph::Object;

/// Cycles of the diagnostic soak: the first load, one that could find something left, and one to be sure.
const CYCLES: u64 = 3;

/// Causes that a diagnosis detects, and so excludes where it does not find them.
const DETECTABLE: [CauseKind; 7] = [
    CauseKind::Nodelete,
    CauseKind::NodeleteRuntime,
    CauseKind::Unique,
    CauseKind::TlsDestructor,
    CauseKind::ExtraReference,
    CauseKind::RelocationDependency,
    CauseKind::NeededBy,
];

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
    let sampler: &Sampler = &session.worker.sampler;
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
    soak: &mut Measured,
    plan: &SoakPlan,
    libraries: &[Library],
    staging: &Staging,
    watch: &Watch,
    pending: &[Pending],
    context: &Context<'_>,
) {
    let state = soak.unload.state;
    if state == UnloadState::Unloaded {
        return;
    }
    if let Some(cause) = soak.never_unloads() {
        // Whatever else there is in the file, and whichever library it is.
        soak.unload.causes = vec![Cause::of_library(cause)];
        return;
    }
    let several = libraries.len() > 1;
    let name = |library: &Option<usize>| {
        library.filter(|_| several).and_then(|library| staging.names().get(library).cloned())
    };
    // Each library that stays has causes of its own. Where none is known, what stays has.
    let mut subjects: Vec<Option<usize>> = vec![Some(0)];
    if several {
        let stays = watch.stays_of_each(staging);
        subjects = (0..libraries.len()).filter(|library| stays[*library]).map(Some).collect();
        if subjects.is_empty() {
            subjects.push(None);
        }
    }
    let mut causes = Vec::new();
    subjects.retain(|subject| {
        let facts = subject.and_then(|library| libraries.get(library)).map(|library| &library.facts);
        let was_there = subject.is_some_and(|library| watch.was_there(library, staging));
        let certain = facts.map(|facts| certain(state, plan, facts, was_there)).unwrap_or_default();
        let is_open = certain.is_empty();
        causes.extend(certain.into_iter().map(|cause| Cause { library: name(subject), ..cause }));
        is_open
    });
    if subjects.is_empty() {
        soak.unload.causes = causes;
        name_other(&mut soak.unload.causes, staging);
        return;
    }
    // Nobody waits for a diagnosis who has just interrupted the soak.
    let is_made = soak.outcome.kind != OutcomeKind::Interrupted && plan.passes.contains(Pass::Diagnose);
    let diagnosis =
        if is_made { diagnosis::diagnose(plan, staging, &soak.env, context) } else { Diagnosis::default() };
    // What the diagnostic worker was left with, and what it lacks of what the measured one was.
    let mut names = diagnosis.left.clone();
    // By the one path, the loader has either of two builds.
    let seen = |name: &String| match staging.exchange() {
        Some(_) if staging.is_private(name.as_ref()) => staging.build().to_string_lossy().into_owned(),
        _ => name.clone(),
    };
    names.extend(watch.left().iter().map(seen).filter(|name| !diagnosis.left.contains(name)));
    let libraries: Vec<Option<usize>> = names.iter().map(|name| staging.library(name.as_ref())).collect();
    let mut objects: Vec<Object> = names
        .into_iter()
        .map(|name| {
            let of_it = |pending: &&Pending| same_file(&pending.file, name.as_ref());
            let own = diagnosis.pending.iter().find(of_it).or_else(|| pending.iter().find(of_it));
            Object {
                facts: elf::facts_of(name.as_ref()),
                destructors: own.map_or((0, 0), |pending| (pending.count, pending.threads)),
                is_library: false,
                name,
            }
        })
        .collect();
    for subject in subjects {
        for (object, library) in objects.iter_mut().zip(&libraries) {
            object.is_library = library.is_some() && *library == subject;
        }
        let mut found = graph::explain(&objects, &diagnosis.log, diagnosis.released, state);
        if found.is_empty() {
            let why = if is_made { undiagnosed(state, &diagnosis, &objects) } else { Undiagnosed::NotMade };
            found.push(Cause::of_library(CauseFacts::Unknown(why)));
        }
        causes.extend(found.into_iter().map(|cause| Cause { library: name(&subject), ..cause }));
    }
    for cause in &mut causes {
        unstage(&mut cause.facts, staging);
        cause.object = cause.object.take().map(|object| staging.unstaged(&object));
    }
    name_other(&mut causes, staging);
    soak.unload.causes = causes;
}

/// Says whose causes they are, where the other of two builds stays.
fn name_other(causes: &mut [Cause], staging: &Staging) {
    let other = staging.other_stays().map(|other| other.to_string_lossy().into_owned());
    for cause in causes.iter_mut().filter(|cause| cause.object.is_none()) {
        cause.object.clone_from(&other);
    }
}

/// Causes that need no diagnosis.
fn certain(state: UnloadState, plan: &SoakPlan, facts: &Facts, was_there: bool) -> Vec<Cause> {
    if state != UnloadState::Pinned {
        return Vec::new();
    }
    let mut causes = Vec::new();
    if was_there {
        causes.push(CauseFacts::AlreadyLoaded);
    }
    causes.extend(elf::nodelete(facts));
    if plan.flags.nodelete() {
        causes.push(CauseFacts::NodeleteRuntime { opened_by: OpenedBy::Soak });
    }
    causes.into_iter().map(Cause::of_library).collect()
}

/// The last resort: what the diagnosis excluded, or why it could not.
fn undiagnosed(state: UnloadState, diagnosis: &Diagnosis, objects: &[Object]) -> Undiagnosed {
    let cycles = diagnosis.cycles;
    let went = match state {
        UnloadState::Pinned => !objects.iter().any(|object| object.is_library) || diagnosis.left.is_empty(),
        _ => diagnosis.left.is_empty(),
    };
    match &diagnosis.problem {
        Some(problem) => Undiagnosed::Failed { cycles, problem: problem.clone() },
        None if went => Undiagnosed::NothingLeft { cycles },
        None => Undiagnosed::RuledOut { cycles, ruled_out: DETECTABLE.to_vec() },
    }
}

/// Names the library where the evidence names a private copy of it.
fn unstage(evidence: &mut CauseFacts, staging: &Staging) {
    let original = |path: &mut String| *path = staging.unstaged(path);
    match evidence {
        CauseFacts::NeededBy(keeper) | CauseFacts::RelocationDependency { keeper: Some(keeper), .. } => {
            original(&mut keeper.by);
            keeper.root.iter_mut().for_each(original);
            unstage(&mut keeper.cause, staging);
        }
        CauseFacts::DependencyPinned { cause, keeps } => {
            keeps.iter_mut().for_each(original);
            unstage(cause, staging);
        }
        CauseFacts::Unknown(Undiagnosed::Failed { problem, .. }) => match problem {
            EndedEarly::LoadFailed(failure) => **failure = staging.unstaged_failure((**failure).clone()),
            EndedEarly::NotStarted { problem } => original(problem),
            _ => {}
        },
        CauseFacts::Nodelete { .. }
        | CauseFacts::NodeleteRuntime { .. }
        | CauseFacts::Unique { .. }
        | CauseFacts::TlsDestructor { .. }
        | CauseFacts::RelocationDependency { keeper: None, .. }
        | CauseFacts::ExtraReference { .. }
        | CauseFacts::AlreadyLoaded
        | CauseFacts::LibcNeverUnloads
        | CauseFacts::InterfaceNeverUnloads
        | CauseFacts::Unknown(_) => {}
    }
}
