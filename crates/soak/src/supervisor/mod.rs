//! Spawns a worker, has it cycle from checkpoint to checkpoint, notices whatever goes wrong, and always ends with a
//! record of what was measured.

mod agent;
mod allowances;
mod answers;
mod causes;
mod chaos;
mod cohorts;
mod course;
mod end;
mod failure;
pub mod family;
mod host;
pub(crate) mod image;
mod instances;
mod job;
mod kinds;
mod latency;
mod limits;
mod linked;
mod loads;
mod measure;
mod noted;
mod original;
mod over_time;
mod pace;
mod pointers;
pub(crate) mod private;
mod process;
mod residue;
mod sandbox;
mod series;
mod session;
mod shares;
mod staging;
mod stall;
mod together;
mod trace;
mod unload;
#[cfg(test)]
mod vandalism;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::analysis;
use crate::calls;
use crate::channel::{self, Channel, Clock};
use crate::conduct::Instrument;
use crate::elf;
use crate::fault::{self, Fault};
use crate::gctrace;
use crate::record::{
    Agent, CallFrom, Cohorts, Cycles, Disturbance, Doubt, EndedEarly, FileProblem, Language, LoadCause,
    Measured, Mode, Note, Outcome, Phase, Residue, Trace, Worker,
};
use crate::replace::Other;
use crate::sampling::Sampler;
use crate::settings::Sandboxing;
use crate::suite::plan::{Purpose, SoakPlan};
use crate::sys::{c_library, clock};

pub use host::{host, libc_for};
pub use private::{PrivateDirectory, clean as clean_private};

use answers::Answers;
use end::failed_before_start;
use limits::Limits;
use measure::{Library, Measurement};
use original::Original;
use process::{Programs, WorkerProcess};
use sandbox::Confinement;
use session::{Bounds, End, Session};
pub(crate) use staging::same_file;
use staging::{Exchange, Files, Staging};

/// Warm-up cycles where nobody said how many, and no more than one for each four that are measured. Of 900 libraries of Debian in 200 cycles
/// none had another verdict after 50 cycles of warm-up than after 200.
const WARMUP: u64 = 500;
const WARMUP_SHARE: u64 = 4;

/// Where the calls are left out, after a soak that has shown how first cycles are, no more than one of so many warms up.
const WARMUP_ASIDE: u64 = 8;

/// Most cycles of a thread between quiet points where threads share a path: only when all handles are closed at
/// once is the library unloaded, and what it leaks per load must not become a matter of how often we look.
const SHARED_STRIDE: u64 = 64;

/// How long a process that is gone from /proc may take to be known as ended.
const STARTED: Duration = Duration::from_secs(1);

/// The file of what stands in for the exports of a host, as `/proc` shows it.
const STUBS: &std::ffi::CStr = c"dlsoak-stubs.so";

/// Names the directory for temporary files.
const TMPDIR: &str = "TMPDIR";

/// What a soak tells while it runs.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// A soak begins; cycles include the warm-up.
    Begin {
        /// Name of the soak.
        name: &'a str,
        /// Cycles to come, warm-up included.
        cycles: u64,
    },
    /// It goes on.
    Cycles {
        /// Cycles completed, warm-up included.
        completed: u64,
        /// Resident set size of the worker in bytes.
        resident: Option<u64>,
    },
    /// A checkpoint has been taken; told once in a while, so that what was measured outlives this process.
    Checkpoint(
        /// All that was measured so far, not judged.
        &'a Measured,
    ),
    /// It has ended.
    End,
}

/// What a supervisor needs from its caller.
pub struct Context<'a> {
    /// Set when the person wants the run to end; what was measured is kept.
    pub interrupted: &'a AtomicBool,
    /// Called every now and then while a soak runs.
    pub progress: &'a dyn Fn(Progress<'_>),
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("interrupted", &self.interrupted).finish_non_exhaustive()
    }
}

/// The instrument that measures: an agent in a process of its own.
#[derive(Debug)]
pub struct Supervisor;

impl Instrument for Supervisor {
    fn measure(&self, plan: &SoakPlan, context: &Context<'_>) -> Result<(Measured, Option<Doubt>), Fault> {
        let (soak, doubt) = once(plan, context)?;
        fault::of(&soak).map_or(Ok((soak, doubt)), Err)
    }

    fn trace(
        &self,
        plan: &SoakPlan,
        soak: &Measured,
        cycles: u64,
        context: &Context<'_>,
    ) -> Result<Trace, EndedEarly> {
        trace::trace(plan, soak, cycles, context)
    }

    fn cohorts(
        &self,
        plan: &SoakPlan,
        soak: &Measured,
        cycles: u64,
        context: &Context<'_>,
    ) -> Result<Cohorts, EndedEarly> {
        cohorts::cohorts(plan, soak, cycles, context)
    }

    fn pointers(
        &self,
        plan: &SoakPlan,
        soak: &Measured,
        wait: Duration,
        context: &Context<'_>,
    ) -> Result<(Vec<Residue>, Option<Note>), EndedEarly> {
        pointers::look(plan, soak, wait, context)
    }
}

/// Soaks one library with one agent and says all that was measured, and why the figures of its heap are to be doubted. Growth,
/// verdict and gate are left to the analysis. Whatever the library does is in the result's `outcome`.
fn once(plan: &SoakPlan, context: &Context<'_>) -> Result<(Measured, Option<Doubt>), Fault> {
    // Of several threads, one that wakes late may make no cycle in a short warm-up: what its first cycle keeps was growth in 1 of 12 soaks.
    let measured = if plan.threads == 1 { pace::fewest(plan) } else { plan.cycles };
    let most = match plan.purpose {
        Purpose::Everything => measured / WARMUP_SHARE,
        Purpose::Share { .. } | Purpose::Collected | Purpose::OtherHost => measured / WARMUP_ASIDE,
        Purpose::Pointers => 0,
    };
    let warmup = plan.warmup.unwrap_or(WARMUP.min(most));
    // Where threads share a path, what one load adds can only be told from a cycle that runs alone; and so can whether
    // instances stay.
    let alone = plan.threads > 1 || instances::may_stay(plan.mode);
    let warmup = if alone { warmup.max(2) } else { warmup };
    (context.progress)(Progress::Begin { name: &plan.name, cycles: plan.cycles.saturating_add(warmup) });
    let mut soak = asked_for(plan);
    let mut doubt = None;
    match prepare(plan, warmup, &mut soak, context) {
        Ok(measurement) => doubt = measurement.carry_out(&mut soak),
        Err(NotBegun::Outcome(outcome)) => soak.outcome = *outcome,
        Err(NotBegun::Fault(fault)) => return Err(fault),
    }
    if plan.sandbox != Sandboxing::Off && !plan.env.contains_key(TMPDIR) {
        // Another directory each time, and gone: it tells nothing, and two runs would differ by it.
        soak.env.remove(TMPDIR);
    }
    (context.progress)(Progress::End);
    Ok((soak, doubt))
}

/// Why there is nothing to measure.
enum NotBegun {
    /// The library can't be loaded.
    Outcome(Box<Outcome>),
    /// The machine lacks something.
    Fault(Fault),
}

impl From<Box<Outcome>> for NotBegun {
    fn from(outcome: Box<Outcome>) -> Self {
        Self::Outcome(outcome)
    }
}

impl From<Fault> for NotBegun {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// What is known of a soak before it begins: what was asked for.
fn asked_for(plan: &SoakPlan) -> Measured {
    let agent = agent::choose(plan, &plan.env);
    Measured {
        name: plan.name.clone(),
        path: plan.path.to_string_lossy().into_owned(),
        asked: plan.asked.clone(),
        driver: plan.driven.as_ref().map(|(_, driven)| driven.clone()),
        share_path: plan.share_path && plan.threads > 1,
        beside: plan.beside,
        env: process::environment(&plan.env, agent, plan.libc),
        chaos: plan
            .chaos
            .iter()
            .map(|c| Disturbance { what: c.to_string(), ..Disturbance::default() })
            .collect(),
        cycles: Cycles { requested: plan.cycles, ..Cycles::default() },
        worker: Worker {
            agent,
            kind: plan.kind,
            linked: plan.linked.iter().map(|file| file.to_string_lossy().into_owned()).collect(),
            held: plan.held.iter().map(|file| file.to_string_lossy().into_owned()).collect(),
            ..Worker::default()
        },
        ..Measured::default()
    }
}

/// Reads the file, stages it, and starts a worker that has not opened anything yet.
fn prepare<'a>(
    plan: &'a SoakPlan,
    warmup: u64,
    soak: &mut Measured,
    context: &'a Context<'a>,
) -> Result<Measurement<'a>, NotBegun> {
    let libraries = plan.libraries().map(read).collect::<Result<Vec<_>, _>>()?;
    let other = Other::of(plan, &libraries[0].facts)?;
    let difference = other.as_ref().map(|other| other.difference);
    let other = other.map(|other| read(&other.path)).transpose()?;
    if let Some(Library { facts, .. }) = libraries.first() {
        soak.build_id.clone_from(&facts.build_id);
        soak.language = facts.language;
        soak.toolchain.clone_from(&facts.toolchain);
    }
    if libraries.iter().any(|library| library.facts.language != soak.language) {
        soak.language = Language::Unknown;
    }
    if analysis::has_collector(soak)
        && let Ok(percent) = std::env::var("GOGC")
    {
        // The worker inherits it, and what is judged depends on it.
        soak.env.entry("GOGC".to_owned()).or_insert(percent);
    }
    let data = |library: &Library, symbol: &str| library.facts.export(symbol) == Some(elf::ExportKind::Data);
    let is_data = |symbol: &str| libraries.iter().any(|library| data(library, symbol));
    if let Some(call) = plan.calls.iter().find(|call| is_data(&call.symbol)) {
        let failed = failed_before_start(LoadCause::DataSymbol { symbol: call.symbol.clone() });
        return Err(Box::new(Outcome { phase: Some(Phase::Symbol), ..*failed }).into());
    }
    let unchecked = calls::unchecked(&plan.calls, &plan.prototypes);
    if !unchecked.is_empty() {
        let calls = unchecked.iter().map(|call| call.text.clone()).collect();
        soak.notes.push(Note::CallsUnchecked { calls });
    }
    let has_unique = libraries.iter().any(|library| !library.facts.unique_symbols.is_empty());
    if plan.mode == Mode::Copies && has_unique {
        soak.notes.push(Note::CopiesShareUnique);
    }
    if plan.mode == Mode::Reopen && plan.threads > 1 && !plan.share_path && has_unique {
        // The loader binds the unique symbols of every copy to the first one: copies would not be independent,
        // and all but the first would be unloaded as no host's would.
        soak.share_path = true;
        soak.notes.push(Note::OnePath);
    }
    if has_one_trace(plan, soak) {
        let own = soak.env.get("GODEBUG").cloned().or_else(|| std::env::var("GODEBUG").ok());
        soak.env.insert("GODEBUG".to_owned(), gctrace::godebug(own));
    }
    let files = Files::of(plan.mode, plan.threads, soak.share_path);
    let mut staging = match (&plan.replace, difference) {
        (Some(other), Some(difference)) => Staging::replaced(&plan.path, other.path(), difference)?,
        _ => Staging::new(plan.libraries(), plan.threads, files)?,
    };
    if staging.has_copies() {
        // Each build would be at the library's path.
        let others = other.iter().map(|other| (plan.path.as_path(), other));
        for (path, library) in others.chain(plan.libraries().zip(&libraries)) {
            staging::keep_origin(&library.facts, path, &mut soak.env);
        }
    }
    if plan.sandbox != Sandboxing::Off && !soak.env.contains_key(TMPDIR) {
        let scratch = staging.make_scratch()?;
        soak.env.insert(TMPDIR.to_owned(), scratch.to_string_lossy().into_owned());
    }
    let bounds = Bounds {
        stall: plan.stall_timeout,
        limits: Limits::of(plan),
        deadline: plan.duration.and_then(|d| Instant::now().checked_add(d)),
        stride: if soak.share_path && plan.mode == Mode::Reopen { SHARED_STRIDE } else { u64::MAX },
    };
    let mut session = start(plan, (staging.paths(), staging.exchange()), &soak.env, bounds, context)?;
    let worker = &mut session.worker;
    worker.disturber = chaos::Disturber::new(&plan.chaos, worker.process.pid(), staging.paths());
    Ok(Measurement::new(plan, warmup, session, staging, libraries, other)?)
}

/// Whether Go's runtime is to tell of its collections, and only one does: its lines do not say whose they are. Each copy of a library has a
/// runtime of its own. As Go's libraries are never unloaded, that of one path starts once.
fn has_one_trace(plan: &SoakPlan, soak: &Measured) -> bool {
    plan.purpose == Purpose::Collected
        && (plan.threads == 1 || soak.share_path)
        && plan.mode == Mode::Reopen
        && plan.together.is_empty()
        && plan.replace.is_none()
}

/// Starts a worker with one thread per file of each library, which has not opened anything yet. A file may change places with that of
/// another build.
fn start<'a>(
    plan: &SoakPlan,
    (files, exchange): (&[PathBuf], Option<&Exchange>),
    env: &BTreeMap<String, String>,
    bounds: Bounds,
    context: &'a Context<'a>,
) -> Result<Session<'a>, Fault> {
    let stubs = plan.stubs.as_ref().map(|bytes| image::data(STUBS, bytes)).transpose();
    let stubs = stubs
        .map_err(|e| Fault::new(format!("cannot write the stubs of the host to memory or a file: {e}")))?;
    let first = stubs.as_ref().map(image::path);
    let with_stubs =
        SoakPlan { linked: first.into_iter().chain(plan.linked.clone()).collect(), ..plan.clone() };
    let confinement = if plan.sandbox != Sandboxing::Off {
        // Where each cycle opens a copy, the worker itself writes it there, or renames it.
        let makes_files = plan.mode == Mode::Copies || exchange.is_some();
        let copies = files.iter().filter(|_| makes_files).filter_map(|file| file.parent());
        let writable: Vec<PathBuf> =
            copies.map(Path::to_owned).chain(env.get(TMPDIR).map(PathBuf::from)).collect();
        Some(Confinement::new(&writable, plan.sandbox)?)
    } else {
        None
    };
    let job = job::job(&with_stubs, files, confinement.as_ref(), exchange, trace::is_asked_for(env))
        .map_err(Fault::new)?;
    let libraries = plan.together.len() + 1;
    let threads = files.len() / libraries;
    let capacity = channel::ring_capacity(u32::try_from(threads).unwrap_or(u32::MAX));
    let counts = (threads, libraries);
    let channel = Channel::create(counts, capacity as usize, &job, plan.purpose == Purpose::Pointers)
        .map_err(Fault::new)?;
    // What is done beside cycles is told in nanoseconds, and only where cycles load something.
    let beside = plan.mode == Mode::Copies || plan.call_from == CallFrom::ShortLived || exchange.is_some();
    let clock = if beside { Clock::Monotonic } else { clock::best() };
    channel.header().clock.store(clock as u32, Ordering::Relaxed);
    let ruleset = confinement.as_ref().and_then(Confinement::ruleset);
    let agents = c_library::agents(plan.libc);
    let host = match agent::choose(plan, env) {
        _ if plan.purpose == Purpose::Pointers => agents.host_pointers,
        Agent::Counting => agents.host_counting,
        Agent::Plain => agents.host,
    };
    let programs = Programs { keeper: agents.keeper, host: c_library::fitting(host) };
    let (env, links) = linked::environment(&with_stubs.linked, env)?;
    let traced = plan.purpose == Purpose::Collected;
    let mut process =
        WorkerProcess::start(&channel, &programs, &env, bounds.limits.file_bytes(), ruleset, traced)
            .map_err(|e| Fault::new(format!("cannot start the measured process: {e}")))?;
    let sampler = Sampler::new(process.pid()).map_err(|e| match process.ended_within(STARTED) {
        Some(status) if !plan.linked.is_empty() || !plan.held.is_empty() => {
            linked::refusal(plan, None, Some(status), &process.output_tail())
        }
        _ => Fault::new(format!("cannot read /proc/{} of the measured process: {e}", process.pid())),
    })?;
    let bounds = Bounds { stride: bounds.stride.min(u64::from(capacity)), ..bounds };
    let worker = session::Worker::new(process, sampler, (links, stubs), threads);
    let mut session = Session::new(channel, worker, confinement, bounds, context);
    session.answers = exchange.map(|exchange| Answers::new(exchange.difference.words));
    if !with_stubs.linked.is_empty() || !plan.held.is_empty() {
        host_is_ready(plan, &mut session)?;
    }
    Ok(session)
}

/// Waits until the host has all that it links and holds. Where it can't have that, nothing can be said of the library.
fn host_is_ready(plan: &SoakPlan, session: &mut Session<'_>) -> Result<(), Fault> {
    let Err(end) = session.ready() else { return Ok(()) };
    let status = match &end {
        // It is interrupted again.
        End::Interrupted { .. } | End::TimeUp => return Ok(()),
        End::Died(status) => Some(*status),
        _ => None,
    };
    let failure = session.channel.slots().first().and_then(|slot| {
        let said =
            channel::read_bytes(session.channel.error(0), slot.error_len.load(Ordering::Relaxed) as usize);
        let failure = channel::Failure::from_u32(slot.failure.load(Ordering::Acquire))?;
        Some((failure, String::from_utf8_lossy(&said).into_owned()))
    });
    let output = session.worker.process.output_tail();
    session.worker.process.kill();
    match failure {
        Some((channel::Failure::Hold, said)) => {
            Err(Fault::new(format!("the host can't hold a library: {said}")))
        }
        Some((channel::Failure::After, name)) => Err(crate::host::no_function(&name)),
        Some((channel::Failure::Linked, name)) => Err(linked::refusal(plan, Some(&name), status, &output)),
        // What else the host lacks is found where it is looked for.
        Some(_) => Ok(()),
        None => Err(linked::refusal(plan, None, status, &output)),
    }
}

/// A library as its file is now, or why it can't be loaded here.
fn read(path: &Path) -> Result<Library, Box<Outcome>> {
    let stamp = original::stamp(path);
    let facts = elf_facts(path)?;
    let original = Original::new(path, stamp, facts.build_id.clone());
    Ok(Library { facts, original })
}

/// Facts of the file, or why it can't be loaded here.
fn elf_facts(path: &Path) -> Result<elf::Facts, Box<Outcome>> {
    let bad = |problem| {
        failed_before_start(LoadCause::BadFile { path: path.to_string_lossy().into_owned(), problem })
    };
    let bytes = elf::read_library(path).map_err(|e| bad(FileProblem::System { said: e.to_string() }))?;
    let facts = elf::parse(&bytes).map_err(|e| bad(FileProblem::Unreadable(e)))?;
    elf::check_loadable(&facts, elf::Host::CURRENT)
        .and_then(|()| libc_for(&facts).map_or(Ok(()), |libc| elf::check_relocations(&facts, &libc)))
        .map_err(|e| bad(FileProblem::NotLoadable(e)))?;
    Ok(facts)
}
