//! Builds the checkpoint rows of the record from what the worker says of itself and what `/proc` says of it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::agent::Check;
use crate::channel::{Channel, UNKNOWN, read_bytes};
use crate::record::{Checkpoints, Column, Metric, OneTime};
use crate::sampling::Sample;

/// Largest value that is believed of the worker's counts: two years in nanoseconds, 64 PiB in bytes. So differences and
/// sums of what is read can't overflow.
const MOST: u64 = 1 << 56;

/// Most objects of a list that are believed; at the lengths that paths have, the list has room for fewer.
const MOST_OBJECTS: usize = 16 * 1024;

/// What only the worker could see at the last quiet point.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Observation {
    pub(super) active_ns: u64,
    pub(super) adds: u64,
    pub(super) subs: u64,
    /// `None` where nothing can tell.
    pub(super) heap: Option<u64>,
    /// What malloc has from the kernel; `None` where it keeps no account.
    pub(super) malloc: Option<u64>,
    /// Thread-specific keys in use.
    pub(super) tls_keys: u64,
}

/// Bytes that malloc has from the kernel, by its own account; `None` where it keeps none.
fn of_malloc(channel: &Channel) -> Option<u64> {
    let header = channel.header();
    Some(known(&header.malloc_arenas)? + known(&header.state.malloc_mapped)?)
}

/// Reads the worker's own observation.
pub(super) fn observation(channel: &Channel) -> Observation {
    let header = channel.header();
    let bounded = |word: &AtomicU64| word.load(Relaxed).min(MOST);
    Observation {
        active_ns: bounded(&header.active_ns),
        adds: bounded(&header.adds),
        subs: signed(&header.subs).cast_unsigned(),
        heap: known(&header.heap),
        malloc: of_malloc(channel),
        tls_keys: header.state.keys_in_use.load(Relaxed).into(),
    }
}

/// A count of the worker's that may be below zero.
pub(super) fn signed(word: &AtomicU64) -> i64 {
    word.load(Relaxed).cast_signed().clamp(-MOST.cast_signed(), MOST.cast_signed())
}

/// A figure of the worker's; `None` where it can't be had.
fn known(word: &AtomicU64) -> Option<u64> {
    Some(word.load(Relaxed)).filter(|figure| *figure != UNKNOWN).map(|figure| figure.min(MOST))
}

/// Paths of the objects that were loaded at the last quiet point, without the program itself and the vDSO.
pub(super) fn objects(channel: &Channel) -> Vec<String> {
    let used = channel.header().objects_len.load(Relaxed) as usize;
    let bytes = read_bytes(channel.objects(), used);
    bytes
        .split(|byte| *byte == 0)
        .filter(|name| {
            !name.is_empty() && !name.starts_with(b"linux-vdso") && !name.starts_with(b"linux-gate")
        })
        .take(MOST_OBJECTS)
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect()
}

/// The series as it grows.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) checkpoints: Checkpoints,
    /// Whether what was counted can be believed.
    pub(super) check: Check,
    /// Observation at the first measured checkpoint.
    first: Observation,
    last: Observation,
}

impl Series {
    /// A series, in which the heap has a column only where something can tell it: a namespace of `dlmopen` has a C library and a
    /// heap of its own, which neither the agent nor `mallinfo2` of the host's sees.
    pub(super) fn new(has_heap: bool) -> Self {
        let of_heap = [Column::Metric(Metric::Heap), Column::Malloc];
        let columns = Column::all().filter(|column| has_heap || !of_heap.contains(column));
        let checkpoints =
            Checkpoints { columns: columns.collect(), rows: Vec::new(), before_first_open: None };
        let (first, last) = (Observation::default(), Observation::default());
        Self { checkpoints, check: Check::default(), first, last }
    }

    /// Keeps a checkpoint from before anything was opened.
    pub(super) fn before_first_open(&mut self, channel: &Channel, sample: &Sample) {
        let observation = observation(channel);
        self.checkpoints.columns.retain(|column| match column {
            Column::Metric(Metric::Heap) => observation.heap.is_some(),
            Column::Malloc => observation.malloc.is_some(),
            _ => true,
        });
        self.checkpoints.before_first_open = Some(self.row(0, 0, &observation, sample));
    }

    /// Keeps a checkpoint at `cycle` measured cycles.
    pub(super) fn take(&mut self, cycle: u64, channel: &Channel, sample: &Sample) {
        let observation = observation(channel);
        let header = channel.header();
        let beyond = known(&header.beyond).map(|_| signed(&header.beyond));
        self.check.take(cycle, beyond, header.uncounted.load(Relaxed) != 0);
        if self.checkpoints.rows.is_empty() {
            self.first = observation.clone();
        }
        let active = observation.active_ns.saturating_sub(self.first.active_ns);
        let row = self.row(cycle, active, &observation, sample);
        self.checkpoints.rows.push(row);
        self.last = observation;
    }

    /// What there is after `cycle` cycles of the warm-up, as a row that is not kept.
    pub(super) fn look(&self, cycle: u64, channel: &Channel, sample: &Sample) -> Vec<i64> {
        self.row(cycle, 0, &observation(channel), sample)
    }

    fn row(&self, cycle: u64, active_ns: u64, seen: &Observation, sample: &Sample) -> Vec<i64> {
        let count = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let value = |column: &Column| match column {
            Column::Cycle => count(cycle),
            Column::ActiveNs => count(active_ns),
            Column::Loads => count(seen.adds),
            // It may be below zero; see `totals`.
            Column::Unloads => seen.subs.cast_signed(),
            Column::TlsKeys => count(seen.tls_keys),
            Column::Inotify => count(sample.inotify),
            Column::Malloc => count(seen.malloc.unwrap_or(0)),
            Column::Metric(metric) => match metric {
                Metric::Heap => count(seen.heap.unwrap_or(0)),
                Metric::Rss => count(sample.rss),
                Metric::Anon => count(sample.anon),
                Metric::PrivateDirty => count(sample.private_dirty),
                Metric::Pss => count(sample.pss),
                Metric::Virtual => count(sample.virt),
                Metric::PageTables => count(sample.page_tables),
                Metric::Mappings => count(sample.mappings),
                Metric::Threads => count(sample.threads),
                Metric::Fds => count(sample.fds),
            },
        };
        self.checkpoints.columns.iter().map(value).collect()
    }

    /// Cycles of the checkpoints.
    pub(super) fn cycles(&self) -> Vec<u64> {
        let cycle = |row: &Vec<i64>| row.first().and_then(|cycle| u64::try_from(*cycle).ok()).unwrap_or(0);
        self.checkpoints.rows.iter().map(cycle).collect()
    }

    /// Drops the checkpoints that are not to be kept.
    pub(super) fn thin(&mut self, keep: &[bool]) {
        let mut keep = keep.iter();
        self.checkpoints.rows.retain(|_| keep.next().copied().unwrap_or(true));
    }

    /// Cycle of the last checkpoint.
    pub(super) fn last_cycle(&self) -> Option<u64> {
        self.checkpoints.rows.last().and_then(|row| u64::try_from(*row.first()?).ok())
    }

    /// Objects added and removed, and active nanoseconds, from the first measured checkpoint to the last.
    pub(super) fn totals(&self) -> Observation {
        let between = |f: fn(&Observation) -> u64| f(&self.last).saturating_sub(f(&self.first));
        Observation {
            active_ns: between(|o| o.active_ns),
            adds: between(|o| o.adds),
            // Wrapping: glibc counts what it holds in each namespace, and the loader itself is in each of them, so that
            // the count may go below zero.
            subs: u64::try_from(self.last.subs.wrapping_sub(self.first.subs).cast_signed()).unwrap_or(0),
            ..self.last
        }
    }
}

/// What the loads of the warm-up kept: the first measured row less the one before the first open, per metric.
pub(super) fn one_time(checkpoints: &Checkpoints) -> Vec<OneTime> {
    let (Some(before), Some(after)) = (&checkpoints.before_first_open, checkpoints.rows.first()) else {
        return Vec::new();
    };
    let amount = |metric: Metric| {
        let column = checkpoints.position(metric)?;
        Some(after.get(column)?.saturating_sub(*before.get(column)?))
    };
    Metric::ALL.into_iter().filter_map(|metric| Some(OneTime { metric, amount: amount(metric)? })).collect()
}
