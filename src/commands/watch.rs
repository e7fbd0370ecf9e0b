//! `dlsoak watch`: starts a host that loads its own libraries, and says what each of its loads leaves behind.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use glob::Pattern;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::out::Out;
use super::soaks::event;
use super::{ci, note, print};
use crate::cli::{ExitCodeOf, Global, MessageFormat, WatchArgs};
use crate::record::{
    Attached, Code, HostEnd, MappedLibrary, Run, UnloadState, Watch, WatchAsked, WatchVerdict, WatchedLibrary,
};
use crate::settings::Settings;
use crate::settings::quantity::{Count, Cycles, Time};
use crate::supervisor::Context;
use crate::watch::{Next, Plan, Progress, Steps};
use crate::{analysis, conduct, exit_code, report, suite};

/// From step to step, where nothing is done in them.
const EVERY: Duration = Duration::from_secs(5);
/// How long a process that runs already is watched, and from point to point.
const ATTACHED: Duration = Duration::from_secs(3);
const ATTACHED_STEP: Duration = Duration::from_secs(1);
/// How often a line says how far it is, and how often lines of a terminal and events do.
const HEARTBEAT: Duration = Duration::from_secs(5);
const REFRESH: Duration = Duration::from_secs(1);
/// Cycles of a soak that is only there to diagnose.
const DIAGNOSED: u64 = 10;

/// Carries out `dlsoak watch` and returns the exit code.
///
/// # Errors
/// When the host can't be started or watched, or the output directory can't be written.
pub fn watch(args: &WatchArgs, global: Global) -> anyhow::Result<u8> {
    if let Some(pid) = args.pid {
        return attach(pid, args);
    }
    let started = jiff::Timestamp::now();
    let name = args.command.first().map(Path::new).and_then(Path::file_name).unwrap_or_default();
    let name = format!("watch-{}", name.to_string_lossy());
    let held = Out::prepare(args.out.as_deref(), args.force, &name, started)?;
    let begun = conduct::begin(started, None);
    let interrupted = super::interruptible()?;
    let events = args.message_format == MessageFormat::Json;
    let mut view = View::new(global.quiet, events);
    let mut looked = 0;
    let mut suspends = args.suspend_on.is_some();
    let mut look = |progress: &Progress<'_>| {
        let so_far = || analysis::watch::watch(only((progress.watch)(), &args.only));
        view.show(progress, &so_far);
        // Each time that the steps have doubled.
        if (args.until_decided || suspends) && progress.steps >= 8.max(2 * looked) {
            looked = progress.steps;
            let seen = so_far();
            if suspends && seen.libraries.iter().any(|library| library.verdict == WatchVerdict::Leak) {
                suspends = false;
                view.clear();
                note(&report::watch::suspended(&seen, progress.pid));
                return Next::Suspend;
            }
            if args.until_decided && is_decided(&seen) {
                return Next::Stop;
            }
        }
        Next::GoOn
    };
    let watched = crate::watch::watch(&plan(args), &interrupted, &mut look)?;
    view.clear();
    // What is not reported does not decide either.
    let watched = diagnosed(analysis::watch::watch(only(watched, &args.only)), &interrupted);
    let passed = analysis::watch::passed(&watched) == Some(true);
    let run = Run { passed, watch: Some(watched), ..begun };
    crate::publish::write(&run, held.path(), &report::Format::OF_A_WATCH).context("the watch is over")?;
    let code = if interrupted.load(Relaxed) {
        exit_code::INTERRUPTED
    } else {
        let of_host = Some(args.exit_code).filter(|of| *of == ExitCodeOf::Host).and(run.watch.as_ref());
        of_host.and_then(|watch| status(&watch.host.end)).unwrap_or_else(|| exit_code::of(&run))
    };
    let out = held.path().to_string_lossy();
    if events {
        run.watch.iter().flat_map(|watch| &watch.libraries).for_each(|library| of_library(library, true));
        event(&json!({"event": "end", "passed": run.passed, "exit_code": code, "out": out}));
    } else {
        print(&report::terminal::render(&run, super::columns(), global.color));
        print(&format!("record and report written to {out}\n"));
    }
    ci::tell(&run, events);
    super::printed(Some(&held.path().join("record.json")))?;
    Ok(code)
}

/// The host's own exit status, as a shell has it; none where dlsoak ended it.
fn status(end: &HostEnd) -> Option<u8> {
    match end {
        HostEnd::Exited { code } => u8::try_from(*code).ok(),
        HostEnd::Killed { signal } => u8::try_from(128 + signal).ok(),
        HostEnd::Stopped | HostEnd::Lost => None,
    }
}

/// The watch, with the loader's own account of why a library stays whose file does not say it: from a few loads in a process of ours,
/// where it also loads. Never in the host.
fn diagnosed(mut watch: Watch, interrupted: &AtomicBool) -> Watch {
    let is_unknown = |library: &&mut WatchedLibrary| {
        library.findings.iter().any(|finding| finding.code == Code::PinnedUnknown)
    };
    let context = Context { interrupted, progress: &|_| {} };
    for library in watch.libraries.iter_mut().filter(is_unknown) {
        let few = Settings { cycles: Some(Cycles::nearest(DIAGNOSED)), ..Settings::default() };
        let few = Settings { passes: "measure,diagnose".parse().ok(), ..few };
        let Ok(plan) = suite::plan::Plan::from_paths(&[library.path.clone().into()], &few) else { continue };
        for plan in &plan.soaks {
            // What can't be soaked stays without a diagnosis.
            let Ok(soak) = conduct::soak(plan, &context) else { continue };
            if soak.unload.state == UnloadState::Pinned {
                library.causes.extend(soak.unload.causes.iter().cloned());
            }
        }
    }
    analysis::watch::watch(watch)
}

/// What is shown while a watch is under way: lines that change on a terminal, and elsewhere one every few seconds; or events.
struct View {
    quiet: bool,
    events: bool,
    bar: Option<ProgressBar>,
    begun: bool,
    last: Instant,
    /// How long the last one took to make.
    took: Duration,
    /// What each library had then: loads, unloads, opens, closes.
    moved: BTreeMap<String, [u64; 4]>,
}

impl View {
    fn new(quiet: bool, events: bool) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = (!quiet && is_terminal).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            bar.with_style(
                ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar()),
            )
        });
        let (last, took) = (Instant::now(), Duration::ZERO);
        Self { quiet, events, bar, begun: false, last, took, moved: BTreeMap::new() }
    }

    fn show(&mut self, progress: &Progress<'_>, so_far: &dyn Fn() -> Watch) {
        let seconds = progress.elapsed.as_secs_f64();
        if self.events {
            if !std::mem::replace(&mut self.begun, true) {
                event(&json!({"event": "begin", "pid": progress.pid}));
            }
            event(
                &json!({"event": "step", "step": progress.steps, "seconds": seconds, "loads": progress.loads}),
            );
        }
        let every = if self.bar.is_some() || self.events { REFRESH } else { HEARTBEAT };
        // To look takes a tenth of the time at most.
        if self.quiet && !self.events || self.last.elapsed() < every.max(10 * self.took) {
            return;
        }
        self.last = Instant::now();
        if let (None, false) = (&self.bar, self.events) {
            note(&report::watch::heartbeat(progress.elapsed.as_secs(), progress.steps, progress.loads));
            return;
        }
        let watch = so_far();
        if self.events {
            for library in &watch.libraries {
                let counts = [library.loads, library.unloads, library.opens, library.closes];
                if self.moved.insert(library.path.clone(), counts) != Some(counts) {
                    of_library(library, false);
                }
            }
        }
        if let Some(bar) = &self.bar {
            bar.set_message(report::watch::live(&watch, seconds, super::width()));
        }
        self.took = self.last.elapsed();
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A library as an event: all of its record but the series, so far or at the end.
fn of_library(library: &WatchedLibrary, is_final: bool) {
    let mut value = serde_json::to_value(library).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("checkpoints");
        fields.insert("event".to_owned(), "library".into());
        fields.insert("final".to_owned(), is_final.into());
    }
    event(&value);
}

/// Says what `/proc` shows of a process that runs already.
fn attach(pid: i32, args: &WatchArgs) -> anyhow::Result<u8> {
    let interrupted = super::interruptible()?;
    let time = args.time.map(Time::duration).or_else(|| args.until_loads.is_none().then_some(ATTACHED));
    let plan = plan(args);
    let every = args.every.map_or(ATTACHED_STEP, Time::duration);
    let plan = Plan { time, steps: Steps { every, ..plan.steps }, ..plan };
    let attached = only_mapped(crate::watch::attach(pid, &plan, &interrupted)?, &args.only);
    if args.message_format == MessageFormat::Json {
        event(&serde_json::to_value(&attached)?);
    } else {
        print(&report::watch::attached(&attached, super::width()));
    }
    Ok(match attached.lost {
        _ if interrupted.load(Relaxed) => exit_code::INTERRUPTED,
        0 => exit_code::PASSED,
        _ => exit_code::UNDECIDED,
    })
}

fn plan(args: &WatchArgs) -> Plan {
    let every = args.every.map(Time::duration);
    let every = every.unwrap_or(if args.action.is_some() { Duration::ZERO } else { EVERY });
    Plan {
        command: args.command.clone(),
        steps: Steps {
            every,
            action: args.action.clone(),
            settle: args.settle.duration(),
            ready: args.ready.clone(),
        },
        time: args.time.map(Time::duration),
        loads: args.until_loads.map(Count::get),
        slow_calls: args.force,
        asked: WatchAsked {
            heap: args.heap.unwrap_or_default(),
            max_leak_rate: args.max_leak_rate.clone(),
            allow: args.allow.clone(),
            require_unload: args.require_unload.clone(),
        },
    }
}

/// Whether every library that is reloaded has a verdict.
fn is_decided(watch: &Watch) -> bool {
    let mut reloaded = watch.libraries.iter().filter(|library| library.loads > 1).peekable();
    reloaded.peek().is_some() && reloaded.all(|library| library.verdict != WatchVerdict::Inconclusive)
}

/// The watch with these libraries alone.
fn only(watch: Watch, patterns: &[Pattern]) -> Watch {
    let is_meant = |library: &WatchedLibrary| is_meant(library.name(), patterns);
    Watch { libraries: watch.libraries.into_iter().filter(is_meant).collect(), ..watch }
}

/// The same of a process that runs already.
fn only_mapped(of: Attached, patterns: &[Pattern]) -> Attached {
    let is_meant = |library: &MappedLibrary| is_meant(library.name(), patterns);
    Attached { mapped: of.mapped.into_iter().filter(is_meant).collect(), ..of }
}

fn is_meant(name: &str, patterns: &[Pattern]) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(name))
}
