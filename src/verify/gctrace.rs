//! Pure: parses the lines that Go's runtime writes under `GODEBUG=gctrace=1` (documented in Go's package `runtime`), and computes how
//! its live heap grows. The tests have lines of Go 1.21, 1.24 and 1.27, whose form is the same.

use dlsoak_agent::bare;

use super::trend;
use crate::record::Trend;
use crate::record::verification::{Collections, Failure};

/// Resolution of the trace in bytes: sizes are whole MiB, rounded down.
pub const STEP: u64 = 1 << 20;

/// `GOGC`: the collector runs once the heap exceeds the live heap by this many percent. With less it would hardly do anything else.
pub const GOGC: u64 = 5;
/// The heap below which the collector does not run, in MiB: 4 MiB at `GOGC=100`, and less in proportion.
const LEAST: f64 = 4.0 * GOGC as f64 / 100.0;
/// MiB by which a heap may exceed its goal: one because sizes are rounded down, one because a collection may be running.
const BEYOND: f64 = 2.0;

/// One collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collection {
    /// Its number, from 1.
    pub number: u64,
    /// Heap when it began, in MiB.
    pub before: u64,
    /// Heap when it ended, in MiB.
    pub after: u64,
    /// Live part of it, in MiB.
    pub live: u64,
    /// Heap at which the collection was due to end, in MiB: the next one runs before that much is in use.
    pub goal: u64,
}

/// One line of a traced process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// The process has completed this many cycles.
    At(u64),
    /// A collection has ended.
    Collection(Collection),
    /// Begins as a collection's line and can't be parsed as one.
    Unreadable,
}

/// Parses a line; `None` for a line that the library itself has written.
pub fn line(text: &str) -> Option<Line> {
    if let Some(cycles) = text.strip_prefix(bare::MARK) {
        return cycles.trim().parse().ok().map(Line::At);
    }
    // The library may have written text before it, without a line break.
    let begin = text.match_indices("gc ").map(|(at, _)| &text[at..]).find(|rest| is_collection(rest))?;
    Some(collection(begin).map_or(Line::Unreadable, Line::Collection))
}

/// `gc 5 @0.1s`.
fn is_collection(text: &str) -> bool {
    let mut words = text.split(' ').skip(1);
    let number =
        words.next().is_some_and(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit()));
    number && words.next().is_some_and(|word| word.starts_with('@'))
}

fn collection(text: &str) -> Option<Collection> {
    let number = text.split(' ').nth(1)?.parse().ok()?;
    let parts: Vec<&str> = text.split(", ").collect();
    let sizes =
        parts.iter().find_map(|part| part.strip_suffix(" MB").filter(|sizes| sizes.contains("->")))?;
    let mut sizes = sizes.split("->").map(|size| size.parse::<u64>());
    let (before, after, live) = (sizes.next()?.ok()?, sizes.next()?.ok()?, sizes.next()?.ok()?);
    let goal = parts.iter().find_map(|part| part.split_once(" MB goal"))?.0.parse().ok()?;
    sizes.next().is_none().then_some(Collection { number, before, after, live, goal })
}

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
    let mut points = Vec::new();
    let mut base = None;
    let mut series: Vec<(u64, u64)> = Vec::new();
    let (mut last, mut total, mut unreadable) = (None, 0, 0);
    for line in lines {
        match line {
            Line::At(cycles) => points.push(*cycles),
            Line::Unreadable => unreadable += 1,
            Line::Collection(collection) => {
                total += 1;
                last = Some(*collection);
                match points.last() {
                    None => base = Some(*collection),
                    // Somewhere between this point and the next.
                    Some(point) => series.push((*point, collection.live)),
                }
            }
        }
    }
    let (Some(from), Some(to)) = (points.first(), points.last()) else {
        return Err(Failure::NoProgress);
    };
    let cycles = to.saturating_sub(*from);
    if cycles == 0 {
        return Err(Failure::NoCycles);
    }
    let last = last.ok_or(Failure::NoCollections)?;
    if unreadable > total / 10 {
        return Err(Failure::UnreadableTrace { unreadable, readable: total });
    }
    let measured = series.len() as u64;
    // Without a collection before the first point, the first one after it is the start.
    let first = base.map_or(series.first().map_or(last.live, |(_, live)| *live), |base| base.live);
    series.insert(0, (*from, first));
    // What was allocated since the last collection is less than would have started the next one.
    let next = (last.live + 1) as f64 * GOGC as f64 / 100.0 + LEAST;
    let slack = BEYOND + next.max(last.goal.saturating_sub(last.live) as f64);
    let difference = last.live as f64 - first as f64;
    let step = STEP as f64 / cycles as f64;
    let detectable = 2.0 + slack;
    let trend = if slack > (last.live as f64 / 4.0).max(8.0) && difference < 2.0 {
        // The library has tuned its collector to run late, so the trace shows little.
        Trend::Unclear
    } else {
        trend::trend(&series.iter().map(|(at, live)| (*at, *live as f64)).collect::<Vec<_>>(), *to, 2.0)
    };
    Ok(GoHeap {
        collections: Collections {
            gogc: GOGC,
            total,
            measured,
            live_before: first * STEP,
            live_after: last.live * STEP,
        },
        per_cycle: ((difference - 1.0) * step, difference * step, (difference + slack) * step),
        trend,
        detectable: detectable * step,
    })
}
