//! The loop that other instruments look at: it opens, looks up, calls and closes, and does nothing else. No channel, no clock, no
//! supervisor: what valgrind, LeakSanitizer or a reader of `/proc` finds in this process is the library's and not ours.
//! It tells how far it is by lines on standard error, and may stop itself there, to be looked at.

use std::path::Path;

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, raise};
use serde::{Deserialize, Serialize};

use super::Job;
use super::cycle::{self, ThreadPlan};
use super::failure::Failure;
use super::short_lived;
use crate::record::CallFrom;
use crate::sys::clock::Clock;

/// First argument of such a process; the second is the file with its [`Bare`].
pub const ARGUMENT: &str = "__bare";

/// What its lines on standard error begin with; a number of cycles follows, and at the very end [`DONE`].
pub const MARK: &str = "dlsoak-bare ";
/// Follows [`MARK`] when all cycles are done.
pub const DONE: &str = "done";

/// Bytes of each block that the loop itself leaks: an instrument that does not find any of them has not looked. A number that no
/// other block is likely to have.
pub const CONTROL_SIZE: u64 = 1_009;

/// How many there are: an address that is left somewhere on the stack hides one.
const CONTROLS: usize = 8;

/// Where standard error is kept, so that a library which closes its descriptors does not silence the loop.
const KEPT: i32 = 100;

/// What such a process is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bare {
    /// How it cycles.
    pub job: Job,
    /// Numbers of cycles after which it tells how far it is, ascending; with the last one it ends.
    pub points: Vec<u64>,
    /// Whether it stops itself (SIGSTOP) at each point.
    pub stop: bool,
}

/// Carries out what the file says.
///
/// # Errors
/// In one line, why it could not: a broken file, or what the loader or the exercise said.
pub(super) fn run(file: &Path) -> Result<(), String> {
    super::restore_signals();
    // With whoever started it gone, nobody would end it.
    let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
    // SAFETY: a descriptor that this process was started with, and that lives as long as this value.
    let stderr = unsafe { std::os::fd::BorrowedFd::borrow_raw(libc::STDERR_FILENO) };
    let tell = fcntl(stderr, FcntlArg::F_DUPFD_CLOEXEC(KEPT)).unwrap_or(libc::STDERR_FILENO);
    let (points, stop, call_from, mut plan) = {
        let bytes = std::fs::read(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
        let bare: Bare = serde_json::from_slice(&bytes).map_err(|e| format!("broken job: {e}"))?;
        let plan =
            cycle::prepare(&bare.job, 1, Clock::Monotonic)?.pop().ok_or("the job has no file to open")?;
        (bare.points, bare.stop, bare.job.call_from, plan)
    };
    leak_controls();
    crate::sys::glibc::trim_heap();
    match call_from {
        CallFrom::Worker => std::thread::scope(|scope| {
            let cycling = scope.spawn(|| cycles(&mut plan, call_from, &points, stop, tell));
            cycling.join().unwrap_or_else(|_| Err("the cycling thread ended".to_owned()))
        }),
        CallFrom::Main | CallFrom::ShortLived => cycles(&mut plan, call_from, &points, stop, tell),
    }
}

/// Before `main`: a LeakSanitizer that is preloaded sets itself up at the first call of malloc. Until then its stand-in for
/// `signal` leads nowhere, and Rust's runtime calls that before it allocates anything.
pub(super) fn wake_sanitizer() {
    // SAFETY: the name is a C string, no other thread runs, and what is allocated is freed at once.
    unsafe {
        if !libc::getenv(c"LSAN_OPTIONS".as_ptr()).is_null() {
            libc::free(std::hint::black_box(libc::malloc(1)));
        }
    }
}

/// Before the first cycle, so that no figure per cycle has them.
#[inline(never)]
fn leak_controls() {
    for _ in 0..CONTROLS {
        // SAFETY: what is allocated is never used.
        std::hint::black_box(unsafe { libc::malloc(CONTROL_SIZE as usize) });
    }
}

fn cycles(
    plan: &mut ThreadPlan,
    call_from: CallFrom,
    points: &[u64],
    stop: bool,
    tell: i32,
) -> Result<(), String> {
    let mut done = 0;
    for point in points {
        while done < *point {
            one(plan, call_from).map_err(|failure| failure.to_string())?;
            done += 1;
        }
        say(tell, format_args!("{done}"));
        if stop {
            raise(Signal::SIGSTOP).map_err(|e| e.to_string())?;
        }
    }
    say(tell, format_args!("{DONE}"));
    Ok(())
}

fn one(plan: &mut ThreadPlan, call_from: CallFrom) -> Result<(), Failure> {
    if call_from != CallFrom::ShortLived {
        return plan.bare_cycle();
    }
    let mut ended = Err(Failure::Ended);
    short_lived::run(&mut || ended = plan.bare_cycle()).map_err(Failure::Thread)?;
    ended?;
    plan.let_go();
    Ok(())
}

/// A line of its own, whatever the library has written before; without an allocation, in one write.
fn say(fd: i32, what: std::fmt::Arguments<'_>) {
    use std::io::Write as _;
    let mut line = [0; 64];
    let mut rest = line.as_mut_slice();
    let _ = writeln!(rest, "\n{MARK}{what}");
    let length = line.iter().position(|byte| *byte == 0).unwrap_or(line.len());
    // SAFETY: the bytes are there for the whole call. A descriptor that is gone is an error and no more.
    unsafe { libc::write(fd, line.as_ptr().cast(), length) };
}
