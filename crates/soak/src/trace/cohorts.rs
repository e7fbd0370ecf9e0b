//! Pure: from the notes of living blocks to what of each stretch of cycles is alive.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

use super::series::{Amount, Left};
use crate::record::{Alive, PlaceTrend};
use dlsoak_wire::notes::{Kind, Memory};

/// The living blocks of malloc's: what is known of each.
fn blocks(memory: &Memory) -> impl Iterator<Item = (u32, u32, u64)> {
    let heap = memory.entries.iter().filter(|entry| Kind::Heap.is_of(entry.key.load(Relaxed)));
    heap.map(|entry| (entry.stretch.load(Relaxed), entry.place.load(Relaxed), entry.size.load(Relaxed)))
}

/// What is alive of each of the stretches 1 to `stretches`, in order. The worker is parked.
pub fn alive(memory: &Memory, stretches: u32) -> Vec<Alive> {
    let mut alive = vec![Alive::default(); stretches as usize];
    for (stretch, _, size) in blocks(memory) {
        if let Some(alive) = stretch.checked_sub(1).and_then(|index| alive.get_mut(index as usize)) {
            *alive += Alive { blocks: 1, bytes: size, squares: (size as f64).powi(2) };
        }
    }
    alive
}

/// Where the living blocks of these stretches come from, which are this many cycles; the `most` places of most bytes.
pub fn places(memory: &Memory, stretches: Range<u32>, cycles: u64, most: usize) -> Vec<Left> {
    let mut places: BTreeMap<u32, Amount> = BTreeMap::new();
    for (_, place, size) in blocks(memory).filter(|(stretch, ..)| stretches.contains(stretch)) {
        let amount = places.entry(place).or_default();
        amount.count += 1;
        amount.bytes += i64::try_from(size).unwrap_or(0);
    }
    let cycles = cycles.max(1) as f64;
    let mut left: Vec<Left> = places
        .into_iter()
        .map(|(place, kept)| Left {
            place,
            count_per_cycle: kept.count as f64 / cycles,
            bytes_per_cycle: kept.bytes as f64 / cycles,
            kept,
            trend: PlaceTrend::Growing,
        })
        .collect();
    left.sort_by(|a, b| b.bytes_per_cycle.total_cmp(&a.bytes_per_cycle));
    left.truncate(most);
    left
}
