//! Was it really unloaded? Three witnesses are asked, and `dlclose` is not one of them: the loader's list of objects,
//! `RTLD_NOLOAD`, and the mappings of the process. Where they differ, it is not unloaded, and the record says so.

use std::collections::{BTreeMap, HashMap};

use super::series::{Observation, objects, observation};
use super::session::Session;
use super::staging::Staging;
use crate::channel::Channel;
use crate::record::{self, Checkpoints, Mode, Note, Unload, UnloadState, WitnessCount};
use crate::sampling::Sample;

/// Different objects that are kept in mind. Where no two lists of the worker's agree, there is no end to them.
const MOST_NAMES: usize = 64 * 1024;

/// What was seen of the loader in the course of a soak.
#[derive(Debug, Default)]
pub(super) struct Watch {
    mode: Mode,
    at_start: Vec<String>,
    /// Objects at the last quiet point, those from before the first open not counted.
    left: Vec<String>,
    probe_begin: Option<Observation>,
    objects_per_load: Option<u64>,
    /// The cycle that ran alone left an object behind.
    stays: bool,
    /// Which library a name is of.
    names: HashMap<String, Option<usize>>,
    /// Measured checkpoints.
    points: u64,
    /// Measured checkpoints at which an object was left.
    left_at: BTreeMap<String, u64>,
    listed: Witness,
    mapped: Witness,
    by_noload: Witness,
    /// Files that `RTLD_NOLOAD` found before the first open.
    before: bool,
    /// Mappings of the file that hold no code, at the last checkpoint.
    data_mappings: u64,
    /// Objects that the loader counts and does not list, at the last checkpoint and before the first open.
    hidden: (i128, i128),
}

/// How often a witness was asked, how often it had seen the library, and whether it saw it at last.
#[derive(Debug, Default, Clone, Copy)]
struct Witness {
    asked: u64,
    seen: u64,
    last: bool,
}

impl Witness {
    fn says(&mut self, there: bool) {
        self.asked += 1;
        self.seen += u64::from(there);
        self.last = there;
    }
}

impl Watch {
    /// A watch for a soak in this mode.
    pub(super) fn new(mode: Mode) -> Self {
        Self { mode, ..Self::default() }
    }

    /// Keeps the list of objects from before the first open.
    pub(super) fn start(&mut self, session: &Session<'_>, staging: &Staging) {
        self.at_start = self.listed(session);
        self.hidden.0 = hidden(&session.channel, self.at_start.len());
        self.before = self.at_start.iter().any(|name| staging.is_library(name.as_ref()));
    }

    /// Objects in the process before the first open.
    pub(super) fn at_start(&self) -> &[String] {
        &self.at_start
    }

    /// Whether a library was in the process before the first open.
    pub(super) fn was_there(&self, library: usize, staging: &Staging) -> bool {
        self.at_start.iter().any(|name| staging.library(name.as_ref()) == Some(library))
    }

    /// Objects left at the last quiet point, by the names that the loader has for them.
    pub(super) fn left(&self) -> &[String] {
        &self.left
    }

    /// The next cycle will run alone.
    pub(super) fn before_probe(&mut self, session: &Session<'_>) {
        self.probe_begin = Some(observation(&session.channel));
    }

    /// A cycle has run alone.
    pub(super) fn after_probe(&mut self, session: &Session<'_>) {
        let end = observation(&session.channel);
        if let Some(begin) = self.probe_begin.take() {
            let added = end.adds.saturating_sub(begin.adds);
            // Wrapping, since glibc's count of what was removed may be below zero.
            let removed = end.subs.wrapping_sub(begin.subs).cast_signed();
            self.stays = i64::try_from(added).is_ok_and(|added| added > removed);
            self.objects_per_load = Some(added);
        }
        self.left = self.compared(self.listed(session));
    }

    /// Whether the cycle that ran alone loaded an object that stayed.
    pub(super) fn stays(&self) -> bool {
        self.stays
    }

    /// The objects of this quiet point.
    fn listed(&self, session: &Session<'_>) -> Vec<String> {
        match self.mode {
            // The loader lists the worker's own namespace only; what is mapped is mapped in any.
            Mode::Namespace => session.worker.sampler.mapped_objects().unwrap_or_default(),
            Mode::Reopen | Mode::Copies => objects(&session.channel),
        }
    }

    /// Takes what the first and the third witness say at a measured checkpoint.
    pub(super) fn observe(&mut self, session: &Session<'_>, sample: &Sample, staging: &Staging) {
        let now = self.listed(session);
        self.hidden.1 = hidden(&session.channel, now.len());
        self.left = self.compared(now);
        self.points += 1;
        let mut listed = false;
        for name in &self.left {
            if self.left_at.len() >= MOST_NAMES && !self.left_at.contains_key(name) {
                continue;
            }
            let known = self.names.get(name).copied();
            let library = known.unwrap_or_else(|| staging.library(name.as_ref()));
            self.names.insert(name.clone(), library);
            listed |= library.is_some();
            *self.left_at.entry(name.clone()).or_default() += 1;
        }
        self.listed.says(listed || self.before);
        // The files of copies come and go, and those of other namespaces are what was listed.
        if self.mode == Mode::Reopen {
            self.mapped.says(sample.watched_code > 0);
        }
        self.data_mappings = sample.watched_data;
    }

    /// Which of the libraries were seen while every handle was closed.
    pub(super) fn stays_of_each(&self, staging: &Staging) -> Vec<bool> {
        let left =
            self.left_at.keys().chain(self.left.iter().filter(|_| self.points == 0)).chain(&self.at_start);
        let seen: Vec<usize> = left.filter_map(|name| staging.library(name.as_ref())).collect();
        (0..staging.names().len()).map(|library| seen.contains(&library)).collect()
    }

    /// Takes what the second witness says: how many of the files the loader has.
    pub(super) fn looked(&mut self, there: u32) {
        self.by_noload.says(there > 0);
    }

    /// The list less what was there before the first open: compared by name, since counts also move for dependencies.
    fn compared(&self, mut now: Vec<String>) -> Vec<String> {
        for name in &self.at_start {
            if let Some(position) = now.iter().position(|n| n == name) {
                now.remove(position);
            }
        }
        now
    }

    /// Fills in the record's answer, but for the causes.
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
        // What was left at any measured checkpoint counts: a library that is there now and then is not unloaded.
        let mut left: Vec<&String> = self.left_at.keys().collect();
        if self.points == 0 {
            left = self.left.iter().collect();
        }
        if is_of_glibc(&left) {
            left.clear();
        }
        let is_library = |name: &&String| staging.is_library(name.as_ref());
        let seen = [self.listed, self.mapped, self.by_noload].iter().any(|witness| witness.seen > 0);
        unload.state = if self.before || seen || left.iter().any(is_library) {
            UnloadState::Pinned
        } else if left.is_empty() {
            UnloadState::Unloaded
        } else {
            UnloadState::Partial
        };
        unload.objects_left = left.into_iter().map(|name| staging.unstaged(name)).collect();
        unload.objects_left.dedup();
    }

    /// Where the witnesses differ, or changed their minds, and what else is odd.
    pub(super) fn notes(&self, staging: &Staging) -> Vec<Note> {
        let mut notes = Vec::new();
        let witnesses = [
            (self.listed, record::Witness::LoaderList),
            (self.by_noload, record::Witness::Noload),
            (self.mapped, record::Witness::Maps),
        ];
        let asked = || witnesses.iter().filter(|(witness, _)| witness.asked > 0);
        let differ = asked().any(|(w, _)| w.last) && asked().any(|(w, _)| !w.last);
        let wavered = asked().any(|(w, _)| w.seen != 0 && w.seen != w.asked);
        if differ || wavered {
            let count = |(count, witness): &(Witness, record::Witness)| WitnessCount {
                witness: *witness,
                asked: count.asked,
                had: count.seen,
            };
            notes.push(Note::WitnessesDiffer { witnesses: asked().map(count).collect() });
        }
        let of_glibc = is_of_glibc(&self.left_at.keys().collect::<Vec<_>>());
        if of_glibc {
            notes.push(Note::UnwinderLoaded);
        }
        for (name, points) in self.left_at.iter().filter(|(_, points)| **points < self.points) {
            if !of_glibc && !staging.is_library(name.as_ref()) {
                notes.push(Note::SometimesLeft { object: name.clone(), at: *points, of: self.points });
            }
        }
        let more = self.hidden.1 - self.hidden.0;
        if more != 0 && self.points > 0 && self.mode != Mode::Namespace {
            notes.push(Note::HiddenObjects { count: i64::try_from(more).unwrap_or(i64::MAX) });
        }
        if self.mapped.asked > 0 && !self.mapped.last && self.data_mappings > 0 {
            notes.push(Note::FileMapped { mappings: self.data_mappings });
        }
        notes
    }
}

/// Whether nothing stays but the library that glibc loads to unwind a thread's stack (`__libc_unwind_link_get` in
/// misc/unwind-link.c), and never closes. A library that needs it itself takes it along when it goes.
fn is_of_glibc(left: &[&String]) -> bool {
    let unwinds =
        |name: &&String| name.rsplit('/').next().is_some_and(|name| name.starts_with("libgcc_s.so"));
    !left.is_empty() && left.iter().all(unwinds)
}

/// Objects that the loader counts and does not list. The program itself and the vDSO are in the count only.
fn hidden(channel: &Channel, listed: usize) -> i128 {
    let seen = observation(channel);
    // What was removed may be below zero; see `Series::totals`.
    i128::from(seen.adds) - i128::from(seen.subs.cast_signed()) - listed as i128
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::supervisor::staging::Files;

    const LIBRARY: &str = "/no/such/lib.so";

    fn seen(times: u64, of: u64) -> Witness {
        Witness { asked: of, seen: times, last: times > 0 }
    }

    fn answer(watch: &Watch) -> (UnloadState, Vec<String>, Vec<Note>) {
        let staging = Staging::new([Path::new(LIBRARY)], 1, Files::Original).unwrap();
        let mut unload = Unload::default();
        watch.finish(&Observation::default(), &Checkpoints::default(), &staging, &mut unload);
        (unload.state, unload.objects_left, watch.notes(&staging))
    }

    #[test]
    fn one_witness_that_has_it_is_enough() {
        let none = seen(0, 5);
        let clean = Watch { points: 5, listed: none, mapped: none, by_noload: none, ..Watch::default() };
        assert_eq!(answer(&clean), (UnloadState::Unloaded, Vec::new(), Vec::new()));
        for witness in 0..3 {
            let mut watch =
                Watch { points: 5, listed: none, mapped: none, by_noload: none, ..Watch::default() };
            *[&mut watch.listed, &mut watch.mapped, &mut watch.by_noload][witness] = seen(5, 5);
            let (state, _, notes) = answer(&watch);
            assert_eq!(state, UnloadState::Pinned);
            assert!(matches!(notes.as_slice(), [Note::WitnessesDiffer { .. }]), "{notes:?}");
        }
    }

    #[test]
    fn what_is_left_now_and_then_is_left() {
        let left_at = BTreeMap::from([("/lib/dep.so".to_owned(), 2)]);
        let watch = Watch { points: 5, left_at, ..Watch::default() };
        let (state, left, notes) = answer(&watch);
        assert_eq!((state, left), (UnloadState::Partial, vec!["/lib/dep.so".to_owned()]));
        assert!(matches!(notes[0], Note::SometimesLeft { at: 2, of: 5, .. }), "{notes:?}");
        let left_at = BTreeMap::from([(LIBRARY.to_owned(), 1)]);
        let watch = Watch { points: 5, left_at, listed: seen(1, 5), ..Watch::default() };
        assert_eq!(answer(&watch).0, UnloadState::Pinned);
    }

    #[test]
    fn what_glibc_loads_for_itself_is_not_left_by_the_library() {
        let watch = |names: &[&str]| {
            let left_at = names.iter().map(|name| ((*name).to_owned(), 5)).collect();
            Watch { points: 5, left_at, ..Watch::default() }
        };
        let (state, left, notes) = answer(&watch(&["/lib/libgcc_s.so.1"]));
        assert_eq!((state, left.len()), (UnloadState::Unloaded, 0));
        assert_eq!(notes, [Note::UnwinderLoaded]);
        // What stays by itself keeps it, too.
        let (state, left, _) = answer(&watch(&["/lib/libgcc_s.so.1", "/lib/libstdc++.so.6"]));
        assert_eq!((state, left.len()), (UnloadState::Partial, 2));
    }

    #[test]
    fn objects_in_other_namespaces_and_mappings_without_code_are_noted() {
        let watch =
            Watch { points: 5, hidden: (1, 3), mapped: seen(0, 5), data_mappings: 2, ..Watch::default() };
        let (state, _, notes) = answer(&watch);
        assert_eq!(state, UnloadState::Unloaded);
        assert_eq!(notes, [Note::HiddenObjects { count: 2 }, Note::FileMapped { mappings: 2 }]);
    }
}
