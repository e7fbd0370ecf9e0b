//! Reads `/proc/PID` of a parked worker into a [`Sample`], through the `procfs` crate. Never called while cycles
//! run: reading smaps takes the target's mmap lock.

mod kinds;
mod memory;
mod state;

use std::collections::HashSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use procfs::Current as _;
use procfs::process::{MMPermissions, MMapPath, MemoryMap, Process};

use crate::channel::Channel;
use crate::residue::snapshot::Snapshot;

pub use kinds::Kinds;

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
    /// Mappings of the watched files that hold code: a loader made them, not someone who reads the file.
    pub watched_code: u64,
    /// Other mappings of the watched files.
    pub watched_data: u64,
}

/// A file whose mappings are counted, by device and inode; by its path too, for file systems that give another
/// device to those who ask than to those who map.
#[derive(Debug, Clone)]
struct Watched {
    device: (i32, i32),
    inode: u64,
    path: PathBuf,
}

impl Watched {
    fn new(path: &Path, metadata: &Metadata) -> Self {
        let device = metadata.dev();
        let number = |part: u32| i32::try_from(part).unwrap_or(-1);
        Self {
            device: (number(libc::major(device)), number(libc::minor(device))),
            inode: metadata.ino(),
            path: std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()),
        }
    }

    fn is_mapped_by(&self, map: &MemoryMap) -> bool {
        let MMapPath::Path(path) = &map.pathname else { return false };
        (map.dev == self.device && map.inode == self.inode) || is_path(path, &self.path)
    }
}

/// Whether the kernel means this file, which may have been deleted since.
fn is_path(mapped: &Path, file: &Path) -> bool {
    mapped == file
        || mapped.to_str().and_then(|text| text.strip_suffix(" (deleted)")).map(Path::new) == Some(file)
}

/// Opens on `/proc/PID`, taken before the process does anything, so that a reused PID can't be mistaken for it.
#[derive(Debug)]
pub struct Sampler {
    process: Process,
    watched: Vec<Watched>,
}

impl Sampler {
    /// Opens `/proc/PID`.
    ///
    /// # Errors
    /// When there is no such process, or `/proc` is not mounted.
    pub fn new(pid: i32) -> procfs::ProcResult<Self> {
        Ok(Self { process: Process::new(pid)?, watched: Vec::new() })
    }

    /// Counts mappings of these files from now on. A file that is not there is not counted.
    pub fn watch(&mut self, files: &[PathBuf]) {
        let known = |path: &PathBuf| Some(Watched::new(path, &std::fs::metadata(path).ok()?));
        self.watched = files.iter().filter_map(known).collect();
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
        let rollup = self.process.smaps_rollup()?;
        let total = |key: &str| -> u64 {
            rollup.memory_map_rollup.iter().filter_map(|m| m.extension.map.get(key)).sum()
        };
        let status = self.process.status()?;
        let maps = self.process.maps()?;
        let watched = || maps.iter().filter(|map| self.watched.iter().any(|file| file.is_mapped_by(map)));
        let code = watched().filter(|map| map.perms.contains(MMPermissions::EXECUTE)).count() as u64;
        Ok(Sample {
            rss: total("Rss"),
            anon: total("Anonymous"),
            private_dirty: total("Private_Dirty"),
            pss: total("Pss"),
            virt: status.vmsize.unwrap_or(0).saturating_mul(1024),
            page_tables: status.vmpte.unwrap_or(0).saturating_mul(1024),
            mappings: maps.len() as u64,
            threads: status.threads,
            fds: self.process.fd_count()? as u64,
            watched_code: code,
            watched_data: watched().count() as u64 - code,
        })
    }

    /// Resident memory by kind of mapping; `is_library` tells the files of the library by the paths that the kernel gives.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn kinds(&self, is_library: impl Fn(&Path) -> bool) -> procfs::ProcResult<Kinds> {
        kinds::kinds(&self.process, is_library)
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

    /// Resident set size in bytes; cheap enough to be asked while cycles run.
    pub fn resident(&self) -> Option<u64> {
        Some(self.process.statm().ok()?.resident.saturating_mul(procfs::page_size()))
    }
}

/// Memory in bytes that new processes can have without swapping.
pub fn available_memory() -> Option<u64> {
    procfs::Meminfo::current().ok()?.mem_available
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
        assert!(sampler.resident().unwrap() > 0 && available_memory().is_some());
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
        assert!(is_path(Path::new("/a/b.so (deleted)"), Path::new("/a/b.so")));
        assert!(!is_path(Path::new("/a/b.so"), Path::new("/a/c.so")));
    }

    #[test]
    fn mapped_memory_is_seen() {
        let sampler = Sampler::new(i32::try_from(std::process::id()).unwrap()).unwrap();
        let before = sampler.sample().unwrap();
        let held = vec![1_u8; 32 << 20];
        let with = sampler.sample().unwrap();
        // Other tests run beside this one and may free some of theirs.
        assert!(with.rss > before.rss + (24 << 20) && with.virt > before.virt + (24 << 20));
        drop(held);
    }
}
