//! Pure: parses the lines that Go's runtime writes under `GODEBUG=gctrace=1` (documented in Go's package `runtime`), takes them out of what a
//! process writes, and counts the collections over its cycles. The tests have lines of Go 1.21, 1.24 and 1.27, whose form is the same.

use dlsoak_agent::bare;

use crate::record::verification::{Collections, Failure};

/// Resolution of the trace in bytes: sizes are whole MiB, rounded down.
pub const STEP: u64 = 1 << 20;

/// Bytes of a line that are held until it ends. A line of the trace has about 150.
const LONGEST: usize = 4096;

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

/// The value of `GODEBUG` that turns the trace on, besides what a user has set.
pub fn godebug(own: Option<String>) -> String {
    match own.filter(|own| !own.is_empty()) {
        None => "gctrace=1".to_owned(),
        Some(own) => format!("{own},gctrace=1"),
    }
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

/// The collections of a process over its cycles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    total: u64,
    unreadable: u64,
    first: Option<u64>,
    last: Option<Collection>,
    points: Vec<Point>,
}

/// What a process had collected at some cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Point {
    cycle: u64,
    total: u64,
    live: Option<u64>,
}

impl Tally {
    /// Takes the next line.
    pub fn take(&mut self, line: Line) {
        match line {
            Line::At(cycle) => {
                let live = self.last.map(|last| last.live);
                self.points.push(Point { cycle, total: self.total, live });
            }
            Line::Unreadable => self.unreadable += 1,
            Line::Collection(collection) => {
                self.total += 1;
                self.first.get_or_insert(collection.live);
                self.last = Some(collection);
            }
        }
    }

    /// The last collection.
    pub fn last(&self) -> Option<Collection> {
        self.last
    }

    /// The first and the last cycle that was told.
    pub fn span(&self) -> Option<(u64, u64)> {
        Some((self.points.first()?.cycle, self.points.last()?.cycle))
    }

    /// The collections of a process that ran with this `GOGC`.
    ///
    /// # Errors
    /// When there is no collection, no point, or too much that can't be parsed.
    pub fn collections(&self, gogc: u64) -> Result<Collections, Failure> {
        let (Some(start), Some((from, to))) = (self.points.first(), self.span()) else {
            return Err(Failure::NoProgress);
        };
        if from >= to {
            return Err(Failure::NoCycles);
        }
        let (Some(first), Some(last)) = (self.first, self.last) else { return Err(Failure::NoCollections) };
        if self.unreadable > self.total / 10 {
            return Err(Failure::UnreadableTrace { unreadable: self.unreadable, readable: self.total });
        }
        // Without a collection before the first point, the first one after it is the start.
        let before = start.live.unwrap_or(first);
        let half = from + (to - from) / 2;
        let halfway = self.points.iter().take_while(|point| point.cycle <= half).last();
        Ok(Collections {
            gogc,
            total: self.total,
            measured: self.total - start.total,
            live_before: before * STEP,
            live_halfway: halfway.and_then(|point| point.live).unwrap_or(before) * STEP,
            live_after: last.live * STEP,
        })
    }
}

/// Takes the lines of the trace out of what a process writes.
#[derive(Debug, Default)]
pub struct Filter {
    held: Vec<u8>,
    /// What they said.
    pub tally: Tally,
}

impl Filter {
    /// Takes what was written, and returns what of it, and of what was held before, is no line of the trace. A line is held until it ends.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut own = Vec::new();
        for byte in bytes {
            self.held.push(*byte);
            if *byte == b'\n' {
                match line(&String::from_utf8_lossy(&self.held)) {
                    Some(line @ (Line::Collection(_) | Line::Unreadable)) => {
                        self.tally.take(line);
                        self.held.clear();
                    }
                    Some(Line::At(_)) | None => own.append(&mut self.held),
                }
            } else if self.held.len() == LONGEST {
                own.append(&mut self.held);
            }
        }
        own
    }

    /// The rest, at the end of the output.
    pub fn end(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GC: &str = "gc 7 @0.3s 2%: 0.008+0.62+0.001 ms clock, 0.016+0.068/0.030/0.067+0.003 ms cpu, 3->3->2 MB, 3 MB goal, 2 P\n";

    fn gc(live: u64) -> Line {
        Line::Collection(Collection { number: 1, before: live, after: live, live, goal: live })
    }

    #[test]
    fn what_the_library_writes_itself_stays() {
        let written = format!("loading\n{GC}half {GC}{GC}the end");
        for size in [1, 7, 8192] {
            let mut filter = Filter::default();
            let mut own: Vec<u8> =
                written.as_bytes().chunks(size).flat_map(|part| filter.take(part)).collect();
            own.extend(filter.end());
            assert_eq!(
                (String::from_utf8(own).unwrap().as_str(), filter.tally.total),
                ("loading\nthe end", 3)
            );
            assert_eq!(filter.tally.last().unwrap().live, 2);
        }
        // A line without an end is not held for ever, and what looks like progress is the library's.
        let mut filter = Filter::default();
        assert_eq!(filter.take(&[b'x'; 3 * LONGEST]).len(), 3 * LONGEST);
        assert_eq!(filter.take(b"\n"), b"\n");
        let progress = format!("{} 7\n", bare::MARK);
        assert_eq!(filter.take(progress.as_bytes()), progress.as_bytes());
    }

    #[test]
    fn the_live_heap_is_told_at_the_start_half_way_and_at_the_end() {
        let tally = |lines: &[Line]| {
            let mut tally = Tally::default();
            lines.iter().for_each(|line| tally.take(*line));
            tally.collections(10)
        };
        let found = tally(&[
            gc(1),
            Line::At(0),
            gc(2),
            Line::At(40),
            gc(3),
            Line::At(60),
            gc(5),
            Line::At(100),
            gc(6),
        ]);
        assert_eq!(
            found.unwrap(),
            Collections {
                gogc: 10,
                total: 5,
                measured: 4,
                live_before: STEP,
                live_halfway: 2 * STEP,
                live_after: 6 * STEP
            }
        );
        // The first one after the start is the start.
        let late = tally(&[Line::At(0), Line::At(50), gc(4), Line::At(100)]).unwrap();
        assert_eq!((late.live_before, late.live_halfway, late.measured), (4 * STEP, 4 * STEP, 1));
        assert_eq!(tally(&[gc(1)]), Err(Failure::NoProgress));
        assert_eq!(tally(&[gc(1), Line::At(3)]), Err(Failure::NoCycles));
        assert_eq!(tally(&[Line::At(0), Line::At(3)]), Err(Failure::NoCollections));
        let unreadable = [Line::At(0), gc(1), Line::Unreadable, Line::At(9)];
        assert_eq!(tally(&unreadable), Err(Failure::UnreadableTrace { unreadable: 1, readable: 1 }));
    }

    #[test]
    fn what_a_user_debugs_stays() {
        assert_eq!(godebug(None), "gctrace=1");
        assert_eq!(godebug(Some(String::new())), "gctrace=1");
        assert_eq!(godebug(Some("madvdontneed=1".to_owned())), "madvdontneed=1,gctrace=1");
    }
}
