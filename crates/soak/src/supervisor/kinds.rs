//! Resident memory by kind of mapping, at some of the checkpoints: it says where growth sits, which the totals of
//! each checkpoint do not. The full list of mappings costs several times as much as the totals, so not each has it.

use super::staging::Staging;
use crate::record::{OverTime, OverTimeColumn};
use crate::sampling::Sampler;

/// One checkpoint in this many reads the kinds, because that takes 0.15 ms, twice as long as the totals.
const EVERY: u64 = 8;
/// With each further so many mappings, it is asked for that much less often.
const MAPPINGS: u64 = 512;

/// The series as it grows.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    points: u64,
    rows: Vec<Vec<i64>>,
}

impl Kinds {
    /// Whether the next checkpoint may be one at which it looks.
    pub(super) fn may_look_next(&self) -> bool {
        self.points.is_multiple_of(EVERY)
    }

    /// At a checkpoint of a process with so many mappings.
    pub(super) fn checkpoint(&mut self, cycle: u64, mappings: u64, sampler: &Sampler, staging: &Staging) {
        if self.points.is_multiple_of(EVERY * (1 + mappings / MAPPINGS)) {
            self.take(cycle, sampler, staging);
        }
        self.points += 1;
    }

    /// At the last quiet point.
    pub(super) fn last(&mut self, cycle: u64, sampler: &Sampler, staging: &Staging) {
        let last = self.rows.last().and_then(|row| row.first().copied());
        if self.points > 0 && last != i64::try_from(cycle).ok() {
            self.take(cycle, sampler, staging);
        }
    }

    /// A process that is gone has no row: how it ended is told elsewhere.
    fn take(&mut self, cycle: u64, sampler: &Sampler, staging: &Staging) {
        let Ok(sample) = sampler.kinds(|path| staging.is_library(path)) else { return };
        let figures = [cycle].into_iter().chain(sample.figures());
        self.rows.push(figures.map(|figure| i64::try_from(figure).unwrap_or(i64::MAX)).collect());
    }

    /// As the record has it.
    pub(super) fn to_record(&self) -> Option<OverTime> {
        let columns = std::iter::once(OverTimeColumn::Cycle).chain(OverTimeColumn::KINDS).collect();
        (!self.rows.is_empty()).then(|| OverTime { columns, rows: self.rows.clone() })
    }
}
