//! Runs the bare loop in a process of its own, under another instrument or alone, and listens to what it writes. It is ended when
//! it takes too long, and with it what it has started.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dlsoak_agent::bare;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::gctrace::{self, Line};
use super::room::Room;
use crate::record::Mode;
use crate::suite::call::{Call, Int, Registers};
use crate::suite::plan::SoakPlan;
use crate::supervisor::family;

/// How often to look whether it has stopped or ended.
const LOOK: Duration = Duration::from_millis(1);
/// How long to wait for the rest of its output, which a process that it has started may keep open.
const DRAIN: Duration = Duration::from_secs(2);
/// Most of its lines that are kept; a run of a million collections tells no more than one of these.
const MOST_LINES: usize = 1_000_000;
/// Most bytes of one line.
const LONGEST_LINE: usize = 4096;
/// Lines of others that are kept: the last ones, to say why it ended.
const SAID: usize = 20;

/// What all of these processes have in common.
#[derive(Debug)]
pub(super) struct Peer<'a> {
    /// Where the loop is, and where files may be put.
    pub(super) room: &'a Room,
    /// How it cycles; the library's path is absolute.
    pub(super) plan: SoakPlan,
    /// Environment beyond the inherited one.
    pub(super) env: Vec<(String, String)>,
    /// How long one run may take.
    pub(super) timeout: Duration,
    /// Set when somebody wants it all to end.
    pub(super) interrupted: &'a AtomicBool,
}

/// How one process runs.
#[derive(Debug, Default)]
pub(super) struct Run<'a> {
    /// The program that it runs under, with its arguments.
    pub(super) under: Vec<OsString>,
    /// Further environment.
    pub(super) env: Vec<(&'a str, OsString)>,
    /// Cycles after which it tells how far it is; the last is the end.
    pub(super) points: Vec<u64>,
    /// Whether it stops at each of them.
    pub(super) stop: bool,
}

/// Why a run is good for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The program that it was to run under is not there.
    NotFound,
    /// Anything else, in words.
    Failed(String),
    Interrupted,
}

impl Peer<'_> {
    /// Has all cycles done; returns the points and collections that it told. `look` is called while it is stopped at a point.
    ///
    /// # Errors
    /// When not all cycles were done, whatever the reason.
    pub(super) fn run(
        &self,
        run: &Run<'_>,
        mut look: impl FnMut(i32, u64) -> Result<(), String>,
    ) -> Result<Vec<Line>, Trouble> {
        let failed = |what: String| Trouble::Failed(what);
        let opened = self.opened()?;
        let program = self.room.program().as_os_str();
        let mut words = run.under.iter().map(OsString::as_os_str).chain([program]);
        let mut command = Command::new(words.next().unwrap_or(OsStr::new("")));
        let mark = self.room.file("mark").to_string_lossy().into_owned();
        command
            .args(words)
            .args(orders(&self.plan, opened, run))
            .env_remove("VALGRIND_OPTS")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .envs(run.env.iter().map(|(name, value)| (name, value)))
            .env(family::MARK, &mark)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound if !run.under.is_empty() => Trouble::NotFound,
            _ => failed(format!("cannot start {}: {error}", command.get_program().to_string_lossy())),
        })?;
        let heard = child.stderr.take().map(Ear::listen);
        let mut stops = 0;
        let watched = self.watch(i32::try_from(child.id()).unwrap_or(0), run, &mut stops, &mut look);
        // What it has started goes with it; while it is not waited for, its number is nobody else's.
        let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or(0));
        let _ = killpg(group, Signal::SIGKILL);
        for left in family::marked(&mark, -1) {
            let _ = kill(Pid::from_raw(left), Signal::SIGKILL);
        }
        let _ = child.wait();
        let heard = heard.map(Ear::heard).unwrap_or_default();
        watched.map_err(|trouble| match trouble {
            Trouble::Failed(what) => Trouble::Failed(heard.with_reason(&what)),
            other => other,
        })?;
        if run.stop && stops != run.points.len() {
            return Err(failed(format!("it stopped {stops} times and not {}", run.points.len())));
        }
        if !heard.done {
            return Err(failed(
                heard.with_reason("the library ended the process before all cycles were done"),
            ));
        }
        let at = heard.lines.iter().filter_map(|line| match line {
            Line::At(cycles) => Some(cycles),
            Line::Collection(_) | Line::Unreadable => None,
        });
        if !at.eq(&run.points) {
            return Err(failed("it did not tell of each point as it was told to".to_owned()));
        }
        Ok(heard.lines)
    }

    /// What the loop opens. Copies are made in a directory of the run's own, since runs may be under way at the same time.
    fn opened(&self) -> Result<PathBuf, Trouble> {
        let library = &self.plan.path;
        if self.plan.mode != Mode::Copies {
            return Ok(library.clone());
        }
        let directory = self.room.file("copies");
        std::fs::create_dir(&directory)
            .map_err(|e| Trouble::Failed(format!("cannot make {}: {e}", directory.display())))?;
        // Each cycle puts a number before the name.
        Ok(directory.join(library.file_name().unwrap_or(library.as_os_str())))
    }

    /// Waits until it ends, and lets it go on where it stops.
    fn watch(
        &self,
        pid: i32,
        run: &Run<'_>,
        stops: &mut usize,
        look: &mut impl FnMut(i32, u64) -> Result<(), String>,
    ) -> Result<(), Trouble> {
        let began = Instant::now();
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG;
        let process = Pid::from_raw(pid);
        loop {
            // An end is only looked at; the status stays, and with it the number.
            let status = waitid(Id::Pid(process), flags | WaitPidFlag::WNOWAIT);
            match status.map_err(|e| Trouble::Failed(e.to_string()))? {
                WaitStatus::Stopped(_, _) => {
                    let _ = waitid(Id::Pid(process), WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG);
                    let Some(point) = run.points.get(*stops).filter(|_| run.stop) else {
                        return Err(Trouble::Failed("the library stops the process".to_owned()));
                    };
                    *stops += 1;
                    look(pid, *point).map_err(Trouble::Failed)?;
                    let _ = kill(process, Signal::SIGCONT);
                }
                WaitStatus::Exited(_, 0) => return Ok(()),
                WaitStatus::Exited(_, code) => {
                    return Err(Trouble::Failed(format!("it ended with exit code {code}")));
                }
                WaitStatus::Signaled(_, signal, _) => {
                    return Err(Trouble::Failed(format!("it was ended by {signal}")));
                }
                _ if self.interrupted.load(Relaxed) => return Err(Trouble::Interrupted),
                _ if began.elapsed() > self.timeout => {
                    let seconds = self.timeout.as_secs_f64();
                    return Err(Trouble::Failed(format!(
                        "it took longer than {seconds} s and was ended; --timeout gives it more"
                    )));
                }
                _ => std::thread::sleep(LOOK),
            }
        }
    }
}

/// The loop's arguments, whose form `dlsoak_agent::bare` describes.
fn orders(plan: &SoakPlan, opened: PathBuf, run: &Run<'_>) -> Vec<OsString> {
    let points: Vec<String> = run.points.iter().map(u64::to_string).collect();
    let (driver, function) = match &plan.exercise {
        Some(exercise) => (exercise.driver.as_os_str().to_owned(), exercise.symbol.clone().into()),
        None => (OsString::new(), OsString::new()),
    };
    let mut orders: Vec<OsString> = vec![
        plan.mode.name().into(),
        plan.flags.bits().to_string().into(),
        plan.call_from.name().into(),
        if run.stop { "1" } else { "0" }.into(),
        points.join(",").into(),
        opened.into(),
        plan.path.clone().into(),
        driver,
        function,
    ];
    orders.extend(plan.calls.iter().flat_map(call));
    orders
}

/// A call as arguments of the loop: only the registers that it fills.
fn call(call: &Call) -> Vec<OsString> {
    let Registers { ints, floats } = call.registers();
    let (floating, whole): (Vec<_>, Vec<_>) = call.args.iter().partition(|arg| arg.is_floating());
    let ints = ints.iter().take(whole.len()).map(|int| match int {
        Int::Number(number) => format!("i:{number}").into(),
        Int::Text(text) => OsString::from_vec([b"s:", text.as_bytes()].concat()),
    });
    let floats = floats.iter().take(floating.len()).map(|bits| format!("f:{bits:016x}").into());
    let head = [call.symbol.clone().into(), call.args.len().to_string().into()];
    head.into_iter().chain(ints).chain(floats).collect()
}

/// What a process has written.
#[derive(Debug, Default)]
struct Heard {
    lines: Vec<Line>,
    /// It has said that all is done.
    done: bool,
    /// The last lines that are none of ours.
    said: Vec<String>,
    /// The last line, until it is known whether it was whole.
    held: Option<String>,
    /// What one of our own lines has cut.
    cut: Option<String>,
}

impl Heard {
    /// With the loop's own reason, or else the last line that was written.
    fn with_reason(&self, what: &str) -> String {
        let own = self.said.iter().rev().find_map(|line| line.strip_prefix(bare::FAILED));
        let last = || self.said.iter().rev().find(|line| !line.trim().is_empty()).map(String::as_str);
        own.or_else(last).map_or_else(|| what.to_owned(), |said| format!("{what}: {}", said.trim()))
    }

    /// The next line. The loop begins its own with a line break, so that what stands directly before one of them was cut by
    /// it: Go's runtime writes a line in pieces. The rest follows.
    fn take(&mut self, line: &str) {
        if !line.starts_with(bare::MARK) {
            let whole = self.cut.take().unwrap_or_default() + line;
            let before = self.held.replace(whole);
            self.keep(before);
            return;
        }
        self.cut = self.held.take().filter(|held| !held.is_empty());
        if line.strip_prefix(bare::MARK).is_some_and(|rest| rest.trim() == bare::DONE) {
            self.done = true;
        } else {
            self.keep(Some(line.to_owned()));
        }
    }

    /// No more will come.
    fn end(&mut self) {
        let (cut, held) = (self.cut.take(), self.held.take());
        self.keep(cut);
        self.keep(held);
    }

    fn keep(&mut self, line: Option<String>) {
        let Some(line) = line.filter(|line| !line.trim().is_empty()) else { return };
        if let Some(line) = gctrace::line(&line) {
            if self.lines.len() < MOST_LINES {
                self.lines.push(line);
            }
            return;
        }
        if self.said.len() == SAID {
            self.said.remove(0);
        }
        self.said.push(line);
    }
}

/// What a thread of its own hears, which nobody waits for: a process that outlives the loop may hold the pipe.
#[derive(Debug)]
struct Ear {
    heard: Arc<Mutex<Heard>>,
    /// Closed at the end of what is written.
    end: Receiver<()>,
}

impl Ear {
    fn listen(mut from: impl Read + Send + 'static) -> Self {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let (sender, end) = channel();
        let to = Arc::clone(&heard);
        std::thread::spawn(move || {
            let _closed_at_the_end: Sender<()> = sender;
            let take = |line: &mut Vec<u8>| {
                to.lock().unwrap_or_else(PoisonError::into_inner).take(&String::from_utf8_lossy(line));
                line.clear();
            };
            let mut buffer = vec![0; 64 * 1024];
            let mut line = Vec::new();
            while let Ok(length) = from.read(&mut buffer) {
                let Some(bytes) = buffer.get(..length).filter(|bytes| !bytes.is_empty()) else { break };
                for byte in bytes {
                    if *byte == b'\n' {
                        take(&mut line);
                    } else if line.len() < LONGEST_LINE {
                        line.push(*byte);
                    }
                }
            }
            take(&mut line);
            to.lock().unwrap_or_else(PoisonError::into_inner).end();
        });
        Self { heard, end }
    }

    /// All that was written, once the process is gone.
    fn heard(self) -> Heard {
        let _ = self.end.recv_timeout(DRAIN);
        std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(text: &str) -> Heard {
        Ear::listen(std::io::Cursor::new(text.as_bytes().to_vec())).heard()
    }

    #[test]
    fn a_line_that_the_loop_has_cut_is_whole_again() {
        let gc = "gc 3 @0.003s 2%: 0.008+0.62+0.001 ms clock, 0.016+0.068/0.030/0.067+0.003 ms cpu, 3->3->2 MB, 3 MB goal, 0 MB stacks, 0 MB globals, 2 P";
        let live = |line: &Line| matches!(line, Line::Collection(c) if (c.live, c.goal) == (2, 3));
        for cut in 1..gc.len() {
            let (a, b) = gc.split_at(cut);
            let heard =
                heard(&format!("hello\n{a}\ndlsoak-bare 7\n{b}\n\ndlsoak-bare 9\n\ndlsoak-bare done\n"));
            let [Line::At(7), collection, Line::At(9)] = heard.lines.as_slice() else {
                panic!("{cut}: {heard:?}")
            };
            assert!(live(collection) && heard.done, "{cut}: {heard:?}");
            assert_eq!(heard.said, ["hello"], "{cut}");
        }
        // By two of them, and at the very end.
        let (a, b) = gc.split_at(20);
        let twice = heard(&format!("{a}\ndlsoak-bare 1\n\ndlsoak-bare 2\n{b}"));
        assert!(
            matches!(twice.lines.as_slice(), [Line::At(1), Line::At(2), last] if live(last)),
            "{twice:?}"
        );
    }

    #[test]
    fn a_call_is_told_by_what_is_in_registers() {
        let told = |text: &str| call(&Call::parse(text).unwrap());
        assert_eq!(told("f"), ["f", "0"]);
        let all = told("f(1, 2.5, \"a b\", 1.5f, null, -1)");
        let floats = ["f:4004000000000000", "f:000000003fc00000"];
        let ints = ["i:1", "s:a b", "i:0", "i:18446744073709551615"];
        assert_eq!(all, [&["f", "6"], &ints[..], &floats].concat());
    }

    #[test]
    fn what_it_says_last_is_the_reason() {
        let own = heard("dlsoak-bare: cannot open: no such file\nnoise\n");
        assert_eq!(own.with_reason("exit code 2"), "exit code 2: cannot open: no such file");
        assert_eq!(heard("a\nb\n\n").with_reason("it ended"), "it ended: b");
        assert_eq!(heard("").with_reason("it ended"), "it ended");
        let many = heard(&"line\n".repeat(1000));
        assert_eq!((many.said.len(), many.done), (SAID, false));
    }
}
