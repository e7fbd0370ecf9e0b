//! Counts the thread-local destructors that libraries register. glibc keeps a library loaded while one of its own is
//! pending, and tells nobody: so the program offers `__cxa_thread_atexit_impl` in glibc's place, notes the call, and
//! passes it on. Nothing here allocates or locks. musl has no such function, and must not seem to have one: Rust's standard library would
//! register its destructors there, and nobody would call them.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::Release};

use dlsoak_wire::channel::{Pending, TLS_ENTRIES};

use crate::c;

/// The destructor that is registered.
pub type Destructor = unsafe extern "C" fn(*mut c_void);
type Register = unsafe extern "C" fn(Destructor, *mut c_void, *mut c_void) -> c_int;

/// One entry per object and thread. `object` is an address inside the object, 0 where the entry is free.
struct Entry {
    object: AtomicU64,
    thread: AtomicU32,
    count: AtomicU32,
}

static TABLE: [Entry; TLS_ENTRIES] =
    [const { Entry { object: AtomicU64::new(0), thread: AtomicU32::new(0), count: AtomicU32::new(0) } };
        TLS_ENTRIES];

/// Offered in glibc's place: notes a registration and passes it on.
///
/// # Safety
/// The contract is glibc's: `destructor` may be called with `object` when the thread ends, and `dso` is an address inside the
/// object that they belong to.
#[cfg_attr(all(dlsoak_program = "host", not(dlsoak_musl)), unsafe(export_name = "__cxa_thread_atexit_impl"))]
pub unsafe extern "C" fn register(destructor: Destructor, object: *mut c_void, dso: *mut c_void) -> c_int {
    static REAL: c::Real = c::Real::new(c"__cxa_thread_atexit_impl");
    note(dso as u64, thread());
    let real = REAL.address();
    if real.is_null() {
        return -1;
    }
    // SAFETY: that symbol is a function of this type in every glibc.
    let real = unsafe { core::mem::transmute::<*mut c_void, Register>(real) };
    // SAFETY: the caller's contract is the same.
    unsafe { real(destructor, object, dso) }
}

/// Writes down what is pending: registered by a thread that still lives. All other threads are parked.
pub(super) fn write_down(to: &[Pending; TLS_ENTRIES]) {
    forget_ended();
    for (entry, to) in TABLE.iter().zip(to) {
        to.object.store(entry.object.load(Relaxed), Relaxed);
        to.thread.store(entry.thread.load(Relaxed), Relaxed);
        to.count.store(entry.count.load(Relaxed), Relaxed);
    }
}

fn note(object: u64, thread: u32) {
    if !try_note(object, thread) {
        // Threads that come and go leave entries; the destructors of those that went have run.
        forget_ended();
        try_note(object, thread);
    }
}

fn try_note(object: u64, thread: u32) -> bool {
    // An entry is changed by its own thread only, so that no two threads count in one.
    let own = |entry: &&Entry| entry.object.load(Relaxed) == object && entry.thread.load(Relaxed) == thread;
    if let Some(entry) = TABLE.iter().find(own) {
        entry.count.fetch_add(1, Relaxed);
        return true;
    }
    let free = TABLE.iter().find(|e| e.thread.compare_exchange(0, thread, Relaxed, Relaxed).is_ok());
    let Some(entry) = free else { return false };
    entry.count.store(1, Relaxed);
    entry.object.store(object, Release);
    true
}

fn forget_ended() {
    for entry in &TABLE {
        let thread = entry.thread.load(Relaxed);
        if thread != 0 && !lives(thread) {
            entry.object.store(0, Relaxed);
            let _ = entry.thread.compare_exchange(thread, 0, Release, Relaxed);
        }
    }
}

fn thread() -> u32 {
    c::thread_id().cast_unsigned()
}

/// Whether a thread of this process still runs.
fn lives(thread: u32) -> bool {
    c::lives(thread.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(object: u64) -> u32 {
        TABLE.iter().filter(|e| e.object.load(Relaxed) == object).map(|e| e.count.load(Relaxed)).sum()
    }

    #[test]
    fn what_a_thread_registered_is_pending_until_it_ends() {
        note(0x1000, thread());
        note(0x1000, thread());
        std::thread::spawn(|| {
            note(0x2000, thread());
            assert_eq!(count(0x2000), 1);
        })
        .join()
        .unwrap();
        // The kernel may take a moment to forget a thread that was joined.
        while count(0x2000) != 0 {
            forget_ended();
            std::thread::yield_now();
        }
        assert_eq!(count(0x1000), 2);
        for _ in 0..2 * TLS_ENTRIES {
            std::thread::spawn(|| note(0x3000, thread())).join().unwrap();
        }
        note(0x4000, thread());
        assert_eq!((count(0x1000), count(0x4000)), (2, 1));
    }
}
