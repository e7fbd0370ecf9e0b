//! Watches a real host that loads its own libraries: what its loader does, what the code of each library allocates and keeps, and what the
//! process grows by. The host is neither stopped nor traced, and goes on if the watcher is killed.

mod areas;
mod attach;
mod census;
mod children;
mod files;
mod host;
mod image;
mod kernel;
mod ledger;
mod stays;
mod steps;
mod watch_error;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use dlsoak_wire::watch::{Inside, Kind, NAME};
use nix::sys::signal::{Signal, kill};
use procfs::process::Process;

use crate::fault::Fault;
use crate::record::{Watch, WatchAsked, WatchedHost, WatchedLibrary};
use crate::sampling::Sampler;
use crate::sys::glibc;
use crate::trace::series;
use census::{Census, Point};
use children::Children;
use files::{Files, maps};
use host::Host;
use image::Image;
use ledger::{Ledger, Library};
use stays::Openers;
use steps::{Stepped, Stepper};
use watch_error::WatchError;

pub use attach::attach;
pub use kernel::{paranoid, sight};
pub use steps::Steps;

/// How often the ring is read, so that it does not overflow at 20,000 loads per second.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a thread may take from the beginning of an event to its end.
const UNFINISHED: Duration = Duration::from_secs(1);

/// What to watch, and until when.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The host's command line.
    pub command: Vec<OsString>,
    /// How steps are made.
    pub steps: Steps,
    /// Longest time.
    pub time: Option<Duration>,
    /// Loads of one library after which the watch ends.
    pub loads: Option<u64>,
    /// Whether to watch even where the C library makes calls slow under an auditor.
    pub slow_calls: bool,
    /// What its judgement depends on.
    pub asked: WatchAsked,
}

/// What has been seen so far, at the end of a step.
pub struct Progress<'a> {
    /// Time since the beginning.
    pub elapsed: Duration,
    /// Steps that are over.
    pub steps: u64,
    /// Real loads of all libraries.
    pub loads: u64,
    /// The host's process.
    pub pid: u32,
    /// What was measured, without what takes long to find out: places, and why something stays.
    pub watch: &'a dyn Fn() -> Watch,
}

/// What comes of a look at the progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The watch goes on.
    GoOn,
    /// It has seen enough.
    Stop,
    /// The host is stopped until somebody lets it go on.
    Suspend,
}

/// Watches a host until it ends, the time is over, enough was loaded, the person interrupts, or `look` says so after a step.
///
/// # Errors
/// When the host can't be started or watched, or `--do` fails.
pub fn watch(
    plan: &Plan,
    interrupted: &AtomicBool,
    look: &mut dyn FnMut(&Progress<'_>) -> Next,
) -> Result<Watch, Fault> {
    if glibc::slows_calls_under_audit() && !plan.slow_calls {
        return Err(Fault::new(WatchError::SlowCalls(glibc::version())));
    }
    let files = Files::create(plan.asked.heap).map_err(Fault::new)?;
    let command: Vec<String> = plan.command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let name = command.first().cloned().unwrap_or_default();
    let host = Host::start(&plan.command, &files).map_err(|error| Fault::new(format!("{name}: {error}")))?;
    let mut watcher = Watcher {
        files,
        host,
        command,
        program: PathBuf::new(),
        ledger: Ledger::default(),
        children: Children::default(),
        census: Census::default(),
        openers: Openers::default(),
        sampler: None,
        began: Instant::now(),
        unfinished: None,
        lost: 0,
        image: Image::default(),
    };
    let outcome = watcher.run(plan, interrupted, look);
    // A thread that is in the middle of an event ends it soon, or never.
    while !watcher.drain() {
        std::thread::sleep(PAUSE);
    }
    // What the host closes because it is told to end says nothing.
    let mut watch = watcher.watch(&plan.asked, true);
    watch.host.end = watcher.host.stop(&watcher.files);
    outcome?;
    if !watcher.ledger.has_begun() {
        return Err(Fault::new(WatchError::Unseen(name)));
    }
    Ok(watch)
}

struct Watcher {
    files: Files,
    host: Host,
    command: Vec<String>,
    /// The host's program, as a file.
    program: PathBuf,
    ledger: Ledger,
    children: Children,
    census: Census,
    openers: Openers,
    /// Of this process.
    sampler: Option<(i32, Sampler)>,
    began: Instant,
    /// Since when an event is begun and not completed.
    unfinished: Option<Instant>,
    /// Events that were lost when this was last looked at.
    lost: u64,
    image: Image,
}

impl Watcher {
    fn run(
        &mut self,
        plan: &Plan,
        interrupted: &AtomicBool,
        look: &mut dyn FnMut(&Progress<'_>) -> Next,
    ) -> Result<(), Fault> {
        let mut stepper = Stepper::new(plan.steps.clone(), self.began);
        let mut suspended = Duration::ZERO;
        loop {
            self.drain();
            self.image.look(self.host.pid().as_raw());
            if self.has_ended() || interrupted.load(Relaxed) {
                return Ok(());
            }
            self.host.reap(stepper.child().map(Child::id));
            let now = Instant::now();
            let stepped = match stepper.step(self.host.pid().as_raw(), self.quiet(), now) {
                Ok(stepped) => stepped,
                // A host that has just ended hears no action.
                Err(_) if self.has_ended() => return Ok(()),
                Err(error) => return Err(Fault::new(error)),
            };
            if stepped == Stepped::Over {
                self.take_census();
                let progress = Progress {
                    elapsed: self.began.elapsed(),
                    steps: self.census.steps(),
                    loads: self.ledger.loads(),
                    pid: self.host.pid().as_raw().unsigned_abs(),
                    watch: &|| self.watch(&plan.asked, false),
                };
                let most = self.ledger.libraries.values().map(|library| library.loads).max();
                let next = look(&progress);
                if next == Next::Stop || plan.loads.is_some_and(|loads| most >= Some(loads)) {
                    return Ok(());
                }
                if next == Next::Suspend {
                    suspended += self.suspend(interrupted);
                }
            }
            if plan.time.is_some_and(|time| self.began.elapsed() >= time + suspended) {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Stops the host until somebody lets it go on, and says how long that took.
    fn suspend(&mut self, interrupted: &AtomicBool) -> Duration {
        let since = Instant::now();
        let pid = self.host.pid();
        let _ = kill(pid, Signal::SIGSTOP);
        let is_stopped = || {
            let stat = Process::new(pid.as_raw()).and_then(|process| process.stat());
            // A debugger that stopped it is there, too.
            stat.is_ok_and(|stat| matches!(stat.state, 'T' | 't'))
        };
        // The signal takes a moment to arrive.
        while !is_stopped() && since.elapsed() < UNFINISHED {
            std::thread::sleep(PAUSE);
        }
        while is_stopped() && !self.has_ended() && !interrupted.load(Relaxed) {
            std::thread::sleep(PAUSE);
        }
        since.elapsed()
    }

    /// Reads all that the loader has reported; false if an event is begun and not completed yet.
    fn drain(&mut self) -> bool {
        let ring = self.files.ring();
        ring.read_ns.store(glibc::monotonic_ns(), Relaxed);
        let own = self.host.pid().as_raw().unsigned_abs();
        if let Some(ledger) = self.children.became_host(own) {
            self.ledger = ledger;
        }
        let mut name = [0; NAME];
        loop {
            while let Some((event, len)) = ring.take(&mut name) {
                self.unfinished = None;
                let name = String::from_utf8_lossy(&name[..len]);
                if event.process != own {
                    self.children.heard(&event, &name, &self.ledger);
                    continue;
                }
                if event.kind == Kind::Begin {
                    // Figures of another program are no part of this one's series.
                    self.census = Census::default();
                    self.openers = Openers::default();
                }
                self.ledger.heard(&event, &name);
            }
            let lost = ring.lost.load(Relaxed) + u64::from(ring.given_up.load(Relaxed));
            if std::mem::replace(&mut self.lost, lost) != lost {
                self.ledger.lost();
            }
            if !ring.is_unfinished() {
                self.unfinished = None;
                return true;
            }
            let since = *self.unfinished.get_or_insert_with(Instant::now);
            if since.elapsed() < UNFINISHED || !ring.skip() {
                return false;
            }
        }
    }

    /// Whether the host has ended. Where it went into the background, what the process reported that has ended is its own, and is heard
    /// before another is the host: on a busy machine that is all of it.
    fn has_ended(&mut self) -> bool {
        while !self.host.is_over() {
            let Some(end) = self.host.exited() else { return false };
            self.drain();
            self.host.follow(end, &self.files);
        }
        true
    }

    /// Whether the host is a program now that does not report all that it loads.
    fn is_unseen(&self) -> bool {
        let inside = Inside::from_u32(self.files.ring().inside.load(Relaxed));
        self.ledger.begun_ns < self.image.became_ns
            || inside == Some(Inside::NoAuditor)
            || maps(self.host.pid().as_raw(), &self.files.ring_path()) == Some(false)
    }

    /// How long the loader has done nothing.
    fn quiet(&self) -> Duration {
        if self.ledger.is_busy() || self.ledger.last_ns == 0 {
            return Duration::ZERO;
        }
        Duration::from_nanos(glibc::monotonic_ns().saturating_sub(self.ledger.last_ns))
    }

    fn take_census(&mut self) {
        let pid = self.host.pid().as_raw();
        if let Ok(program) = std::fs::read_link(format!("/proc/{pid}/exe")) {
            self.program = program;
        }
        // A host that went into the background is another process.
        if self.sampler.as_ref().is_none_or(|(of, _)| *of != pid) {
            self.sampler = Sampler::new(pid).ok().map(|sampler| (pid, sampler));
        }
        self.openers.look(&self.ledger, pid);
        // A host that ends just now has no figures any more.
        let sample = self.sampler.as_ref().and_then(|(_, sampler)| sampler.sample().ok());
        let Some(sample) = sample else { return };
        let loads =
            self.ledger.libraries.iter().map(|(path, library)| (path.clone(), library.loads)).collect();
        // Notes of another process, or of the program that this one was before, say nothing of this one.
        let takes_notes = self.files.ring().inside.load(Relaxed) == Inside::Both as u32;
        let notes = self.files.notes().filter(|notes| notes.process.load(Relaxed) == pid.unsigned_abs());
        let notes = notes.filter(|_| takes_notes);
        let alive = notes.map(series::census);
        let elapsed = self.began.elapsed();
        let point = Point { elapsed, loads, sample, alive, ..Point::default() };
        self.census.add(point, self.files.notes());
    }

    /// What was measured so far; `whole` with what takes long to find out.
    fn watch(&self, asked: &WatchAsked, whole: bool) -> Watch {
        let ring = self.files.ring();
        let names = census::Names::new(&self.files, self.program.clone(), &self.ledger);
        let libraries = self.ledger.libraries.iter().map(|(path, library)| {
            let (checkpoints, places) = self.census.of_library(path, &names, whole);
            WatchedLibrary { checkpoints, places, ..seen(path, library) }
        });
        let mut libraries: Vec<WatchedLibrary> = libraries.collect();
        if whole {
            let there: Vec<&str> = self.ledger.there().collect();
            stays::find(&mut libraries, &there, &self.ledger, &self.openers);
        }
        Watch {
            host: WatchedHost {
                command: self.command.clone(),
                pid: self.host.pid().as_raw().unsigned_abs(),
                ..WatchedHost::default()
            },
            asked: asked.clone(),
            seconds: self.began.elapsed().as_secs_f64(),
            steps: self.census.steps(),
            lost: self.lost,
            lost_notes: self.files.notes().map_or(0, |notes| notes.lost.load(Relaxed)),
            others: ring.others.load(Relaxed).into(),
            execs: self.ledger.execs,
            children: self.children.count(),
            child_loads: self.children.loads(),
            unseen: self.is_unseen(),
            libraries,
            checkpoints: self.census.of_watched_host(&names),
            growth: Vec::new(),
        }
    }
}

/// What the loader reported of a library.
fn seen(path: &str, library: &Library) -> WatchedLibrary {
    WatchedLibrary {
        path: path.to_owned(),
        opens: library.opens,
        closes: library.closes,
        overlaps: library.overlaps,
        loads: library.loads,
        unloads: library.unloads,
        left: library.left().map(str::to_owned).collect(),
        ..WatchedLibrary::default()
    }
}
