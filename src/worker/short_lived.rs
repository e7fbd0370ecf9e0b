//! A thread for one cycle, started and joined without an allocation of ours; `std::thread` makes several.

use std::ffi::c_void;

use nix::errno::Errno;

/// How often to look whether the kernel has let go of a thread that was joined; it takes microseconds.
const LOOKS: u32 = 10_000;

/// Runs `work` on a thread of its own, with the stack that a C host's threads get, and waits until that thread is gone.
///
/// # Errors
/// When the thread can't be started.
pub(super) fn run<F: FnMut() + Send>(work: &mut F) -> Result<(), Errno> {
    /// What the thread is handed.
    struct Task<'a, F> {
        work: &'a mut F,
        id: libc::pid_t,
    }

    extern "C" fn start<F: FnMut() + Send>(task: *mut c_void) -> *mut c_void {
        // SAFETY: this is the Task below, which lives until this thread was joined and is not touched meanwhile.
        let task = unsafe { &mut *task.cast::<Task<'_, F>>() };
        task.id = nix::unistd::gettid().as_raw();
        (task.work)();
        std::ptr::null_mut()
    }

    let mut task = Task { work, id: 0 };
    let mut thread = std::mem::MaybeUninit::uninit();
    // SAFETY: the function fits the type it is declared with, and what it is handed outlives the thread.
    let started = unsafe {
        libc::pthread_create(thread.as_mut_ptr(), std::ptr::null(), start::<F>, (&raw mut task).cast())
    };
    if started != 0 {
        return Err(Errno::from_raw(started));
    }
    // SAFETY: the thread was started just now, so that its number is set, and is joined this once.
    unsafe { libc::pthread_join(thread.assume_init(), std::ptr::null_mut()) };
    // Joined is not yet gone: for a moment the kernel lists it still, and a checkpoint would count it.
    for _ in 0..LOOKS {
        // SAFETY: signal 0 is not sent, only asked about.
        let there = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), task.id, 0) };
        if there != 0 {
            break;
        }
        // SAFETY: yields the processor, without any precondition.
        unsafe { libc::sched_yield() };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_is_another_one_and_gone_afterwards() {
        let own = nix::unistd::gettid();
        let mut ran_on = own;
        run(&mut || ran_on = nix::unistd::gettid()).unwrap();
        assert_ne!(ran_on, own);
        assert!(!std::path::Path::new(&format!("/proc/self/task/{ran_on}")).exists());
    }
}
