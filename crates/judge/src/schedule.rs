//! The cycles at which to take a checkpoint. They are jittered, so that no sawtooth of the library falls in step with them, and dense
//! in the last octaves, which decide.
//!
//! A third of the checkpoints lie in the last octave of cycles (N/2..N) and a third in the octave before. Each earlier octave has half
//! as many as the next one. Growth is judged on the last two octaves and compared with the third.

use std::collections::VecDeque;

/// Default number of checkpoints per soak: 66 in each of the two octaves that decide, which is three for each of
/// the 20 blocks of a line. At 0.13 ms each they cost 26 ms, 1.5 % of 100,000 cycles of 18 us.
pub const DEFAULT_CHECKPOINTS: u32 = 200;

/// Cycles before the first interim judgement of `--until-decided`. Each later one follows after twice as many cycles.
pub const FIRST_LOOK: u64 = 128;

/// Interim judgements that come too early to exclude half a chunk per cycle in metrics that are counted in pages, so they only find
/// leaks. The next one is at 1,024 cycles.
pub const LEAK_LOOKS: u32 = 3;

/// Checkpoints up to that judgement, which only finds what is counted exactly: 20 in each of the two octaves that decide, which makes six blocks
/// of a line. Each costs as much as two cycles of 50 us. With 12 in each octave, `c-leak-constructor` is not decided there.
const FIRST_CHECKPOINTS: u32 = 60;

/// Iterates over the cycles at which to take a checkpoint, in ascending order from 0 to the end.
///
/// The same arguments give the same cycles.
#[derive(Debug, Clone)]
pub struct Schedule {
    pending: VecDeque<u64>,
    end: u64,
    per_octave: u64,
    random: SplitMix,
}

impl Schedule {
    /// A schedule for `cycles` cycles with about `checkpoints` checkpoints in all. A short soak has fewer, because no two fall into one
    /// cycle.
    pub fn new(cycles: u64, checkpoints: u32, seed: u64) -> Self {
        let per_octave = u64::from(checkpoints / 3).max(1);
        let mut schedule = Self { pending: VecDeque::from([0]), end: 0, per_octave, random: SplitMix(seed) };
        for (from, to, points) in strata(cycles, per_octave).into_iter().rev() {
            schedule.push(from, to, points);
        }
        schedule
    }

    /// A schedule for a soak that ends as soon as its verdict is certain, up to its first look at `cycles` cycles, which is [`FIRST_LOOK`]
    /// unless the soak ends before. Further octaves have as many checkpoints as those of a schedule for `checkpoints`.
    pub fn until_decided(cycles: u64, checkpoints: u32, seed: u64) -> Self {
        let per_octave = u64::from(checkpoints / 3).max(1);
        Self { per_octave, ..Self::new(cycles, checkpoints.min(FIRST_CHECKPOINTS), seed) }
    }

    /// Extends the schedule to `cycles`, with as many checkpoints in each further octave as in the last one. Does nothing if the
    /// schedule already reaches that far.
    pub fn extend_to(&mut self, cycles: u64) {
        while self.end < cycles {
            let from = self.end;
            let doubled = from.saturating_mul(2).max(1);
            let to = doubled.min(cycles);
            // A part of an octave gets its part of the points.
            let whole = (doubled - from).max(1) as f64;
            let points = (self.per_octave as f64 * (to - from) as f64 / whole).ceil() as u64;
            self.push(from, to, points);
        }
    }

    /// Selects the checkpoints to keep, so that a long soak does not fill memory and record: each octave keeps as many as a schedule
    /// that had known the end from the start. `cycles` are those of the checkpoints, in ascending order.
    pub fn keep(&self, cycles: &[u64]) -> Vec<bool> {
        let mut keep = vec![false; cycles.len()];
        for (from, to, points) in strata(self.end, self.per_octave) {
            let inside: Vec<usize> =
                (0..cycles.len()).filter(|index| cycles[*index] > from && cycles[*index] <= to).collect();
            let parts = (points as usize).min(inside.len());
            // Keep the last of each part, and with it the end of the octave.
            for part in 1..=parts {
                keep[inside[inside.len() * part / parts - 1]] = true;
            }
        }
        // Keep the first checkpoint, because all later ones are compared with it, and those of a stretch that was cut short.
        for (keep, cycle) in keep.iter_mut().zip(cycles) {
            *keep |= *cycle == 0 || *cycle > self.end;
        }
        keep
    }

    /// The last cycle of the schedule.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Adds a checkpoint in each of `points` equal parts of `from..to`, and one at `to`.
    fn push(&mut self, from: u64, to: u64, points: u64) {
        let width = to.saturating_sub(from);
        let points = points.min(width);
        for part in 0..points {
            // The product of two 64-bit numbers needs 128 bits.
            let edge = |part: u64| from + (u128::from(width) * u128::from(part) / u128::from(points)) as u64;
            let (start, stop) = (edge(part), edge(part + 1));
            let cycle = if part + 1 == points { to } else { start + 1 + self.random.below(stop - start) };
            self.pending.push_back(cycle);
        }
        self.end = self.end.max(to);
    }
}

/// The octaves of `cycles` cycles, the last one first, each with its number of checkpoints. N/2..N and N/4..N/2 have the full number,
/// and each earlier octave has half as many as the next, until an octave would have less than one.
fn strata(cycles: u64, per_octave: u64) -> Vec<(u64, u64, u64)> {
    let mut strata = vec![(cycles / 2, cycles, per_octave)];
    let (mut to, mut points) = (cycles / 2, per_octave);
    while points > 1 && to > 1 {
        strata.push((to / 2, to, points));
        (to, points) = (to / 2, points / 2);
    }
    strata.push((0, to, 1));
    strata
}

impl Iterator for Schedule {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.pending.pop_front()
    }
}

/// `SplitMix64` (Steele, Lea, Flood 2014). Jitter needs only a few lines, so no crate.
#[derive(Debug, Clone)]
pub(super) struct SplitMix(pub u64);

impl SplitMix {
    /// A number below `bound`, or 0 if `bound` is 0. The bias of the remainder is below 2^-40 for any run.
    fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// 64 random bits.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{DEFAULT_CHECKPOINTS, Schedule};

    proptest! {
        #[test]
        fn cycles_ascend_from_0_to_the_end(cycles in 0_u64..1 << 62, checkpoints in 0_u32..3000, seed: u64) {
            let all: Vec<u64> = Schedule::new(cycles, checkpoints, seed).collect();
            prop_assert_eq!(all.first(), Some(&0));
            prop_assert_eq!(all.last(), Some(&cycles));
            prop_assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(all.len() <= checkpoints as usize + 70);
            let again: Vec<u64> = Schedule::new(cycles, checkpoints, seed).collect();
            prop_assert_eq!(all, again);
        }

        #[test]
        fn an_extended_schedule_ascends_too(cycles in 0_u64..1 << 40, further in 0_u64..1 << 42, seed: u64) {
            let mut schedule = Schedule::new(cycles, DEFAULT_CHECKPOINTS, seed);
            schedule.extend_to(further);
            prop_assert_eq!(schedule.end(), cycles.max(further));
            let all: Vec<u64> = schedule.collect();
            prop_assert_eq!(all.last().copied(), Some(cycles.max(further)));
            prop_assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }

    #[test]
    fn an_extended_soak_keeps_as_many_checkpoints_as_one_planned_to_its_end() {
        let planned = Schedule::new(64 << 30, DEFAULT_CHECKPOINTS, 7).count();
        let mut schedule = Schedule::new(64, DEFAULT_CHECKPOINTS, 7);
        let mut kept: Vec<u64> = Vec::new();
        for doublings in 0..=30 {
            schedule.extend_to(64 << doublings);
            kept.extend(schedule.by_ref());
            let keep = schedule.keep(&kept);
            let mut keep = keep.iter();
            kept.retain(|_| *keep.next().unwrap());
            assert_eq!((kept[0], *kept.last().unwrap()), (0, 64 << doublings));
            assert!(kept.len() <= planned, "{} after {doublings} doublings", kept.len());
        }
        assert!(kept.len() + 10 > planned, "{} of {planned}", kept.len());
        let within = |from: u64, to: u64| kept.iter().filter(|cycle| (from..to).contains(*cycle)).count();
        assert_eq!(
            (within((32 << 30) + 1, (64 << 30) + 1), within((16 << 30) + 1, (32 << 30) + 1)),
            (66, 66)
        );
        // A checkpoint from an early end stays.
        kept.push((64 << 30) + 5);
        assert!(schedule.keep(&kept).last().unwrap());
    }

    #[test]
    fn the_octaves_that_decide_get_most_of_the_checkpoints() {
        let all: Vec<u64> = Schedule::new(100_000, DEFAULT_CHECKPOINTS, 7).collect();
        let within = |from, to| all.iter().filter(|cycle| (from..to).contains(*cycle)).count();
        assert!((195..=205).contains(&all.len()), "{}", all.len());
        assert!((65..=67).contains(&within(50_001, 100_001)));
        assert!((65..=67).contains(&within(25_001, 50_001)));
        assert!((32..=34).contains(&within(12_501, 25_001)));
    }

    #[test]
    fn a_short_run_is_sampled_at_every_cycle() {
        assert_eq!(Schedule::new(10, 200, 1).collect::<Vec<_>>(), (0..=10).collect::<Vec<_>>());
        assert_eq!(Schedule::new(1, 200, 1).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(Schedule::new(0, 200, 1).collect::<Vec<_>>(), [0]);
    }
}
