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

    /// Whether a signal handler returns to this address: the code there is the system call `rt_sigreturn`, as GDB detects it, too
    /// (amd64-linux-tdep.c, aarch64-linux-tdep.c).
    pub(super) fn is_trampoline(&self, address: u64) -> bool {
        const CODE: &[u8] = if cfg!(target_arch = "x86_64") {
            // mov $15, %rax; syscall
            &[0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05]
        } else {
            // mov x8, #139; svc #0
            &[0x68, 0x11, 0x80, 0xd2, 0x01, 0, 0, 0xd4]
        };
        self.bytes(address, CODE.len()).is_some_and(|code| code == CODE)
    }

    /// The words of glibc's `struct pthread` of the thread with this thread pointer: from there on, or on AArch64 before it.
    pub(super) fn descriptor(&self, thread_pointer: u64) -> Vec<u64> {
        /// Bytes: 2,304 on x86-64 in glibc 2.36, and 1,856 on AArch64.
        const SIZE: u64 = 2304;
        let start =
            if cfg!(target_arch = "x86_64") { thread_pointer } else { thread_pointer.saturating_sub(SIZE) };
        let words = (0..SIZE / 8).map_while(|word| self.word(start + word * 8));
        if thread_pointer == 0 { Vec::new() } else { words.collect() }
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

    /// Whether nothing may be done with it.
    pub fn is_closed(&self) -> bool {
        !self.access.intersects(MMPermissions::READ | MMPermissions::WRITE | MMPermissions::EXECUTE)
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
