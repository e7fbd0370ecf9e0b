//! The worker process from outside: started fresh through a keeper of its own, which is its parent, with its output
//! caught; and gone, with all that it started, when this value is dropped.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use dlsoak_agent::{HOST_NAME, KEEPER_NAME};
use dlsoak_wire::keeper::{Message, Orders};

use super::family;
use super::image::{self, Image, Place};
use crate::channel::Channel;
use crate::gctrace;
use crate::record::Agent;
use crate::settings::Libc;

/// Bytes of the worker's output that are kept: the last ones, where the message before a crash is.
const OUTPUT_KEPT: usize = 16 * 1024;

/// How long a keeper may take to start the worker. Only a machine that is about to fail takes this long.
const START: Duration = Duration::from_secs(60);
/// How long a keeper may take to end all that the worker started.
const END: Duration = Duration::from_secs(10);

/// How long to listen at a time for the keeper that reports the worker's end: it may have been stopped, and is woken in between.
const LISTEN: Duration = Duration::from_millis(10);

/// How often a keeper is told to go on, should it have been stopped.
const WAKE_EVERY: Duration = Duration::from_millis(100);

/// A running worker.
#[derive(Debug)]
pub(super) struct WorkerProcess {
    keeper: Child,
    /// To the keeper; closed for writing once it is to end all.
    line: UnixStream,
    mark: String,
    pid: i32,
    status: Option<ExitStatus>,
    /// The keeper ended before it was told to.
    keeper_lost: bool,
    killed: bool,
    /// When the keeper was last told to go on.
    woken: Instant,
    /// Processes that outlived the worker.
    others: u32,
    output: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
}

/// What the worker writes to standard output and standard error.
#[derive(Debug, Default)]
struct Output {
    /// The last bytes.
    kept: Mutex<Vec<u8>>,
    /// How many there were.
    written: AtomicU64,
    /// What Go's collector told, which is not among them, where it was asked to.
    trace: Option<Mutex<gctrace::Filter>>,
}

impl Output {
    fn keep(&self, bytes: &[u8]) {
        self.written.fetch_add(bytes.len() as u64, Relaxed);
        let mut kept = lock(&self.kept);
        kept.extend_from_slice(bytes);
        let excess = kept.len().saturating_sub(OUTPUT_KEPT);
        kept.drain(..excess);
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Environment of a worker on this C library: what is inherited, with these changes.
pub(super) fn environment(
    given: &BTreeMap<String, String>,
    agent: Agent,
    libc: Libc,
) -> BTreeMap<String, String> {
    let mut env = given.clone();
    if agent == Agent::Counting || libc == Libc::Musl {
        return env;
    }
    // The thread cache's chunks count as used in mallinfo2; without it, heap counts are exact.
    const OFF: &str = "glibc.malloc.tcache_count=0";
    let inherited = || std::env::var("GLIBC_TUNABLES").unwrap_or_default();
    let tunables = env.get("GLIBC_TUNABLES").cloned().unwrap_or_else(inherited);
    let merged = if tunables.is_empty() { OFF.to_owned() } else { format!("{OFF}:{tunables}") };
    if !tunables.contains("glibc.malloc.tcache_count") {
        env.insert("GLIBC_TUNABLES".to_owned(), merged);
    }
    env
}

/// What is started.
pub(super) struct Programs<'a> {
    pub(super) keeper: &'a [u8],
    pub(super) host: Cow<'a, [u8]>,
}

impl WorkerProcess {
    /// Starts a keeper, which starts the host as a worker on `channel`. `ruleset` is a descriptor that the worker
    /// inherits. Where it is `traced`, lines of Go's collector are no output, but counted.
    ///
    /// # Errors
    /// When one of the processes can't be started.
    pub(super) fn start(
        channel: &Channel,
        programs: &Programs<'_>,
        env: &BTreeMap<String, String>,
        file_bytes: u64,
        ruleset: Option<i32>,
        traced: bool,
    ) -> std::io::Result<Self> {
        let start = |place| Self::start_from(place, channel, programs, env, file_bytes, ruleset, traced);
        // A system may forbid memfds as such, or only their execution.
        match start(Place::Memory) {
            Err(error) if image::is_refusal(&error) => start(Place::File),
            started => started,
        }
    }

    fn start_from(
        place: Place,
        channel: &Channel,
        programs: &Programs<'_>,
        env: &BTreeMap<String, String>,
        file_bytes: u64,
        ruleset: Option<i32>,
        traced: bool,
    ) -> std::io::Result<Self> {
        let program = Image::new(place, KEEPER_NAME, programs.keeper)?;
        let host = Image::new(place, HOST_NAME, &programs.host)?;
        let (mut line, theirs) = UnixStream::pair()?;
        let numbers = [theirs.as_raw_fd(), channel.raw_fd(), host.raw_fd()];
        let handed: Vec<i32> = numbers.into_iter().chain(ruleset).collect();
        // By its descriptor, which is there until the keeper has become it. What is set for the worker, or
        // preloaded into it, is none of the keeper's business.
        let mut command = Command::new(program.path());
        // A root may lack it, and the error of `Stdio::null` does not name it.
        let nothing = File::open("/dev/null")
            .map_err(|error| std::io::Error::new(error.kind(), format!("/dev/null: {error}")))?;
        command
            .arg0(OsStr::from_bytes(KEEPER_NAME.to_bytes()))
            .args(numbers.map(|number| number.to_string()))
            .env_remove("LD_PRELOAD")
            .env_remove("LD_AUDIT")
            .stdin(nothing)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // SAFETY: the closure makes system calls only; it neither allocates nor takes a lock.
        unsafe {
            command.pre_exec(move || in_keeper(&handed));
        }
        let mut keeper = command.spawn().map_err(|error| program.refused(error))?;
        drop(theirs);
        let trace = traced.then(Mutex::default);
        let output = Arc::new(Output { trace, ..Output::default() });
        let mut readers = Vec::new();
        if let Some(out) = keeper.stdout.take() {
            readers.push(drain(out, Arc::clone(&output), false).map_err(|error| program.refused(error))?);
        }
        if let Some(err) = keeper.stderr.take() {
            readers.push(drain(err, Arc::clone(&output), traced).map_err(|error| program.refused(error))?);
        }
        let mark = mark();
        let started =
            hand_over(&mut line, &variables(env, &mark), file_bytes).map_err(|error| host.refused(error));
        let begun = Self {
            keeper,
            line,
            mark,
            pid: *started.as_ref().unwrap_or(&0),
            status: None,
            keeper_lost: false,
            killed: false,
            woken: Instant::now(),
            others: 0,
            output,
            readers,
        };
        // Dropped on an error, it ends the keeper.
        started.map(|_| begun)
    }

    /// Process ID of the worker. It stays the worker's own until [`Self::kill`].
    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// Bytes that were written to standard output and standard error so far.
    pub(super) fn written(&self) -> u64 {
        self.output.written.load(Relaxed)
    }

    /// The worker and all processes that descend from it, counted up to some more than `most`.
    pub(super) fn family(&self, most: u64) -> u64 {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        family::descendants_beyond(self.keeper.id().cast_signed(), most).len() as u64
    }

    /// True when the keeper ended without being told to: nobody but the library had a reason to kill it.
    pub(super) fn keeper_lost(&self) -> bool {
        self.keeper_lost
    }

    /// Processes that the library had started, and that were still running when the soak ended; they were killed.
    pub(super) fn others(&self) -> u64 {
        u64::from(self.others)
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        while self.status.is_none() {
            let mut bytes = [0; Message::LEN];
            match self.line.read(&mut bytes) {
                Ok(Message::LEN) => self.take(bytes),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    self.wake_keeper();
                    break;
                }
                // The worker is bound to die with its keeper, by this signal.
                Ok(_) | Err(_) => {
                    self.keeper_lost = true;
                    self.status = Some(ExitStatus::from_raw(libc::SIGKILL));
                }
            }
        }
        self.status
    }

    /// How it ended, if it does within this time.
    pub(super) fn ended_within(&mut self, time: Duration) -> Option<ExitStatus> {
        let begin = Instant::now();
        loop {
            let ended = self.ended();
            if ended.is_some() || begin.elapsed() >= time {
                return ended;
            }
            let timeout = PollTimeout::try_from(LISTEN).unwrap_or(PollTimeout::MAX);
            // Whatever ends it, the keeper is asked again.
            let _ = poll(&mut [PollFd::new(self.line.as_fd(), PollFlags::POLLIN)], timeout);
        }
    }

    /// Lets a keeper go on that the library has stopped, else the worker's end would never be heard of.
    fn wake_keeper(&mut self) {
        if self.woken.elapsed() >= WAKE_EVERY {
            self.woken = Instant::now();
            let _ = kill(Pid::from_raw(self.keeper.id().cast_signed()), Signal::SIGCONT);
        }
    }

    fn take(&mut self, bytes: [u8; Message::LEN]) {
        match Message::from_bytes(bytes) {
            Some(Message::Ended(status)) => self.status = Some(ExitStatus::from_raw(status)),
            Some(Message::Others(count)) => self.others = u32::try_from(count).unwrap_or(0),
            Some(Message::Started(_) | Message::Refused(_)) | None => {}
        }
    }

    /// Kills it and all that it started.
    pub(super) fn kill(&mut self) {
        if self.killed {
            return;
        }
        self.killed = true;
        let _ = kill(Pid::from_raw(self.keeper.id().cast_signed()), Signal::SIGCONT);
        let _ = self.line.shutdown(std::net::Shutdown::Write);
        let done = !self.keeper_lost && self.last_words();
        if !done {
            let _ = self.keeper.kill();
            self.end_marked();
        }
        let _ = self.keeper.wait();
        if self.status.is_none() {
            self.status = Some(ExitStatus::from_raw(libc::SIGKILL));
        }
    }

    /// Hears what the keeper has to say up to its end; false when it does not come to an end.
    fn last_words(&mut self) -> bool {
        let begin = Instant::now();
        let _ = self.line.set_nonblocking(false);
        let mut others = false;
        while let Some(left) = END.checked_sub(begin.elapsed()).filter(|left| !left.is_zero()) {
            let _ = self.line.set_read_timeout(Some(left));
            let mut bytes = [0; Message::LEN];
            match self.line.read(&mut bytes) {
                Ok(Message::LEN) => {
                    others |= matches!(Message::from_bytes(bytes), Some(Message::Others(_)));
                    self.take(bytes);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => break,
            }
        }
        others
    }

    /// Ends what is left of a worker whose keeper was killed.
    fn end_marked(&mut self) {
        let mut seen = std::collections::HashSet::new();
        // As long as there are new ones: what forks on is found again.
        for _ in 0..100 {
            let left = family::marked(&self.mark, self.pid);
            if left.is_empty() {
                break;
            }
            for pid in left {
                if pid != self.pid {
                    seen.insert(pid);
                }
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.others = u32::try_from(seen.len()).unwrap_or(u32::MAX);
    }

    /// The last it wrote to standard output and standard error.
    pub(super) fn output_tail(&mut self) -> String {
        // A grandchild may hold the pipes open, so the readers get little time to reach the end.
        let begin = Instant::now();
        while self.readers.iter().any(|r| !r.is_finished()) && begin.elapsed() < Duration::from_millis(100) {
            std::thread::sleep(Duration::from_millis(1));
        }
        String::from_utf8_lossy(&lock(&self.output.kept)).into_owned()
    }

    /// Says to the trace of Go's collector that this many cycles are complete. A line that was written just before may come after.
    pub(super) fn completed(&self, cycles: u64) {
        if let Some(trace) = &self.output.trace {
            lock(trace).tally.take(gctrace::Line::At(cycles));
        }
    }

    /// What Go's collector told, where it was asked to. Whole after [`Self::output_tail`].
    pub(super) fn collections(&self) -> Option<gctrace::Tally> {
        self.output.trace.as_ref().map(|trace| lock(trace).tally.clone())
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Name of the signal that ended a process, where one did.
pub(super) fn signal_name(status: ExitStatus) -> Option<String> {
    status.signal().map(crate::sys::signal_name)
}

/// A mark that no other worker has.
fn mark() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Relaxed);
    // With the time, since process IDs come again.
    format!("{}-{count}-{}", std::process::id(), crate::sys::glibc::monotonic_ns())
}

/// The whole environment of a worker: what is inherited, but for the wish for backtraces, which is about this program; `env`; and
/// the mark.
fn variables(env: &BTreeMap<String, String>, mark: &str) -> BTreeMap<OsString, OsString> {
    let mut variables: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    for own in ["RUST_BACKTRACE", "RUST_LIB_BACKTRACE"] {
        variables.remove(OsStr::new(own));
    }
    variables.extend(env.iter().map(|(name, value)| (name.into(), value.into())));
    variables.insert(family::MARK.into(), mark.into());
    variables
}

/// Gives the keeper its orders; the worker's process ID.
fn hand_over(
    line: &mut UnixStream,
    variables: &BTreeMap<OsString, OsString>,
    file_bytes: u64,
) -> std::io::Result<i32> {
    line.set_read_timeout(Some(START))?;
    let mut bytes = Vec::new();
    for (name, value) in variables {
        if name.as_bytes().contains(&0) || value.as_bytes().contains(&0) {
            let problem = format!("the variable {} has a NUL byte in it", name.display());
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, problem));
        }
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(b'=');
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
    }
    let orders =
        Orders { len: bytes.len() as u64, variables: variables.len() as u64, file_bytes: Some(file_bytes) };
    let orders = orders.to_bytes().ok_or_else(|| std::io::Error::other("the environment is too large"))?;
    line.write_all(&orders)?;
    line.write_all(&bytes)?;
    let mut bytes = [0; Message::LEN];
    line.read_exact(&mut bytes)?;
    line.set_nonblocking(true)?;
    match Message::from_bytes(bytes) {
        Some(Message::Started(pid)) if pid > 0 => Ok(pid),
        Some(Message::Refused(error)) if error != 0 => Err(std::io::Error::from_raw_os_error(error)),
        _ => Err(std::io::Error::other("its keeper could not start it")),
    }
}

/// In the keeper before it is one.
fn in_keeper(handed: &[i32]) -> std::io::Result<()> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};

    nix::unistd::setsid()?;
    for fd in handed {
        // SAFETY: the supervisor holds the descriptors while it spawns.
        let fd = unsafe { BorrowedFd::borrow_raw(*fd) };
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
    }
    Ok(())
}

fn drain(
    mut from: impl Read + Send + 'static,
    to: Arc<Output>,
    traced: bool,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().spawn(move || {
        let trace = to.trace.as_ref().filter(|_| traced);
        let mut buffer = [0_u8; 8192];
        while let Ok(count) = from.read(&mut buffer) {
            if count == 0 {
                break;
            }
            match trace {
                Some(trace) => to.keep(&lock(trace).take(&buffer[..count])),
                None => to.keep(&buffer[..count]),
            }
        }
        if let Some(trace) = trace {
            to.keep(&lock(trace).end());
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_cache_is_off_where_glibc_counts_unless_it_is_set() {
        let none = BTreeMap::new();
        let plain = |env: &BTreeMap<_, _>| environment(env, Agent::Plain, Libc::Glibc);
        assert!(plain(&none)["GLIBC_TUNABLES"].starts_with("glibc.malloc.tcache_count=0"));
        assert_eq!(environment(&none, Agent::Counting, Libc::Glibc), none);
        assert_eq!(environment(&none, Agent::Plain, Libc::Musl), none);
        let own = BTreeMap::from([("GLIBC_TUNABLES".to_owned(), "glibc.malloc.perturb=1".to_owned())]);
        assert_eq!(plain(&own)["GLIBC_TUNABLES"], "glibc.malloc.tcache_count=0:glibc.malloc.perturb=1");
        let set = BTreeMap::from([("GLIBC_TUNABLES".to_owned(), "glibc.malloc.tcache_count=3".to_owned())]);
        assert_eq!(plain(&set), set);
    }

    #[test]
    fn the_last_to_set_a_variable_wins() {
        let env = BTreeMap::from([("PATH".to_owned(), "/x".to_owned())]);
        let all = variables(&env, "m");
        assert_eq!(all[OsStr::new("PATH")], "/x");
        assert_eq!(all[OsStr::new(family::MARK)], "m");
        assert!(!all.contains_key(OsStr::new("RUST_BACKTRACE")));
    }
}
