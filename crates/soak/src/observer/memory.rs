//! Memory and mappings of another process, as they are while it stands.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use procfs::process::{MMPermissions, MMapPath, Process};

/// The memory of a process: `/proc/PID/mem`.
#[derive(Debug)]
pub(super) struct Memory(File);

impl Memory {
    pub(super) fn of(process: i32) -> std::io::Result<Self> {
        File::open(format!("/proc/{process}/mem")).map(Self)
    }

    /// Fills `room` from this address on; false where any of it can't be read.
    pub(super) fn read(&self, address: u64, room: &mut [u8]) -> bool {
        self.0.read_exact_at(room, address).is_ok()
    }

    pub(super) fn word(&self, address: u64) -> Option<u64> {
        let mut word = [0; 8];
        self.read(address, &mut word).then(|| u64::from_ne_bytes(word))
    }

    /// `len` bytes from this address on; `None` where any of them can't be read.
    pub(super) fn bytes(&self, address: u64, len: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.read(address, &mut bytes).then_some(bytes)
    }
}

/// One mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub end: u64,
    /// Where in the file it begins.
    pub offset: u64,
    /// What may be done with it.
    pub access: MMPermissions,
    /// What it is of.
    pub of: Backing,
}

/// What a mapping is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backing {
    /// A file, by the name that the kernel has for it; one that was deleted since has ` (deleted)` behind it.
    File(PathBuf),
    /// The code that the kernel gives each process.
    Vdso,
    /// The first thread's stack.
    Stack,
    /// Memory without a name.
    Other,
}

impl Mapping {
    /// Whether the address lies in it.
    pub fn contains(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }

    /// Whether its content may be run.
    pub fn is_code(&self) -> bool {
        self.access.contains(MMPermissions::EXECUTE)
    }
}

/// All mappings of a process by address; none where they can't be read.
pub(super) fn mappings(process: i32) -> Vec<Mapping> {
    let maps = Process::new(process).and_then(|process| process.maps());
    let mapping = |map: &procfs::process::MemoryMap| Mapping {
        start: map.address.0,
        end: map.address.1,
        offset: map.offset,
        access: map.perms,
        of: match &map.pathname {
            MMapPath::Path(path) => Backing::File(path.clone()),
            MMapPath::Vdso => Backing::Vdso,
            MMapPath::Stack => Backing::Stack,
            _ => Backing::Other,
        },
    };
    maps.map(|maps| maps.iter().map(mapping).collect()).unwrap_or_default()
}
