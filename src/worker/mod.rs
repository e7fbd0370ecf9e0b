//! The child process that does what is measured: opens, looks up, calls, closes, and parks at quiet points. The
//! only room with `dl*` calls. It is this same program, started again, so that it needs no file of its own.
//!
//! Its own cost at a checkpoint is zero: all it needs is allocated and touched before the first one, the loop
//! allocates nothing, and durations go straight into memory that the supervisor made.

mod allocations;
pub mod bare;
mod copies;
mod cycle;
mod disturbed;
pub mod exit_handlers;
mod failure;
pub mod hook;
mod job;
mod open;
mod park;
mod presence;
mod sandbox;
mod short_lived;
pub mod tls_destructors;
mod trace;

use std::os::fd::{FromRawFd, OwnedFd};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use nix::sys::signal::{SigHandler, Signal, signal};

use crate::channel::Channel;
use crate::record::CallFrom;
use crate::sys::clock::Clock;
use crate::sys::glibc;

pub use allocations::CountingAllocator;
pub use job::{Exercise, Job};

/// First argument of a worker process; the second is the number of the channel's descriptor.
pub const ARGUMENT: &str = "__worker";

/// What the one line begins with that a worker writes when it can't go on.
pub const WORKER_SAYS: &str = "dlsoak worker: ";

/// Stack of each cycling thread but the first: what a C host's threads get by default.
const STACK: usize = 8 << 20;

/// When this process was started as a worker, does its work and returns its exit code; otherwise `None`.
///
/// To be called first in `main`, before anything allocates or starts threads.
pub fn run_if_asked() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let asked = args.next()?;
    if asked == bare::ARGUMENT {
        let file = args.next().unwrap_or_default();
        return Some(outcome(bare::run(std::path::Path::new(&file))));
    }
    if asked != ARGUMENT {
        return None;
    }
    let fd = args.next().and_then(|fd| fd.to_str()?.parse::<i32>().ok()).filter(|fd| *fd > 2);
    Some(outcome(fd.ok_or_else(|| "no descriptor given".to_owned()).and_then(work)))
}

fn outcome(done: Result<(), String>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Standard error is a pipe of whoever started this; nobody else reads it.
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "{WORKER_SAYS}{message}");
            ExitCode::from(2)
        }
    }
}

fn work(fd: i32) -> Result<(), String> {
    restore_signals();
    // SAFETY: the supervisor left exactly this descriptor open for us, and nothing else in this process owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let channel = Arc::new(Channel::open(fd).map_err(|e| e.to_string())?);
    let threads = channel.slots().len();
    let clock = Clock::from_u32(channel.header().clock.load(Relaxed));
    let (mut plans, call_from, files) = {
        let job: Job = serde_json::from_slice(&channel.job()).map_err(|e| format!("broken job: {e}"))?;
        // Before any library is loaded, the driver of an exercise included.
        disturbed::expect(&job.signals);
        if let Some(writable) = job.confined() {
            sandbox::enter(channel.header(), &writable)?;
        }
        if job.trace {
            trace::begin()?;
        }
        (cycle::prepare(&job, threads, clock)?, job.call_from, Arc::new(job.files()?))
    };
    // The main thread cycles as well, unless no cycle is to run on it.
    let first = (call_from == CallFrom::Main).then(|| plans.remove(0));
    let offset = usize::from(first.is_some());
    let mut others = Vec::with_capacity(plans.len());
    for (index, plan) in plans.into_iter().enumerate() {
        let (channel, files) = (Arc::clone(&channel), Arc::clone(&files));
        let thread = std::thread::Builder::new()
            .name("cycle".to_owned())
            .stack_size(STACK)
            .spawn(move || park::serve(&channel, index + offset, plan, &files))
            .map_err(|e| format!("cannot start thread {}: {e}", index + offset + 1))?;
        others.push(thread);
    }
    // What setting up has freed goes back, so that a leak does not first fill our holes unseen.
    glibc::trim_heap();
    if let Some(first) = first {
        park::serve(&channel, 0, first, &files);
    }
    for thread in others {
        let _ = thread.join();
    }
    Ok(())
}

/// Puts back what the Rust runtime changes before `main`: a C host has these at their defaults, and a library that
/// looks must see a C host.
fn restore_signals() {
    for which in [Signal::SIGPIPE, Signal::SIGSEGV, Signal::SIGBUS] {
        // SAFETY: SIG_DFL is no function of ours; no other thread runs yet.
        let _ = unsafe { signal(which, SigHandler::SigDfl) };
    }
}
