//! The soaks of a plan, one after the other or side by side; whatever happens to the next one, what was measured is
//! saved.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;

use super::baselines::{self, Baseline};
use super::print;
use super::progress::{Bars, Course, Reporter};
use super::save::Saver;
use crate::cli::RunArgs;
use crate::record::{Run, Soak};
use crate::suite::plan::Plan;
use crate::supervisor::{Context, Progress};
use crate::{analysis, conduct, report};

/// What all soaks of a run need.
pub(super) struct Soaks<'a> {
    pub(super) args: &'a RunArgs,
    pub(super) plan: &'a Plan,
    pub(super) out: &'a Path,
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
    /// Why the record could not be saved.
    failed: Option<anyhow::Error>,
}

impl Soaks<'_> {
    /// Carries them out and puts them into the record, in the plan's order. Those of `kept` were carried out before.
    ///
    /// # Errors
    /// When the record can be saved nowhere.
    pub(super) fn carry_out(
        &self,
        kept: BTreeMap<usize, Soak>,
        run: &mut Run,
        saver: &mut Saver,
    ) -> anyhow::Result<()> {
        let mut growing = Growing { run, saver, done: Vec::new(), under_way: BTreeMap::new(), failed: None };
        let of = self.plan.soaks.len();
        let all: Vec<usize> = (0..of).filter(|index| !kept.contains_key(index)).collect();
        for (index, Soak { mut measured, .. }) in kept {
            measured.baseline = self.baseline.map(|baseline| baselines::like(&measured.name, baseline));
            let soak = analysis::judged(measured);
            if self.events {
                event(&soak_event(&soak));
            }
            growing.insert(index, soak);
        }
        // Not before there is more in it than in the record that it replaces.
        if all.is_empty() {
            growing.save(of);
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
        let growing = growing.into_inner().unwrap_or_else(PoisonError::into_inner);
        growing.failed.map_or(Ok(()), Err)
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
                locked(growing).keep(index, conduct::so_far(measured), self.out);
            }
            reporter.show(progress);
        };
        let context = Context { interrupted: self.interrupted, progress: &show };
        let soak = match conduct::soak(&plan, &context) {
            Ok(soak) => soak,
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
        growing.add(index, soak, of)
    }
}

impl Growing<'_> {
    /// Puts a soak that is over into the record and saves it; false when it can be saved nowhere.
    fn add(&mut self, index: usize, soak: Soak, of: usize) -> bool {
        self.under_way.remove(&index);
        self.insert(index, soak);
        self.save(of)
    }

    fn insert(&mut self, index: usize, soak: Soak) {
        let position = self.done.partition_point(|before| *before < index);
        self.done.insert(position, index);
        self.run.soaks.insert(position, soak);
    }

    fn save(&mut self, of: usize) -> bool {
        self.run.passed = self.run.soaks.len() == of
            && self.run.soaks.iter().all(|soak| soak.judged.gate.passed == Some(true));
        // The first stands: what is measured beside it can't make up for soaks that nobody begins any more.
        if let Err(error) = self.saver.save(self.run) {
            self.failed.get_or_insert(error);
        }
        self.failed.is_none()
    }

    /// Writes the record as it would be if the run were cut short now: this process may be killed as well as the worker.
    fn keep(&mut self, index: usize, measured: Soak, out: &Path) {
        self.under_way.insert(index, measured);
        let over = self.done.iter().copied().zip(&self.run.soaks);
        let soaks: BTreeMap<usize, &Soak> =
            self.under_way.iter().map(|(index, soak)| (*index, soak)).chain(over).collect();
        let run = Run {
            schema: self.run.schema.clone(),
            tool: self.run.tool.clone(),
            started_at: self.run.started_at.clone(),
            passed: false,
            host: self.run.host.clone(),
            partition: self.run.partition.clone(),
            soaks: soaks.into_values().cloned().collect(),
            watch: None,
        };
        // Where that fails now, it does at the end as well, and is reported then.
        let _ = crate::publish::write(&run, out, &[report::Format::Json]);
    }
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
