//! What is glibc's own: how its malloc rounds, how its mutexes look.

use super::c_library::{glibc_is_at_least, version as version_of};
use crate::settings::Libc;

/// What malloc keeps for a request of so many bytes, as `mallinfo2` counts it: `request2size` of glibc's malloc.c (a header of 8
/// bytes, multiples of 16, at least 32), and from `M_MMAP_THRESHOLD` (where nothing has moved it) on whole pages of `page`
/// bytes with a header of 16. True of 64-bit machines.
pub fn chunk_size(request: u64, page: u64) -> u64 {
    if request >= MMAP_THRESHOLD {
        return request.saturating_add(16).next_multiple_of(page.max(1));
    }
    (request + 8).next_multiple_of(16).max(32)
}

/// Bounds of what malloc keeps for `blocks` requests of `bytes` in all, whatever the size of each.
pub fn chunk_bounds(bytes: u64, blocks: u64, page: u64) -> (u64, u64) {
    let least = bytes.saturating_add(blocks.saturating_mul(8)).max(blocks.saturating_mul(32));
    // The most that header and rounding add to one: 32 bytes to nothing at all, a page where blocks are mapped.
    let more = if bytes >= MMAP_THRESHOLD { page + 15 } else { 32 };
    (least, bytes.saturating_add(blocks.saturating_mul(more)))
}

/// Bytes from which malloc maps a block by itself.
const MMAP_THRESHOLD: u64 = 128 * 1024;

/// Keeps large allocations of this program apart for good, `M_MMAP_THRESHOLD` of `mallopt(3)`, so that each goes back to the kernel when
/// it is freed. By default the first ones that are freed raise the threshold, and pieces of later ones stay. musl has no such threshold.
pub fn keep_large_allocations_apart() {
    #[cfg(target_env = "gnu")]
    {
        /// What it is by default, before it is raised.
        const THRESHOLD: libc::c_int = 128 * 1024;
        // SAFETY: mallopt has no precondition; no other thread runs yet where it is called.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, THRESHOLD);
        }
    }
}

/// Version of this machine's glibc, for example `glibc 2.36`.
pub fn version() -> String {
    version_of(Libc::Glibc).to_owned()
}

/// Whether each call through the PLT is slow in a process with an auditor, even one that does not ask for calls (BZ#15533).
pub fn slows_calls_under_audit() -> bool {
    !glibc_is_at_least(34)
}

/// Nanoseconds of `CLOCK_MONOTONIC`, from the vDSO.
#[inline]
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec on this stack; CLOCK_MONOTONIC exists on every Linux.
    unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now);
    }
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
}

/// Who holds a mutex, by the words at the futex that a thread waits on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MutexWords {
    /// Number of the thread that holds it.
    pub owner: i32,
}

impl MutexWords {
    /// Reads the words as a locked `pthread_mutex_t` of glibc (sysdeps/nptl/bits/struct_mutex.h): the lock, a count,
    /// the owner, the number of users, the kind. `None` where they can't be one, or nobody holds it.
    pub fn of(words: &[u32; 8]) -> Option<Self> {
        /// The kinds, and the bits that go with them: robust, priority inheritance and protection, elision, sharing.
        const KINDS: u32 = 0x1ff;
        let [lock, _, owner, users, kind, ..] = *words;
        // For mutexes that inherit priority the lock holds the owner itself, and a bit for those that wait.
        let held = matches!(lock, 1 | 2) || lock & 0x3fff_ffff == owner;
        let owner = i32::try_from(owner).ok().filter(|owner| *owner > 0)?;
        (held && users < 0x1_0000 && kind <= KINDS).then_some(Self { owner })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_mutex_names_its_owner() {
        let mut mutex = libc::PTHREAD_MUTEX_INITIALIZER;
        let words = |mutex: &libc::pthread_mutex_t| {
            // SAFETY: a mutex of glibc has 40 bytes, of which these are the first 32.
            unsafe { std::ptr::from_ref(mutex).cast::<[u32; 8]>().read() }
        };
        assert_eq!(MutexWords::of(&words(&mutex)), None);
        // SAFETY: the mutex is initialized, and this thread does not hold it.
        unsafe { libc::pthread_mutex_lock(&raw mut mutex) };
        let owner = nix::unistd::gettid().as_raw();
        assert_eq!(MutexWords::of(&words(&mutex)), Some(MutexWords { owner }));
        // SAFETY: this thread holds it.
        unsafe { libc::pthread_mutex_unlock(&raw mut mutex) };
        assert_eq!(MutexWords::of(&words(&mutex)), None);
    }
}
