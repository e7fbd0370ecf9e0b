//! The traced soak: a worker of its own that takes notes of all it obtains, and at quiet points a look at what is alive.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use super::Context;
use super::noted::{Noted, Noting, is_full};
use super::series::Series;
use super::session::End;
use crate::record::{Column, EndedEarly, Explained, LoadCause, Measured, Metric, Mode, Trace};
use crate::suite::plan::SoakPlan;
use crate::trace::Shared;
use crate::trace::series::{Amount, Census, census, left, sites};
use dlsoak_wire::notes::{Kind, Memory, Meta};

/// Quiet points of the traced cycles.
const POINTS: u64 = 40;
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
    let mut notes = Notes { before: Census::new(), points: Vec::new() };
    let mut series = Series::new(plan.mode != Mode::Namespace);
    let noted = Noted::soak(plan, soak, cycles, context, |noting, warmup| {
        run(noting, (warmup, cycles), &mut notes, &mut series)
    })?;
    let memory = noted.memory();
    let sites = sites(memory, notes.points.iter().map(|(_, census)| census).chain([&notes.before]));
    let places = noted.places(&left(&notes.before, &notes.points, &sites));
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
        notes_bytes: noted.bytes(),
        ended: noted.ended,
    })
}

/// Whether a worker with this environment is traced.
pub(super) fn is_asked_for(env: &BTreeMap<String, String>) -> bool {
    env.contains_key(Shared::MEMORY)
}

/// Cycles from quiet point to quiet point; why it ended before the last one, where it did.
fn run(
    noting: &mut Noting<'_, '_>,
    (warmup, cycles): (u64, u64),
    notes: &mut Notes,
    series: &mut Series,
) -> Result<Option<EndedEarly>, End> {
    let memory = noting.memory;
    notes.before = census(memory);
    for cycle in (0..).map(|power| 1_u64 << power).take_while(|cycle| *cycle < warmup).chain([warmup]) {
        noting.advance(cycle)?;
        noting.look();
    }
    let step = |point: u64| cycles * point / POINTS.min(cycles).max(1);
    for cycle in (0..=POINTS.min(cycles)).map(step) {
        let reached = noting.advance(warmup + cycle);
        // An end at a quiet point still gets its look.
        if let Err(end) = &reached
            && !matches!(end, End::TimeUp | End::Interrupted { quiet: true } | End::Failed { .. })
        {
            return reached.map(|()| None);
        }
        let now = noting.look();
        let is_full = is_full(&now);
        let session = &mut *noting.session;
        let done = session.completed().saturating_sub(warmup);
        notes.points.push((done, now));
        let sample = session
            .worker
            .sampler
            .sample()
            .map_err(|error| End::of(LoadCause::ProcessUnreadable { problem: error.to_string() }))?;
        series.take(done, &session.channel, &sample);
        reached?;
        if is_full && cycle < cycles {
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
