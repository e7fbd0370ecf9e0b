//! The worker process from outside: started fresh by spawn and exec, in a session of its own, with its output
//! caught; and gone, with all its children, when this value is dropped.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::channel::Channel;
use crate::worker;

/// Bytes of the worker's output that are kept: the last ones, where the message before a crash is.
const OUTPUT_KEPT: usize = 16 * 1024;

/// A running worker.
#[derive(Debug)]
pub(super) struct WorkerProcess {
    child: Child,
    status: Option<ExitStatus>,
    output: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

/// Environment of a worker: what is inherited, with these changes.
pub(super) fn environment(given: &BTreeMap<String, String>, keep_tcache: bool) -> BTreeMap<String, String> {
    let mut env = given.clone();
    if !keep_tcache {
        // The thread cache's chunks count as used in mallinfo2; without it, heap counts are exact.
        const OFF: &str = "glibc.malloc.tcache_count=0";
        let inherited = || std::env::var("GLIBC_TUNABLES").unwrap_or_default();
        let tunables = env.get("GLIBC_TUNABLES").cloned().unwrap_or_else(inherited);
        let merged = if tunables.is_empty() { OFF.to_owned() } else { format!("{OFF}:{tunables}") };
        if !tunables.contains("glibc.malloc.tcache_count") {
            env.insert("GLIBC_TUNABLES".to_owned(), merged);
        }
    }
    env
}

impl WorkerProcess {
    /// Starts this program again as a worker on `channel`.
    ///
    /// # Errors
    /// When the process can't be started.
    pub(super) fn start(channel: &Channel, env: &BTreeMap<String, String>) -> std::io::Result<Self> {
        let fd = channel.raw_fd().ok_or_else(|| std::io::Error::other("the channel has no descriptor"))?;
        let supervisor = nix::unistd::getpid();
        // The magic link, so that it is this very program even if its file was replaced meanwhile.
        let mut command = Command::new("/proc/self/exe");
        command
            .arg(worker::ARGUMENT)
            .arg(fd.to_string())
            .env_remove("RUST_BACKTRACE")
            .env_remove("RUST_LIB_BACKTRACE")
            .envs(env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // SAFETY: the closure makes system calls only; it neither allocates nor takes a lock.
        unsafe {
            command.pre_exec(move || in_child(fd, supervisor));
        }
        let mut child = command.spawn()?;
        let output = Arc::new(Mutex::new(Vec::new()));
        let mut readers = Vec::new();
        if let Some(out) = child.stdout.take() {
            readers.push(drain(out, Arc::clone(&output)));
        }
        if let Some(err) = child.stderr.take() {
            readers.push(drain(err, Arc::clone(&output)));
        }
        Ok(Self { child, status: None, output, readers })
    }

    /// Process ID of the worker.
    pub(super) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(0)
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status
    }

    /// Waits for its end, at most `timeout`.
    pub(super) fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        let begin = Instant::now();
        let mut pause = Duration::from_micros(200);
        loop {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            if begin.elapsed() >= timeout {
                return None;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }

    /// Kills it and all that is in its process group.
    pub(super) fn kill(&mut self) {
        // The group may outlive its leader, so it is killed in any case.
        let _ = killpg(Pid::from_raw(self.pid()), Signal::SIGKILL);
        if self.status.is_none() {
            let _ = self.child.kill();
            self.status = self.child.wait().ok();
        }
    }

    /// The last it wrote to standard output and standard error.
    pub(super) fn output_tail(&mut self) -> String {
        // A grandchild may hold the pipes open, so the readers get little time to reach the end.
        let begin = Instant::now();
        while self.readers.iter().any(|r| !r.is_finished()) && begin.elapsed() < Duration::from_millis(100) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let kept = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).into_owned()
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Name of the signal that ended a process, where one did.
pub(super) fn signal_name(status: ExitStatus) -> Option<String> {
    let number = status.signal()?;
    Some(Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |s| s.as_str().to_owned()))
}

fn in_child(channel: i32, supervisor: Pid) -> std::io::Result<()> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    use nix::sys::resource::{Resource, setrlimit};
    use std::os::fd::BorrowedFd;

    nix::unistd::setsid()?;
    // The worker does not outlive a supervisor that is killed.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    if nix::unistd::getppid() != supervisor {
        return Err(std::io::Error::other("the supervisor is gone"));
    }
    // A crash is told in the record; a core file for each would fill the disk.
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    // SAFETY: the supervisor holds the channel's descriptor while it spawns.
    let channel = unsafe { BorrowedFd::borrow_raw(channel) };
    fcntl(channel, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}

fn drain(mut from: impl Read + Send + 'static, to: Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = [0_u8; 8192];
        while let Ok(count) = from.read(&mut buffer) {
            if count == 0 {
                break;
            }
            let mut kept = to.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend_from_slice(&buffer[..count]);
            let excess = kept.len().saturating_sub(OUTPUT_KEPT);
            kept.drain(..excess);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_cache_is_off_unless_kept_or_set() {
        let none = BTreeMap::new();
        assert!(environment(&none, false)["GLIBC_TUNABLES"].starts_with("glibc.malloc.tcache_count=0"));
        assert!(!environment(&none, true).contains_key("GLIBC_TUNABLES"));
        let own = BTreeMap::from([("GLIBC_TUNABLES".to_owned(), "glibc.malloc.perturb=1".to_owned())]);
        assert_eq!(
            environment(&own, false)["GLIBC_TUNABLES"],
            "glibc.malloc.tcache_count=0:glibc.malloc.perturb=1"
        );
        let set = BTreeMap::from([("GLIBC_TUNABLES".to_owned(), "glibc.malloc.tcache_count=3".to_owned())]);
        assert_eq!(environment(&set, false), set);
    }
}
