//! Which of several libraries that are soaked in one process does what. The heap is counted in each visit of a library, which is from before
//! its open until after its close. All else is looked at before the warm-up, in visits of one library alone with a quiet point after them: what
//! has appeared there was not there one library before.

use super::SoakPlan;
use super::measure::Library;
use super::series::{self, Series};
use super::session::{End, Session};
use crate::channel::Channel;
use crate::record::{Agent, Member, Metric, MetricRate, Residue, UnloadState};
use crate::residue::{self, snapshot::Snapshot};
use crate::sampling::Sample;

/// Visits of one library in a row. What stays loaded gets a list of the loader's with one close and gives it back with the next, so their
/// number is even.
const IN_A_ROW: u32 = 4;
/// Readings of what is counted that are kept.
const KEPT: usize = 256;

/// What is known of each library, in the order in which they were named.
#[derive(Debug, Default)]
pub(super) struct Watch {
    names: Vec<String>,
    /// The first visit of each.
    first: Vec<Visited>,
    /// Those in a row.
    more: Vec<Visited>,
    readings: Vec<Reading>,
}

/// What one library has left that was visited alone.
#[derive(Debug)]
struct Visited {
    /// By how much each metric has grown, per visit.
    grown: Vec<MetricRate>,
    left: Vec<Residue>,
}

/// What all visits so far have left, at a checkpoint: of each library heap, loads and unloads.
#[derive(Debug)]
struct Reading {
    cycle: u64,
    counts: Vec<[i64; 3]>,
}

/// The process at a quiet point.
struct Point {
    row: Vec<i64>,
    snapshot: Option<Snapshot>,
}

impl Watch {
    /// A watch for the libraries of a plan; nothing where there is one.
    pub(super) fn new(plan: &SoakPlan) -> Option<Self> {
        let name = |path: &std::path::Path| {
            path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
        };
        (!plan.together.is_empty())
            .then(|| Self { names: plan.libraries().map(name).collect(), ..Self::default() })
    }

    /// Visits each library by itself: all of them once, and then each a few times in a row.
    pub(super) fn visit(&mut self, session: &mut Session<'_>, series: &Series) -> Result<(), End> {
        let mut before = point(session, series)?;
        for (visited, visits) in [(&mut self.first, 1), (&mut self.more, IN_A_ROW)] {
            for library in 0..self.names.len() {
                for _ in 0..visits {
                    session.visit(library)?;
                }
                let after = point(session, series)?;
                visited.push(Visited {
                    grown: grown(series, &before.row, &after.row, visits),
                    left: left(&before, &after),
                });
                before = after;
            }
        }
        Ok(())
    }

    /// Takes what was counted up to a checkpoint.
    pub(super) fn checkpoint(&mut self, cycle: u64, channel: &Channel) {
        let libraries = self.names.len();
        let counts = channel
            .visits()
            .iter()
            .take(libraries)
            .map(|visit| [&visit.heap, &visit.adds, &visit.subs].map(series::signed));
        self.readings.push(Reading { cycle, counts: counts.collect() });
        if self.readings.len() > KEPT {
            let mut index = 0;
            self.readings.retain(|_| {
                index += 1;
                index % 2 == 1
            });
        }
    }

    /// What was measured of each library.
    pub(super) fn to_record(
        &self,
        plan: &SoakPlan,
        libraries: &[Library],
        stays: &[bool],
        agent: Agent,
    ) -> Vec<Member> {
        let is_counted = plan.threads == 1;
        let member = |(index, (path, library)): (usize, (&std::path::Path, &Library))| {
            let rate = |from, of: usize| self.rate(from, index, of).filter(|_| is_counted);
            let more = self.more.get(index).map(|visited| visited.grown.clone()).unwrap_or_default();
            Member {
                path: path.to_string_lossy().into_owned(),
                build_id: library.facts.build_id.clone(),
                language: library.facts.language,
                state: if stays.get(index) == Some(&true) {
                    UnloadState::Pinned
                } else {
                    UnloadState::Unloaded
                },
                loads_per_cycle: rate(0, 1),
                unloads_per_cycle: rate(0, 2),
                heap_per_cycle: rate(self.half(), 0).filter(|_| agent == Agent::Counting),
                grows: more.into_iter().filter(|grown| grown.per_cycle > 0.0).collect(),
            }
        };
        plan.libraries().zip(libraries).enumerate().map(member).collect()
    }

    /// The libraries after whose visit something appeared that is left at the end.
    pub(super) fn left_by(&self, found: &Residue) -> Vec<String> {
        let of_kind = |left: &Residue| left.kind() == found.kind();
        let mut by = self.named(&self.first, |left| left.evidence == found.evidence);
        if by.is_empty() && found.per_cycle.is_some() {
            // What grows is left by each visit; what the first one kept once is not it.
            by = self.named(&self.more, of_kind);
        }
        if by.is_empty() {
            by = self.named(&self.first, of_kind);
        }
        by
    }

    /// The libraries that have left such a thing.
    fn named(&self, visited: &[Visited], is_it: impl Fn(&Residue) -> bool) -> Vec<String> {
        let left = self.names.iter().zip(visited).filter(|(_, visited)| visited.left.iter().any(&is_it));
        left.map(|(name, _)| name.clone()).collect()
    }

    /// The reading in the middle: what grows only at first has ended by then.
    fn half(&self) -> usize {
        let last = self.readings.last().map_or(0, |reading| reading.cycle);
        self.readings.partition_point(|reading| reading.cycle < last / 2)
    }

    /// A count's growth per cycle from a reading to the last.
    fn rate(&self, from: usize, library: usize, of: usize) -> Option<f64> {
        let (first, last) = (self.readings.get(from)?, self.readings.last()?);
        let cycles = last.cycle.checked_sub(first.cycle).filter(|cycles| *cycles > 0)?;
        let count = |reading: &Reading| Some(reading.counts.get(library)?[of]);
        Some((count(last)? - count(first)?) as f64 / cycles as f64)
    }
}

fn point(session: &mut Session<'_>, series: &Series) -> Result<Point, End> {
    let sample: Sample = session.worker.sample().map_err(|error| super::measure::gone(session, &error))?;
    session.worker.settle();
    let snapshot = session.worker.sampler.state(&session.channel, 0).ok();
    Ok(Point { row: series.look(0, &session.channel, &sample), snapshot })
}

fn grown(series: &Series, before: &[i64], after: &[i64], visits: u32) -> Vec<MetricRate> {
    let of = |metric: Metric| {
        let column = series.checkpoints.position(metric)?;
        let grown = after.get(column)?.checked_sub(*before.get(column)?)?;
        (grown != 0).then(|| MetricRate { metric, per_cycle: grown as f64 / f64::from(visits) })
    };
    Metric::ALL.into_iter().filter(|metric| metric.takes_part()).filter_map(of).collect()
}

/// What has appeared from one quiet point to the next.
fn left(before: &Point, after: &Point) -> Vec<Residue> {
    let (Some(first), Some(second)) = (&before.snapshot, &after.snapshot) else { return Vec::new() };
    let context = residue::Context {
        // What is left here and reported at the end is reported because nothing holds it there.
        state: UnloadState::Unloaded,
        objects_left: &[],
        until: u64::MAX,
        library: &[],
        refusal: None,
        makes_shared_files: true,
        page: procfs::page_size(),
    };
    residue::find(&[first.clone(), second.clone()], context)
}
