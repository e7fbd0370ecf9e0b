//! Reclaims the pages of another process, as memory pressure does; no kept crate has `process_madvise`.

use std::io::{Error, Result};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use nix::errno::Errno;

/// `MADV_PAGEOUT`, Linux 5.4.
const PAGE_OUT: libc::c_int = 21;

/// A descriptor for a process, `pidfd_open(2)`.
///
/// # Errors
/// When there is no such process, or the kernel is older than 5.3.
pub fn open_process(pid: i32) -> Result<OwnedFd> {
    // SAFETY: takes two numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = i32::try_from(Errno::result(fd)?).map_err(Error::other)?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Has the kernel reclaim the pages of these ranges of a process, `process_madvise(2)` with `MADV_PAGEOUT`: pages of
/// files are dropped, anonymous ones are written to swap where there is any. What can't be reclaimed stays.
///
/// # Errors
/// `EPERM` without `CAP_SYS_NICE`, `ENOSYS` before Linux 5.10, `EINVAL` for what the kernel does not reclaim (special
/// mappings, locked memory).
pub fn page_out(process: &OwnedFd, ranges: &[(u64, u64)]) -> Result<()> {
    let vectors: Vec<libc::iovec> = ranges
        .iter()
        .map(|(start, end)| libc::iovec {
            // An address of the other process, which this one never follows.
            iov_base: std::ptr::without_provenance_mut(*start as usize),
            iov_len: end.saturating_sub(*start) as usize,
        })
        .collect();
    // SAFETY: the vectors live during the call and hold addresses of the other process, which the kernel checks.
    let done = unsafe {
        libc::syscall(
            libc::SYS_process_madvise,
            process.as_raw_fd(),
            vectors.as_ptr(),
            vectors.len(),
            PAGE_OUT,
            0,
        )
    };
    Errno::result(done)?;
    Ok(())
}
