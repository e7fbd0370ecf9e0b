//! What a thread waits for: the system call it is in, what its descriptor is, and the words at its futex.

use std::path::PathBuf;

use super::memory::Memory;

/// The system call that a thread is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its number.
    pub number: i64,
    /// Its arguments.
    pub arguments: [u64; 6],
    /// What its descriptor is of, where its first argument is one.
    pub file: Option<PathBuf>,
    /// The memory at the futex, where it waits on one.
    pub futex: Option<[u32; 8]>,
}

/// What a system call that may wait for long is given first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    Descriptor,
    Futex,
    Other,
}

/// The system calls that may wait for long, by name.
const WAITING: [(libc::c_long, &str, First); 37] = [
    (libc::SYS_restart_syscall, "restart_syscall", First::Other),
    (libc::SYS_futex, "futex", First::Futex),
    (libc::SYS_read, "read", First::Descriptor),
    (libc::SYS_write, "write", First::Descriptor),
    (libc::SYS_readv, "readv", First::Descriptor),
    (libc::SYS_writev, "writev", First::Descriptor),
    (libc::SYS_pread64, "pread", First::Descriptor),
    (libc::SYS_pwrite64, "pwrite", First::Descriptor),
    (libc::SYS_recvfrom, "recv", First::Descriptor),
    (libc::SYS_recvmsg, "recvmsg", First::Descriptor),
    (libc::SYS_recvmmsg, "recvmmsg", First::Descriptor),
    (libc::SYS_sendto, "send", First::Descriptor),
    (libc::SYS_sendmsg, "sendmsg", First::Descriptor),
    (libc::SYS_accept, "accept", First::Descriptor),
    (libc::SYS_accept4, "accept4", First::Descriptor),
    (libc::SYS_connect, "connect", First::Descriptor),
    (libc::SYS_flock, "flock", First::Descriptor),
    (libc::SYS_fcntl, "fcntl", First::Descriptor),
    (libc::SYS_fsync, "fsync", First::Descriptor),
    (libc::SYS_ioctl, "ioctl", First::Descriptor),
    (libc::SYS_epoll_pwait, "epoll_wait", First::Descriptor),
    (libc::SYS_ppoll, "poll", First::Other),
    (libc::SYS_pselect6, "select", First::Other),
    (libc::SYS_nanosleep, "nanosleep", First::Other),
    (libc::SYS_clock_nanosleep, "clock_nanosleep", First::Other),
    (libc::SYS_wait4, "wait4", First::Other),
    (libc::SYS_waitid, "waitid", First::Other),
    (libc::SYS_openat, "open", First::Other),
    (libc::SYS_rt_sigsuspend, "sigsuspend", First::Other),
    (libc::SYS_rt_sigtimedwait, "sigwait", First::Other),
    (libc::SYS_semop, "semop", First::Other),
    (libc::SYS_semtimedop, "semtimedop", First::Other),
    (libc::SYS_msgrcv, "msgrcv", First::Other),
    (libc::SYS_msgsnd, "msgsnd", First::Other),
    (libc::SYS_mq_timedreceive, "mq_receive", First::Descriptor),
    (libc::SYS_io_uring_enter, "io_uring_enter", First::Descriptor),
    (libc::SYS_sched_yield, "sched_yield", First::Other),
];

/// The same for calls that newer machines don't have.
#[cfg(target_arch = "x86_64")]
const OLDER: [(libc::c_long, &str, First); 6] = [
    (libc::SYS_poll, "poll", First::Other),
    (libc::SYS_select, "select", First::Other),
    (libc::SYS_epoll_wait, "epoll_wait", First::Descriptor),
    (libc::SYS_pause, "pause", First::Other),
    (libc::SYS_open, "open", First::Other),
    (libc::SYS_alarm, "alarm", First::Other),
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: [(libc::c_long, &str, First); 0] = [];

fn known(number: i64) -> Option<(&'static str, First)> {
    WAITING.iter().chain(&OLDER).find(|(known, ..)| *known == number).map(|(_, name, first)| (*name, *first))
}

impl Call {
    /// The system call that a thread of a process is in, from `/proc/PID/task/TID/syscall`; `None` where it runs.
    pub(super) fn of(process: i32, thread: i32, memory: &Memory) -> Option<Self> {
        let text = std::fs::read_to_string(format!("/proc/{process}/task/{thread}/syscall")).ok()?;
        let (number, arguments) = parse(&text)?;
        let first = known(number).map(|(_, first)| first);
        let file = (first == Some(First::Descriptor))
            .then(|| std::fs::read_link(format!("/proc/{process}/fd/{}", arguments[0])).ok())
            .flatten();
        let futex = (first == Some(First::Futex)).then(|| words(memory, arguments[0])).flatten();
        Some(Self { number, arguments, file, futex })
    }

    /// Its name, where it is one that waits.
    pub fn name(&self) -> Option<&'static str> {
        known(self.number).map(|(name, _)| name)
    }

    /// The descriptor that it waits on.
    pub fn descriptor(&self) -> Option<i32> {
        (known(self.number)?.1 == First::Descriptor).then(|| self.arguments[0] as i32)
    }

    /// The value that a wait on a futex found there: it waits for another one.
    pub fn expected(&self) -> Option<u32> {
        // linux/futex.h: FUTEX_WAIT and FUTEX_WAIT_BITSET, without the flags for private and real-time.
        const COMMANDS: [u64; 2] = [0, 9];
        let waits = self.number == libc::SYS_futex && COMMANDS.contains(&(self.arguments[1] & 0x7f));
        waits.then_some(self.arguments[2] as u32)
    }

    /// Whether a wait on a futex may be ended by another process: `FUTEX_PRIVATE_FLAG` is not set.
    pub fn is_shared(&self) -> bool {
        self.number == libc::SYS_futex && self.arguments[1] & 0x80 == 0
    }
}

fn words(memory: &Memory, address: u64) -> Option<[u32; 8]> {
    let mut bytes = [0; 32];
    memory.read(address, &mut bytes).then(|| {
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        words
    })
}

/// Number and arguments, as proc(5) has them; `None` for `running` and for -1, in no call.
fn parse(text: &str) -> Option<(i64, [u64; 6])> {
    let mut fields = text.split_whitespace();
    let number: i64 = fields.next()?.parse().ok()?;
    if number < 0 {
        return None;
    }
    let mut arguments = [0; 6];
    for (argument, field) in arguments.iter_mut().zip(fields) {
        *argument = u64::from_str_radix(field.strip_prefix("0x")?, 16).ok()?;
    }
    Some((number, arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_read_as_proc_has_it() {
        assert_eq!(parse("running\n"), None);
        assert_eq!(parse("-1 0x7ffc 0x7f12\n"), None);
        let (number, arguments) = parse("202 0x7f1 0x189 0x0 0x0 0x0 0xffffffff 0x7ffd 0x7f2\n").unwrap();
        assert_eq!((number, arguments), (202, [0x7f1, 0x189, 0, 0, 0, 0xffff_ffff]));
        let call = Call { number: libc::SYS_futex, arguments, file: None, futex: None };
        assert_eq!((call.name(), call.expected(), call.descriptor()), (Some("futex"), Some(0), None));
        assert!(!call.is_shared());
        let at_a_thread = Call { arguments: [0x7f1, 0x109, 1234, 0, 0, 0xffff_ffff], ..call };
        assert!(at_a_thread.is_shared());
    }
}
