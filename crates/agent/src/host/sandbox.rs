//! Keeps the host from what a library has no business with in a soak: writing files, and the network. Entered before the first
//! library is loaded, and for good: what the host starts inherits it.
//!
//! The supervisor makes the Landlock ruleset (`landlock(7)`); the host adds its own folder in `/proc`, which only it can name, and
//! enters it. A network namespace of its own (`network_namespaces(7)`) takes the right to make one. A user namespace would permit it
//! to everyone, but in one the library sees files of all other users as owned by nobody, and can't change its user or groups as in
//! a host.

use core::ffi::{c_int, c_long};
use core::sync::atomic::Ordering::Relaxed;

use dlsoak_wire::channel::{Header, confined};
use dlsoak_wire::job::Job;

use crate::c;

/// Enters what can be entered, and writes down what that was.
///
/// # Errors
/// The error number of the last refusal, when nothing at all could be entered.
pub(super) fn enter(header: &Header, job: &Job) -> Result<(), c_int> {
    let mut refused = 0;
    let mut applied = 0;
    if job.no_network != 0 {
        // First: a process under Landlock may still do this, but not with a kernel that counts it as a change of its view.
        // SAFETY: unshare takes a number.
        if unsafe { c::unshare(c::CLONE_NEWNET) } == 0 {
            applied |= confined::NO_NETWORK;
        } else {
            refused = c::errno();
            header.network_refused.store(refused.cast_unsigned(), Relaxed);
        }
    }
    if let Some(ruleset) = job.ruleset.checked_sub(1) {
        match restrict(ruleset as c_int, job.own_proc) {
            Ok(()) => applied |= confined::NO_WRITING,
            Err(error) => refused = error,
        }
    }
    header.confined.store(applied, Relaxed);
    if applied == 0 && refused != 0 { Err(refused) } else { Ok(()) }
}

/// Enters the ruleset, with the rights `own` for the process's own folder in `/proc`.
fn restrict(ruleset: c_int, own: u64) -> Result<(), c_int> {
    /// `struct landlock_path_beneath_attr`.
    #[repr(C, packed)]
    struct PathBeneath {
        rights: u64,
        parent: c_int,
    }
    const PATH_BENEATH: c_long = 1;
    let ok = |result: c_long| if result == 0 { Ok(()) } else { Err(c::errno()) };
    // SAFETY: system calls on descriptors of this process and a structure on this stack.
    unsafe {
        let parent = c::open(c"/proc/self".as_ptr(), c::O_PATH | c::O_CLOEXEC);
        if parent >= 0 {
            let rule = PathBeneath { rights: own, parent };
            c::syscall(
                c::sys::LANDLOCK_ADD_RULE,
                c_long::from(ruleset),
                PATH_BENEATH,
                &raw const rule,
                0 as c_long,
            );
            c::close(parent);
        }
        let restricted = ok(c_long::from(c::prctl(
            c::PR_SET_NO_NEW_PRIVS,
            1 as c_long,
            0 as c_long,
            0 as c_long,
            0 as c_long,
        )))
        .and_then(|()| ok(c::syscall(c::sys::LANDLOCK_RESTRICT_SELF, c_long::from(ruleset), 0 as c_long)));
        c::close(ruleset);
        restricted
    }
}
