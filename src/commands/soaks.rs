//! The soaks of a plan, one after the other or side by side; whatever happens to the next one, what was measured is
//! saved.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;

use super::baselines::{self, Baseline};
use super::print;
use super::progress::{Bars, Course, Reporter};
use super::save::Saver;
use crate::cli::RunArgs;
use crate::fault::Fault;
use crate::record::{Latencies, Measured, Run, Soak};
use crate::suite::plan::Plan;
use crate::supervisor::{Context, Progress};
use crate::{analysis, conduct};

/// What all soaks of a run need.
pub(super) struct Soaks<'a> {
    pub(super) args: &'a RunArgs,
    pub(super) plan: &'a Plan,
    pub(super) baseline: Option<&'a Baseline>,
    pub(super) interrupted: &'a AtomicBool,
    /// Nobody wants progress.
    pub(super) quiet: bool,
    /// Whether events are printed.
    pub(super) events: bool,
}

/// The run as it grows.
struct Growing<'a> {
    run: &'a mut Run,
    saver: &'a mut Saver,
    /// The places in the plan of the soaks that are over, ascending, as they are in the record.
    done: Vec<usize>,
    /// What was measured so far of those that are not.
    under_way: BTreeMap<usize, Soak>,
    /// Why libraries could not be soaked that others don't depend on.
    refused: Vec<Fault>,
    /// Why the record could not be saved.
    failed: Option<anyhow::Error>,
}

impl Soaks<'_> {
    /// Carries them out and puts them into the record, in the plan's order. Those of `kept` were carried out before. Returns why some could
    /// not be made, where the others don't depend on them.
    ///
    /// # Errors
    /// When the record can be saved nowhere.
    pub(super) fn carry_out(
        &self,
        mut kept: BTreeMap<usize, Soak>,
        run: &mut Run,
        saver: &mut Saver,
    ) -> anyhow::Result<Vec<Fault>> {
        // It has not passed before all of it has.
        run.passed = false;
        let mut growing = Growing {
            run,
            saver,
            done: Vec::new(),
            under_way: BTreeMap::new(),
            refused: Vec::new(),
            failed: None,
        };
        let of = self.plan.soaks.len();
        // A baseline may make another verdict of what was measured, if that is all there.
        kept.retain(|_, soak| self.baseline.is_none() || !soak.measured.shortened);
        let all: Vec<usize> = (0..of).filter(|index| !kept.contains_key(index)).collect();
        for (index, mut soak) in kept {
            // The verdict stands where what it was made from is no longer there.
            if !soak.measured.shortened {
                let mut measured = soak.measured;
                measured.baseline = self.baseline.map(|baseline| baselines::like(&measured.name, baseline));
                soak = analysis::judged(measured);
            }
            if self.events {
                event(&soak_event(&soak));
            }
            growing.insert(index, soak);
        }
        let growing = Mutex::new(growing);
        let course = Arc::new(Course::new(all.len()));
        let (beside, alone): (Vec<usize>, Vec<usize>) =
            all.iter().partition(|index| !self.plan.soaks[**index].needs_the_machine());
        let jobs = self.args.jobs.map_or(1, |jobs| jobs.get() as usize).min(beside.len());
        let alone = if jobs > 1 {
            self.side_by_side(&beside, jobs, &course, &growing);
            alone
        } else {
            all
        };
        let reporter = Reporter::of(&course, self.quiet);
        // Until one says that no other is to follow.
        let _ = alone.into_iter().all(|index| self.soak(index, 0, &reporter, &growing));
        let mut growing = growing.into_inner().unwrap_or_else(PoisonError::into_inner);
        // With the result, and in the order of the plan.
        if growing.failed.is_none() {
            growing.save(of);
        }
        growing.failed.map_or(Ok(growing.refused), Err)
    }

    /// Soaks these, up to `jobs` at a time.
    fn side_by_side(
        &self,
        indices: &[usize],
        jobs: usize,
        course: &Arc<Course>,
        growing: &Mutex<Growing<'_>>,
    ) {
        let (next, bars) = (AtomicUsize::new(0), Bars::new());
        let queue = || indices.get(next.fetch_add(1, Relaxed));
        std::thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| {
                    let reporter = Reporter::beside(&bars, course, self.quiet);
                    while queue().is_some_and(|index| self.soak(*index, jobs - 1, &reporter, growing)) {}
                });
            }
        });
    }

    /// Soaks one, with `beside` others at the same time; false when no other is to follow.
    fn soak(&self, index: usize, beside: usize, reporter: &Reporter, growing: &Mutex<Growing<'_>>) -> bool {
        if self.interrupted.load(Relaxed) || locked(growing).failed.is_some() {
            return false;
        }
        let of = self.plan.soaks.len();
        let mut plan = self.plan.soaks[index].clone();
        plan.beside = u32::try_from(beside).unwrap_or(u32::MAX);
        plan.baseline = self.baseline.map(|baseline| baselines::like(&plan.name, baseline));
        reporter.position(index, of);
        if self.events {
            event(&json!({"event": "begin", "name": plan.name, "index": index, "of": of}));
        }
        let show = |progress: Progress<'_>| {
            // The short soaks beside the one that was asked for have names of their own.
            if let Progress::Checkpoint(measured) = progress
                && measured.name == plan.name
            {
                locked(growing).keep(index, conduct::so_far(measured));
            }
            reporter.show(progress);
        };
        let context = Context { interrupted: self.interrupted, progress: &show };
        let soak = match conduct::soak(&plan, &context) {
            Ok(soak) if self.args.no_report => in_short(soak),
            Ok(soak) => soak,
            Err(fault) if of > 1 && fault.is_of_library() => {
                reporter.over();
                locked(growing).refused.push(fault);
                return true;
            }
            Err(fault) => {
                locked(growing).failed.get_or_insert(fault.into());
                return false;
            }
        };
        reporter.over();
        if self.events {
            event(&soak_event(&soak));
        }
        let mut growing = locked(growing);
        // After every soak: whatever happens to the next one, this one is kept.
        growing.add(index, soak)
    }
}

impl Growing<'_> {
    /// Puts a soak that is over into the record and saves it; false when it can be saved nowhere.
    fn add(&mut self, index: usize, soak: Soak) -> bool {
        self.under_way.remove(&index);
        self.insert(index, soak);
        let under_way: Vec<&Soak> = self.under_way.values().collect();
        let at = self.done.partition_point(|before| *before < index);
        if let Some(soak) = self.run.soaks.get(at)
            && let Err(error) = self.saver.add(self.run, soak, &under_way)
        {
            self.failed.get_or_insert(error);
        }
        self.failed.is_none()
    }

    fn insert(&mut self, index: usize, soak: Soak) {
        let position = self.done.partition_point(|before| *before < index);
        self.done.insert(position, index);
        self.run.soaks.insert(position, soak);
    }

    fn save(&mut self, of: usize) {
        self.run.passed = self.run.soaks.len() == of
            && self.run.soaks.iter().all(|soak| soak.judged.gate.passed == Some(true));
        // The first stands: what is measured beside it can't make up for soaks that nobody begins any more.
        if let Err(error) = self.saver.save(self.run) {
            self.failed.get_or_insert(error);
        }
    }

    /// Writes the record as it would be if the run were cut short now: this process may be killed as well as the worker.
    fn keep(&mut self, index: usize, measured: Soak) {
        self.under_way.insert(index, measured);
        self.saver.keep(self.run, &self.under_way.values().collect::<Vec<_>>());
    }
}

/// Checkpoints of a soak that no report is made of.
const CHECKPOINTS: usize = 24;

/// The same of a soak beside it, in another host or without its calls: where it began and ended.
const CHECKPOINTS_BESIDE: usize = 1;

/// A soak as it was judged, without what only charts and exports need.
fn in_short(mut soak: Soak) -> Soak {
    let measured = &mut soak.measured;
    measured.shortened = true;
    shorten(measured, CHECKPOINTS);
    let beside =
        measured.other_hosts.iter_mut().map(|host| &mut host.soak).chain(&mut measured.pattern_soaks);
    let beside = beside.chain(measured.without_calls.as_deref_mut()).chain(measured.collected.as_deref_mut());
    beside.for_each(|soak| shorten(soak, CHECKPOINTS_BESIDE));
    soak
}

/// Keeps at most as many checkpoints, and the last one.
fn shorten(measured: &mut Measured, checkpoints: usize) {
    (measured.latency_over_time, measured.resident_by_kind) = (None, None);
    measured.warmup_latency_ns = Latencies::default();
    let of = &mut measured.latency_ns;
    for latency in [&mut of.open, &mut of.symbol, &mut of.call, &mut of.close, &mut of.cycle] {
        latency.iter_mut().for_each(|latency| latency.hdr = String::new());
    }
    let rows = &mut measured.checkpoints.rows;
    let (step, last) = (rows.len().div_ceil(checkpoints).max(1), rows.len().saturating_sub(1));
    let mut index = 0;
    rows.retain(|_| {
        let kept = index % step == 0 || index == last;
        index += 1;
        kept
    });
    rows.shrink_to_fit();
}

/// A soak that panicked has left nothing half done here.
fn locked<'a, 'b>(growing: &'a Mutex<Growing<'b>>) -> MutexGuard<'a, Growing<'b>> {
    growing.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prints an event as a line of its own.
pub(super) fn event(value: &serde_json::Value) {
    print(&format!("{value}\n"));
}

/// A soak as an event: all of its record but the series, which are in record.json.
fn soak_event(soak: &Soak) -> serde_json::Value {
    let mut value = serde_json::to_value(soak).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        for series in ["checkpoints", "latency_over_time", "resident_by_kind"] {
            fields.remove(series);
        }
        fields.insert("event".to_owned(), "soak".into());
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_soak_in_short_has_its_verdict_and_its_ends() {
        let soak = dlsoak_record::sample::run(2).soaks.remove(1);
        let short = in_short(soak.clone());
        assert_eq!(short.judged, soak.judged);
        let (rows, all) = (&short.checkpoints.rows, &soak.checkpoints.rows);
        assert!(rows.len() <= CHECKPOINTS + 1 && rows.first() == all.first() && rows.last() == all.last());
        let latency = short.latency_ns.open.as_ref().unwrap();
        assert_eq!((latency.p99, latency.hdr.as_str()), (soak.latency_ns.open.as_ref().unwrap().p99, ""));
    }
}
