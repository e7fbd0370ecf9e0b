//! `perf_event_open(2)`: what the kernel reports of another process's threads, in rings that are read here; and the kernel's tracepoints, also
//! where nobody has mounted them.
//!
//! No kept crate has all of it: perf-event2 can't let the events of many threads share a ring, and brings five crates. What is in the rings is
//! parsed by linux-perf-event-reader, which samply uses.

use std::ffi::{CStr, c_int, c_long, c_void};
use std::io::{Error, ErrorKind, Result};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// `struct perf_event_attr`, as far as it goes in Linux 4.1 (`PERF_ATTR_SIZE_VER3`). Newer kernels take the rest for 0.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Attributes {
    /// `PERF_TYPE_*`.
    pub kind: u32,
    /// Bytes of this structure; set by [`open`].
    pub size: u32,
    /// Which event of that type.
    pub config: u64,
    /// A sample each time that this many events have happened.
    pub sample_period: u64,
    /// What is in a sample.
    pub sample_type: u64,
    /// What `read(2)` gives.
    pub read_format: u64,
    /// What else is reported, and of whom.
    pub flags: u64,
    /// Not used here, like the next three.
    pub wakeup: u32,
    pub breakpoint: u32,
    pub more: [u64; 4],
    pub stack: u32,
    /// The clock of all times, where the flags say that it is chosen.
    pub clock: i32,
}

const _: () = assert!(size_of::<Attributes>() == 96);

/// Opens an event of a thread on one CPU, and of the threads and processes that it begins if the flags say so.
///
/// # Errors
/// Those of `perf_event_open(2)`.
pub(crate) fn open(attributes: &Attributes, thread: i32, cpu: u32) -> Result<OwnedFd> {
    /// `PERF_FLAG_FD_CLOEXEC`.
    const CLOEXEC: c_long = 8;
    const NO_GROUP: c_long = -1;
    let attributes = Attributes { size: size_of::<Attributes>() as u32, ..*attributes };
    let (thread, cpu) = (c_long::from(thread), c_long::from(cpu));
    // SAFETY: the structure lives as long as the call, and is as large as it says.
    descriptor(unsafe {
        libc::syscall(libc::SYS_perf_event_open, &raw const attributes, thread, cpu, NO_GROUP, CLOEXEC)
    })
}

/// A new descriptor, from a system call that gives one.
fn descriptor(result: c_long) -> Result<OwnedFd> {
    let fd = RawFd::try_from(result).ok().filter(|fd| *fd >= 0).ok_or_else(Error::last_os_error)?;
    // SAFETY: the kernel has made this descriptor just now, for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The ring of an event; it can take the records of other events of the same CPU, too.
#[derive(Debug)]
pub(crate) struct Ring {
    at: NonNull<c_void>,
    /// Bytes of records that have room.
    size: usize,
    event: OwnedFd,
}

/// The kernel's page before the records, `struct perf_event_mmap_page`, and where it has the ends of what was written and read.
const HEAD: usize = 1024;
const TAIL: usize = 1032;

/// The longest record has a path of this many bytes.
const LONGEST: usize = 8192;

impl Ring {
    /// Maps the ring of an event, with room for this many bytes, which is a power of two.
    ///
    /// # Errors
    /// When the kernel does not lock as much memory for this user.
    pub(crate) fn map(event: OwnedFd, size: usize) -> Result<Self> {
        let len = NonZeroUsize::MIN.saturating_add(page() + size - 1);
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new shared mapping at an address that the kernel chooses touches nothing that exists.
        let at = unsafe { mmap(None, len, access, MapFlags::MAP_SHARED, &event, 0) }?;
        Ok(Self { at, size, event })
    }

    /// Has the records of another event of this CPU written here.
    ///
    /// # Errors
    /// When the two do not fit together.
    pub(crate) fn share(&self, event: impl AsFd) -> Result<()> {
        /// `PERF_EVENT_IOC_SET_OUTPUT`.
        const SET_OUTPUT: libc::Ioctl = 0x2405;
        let (event, ring) = (event.as_fd().as_raw_fd(), self.event.as_raw_fd());
        // SAFETY: both descriptors are open; the call reads no memory of ours.
        let result: c_int = unsafe { libc::ioctl(event, SET_OUTPUT, ring) };
        if result < 0 { Err(Error::last_os_error()) } else { Ok(()) }
    }

    fn word(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: the page is mapped for as long as self lives, and these two of its words are aligned, and shared with the kernel.
        unsafe { self.at.byte_add(offset).cast::<AtomicU64>().as_ref() }
    }

    /// Appends all records to `to`, and makes room for others. False if it was so full that one may have found no room.
    pub(crate) fn take(&self, to: &mut Vec<u8>) -> bool {
        let (head, tail) = (self.word(HEAD).load(Acquire), self.word(TAIL).load(Relaxed));
        let len = usize::try_from(head.wrapping_sub(tail)).unwrap_or(usize::MAX).min(self.size);
        let from = tail as usize % self.size;
        let first = len.min(self.size - from);
        for (start, len) in [(from, first), (0, len - first)] {
            // SAFETY: the records follow the first page and are mapped; between tail and head the kernel writes nothing.
            to.extend_from_slice(unsafe {
                std::slice::from_raw_parts(self.at.byte_add(page() + start).cast::<u8>().as_ptr(), len)
            });
        }
        self.word(TAIL).store(head, Release);
        len + LONGEST <= self.size
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: address and length are those of the mapping, and no reference into it outlives self.
        let _ = unsafe { munmap(self.at, page() + self.size) };
    }
}

/// Bytes of a page.
fn page() -> usize {
    procfs::page_size() as usize
}

/// The kernel's tracepoints, as a directory. It is there as long as this value.
#[derive(Debug)]
pub(crate) struct Tracepoints {
    directory: PathBuf,
    _mount: Option<OwnedFd>,
}

impl Tracepoints {
    /// Finds where they are mounted, or makes a mount that no other process sees.
    ///
    /// # Errors
    /// When this user may neither read nor mount them.
    pub(crate) fn find() -> Result<Self> {
        /// Each kernel that has tracepoints has this one.
        const KNOWN: &str = "header_page";
        for place in ["/sys/kernel/tracing/events", "/sys/kernel/debug/tracing/events"] {
            let directory = PathBuf::from(place);
            if std::fs::read(directory.join(KNOWN)).is_ok() {
                return Ok(Self { directory, _mount: None });
            }
        }
        let mount = mount(c"tracefs")?;
        let directory = PathBuf::from(format!("/proc/self/fd/{}/events", mount.as_raw_fd()));
        Ok(Self { directory, _mount: Some(mount) })
    }

    /// Number of a tracepoint, and where its records have these fields.
    ///
    /// # Errors
    /// When the kernel has no such tracepoint, or this user may not read it.
    pub(crate) fn tracepoint<const N: usize>(
        &self,
        name: &str,
        fields: [&str; N],
    ) -> Result<(u64, [usize; N])> {
        let read = |file: &str| std::fs::read_to_string(self.directory.join(name).join(file));
        let unknown = || Error::from(ErrorKind::InvalidData);
        let number = read("id")?.trim().parse().map_err(Error::other)?;
        let format = read("format")?;
        let mut offsets = [0; N];
        for (offset, field) in offsets.iter_mut().zip(fields) {
            *offset = offset_in(&format, field).ok_or_else(unknown)?;
        }
        Ok((number, offsets))
    }
}

/// Where a record has a field of 8 bytes, by its description: `field:unsigned long addr; offset:16; size:8; signed:0;`.
fn offset_in(format: &str, field: &str) -> Option<usize> {
    let mut lines = format.lines().map(|line| line.trim().split(';').map(str::trim).collect::<Vec<_>>());
    let line = lines.find(|line| line.first().is_some_and(|name| name.rsplit(' ').next() == Some(field)))?;
    let of = |key: &str| line.iter().find_map(|part| part.strip_prefix(key)?.parse::<usize>().ok());
    of("offset:").filter(|_| of("size:") == Some(8))
}

/// Mounts a file system of the kernel's own nowhere: it goes with the descriptor.
fn mount(kind: &CStr) -> Result<OwnedFd> {
    /// `FSOPEN_CLOEXEC`, `FSCONFIG_CMD_CREATE` and `FSMOUNT_CLOEXEC`.
    const OPEN_CLOEXEC: c_long = 1;
    const CREATE: c_long = 6;
    const MOUNT_CLOEXEC: c_long = 1;
    let none = std::ptr::null::<c_void>();
    // SAFETY: the name ends in NUL and lives as long as the call.
    let made = descriptor(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), OPEN_CLOEXEC) })?;
    // SAFETY: this command takes neither a key nor a value.
    if unsafe { libc::syscall(libc::SYS_fsconfig, made.as_raw_fd(), CREATE, none, none, 0) } < 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: the descriptor is open; no memory of ours is read.
    descriptor(unsafe { libc::syscall(libc::SYS_fsmount, made.as_raw_fd(), MOUNT_CLOEXEC, 0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_description() {
        let format = "name: sys_enter_munmap\nID: 693\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
                      \tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;\n\
                      \tfield:unsigned long addr;\toffset:16;\tsize:8;\tsigned:0;\n\
                      \tfield:size_t len;\toffset:24;\tsize:8;\tsigned:0;\n\nprint fmt: \"addr: 0x%08lx\"\n";
        assert_eq!(offset_in(format, "addr"), Some(16));
        assert_eq!(offset_in(format, "len"), Some(24));
        assert_eq!(offset_in(format, "__syscall_nr"), None);
        assert_eq!(offset_in(format, "other"), None);
    }
}
