//! Which build of the agent measures a soak: the one that counts malloc itself, or the plain one, which leaves that to glibc.
//!
//! An executable's own malloc comes first in look-up. So with the counting agent a preloaded allocator or tracer would not be used,
//! and what the user has preloaded is to be used. A library that is opened with RTLD_DEEPBIND finds glibc's malloc before the
//! agent's, while glibc itself still uses the agent's: what one hands to the other would be counted on one side only.

use std::collections::BTreeMap;

use crate::record::{Agent, Doubt};
use crate::suite::plan::SoakPlan;

/// What glibc's loader preloads.
const PRELOAD: &str = "LD_PRELOAD";

/// The agent for a worker with this environment, on top of what is inherited.
pub(super) fn choose(plan: &SoakPlan, env: &BTreeMap<String, String>) -> Agent {
    let inherited = || std::env::var(PRELOAD).ok();
    let preloads = env.get(PRELOAD).cloned().or_else(inherited).is_some_and(|list| !list.trim().is_empty());
    if plan.plain || preloads || plan.flags.deepbind() { Agent::Plain } else { Agent::Counting }
}

/// What glibc accounts for beyond the agent's counts at each checkpoint, in bytes ([`Header::beyond`](dlsoak_wire::channel::Header)): a
/// constant where both see the same.
#[derive(Debug, Default)]
pub(super) struct Check {
    points: Vec<(u64, i64)>,
    full: bool,
}

/// Growth of the difference that is more than both accounts' rounding: less than a chunk in a hundred cycles.
const DRIFT: f64 = 0.25;

impl Check {
    /// Takes a checkpoint at this cycle: the difference, where it is known, and whether a thread found no room to count in.
    pub(super) fn take(&mut self, cycle: u64, beyond: Option<i64>, full: bool) {
        self.full |= full;
        self.points.extend(beyond.map(|bytes| (cycle, bytes)));
    }

    /// Whether more threads lived at a time than can count, so that no later figure is worth the wait.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// Whether the counts are to be doubted. A drift may begin late, so the last parts of the soak are looked at by themselves, too.
    pub(super) fn doubt(&self) -> Option<Doubt> {
        if self.full {
            return Some(Doubt::Threads);
        }
        let last = self.points.last()?.0;
        let since = |part: u64| self.points.partition_point(|(cycle, _)| *cycle < last - last / part);
        [1, 2, 4, 8].into_iter().find_map(|part| drift(self.points.get(since(part)..)?))
    }
}

/// The drift of these points. One that drifts does so in both halves alike; a new arena, or a thread cache that fills, does not.
fn drift(points: &[(u64, i64)]) -> Option<Doubt> {
    let (first, last) = (points.first()?, points.last()?);
    let cycles = last.0.checked_sub(first.0).filter(|cycles| *cycles > 0)?;
    let half = first.0 + cycles / 2;
    let middle = points.iter().min_by_key(|(cycle, _)| cycle.abs_diff(half))?;
    let rate = |a: &(u64, i64), b: &(u64, i64)| {
        let cycles = b.0.saturating_sub(a.0) as f64;
        (b.1.saturating_sub(a.1) as f64 / cycles, cycles)
    };
    let ((before, some), (after, more)) = (rate(first, middle), rate(middle, last));
    let drifts = some > 0.0 && more > 0.0 && before.abs() >= DRIFT && (0.5..=2.0).contains(&(after / before));
    drifts.then(|| Doubt::Drift { per_cycle: rate(first, last).0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(points: &[(u64, i64)]) -> Option<Doubt> {
        let mut check = Check::default();
        for (cycle, beyond) in points {
            check.take(*cycle, Some(*beyond), false);
        }
        check.doubt()
    }

    #[test]
    fn a_constant_difference_is_none_and_a_drift_is_one() {
        assert_eq!(check(&[0, 10, 20, 30].map(|c| (c, 656))), None);
        // One new arena.
        assert_eq!(check(&[(0, 656), (10, 656), (20, 2_912), (30, 2_912)]), None);
        // Counted and not there, as strdup in the host and free in glibc; there and not counted.
        let drift = |per_cycle| Some(Doubt::Drift { per_cycle });
        assert_eq!(check(&[0, 10, 20, 30].map(|c: u64| (c, 656 - 32 * c.cast_signed()))), drift(-32.0));
        assert_eq!(check(&[0, 10, 20, 30].map(|c: u64| (c, 10_000 + 32 * c.cast_signed()))), drift(32.0));
        // Late: glibc's own account goes on where the count has stopped.
        let late = |cycle: u64| (cycle, 656 + 32 * cycle.saturating_sub(60).cast_signed());
        assert!(check(&[0, 20, 40, 60, 70, 80, 90, 100].map(late)).is_some());
        assert_eq!(check(&[]), None);
        let mut full = Check::default();
        full.take(0, None, true);
        assert_eq!(full.doubt(), Some(Doubt::Threads));
    }
}
