//! When to look at what else the process holds: before the first open, at a handful of checkpoints, and at the last
//! quiet point. What is made of it is `crate::residue`'s.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;

use super::measure::Library;
use super::session::Session;
use crate::analysis;
use crate::record::{Measured, Outcome, Residue, Shortage, Why};
use crate::residue::{self, Context, snapshot::Snapshot};

/// Functions that make files in `/dev/shm`.
const SHARED_FILES: [&str; 2] = ["shm_open", "sem_open"];

/// Most places of the library that are kept.
const MOST_LOADS: usize = 4096;

/// The snapshots of one soak.
#[derive(Debug)]
pub(super) struct Watch {
    snapshots: Vec<Snapshot>,
    checkpoints: u64,
    /// Where the library was seen loaded.
    loads: BTreeSet<u64>,
    /// Bytes of the library's file, which is about what its code and data take; of several, of the largest.
    file_bytes: u64,
    makes_shared_files: bool,
}

impl Watch {
    /// A watch for these libraries.
    pub(super) fn new<'l>(libraries: impl Iterator<Item = &'l Library> + Clone) -> Self {
        let makes = |library: &Library| {
            library.facts.imports_of_note.iter().any(|name| SHARED_FILES.contains(&name.as_str()))
        };
        Self {
            snapshots: Vec::new(),
            checkpoints: 0,
            loads: BTreeSet::new(),
            file_bytes: libraries.clone().map(|library| library.original.size()).max().unwrap_or(0),
            makes_shared_files: libraries.into_iter().any(makes),
        }
    }

    /// Looks before anything is opened.
    pub(super) fn start(&mut self, session: &mut Session<'_>) {
        self.look(0, session);
    }

    /// Keeps where the library was loaded lately: a thread that it left may have to return there, and what that thread
    /// occupies may have moved the loads that came after.
    pub(super) fn loaded(&mut self, session: &Session<'_>) {
        let visits = session.channel.visits().iter().map(|visit| visit.base.load(Relaxed));
        let loads = session.channel.slots().iter().map(|slot| slot.load_address.load(Relaxed)).chain(visits);
        if self.loads.len() < MOST_LOADS {
            self.loads.extend(loads.filter(|start| *start != 0));
        }
    }

    /// Whether the next checkpoint is one at which it looks.
    pub(super) fn looks_next(&self) -> bool {
        (self.checkpoints + 1).is_power_of_two()
    }

    /// At a checkpoint: looks when their number is a power of two, so that a long soak costs no more than a few
    /// looks, and each half of it has some.
    pub(super) fn checkpoint(&mut self, cycle: u64, session: &mut Session<'_>) {
        self.checkpoints += 1;
        self.loaded(session);
        if self.checkpoints.is_power_of_two() {
            self.look(cycle, session);
        }
    }

    /// Looks at the last quiet point. The worker must be parked.
    pub(super) fn last(&mut self, cycle: u64, session: &mut Session<'_>) {
        self.look(cycle, session);
    }

    fn look(&mut self, cycle: u64, session: &mut Session<'_>) {
        session.worker.settle();
        // Of a worker that is gone, or goes meanwhile, what was seen before stays.
        if let Ok(snapshot) = session.worker.sampler.state(&session.channel, cycle)
            && session.worker.is_whole()
        {
            self.snapshots.push(snapshot);
        }
    }

    /// What was left behind, in a soak of which all else is known; and threads that are the host's, by the object and their number.
    pub(super) fn find(&self, soak: &Measured) -> (Vec<Residue>, Vec<(String, u64)>) {
        let page = procfs::page_size();
        let bytes = self.file_bytes.next_multiple_of(page);
        let library: Vec<(u64, u64)> =
            self.loads.iter().map(|start| (*start, start.saturating_add(bytes))).collect();
        let context = Context {
            state: soak.unload.state,
            objects_left: &soak.unload.objects_left,
            until: analysis::judged_until(soak, &analysis::exhausted(soak)).unwrap_or(u64::MAX),
            library: &library,
            // Where instances stay, what they take is told with them, and is not lost.
            refusal: soak
                .outcome
                .cycle
                .zip(static_tls_refusal(&soak.outcome))
                .filter(|_| soak.instances.is_none()),
            makes_shared_files: self.makes_shared_files,
            page,
        };
        (residue::find(&self.snapshots, context), residue::of_host(&self.snapshots, context))
    }
}

/// What the loader said where static thread-local storage had run out.
fn static_tls_refusal(outcome: &Outcome) -> Option<&str> {
    let Some(Why::LoadFailed(failure)) = &outcome.why else { return None };
    matches!(failure.shortage, Some(Shortage::StaticTls { .. })).then_some(failure.said.as_deref()).flatten()
}
