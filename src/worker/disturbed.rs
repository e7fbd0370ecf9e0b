//! What a host has that uses signals: a handler. A worker that is sent signals on purpose gets an empty one for each
//! that would end it.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::sys::state;

/// Does nothing; that it ran is what interrupts a system call.
extern "C" fn nothing(_: libc::c_int) {}

/// Installs an empty handler for each of these signals whose action is the default. Before anything is opened, so that it
/// is part of what the process was like before.
pub(super) fn expect(signals: &[i32]) {
    // As a well-behaved host does: calls that can go on by themselves do, and a thread's own signal stack is used.
    let action = SigAction::new(
        SigHandler::Handler(nothing),
        SaFlags::SA_RESTART | SaFlags::SA_ONSTACK,
        SigSet::empty(),
    );
    for number in signals {
        let (Ok(signal), Ok(index)) = (Signal::try_from(*number), usize::try_from(*number)) else { continue };
        if state::signal_action(index).handler == 0 {
            // SAFETY: the handler does nothing at all, which is allowed at any moment.
            let _ = unsafe { sigaction(signal, &action) };
        }
    }
}
