//! Places and files, each once: found again by a hash of all that makes them, without a lock. Two that differ are taken for
//! one only where 64 bits of hash agree.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::{DEPTH, FRAMES, LIBRARY, MODULES, Memory, Meta, NAME, PLACES, mix};

/// Entries that are looked at from where the hash points to.
const PROBES: usize = 64;

/// The entry with this hash, found or made: its number, and whether it is new.
fn claim<'a>(hash: u64, entries: usize, cell: impl Fn(usize) -> &'a AtomicU64) -> Option<(usize, bool)> {
    for probe in 0..PROBES {
        let at = (hash as usize).wrapping_add(probe) % entries;
        let cell = cell(at);
        let found = match cell.load(Acquire) {
            0 => match cell.compare_exchange(0, hash, AcqRel, Acquire) {
                Ok(_) => return Some((at, true)),
                Err(other) => other,
            },
            other => other,
        };
        if found == hash {
            return Some((at, false));
        }
    }
    None
}

impl Memory {
    /// Number of the place that these frames are; `site` is the number of the place of one frame that it belongs to, plus 1.
    pub fn place(&self, meta: Meta, site: u32, frames: &[u64]) -> Option<u32> {
        let frames = frames.get(..DEPTH).unwrap_or(frames);
        let mut hash = mix(meta.0, u64::from(site));
        for frame in frames {
            hash = mix(hash, *frame);
        }
        let (at, new) = claim(hash.max(1), PLACES, |at| &self.places[at].hash)?;
        let number = u32::try_from(at).ok()?;
        if !new {
            return Some(number);
        }
        let place = &self.places[at];
        place.meta.store(meta.0, Relaxed);
        place.site.store(site, Relaxed);
        let first = self.frames_len.fetch_add(u32::try_from(frames.len()).ok()?, Relaxed);
        let room = self.frames.get(first as usize..first as usize + frames.len());
        let Some(room) = room.filter(|_| (first as usize) < FRAMES) else {
            // The place is there, though without frames.
            self.lost.fetch_add(1, Relaxed);
            return Some(number);
        };
        for (cell, frame) in room.iter().zip(frames) {
            cell.store(*frame, Relaxed);
        }
        place.frames.store(first, Relaxed);
        place.depth.store(u32::try_from(frames.len()).ok()?, Release);
        Some(number)
    }

    /// Number of the file with this name, or [`LIBRARY`] for any file in the private directory.
    pub fn module(&self, name: &[u8]) -> Option<u64> {
        if self.is_private(name) {
            return Some(LIBRARY);
        }
        let mut hash = name.len() as u64;
        for word in name.chunks(8) {
            let mut bytes = [0; 8];
            bytes[..word.len()].copy_from_slice(word);
            hash = mix(hash, u64::from_le_bytes(bytes));
        }
        let (at, new) = claim(hash.max(1), MODULES, |at| &self.modules[at].hash)?;
        if new {
            let module = &self.modules[at];
            for (cell, byte) in module.name.iter().zip(name) {
                cell.store(*byte, Relaxed);
            }
            // One more than there are, so that an empty name is told from one that is not written yet.
            module.len.store(name.len().min(NAME) as u32 + 1, Release);
        }
        Some(at as u64)
    }

    fn is_private(&self, name: &[u8]) -> bool {
        let len = self.private_len.load(Relaxed) as usize;
        len > 0
            && name.len() > len
            && self.private.iter().take(len).zip(name).all(|(cell, byte)| cell.load(Relaxed) == *byte)
    }
}
