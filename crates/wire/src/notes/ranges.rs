//! Mappings: unlike other resources they may be given back in parts, so they are kept in a list that is searched by
//! address. Few are alive at a time.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::live::Live;
use super::{Memory, RANGES, Range};

/// How often a thread tries to get the list before it lets others run each time, and how often in all. It is held for a
/// microsecond, or until the thread that holds it is run again; but a thread that was interrupted while it held the list, by
/// a signal whose handler maps memory, would wait for itself.
const PATIENCE: u32 = 100;
const TRIES: u32 = 100_000;

unsafe extern "C" {
    safe fn sched_yield() -> core::ffi::c_int;
}

impl Memory {
    /// Takes note of a mapping; what was mapped there before is gone.
    pub fn mapped(&self, start: u64, live: Live) {
        let kept = self.with_ranges(|memory| {
            memory.cut(start, live.size);
            memory.add(start, live)
        });
        if kept != Some(true) {
            self.lost.fetch_add(1, Relaxed);
        }
    }

    /// Forgets what lies between these addresses; what was known of the mapping that began at the first one.
    pub fn unmapped(&self, start: u64, len: u64) -> Option<Live> {
        let cut = self.with_ranges(|memory| memory.cut(start, len));
        if cut.is_none() {
            self.lost.fetch_add(1, Relaxed);
        }
        cut.flatten()
    }

    fn with_ranges<R>(&self, work: impl FnOnce(&Self) -> R) -> Option<R> {
        let mut tries = 0;
        while self.ranges_lock.compare_exchange_weak(0, 1, Acquire, Relaxed).is_err() {
            tries += 1;
            if tries > TRIES {
                return None;
            }
            if tries > PATIENCE {
                sched_yield();
            } else {
                core::hint::spin_loop();
            }
        }
        let result = work(self);
        self.ranges_lock.store(0, Release);
        Some(result)
    }

    fn used(&self) -> &[Range] {
        let len = self.ranges_len.load(Relaxed) as usize;
        &self.ranges[..len.min(RANGES)]
    }

    fn add(&self, start: u64, live: Live) -> bool {
        let free = self.used().iter().find(|range| range.start.load(Relaxed) == 0);
        let range = match free {
            Some(range) => range,
            None => {
                let at = self.ranges_len.load(Relaxed);
                let Some(range) = self.ranges.get(at as usize) else { return false };
                self.ranges_len.store(at + 1, Relaxed);
                range
            }
        };
        range.start.store(start, Relaxed);
        range.len.store(live.size, Relaxed);
        range.place.store(live.place, Relaxed);
        range.stretch.store(live.stretch, Relaxed);
        self.book(live, 1);
        true
    }

    /// Takes the addresses out of all ranges; one may leave a part before and a part behind them.
    fn cut(&self, start: u64, len: u64) -> Option<Live> {
        let end = start.saturating_add(len);
        let mut first = None;
        for range in self.used() {
            let (from, size) = (range.start.load(Relaxed), range.len.load(Relaxed));
            let to = from.saturating_add(size);
            if from == 0 || to <= start || end <= from {
                continue;
            }
            let live = Live { place: range.place.load(Relaxed), stretch: range.stretch.load(Relaxed), size };
            if from == start {
                first = Some(live);
            }
            range.start.store(0, Relaxed);
            self.book(live, -1);
            if from < start {
                self.add(from, Live { size: start - from, ..live });
            }
            if end < to {
                self.add(end, Live { size: to - end, ..live });
            }
        }
        first
    }
}
