//! Histograms of the phases, filled from the worker's rings at quiet points: 3 significant digits, 1 ns to 60 s.

use hdrhistogram::Histogram;

use super::over_time::Intervals;
use crate::channel::Entry;
use crate::record::histogram::encode;
use crate::record::{Latencies, OverTime};

use std::sync::atomic::Ordering::Relaxed;

/// Longest latency that is told from longer ones, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;

/// Adds a value. The histogram grows with what it is given: with room for a minute, the 20 of a soak would take 3 MB, and those of a small
/// library need a third of it.
pub(super) fn record(histogram: &mut Histogram<u64>, ns: u64) {
    // It has memory for the longest one, unless there is none at all.
    let _ = histogram.record(longest_at(ns));
}

/// A latency, where what is longer than the longest counts as that.
pub(super) fn longest_at(ns: u64) -> u64 {
    ns.min(LONGEST)
}

/// One histogram per phase, all threads merged.
#[derive(Debug)]
pub(super) struct Histograms {
    open: Histogram<u64>,
    symbol: Histogram<u64>,
    call: Histogram<u64>,
    close: Histogram<u64>,
    cycle: Histogram<u64>,
    intervals: Intervals,
}

impl Histograms {
    /// Empty histograms.
    ///
    /// # Errors
    /// Never with this precision; the histogram's constructor checks it.
    pub(super) fn new() -> Result<Self, hdrhistogram::CreationError> {
        let new = || Histogram::new(3);
        Ok(Self {
            open: new()?,
            symbol: new()?,
            call: new()?,
            close: new()?,
            cycle: new()?,
            intervals: Intervals::new()?,
        })
    }

    /// Adds the cycles of a ring, whose ticks take `ns_per_tick` nanoseconds each.
    pub(super) fn add(&mut self, entries: &[Entry], ns_per_tick: f64) {
        // The cast saturates: what is absurd stays absurd.
        let ns =
            |ticks: u64| if ns_per_tick == 1.0 { ticks } else { (ticks as f64 * ns_per_tick).round() as u64 };
        for entry in entries {
            let [open, symbol, call, close] =
                [&entry.open, &entry.symbol, &entry.call, &entry.close].map(|ticks| ns(ticks.load(Relaxed)));
            record(&mut self.open, open);
            record(&mut self.symbol, symbol);
            record(&mut self.call, call);
            record(&mut self.close, close);
            let cycle = open.saturating_add(symbol).saturating_add(call).saturating_add(close);
            record(&mut self.cycle, cycle);
            self.intervals.add([open, symbol, call, close, cycle]);
        }
    }

    /// All cycles up to a quiet point have been added.
    pub(super) fn quiet(&mut self) {
        self.intervals.quiet();
    }

    /// The latencies over the cycles; `None` where no cycle was timed.
    pub(super) fn over_time(&mut self) -> Option<OverTime> {
        self.intervals.finish()
    }

    /// As the record has them.
    pub(super) fn to_record(&self) -> Latencies {
        Latencies {
            open: encode(&self.open),
            symbol: encode(&self.symbol),
            call: encode(&self.call),
            close: encode(&self.close),
            cycle: encode(&self.cycle),
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn phases_are_kept_apart_and_the_cycle_is_their_sum() {
        let mut histograms = Histograms::new().unwrap();
        assert_eq!(histograms.to_record(), Latencies::default());
        let entry = |ns| Entry {
            open: AtomicU64::new(ns),
            symbol: AtomicU64::new(2),
            call: AtomicU64::new(0),
            close: AtomicU64::new(u64::MAX),
            after: AtomicU64::new(0),
            base: AtomicU64::new(0),
            build: AtomicU64::new(0),
        };
        histograms.add(&[entry(100), entry(300)], 1.0);
        let record = histograms.to_record();
        let open = record.open.unwrap();
        assert_eq!((open.count, open.min, open.max), (2, 100, 300));
        assert_eq!(record.symbol.unwrap().p99, 2);
        assert_eq!(record.call.unwrap().max, 0);
        // Absurd values, as a vandal may leave, saturate.
        assert!(record.cycle.unwrap().max >= LONGEST);
        let hdr = STANDARD.decode(open.hdr).unwrap();
        let back: Histogram<u64> =
            hdrhistogram::serialization::Deserializer::new().deserialize(&mut &hdr[..]).unwrap();
        assert_eq!(back.value_at_quantile(0.5), 100);
        let mut in_ticks = Histograms::new().unwrap();
        in_ticks.add(&[entry(250)], 0.4);
        let record = in_ticks.to_record();
        assert_eq!((record.open.unwrap().max, record.symbol.unwrap().max), (100, 1));
    }
}
