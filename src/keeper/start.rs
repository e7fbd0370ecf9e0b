//! Starts the worker from the keeper: by spawn and exec, in a session of its own, bound to end with the keeper.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl, open};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use super::{MARK, Orders};
use crate::worker;

/// Starts the worker; returns its process ID.
///
/// # Errors
/// When the process can't be started.
pub(super) fn worker(orders: &Orders, channel: &OwnedFd, line: &UnixStream) -> std::io::Result<i32> {
    // Both came without the flag, or they would not be here. The worker gets the channel alone.
    for fd in [line.as_fd(), channel.as_fd()] {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    }
    let keeper = nix::unistd::getpid();
    let fd = channel.as_raw_fd();
    // The magic link, so that it is this very program even if its file was replaced meanwhile.
    let mut command = Command::new("/proc/self/exe");
    command
        .arg(worker::ARGUMENT)
        .arg(fd.to_string())
        .env_remove("RUST_BACKTRACE")
        .env_remove("RUST_LIB_BACKTRACE")
        .envs(&orders.env)
        .env(MARK, &orders.mark)
        .stdin(Stdio::null());
    // SAFETY: the closure makes system calls only; it neither allocates nor takes a lock.
    unsafe {
        command.pre_exec(move || in_child(fd, keeper));
    }
    let child = command.spawn()?;
    i32::try_from(child.id()).map_err(std::io::Error::other)
}

fn in_child(channel: i32, keeper: Pid) -> std::io::Result<()> {
    nix::unistd::setsid()?;
    // The keeper's own blocking of signals is not what a host's process begins with: a fault could not be handled.
    SigSet::empty().thread_set_mask()?;
    // The worker does not outlive a keeper that is killed.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    if nix::unistd::getppid() != keeper {
        return Err(std::io::Error::other("the keeper is gone"));
    }
    // A crash is told in the record; a core file for each would fill the disk.
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    // Where memory is short, the kernel takes the worker and what it starts, and not what watches them. Not the most there
    // is (1000), or a library that raises its own could not be seen.
    if let Ok(score) = open(c"/proc/self/oom_score_adj", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty()) {
        let _ = nix::unistd::write(&score, b"900");
    }
    // SAFETY: the keeper holds the channel's descriptor while it spawns.
    let channel = unsafe { BorrowedFd::borrow_raw(channel) };
    fcntl(channel, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}

/// Closes the keeper's own ends of the worker's pipes.
pub(super) fn let_go_of_output() -> std::io::Result<()> {
    let null = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)?;
    Ok(())
}
