//! The supervisor's side of the memory that it shares with the process it measures: makes it, and owns its mapping. The layout is
//! [`dlsoak_wire::channel`]'s. The memory is a `memfd`, or a file without a name where memfd is refused, so it outlives whatever the
//! library under test does to files and descriptors. Nothing that is read from it is trusted.

use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

pub use dlsoak_wire::channel::*;

use crate::supervisor::image::memory;

/// Why the shared memory could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// A system call failed.
    #[error("shared memory for the worker: {0} failed: {1}")]
    System(&'static str, std::io::Error),
    /// Too much was asked for.
    #[error("{0} threads with a job of {1} bytes are more than a worker can be given")]
    TooLarge(usize, usize),
}

/// The shared memory, mapped.
#[derive(Debug)]
pub struct Channel {
    parts: Parts,
    fd: OwnedFd,
}

impl Deref for Channel {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl Channel {
    /// Makes the memory for this many threads and libraries, with rings of `capacity` entries, with a table for stale pointers where they are looked
    /// for, and puts `job` into it.
    ///
    /// # Errors
    /// When the kernel refuses the memory, or too much is asked for.
    pub fn create(
        (threads, libraries): (usize, usize),
        capacity: usize,
        job: &[u8],
        has_pointers: bool,
    ) -> Result<Self, ChannelError> {
        let layout = Layout::new((threads, libraries), capacity, job.len(), has_pointers)
            .ok_or(ChannelError::TooLarge(threads, job.len()))?;
        let fd =
            memory(c"dlsoak-channel", layout.len).map_err(|e| ChannelError::System("memfd_create", e))?;
        // Whoever shortens it, by whatever way to it, would have the supervisor killed at its next look (SIGBUS). A plain file,
        // which it is where memfd is refused, has no seals, and no name either.
        let fixed = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        let _ = fcntl(&fd, FcntlArg::F_ADD_SEALS(fixed));
        let len = NonZeroUsize::MIN.saturating_add(layout.len - 1);
        // MAP_POPULATE: the page table entries are there before the first checkpoint. Where pointers are looked for nothing is counted, and most of
        // the table for them, which takes 1 MB, stays empty.
        let populate = if has_pointers { MapFlags::empty() } else { MapFlags::MAP_POPULATE };
        let flags = MapFlags::MAP_SHARED | populate;
        // SAFETY: a new shared mapping at an address the kernel chooses touches nothing that exists.
        let base = unsafe { mmap(None, len, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, flags, &fd, 0) }
            .map_err(|e| ChannelError::System("mmap", e.into()))?;
        // SAFETY: the mapping was made just now, is as large as the layout, and lives as long as this value.
        let parts = unsafe { Parts::new(base.cast(), layout) };
        let channel = Self { parts, fd };
        let header = channel.header();
        header.threads.store(u32::try_from(threads).unwrap_or(u32::MAX), Relaxed);
        header.libraries.store(u32::try_from(libraries).unwrap_or(u32::MAX), Relaxed);
        header.capacity.store(u32::try_from(capacity).unwrap_or(u32::MAX), Relaxed);
        header.job_len.store(job.len() as u64, Relaxed);
        header.has_pointers.store(u32::from(has_pointers), Relaxed);
        write_bytes(channel.job(), job);
        // Every page the worker may write is touched now: a page that appears later would count as its growth.
        let touched = if has_pointers { &[] } else { channel.writable() };
        for byte in touched.iter().skip(size_of::<Header>()).step_by(procfs::page_size() as usize) {
            byte.store(0, Relaxed);
        }
        header.version.store(VERSION, Relaxed);
        header.magic.store(MAGIC, Relaxed);
        Ok(channel)
    }

    /// The descriptor to hand to the worker.
    pub fn raw_fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        let (base, len) = self.parts.extent();
        // SAFETY: base and len are those of the mapping, and no reference into it outlives self.
        let _ = unsafe { munmap(base.cast::<c_void>(), len) };
    }
}

/// Copies the first `len` bytes out of shared memory, fewer where there are fewer.
pub fn read_bytes(from: &[AtomicU8], len: usize) -> Vec<u8> {
    from.iter().take(len).map(|cell| cell.load(Relaxed)).collect()
}

/// A phase as the record has it.
pub(crate) fn recorded(phase: Phase) -> crate::record::Phase {
    match phase {
        Phase::Between => crate::record::Phase::Between,
        Phase::Open => crate::record::Phase::Open,
        Phase::Symbol => crate::record::Phase::Symbol,
        Phase::Call => crate::record::Phase::Call,
        Phase::Close => crate::record::Phase::Close,
        Phase::After => crate::record::Phase::After,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_can_cut_it_short_or_make_it_longer() {
        let channel = Channel::create((1, 1), 128, b"", false).unwrap();
        let theirs = channel.fd.try_clone().unwrap();
        for len in [0, 4096, 1 << 24] {
            assert_eq!(nix::unistd::ftruncate(&theirs, len), Err(nix::errno::Errno::EPERM));
        }
        assert_eq!(
            fcntl(&theirs, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_WRITE)),
            Err(nix::errno::Errno::EPERM)
        );
    }

    #[test]
    fn what_is_put_there_is_there() {
        let channel = Channel::create((3, 2), 128, b"job", false).unwrap();
        assert_eq!(read_bytes(channel.job(), 3), b"job");
        let layout = Layout::of(channel.header()).unwrap();
        assert_eq!((layout.threads, layout.capacity, layout.job_len), (3, 128, 3));
        assert!(Channel::create((0, 1), 1, b"", false).is_err());
    }
}
