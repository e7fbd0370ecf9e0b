//! Maps the shared memory and hands out its parts as atomics, so that neither side needs `unsafe` to use it.

use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, munmap};

use super::{ERROR_LEN, Entry, Header, MAGIC, OBJECTS_LEN, Slot, VERSION};

/// Most threads that a channel serves; also what a worker believes at most.
const MAX_THREADS: usize = 1 << 16;
/// Largest job in bytes.
const MAX_JOB: usize = 16 << 20;

/// Bytes of the header, in whole pages.
const HEADER_LEN: usize = size_of::<Header>().next_multiple_of(4096);

/// Why the shared memory could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// A system call failed.
    #[error("shared memory for the worker: {0} failed: {1}")]
    System(&'static str, nix::errno::Errno),
    /// The memory is not what this program writes.
    #[error(
        "the worker was handed something that is not its channel ({0}); it is started by dlsoak itself only"
    )]
    Foreign(&'static str),
    /// Too much was asked for.
    #[error("{0} threads with a job of {1} bytes are more than a worker can be given")]
    TooLarge(usize, usize),
}

/// Offsets of the parts, in bytes; each part begins on a page of its own.
#[derive(Debug, Clone, Copy)]
struct Layout {
    threads: usize,
    capacity: usize,
    slots: usize,
    errors: usize,
    rings: usize,
    objects: usize,
    job: usize,
    job_len: usize,
    len: usize,
}

impl Layout {
    fn new(threads: usize, capacity: usize, job_len: usize) -> Result<Self, ChannelError> {
        if threads == 0 || threads > MAX_THREADS || capacity > 1 << 20 || job_len > MAX_JOB {
            return Err(ChannelError::TooLarge(threads, job_len));
        }
        let page = |offset: usize| offset.next_multiple_of(4096);
        let slots = HEADER_LEN;
        let errors = page(slots + threads * size_of::<Slot>());
        let rings = page(errors + threads * ERROR_LEN);
        let objects = page(rings + threads * capacity * size_of::<Entry>());
        let job = page(objects + OBJECTS_LEN);
        let len = page(job + job_len);
        Ok(Self { threads, capacity, slots, errors, rings, objects, job, job_len, len })
    }
}

/// The shared memory, mapped.
#[derive(Debug)]
pub struct Channel {
    base: NonNull<u8>,
    layout: Layout,
    fd: Option<OwnedFd>,
}

// SAFETY: all parts are handed out as atomics only, and the mapping lives until the last owner drops it.
unsafe impl Send for Channel {}
// SAFETY: as above.
unsafe impl Sync for Channel {}

impl Channel {
    /// Makes the memory for `threads` threads with rings of `capacity` entries, and puts `job` into it.
    ///
    /// # Errors
    /// When the kernel refuses the memory, or too much is asked for.
    pub fn create(threads: usize, capacity: usize, job: &[u8]) -> Result<Self, ChannelError> {
        let layout = Layout::new(threads, capacity, job.len())?;
        let fd = memfd_create(c"dlsoak-channel", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)
            .map_err(|e| ChannelError::System("memfd_create", e))?;
        nix::unistd::ftruncate(&fd, i64::try_from(layout.len).unwrap_or(i64::MAX))
            .map_err(|e| ChannelError::System("ftruncate", e))?;
        // Whoever shortens it, by whatever way to it, would have the supervisor killed at its next look (SIGBUS).
        let fixed = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&fd, FcntlArg::F_ADD_SEALS(fixed)).map_err(|e| ChannelError::System("fcntl", e))?;
        let base = map(fd.as_fd(), layout.len)?;
        let channel = Self { base, layout, fd: Some(fd) };
        let header = channel.header();
        header.threads.store(u32::try_from(threads).unwrap_or(u32::MAX), Relaxed);
        header.capacity.store(u32::try_from(capacity).unwrap_or(u32::MAX), Relaxed);
        header.job_len.store(job.len() as u64, Relaxed);
        write_bytes(channel.part(layout.job, layout.job_len), job);
        // Every page the worker may write is touched now: a page that appears later would count as its growth.
        for byte in channel.part(layout.slots, layout.job - layout.slots).iter().step_by(4096) {
            byte.store(0, Relaxed);
        }
        header.version.store(VERSION, Relaxed);
        header.magic.store(MAGIC, Relaxed);
        Ok(channel)
    }

    /// Maps the memory that a supervisor made, and closes the descriptor.
    ///
    /// # Errors
    /// When it is not such memory, or cannot be mapped.
    pub fn open(fd: OwnedFd) -> Result<Self, ChannelError> {
        let size = nix::sys::stat::fstat(&fd).map_err(|e| ChannelError::System("fstat", e))?.st_size;
        let size = usize::try_from(size).unwrap_or(0);
        if size < HEADER_LEN {
            return Err(ChannelError::Foreign("too small"));
        }
        // The rest of the layout follows from the header, so it is read through a mapping of that part.
        let first = Layout { len: HEADER_LEN, ..Layout::new(1, 0, 0)? };
        let probe = Self { base: map(fd.as_fd(), HEADER_LEN)?, layout: first, fd: None };
        let header = probe.header();
        if header.magic.load(Relaxed) != MAGIC {
            return Err(ChannelError::Foreign("wrong magic"));
        }
        if header.version.load(Relaxed) != VERSION {
            return Err(ChannelError::Foreign("another version's layout"));
        }
        let layout = Layout::new(
            header.threads.load(Relaxed) as usize,
            header.capacity.load(Relaxed) as usize,
            usize::try_from(header.job_len.load(Relaxed)).unwrap_or(usize::MAX),
        )?;
        if layout.len != size {
            return Err(ChannelError::Foreign("wrong size"));
        }
        let base = map(fd.as_fd(), layout.len)?;
        // A library that forks and lets the child return makes a second process that believes to be the worker. Without
        // this memory it ends at its first report, and no figure is its.
        // SAFETY: the range is the mapping just made; it stays as it is for this process.
        unsafe { madvise(base.cast(), layout.len, MmapAdvise::MADV_DONTFORK) }
            .map_err(|e| ChannelError::System("madvise", e))?;
        Ok(Self { base, layout, fd: None })
    }

    /// The descriptor to hand to the worker, on the supervisor's side.
    pub fn raw_fd(&self) -> Option<i32> {
        self.fd.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// The words that both sides know by name.
    pub fn header(&self) -> &Header {
        // SAFETY: the mapping is at least a page, page-aligned, and all of Header's fields are atomics that are
        // valid for any bytes.
        unsafe { self.base.cast::<Header>().as_ref() }
    }

    /// One slot per thread.
    pub fn slots(&self) -> &[Slot] {
        // SAFETY: the layout has `threads` slots at this page-aligned offset; Slot is made of atomics.
        unsafe { std::slice::from_raw_parts(self.at(self.layout.slots).cast(), self.layout.threads) }
    }

    /// The ring of one thread; empty for a thread that is not there.
    pub fn ring(&self, thread: usize) -> &[Entry] {
        if thread >= self.layout.threads {
            return &[];
        }
        let offset = self.layout.rings + thread * self.layout.capacity * size_of::<Entry>();
        // SAFETY: the layout has `capacity` entries for this thread at this 8-aligned offset; Entry is made of
        // atomics.
        unsafe { std::slice::from_raw_parts(self.at(offset).cast(), self.layout.capacity) }
    }

    /// The room for one thread's error message; empty for a thread that is not there.
    pub fn error(&self, thread: usize) -> &[AtomicU8] {
        if thread >= self.layout.threads {
            return &[];
        }
        self.part(self.layout.errors + thread * ERROR_LEN, ERROR_LEN)
    }

    /// The room for the list of loaded objects.
    pub fn objects(&self) -> &[AtomicU8] {
        self.part(self.layout.objects, OBJECTS_LEN)
    }

    /// The job, as the supervisor wrote it.
    pub fn job(&self) -> Vec<u8> {
        read_bytes(self.part(self.layout.job, self.layout.job_len), self.layout.job_len)
    }

    fn at(&self, offset: usize) -> *const u8 {
        self.base.as_ptr().wrapping_add(offset)
    }

    fn part(&self, offset: usize, len: usize) -> &[AtomicU8] {
        // SAFETY: callers pass parts of the layout, which lie within the mapping; AtomicU8 has no alignment.
        unsafe { std::slice::from_raw_parts(self.at(offset).cast(), len) }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        // SAFETY: base and len are those of the mapping, and no reference into it outlives self.
        let _ = unsafe { munmap(self.base.cast::<c_void>(), self.layout.len) };
    }
}

fn map(fd: BorrowedFd<'_>, len: usize) -> Result<NonNull<u8>, ChannelError> {
    let len = NonZeroUsize::new(len).ok_or(ChannelError::Foreign("empty"))?;
    // MAP_POPULATE: the page table entries are there before the first checkpoint.
    let flags = MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE;
    // SAFETY: a new shared mapping of a memfd at an address the kernel chooses touches nothing that exists.
    let base = unsafe { mmap(None, len, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, flags, fd, 0) }
        .map_err(|e| ChannelError::System("mmap", e))?;
    Ok(base.cast())
}

/// Copies `bytes` into shared memory, as much as fits; returns how much that was.
pub fn write_bytes(to: &[AtomicU8], bytes: &[u8]) -> usize {
    for (cell, byte) in to.iter().zip(bytes) {
        cell.store(*byte, Relaxed);
    }
    bytes.len().min(to.len())
}

/// Copies the first `len` bytes out of shared memory, fewer where there are fewer.
pub fn read_bytes(from: &[AtomicU8], len: usize) -> Vec<u8> {
    from.iter().take(len).map(|cell| cell.load(Relaxed)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_see_the_same_memory() {
        let ours = Channel::create(3, 128, b"{\"job\":1}").unwrap();
        let theirs = Channel::open(ours.fd.as_ref().unwrap().try_clone().unwrap()).unwrap();
        assert_eq!(theirs.job(), b"{\"job\":1}");
        assert_eq!(theirs.slots().len(), 3);
        theirs.slots()[2].completed.store(7, Relaxed);
        theirs.ring(2)[127].close.store(99, Relaxed);
        theirs.ring(0)[0].open.store(1, Relaxed);
        write_bytes(theirs.error(1), b"no");
        assert_eq!(ours.slots()[2].completed.load(Relaxed), 7);
        assert_eq!(ours.ring(2)[127].close.load(Relaxed), 99);
        assert_eq!(ours.ring(1)[0].open.load(Relaxed), 0);
        assert_eq!(read_bytes(ours.error(1), 2), b"no");
        assert!(ours.ring(3).is_empty() && ours.error(9).is_empty());
    }

    #[test]
    fn the_memory_keeps_its_length() {
        let channel = Channel::create(1, 16, b"").unwrap();
        let fd = channel.fd.as_ref().unwrap();
        assert!(nix::unistd::ftruncate(fd, 0).is_err() && nix::unistd::ftruncate(fd, 1 << 30).is_err());
    }

    #[test]
    fn foreign_memory_is_refused() {
        let fd = memfd_create(c"other", MFdFlags::MFD_CLOEXEC).unwrap();
        assert!(matches!(Channel::open(fd.try_clone().unwrap()), Err(ChannelError::Foreign("too small"))));
        nix::unistd::ftruncate(&fd, 1 << 20).unwrap();
        assert!(matches!(Channel::open(fd), Err(ChannelError::Foreign("wrong magic"))));
        assert!(Channel::create(0, 1, b"").is_err());
    }
}
