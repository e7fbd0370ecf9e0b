//! A thread for one cycle, with the stack that a C host's threads get.

use core::ffi::{c_int, c_void};
use core::ptr::{null, null_mut};

use crate::c;

/// How often to look whether the kernel has let go of a thread that was joined; it takes microseconds.
const LOOKS: u32 = 10_000;

/// Runs `work` on a thread of its own, and waits until that thread is gone.
///
/// # Errors
/// The error number, when the thread can't be started.
pub(crate) fn run<F: FnMut()>(work: &mut F) -> Result<(), c_int> {
    /// What the thread is handed.
    struct Handed<'a, F> {
        work: &'a mut F,
        id: c_int,
    }

    extern "C" fn start<F: FnMut()>(handed: *mut c_void) -> *mut c_void {
        // SAFETY: this is what is handed over below, which lives until this thread was joined and is not touched meanwhile.
        let handed = unsafe { &mut *handed.cast::<Handed<'_, F>>() };
        handed.id = c::thread_id();
        (handed.work)();
        null_mut()
    }

    let mut handed = Handed { work, id: 0 };
    let mut thread = 0;
    // SAFETY: the function fits the type it is declared with, and what it is handed outlives the thread.
    let started = unsafe { c::pthread_create(&raw mut thread, null(), start::<F>, (&raw mut handed).cast()) };
    if started != 0 {
        return Err(started);
    }
    // SAFETY: the thread was started just now and is joined this once.
    unsafe { c::pthread_join(thread, null_mut()) };
    // Joined is not yet gone: for a moment the kernel lists it still, and a checkpoint would count it.
    for _ in 0..LOOKS {
        if !c::lives(handed.id) {
            break;
        }
        c::sched_yield();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_is_another_one_and_gone_afterwards() {
        let own = c::thread_id();
        let mut ran_on = own;
        run(&mut || ran_on = c::thread_id()).unwrap();
        assert_ne!(ran_on, own);
        assert!(!std::path::Path::new(&format!("/proc/self/task/{ran_on}")).exists());
    }
}
