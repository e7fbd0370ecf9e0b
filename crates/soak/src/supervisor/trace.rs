//! The traced soak: a worker of its own that takes notes of all it obtains, and at quiet points a look at what is alive.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::latency::Histograms;
use super::limits::Limits;
use super::process;
use super::series::Series;
use super::session::{Bounds, End, Session};
use super::staging::{Files, Staging};
use super::{Context, Progress, SHARED_STRIDE, WARMUP, start};
use crate::channel;
use crate::fault::Fault;
use crate::record::{Agent, Column, EndedEarly, Explained, LoadCause, Measured, Metric, Mode, Trace};
use crate::suite::plan::SoakPlan;
use crate::trace::series::{Amount, Census, census, left, sites, want_stacks};
use crate::trace::{Shared, names};
use dlsoak_wire::notes::{Kind, LIVE, Memory, Meta};

/// Quiet points of the traced cycles.
const POINTS: u64 = 40;
/// Looks are taken until this part of the table of living resources is used: after that, some might find no room.
const ROOM: i64 = LIVE as i64 / 2;

/// What was alive, before anything was opened and at quiet points after the warm-up.
struct Notes {
    before: Census,
    points: Vec<(u64, Census)>,
}

/// Traces `cycles` cycles of a library that was soaked before, as it was soaked.
///
/// # Errors
/// Why nothing could be traced. What happens while it runs is in the trace's `ended`.
pub(super) fn trace(
    plan: &SoakPlan,
    soak: &Measured,
    cycles: u64,
    context: &Context<'_>,
) -> Result<Trace, EndedEarly> {
    let not_started = |fault: Fault| EndedEarly::NotStarted { problem: fault.to_string() };
    let files = Files::of(plan.mode, plan.threads, soak.share_path);
    let staging = Staging::new(plan.libraries(), plan.threads, files).map_err(not_started)?;
    let shared = Shared::create(staging.directory()).map_err(|e| not_started(Fault::new(e)))?;
    let mut env = soak.env.clone();
    let inherited = || std::env::var("LD_PRELOAD").ok();
    env.extend(shared.environment(env.get("LD_PRELOAD").cloned().or_else(inherited)));
    let env = process::environment(&env, Agent::Plain);
    let bounds = Bounds {
        stall: plan.stall_timeout,
        limits: Limits::of(plan),
        deadline: plan.duration.and_then(|d| Instant::now().checked_add(d)),
        stride: if soak.share_path && plan.mode == Mode::Reopen { SHARED_STRIDE } else { u64::MAX },
    };
    let warmup = plan.warmup.unwrap_or(WARMUP.min(cycles)).max(2);
    (context.progress)(Progress::Begin { name: &plan.name, cycles: cycles.saturating_add(warmup) });
    let mut session = start(plan, (staging.paths(), None), &env, bounds, context).map_err(not_started)?;
    let mut notes = Notes { before: Census::new(), points: Vec::new() };
    let mut series = Series::new(plan.mode != Mode::Namespace);
    let end = run(&mut session, shared.memory(), (warmup, cycles), &mut notes, &mut series);
    (context.progress)(Progress::End);
    let ended = match end {
        Ok(ended) => ended,
        Err(End::Failed { failure, .. }) => {
            Some(EndedEarly::LoadFailed(Box::new(staging.unstaged_failure(*failure))))
        }
        Err(end) => Some(end.early()),
    };
    let memory = shared.memory();
    if memory.ready.load(Relaxed) == 0 {
        return Err(ended.unwrap_or(EndedEarly::NoNotes));
    }
    let files = names::Files {
        library: staging.original(),
        preloaded: shared.preloaded(),
        program: PathBuf::from(OsStr::from_bytes(dlsoak_agent::HOST_NAME.to_bytes())),
    };
    let sites = sites(memory, notes.points.iter().map(|(_, census)| census).chain([&notes.before]));
    let places = names::places(memory, &left(&notes.before, &notes.points, &sites), &files);
    let rows = &series.checkpoints;
    let explained = explained(memory, &notes, rows);
    let heap = explained.iter().find(|e| e.metric == Metric::Heap);
    Ok(Trace {
        cycles: notes.points.last().map_or(0, |(cycle, _)| *cycle),
        ns_per_cycle: per_cycle(rows, Column::ActiveNs),
        unexplained_bytes_per_cycle: heap.map_or(0.0, |heap| heap.measured - heap.noted),
        places,
        explained,
        lost: memory.lost.load(Relaxed),
        notes_bytes: shared.used(),
        ended,
    })
}

/// Whether a worker with this environment is traced.
pub(super) fn is_asked_for(env: &BTreeMap<String, String>) -> bool {
    env.contains_key(Shared::MEMORY)
}

/// Cycles from quiet point to quiet point; why it ended before the last one, where it did.
fn run(
    session: &mut Session<'_>,
    memory: &Memory,
    (warmup, cycles): (u64, u64),
    notes: &mut Notes,
    series: &mut Series,
) -> Result<Option<EndedEarly>, End> {
    let mut histograms =
        Histograms::new().map_err(|_| End::of(LoadCause::SetupFailed { errno: libc::EINVAL }))?;
    session.ready()?;
    // As in a measured soak: what the loader allocates once for being asked is no growth.
    session.look(channel::Look::Presence)?;
    notes.before = census(memory);
    let mut last: Option<Census> = None;
    let look = |last: &mut Option<Census>| {
        let now = census(memory);
        // Of what the first load keeps, stacks are not worth their price.
        if let Some(before) = &*last {
            want_stacks(memory, before, &now);
        }
        *last = Some(now.clone());
        now
    };
    for cycle in (0..).map(|power| 1_u64 << power).take_while(|cycle| *cycle < warmup).chain([warmup]) {
        session.advance(cycle, &mut histograms)?;
        look(&mut last);
    }
    let step = |point: u64| cycles * point / POINTS.min(cycles).max(1);
    for cycle in (0..=POINTS.min(cycles)).map(step) {
        let reached = session.advance(warmup + cycle, &mut histograms);
        // An end at a quiet point still gets its look.
        if let Err(end) = &reached
            && !matches!(end, End::TimeUp | End::Interrupted { quiet: true } | End::Failed { .. })
        {
            return reached.map(|()| None);
        }
        let done = session.completed().saturating_sub(warmup);
        let now = look(&mut last);
        let alive: i64 = now.values().map(|amount| amount.count).sum();
        notes.points.push((done, now));
        let sample = session
            .worker
            .sampler
            .sample()
            .map_err(|error| End::of(LoadCause::ProcessUnreadable { problem: error.to_string() }))?;
        series.take(done, &session.channel, &sample);
        reached?;
        if alive > ROOM && cycle < cycles {
            return Ok(Some(EndedEarly::NotesFull { cycles: done }));
        }
    }
    Ok(None)
}

/// Growth per cycle of one column, from the first row to the last.
fn per_cycle(checkpoints: &crate::record::Checkpoints, column: impl Into<Column>) -> f64 {
    let (Some(cycle), Some(column)) = (checkpoints.position(Column::Cycle), checkpoints.position(column))
    else {
        return 0.0;
    };
    let (Some(first), Some(last)) = (checkpoints.rows.first(), checkpoints.rows.last()) else { return 0.0 };
    let difference = |column: usize| (last[column] - first[column]) as f64;
    difference(column) / difference(cycle).max(1.0)
}

/// What was measured of the traced process against what was noted.
fn explained(memory: &Memory, notes: &Notes, rows: &crate::record::Checkpoints) -> Vec<Explained> {
    let noted = |kind: Kind, of: fn(Amount) -> i64| difference(memory, notes, kind, of);
    let heap = noted(Kind::Heap, |amount| amount.bytes);
    let all = [
        (Metric::Heap, heap),
        (Metric::Anon, heap + noted(Kind::Mapping, |amount| amount.bytes)),
        (Metric::PageTables, 0.0),
        (Metric::Threads, noted(Kind::Thread, |amount| amount.count)),
        (Metric::Fds, noted(Kind::Fd, |amount| amount.count)),
    ];
    let all = all.map(|(metric, noted)| Explained { metric, measured: per_cycle(rows, metric), noted });
    all.into_iter().filter(|row| row.measured != 0.0 || row.noted != 0.0).collect()
}

/// How much more of a kind was alive at the last point than at the first, per cycle.
fn difference(memory: &Memory, notes: &Notes, kind: Kind, of: fn(Amount) -> i64) -> f64 {
    let (Some((from, first)), Some((to, last))) = (notes.points.first(), notes.points.last()) else {
        return 0.0;
    };
    let is_kind = |place: u32| {
        let meta = memory.places.get(place as usize).map(|place| Meta(place.meta.load(Relaxed)));
        meta.and_then(Meta::kind) == Some(kind)
    };
    let sum = |census: &Census| -> i64 {
        census.iter().filter(|(place, _)| is_kind(**place)).map(|(_, amount)| of(*amount)).sum()
    };
    (sum(last) - sum(first)) as f64 / to.saturating_sub(*from).max(1) as f64
}
