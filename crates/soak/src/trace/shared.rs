//! The memory that a traced worker's notes go to, and the library that takes them, both without a name in a directory: they are handed to
//! the worker by the names that `/proc` has for this process's descriptors.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::{fmt, io};

use dlsoak_wire::notes::{MAGIC, Memory, NAME};
use nix::errno::Errno;

use crate::settings::Libc;
use crate::supervisor::image;
use crate::sys::c_library;
use crate::sys::mapped::Mapped;

/// Why a worker can't be traced.
#[derive(Debug, thiserror::Error)]
pub enum SharedError {
    /// This build has no library to preload.
    #[error("tracing needs glibc, on x86-64 or AArch64")]
    NotHere,
    /// A system call failed.
    #[error("memory for the trace: {0} failed: {1}")]
    System(&'static str, Errno),
    /// Neither a memfd nor a file could be had.
    #[error("memory for the trace: {0}")]
    Memory(io::Error),
    /// The library could not be written.
    #[error("the library that takes notes could not be written to memory or a file: {0}")]
    Image(io::Error),
}

/// What a traced worker is given.
pub struct Shared {
    memory: Mapped<Memory>,
    notes: OwnedFd,
    image: OwnedFd,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("notes", &self.notes).finish_non_exhaustive()
    }
}

impl Shared {
    /// The variable of the worker's environment that names the memory.
    pub const MEMORY: &str = "DLSOAK_TRACE_MEMORY";

    /// Makes the memory. The files in the directory `copies` are taken for copies of the library. A page takes memory only
    /// once something is noted on it.
    ///
    /// # Errors
    /// Where tracing can't be had, or the kernel refuses the memory.
    pub fn create(copies: Option<&Path>, libc: Libc) -> Result<Self, SharedError> {
        let preload = c_library::agents(libc).preload;
        if preload.is_empty() {
            return Err(SharedError::NotHere);
        }
        let notes = image::memory(c"dlsoak-trace", size_of::<Memory>()).map_err(SharedError::Memory)?;
        let image =
            image::data(c"dlsoak-preload.so", &c_library::fitting(preload)).map_err(SharedError::Image)?;
        let memory = Mapped::notes(&notes).map_err(|e| SharedError::System("mmap", e))?;
        let shared = Self { memory, notes, image };
        let memory = shared.memory();
        if let Some(copies) = copies {
            let name = copies.as_os_str().as_bytes();
            let len = crate::channel::write_bytes(&memory.private[..NAME - 1], name);
            let len = len + crate::channel::write_bytes(&memory.private[len..], b"/");
            memory.private_len.store(u32::try_from(len).unwrap_or(0), Relaxed);
        }
        memory.magic.store(MAGIC, Relaxed);
        Ok(shared)
    }

    /// The notes.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Bytes of the memory that something was noted on; 0 where the kernel does not tell.
    pub fn used(&self) -> u64 {
        /// Bytes that `st_blocks` counts in; see inode(7).
        const BLOCK: u64 = 512;
        nix::sys::stat::fstat(&self.notes).map_or(0, |stat| stat.st_blocks.unsigned_abs() * BLOCK)
    }

    /// What the worker's environment must hold, besides what is `before` in `LD_PRELOAD`.
    pub fn environment(&self, before: Option<String>) -> Vec<(String, String)> {
        let own = |fd: &OwnedFd| format!("/proc/{}/fd/{}", std::process::id(), fd.as_raw_fd());
        let before = before.filter(|before| !before.is_empty());
        let preload = match &before {
            // Ours is first: what the others obtain is noted, too.
            Some(before) => format!("{}:{before}", own(&self.image)),
            None => own(&self.image),
        };
        let mut variables =
            vec![("LD_PRELOAD".to_owned(), preload), (Self::MEMORY.to_owned(), own(&self.notes))];
        variables.extend(before.map(|before| ("DLSOAK_TRACE_LD_PRELOAD".to_owned(), before)));
        variables
    }

    /// The name by which the loader knows the library that takes notes.
    pub fn preloaded(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.image.as_raw_fd()))
    }
}

#[cfg(test)]
mod tests;
