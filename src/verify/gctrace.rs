//! Pure: the lines that Go's runtime writes under `GODEBUG=gctrace=1` (documented in Go's package `runtime`), and what they say of
//! its live heap over the cycles. The tests have lines of Go 1.21, 1.24
//! and 1.27, whose form is the same.

use dlsoak_agent::bare;

use super::trend::{self, Trend};

/// Bytes that one step of the trace stands for: sizes are whole MiB, rounded down.
pub const STEP: u64 = 1 << 20;

/// How early Go's collector is to run (`GOGC`): at so many percent more than was alive. Lower, it would hardly do anything else.
pub const GOGC: u64 = 5;
/// The heap below which it does not run, in MiB: 4 MiB at `GOGC=100`, and less in proportion.
const LEAST: f64 = 4.0 * GOGC as f64 / 100.0;
/// By how many MiB a heap may be beyond its goal: one for what is rounded down, one for a collection that is under way.
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
    /// Of this, what is alive, in MiB.
    pub live: u64,
    /// Heap at which it was to end, in MiB: the next one runs before so much is in use.
    pub goal: u64,
}

/// One line of a traced process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// So many cycles are done.
    At(u64),
    /// A collection has ended.
    Collection(Collection),
    /// Begins as a collection's line and does not read as one.
    Unreadable,
}

/// What a line says; `None` for what the library itself has written.
pub fn line(text: &str) -> Option<Line> {
    if let Some(cycles) = text.strip_prefix(bare::MARK) {
        return cycles.trim().parse().ok().map(Line::At);
    }
    // What the library wrote before may not have ended its line.
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

/// What the collections of a run say of Go's live heap.
#[derive(Debug, Clone, PartialEq)]
pub struct GoHeap {
    /// Collections in all, and between the first and the last point.
    pub collections: (usize, usize),
    /// Cycles between the first and the last point.
    pub cycles: u64,
    /// Live heap of the last collection before the first point and of the very last one, in bytes.
    pub live: (u64, u64),
    /// Growth of the live heap in bytes per cycle, with bounds that hold whatever was rounded or not yet collected.
    pub per_cycle: (f64, f64, f64),
    /// Which way it goes.
    pub trend: Trend,
    /// Steady growth in bytes per cycle that this run would have called.
    pub smallest: f64,
    /// Lines that began as a collection's and could not be read.
    pub unreadable: usize,
}

/// Looks at the live heap from the first point on.
///
/// # Errors
/// In one line, when the trace does not tell: no collection at all, no points, too many lines that can't be read.
pub fn growth(lines: &[Line]) -> Result<GoHeap, String> {
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
        return Err("the process did not tell how far it was".to_owned());
    };
    let cycles = to.saturating_sub(*from);
    if cycles == 0 {
        return Err("no cycles were measured".to_owned());
    }
    let Some(last) = last else {
        return Err(
            "no line of gctrace was written: Go's runtime collected nothing, or its standard error is closed"
                .to_owned(),
        );
    };
    if unreadable > total / 10 {
        return Err(format!("{unreadable} lines of gctrace can't be read, and {total} can"));
    }
    let inside = series.len();
    // Without a collection before the first point, the first one after it is where the look begins.
    let first = base.map_or(series.first().map_or(last.live, |(_, live)| *live), |base| base.live);
    series.insert(0, (*from, first));
    // What came since the last collection is less than would have brought the next one.
    let next = (last.live + 1) as f64 * GOGC as f64 / 100.0 + LEAST;
    let slack = BEYOND + next.max(last.goal.saturating_sub(last.live) as f64);
    let difference = last.live as f64 - first as f64;
    let step = STEP as f64 / cycles as f64;
    let smallest = 2.0 + slack;
    let trend = if slack > (last.live as f64 / 4.0).max(8.0) && difference < 2.0 {
        // A collector that is tuned to run late tells little.
        Trend::Unclear
    } else {
        trend::trend(&series.iter().map(|(at, live)| (*at, *live as f64)).collect::<Vec<_>>(), *to, 2.0)
    };
    Ok(GoHeap {
        collections: (total, inside),
        cycles,
        live: (first * STEP, last.live * STEP),
        per_cycle: ((difference - 1.0) * step, difference * step, (difference + slack) * step),
        trend,
        smallest: smallest * step,
        unreadable,
    })
}
