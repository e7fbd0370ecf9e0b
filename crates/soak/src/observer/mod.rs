//! Watches a worker's threads through `ptrace(2)`, from a thread of its own: sees each signal before the worker does, who
//! ends the process, and where all threads are when it hangs. The process stands while it is looked at, with all its
//! mappings still there, and goes on as if nobody had looked.
//!
//! Why from outside: a handler in the worker would make it another host than a plain C program, would be
//! replaced by libraries that have handlers of their own, and could not run on a stack that has overflowed.

mod capture;
mod memory;
mod tracer;
mod unwind;
mod waits;

use std::os::unix::thread::JoinHandleExt as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::pthread::pthread_kill;

pub use capture::{Backing, Capture, Place, Thread};
pub use memory::Mapping;
pub use waits::Call;

use crate::sys::ptrace::{self, SignalInfo};
pub(crate) use tracer::tasks;
use tracer::{Ask, Tracer};

/// How long a request is waited for before the tracer is woken again.
const AGAIN: Duration = Duration::from_millis(2);
/// Longest that the tracer may take to end.
const END: Duration = Duration::from_secs(3);

/// What was seen of a process up to now.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The signal that ends it.
    pub fatal: Option<Caught>,
    /// The call that ended it: `exit_group`, with the status that was given to it.
    pub exit: Option<(i32, Capture)>,
    /// The signal that stopped it, while it is stopped.
    pub stopped: Option<Caught>,
    /// The first few faults that a handler of the process took on itself, in their order.
    pub handled: Vec<Caught>,
    /// How many of those there were.
    pub handled_count: u64,
    /// It has become another program: the path of it.
    pub became: Option<String>,
}

/// A signal, and what the process looked like before it was delivered.
#[derive(Debug, Clone)]
pub struct Caught {
    /// What the kernel says of it.
    pub info: SignalInfo,
    /// The thread that gets it.
    pub thread: i32,
    /// The process; of a signal that does not end it only this one thread.
    pub capture: Capture,
    /// The signal whose handler the thread runs, where it runs one.
    pub handles: Option<i32>,
}

/// Watches one process until it ends or this value is dropped.
#[derive(Debug)]
pub struct Observer {
    asks: Sender<Ask>,
    seen: Arc<Mutex<Seen>>,
    thread: Option<JoinHandle<()>>,
}

impl Observer {
    /// Watches all threads of a process, and those that they will start.
    ///
    /// # Errors
    /// Why it can't: `EPERM` where somebody else traces it or the system forbids it.
    pub fn start(process: i32) -> Result<Self, Errno> {
        ptrace::make_wakeable();
        let (asks, requests) = channel();
        let (began, begins) = channel();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        let thread = std::thread::Builder::new()
            .name("observer".to_owned())
            .spawn(move || {
                let tracer = Tracer::begin(process, requests, shared);
                let begun = tracer.as_ref().map(drop).map_err(|error| *error);
                let _ = began.send(begun);
                if let Ok(tracer) = tracer {
                    tracer.watch();
                }
            })
            .map_err(|_| Errno::EAGAIN)?;
        begins.recv().unwrap_or(Err(Errno::EIO))?;
        Ok(Self { asks, seen, thread: Some(thread) })
    }

    /// Stops all threads for a moment and looks at them; `None` where that could not be done in this time.
    pub fn look(&self, within: Duration) -> Option<Capture> {
        let (reply, answer) = channel();
        self.asks.send(Ask::Look(reply)).ok()?;
        self.wait_for(&answer, within)
    }

    /// Has all events dealt with that there are: a traced thread that has ended is counted among the process's threads
    /// until then.
    pub fn settle(&self, within: Duration) {
        let (reply, answer) = channel();
        if self.asks.send(Ask::Settle(reply)).is_ok() {
            let _ = self.wait_for(&answer, within);
        }
    }

    /// What was seen up to now.
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether something was seen that ends the process.
    pub fn sees_end(&self) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.fatal.is_some() || seen.exit.is_some()
    }

    /// What was seen of a process that has ended.
    pub fn end(&mut self) -> Seen {
        let begin = Instant::now();
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) && begin.elapsed() < END {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.seen()
    }

    fn wait_for<T>(&self, answer: &Receiver<T>, within: Duration) -> Option<T> {
        let begin = Instant::now();
        loop {
            let thread = self.thread.as_ref().filter(|thread| !thread.is_finished())?;
            // It may just have looked for requests and be about to wait, so once may not be enough.
            let _ = pthread_kill(thread.as_pthread_t() as _, ptrace::WAKE);
            match answer.recv_timeout(AGAIN) {
                Ok(answer) => return Some(answer),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if begin.elapsed() >= within => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        // The thread's end is the end of all its tracing: the kernel lets the process go on.
        let (reply, answer) = channel();
        if self.asks.send(Ask::End(reply)).is_ok() {
            let _ = self.wait_for(&answer, END);
        }
        if let Some(thread) = self.thread.take().filter(JoinHandle::is_finished) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    /// What does not come in this time never comes.
    const LONG: Duration = Duration::from_secs(600);

    struct Killed(Child);

    impl Drop for Killed {
        fn drop(&mut self) {
            let _ = self.0.kill();
        }
    }

    fn sleeper() -> (Killed, i32) {
        sleeping(Command::new("sleep").arg("1000"))
    }

    fn sleeping(command: &mut Command) -> (Killed, i32) {
        let child = command.stdout(Stdio::null()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        // Once it sleeps it is the program that was asked for, and not what it was started from.
        let asleep = || std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
        let sleeps = format!("{} ", libc::SYS_clock_nanosleep);
        until(|| asleep().starts_with(&sleeps).then_some(()));
        (Killed(child), pid)
    }

    fn send(pid: i32, signal: Signal) {
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    fn until<T>(mut found: impl FnMut() -> Option<T>) -> T {
        let begin = Instant::now();
        loop {
            if let Some(found) = found() {
                return found;
            }
            assert!(begin.elapsed() < LONG, "it did not come");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_look_finds_where_it_sleeps_and_lets_it_sleep_on() {
        let (child, pid) = sleeper();
        let observer = Observer::start(pid).unwrap();
        for _ in 0..3 {
            // Let go on after a look it takes a moment to sleep again.
            let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            until(|| state().contains(") S ").then_some(()));
            let capture = observer.look(LONG).unwrap();
            let thread = capture.thread(pid).unwrap();
            let call = thread.call.as_ref().unwrap();
            assert_eq!(thread.name, "sleep");
            // A wait that was interrupted goes on under another name.
            let name = call.name().unwrap();
            assert!(["clock_nanosleep", "restart_syscall"].contains(&name), "{name}");
            assert!(thread.frames.len() > 2, "{thread:?}");
            let file = capture.file(thread.frames[0]).unwrap();
            assert!(file.to_string_lossy().contains("libc.so"), "{file:?}");
        }
        assert!(observer.seen().fatal.is_none());
        drop(child);
    }

    #[test]
    fn a_signal_that_ends_it_is_seen_before_it_ends() {
        let (_child, pid) = sleeper();
        let mut observer = Observer::start(pid).unwrap();
        send(pid, Signal::SIGSEGV);
        let fatal = observer.end().fatal.unwrap();
        assert_eq!((fatal.info.signal, fatal.thread), (libc::SIGSEGV, pid));
        assert_eq!(fatal.info.sender, i32::try_from(std::process::id()).unwrap());
        assert!(fatal.capture.threads[0].frames.len() > 2);
        assert!(observer.look(LONG).is_none());
    }

    #[test]
    fn a_harmless_signal_is_passed_on_and_forgotten() {
        let (_child, pid) = sleeper();
        let observer = Observer::start(pid).unwrap();
        send(pid, Signal::SIGWINCH);
        send(pid, Signal::SIGCHLD);
        assert_eq!(observer.look(LONG).unwrap().count, 1);
        assert!(observer.seen().fatal.is_none());
    }

    #[test]
    fn a_stop_is_a_stop_until_it_goes_on() {
        let (_child, pid) = sleeper();
        let observer = Observer::start(pid).unwrap();
        send(pid, Signal::SIGSTOP);
        let stopped = until(|| observer.seen().stopped);
        assert_eq!(stopped.info.signal, libc::SIGSTOP);
        let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        // Stopped as it would be without us, by whatever letter the kernel has for that.
        until(|| state().contains(") t ").then_some(()));
        assert_eq!(observer.look(LONG).unwrap().threads[0].id, pid);
        assert!(observer.seen().stopped.is_some());
        send(pid, Signal::SIGCONT);
        until(|| observer.seen().stopped.is_none().then_some(()));
        until(|| state().contains(") S ").then_some(()));
    }

    /// In a session of its own nobody could let it go on, and so the kernel drops stops that come from a terminal.
    #[test]
    fn a_stop_that_stops_nothing_is_not_told() {
        let (_child, pid) = sleeping(Command::new("setsid").args(["sleep", "1000"]));
        let observer = Observer::start(pid).unwrap();
        send(pid, Signal::SIGTSTP);
        assert!(observer.look(LONG).is_some());
        let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        until(|| state().contains(") S ").then_some(()));
        assert!(observer.seen().stopped.is_none());
    }

    #[test]
    fn what_is_traced_already_is_refused() {
        let (_child, pid) = sleeper();
        let _first = Observer::start(pid).unwrap();
        assert_eq!(Observer::start(pid).unwrap_err(), Errno::EPERM);
    }
}
