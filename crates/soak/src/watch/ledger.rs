//! Pure: from what the loader of a host reports to how often each library was loaded and unloaded, by whom, and what stays.
//!
//! A load is a *group*: what the loader adds between `Add` and `Consistent`, in one thread. The first object of a group is its root, the
//! library that was asked for; the others are what it brought.

use std::collections::{BTreeMap, HashMap};

use dlsoak_wire::watch::{Event, Kind};

/// A library that was loaded while the host ran.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Library {
    /// How often it was the root of a load.
    pub loads: u64,
    /// How often the loader removed such a load of it.
    pub unloads: u64,
    /// How often `dlopen` named it.
    pub opens: u64,
    /// How often a handle of it was closed.
    pub closes: u64,
    /// How often it was opened while a handle was open.
    pub overlaps: u64,
    /// Where `dlopen` was called for it, as the addresses that it returned to, and how often.
    pub openers: BTreeMap<u64, u64>,
    /// Objects that its loads brought: how often each was added and removed.
    pub brought: BTreeMap<String, [u64; 2]>,
}

/// Places of which a library's `openers` are told apart.
const OPENERS: usize = 64;

impl Library {
    /// A call of `dlopen` that names it, and returns to this address, gave a handle.
    fn opened(&mut self, by: u64) {
        self.overlaps += u64::from(self.opens > self.closes);
        self.opens += 1;
        if self.openers.len() < OPENERS || self.openers.contains_key(&by) {
            *self.openers.entry(by).or_default() += 1;
        }
    }

    /// Objects that its loads brought and that are still there.
    pub(super) fn left(&self) -> impl Iterator<Item = &str> {
        self.brought.iter().filter(|(_, [added, removed])| added > removed).map(|(path, _)| path.as_str())
    }
}

/// An object that the loader has.
#[derive(Debug, Clone)]
struct Living {
    path: String,
    /// Its handle.
    map: u64,
    /// Path of the root of its group.
    root: String,
    is_root: bool,
}

/// What a thread loads at the moment.
#[derive(Debug, Clone, Default)]
struct Group {
    root: Option<String>,
}

/// All that the loader of a host reported.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    /// The libraries by path.
    pub libraries: BTreeMap<String, Library>,
    /// What the host itself needs.
    pub own: Vec<String>,
    /// How often the host became another program.
    pub execs: u64,
    /// When the loader last did anything, `CLOCK_MONOTONIC` in nanoseconds.
    pub last_ns: u64,
    /// When the auditor of the program began.
    pub begun_ns: u64,
    living: HashMap<u64, Living>,
    groups: HashMap<u64, Group>,
    /// What a thread asked `dlopen` for that was not there yet, and where the call returns to.
    asked: HashMap<u64, (String, u64)>,
    /// Handles by their address, as long as they mean this object.
    handles: HashMap<u64, String>,
    begun: bool,
    /// Whether the objects that the host itself needs are all there.
    started: bool,
    /// Number of the program itself.
    program: Option<u64>,
    /// Whether the program ends: the loader then reports all objects as removed, the program first.
    ends: bool,
}

impl Ledger {
    /// Takes note of an event of the host's process.
    pub(super) fn heard(&mut self, event: &Event, name: &str) {
        self.last_ns = self.last_ns.max(event.time_ns);
        match event.kind {
            Kind::Begin => self.begin(event.time_ns),
            Kind::Add => {
                self.groups.insert(event.thread, Group::default());
            }
            Kind::Open if !self.started => {
                // The first is the program, which has no name, and the kernel's part has no file.
                self.program.get_or_insert(event.object);
                if name.starts_with('/') {
                    self.own.push(name.to_owned());
                }
            }
            Kind::Open => self.open(event, name),
            Kind::Close => {
                self.ends |= self.program == Some(event.object);
                if !self.ends {
                    self.close(event.object);
                }
            }
            Kind::Consistent => {
                self.groups.remove(&event.thread);
                self.started = true;
            }
            Kind::Opening => {
                self.asked.remove(&event.thread);
                match self.named(name) {
                    Some(path) => self.libraries.entry(path).or_default().opened(event.map),
                    None => drop(self.asked.insert(event.thread, (name.to_owned(), event.map))),
                }
            }
            Kind::Closing => {
                self.asked.remove(&event.thread);
                if let Some(path) = self.handles.get(&event.map).cloned() {
                    self.libraries.entry(path).or_default().closes += 1;
                }
            }
        }
    }

    /// Events were lost: what is under way may have ended.
    pub(super) fn lost(&mut self) {
        self.groups.clear();
        self.asked.clear();
    }

    /// Whether the loader is in the middle of a change.
    pub(super) fn is_busy(&self) -> bool {
        self.begun && !self.started || !self.groups.is_empty()
    }

    /// Whether the auditor has begun at all.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// The files that are loaded now.
    pub(super) fn there(&self) -> impl Iterator<Item = &str> {
        self.own.iter().chain(self.living.values().map(|living| &living.path)).map(String::as_str)
    }

    /// Real loads of all libraries.
    pub(super) fn loads(&self) -> u64 {
        self.libraries.values().map(|library| library.loads).sum()
    }

    /// The program is another one now: nothing of the one before is there any more.
    fn begin(&mut self, begun_ns: u64) {
        let execs = self.execs + u64::from(self.begun);
        *self = Self { execs, begun: true, last_ns: self.last_ns, begun_ns, ..Self::default() };
    }

    fn open(&mut self, event: &Event, name: &str) {
        let group = self.groups.entry(event.thread).or_default();
        let is_root = group.root.is_none();
        let root = group.root.get_or_insert_with(|| name.to_owned()).clone();
        let library = self.libraries.entry(root.clone()).or_default();
        if is_root {
            library.loads += 1;
            // Other threads that wait for the loader to open the same get a handle of this object.
            let asking = self.asked.extract_if(|_, (asked, _)| is_meant(asked, name));
            asking.for_each(|(_, (_, by))| library.opened(by));
        } else {
            library.brought.entry(name.to_owned()).or_default()[0] += 1;
        }
        self.handles.insert(event.map, name.to_owned());
        self.living.insert(event.object, Living { path: name.to_owned(), map: event.map, root, is_root });
    }

    fn close(&mut self, object: u64) {
        let Some(gone) = self.living.remove(&object) else { return };
        self.handles.remove(&gone.map);
        let library = self.libraries.entry(gone.root).or_default();
        if gone.is_root {
            library.unloads += 1;
        } else if let Some(counts) = library.brought.get_mut(&gone.path) {
            counts[1] += 1;
        }
    }

    /// The library that `dlopen` means by a name: the one that is there under that path, or whose file is called so.
    fn named(&self, name: &str) -> Option<String> {
        self.living.values().map(|living| &living.path).find(|path| is_meant(name, path)).cloned()
    }
}

/// Whether `dlopen` means this object by a name.
fn is_meant(name: &str, path: &str) -> bool {
    path == name || !name.contains('/') && path.rsplit('/').next() == Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays `(kind, object, name)` in one thread.
    fn played(ledger: &mut Ledger, events: &[(Kind, u64, &str)]) {
        for (kind, object, name) in events {
            let event =
                Event { kind: *kind, time_ns: 1, process: 1, thread: 1, object: *object, map: 1000 + object };
            ledger.heard(&event, name);
        }
    }

    const START: [(Kind, u64, &str); 4] = [
        (Kind::Begin, 0, ""),
        (Kind::Open, 1, ""),
        (Kind::Open, 2, "/lib/libc.so.6"),
        (Kind::Consistent, 0, ""),
    ];

    #[test]
    fn a_load_has_its_root_and_what_it_brought() {
        let mut ledger = Ledger::default();
        played(&mut ledger, &START);
        assert_eq!(ledger.own, ["/lib/libc.so.6"]);
        for turn in 0..3_u64 {
            let (root, dependency) = (10 + 2 * turn, 11 + 2 * turn);
            played(&mut ledger, &[(Kind::Add, 0, ""), (Kind::Open, root, "/a/mod.so")]);
            assert!(ledger.is_busy());
            let rest = [
                (Kind::Open, dependency, "/a/libdep.so"),
                (Kind::Consistent, 0, ""),
                (Kind::Close, root, ""),
            ];
            played(&mut ledger, &rest);
            if turn < 2 {
                played(&mut ledger, &[(Kind::Close, dependency, "")]);
            }
            played(&mut ledger, &[(Kind::Consistent, 0, "")]);
            assert!(!ledger.is_busy());
        }
        let library = &ledger.libraries["/a/mod.so"];
        assert_eq!((library.loads, library.unloads), (3, 3));
        assert_eq!(library.brought["/a/libdep.so"], [3, 2]);
        assert_eq!(library.left().collect::<Vec<_>>(), ["/a/libdep.so"]);
        assert_eq!(ledger.libraries.len(), 1);
    }

    #[test]
    fn handles_are_counted_by_the_object_that_they_mean() {
        let mut ledger = Ledger::default();
        played(&mut ledger, &START);
        let load = [
            (Kind::Opening, 0, "mod.so"),
            (Kind::Add, 0, ""),
            (Kind::Open, 10, "/a/mod.so"),
            (Kind::Consistent, 0, ""),
        ];
        played(&mut ledger, &load);
        played(
            &mut ledger,
            &[(Kind::Opening, 0, "mod.so"), (Kind::Opening, 0, "/a/mod.so"), (Kind::Closing, 10, "")],
        );
        let library = &ledger.libraries["/a/mod.so"];
        assert_eq!((library.opens, library.closes, library.loads, library.unloads), (3, 1, 1, 0));
        assert_eq!(library.overlaps, 2);
        // The events of this test return to 1000.
        assert_eq!(library.openers, BTreeMap::from([(1000, 3)]));
    }

    #[test]
    fn threads_that_open_the_same_at_once_have_a_handle_each() {
        let mut ledger = Ledger::default();
        played(&mut ledger, &START);
        let by = |ledger: &mut Ledger, thread, kind, object, name| {
            let event = Event { kind, time_ns: 1, process: 1, thread, object, map: 1000 + object };
            ledger.heard(&event, name);
        };
        by(&mut ledger, 1, Kind::Opening, 0, "/a/mod.so");
        by(&mut ledger, 2, Kind::Opening, 0, "/a/mod.so");
        by(&mut ledger, 2, Kind::Add, 0, "");
        by(&mut ledger, 2, Kind::Open, 10, "/a/mod.so");
        by(&mut ledger, 2, Kind::Consistent, 0, "");
        by(&mut ledger, 1, Kind::Closing, 10, "");
        by(&mut ledger, 2, Kind::Closing, 10, "");
        by(&mut ledger, 2, Kind::Close, 10, "");
        // The handle means nothing any more.
        by(&mut ledger, 1, Kind::Closing, 10, "");
        let library = &ledger.libraries["/a/mod.so"];
        assert_eq!((library.opens, library.closes, library.loads, library.unloads), (2, 2, 1, 1));
    }

    #[test]
    fn what_is_removed_because_the_program_ends_was_not_unloaded() {
        let mut ledger = Ledger::default();
        played(&mut ledger, &START);
        played(&mut ledger, &[(Kind::Add, 0, ""), (Kind::Open, 10, "/a/mod.so"), (Kind::Consistent, 0, "")]);
        played(&mut ledger, &[(Kind::Close, 1, ""), (Kind::Close, 10, "")]);
        assert_eq!((ledger.loads(), ledger.libraries["/a/mod.so"].unloads), (1, 0));
    }

    #[test]
    fn a_loader_whose_events_were_lost_is_not_busy_for_ever() {
        let mut ledger = Ledger::default();
        played(&mut ledger, &START);
        played(&mut ledger, &[(Kind::Add, 0, ""), (Kind::Open, 10, "/a/mod.so")]);
        assert!(ledger.is_busy());
        ledger.lost();
        assert!(!ledger.is_busy());
    }

    #[test]
    fn another_program_in_the_same_process_begins_anew() {
        let mut ledger = Ledger::default();
        played(&mut ledger, &START);
        played(&mut ledger, &[(Kind::Add, 0, ""), (Kind::Open, 10, "/a/mod.so"), (Kind::Consistent, 0, "")]);
        played(&mut ledger, &START);
        assert_eq!((ledger.execs, ledger.libraries.len(), ledger.own.len()), (1, 0, 1));
    }
}
