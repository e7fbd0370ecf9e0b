//! The watched process: started in a process group of its own, followed into the background, and ended.

use std::ffi::OsString;
use std::io::{Error, Result};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use super::files::{Files, maps};
use super::watch_error::WatchError;
use crate::record::HostEnd;

/// How long a host may take to end by itself after SIGTERM.
const GRACE: Duration = Duration::from_secs(10);

/// A host that runs.
#[derive(Debug)]
pub(super) struct Host {
    /// The process that was started, which leads the group.
    leader: Pid,
    /// The process that is watched: the one that was started, or what it left in the background.
    pid: Pid,
    end: Option<HostEnd>,
}

impl Host {
    /// Starts the host.
    ///
    /// # Errors
    /// When there is no such program, or it can't be executed.
    pub(super) fn start(command: &[OsString], files: &Files) -> Result<Self> {
        let [program, arguments @ ..] = command else { return Err(WatchError::NoProgram.into()) };
        // A daemon's parent ends; whoever is left becomes ours.
        nix::sys::prctl::set_child_subreaper(true)?;
        let mut started = Command::new(program);
        // Some hosts end with a signal to their whole group.
        started.args(arguments).envs(files.environment()?).process_group(0);
        let child = started.spawn()?;
        let pid = Pid::from_raw(i32::try_from(child.id()).map_err(Error::other)?);
        Ok(Self { leader: pid, pid, end: None })
    }

    /// Waits for what the host left behind in the background and that has ended, except the child with this number: nobody else does.
    pub(super) fn reap(&self, except: Option<u32>) {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while let Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) = waitid(Id::All, flags) {
            if pid == self.pid || except.is_some_and(|except| i64::from(except) == i64::from(pid.as_raw())) {
                return;
            }
            let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
        }
    }

    /// The process that is watched.
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// How it ended, if it has. A host that goes into the background is followed.
    fn ended(&mut self, files: &Files) -> Option<&HostEnd> {
        while self.end.is_none() {
            let end = self.exited()?;
            self.follow(end, files);
        }
        self.end.as_ref()
    }

    /// Whether it has ended for good.
    pub(super) fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// How the process ended that is watched, if it has. What it reported is to be read before `follow` makes another the host.
    pub(super) fn exited(&self) -> Option<HostEnd> {
        match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, code)) => Some(HostEnd::Exited { code }),
            Ok(WaitStatus::Signaled(_, signal, _)) => Some(HostEnd::Killed { signal: signal as i32 }),
            Err(_) => Some(HostEnd::Lost),
            Ok(_) => None,
        }
    }

    /// Goes on with the process that this end leaves in the background, which has the ring mapped, too; else it is the host's.
    pub(super) fn follow(&mut self, end: HostEnd, files: &Files) {
        match left_behind(&files.ring_path()) {
            Some(next) if end == HostEnd::Exited { code: 0 } => {
                files.ring().host.store(next.as_raw().unsigned_abs(), Relaxed);
                self.pid = next;
            }
            _ => self.end = Some(end),
        }
    }

    /// Ends it if it still runs: SIGTERM, and SIGKILL for its whole group where that does not help.
    pub(super) fn stop(&mut self, files: &Files) -> HostEnd {
        let begin = Instant::now();
        let mut asked = false;
        loop {
            if let Some(end) = self.ended(files).cloned() {
                // What is left of its group would go on to look for our files.
                let _ = killpg(self.leader, Signal::SIGTERM);
                return if asked { HostEnd::Stopped } else { end };
            }
            if !asked {
                // It may be stopped, and would not hear.
                let _ = kill(self.pid, Signal::SIGCONT);
                let _ = kill(self.pid, Signal::SIGTERM);
                asked = true;
            } else if begin.elapsed() > GRACE {
                let _ = killpg(self.leader, Signal::SIGKILL);
                let _ = kill(self.pid, Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A child of this process that maps the ring: what a host that ended left in the background.
fn left_behind(ring: &Path) -> Option<Pid> {
    let children = procfs::process::all_processes().ok()?.flatten().filter_map(|process| process.stat().ok());
    let own = std::process::id().cast_signed();
    children
        .filter(|stat| stat.ppid == own && stat.state != 'Z')
        .find(|stat| maps(stat.pid, ring) == Some(true))
        .map(|stat| Pid::from_raw(stat.pid))
}
