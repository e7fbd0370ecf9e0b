//! How children ended, by raw wait status: so realtime signals are reported, too. A child can be looked at without being waited for, so
//! that its process ID stays its own.

use core::ffi::c_int;

use crate::c;

/// Raw status of a child that has ended and is left as it is; `None` while it runs, or for what is no child.
pub(super) fn ended(process: c_int) -> Option<c_int> {
    let id = u32::try_from(process).ok()?;
    let mut info = c::SignalInfo::EMPTY;
    let options = c::WEXITED | c::WNOHANG | c::WNOWAIT;
    // SAFETY: the pointer is to a structure on this stack.
    if unsafe { c::waitid(c::P_PID, id, &raw mut info, options) } != 0 || info.process == 0 {
        return None;
    }
    Some(match info.code {
        c::CLD_EXITED => (info.status & 0xff) << 8,
        c::CLD_DUMPED => info.status | 0x80,
        _ => info.status,
    })
}

/// Waits for a child that has ended, without waiting for one that has not.
pub(super) fn reap(process: c_int) {
    // SAFETY: a null status asks for none.
    unsafe { c::waitpid(process, core::ptr::null_mut(), c::WNOHANG) };
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, ExitStatus};

    use super::*;

    fn end_of(script: &str) -> ExitStatus {
        let mut child = Command::new("sh").args(["-c", script]).spawn().unwrap();
        let pid = child.id().cast_signed();
        let seen = loop {
            match ended(pid) {
                Some(status) => break status,
                None => std::thread::yield_now(),
            }
        };
        assert_eq!(ended(pid), Some(seen), "looking changes nothing");
        let status = child.wait().unwrap();
        assert_eq!(status, ExitStatus::from_raw(seen));
        assert_eq!(ended(pid), None);
        status
    }

    #[test]
    fn an_end_is_seen_as_it_is_waited_for() {
        assert_eq!(end_of("exit 7").code(), Some(7));
        assert_eq!(end_of("kill -9 $$").signal(), Some(9));
        assert_eq!(end_of("kill -40 $$").signal(), Some(40));
    }
}
