//! How children ended, by raw wait status: realtime signals are told too, and a child may be looked at without being
//! waited for, so that its process ID stays its own.

/// Raw status of a child that has ended and is left as it is; `None` while it runs, or for what is no child.
pub fn ended(pid: i32) -> Option<i32> {
    let id = libc::id_t::try_from(pid).ok()?;
    // SAFETY: all zero is a valid siginfo_t, which the kernel fills.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the pointer is to a structure on this stack.
    if unsafe { libc::waitid(libc::P_PID, id, &raw mut info, flags) } != 0 {
        return None;
    }
    // SAFETY: waitid fills in the fields of a child's end, or leaves a process ID of 0.
    let (who, status) = unsafe { (info.si_pid(), info.si_status()) };
    if who == 0 {
        return None;
    }
    Some(match info.si_code {
        libc::CLD_EXITED => (status & 0xff) << 8,
        libc::CLD_DUMPED => status | 0x80,
        _ => status,
    })
}

/// Waits for a child that has ended, without waiting for one that has not.
pub fn reap(pid: i32) {
    // SAFETY: a null status asks for none.
    unsafe {
        libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, ExitStatus};

    use super::*;

    fn end_of(script: &str) -> ExitStatus {
        let mut child = Command::new("sh").args(["-c", script]).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
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
