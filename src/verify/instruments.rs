//! Runs each instrument on a process that only cycles, and computes figures per cycle from its report. An instrument that is missing or
//! fails becomes an observation that says so; the others go on.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use dlsoak_agent::bare;

use super::blocks::{blocks, top};
use super::gctrace::{self, GoHeap};
use super::memcheck::{self, LossKind, Losses};
use super::peer::{Peer, PeerError, Run};
use super::reconcile::reconcile;
use super::status::{self, Reading};
use super::workspace::Workspace;
use super::{Leaked, lsan};
use crate::doctor::process;
use crate::elf::read_at_most;
use crate::record::verification::{
    Failure, Figure, Instrument, Observation, Quantity, SCHEMA, Span, State, Verification,
};
use crate::record::{Language, OutcomeKind, Soak, Tool, Trend, Unit};
use crate::suite::plan::SoakPlan;

/// Intervals between two readings of `/proc`, and between two points of Go's trace.
const POINTS: u64 = 30;
/// What the loader preloads.
const PRELOAD: &str = "LD_PRELOAD";
/// Most bytes of a report.
const LARGEST_REPORT: u64 = 1 << 30;
/// Name of LeakSanitizer's library in gcc 12, for machines without a compiler to ask.
const LSAN: &str = "liblsan.so.0";
const LSAN_DIRECTORIES: [&str; 4] =
    ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];

/// What to verify, and for how long.
#[derive(Debug)]
pub struct Request<'a> {
    /// The plan of the soak; on one thread.
    pub plan: &'a SoakPlan,
    /// dlsoak's own soak, judged.
    pub soak: &'a Soak,
    /// Holds the loop.
    pub workspace: &'a Workspace,
    /// When the verification began, RFC 3339 in UTC.
    pub started_at: String,
    /// Cycles under valgrind and LeakSanitizer that count. Half as many run before them.
    pub few: u64,
    /// How long one run of another instrument may take.
    pub timeout: Duration,
    /// Set when the user interrupts the verification.
    pub interrupted: &'a AtomicBool,
}

/// Why there is no verification.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The library's path can't be made absolute.
    #[error("{}: {error}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

/// Runs all other instruments and compares them with dlsoak's own soak. `begin` is called before each of them.
///
/// # Errors
/// See [`VerifyError`].
pub fn verify(request: &Request<'_>, begin: &dyn Fn(Instrument)) -> Result<Verification, VerifyError> {
    let soak = request.soak;
    let mut observations = vec![own(soak)];
    if soak.outcome.kind == OutcomeKind::Completed {
        let peer = peer(request)?;
        type Observe = fn(&Peer<'_>, &Request<'_>) -> Result<Observation, PeerError>;
        let mut order: Vec<(Instrument, Observe)> =
            vec![(Instrument::Memcheck, by_memcheck), (Instrument::Lsan, by_lsan)];
        if soak.language == Language::Go {
            order.push((Instrument::Gctrace, by_gctrace));
        }
        order.push((Instrument::Status, by_status));
        for (instrument, observe) in order {
            if request.interrupted.load(Relaxed) {
                break;
            }
            begin(instrument);
            let observation = observe(&peer, request);
            observations.push(observation.unwrap_or_else(|error| without(instrument, error)));
        }
    }
    let interrupted = request.interrupted.load(Relaxed);
    let result = reconcile(soak, &observations, interrupted);
    Ok(Verification {
        schema: SCHEMA.to_owned(),
        tool: Tool { version: env!("CARGO_PKG_VERSION").to_owned() },
        started_at: request.started_at.clone(),
        path: soak.path.clone(),
        language: soak.language,
        calls: soak.calls().clone(),
        verdict: soak.judged.verdict,
        observations,
        places: result.places,
        cross_checks: result.cross_checks,
        doubts: result.doubts,
        answer: result.answer,
    })
}

/// An observation with figures.
pub(super) fn observed(instrument: Instrument, cycles: Span, figures: Vec<Figure>) -> Observation {
    Observation {
        instrument,
        state: State::Observed,
        failure: None,
        said: None,
        cycles: Some(cycles),
        figures,
        stack: Vec::new(),
        collections: None,
        errors: Default::default(),
    }
}

/// An observation without figures.
pub(super) fn without(instrument: Instrument, error: PeerError) -> Observation {
    let (state, failure, said) = match error {
        PeerError::NotInstalled => (State::Missing, None, None),
        PeerError::Failed { failure, said } => (State::Failed, Some(failure), said),
    };
    Observation {
        state,
        failure,
        said,
        cycles: None,
        ..observed(instrument, Span { after: 0, to: 0 }, Vec::new())
    }
}

/// The same files, calls and environment as the soak had.
fn peer<'a>(request: &Request<'a>) -> Result<Peer<'a>, VerifyError> {
    let path = std::path::absolute(&request.plan.path)
        .map_err(|error| VerifyError::Path { path: request.plan.path.clone(), error })?;
    Ok(Peer {
        workspace: request.workspace,
        plan: SoakPlan { path, ..request.plan.clone() },
        env: environment(request.soak),
        timeout: request.timeout,
        interrupted: request.interrupted,
    })
}

/// The environment of the soak. What its host linked is preloaded, as it was there.
fn environment(soak: &Soak) -> Vec<(String, String)> {
    let mut env: Vec<(String, String)> =
        soak.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    if !soak.worker.linked.is_empty() {
        let own = soak.env.get(PRELOAD).cloned().or_else(|| std::env::var(PRELOAD).ok());
        let all: Vec<String> =
            own.into_iter().filter(|own| !own.is_empty()).chain(soak.worker.linked.clone()).collect();
        env.retain(|(name, _)| name != PRELOAD);
        env.push((PRELOAD.to_owned(), all.join(":")));
    }
    env
}

/// What dlsoak's own soak found.
fn own(soak: &Soak) -> Observation {
    let figures = soak.judged.growth.iter().map(|growth| Figure {
        quantity: Quantity::Metric(growth.metric),
        unit: growth.unit,
        per_cycle: growth.per_cycle,
        low: growth.low,
        high: growth.high,
        trend: growth.trend,
        detectable: growth.detectable,
        blocks_per_cycle: None,
        chunks: None,
    });
    let after = soak.cycles.warmup;
    let cycles = Span { after, to: after + soak.cycles.completed };
    let mut observation = observed(Instrument::Dlsoak, cycles, figures.collect());
    if soak.outcome.kind != OutcomeKind::Completed {
        observation.state = State::Failed;
        observation.failure = Some(Failure::EndedEarly { outcome: Box::new(soak.outcome.clone()) });
    }
    observation
}

/// The cycles after which the short and the long run of an instrument end.
fn short_and_long(request: &Request<'_>) -> Span {
    let after = (request.few / 2).max(2);
    Span { after, to: after + request.few }
}

/// Runs an instrument twice at the same time, for fewer and for more cycles. What both runs leave is not growth.
fn twice<R: Send>(
    request: &Request<'_>,
    run: impl Fn(u64) -> Result<R, PeerError> + Sync,
) -> Result<(R, R), PeerError> {
    let span = short_and_long(request);
    let (short, long) = std::thread::scope(|scope| {
        let short = scope.spawn(|| run(span.after));
        let long = run(span.to);
        (short.join().unwrap_or_else(|_| Err(Failure::Internal.into())), long)
    });
    Ok((short?, long?))
}

fn by_memcheck(peer: &Peer<'_>, request: &Request<'_>) -> Result<Observation, PeerError> {
    let run = |cycles: u64| -> Result<Losses, PeerError> {
        let file = peer.workspace.file("memcheck");
        let mut xml = OsString::from("--xml-file=");
        // valgrind takes a % for the start of a placeholder.
        xml.push(file.to_string_lossy().replace('%', "%%"));
        let words = [
            "valgrind",
            "--tool=memcheck",
            "--leak-check=full",
            "--show-leak-kinds=all",
            "--keep-debuginfo=yes",
            "--undef-value-errors=no",
            "--child-silent-after-fork=yes",
            "--vgdb=no",
            "--num-callers=16",
            "--xml=yes",
        ];
        let under = words.iter().map(OsString::from).chain([xml]).collect();
        peer.run(&Run { under, points: vec![cycles], ..Run::default() }, |_, _| Ok(()))?;
        let losses = memcheck::parse(&report(&file)?)?;
        if losses.blocks_of(bare::CONTROL_SIZE) == 0 {
            return Err(Failure::ReportWithoutControls.into());
        }
        Ok(losses)
    };
    let (short, long) = twice(request, run)?;
    use LossKind::{Definitely, Indirectly, Possibly, Reachable};
    let figures = [
        (Quantity::NotFreed, &[Definitely, Indirectly, Possibly, Reachable][..]),
        (Quantity::Lost, &[Definitely, Indirectly, Possibly]),
        (Quantity::DefinitelyLost, &[Definitely]),
        (Quantity::IndirectlyLost, &[Indirectly]),
        (Quantity::PossiblyLost, &[Possibly]),
        (Quantity::StillReachable, &[Reachable]),
    ];
    let figures = figures
        .map(|(quantity, kinds)| blocks(quantity, &short.leaked(kinds), &long.leaked(kinds), request.few));
    let all = [Definitely, Indirectly, Possibly, Reachable];
    Ok(Observation {
        stack: top(&short.leaked(&all), &long.leaked(&all)),
        errors: long.errors,
        ..observed(Instrument::Memcheck, short_and_long(request), figures.to_vec())
    })
}

fn by_lsan(peer: &Peer<'_>, request: &Request<'_>) -> Result<Observation, PeerError> {
    let library = find_lsan().ok_or(PeerError::NotInstalled)?;
    let run = |cycles: u64| -> Result<Vec<Leaked>, PeerError> {
        let file = peer.workspace.file("lsan");
        let of_soak = peer.env.iter().find(|(name, _)| name == PRELOAD).map(|(_, own)| OsString::from(own));
        let own = of_soak.or_else(|| std::env::var_os(PRELOAD));
        let preload = match own.filter(|own| !own.is_empty()) {
            None => library.clone().into_os_string(),
            Some(own) => [library.as_os_str(), own.as_os_str()].join(OsStr::new(" ")),
        };
        let mut options = OsString::from("exitcode=0:verbosity=1:detect_leaks=1:max_leaks=0:log_path=");
        options.push(&file);
        let env = vec![(PRELOAD, preload), ("LSAN_OPTIONS", options)];
        peer.run(&Run { env, points: vec![cycles], ..Run::default() }, |_, _| Ok(()))?;
        let leaks = lsan::parse(&String::from_utf8_lossy(&log(&file)?))?;
        if !leaks.iter().any(|leak| Some(leak.bytes) == leak.blocks.checked_mul(bare::CONTROL_SIZE)) {
            return Err(Failure::ReportWithoutControls.into());
        }
        Ok(leaks)
    };
    let (short, long) = twice(request, run)?;
    let figure = blocks(Quantity::Lost, &short, &long, request.few);
    let stack = top(&short, &long);
    Ok(Observation { stack, ..observed(Instrument::Lsan, short_and_long(request), vec![figure]) })
}

/// The one file that LeakSanitizer wrote: the name that it was given, with a process ID.
fn log(base: &Path) -> Result<Vec<u8>, Failure> {
    let name = base.file_name().unwrap_or_default().to_string_lossy().into_owned() + ".";
    let directory = base.parent().unwrap_or(base);
    let entries = std::fs::read_dir(directory).map_err(|error| cannot_read(directory, &error))?;
    let is_one = |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&name));
    let files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_one).collect();
    match files.as_slice() {
        [] => Err(Failure::NoReport),
        [one] => report(one),
        more => Err(Failure::SeveralReports { reports: more.len() as u64 }),
    }
}

fn report(path: &Path) -> Result<Vec<u8>, Failure> {
    read_at_most(path, LARGEST_REPORT).map_err(|error| cannot_read(path, &error))
}

fn cannot_read(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::CannotRead { path: path.display().to_string(), error: error.to_string() }
}

/// LeakSanitizer's library: the compiler's answer, or else the directories of distributions.
fn find_lsan() -> Option<PathBuf> {
    let asked = |compiler: &str| {
        let answer = process::output(Path::new(compiler), &["-print-file-name=liblsan.so"]).ok()?;
        let path = PathBuf::from(answer.trim());
        // For a file that it does not find, the compiler prints the name alone.
        (path.is_absolute() && path.exists()).then_some(path)
    };
    let installed =
        || LSAN_DIRECTORIES.iter().map(|place| Path::new(place).join(LSAN)).find(|path| path.exists());
    ["gcc", "cc", "clang"].iter().find_map(|compiler| asked(compiler)).or_else(installed)
}

fn points(request: &Request<'_>) -> Vec<u64> {
    let cycles = request.soak.cycles.completed;
    let warmup = request.soak.cycles.warmup.max(1);
    let mut points: Vec<u64> = (0..=POINTS).map(|point| warmup + cycles * point / POINTS).collect();
    points.dedup();
    points
}

fn span(points: &[u64]) -> Span {
    Span { after: points.first().copied().unwrap_or(0), to: points.last().copied().unwrap_or(0) }
}

fn by_gctrace(peer: &Peer<'_>, request: &Request<'_>) -> Result<Observation, PeerError> {
    let own = request.plan.env.get("GODEBUG").cloned().or_else(|| std::env::var("GODEBUG").ok());
    let godebug = OsString::from(crate::gctrace::godebug(own));
    let env = vec![("GODEBUG", godebug), ("GOGC", OsString::from(gctrace::GOGC.to_string()))];
    let points = points(request);
    let span = span(&points);
    let lines = peer.run(&Run { env, points, ..Run::default() }, |_, _| Ok(()))?;
    let GoHeap { collections, per_cycle, trend, detectable } = gctrace::growth(&lines)?;
    let figure = plain(Quantity::GoHeap, per_cycle, trend, detectable);
    Ok(Observation { collections: Some(collections), ..observed(Instrument::Gctrace, span, vec![figure]) })
}

/// A figure in bytes, of an instrument that counts no blocks.
fn plain(quantity: Quantity, bounds: (f64, f64, f64), trend: Trend, detectable: f64) -> Figure {
    let (low, per_cycle, high) = bounds;
    Figure {
        quantity,
        unit: Unit::Bytes,
        per_cycle,
        low,
        high,
        trend,
        detectable,
        blocks_per_cycle: None,
        chunks: None,
    }
}

fn by_status(peer: &Peer<'_>, request: &Request<'_>) -> Result<Observation, PeerError> {
    let points = points(request);
    let span = span(&points);
    let mut readings: Vec<(u64, Reading)> = Vec::with_capacity(points.len());
    peer.run(&Run { points, stop: true, ..Run::default() }, |pid, at| {
        let read = |name: &str| {
            let path = PathBuf::from(format!("/proc/{pid}/{name}"));
            std::fs::read_to_string(&path).map_err(|error| cannot_read(&path, &error))
        };
        readings.push((at, status::reading(&read("status")?, &read("maps")?)?));
        Ok(())
    })?;
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64);
    let threads = readings.iter().map(|(_, reading)| reading.threads).max().unwrap_or(1);
    let off = status::noise(cpus, threads, procfs::page_size());
    let exact = procfs::page_size() as f64;
    type Field = (Quantity, fn(&Reading) -> u64, f64);
    let fields: [Field; 4] = [
        (Quantity::VmRss, |reading| reading.rss, 2.0 * off),
        (Quantity::RssAnon, |reading| reading.anon, off),
        (Quantity::VmSize, |reading| reading.size, exact),
        (Quantity::Brk, |reading| reading.heap, exact),
    ];
    let figures = fields.iter().filter_map(|(quantity, of, noise)| {
        let change = status::change(&readings, *of, *noise)?;
        Some(plain(*quantity, change.per_cycle, change.trend, change.detectable))
    });
    Ok(observed(Instrument::Status, span, figures.collect()))
}
