//! The diagnostic soak: a few cycles in a worker of its own, while glibc's loader writes down what it does. Nothing
//! of it is measured, so it may also do what a measured worker must not: close a handle that is not its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::time::{Duration, Instant};

use super::{CYCLES, Pending, pending};
use crate::channel::Look;
use crate::lddebug::Log;
use crate::record::{EndedEarly, LoadCause, Mode};
use crate::suite::plan::{Allowance, SoakPlan};
use crate::supervisor::latency::Histograms;
use crate::supervisor::limits::Limits;
use crate::supervisor::private::PrivateDirectory;
use crate::supervisor::series::objects;
use crate::supervisor::session::{Bounds, End, Session};
use crate::supervisor::staging::Staging;
use crate::supervisor::{Context, start};

/// How long it may take: the log of a library with many thousand symbols takes a second or two.
const AT_MOST: Duration = Duration::from_secs(60);

/// What the diagnostic soak found.
#[derive(Debug, Default)]
pub(super) struct Diagnosis {
    /// What the loader said.
    pub(super) log: Log,
    /// Objects that were left, by the loader's names.
    pub(super) left: Vec<String>,
    /// Pending thread-local destructors.
    pub(super) pending: Vec<Pending>,
    /// How many references given back unloaded the library; 0 when none did.
    pub(super) released: u32,
    /// Cycles that it completed.
    pub(super) cycles: u64,
    /// Why it went no further.
    pub(super) problem: Option<EndedEarly>,
}

/// Soaks the library for a few cycles under the loader's log.
pub(super) fn diagnose(
    plan: &SoakPlan,
    staging: &Staging,
    env: &BTreeMap<String, String>,
    context: &Context<'_>,
) -> Diagnosis {
    let mut found = Diagnosis::default();
    if let Err(problem) = run(plan, staging, env, context, &mut found) {
        found.problem = Some(problem);
    }
    found
}

fn run(
    plan: &SoakPlan,
    staging: &Staging,
    env: &BTreeMap<String, String>,
    context: &Context<'_>,
    found: &mut Diagnosis,
) -> Result<(), EndedEarly> {
    // Private, since the log names every library and symbol; gone with this value.
    let directory =
        PrivateDirectory::new().map_err(|error| EndedEarly::NotStarted { problem: error.to_string() })?;
    let output = directory.path().join("log");
    let mut env = env.clone();
    env.insert("LD_DEBUG".to_owned(), "files,bindings".to_owned());
    env.insert("LD_DEBUG_OUTPUT".to_owned(), output.to_string_lossy().into_owned());
    // By its path, whatever a measured cycle opens: the causes are those of the library, and the loader can be asked.
    // How much the library may write is not for the loader's log.
    let allowance = Allowance { output: None, ..plan.allowance };
    let plan = SoakPlan { mode: Mode::Reopen, allowance, ..plan.clone() };
    let bounds = Bounds {
        stall: plan.stall_timeout,
        limits: Limits::of(&plan),
        deadline: Instant::now().checked_add(AT_MOST),
        stride: 1,
    };
    // Its few cycles are no progress of the soak.
    let silent = Context { interrupted: context.interrupted, progress: &|_| {} };
    // Of two builds that replace each other, the one that stays, by itself.
    let mut session = start(&plan, (&staging.first_of_each(), None), &env, bounds, &silent)
        .map_err(|fault| EndedEarly::NotStarted { problem: fault.to_string() })?;
    let ended = cycles(&mut session, found);
    let log = output.with_extension(session.worker.process.pid().to_string());
    if let Ok(file) = File::open(&log) {
        found.log = Log::read(BufReader::new(file));
    }
    ended.map_err(|end| end.early())?;
    // After the log was read: this writes to it too, and may end the worker.
    // Of several libraries it would be the first one alone.
    if plan.together.is_empty() && session.look(Look::Release).is_ok() {
        use std::sync::atomic::Ordering::Relaxed;
        found.released = session.channel.header().released.load(Relaxed);
    }
    Ok(())
}

fn cycles(session: &mut Session<'_>, found: &mut Diagnosis) -> Result<(), End> {
    session.ready()?;
    let before = objects(&session.channel);
    let mut histograms =
        Histograms::new().map_err(|_| End::of(LoadCause::SetupFailed { errno: libc::EINVAL }))?;
    let ended = session.advance(CYCLES, &mut histograms);
    found.cycles = session.completed();
    ended?;
    found.left = objects(&session.channel);
    found.left.retain(|name| !before.contains(name));
    found.pending = pending(session);
    Ok(())
}
