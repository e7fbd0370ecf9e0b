//! Runs the bare loop in a process of its own, under another instrument or alone, and reads its standard error. dlsoak kills the
//! process, with all that it has started, when it takes too long.

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

use super::workspace::Workspace;
use crate::calls::{Float, Made, Sequence, Word};
use crate::gctrace::{self, Line};
use crate::record::Mode;
use crate::record::verification::Failure;
use crate::settings::{Call, Reading};
use crate::suite::plan::SoakPlan;
use crate::supervisor::family;

/// How often to check whether the process has stopped or ended.
const POLL: Duration = Duration::from_millis(1);
/// How long to wait for the rest of its output, because a process that it has started may keep the pipe open.
const DRAIN: Duration = Duration::from_secs(2);
/// Lines of points and collections that are kept. More than a million collections add nothing.
const MOST_LINES: usize = 1_000_000;
/// Bytes that are kept of a line.
const LONGEST_LINE: usize = 4096;
/// Other lines that are kept: the last ones, which may say why the process ended.
const SAID: usize = 20;

/// What all of these processes share.
#[derive(Debug)]
pub(super) struct Peer<'a> {
    /// Holds the loop, and files of the instruments.
    pub(super) workspace: &'a Workspace,
    /// How it cycles; the library's path is absolute.
    pub(super) plan: SoakPlan,
    /// Environment beyond the inherited one.
    pub(super) env: Vec<(String, String)>,
    /// How long one run may take.
    pub(super) timeout: Duration,
    /// Set when the user interrupts the verification.
    pub(super) interrupted: &'a AtomicBool,
}

/// How one process runs.
#[derive(Debug, Default)]
pub(super) struct Run<'a> {
    /// The program that the loop runs under, with its arguments.
    pub(super) under: Vec<OsString>,
    /// Further environment.
    pub(super) env: Vec<(&'a str, OsString)>,
    /// Cycles after which the loop reports its progress; the last is the end.
    pub(super) points: Vec<u64>,
    /// Whether the process stops at each point.
    pub(super) stop: bool,
}

/// Why a run gave no figures.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PeerError {
    /// The instrument is not installed.
    NotInstalled,
    /// The run failed.
    Failed {
        failure: Failure,
        /// The last line that the process wrote.
        said: Option<String>,
    },
}

impl From<Failure> for PeerError {
    fn from(failure: Failure) -> Self {
        Self::Failed { failure, said: None }
    }
}

impl Peer<'_> {
    /// Runs all cycles and returns the points and collections that the process reported. `at_stop` is called while the process is
    /// stopped at a point.
    ///
    /// # Errors
    /// When the process has not completed all cycles, whatever the reason.
    pub(super) fn run(
        &self,
        run: &Run<'_>,
        mut at_stop: impl FnMut(i32, u64) -> Result<(), Failure>,
    ) -> Result<Vec<Line>, PeerError> {
        let opened = self.opened()?;
        let program = self.workspace.program().as_os_str();
        let mut words = run.under.iter().map(OsString::as_os_str).chain([program]);
        let mut command = Command::new(words.next().unwrap_or(OsStr::new("")));
        let mark = self.workspace.file("mark").to_string_lossy().into_owned();
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
            std::io::ErrorKind::NotFound if !run.under.is_empty() => PeerError::NotInstalled,
            _ => PeerError::from(Failure::CannotStart {
                program: command.get_program().to_string_lossy().into_owned(),
                error: error.to_string(),
            }),
        })?;
        let reader = child.stderr.take().map(Reader::start);
        let mut stops = 0;
        let watched = self.watch(i32::try_from(child.id()).unwrap_or(0), run, &mut stops, &mut at_stop);
        // dlsoak kills all that the process has started. Its ID can't be reused before dlsoak waits for it.
        let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or(0));
        let _ = killpg(group, Signal::SIGKILL);
        for left in family::marked(&mark, -1) {
            let _ = kill(Pid::from_raw(left), Signal::SIGKILL);
        }
        let _ = child.wait();
        let output = reader.map(Reader::finish).unwrap_or_default();
        let at = output.lines.iter().filter_map(|line| match line {
            Line::At(cycles) => Some(cycles),
            Line::Collection(_) | Line::Unreadable => None,
        });
        let failure = match watched {
            Err(failure) => Some(failure),
            Ok(()) if run.stop && stops != run.points.len() => {
                Some(Failure::UnexpectedStops { expected: run.points.len() as u64, seen: stops as u64 })
            }
            Ok(()) if !output.done => Some(Failure::Incomplete),
            Ok(()) if !at.eq(&run.points) => Some(Failure::NoProgress),
            Ok(()) => None,
        };
        match failure {
            None => Ok(output.lines),
            Some(Failure::Interrupted) => Err(Failure::Interrupted.into()),
            Some(failure) => Err(PeerError::Failed { said: output.reason(), failure }),
        }
    }

    /// What the loop opens. Each run makes its copies in a directory of its own, because two runs may be active at the same time.
    fn opened(&self) -> Result<PathBuf, Failure> {
        let library = &self.plan.path;
        if self.plan.mode != Mode::Copies {
            return Ok(library.clone());
        }
        let directory = self.workspace.file("copies");
        std::fs::create_dir(&directory).map_err(|e| Failure::CannotMake {
            path: directory.display().to_string(),
            error: e.to_string(),
        })?;
        // Each cycle puts a number before the name.
        Ok(directory.join(library.file_name().unwrap_or(library.as_os_str())))
    }

    /// Waits until the process ends, and resumes it after each stop.
    fn watch(
        &self,
        pid: i32,
        run: &Run<'_>,
        stops: &mut usize,
        at_stop: &mut impl FnMut(i32, u64) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let began = Instant::now();
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG;
        let process = Pid::from_raw(pid);
        loop {
            // WNOWAIT leaves an ended process in place, so that its ID stays reserved.
            let status = waitid(Id::Pid(process), flags | WaitPidFlag::WNOWAIT);
            match status.map_err(|e| Failure::CannotWait { error: e.to_string() })? {
                WaitStatus::Stopped(_, _) => {
                    let _ = waitid(Id::Pid(process), WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG);
                    let Some(point) = run.points.get(*stops).filter(|_| run.stop) else {
                        return Err(Failure::Stopped);
                    };
                    *stops += 1;
                    at_stop(pid, *point)?;
                    let _ = kill(process, Signal::SIGCONT);
                }
                WaitStatus::Exited(_, 0) => return Ok(()),
                WaitStatus::Exited(_, exit_code) => return Err(Failure::Exited { exit_code }),
                WaitStatus::Signaled(_, signal, _) => {
                    return Err(Failure::Killed { signal: signal.to_string() });
                }
                _ if self.interrupted.load(Relaxed) => return Err(Failure::Interrupted),
                _ if began.elapsed() > self.timeout => {
                    return Err(Failure::TimedOut { seconds: self.timeout.as_secs_f64() });
                }
                _ => std::thread::sleep(POLL),
            }
        }
    }
}

/// The loop's arguments, in the form that `dlsoak_agent::bare` describes.
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
        if plan.driver_sets_up { "setup" } else { "" }.into(),
    ];
    // The soak was made with the same calls.
    let sequence = Sequence::new(&plan.setup, &plan.calls, &[], &plan.prototypes).unwrap_or_default();
    let setup = plan.setup.iter().zip(&sequence.setup).map(|(one, made)| call(one, made, true));
    let calls = plan.calls.iter().zip(&sequence.calls).map(|(one, made)| call(one, made, false));
    orders.extend(setup.chain(calls).flatten());
    orders
}

/// A call as arguments of the loop: only the registers that it fills.
fn call(call: &Call, made: &Made, once: bool) -> Vec<OsString> {
    let ints = made.ints.iter().map(|word| match word {
        Word::Number(number) => format!("i:{number}").into(),
        Word::Text(text) => OsString::from_vec([b"s:", text.as_bytes()].concat()),
        Word::Slot(slot) => format!("r:{slot}").into(),
        Word::Address { slot, fresh: true } => format!("z:{slot}").into(),
        Word::Address { slot, fresh: false } => format!("a:{slot}").into(),
    });
    let floats = made.floats.iter().map(|float| match float {
        Float::Bits(bits) => format!("f:{bits:016x}").into(),
        Float::Slot(slot) => format!("d:{slot}").into(),
    });
    let floating = made.reading.is_some_and(Reading::is_floating);
    let keeps = made.keeps.map(|slot| format!("{}:{slot}", if floating { 'x' } else { 'k' }).into());
    let once = once.then(|| "o:".into());
    let arguments: Vec<OsString> = ints.chain(floats).chain(keeps).chain(once).collect();
    let head = [call.symbol.clone().into(), arguments.len().to_string().into()];
    head.into_iter().chain(arguments).collect()
}

/// What a process has written to standard error.
#[derive(Debug, Default)]
struct Output {
    lines: Vec<Line>,
    /// The loop has reported that all cycles are complete.
    done: bool,
    /// The last lines that are neither points nor collections.
    said: Vec<String>,
    /// The last line, until the next one shows whether it was whole.
    held: Option<String>,
    /// The beginning of a line that one of the loop's own lines has split.
    cut: Option<String>,
}

impl Output {
    /// The loop's own reason for its failure, or else the last line.
    fn reason(&self) -> Option<String> {
        let own = self.said.iter().rev().find_map(|line| line.strip_prefix(bare::FAILED));
        own.or(self.said.last().map(String::as_str)).map(|said| said.trim().to_owned())
    }

    /// Takes the next line. The loop begins each of its own lines with a line break, so text directly before one of them is the first
    /// part of a line that it has split, because Go's runtime writes a line in pieces. The rest follows.
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

    /// Takes what is left at the end.
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

/// Reads the output on a thread that nothing joins, because a process that outlives the loop may hold the pipe open.
#[derive(Debug)]
struct Reader {
    output: Arc<Mutex<Output>>,
    /// Closed at the end of the output.
    end: Receiver<()>,
}

impl Reader {
    fn start(mut from: impl Read + Send + 'static) -> Self {
        let output = Arc::new(Mutex::new(Output::default()));
        let (sender, end) = channel();
        let to = Arc::clone(&output);
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
        Self { output, end }
    }

    /// The whole output, once the process is gone.
    fn finish(self) -> Output {
        let _ = self.end.recv_timeout(DRAIN);
        std::mem::take(&mut *self.output.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn output(text: &str) -> Output {
        Reader::start(std::io::Cursor::new(text.as_bytes().to_vec())).finish()
    }

    #[test]
    fn a_line_that_the_loop_has_split_is_whole_again() {
        let gc = "gc 3 @0.003s 2%: 0.008+0.62+0.001 ms clock, 0.016+0.068/0.030/0.067+0.003 ms cpu, 3->3->2 MB, 3 MB goal, 0 MB stacks, 0 MB globals, 2 P";
        let live = |line: &Line| matches!(line, Line::Collection(c) if (c.live, c.goal) == (2, 3));
        for cut in 1..gc.len() {
            let (a, b) = gc.split_at(cut);
            let output =
                output(&format!("hello\n{a}\ndlsoak-bare 7\n{b}\n\ndlsoak-bare 9\n\ndlsoak-bare done\n"));
            let [Line::At(7), collection, Line::At(9)] = output.lines.as_slice() else {
                panic!("{cut}: {output:?}")
            };
            assert!(live(collection) && output.done, "{cut}: {output:?}");
            assert_eq!(output.said, ["hello"], "{cut}");
        }
        // By two of them, and at the very end.
        let (a, b) = gc.split_at(20);
        let twice = output(&format!("{a}\ndlsoak-bare 1\n\ndlsoak-bare 2\n{b}"));
        assert!(
            matches!(twice.lines.as_slice(), [Line::At(1), Line::At(2), last] if live(last)),
            "{twice:?}"
        );
    }

    #[test]
    fn a_call_is_passed_as_register_contents() {
        let several = |texts: &[&str]| {
            let calls: Vec<Call> = texts.iter().map(|text| Call::parse(text).unwrap()).collect();
            let made = Sequence::new(&[], &calls, &[], &BTreeMap::new()).unwrap().calls;
            calls.iter().zip(&made).flat_map(|(one, made)| call(one, made, false)).collect::<Vec<_>>()
        };
        let orders = |text: &str| several(&[text]);
        assert_eq!(orders("f"), ["f", "0"]);
        let all = orders("f(1, 2.5, \"a b\", 1.5f, null, -1)");
        let floats = ["f:4004000000000000", "f:000000003fc00000"];
        let ints = ["i:1", "s:a b", "i:0", "i:18446744073709551615"];
        assert_eq!(all, [&["f", "6"], &ints[..], &floats].concat());
        let kept = several(&["double x = f(&a)", "y = g(x, a, &a) == 0"]);
        assert_eq!(kept, ["f", "2", "z:0", "x:1", "g", "4", "r:0", "a:0", "d:1", "k:2"]);
    }

    #[test]
    fn the_reason_is_the_loop_s_own_or_the_last_line() {
        let reason = |text: &str| output(text).reason();
        let own = reason("dlsoak-bare: cannot open: no such file\nnoise\n");
        assert_eq!(own.as_deref(), Some("cannot open: no such file"));
        assert_eq!(reason("a\nb\n\n").as_deref(), Some("b"));
        assert_eq!(reason(""), None);
        let many = output(&"line\n".repeat(1000));
        assert_eq!((many.said.len(), many.done), (SAID, false));
    }
}
