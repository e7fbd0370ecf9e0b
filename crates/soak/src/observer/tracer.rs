//! The thread that traces: takes one event after the other and lets threads go on as fast as it can. All that it
//! does is bounded in time, since the process stands meanwhile.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::ffi::c_int;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::capture::Capture;
use super::memory::Memory;
use super::waits::Call;
use super::{Caught, Seen};
use crate::sys::ptrace::{self, Event, SignalInfo, Waited};

/// Longest wait for all threads to stand.
const STAND: Duration = Duration::from_millis(500);
/// Most threads that are looked at.
const THREADS: usize = 64;
/// How many signals that do not end the process get a look at their thread.
const LOOKS: u32 = 8;

/// Faults: signals that what a thread does brings on itself.
const FAULTS: [c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGSYS, libc::SIGTRAP];
/// Signals that end no process where nobody handles them, signal(7).
const HARMLESS: [c_int; 4] = [libc::SIGCHLD, libc::SIGURG, libc::SIGWINCH, libc::SIGCONT];
/// Signals that stop a process.
const STOPPING: [c_int; 4] = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

/// What the supervisor asks for.
#[derive(Debug)]
pub(super) enum Ask {
    /// To look at all threads.
    Look(Sender<Capture>),
    /// To deal with all that has happened up to now.
    Settle(Sender<()>),
    /// To trace no longer.
    End(Sender<()>),
}

/// What a process does with a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disposition {
    Default,
    Ignored,
    Handled,
}

/// The tracing thread's own.
#[derive(Debug)]
pub(super) struct Tracer {
    process: i32,
    asks: Receiver<Ask>,
    seen: Arc<Mutex<Seen>>,
    /// The threads that are traced; with the event they stand for, where one waits to be dealt with.
    threads: HashMap<i32, Option<Event>>,
    /// Events that came while others were waited for.
    later: VecDeque<(i32, Event)>,
    looks: u32,
    /// The last signal of each thread that a handler of the process got.
    delivered: HashMap<i32, c_int>,
    /// A signal that was delivered and may stop the process; the kernel drops it where nobody could let it go on.
    stopping: Option<Caught>,
}

impl Tracer {
    /// Traces all threads that there are.
    pub(super) fn begin(process: i32, asks: Receiver<Ask>, seen: Arc<Mutex<Seen>>) -> Result<Self, Errno> {
        let mut tracer = Self {
            process,
            asks,
            seen,
            threads: HashMap::new(),
            later: VecDeque::new(),
            looks: 0,
            delivered: HashMap::new(),
            stopping: None,
        };
        // Again until no new one is found: a thread that is not traced yet may start others.
        loop {
            let before = tracer.threads.len();
            for thread in tasks(process) {
                if let Entry::Vacant(room) = tracer.threads.entry(thread) {
                    match ptrace::seize(thread) {
                        Ok(()) => drop(room.insert(None)),
                        // It has ended meanwhile.
                        Err(Errno::ESRCH) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            if tracer.threads.len() == before {
                break;
            }
        }
        if tracer.threads.is_empty() { Err(Errno::ESRCH) } else { Ok(tracer) }
    }

    /// Watches until the process has ended or it is told to end.
    pub(super) fn watch(mut self) {
        loop {
            match self.asks.try_recv() {
                Ok(Ask::Look(reply)) => {
                    let capture = self.look(None);
                    let _ = reply.send(capture);
                }
                Ok(Ask::Settle(reply)) => {
                    while let Some((thread, event)) = self.later.pop_front() {
                        self.deal(thread, event);
                    }
                    while let Waited::Event(thread, event) = ptrace::wait(false) {
                        self.deal(thread, event);
                    }
                    let _ = reply.send(());
                }
                Ok(Ask::End(reply)) => {
                    let _ = reply.send(());
                    return;
                }
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {}
            }
            let next = self.later.pop_front().map(|(thread, event)| Waited::Event(thread, event));
            match next.unwrap_or_else(|| ptrace::wait(true)) {
                Waited::Event(thread, event) => self.deal(thread, event),
                Waited::Nothing => {}
                Waited::NoThread => return,
            }
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what an event tells and lets the thread go on.
    fn deal(&mut self, thread: i32, event: Event) {
        if !self.adopt(thread, event) {
            return;
        }
        let mut pass_on = 0;
        match event {
            Event::Signal(signal) => {
                self.threads.insert(thread, Some(event));
                self.signal(thread, signal);
                pass_on = signal;
            }
            Event::GroupStop(signal) => {
                self.threads.insert(thread, Some(event));
                if let Some(stopping) = self.stopping.take_if(|stopping| stopping.info.signal == signal) {
                    self.seen().stopped = Some(stopping);
                }
                let _ = ptrace::leave_stopped(thread);
                return;
            }
            Event::Clone => {
                if let Ok(new) = ptrace::new_thread(thread) {
                    self.threads.entry(new).or_default();
                }
            }
            Event::Exit(status) => {
                self.threads.insert(thread, Some(event));
                self.exit(thread, status);
            }
            Event::Exec => {
                let program = std::fs::read_link(format!("/proc/{}/exe", self.process));
                self.seen().became = program.ok().map(|path| path.to_string_lossy().into_owned());
            }
            Event::Gone(_) => {
                self.threads.remove(&thread);
                self.delivered.remove(&thread);
                return;
            }
            Event::Stop => {
                // Also what a thread gets that is let go on after a stop of the process.
                if self.seen().stopped.is_some() {
                    self.seen().stopped = None;
                }
            }
            Event::Other => {}
        }
        self.threads.insert(thread, None);
        let _ = ptrace::go_on(thread, pass_on);
    }

    /// Whether the thread is one of the process. What a library starts with `clone` as a process of its own is let go.
    fn adopt(&mut self, thread: i32, event: Event) -> bool {
        if event == Event::Exec || matches!(event, Event::Gone(_)) {
            return true;
        }
        let is_new = !self.threads.contains_key(&thread) || event == Event::Stop;
        if is_new && !Path::new(&format!("/proc/{}/task/{thread}", self.process)).exists() {
            self.threads.remove(&thread);
            let _ = ptrace::let_go(thread);
            return false;
        }
        true
    }

    fn signal(&mut self, thread: i32, signal: c_int) {
        if HARMLESS.contains(&signal) {
            return;
        }
        // Where another thread's signal ends the process meanwhile, this one stands at its end: what the kernel says then is of that. So
        // each thread but the first seemed to have run a breakpoint (SIGTRAP).
        let info = ptrace::signal_info(thread).ok().filter(|info| info.signal == signal);
        let Some(info) = info.filter(|_| self.seen().fatal.is_none()) else { return };
        if STOPPING.contains(&signal) {
            if signal == libc::SIGSTOP || self.disposition(signal) == Disposition::Default {
                let capture = self.look_at(thread);
                self.stopping = Some(self.caught(info, thread, capture));
            }
            return;
        }
        match self.disposition(signal) {
            Disposition::Default => {
                let capture = self.look(Some(thread));
                let caught = self.caught(info, thread, capture);
                self.seen().fatal = Some(caught);
            }
            Disposition::Handled => {
                if FAULTS.contains(&signal) {
                    let capture = self.look_at(thread);
                    let caught = self.caught(info, thread, capture);
                    let mut seen = self.seen();
                    seen.handled_count += 1;
                    if !caught.capture.threads.is_empty() {
                        seen.handled.push(caught);
                    }
                }
                self.delivered.insert(thread, signal);
            }
            Disposition::Ignored => {}
        }
    }

    fn caught(&self, info: SignalInfo, thread: i32, capture: Capture) -> Caught {
        let in_handler = capture.threads.first().is_some_and(|thread| thread.in_handler);
        let handles = self.delivered.get(&thread).copied().filter(|_| in_handler);
        Caught { info, thread, capture, handles }
    }

    /// A thread ends. Who ends the whole process by a call is worth knowing; and so is a signal that was not seen.
    fn exit(&mut self, thread: i32, status: c_int) {
        if self.seen().fatal.is_some() || self.seen().exit.is_some() {
            return;
        }
        let called = ptrace::registers(thread).is_ok_and(|r| r.call == libc::SYS_exit_group);
        if called && libc::WIFEXITED(status) {
            let capture = self.look_at_always(thread);
            self.seen().exit = Some((libc::WEXITSTATUS(status), capture));
        }
    }

    /// What the process does with a signal, from `/proc/PID/status`.
    fn disposition(&self, signal: c_int) -> Disposition {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process)).unwrap_or_default();
        let has = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let mask = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
            mask >> (signal - 1) & 1 == 1
        };
        if has("SigIgn:") {
            Disposition::Ignored
        } else if has("SigCgt:") {
            Disposition::Handled
        } else {
            Disposition::Default
        }
    }

    /// Looks at one standing thread, where that was not done too often.
    fn look_at(&mut self, thread: i32) -> Capture {
        self.looks += 1;
        if self.looks > LOOKS { Capture::default() } else { self.look_at_always(thread) }
    }

    fn look_at_always(&self, thread: i32) -> Capture {
        Capture::take(self.process, &[thread], &[], Vec::new())
    }

    /// Has all threads stand, looks at them, and lets those go on that have nothing else to be dealt with.
    fn look(&mut self, first: Option<i32>) -> Capture {
        let mut order: Vec<i32> = first.into_iter().collect();
        order.extend(tasks(self.process).into_iter().filter(|thread| Some(*thread) != first));
        let count = order.len();
        order.truncate(THREADS);
        // Before they are interrupted: an interrupted call is no longer told.
        let calls = Memory::of(self.process).map(|memory| {
            let call = |thread: &i32| Some((*thread, Call::of(self.process, *thread, &memory)?));
            order.iter().filter(|thread| Some(**thread) != first).filter_map(call).collect()
        });
        let interrupted = self.stand(&order);
        let (standing, running): (Vec<i32>, Vec<i32>) =
            order.iter().partition(|thread| matches!(self.threads.get(thread), Some(Some(_))));
        let mut capture = Capture::take(self.process, &standing, &running, calls.unwrap_or_default());
        capture.count = count;
        for thread in interrupted {
            self.resume(thread);
        }
        capture
    }

    /// Interrupts threads and waits until they stand; returns those that stand for nothing else.
    fn stand(&mut self, threads: &[i32]) -> Vec<i32> {
        let mut waiting: Vec<i32> = threads
            .iter()
            .copied()
            .filter(|thread| {
                // A thread that the process's stop holds has to be made to stand, too.
                matches!(self.threads.get(thread), Some(None | Some(Event::GroupStop(_))))
                    && ptrace::interrupt(*thread).is_ok()
            })
            .collect();
        let begin = Instant::now();
        let mut ours = Vec::new();
        while !waiting.is_empty() && begin.elapsed() < STAND {
            match ptrace::wait(false) {
                Waited::Event(thread, event) => {
                    waiting.retain(|other| *other != thread);
                    match event {
                        Event::Gone(_) => drop(self.threads.remove(&thread)),
                        Event::Stop | Event::GroupStop(_) => {
                            self.threads.insert(thread, Some(event));
                            ours.push(thread);
                        }
                        _ => {
                            self.threads.insert(thread, Some(event));
                            self.later.push_back((thread, event));
                        }
                    }
                }
                Waited::Nothing => std::thread::sleep(Duration::from_micros(200)),
                Waited::NoThread => break,
            }
        }
        ours
    }

    fn resume(&mut self, thread: i32) {
        match self.threads.get(&thread) {
            Some(Some(Event::GroupStop(_))) => drop(ptrace::leave_stopped(thread)),
            Some(Some(_)) => {
                self.threads.insert(thread, None);
                let _ = ptrace::go_on(thread, 0);
            }
            _ => {}
        }
    }
}

/// The threads of a process.
pub(crate) fn tasks(process: i32) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}
