//! What a stub calls that stands in for a function of the real host (`--host`): there is nothing to run, so the soak ends here. The name
//! goes to the supervisor, and the process ends at once, without anything of the library's being run.

use core::ffi::{CStr, c_char, c_int};
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use dlsoak_wire::channel::Failure;

use super::cycle::Failed;
use super::setup::Task;
use crate::c;

/// Exit status of a process that called a stub.
const CALLED: c_int = 3;

/// What the threads cycle by, once they do.
static TASK: AtomicPtr<Task> = AtomicPtr::new(null_mut());

/// Has calls of stubs reported in the channel of this task.
pub(super) fn report_in(task: &'static Task) {
    TASK.store(NonNull::from(task).as_ptr(), Release);
}

/// Called by each stub with the name of its function.
///
/// # Safety
/// The name ends in NUL and stays.
#[cfg_attr(dlsoak_program = "host", unsafe(export_name = "dlsoak_needs_host"))]
pub unsafe extern "C" fn called(name: *const c_char) -> ! {
    // SAFETY: it was stored by `report_in`, and lives as long as the process.
    match unsafe { TASK.load(Acquire).as_ref() } {
        Some(task) => {
            let own = c::thread_id().cast_unsigned();
            let is_own = |slot: &dlsoak_wire::channel::Slot| slot.thread.load(Relaxed) == own;
            let thread = task.channel.slots().iter().position(is_own).unwrap_or(0);
            let failed = Failed { failure: Failure::NeedsHost, number: 0, words: name };
            super::fail(&task.channel, thread, &failed);
        }
        // A library that the host links calls it before `main`: its name is the last that the process writes.
        // SAFETY: the caller's contract; the text is as long as that.
        None => unsafe {
            c::write(2, name.cast(), CStr::from_ptr(name).count_bytes());
        },
    }
    // SAFETY: nothing is left to be done.
    unsafe { c::_exit(CALLED) }
}
