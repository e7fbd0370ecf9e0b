//! Was it really unloaded? Loads are counted by the loader and objects are listed by it; `dlclose` is not asked.

use super::series::{Observation, objects, observation};
use super::staging::Staging;
use crate::channel::Channel;
use crate::elf;
use crate::record::{Cause, Checkpoints, Unload, UnloadState};

/// What was seen of the loader in the course of a soak.
#[derive(Debug)]
pub(super) struct Watch {
    /// What the file says, in case it stays.
    file_causes: Vec<Cause>,
    at_start: Vec<String>,
    now: Vec<String>,
    probe_begin: Option<Observation>,
    objects_per_load: Option<u64>,
}

/// What the file alone says about staying loaded.
fn causes(facts: &elf::Facts) -> Vec<Cause> {
    let mut causes = Vec::new();
    if facts.nodelete() {
        causes.push(Cause {
            kind: "nodelete".to_owned(),
            detail: "linked with -z nodelete (DF_1_NODELETE in DT_FLAGS_1): dlclose never unloads it"
                .to_owned(),
        });
    }
    if let Some(symbol) = facts.unique_symbols.first() {
        causes.push(Cause {
            kind: "unique".to_owned(),
            detail: format!(
                "defines {} STB_GNU_UNIQUE symbols, the first one `{symbol}`: the loader keeps the object that \
                 defines one which was looked up; compile with -fno-gnu-unique",
                facts.unique_symbols.len()
            ),
        });
    }
    causes
}

impl Watch {
    /// A watch for a library of which the file says `facts`.
    pub(super) fn new(facts: &elf::Facts) -> Self {
        let file_causes = causes(facts);
        Self { file_causes, at_start: Vec::new(), now: Vec::new(), probe_begin: None, objects_per_load: None }
    }

    /// Keeps the list of objects from before the first open.
    pub(super) fn start(&mut self, channel: &Channel) {
        self.at_start = objects(channel);
        self.now.clone_from(&self.at_start);
    }

    /// Objects in the process before the first open.
    pub(super) fn at_start(&self) -> &[String] {
        &self.at_start
    }

    /// The next cycle will run alone.
    pub(super) fn before_probe(&mut self, channel: &Channel) {
        self.probe_begin = Some(observation(channel));
        self.observe(channel);
    }

    /// A cycle has run alone.
    pub(super) fn after_probe(&mut self, channel: &Channel) {
        let end = observation(channel);
        self.objects_per_load = self.probe_begin.take().map(|begin| end.adds.saturating_sub(begin.adds));
        self.observe(channel);
    }

    /// Keeps the list of objects of this quiet point.
    pub(super) fn observe(&mut self, channel: &Channel) {
        self.now = objects(channel);
    }

    /// Fills in the record's answer.
    pub(super) fn finish(
        &self,
        totals: &Observation,
        checkpoints: &Checkpoints,
        staging: &Staging,
        unload: &mut Unload,
    ) {
        let cycles = match (checkpoints.rows.first(), checkpoints.rows.last()) {
            (Some(first), Some(last)) => last[0].saturating_sub(first[0]).max(0) as u64,
            _ => 0,
        };
        let per_cycle = |count: u64| if cycles == 0 { 0.0 } else { count as f64 / cycles as f64 };
        unload.loads_per_cycle = per_cycle(totals.adds);
        unload.unloads_per_cycle = per_cycle(totals.subs);
        let typical = || per_cycle(totals.adds).round() as u64;
        unload.objects_per_load = self.objects_per_load.unwrap_or_else(typical);
        let mut left = self.now.clone();
        for name in &self.at_start {
            if let Some(position) = left.iter().position(|n| n == name) {
                left.remove(position);
            }
        }
        let is_library = |name: &String| staging.is_library(name.as_ref());
        let before = self.at_start.iter().any(is_library);
        unload.state = if before || left.iter().any(is_library) {
            UnloadState::Pinned
        } else if left.is_empty() {
            UnloadState::Unloaded
        } else {
            UnloadState::Partial
        };
        unload.causes = match unload.state {
            UnloadState::Pinned => self.file_causes.clone(),
            UnloadState::Unloaded | UnloadState::Partial => Vec::new(),
        };
        if before {
            unload.causes.push(Cause {
                kind: "already-loaded".to_owned(),
                detail: "it was in the process before the first open: the worker itself needs it".to_owned(),
            });
        }
        unload.objects_left = left.iter().map(|name| staging.unstaged(name)).collect();
        unload.objects_left.dedup();
    }
}
