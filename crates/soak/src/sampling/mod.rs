//! Reads `/proc/PID` of a parked worker into a [`Sample`], through the `procfs` crate. Never called while cycles
//! run: reading smaps takes the target's mmap lock.

mod guards;
mod inotify;
mod kept;
mod kinds;
mod memory;
mod room;
mod state;
mod text;
mod usage;

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use procfs::process::{MMPermissions, MMapPath, MemoryMap, Process};

use crate::channel::Channel;
use crate::residue::snapshot::Snapshot;
use inotify::Inotify;
use kept::Kept;

pub use kinds::Kinds;
pub use room::{available_descriptors, available_memory, available_tasks, tasks};

/// What `/proc` says of a process at one quiet point. Memory in bytes, the rest are counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sample {
    /// Resident set size.
    pub rss: u64,
    /// Resident anonymous memory.
    pub anon: u64,
    /// Resident private dirty memory.
    pub private_dirty: u64,
    /// Proportional set size.
    pub pss: u64,
    /// Address space.
    pub virt: u64,
    /// Page tables.
    pub page_tables: u64,
    /// Mappings.
    pub mappings: u64,
    /// Threads.
    pub threads: u64,
    /// Open file descriptors.
    pub fds: u64,
    /// Those of inotify among them.
    pub inotify: u64,
    /// Mappings of the watched files that hold code: a loader made them, not someone who reads the file.
    pub watched_code: u64,
    /// Other mappings of the watched files.
    pub watched_data: u64,
}

/// A file whose mappings are counted, by device and inode; by its path too, for file systems that give another
/// device to those who ask than to those who map.
#[derive(Debug, Clone)]
struct Watched {
    device: (u32, u32),
    inode: u64,
    path: PathBuf,
}

impl Watched {
    fn new(path: &Path, metadata: &Metadata) -> Self {
        let device = metadata.dev();
        Self {
            device: (libc::major(device), libc::minor(device)),
            inode: metadata.ino(),
            path: std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()),
        }
    }

    fn is_mapped_by(&self, map: &text::Mapping<'_>) -> bool {
        let Some(path) = map.path() else { return false };
        (map.inode == self.inode && map.device == self.device) || is_path(path, &self.path)
    }
}

/// Whether the kernel means this file, which may have been deleted since.
fn is_path(mapped: &[u8], file: &Path) -> bool {
    let rest = mapped.strip_prefix(file.as_os_str().as_bytes());
    rest.is_some_and(|rest| rest.is_empty() || rest == b" (deleted)")
}

/// The files that each checkpoint reads.
#[derive(Debug)]
struct Files {
    rollup: Kept,
    status: Kept,
    maps: Kept,
    smaps: Kept,
}

/// Opens on `/proc/PID`, taken before the process does anything, so that a reused PID can't be mistaken for it.
#[derive(Debug)]
pub struct Sampler {
    process: Process,
    files: RefCell<Files>,
    inotify: RefCell<Inotify>,
    watched: Vec<Watched>,
}

impl Sampler {
    /// Opens `/proc/PID`.
    ///
    /// # Errors
    /// When there is no such process, or `/proc` is not mounted.
    pub fn new(pid: i32) -> procfs::ProcResult<Self> {
        let files = Files {
            rollup: Kept::of(pid, "smaps_rollup"),
            status: Kept::of(pid, "status"),
            maps: Kept::of(pid, "maps"),
            smaps: Kept::of(pid, "smaps"),
        };
        let (files, inotify) = (RefCell::new(files), RefCell::default());
        Ok(Self { process: Process::new(pid)?, files, inotify, watched: Vec::new() })
    }

    /// Counts mappings of these files from now on. A file that is not there is not counted.
    pub fn watch(&mut self, files: &[PathBuf]) {
        let known = |path: &PathBuf| Some(Watched::new(path, &std::fs::metadata(path).ok()?));
        self.watched = files.iter().filter_map(known).collect();
    }

    /// What is mapped, but for what the kernel keeps there itself. Also while cycles run: it takes no lock for long.
    pub fn ranges(&self) -> Vec<(u64, u64)> {
        let Ok(maps) = self.process.maps() else { return Vec::new() };
        let special = |path: &MMapPath| {
            matches!(path, MMapPath::Vdso | MMapPath::Vvar | MMapPath::Vsyscall | MMapPath::Other(_))
        };
        maps.iter().filter(|map| !special(&map.pathname)).map(|map| map.address).collect()
    }

    /// The file that is mapped at an address; `None` where nothing is, or memory without a file.
    pub fn file_at(&self, address: u64) -> Option<PathBuf> {
        let maps = self.process.maps().ok()?;
        let map = maps.iter().find(|map| (map.address.0..map.address.1).contains(&address))?;
        match &map.pathname {
            MMapPath::Path(path) => Some(path.clone()),
            _ => None,
        }
    }

    /// Takes a sample.
    ///
    /// `smaps_rollup` and not `statm`: since Linux 6.2 the counters behind the latter may be off by megabytes
    /// on hosts with many CPUs.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn sample(&self) -> procfs::ProcResult<Sample> {
        let mut files = self.files.borrow_mut();
        let [rss, anon, private_dirty, pss] =
            text::fields(files.rollup.read()?, ["Rss", "Anonymous", "Private_Dirty", "Pss"]);
        let [virt, page_tables, threads] = text::fields(files.status.read()?, ["VmSize", "VmPTE", "Threads"]);
        let (mut mappings, mut watched_code, mut watched_data) = (0, 0, 0);
        for (map, _) in text::mappings(files.maps.read()?) {
            mappings += 1;
            if self.watched.iter().any(|file| file.is_mapped_by(&map)) {
                *(if map.is_code { &mut watched_code } else { &mut watched_data }) += 1;
            }
        }
        let gone = || procfs::ProcError::NotFound(Some(format!("/proc/{}/fd", self.process.pid()).into()));
        let fds = self.descriptors(u64::MAX).ok_or_else(gone)?;
        let inotify = self.inotify.borrow_mut().count(self.process.pid(), fds);
        Ok(Sample {
            rss,
            anon,
            private_dirty,
            pss,
            virt,
            page_tables,
            mappings,
            threads,
            fds,
            inotify,
            watched_code,
            watched_data,
        })
    }

    /// Resident memory by kind of mapping; `is_library` tells the files of the library by the paths that the kernel gives.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn kinds(&self, is_library: impl Fn(&Path) -> bool) -> procfs::ProcResult<Kinds> {
        let pointers = kinds::stack_pointers(&self.process)?;
        Ok(kinds::kinds(self.files.borrow_mut().smaps.read()?, &pointers, is_library))
    }

    /// Kibibytes of the process that are swapped out; `None` where the kernel does not say.
    pub fn swapped(&self) -> Option<u64> {
        self.process.status().ok()?.vmswap
    }

    /// Takes a snapshot of everything else that a library could leave behind, after `cycle` measured cycles.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn state(&self, channel: &Channel, cycle: u64) -> procfs::ProcResult<Snapshot> {
        state::snapshot(&self.process, channel, cycle)
    }

    /// Paths of the libraries that are mapped, in all namespaces of the loader; one that is mapped twice is there
    /// twice.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn mapped_objects(&self) -> procfs::ProcResult<Vec<String>> {
        let maps = self.process.maps()?;
        let path = |map: &MemoryMap| match &map.pathname {
            MMapPath::Path(path) => Some(path.to_string_lossy().into_owned()),
            _ => None,
        };
        // What has no code is data that somebody maps.
        let code: HashSet<String> =
            maps.iter().filter(|map| map.perms.contains(MMPermissions::EXECUTE)).filter_map(path).collect();
        let begins = maps.iter().filter(|map| map.offset == 0).filter_map(path);
        Ok(begins.filter(|path| code.contains(path)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_all_there_is_to_sample() {
        let sampler = Sampler::new(i32::try_from(std::process::id()).unwrap()).unwrap();
        let sample = sampler.sample().unwrap();
        assert!(sample.rss >= sample.anon && sample.anon > 0 && sample.virt > sample.rss, "{sample:?}");
        assert!(sample.mappings > 10 && sample.threads >= 1 && sample.fds >= 3 && sample.page_tables > 0);
        let objects = sampler.mapped_objects().unwrap();
        assert!(objects.iter().any(|path| path.contains("/libc.so")), "{objects:?}");
    }

    #[test]
    fn mappings_of_a_file_are_known_by_any_name_of_it() {
        let mut sampler = Sampler::new(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert_eq!(sampler.sample().unwrap().watched_code, 0);
        let dir = tempfile::tempdir().unwrap();
        let other_name = dir.path().join("other");
        std::os::unix::fs::symlink(std::env::current_exe().unwrap(), &other_name).unwrap();
        sampler.watch(&[other_name, PathBuf::from("/no/such/file")]);
        let sample = sampler.sample().unwrap();
        assert!(sample.watched_code >= 1 && sample.watched_data >= 1, "{sample:?}");
        let here = sampler.file_at(is_path as *const () as u64).unwrap();
        assert_eq!(here, std::env::current_exe().unwrap().canonicalize().unwrap());
        assert!(is_path(b"/a/b.so (deleted)", Path::new("/a/b.so")));
        assert!(!is_path(b"/a/b.so", Path::new("/a/c.so")));
    }

    #[test]
    fn mapped_memory_is_seen() {
        let sampler = Sampler::new(i32::try_from(std::process::id()).unwrap()).unwrap();
        // Other tests run beside this one and may free some of theirs.
        let seen = (0..50).any(|_| {
            let before = sampler.sample().unwrap();
            // More than glibc ever keeps when it is freed, so that each time it is mapped anew.
            let held = std::hint::black_box(vec![1_u8; 48 << 20]);
            let with = sampler.sample().unwrap();
            drop(held);
            with.rss > before.rss + (36 << 20) && with.virt > before.virt + (36 << 20)
        });
        assert!(seen);
    }
}
