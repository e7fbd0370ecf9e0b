//! What was alive at the end of each step, and whose it is: of the library whose code is on the stack of what was allocated, or that brought
//! the object whose code is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::Duration;

use dlsoak_wire::notes::{Kind, MODULE_SHIFT, Memory, Meta, READY};

use super::files::Files;
use super::ledger::{Ledger, Library};
use crate::channel::read_bytes;
use crate::record::{Checkpoints, Column, Metric, OverTime, OverTimeColumn, TracePlace};
use crate::sampling::{Kinds, Sample};
use crate::trace::names;
use crate::trace::series::{self, Census as Alive};

/// Places of a library that are named, those that grow most first.
const PLACES: usize = 16;

/// Points that are kept, at most. A host may run for days: each time that there are so many, every second one goes, and from then on every
/// second step has one.
const MOST: usize = 256;

/// What a step ended with.
#[derive(Debug, Default)]
pub(super) struct Point {
    /// Number of the step; that of the start is 0.
    pub step: u64,
    /// Time since the beginning.
    pub elapsed: Duration,
    /// Real loads of each library.
    pub loads: BTreeMap<String, u64>,
    /// The process.
    pub sample: Sample,
    /// Its resident memory by kind, where that is asked for.
    pub kinds: Kinds,
    /// What was alive, by place; `None` where nothing was noted.
    pub alive: Option<Alive>,
}

/// All steps.
#[derive(Debug)]
pub(super) struct Census {
    points: Vec<Point>,
    /// Steps that are over; the first is the start.
    over: u64,
    /// From one point that is kept to the next, in steps.
    stride: u64,
}

impl Default for Census {
    fn default() -> Self {
        Self { points: Vec::new(), over: 0, stride: 1 }
    }
}

impl Census {
    /// Adds a step, and asks for the stacks of what grew since the one before; where all of the host is noted, of what grew three times in a
    /// row, because the host's own memory moves up and down, and a stack costs 12 times what a note does.
    pub(super) fn add(&mut self, point: Point, notes: Option<&Memory>) {
        // The last step has a point in any case.
        self.points.pop_if(|last| !last.step.is_multiple_of(self.stride));
        if let Some(notes) = notes {
            let needed = if notes.only_groups.load(Relaxed) != 0 { 2 } else { 4 };
            let first = (self.points.len() + 1).saturating_sub(needed);
            let newest = self.points[first..].iter().chain([&point]);
            let newest: Vec<&Alive> = newest.filter_map(|point| point.alive.as_ref()).collect();
            if newest.len() == needed {
                series::want_stacks(notes, &newest);
            }
        }
        self.points.push(Point { step: self.over, ..point });
        self.over += 1;
        if self.points.len() > MOST {
            self.stride *= 2;
            let last = self.over - 1;
            self.points.retain(|point| point.step.is_multiple_of(self.stride) || point.step == last);
        }
    }

    /// Steps that are over; the first point is the start.
    pub(super) fn steps(&self) -> u64 {
        self.over.saturating_sub(1)
    }

    /// The host's own series, over steps.
    pub(super) fn of_host(&self) -> Checkpoints {
        let metrics =
            [Metric::Rss, Metric::Anon, Metric::Virtual, Metric::Mappings, Metric::Threads, Metric::Fds];
        let row = |point: &Point| {
            let elapsed = i64::try_from(point.elapsed.as_nanos()).unwrap_or(i64::MAX);
            let Sample { rss, anon, virt, mappings, threads, fds, .. } = point.sample;
            let figures = [rss, anon, virt, mappings, threads, fds].map(u64::cast_signed);
            [point.step.cast_signed(), elapsed].into_iter().chain(figures).collect()
        };
        let own = [Column::Cycle, Column::ActiveNs];
        Checkpoints {
            columns: own.into_iter().chain(metrics.map(Column::Metric)).collect(),
            rows: self.points.iter().map(row).collect(),
            before_first_open: None,
        }
    }

    /// The host's resident memory by kind, at the same points.
    pub(super) fn kinds(&self) -> OverTime {
        let row = |point: &Point| {
            let figures = std::iter::once(point.step).chain(point.kinds.figures());
            figures.map(u64::cast_signed).collect()
        };
        let columns = std::iter::once(OverTimeColumn::Cycle).chain(OverTimeColumn::KINDS);
        OverTime { columns: columns.collect(), rows: self.points.iter().map(row).collect() }
    }

    /// The same, with the heap that the code of no library allocates, where that is known.
    pub(super) fn of_watched_host(&self, names: &Names<'_>) -> Checkpoints {
        let mut checkpoints = self.of_host();
        if let Some(outside) = names.outside() {
            checkpoints.columns.push(Column::Metric(Metric::Heap));
            for (row, point) in checkpoints.rows.iter_mut().zip(&self.points) {
                let places = point.alive.iter().flatten().filter(|(place, _)| outside(**place));
                row.push(places.map(|(_, amount)| amount.bytes).sum());
            }
        }
        checkpoints
    }

    /// A library's series over its own loads, and, where wanted, the places that what grows comes from.
    pub(super) fn of_library(
        &self,
        path: &str,
        names: &Names<'_>,
        with_places: bool,
    ) -> (Checkpoints, Vec<TracePlace>) {
        let own = names.owned.get(path);
        let loads = |point: &Point| point.loads.get(path).copied().unwrap_or(0);
        let is_own = |place: &u32| own.is_some_and(|own| own.contains(place));
        let Some(memory) = names.memory else { return (Checkpoints::default(), Vec::new()) };
        let mut points: Vec<(u64, Alive)> = Vec::new();
        for point in &self.points {
            let Some(alive) = &point.alive else { continue };
            let alive: Alive = alive
                .iter()
                .filter(|(place, _)| is_own(place))
                .map(|(place, amount)| (*place, *amount))
                .collect();
            // Of steps without a load, the last counts.
            match points.last_mut() {
                Some(last) if last.0 == loads(point) => last.1 = alive,
                _ => points.push((loads(point), alive)),
            }
        }
        let mut kinds =
            vec![(Kind::Mapping, Metric::Virtual), (Kind::Fd, Metric::Fds), (Kind::Thread, Metric::Threads)];
        if memory.ready.load(Relaxed) == READY {
            kinds.insert(0, (Kind::Heap, Metric::Heap));
        }
        let row = |(loads, alive): &(u64, Alive)| {
            let figure = |(kind, metric): &(Kind, Metric)| {
                let of_kind = alive.iter().filter(|(place, _)| names.kind(**place) == Some(*kind));
                let is_bytes = metric.unit() == crate::record::Unit::Bytes;
                of_kind.map(|(_, amount)| if is_bytes { amount.bytes } else { amount.count }).sum::<i64>()
            };
            std::iter::once(*loads as i64).chain(kinds.iter().map(figure)).collect()
        };
        let columns = std::iter::once(Column::Cycle).chain(kinds.iter().map(|(_, metric)| (*metric).into()));
        let checkpoints = Checkpoints {
            columns: columns.collect(),
            rows: points.iter().map(row).collect(),
            before_first_open: None,
        };
        if !with_places {
            return (checkpoints, Vec::new());
        }
        let sites = series::sites(memory, points.iter().map(|(_, alive)| alive));
        let before = points.first().map(|(_, alive)| alive.clone()).unwrap_or_default();
        let mut left = series::left(&before, &points, &sites);
        left.retain(|left| left.bytes_per_cycle > 0.0 || left.count_per_cycle > 0.0);
        let mut places = names::places(memory, &left, &names.files);
        places.truncate(PLACES);
        (checkpoints, places)
    }
}

/// What the notes say of whose a place is.
pub(super) struct Names<'a> {
    memory: Option<&'a Memory>,
    files: names::Files<'a>,
    /// Places of each library.
    owned: BTreeMap<String, BTreeSet<u32>>,
}

impl<'a> Names<'a> {
    /// Finds out whose each place is; `program` is the host's.
    pub(super) fn new(files: &'a Files, program: PathBuf, ledger: &Ledger) -> Self {
        let memory = files.notes();
        let owned = memory.map(|memory| owned(memory, ledger)).unwrap_or_default();
        let preloaded = files.preloaded();
        Self { memory, files: names::Files { library: std::path::Path::new(""), preloaded, program }, owned }
    }

    /// Which places are heap that the code of no library allocates; nothing is known of these unless all allocations are noted.
    fn outside(&self) -> Option<impl Fn(u32) -> bool> {
        let memory = self.memory?;
        let all = memory.ready.load(Relaxed) == READY && memory.only_groups.load(Relaxed) == 0;
        let is_owned = |place| self.owned.values().any(|own| own.contains(&place));
        all.then_some(move |place| self.kind(place) == Some(Kind::Heap) && !is_owned(place))
    }

    fn kind(&self, place: u32) -> Option<Kind> {
        Meta(self.memory?.places.get(place as usize)?.meta.load(Relaxed)).kind()
    }
}

/// The places of each library, by its path.
fn owned(memory: &Memory, ledger: &Ledger) -> BTreeMap<String, BTreeSet<u32>> {
    // Number of the file, and whose it is: its own, or that of the library that brought it most often.
    let mut owners: BTreeMap<u64, &str> = BTreeMap::new();
    for (number, module) in (0_u64..).zip(&memory.modules) {
        let Some(len) = module.len.load(Acquire).checked_sub(1).filter(|len| *len > 0) else { continue };
        let name = String::from_utf8_lossy(&read_bytes(&module.name, len as usize)).into_owned();
        let own = ledger.libraries.get_key_value(&name).map(|(path, _)| path.as_str());
        let brought = |library: &Library| library.brought.get(&name).map_or(0, |counts| counts[0]);
        let bringer = ledger.libraries.iter().max_by_key(|(_, library)| brought(library));
        let bringer = bringer.filter(|(_, library)| brought(library) > 0).map(|(path, _)| path.as_str());
        if let Some(owner) = own.or(bringer) {
            owners.insert(number, owner);
        }
    }
    let mut owned: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for (number, place) in (0_u32..).zip(&memory.places) {
        if place.hash.load(Acquire) == 0 {
            continue;
        }
        let (first, depth) = (place.frames.load(Relaxed) as usize, place.depth.load(Acquire) as usize);
        let frames = memory.frames.get(first..first.saturating_add(depth)).unwrap_or_default();
        // Innermost first.
        let owner = frames.iter().find_map(|frame| owners.get(&(frame.load(Relaxed) >> MODULE_SHIFT)));
        if let Some(owner) = owner {
            owned.entry((*owner).to_owned()).or_default().insert(number);
        }
    }
    owned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_of_days_keeps_few_points_evenly_and_the_last() {
        let mut census = Census::default();
        for step in 0..10_000 {
            census.add(Point { elapsed: Duration::from_secs(step), ..Point::default() }, None);
            let rows = census.of_host().rows;
            assert_eq!(rows.last().map(|row| row[0]), Some(step.cast_signed()));
            assert!(
                rows.len() <= MOST && rows.len() as u64 > step.min(MOST as u64 / 2),
                "{step}: {}",
                rows.len()
            );
            let gaps: Vec<i64> = rows.windows(2).map(|pair| pair[1][0] - pair[0][0]).collect();
            let even = gaps
                .split_last()
                .is_none_or(|(last, gaps)| gaps.iter().all(|gap| gap >= last && *gap == gaps[0]));
            assert!(even, "{step}: {gaps:?}");
        }
        assert_eq!(census.steps(), 9_999);
    }
}
