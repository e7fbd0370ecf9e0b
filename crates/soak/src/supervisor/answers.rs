//! Which of two builds answered each open, where they replace each other at one path.

use std::sync::atomic::Ordering::Relaxed;

use crate::channel::Entry;
use crate::record::{Build, Replaced};

/// What was seen of a worker whose cycles open two builds in turn.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    /// The word by which each build is recognised.
    words: [u64; 2],
    /// Opens that each build answered.
    counts: [u64; 2],
    stale: u64,
    first_stale: Option<u64>,
    /// The build that answered last.
    last: Option<usize>,
}

impl Answers {
    pub(super) fn new(words: [u64; 2]) -> Self {
        Self { words, counts: [0; 2], stale: 0, first_stale: None, last: None }
    }

    /// Takes in the cycles that the thread completed, from cycle `first` on. The first build is at the path in cycle 0.
    pub(super) fn add(&mut self, first: u64, entries: &[Entry]) {
        for (cycle, entry) in (first..).zip(entries) {
            let word = entry.build.load(Relaxed);
            self.last = self.words.iter().position(|own| *own == word);
            if let Some(build) = self.last {
                self.counts[build] += 1;
            }
            if self.last != Some((cycle % 2) as usize) {
                self.stale += 1;
                self.first_stale.get_or_insert(cycle);
            }
        }
    }

    /// The build that answered last; `None` before the first cycle.
    pub(super) fn last(&self) -> Option<usize> {
        self.last
    }

    /// As the record has them; `builds` says what the files are.
    pub(super) fn to_record(&self, builds: [Build; 2]) -> Replaced {
        let [one, other] = builds;
        let [answered, by_other] = self.counts;
        Replaced {
            builds: [Build { answered, ..one }, Build { answered: by_other, ..other }],
            stale: self.stale,
            first_stale: self.first_stale,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    /// What was seen of opens that these words answered, in two parts.
    fn seen(words: &[u64]) -> Replaced {
        let zero = || AtomicU64::new(0);
        let entry = |word: &u64| Entry {
            open: zero(),
            symbol: zero(),
            call: zero(),
            close: zero(),
            after: zero(),
            base: zero(),
            build: AtomicU64::new(*word),
        };
        let entries: Vec<Entry> = words.iter().map(entry).collect();
        let mut answers = Answers::new([7, 9]);
        let (begin, end) = entries.split_at(3);
        answers.add(0, begin);
        answers.add(3, end);
        answers.to_record(Default::default())
    }

    #[test]
    fn each_open_is_answered_by_the_build_at_the_path_or_not() {
        let counts = |replaced: &Replaced| [0, 1].map(|build: usize| replaced.builds[build].answered);
        let turns = seen(&[7, 9, 7, 9, 7]);
        assert_eq!((counts(&turns), turns.stale, turns.first_stale), ([3, 2], 0, None));
        let stuck = seen(&[7, 7, 7, 7, 7]);
        assert_eq!((counts(&stuck), stuck.stale, stuck.first_stale), ([5, 0], 2, Some(1)));
        let later = seen(&[7, 9, 7, 9, 9]);
        assert_eq!((counts(&later), later.stale, later.first_stale), ([2, 3], 1, Some(4)));
        // What neither build has is no answer of theirs.
        let odd = seen(&[7, 9, 7, 0, 7]);
        assert_eq!((counts(&odd), odd.stale, odd.first_stale), ([3, 1], 1, Some(3)));
    }
}
