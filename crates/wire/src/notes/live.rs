//! What is alive: a table from key to place and size that needs no lock, so that no thread waits for another, none is left
//! waiting in a child of `fork`, and a signal handler can do no harm.
//!
//! A key is in its home bucket or in one of those that follow, at most `FARTHEST` away. A key has one owner at a time,
//! who has got the resource and not yet given it back, so that nobody else puts or takes the same key meanwhile.

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::{BUCKET, FEW, LIVE, Memory, mix};

/// Buckets after its home that a key may be put into.
const FARTHEST: usize = 63;
const BUCKETS: usize = LIVE / BUCKET;

/// One living resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Live {
    /// Number of the place it came from.
    pub place: u32,
    /// Number of the stretch of cycles that it came in.
    pub stretch: u32,
    /// Bytes.
    pub size: u64,
}

/// Neighbours in memory are neighbours in the table, so that what is obtained in a row touches few of its pages: each group
/// of 256 bytes has four buckets, and where these are is a hash.
fn home(key: u64) -> usize {
    (mix(0, key >> 8) << 2 | key >> 6 & 3) as usize % BUCKETS
}

impl Memory {
    /// Takes note of a resource, in the table and at its place. Replaces what the key stood for: it is gone unseen.
    pub fn born(&self, key: u64, live: Live) {
        self.gone(key);
        // Before the key is there: whoever takes it looks here first.
        let few = self.few(key);
        if let Some(few) = few {
            few.fetch_add(1, Release);
        }
        if self.put(key, live) {
            self.book(live, 1);
        } else {
            if let Some(few) = few {
                few.fetch_sub(1, Release);
            }
            self.lost.fetch_add(1, Relaxed);
        }
    }

    /// Forgets a resource; what was known of it.
    pub fn gone(&self, key: u64) -> Option<Live> {
        let few = self.few(key);
        if few.is_some_and(|few| few.load(Acquire) == 0) {
            return None;
        }
        let live = self.take(key)?;
        if let Some(few) = few {
            few.fetch_sub(1, Release);
        }
        self.book(live, -1);
        Some(live)
    }

    /// Where keys like this one are counted, if they are.
    fn few(&self, key: u64) -> Option<&AtomicU32> {
        (self.only_groups.load(Relaxed) != 0).then(|| &self.few[mix(0, key >> 8) as usize % FEW])
    }

    /// Counts one more or less at its place.
    pub fn book(&self, live: Live, sign: i64) {
        let Some(place) = self.places.get(live.place as usize) else { return };
        place.count.fetch_add(sign, Relaxed);
        place.bytes.fetch_add(sign * live.size.cast_signed(), Relaxed);
    }

    /// True where there was room.
    fn put(&self, key: u64, live: Live) -> bool {
        let home = home(key);
        for distance in 0..=FARTHEST {
            let first = (home + distance) % BUCKETS * BUCKET;
            for at in first..first + BUCKET {
                let cell = &self.keys[at];
                if cell.load(Relaxed) != 0 {
                    continue;
                }
                // Before the key is there: whoever takes it looks no farther than this.
                if usize::from(self.spread[home].load(Relaxed)) < distance {
                    self.spread[home].fetch_max(distance as u8, AcqRel);
                }
                if cell.compare_exchange(0, key, AcqRel, Relaxed).is_ok() {
                    let value = &self.values[at];
                    value.size.store(live.size, Relaxed);
                    value.stretch.store(live.stretch, Relaxed);
                    value.place.store(live.place, Release);
                    return true;
                }
            }
        }
        false
    }

    fn take(&self, key: u64) -> Option<Live> {
        let home = home(key);
        let spread = usize::from(self.spread[home].load(Acquire));
        for distance in 0..=spread {
            let first = (home + distance) % BUCKETS * BUCKET;
            for at in first..first + BUCKET {
                if self.keys[at].load(Acquire) != key {
                    continue;
                }
                let value = &self.values[at];
                let live = Live {
                    place: value.place.load(Acquire),
                    stretch: value.stretch.load(Relaxed),
                    size: value.size.load(Relaxed),
                };
                self.keys[at].store(0, Release);
                return Some(live);
            }
        }
        None
    }
}
