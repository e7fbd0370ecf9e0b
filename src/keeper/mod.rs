//! The process between supervisor and worker: it starts the worker, is the parent that everything which the library
//! starts falls back to, and ends all of it when it is told to or when the supervisor is gone, however that happened.
//! It is this same program, started again, in a session of its own; so a library that kills its parent's process group
//! reaches this and not the supervisor.

mod kin;
mod orders;
mod start;

use std::io::Write as _;
use std::os::fd::{AsFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::sys::wait;

pub use kin::marked;
pub use orders::{MARK, Message, Orders};

/// First argument of a keeper; the next two are the numbers of its line to the supervisor and of the worker's channel.
pub const ARGUMENT: &str = "__keeper";

/// When this process was started as a keeper, does its work and returns its exit code; otherwise `None`.
///
/// To be called first in `main`, before anything starts threads.
pub fn run_if_asked() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? != ARGUMENT {
        return None;
    }
    let mut number = || args.next().and_then(|fd| fd.to_str()?.parse::<i32>().ok()).filter(|fd| *fd > 2);
    let (Some(line), Some(channel)) = (number(), number()) else { return Some(ExitCode::from(2)) };
    // SAFETY: the supervisor left exactly these descriptors open for us, and nothing else in this process owns them.
    let (line, channel) = unsafe { (OwnedFd::from_raw_fd(line), OwnedFd::from_raw_fd(channel)) };
    Some(match keep(UnixStream::from(line), channel) {
        Ok(()) => ExitCode::SUCCESS,
        // The supervisor finds the line closed and says so.
        Err(_) => ExitCode::from(2),
    })
}

/// Starts the worker, tells how it ends, and stays until the supervisor has done with it.
fn keep(mut line: UnixStream, channel: OwnedFd) -> std::io::Result<()> {
    nix::sys::prctl::set_child_subreaper(true)?;
    // SAFETY: SIG_DFL is no function of ours; no other thread runs. Ignored, it would lose us the ends of children.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }?;
    // What a library sends to its parent or to the parent's group does not end the watch, but for SIGKILL.
    SigSet::all().thread_block()?;
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGCHLD);
    let signals = SignalFd::with_flags(&ends, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let orders = Orders::receive(&mut line)?;
    let started = start::worker(&orders, &channel, &line);
    drop(channel);
    let worker = match started {
        Ok(worker) => worker,
        Err(error) => {
            return line.write_all(&Message::Refused(error.raw_os_error().unwrap_or(0)).to_bytes());
        }
    };
    line.write_all(&Message::Started(worker).to_bytes())?;
    // The worker's pipes must end with those who write to them.
    start::let_go_of_output()?;
    let mut told = false;
    loop {
        // Before each pause: a signal that came meanwhile is in the descriptor already.
        if !told && let Some(status) = wait::ended(worker) {
            told = true;
            let _ = line.write_all(&Message::Ended(status).to_bytes());
        }
        kin::reap(worker);
        let mut waited =
            [PollFd::new(line.as_fd(), PollFlags::POLLIN), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waited, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => {
                kin::end_all(worker);
                return Err(error.into());
            }
        }
        // The supervisor says one thing only, by closing its end: that it is done, or dead.
        let over = waited[0].revents().is_some_and(|events| !events.is_empty());
        while matches!(signals.read_signal(), Ok(Some(_))) {}
        if over {
            let others = kin::end_all(worker);
            // After a late end, or one that was asked for: the status is still there to be told.
            if !told && let Some(status) = wait::ended(worker) {
                let _ = line.write_all(&Message::Ended(status).to_bytes());
            }
            let _ = line.write_all(&Message::Others(others).to_bytes());
            return Ok(());
        }
    }
}
