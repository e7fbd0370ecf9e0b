//! How much lies in malloc's thread caches: `mallinfo2(3)` counts these chunks as used, so glibc's own account can only be compared
//! with ours when they are taken off.
//!
//! glibc keeps a pointer to each thread's `tcache_perthread_struct` in thread-local memory of its own, under no name that others
//! see. It is found once, by its value: it points to a chunk of 656 bytes near the first one that this process was given. That the
//! numbers of chunks are where glibc 2.30 to 2.41 has them is not believed but tried: a chunk that is freed must be counted there.
//! Elsewhere the size is unknown.

use core::ffi::c_void;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use dlsoak_wire::channel::UNKNOWN;

use crate::c;

/// How far below the thread pointer glibc's word is; 0 while that is not known.
static BELOW: AtomicUsize = AtomicUsize::new(0);
/// The cache of the thread that runs `main`.
static OF_MAIN: AtomicUsize = AtomicUsize::new(0);

/// Bytes of `tcache_perthread_struct` as a chunk, glibc 2.30 to 2.41.
const SIZE: usize = 0x290;
/// Numbers of chunks, one for each size.
const SIZES: usize = 64;
/// How far below the thread pointer the word is searched, in words.
const WORDS: usize = 256;
/// The first chunks of a process are this near to each other.
const NEAR: usize = 1 << 20;

/// Finds where the caches are. To be called first in `main`, on its thread.
pub(super) fn find() {
    if cfg!(dlsoak_musl) {
        return;
    }
    // SAFETY: the block is freed once, and not used.
    let (block, again) = unsafe {
        let block = c::__libc_malloc(24);
        c::__libc_free(block);
        let again = c::__libc_malloc(24);
        (block as usize, again)
    };
    for word in 1..=WORDS {
        let Some([cache]) = c::peek::<1>(thread_pointer() - word * 8) else { break };
        if cache % 16 != 0 || cache.abs_diff(block) > NEAR {
            continue;
        }
        let Some([size]) = c::peek::<1>(cache.wrapping_sub(8)) else { continue };
        if size & !7 == SIZE && is_counted_there(cache) {
            BELOW.store(word * 8, Relaxed);
            OF_MAIN.store(cache, Relaxed);
            break;
        }
    }
    // SAFETY: from malloc, freed once.
    unsafe { c::__libc_free(again) };
}

/// Whether a chunk of the smallest size that is freed now is counted as the first of these numbers.
fn is_counted_there(cache: usize) -> bool {
    let first = |cache| c::peek::<1>(cache).map(|[word]| word & 0xffff);
    // SAFETY: the block is freed once, and not used.
    unsafe {
        let block: *mut c_void = c::__libc_malloc(24);
        let before = first(cache);
        c::__libc_free(block);
        matches!((before, first(cache)), (Some(before), Some(after)) if after == before + 1)
    }
}

/// Bytes in the calling thread's cache; [`UNKNOWN`] where it is not known.
pub(super) fn of_this_thread() -> u64 {
    match BELOW.load(Relaxed) {
        0 => UNKNOWN,
        below => match c::peek::<1>(thread_pointer() - below) {
            Some([0]) => 0,
            Some([cache]) => bytes(cache),
            None => UNKNOWN,
        },
    }
}

/// Bytes in the cache of the thread that runs `main`.
pub(super) fn of_main() -> u64 {
    match OF_MAIN.load(Relaxed) {
        0 => UNKNOWN,
        cache => bytes(cache),
    }
}

/// Bytes in a cache: chunks of 32 bytes, of 48, and so on. A library may have written over it, so the kernel reads it.
fn bytes(cache: usize) -> u64 {
    let Some(words) = c::peek::<{ SIZES / 4 }>(cache) else { return UNKNOWN };
    let counts = words.iter().flat_map(|word| [0, 16, 32, 48].map(|bit| (word >> bit & 0xffff) as u64));
    counts.zip(0..).map(|(count, size): (u64, u64)| count * (32 + 16 * size)).sum()
}

#[cfg(target_arch = "x86_64")]
pub(super) fn thread_pointer() -> usize {
    let pointer: usize;
    // SAFETY: the first word of a thread's control block is its own address.
    unsafe {
        core::arch::asm!("mov {}, fs:[0]", out(reg) pointer, options(nostack, preserves_flags, readonly))
    };
    pointer
}

#[cfg(target_arch = "aarch64")]
pub(super) fn thread_pointer() -> usize {
    let pointer: usize;
    // SAFETY: reads a register that user code may read. Thread-local memory is above it there, where it is not searched.
    unsafe {
        core::arch::asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nomem, nostack, preserves_flags))
    };
    pointer
}
