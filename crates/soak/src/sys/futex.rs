//! Waiting on a word of memory that two processes share; `futex(2)`, without the private flag.

use std::sync::atomic::{AtomicU32, Ordering::Acquire};
use std::time::{Duration, Instant};

/// Stays awake while `word` is `expected`, up to `longest`, and lets others have the CPU meanwhile (`sched_yield(2)`): whether it still is.
pub fn look_for_a_while(word: &AtomicU32, expected: u32, longest: Duration) -> bool {
    let began = Instant::now();
    while word.load(Acquire) == expected {
        if began.elapsed() >= longest {
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
