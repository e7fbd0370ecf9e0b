//! Waiting on a word of memory that two processes share; `futex(2)`, without the private flag.

use std::sync::atomic::{AtomicU32, Ordering::Acquire};
use std::time::{Duration, Instant};

/// How long to look at a word before sleeping on it. Waking a sleeper on another CPU of a virtual machine took 0.1 ms here, and a cycle of a
/// small library takes 0.04: of 1,000 cycles with 128 checkpoints a fifth of the time was spent in waking.
const AWAKE: Duration = Duration::from_micros(500);

/// Stays awake while `word` is `expected`, up to half a millisecond, and lets others have the CPU meanwhile (`sched_yield(2)`): whether it
/// still is.
pub fn look_for_a_while(word: &AtomicU32, expected: u32) -> bool {
    let began = Instant::now();
    while word.load(Acquire) == expected {
        if began.elapsed() >= AWAKE {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

/// Sleeps while `word` is `expected`, until woken, interrupted by a signal, or `timeout` has passed.
///
/// Returns without saying which: the caller looks at the word again, as `futex(2)` demands.
pub fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
    let spec = timeout.map(|t| libc::timespec {
        tv_sec: i64::try_from(t.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: t.subsec_nanos().into(),
    });
    let spec_ptr = spec.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the word lives as long as the reference, the time specification as long as the call.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, expected, spec_ptr);
    }
}

/// Wakes everyone who waits on `word`, in this process and in others.
pub fn wake_all(word: &AtomicU32) {
    // SAFETY: the word lives as long as the reference; waking has no other precondition.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX);
    }
}
