//! Where the library was loaded in earlier cycles, so that an address in code that is gone can be told to be its.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use crate::channel::Entry;

/// Most addresses that are kept. The loader mostly uses the same few again.
const KEPT: usize = 4096;

/// The last cycle in which the library was at each address.
#[derive(Debug, Default)]
pub(super) struct Loads {
    /// By address: thread, and cycle of that thread.
    at: BTreeMap<u64, (usize, u64)>,
}

/// A load that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Load {
    /// The thread that made it.
    pub(super) thread: usize,
    /// The cycle of that thread.
    pub(super) cycle: u64,
    /// Bytes from where it was loaded.
    pub(super) offset: u64,
}

impl Loads {
    /// Takes in the cycles that a thread completed, from cycle `first` on.
    pub(super) fn add(&mut self, thread: usize, first: u64, entries: &[Entry]) {
        let mut last = None;
        for (cycle, entry) in (first..).zip(entries) {
            let base = entry.base.load(Relaxed);
            if base == 0 {
                continue;
            }
            // The loader mostly takes the same place again, and then the last of such cycles is all that is kept.
            if let Some((before, at)) = last
                && before != base
            {
                self.insert(before, (thread, at));
            }
            last = Some((base, cycle));
        }
        if let Some((base, cycle)) = last {
            self.insert(base, (thread, cycle));
        }
    }

    fn insert(&mut self, base: u64, at: (usize, u64)) {
        if self.at.len() >= KEPT && !self.at.contains_key(&base) {
            let oldest = self.at.iter().min_by_key(|(_, (_, cycle))| *cycle).map(|(base, _)| *base);
            oldest.and_then(|oldest| self.at.remove(&oldest));
        }
        self.at.insert(base, at);
    }

    /// The last load whose extent held the address.
    pub(super) fn find(&self, address: u64, extent: u64) -> Option<Load> {
        let begun = self.at.range(..=address).rev();
        let near = begun.take_while(|(base, _)| address - **base < extent);
        let (base, (thread, cycle)) = near.max_by_key(|(_, (_, cycle))| *cycle)?;
        Some(Load { thread: *thread, cycle: *cycle, offset: address - base })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    fn entries(bases: &[u64]) -> Vec<Entry> {
        let zero = || AtomicU64::new(0);
        let entry = |base: &u64| Entry {
            open: zero(),
            symbol: zero(),
            call: zero(),
            close: zero(),
            after: zero(),
            base: AtomicU64::new(*base),
            build: zero(),
        };
        bases.iter().map(entry).collect()
    }

    #[test]
    fn the_last_load_at_an_address_is_told() {
        let mut loads = Loads::default();
        loads.add(0, 10, &entries(&[0x1000, 0x1000, 0x9000, 0x1000, 0x9000, 0]));
        assert_eq!(loads.find(0x1010, 0x100), Some(Load { thread: 0, cycle: 13, offset: 0x10 }));
        assert_eq!(loads.find(0x9000, 0x100), Some(Load { thread: 0, cycle: 14, offset: 0 }));
        assert_eq!((loads.find(0x1100, 0x100), loads.find(0xfff, 0x100)), (None, None));
        loads.add(1, 0, &entries(&[0x1080]));
        assert_eq!(loads.find(0x1090, 0x100).unwrap().cycle, 13);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut loads = Loads::default();
        let bases: Vec<u64> = (1..10_000).map(|n| n * 0x1000).collect();
        loads.add(0, 0, &entries(&bases));
        assert_eq!(loads.at.len(), KEPT);
        assert_eq!(loads.find(0x1000, 0x100), None);
        assert_eq!(loads.find(9_999 * 0x1000, 0x100).unwrap().cycle, 9_998);
    }
}
