//! Pure: how Go's live heap grows, by the lines that its runtime writes under `GODEBUG=gctrace=1` ([`crate::gctrace`]).

use super::trend;
use crate::gctrace::{Line, STEP, Tally};
use crate::record::Trend;
use crate::record::verification::{Collections, Failure};

/// `GOGC`: the collector runs once the heap exceeds the live heap by this many percent. With less it would hardly do anything else.
pub const GOGC: u64 = 5;
/// The heap below which the collector does not run, in MiB: 4 MiB at `GOGC=100`, and less in proportion.
const LEAST: f64 = 4.0 * GOGC as f64 / 100.0;
/// MiB by which a heap may exceed its goal: one because sizes are rounded down, one because a collection may be running.
const BEYOND: f64 = 2.0;

/// How Go's live heap changed in a run.
#[derive(Debug, Clone, PartialEq)]
pub struct GoHeap {
    /// The collections.
    pub collections: Collections,
    /// Growth of the live heap in bytes per cycle, between bounds that allow for rounding and for garbage not yet collected.
    pub per_cycle: (f64, f64, f64),
    /// Whether it grows.
    pub trend: Trend,
    /// The smallest steady growth in bytes per cycle that this run would have detected.
    pub detectable: f64,
}

/// Computes the growth of the live heap from the first point on.
///
/// # Errors
/// When the trace has no collection, no points, or too many lines that can't be parsed.
pub fn growth(lines: &[Line]) -> Result<GoHeap, Failure> {
    let mut tally = Tally::default();
    let mut series: Vec<(u64, u64)> = Vec::new();
    for line in lines {
        tally.take(*line);
        // Somewhere between this point and the next.
        if let (Line::Collection(collection), Some((_, at))) = (line, tally.span()) {
            series.push((at, collection.live));
        }
    }
    let collections = tally.collections(GOGC)?;
    let (Some((from, to)), Some(last)) = (tally.span(), tally.last()) else {
        return Err(Failure::NoProgress);
    };
    let first = collections.live_before / STEP;
    series.insert(0, (from, first));
    // What was allocated since the last collection is less than would have started the next one.
    let next = (last.live + 1) as f64 * GOGC as f64 / 100.0 + LEAST;
    let slack = BEYOND + next.max(last.goal.saturating_sub(last.live) as f64);
    let difference = last.live as f64 - first as f64;
    let step = STEP as f64 / (to - from) as f64;
    let detectable = 2.0 + slack;
    let trend = if slack > (last.live as f64 / 4.0).max(8.0) && difference < 2.0 {
        // The library has tuned its collector to run late, so the trace shows little.
        Trend::Unclear
    } else {
        trend::trend(&series.iter().map(|(at, live)| (*at, *live as f64)).collect::<Vec<_>>(), to, 2.0)
    };
    Ok(GoHeap {
        collections,
        per_cycle: ((difference - 1.0) * step, difference * step, (difference + slack) * step),
        trend,
        detectable: detectable * step,
    })
}
