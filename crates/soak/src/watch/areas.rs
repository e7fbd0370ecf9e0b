//! Pure: from what the kernel reports of a process's mappings to how often each file was loaded as code and unloaded.
//!
//! The loader maps each segment of a library by itself, and unmaps all of it at once. So a load is the mapping of a file's first segment with
//! code, and an unload is when that is unmapped.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A file, as the kernel knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct FileId {
    /// Major and minor number of the device.
    pub device: (u32, u32),
    /// Its inode there.
    pub inode: u64,
}

/// Something that the kernel reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// A file was mapped as code.
    Mapped {
        /// In this process.
        pid: i32,
        /// First address.
        start: u64,
        /// The address behind the last.
        end: u64,
        /// Where it begins in the file.
        offset: u64,
        /// The file.
        file: FileId,
        /// Its path.
        path: String,
    },
    /// `munmap` was called.
    Unmapped {
        /// By this process.
        pid: i32,
        /// First address.
        start: u64,
        /// Bytes.
        len: u64,
    },
    /// A process began.
    Forked {
        /// This one.
        pid: i32,
        /// Its parent.
        parent: i32,
    },
    /// A process became another program.
    Became {
        /// This one.
        pid: i32,
    },
    /// This many reports found no room.
    Lost(u64),
}

/// How often a file was loaded and unloaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub loads: u64,
    pub unloads: u64,
}

/// Code that is mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Area {
    end: u64,
    offset: u64,
    file: FileId,
    path: String,
}

/// All that was reported.
#[derive(Debug)]
pub(super) struct Areas {
    pid: i32,
    /// Whether `munmap` is reported.
    sees_unloads: bool,
    /// By their first address.
    live: BTreeMap<u64, Area>,
    /// Where the first code of each file is in it.
    first: HashMap<FileId, u64>,
    /// Loads and unloads of each file, by its path.
    pub counts: BTreeMap<String, Counts>,
    /// How often the process became another program.
    pub execs: u64,
    /// Processes that it forked.
    pub children: BTreeSet<i32>,
    /// What they loaded.
    pub child_loads: u64,
    /// Reports that found no room.
    pub lost: u64,
    /// Whether anything was mapped or unmapped since this was last asked.
    moved: bool,
}

impl Areas {
    /// Begins with what is mapped already: reports of `Mapped`.
    pub(super) fn new(pid: i32, sees_unloads: bool, mapped: impl IntoIterator<Item = Told>) -> Self {
        let mut areas = Self {
            pid,
            sees_unloads,
            live: BTreeMap::new(),
            first: HashMap::new(),
            counts: BTreeMap::new(),
            execs: 0,
            children: BTreeSet::new(),
            child_loads: 0,
            lost: 0,
            moved: false,
        };
        mapped.into_iter().for_each(|told| areas.heard(told));
        areas.counts.clear();
        areas
    }

    /// Takes note of a report.
    pub(super) fn heard(&mut self, told: Told) {
        match told {
            Told::Mapped { pid, start, end, offset, file, path } => {
                // What has no file is code that was made at run time.
                if !path.starts_with('/') || path.starts_with("//") {
                    return;
                }
                let path = path.strip_suffix(" (deleted)").unwrap_or(&path).to_owned();
                let first = self.first.entry(file).or_insert(offset);
                *first = offset.min(*first);
                let is_load = offset == *first;
                if pid != self.pid {
                    self.child_loads += u64::from(is_load);
                    return;
                }
                self.mapped(start, Area { end, offset, file, path }, is_load);
            }
            Told::Unmapped { pid, start, len } if pid == self.pid => {
                self.unmapped(start, start.saturating_add(len));
            }
            Told::Forked { pid, parent } if parent == self.pid => drop(self.children.insert(pid)),
            Told::Became { pid } if pid == self.pid => {
                self.execs += 1;
                self.live.clear();
                self.counts.clear();
                self.moved = true;
            }
            Told::Lost(count) => self.lost += count,
            Told::Unmapped { .. } | Told::Forked { .. } | Told::Became { .. } => {}
        }
    }

    fn mapped(&mut self, start: u64, area: Area, is_load: bool) {
        // `mprotect` reports once more what is there, and so does the list of what was mapped when we began.
        let is_it = |there: &Area| (there.file, there.offset) == (area.file, area.offset);
        if self.sees_unloads && self.live.get(&start).is_some_and(is_it) {
            return;
        }
        self.moved = true;
        self.unmapped(start, area.end);
        if is_load {
            self.counts.entry(area.path.clone()).or_default().loads += 1;
        }
        self.live.insert(start, area);
    }

    /// Code whose beginning is unmapped is gone.
    fn unmapped(&mut self, start: u64, end: u64) {
        let gone: Vec<u64> = self.live.range(start..end.max(start)).map(|(start, _)| *start).collect();
        for area in gone.iter().filter_map(|start| self.live.remove(start)) {
            self.moved = true;
            if self.first.get(&area.file) == Some(&area.offset) {
                self.counts.entry(area.path).or_default().unloads += 1;
            }
        }
    }

    /// How often each file is mapped now, and by this count should be.
    pub(super) fn copies(&self) -> BTreeMap<&str, u64> {
        let mut copies = BTreeMap::new();
        let is_first = |area: &&Area| self.first.get(&area.file) == Some(&area.offset);
        for area in self.live.values().filter(is_first) {
            *copies.entry(area.path.as_str()).or_default() += 1;
        }
        copies
    }

    /// Whether anything was mapped or unmapped since this was last asked.
    pub(super) fn has_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Loads of the file that was loaded most often.
    pub(super) fn most_loads(&self) -> u64 {
        self.counts.values().map(|counts| counts.loads).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PID: i32 = 7;

    fn mapped(pid: i32, start: u64, offset: u64, path: &str) -> Told {
        let file = FileId { device: (8, 1), inode: path.len() as u64 };
        Told::Mapped { pid, start, end: start + 0x1000, offset, file, path: path.to_owned() }
    }

    fn unmapped(start: u64, len: u64) -> Told {
        Told::Unmapped { pid: PID, start, len }
    }

    fn heard(mut areas: Areas, told: impl IntoIterator<Item = Told>) -> Areas {
        told.into_iter().for_each(|told| areas.heard(told));
        areas
    }

    fn counts(areas: &Areas, path: &str) -> (u64, u64) {
        areas.counts.get(path).map_or((0, 0), |counts| (counts.loads, counts.unloads))
    }

    #[test]
    fn a_library_of_two_segments_with_code_is_loaded_once_and_unloaded_at_once() {
        let areas = heard(
            Areas::new(PID, true, [mapped(PID, 0x1000, 0x1000, "/libc.so")]),
            (0..3).flat_map(|_| {
                let first = mapped(PID, 0x9000, 0x1000, "/a.so");
                // The same once more, as `mprotect` reports it.
                let [again, second] = [first.clone(), mapped(PID, 0xb000, 0x3000, "/a.so")];
                [first, again, second, unmapped(0x8000, 0x8000)]
            }),
        );
        assert_eq!(counts(&areas, "/a.so"), (3, 3));
        assert_eq!(counts(&areas, "/libc.so"), (0, 0));
        assert_eq!(areas.copies(), BTreeMap::from([("/libc.so", 1)]));
    }

    #[test]
    fn what_was_there_before_is_unloaded_and_never_loaded() {
        let there = mapped(PID, 0x9000, 0x1000, "/a.so");
        let areas = heard(Areas::new(PID, true, [there.clone()]), [there, unmapped(0x9000, 0x1000)]);
        assert_eq!(counts(&areas, "/a.so"), (0, 1));
    }

    #[test]
    fn where_nothing_is_said_of_unmapping_each_mapping_is_a_load() {
        let load = mapped(PID, 0x9000, 0x1000, "/a.so");
        let areas = heard(Areas::new(PID, false, []), [load.clone(), load]);
        assert_eq!(counts(&areas, "/a.so").0, 2);
    }

    #[test]
    fn other_memory_and_other_processes_are_not_the_process_s_libraries() {
        let mut areas = heard(
            Areas::new(PID, true, []),
            [
                mapped(PID, 0x9000, 0, "//anon"),
                mapped(PID, 0xa000, 0, "[vdso]"),
                Told::Forked { pid: 8, parent: PID },
                mapped(8, 0x9000, 0x1000, "/a.so"),
                mapped(PID, 0x9000, 0x1000, "/b.so (deleted)"),
                unmapped(0xf000, 0x1000),
                unmapped(0x9000, 0),
            ],
        );
        assert_eq!((areas.children.len(), areas.child_loads), (1, 1));
        assert_eq!(counts(&areas, "/b.so"), (1, 0));
        assert_eq!(areas.counts.len(), 1);
        assert!(areas.has_moved() && !areas.has_moved());
        areas.heard(Told::Became { pid: PID });
        assert_eq!((areas.execs, areas.counts.len(), areas.copies().len()), (1, 0, 0));
    }
}
