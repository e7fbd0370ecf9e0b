//! `dlsoak watch`: starts a host that loads its own libraries, and says what each of its loads leaves behind.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use glob::Pattern;
use serde_json::json;

use super::out::Out;
use super::soaks::event;
use super::{note, print};
use crate::cli::{Global, MessageFormat, WatchArgs};
use crate::record::{Attached, MappedLibrary, Run, Watch, WatchAsked, WatchVerdict, WatchedLibrary};
use crate::settings::quantity::{Count, Time};
use crate::watch::{Next, Plan, Progress, Steps};
use crate::{analysis, conduct, exit_code, report};

/// From step to step, where nothing is done in them.
const EVERY: Duration = Duration::from_secs(5);
/// How long a process that runs already is watched, and from point to point.
const ATTACHED: Duration = Duration::from_secs(3);
const ATTACHED_STEP: Duration = Duration::from_secs(1);
/// How often a line says how far it is.
const HEARTBEAT: Duration = Duration::from_secs(5);

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
    let begun = conduct::begin(started);
    let interrupted = super::interruptible()?;
    let events = args.message_format == MessageFormat::Json;
    let mut last = Instant::now();
    let mut looked = 0;
    let mut look = |progress: &Progress<'_>| {
        let beat = last.elapsed() >= HEARTBEAT;
        if beat {
            last = Instant::now();
            if !global.quiet {
                note(&report::watch::heartbeat(progress.elapsed.as_secs(), progress.steps, progress.loads));
            }
        }
        if events && beat {
            event(&json!({"event": "step", "step": progress.steps, "loads": progress.loads}));
        }
        // Each time that the steps have doubled.
        if args.until_decided && progress.steps >= 8.max(2 * looked) {
            looked = progress.steps;
            if is_decided(&analysis::watch::watch((progress.watch)())) {
                return Next::Stop;
            }
        }
        Next::GoOn
    };
    let watched = crate::watch::watch(&plan(args), &interrupted, &mut look)?;
    let watched = analysis::watch::watch(watched);
    let passed = analysis::watch::passed(&watched) == Some(true);
    let run = Run { passed, watch: Some(only(watched, &args.only)), ..begun };
    crate::publish::write(&run, held.path(), &[report::Format::Json]).context("the watch is over")?;
    let code = if interrupted.load(Relaxed) { exit_code::INTERRUPTED } else { exit_code::of(&run) };
    let out = held.path().to_string_lossy();
    if events {
        event(&json!({"event": "end", "passed": run.passed, "exit_code": code, "out": out}));
    } else {
        print(&report::terminal::render(&run, super::width(), global.color));
        print(&format!("record written to {out}\n"));
    }
    super::printed(Some(&held.path().join("record.json")))?;
    Ok(code)
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
    let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let is_meant = |library: &MappedLibrary| is_meant(&name(&library.path), patterns);
    Attached { mapped: of.mapped.into_iter().filter(is_meant).collect(), ..of }
}

fn is_meant(name: &str, patterns: &[Pattern]) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(name))
}
