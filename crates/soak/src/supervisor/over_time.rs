//! Latencies as they move over a soak: quantiles per interval of cycles, in a number of intervals that is bounded
//! however long the soak runs. When there are too many, neighbours are put together.

use hdrhistogram::{CreationError, Histogram};

use super::latency::{longest_at, record};
use crate::record::{OverTime, OverTimeColumn};

/// Most intervals that are kept: a chart has no room for more.
const MOST: usize = 64;

/// Phases, in the order of the columns: open, symbol, call, close, and the whole cycle.
const PHASES: usize = 5;

/// What is kept of one phase in an interval: how many cycles took how many nanoseconds, by rising time, to two
/// significant digits; and the largest, exactly.
#[derive(Debug, Clone, Default, PartialEq)]
struct Kept {
    counts: Vec<(u64, u64)>,
    max: u64,
}

impl Kept {
    /// Both together.
    fn with(&self, other: &Kept) -> Kept {
        let mut counts: Vec<(u64, u64)> = self.counts.iter().chain(&other.counts).copied().collect();
        counts.sort_unstable_by_key(|(ns, _)| *ns);
        counts.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        Kept { counts, max: self.max.max(other.max) }
    }

    /// The value at a quantile; 0 where nothing was recorded.
    fn at(&self, quantile: f64) -> u64 {
        let count: u64 = self.counts.iter().map(|(_, n)| n).sum();
        let rank = ((count as f64 * quantile).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.counts.iter().find(|(_, n)| {
            seen += n;
            seen >= rank
        });
        found.map_or(0, |(ns, _)| (*ns).min(self.max))
    }
}

/// One interval: its cycles, and what is kept of each phase.
#[derive(Debug, Clone, Default)]
struct Interval {
    cycles: u64,
    phases: [Kept; PHASES],
}

impl Interval {
    fn with(&self, other: &Interval) -> Interval {
        let phases = std::array::from_fn(|i| self.phases[i].with(&other.phases[i]));
        Interval { cycles: self.cycles + other.cycles, phases }
    }
}

/// The intervals of a soak.
#[derive(Debug)]
pub(super) struct Intervals {
    /// The interval that is not closed yet.
    open: [Histogram<u64>; PHASES],
    max: [u64; PHASES],
    cycles: u64,
    /// An interval is closed when it has this many cycles.
    length: u64,
    closed: Vec<Interval>,
}

impl Intervals {
    /// No interval yet.
    ///
    /// # Errors
    /// Never with this precision; the histogram's constructor checks it.
    pub(super) fn new() -> Result<Self, CreationError> {
        let new = || Histogram::new(2);
        let open = [new()?, new()?, new()?, new()?, new()?];
        Ok(Self { open, max: Default::default(), cycles: 0, length: 1, closed: Vec::new() })
    }

    /// Adds a cycle: the nanoseconds of each phase.
    pub(super) fn add(&mut self, phases: [u64; PHASES]) {
        for ((histogram, max), ns) in self.open.iter_mut().zip(&mut self.max).zip(phases) {
            record(histogram, ns);
            *max = (*max).max(longest_at(ns));
        }
        self.cycles += 1;
    }

    /// At a quiet point: closes the interval, if it is long enough.
    pub(super) fn quiet(&mut self) {
        if self.cycles >= self.length {
            self.close();
        }
    }

    fn close(&mut self) {
        let mut interval = Interval { cycles: self.cycles, ..Interval::default() };
        for (i, histogram) in self.open.iter_mut().enumerate() {
            let recorded = histogram.iter_recorded();
            let counts = recorded.map(|step| (step.value_iterated_to(), step.count_at_value())).collect();
            interval.phases[i] = Kept { counts, max: self.max[i] };
            histogram.reset();
        }
        (self.max, self.cycles) = (Default::default(), 0);
        self.closed.push(interval);
        while self.closed.len() > MOST {
            self.length *= 2;
            let mut merged: Vec<Interval> = Vec::with_capacity(MOST);
            for interval in self.closed.drain(..) {
                match merged.last_mut().filter(|last| last.cycles < self.length) {
                    Some(last) => *last = last.with(&interval),
                    None => merged.push(interval),
                }
            }
            self.closed = merged;
        }
    }

    /// As the record has them; `None` where no cycle was timed.
    pub(super) fn finish(&mut self) -> Option<OverTime> {
        if self.cycles > 0 {
            self.close();
        }
        let columns = std::iter::once(OverTimeColumn::Cycle).chain(OverTimeColumn::LATENCIES).collect();
        let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let mut cycle = 0;
        let row = |interval: &Interval| {
            cycle += interval.cycles;
            let figures = interval.phases.iter().flat_map(|kept| [kept.at(0.5), kept.at(0.99), kept.max]);
            std::iter::once(cycle).chain(figures).map(whole).collect::<Vec<i64>>()
        };
        let rows: Vec<_> = self.closed.iter().map(row).collect();
        (!rows.is_empty()).then_some(OverTime { columns, rows })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_interval() {
        let mut intervals = Intervals::new().unwrap();
        assert_eq!(intervals.finish(), None);
        for cycle in 0..100 {
            intervals.add([if cycle == 7 { 90_000 } else { 100 }, 1, 2, 3, u64::MAX]);
        }
        intervals.quiet();
        intervals.add([50, 1, 2, 3, 4]);
        let record = intervals.finish().unwrap();
        assert_eq!(record.columns[1..4], OverTimeColumn::LATENCIES[..3]);
        assert_eq!(record.rows.len(), 2);
        assert_eq!(record.rows[0][..4], [100, 100, 100, 90_000]);
        assert_eq!(record.rows[0][15], i64::try_from(longest_at(u64::MAX)).unwrap());
        assert_eq!(record.rows[1][..4], [101, 50, 50, 50]);
        assert!(record.rows.iter().all(|row| row.len() == record.columns.len()));
    }

    #[test]
    fn intervals_are_bounded_and_cover_all_cycles() {
        let mut intervals = Intervals::new().unwrap();
        let mut cycles = 0;
        // Checkpoints that are close at first, and a quiet point every 4,096 cycles at last.
        for step in (0..200).map(|i| i / 3 + 1).chain([4096; 300]) {
            for _ in 0..step {
                intervals.add([10; 5]);
            }
            cycles += step;
            intervals.quiet();
            assert!(intervals.closed.len() <= MOST);
        }
        let record = intervals.finish().unwrap();
        assert!((MOST / 2 - 4..=MOST + 1).contains(&record.rows.len()), "{}", record.rows.len());
        assert_eq!(record.rows.last().unwrap()[0], cycles);
        assert!(record.rows.windows(2).all(|pair| pair[0][0] < pair[1][0]));
    }
}
