//! What an order asks of the threads: a share of the cycles for each, and some that are left to whoever comes first.
//!
//! With fixed shares alone all wait at each quiet point for the thread that the scheduler served worst, while a CPU is
//! idle. With no shares at all a thread that wakes late may make no cycle in the whole warm-up, and what its first one
//! leaves would be taken for growth later.

/// What is to be done before the next quiet point.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Goal {
    /// Cycles that each thread is to have completed, by itself.
    pub(super) targets: Vec<u64>,
    /// Cycles more, for any of them.
    pub(super) shared: u64,
}

impl Goal {
    /// Each thread its own.
    pub(super) fn of(targets: Vec<u64>) -> Self {
        Self { targets, shared: 0 }
    }

    /// As many cycles as from `completed` to `targets`; half of them for any thread.
    pub(super) fn shared(completed: &[u64], targets: &[u64]) -> Self {
        if targets.len() < 2 {
            return Self::of(targets.to_vec());
        }
        let own = |(done, target): (&u64, &u64)| done + target.saturating_sub(*done).div_ceil(2);
        let own: Vec<u64> = completed.iter().zip(targets).map(own).collect();
        let sum = |counts: &[u64]| counts.iter().fold(0, |sum: u64, count| sum.saturating_add(*count));
        Self { shared: sum(targets).saturating_sub(sum(&own)), targets: own }
    }

    /// Whether the threads have made all of it, and no more.
    pub(super) fn is_reached(&self, completed: &[u64]) -> bool {
        let mut beyond = self.targets.iter().zip(completed).map(|(target, done)| done.checked_sub(*target));
        let sum = beyond.try_fold(0_u64, |sum, beyond| sum.checked_add(beyond?));
        self.targets.len() == completed.len() && sum == Some(self.shared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_is_for_any_thread_and_nothing_is_lost() {
        assert_eq!(Goal::shared(&[10], &[20]), Goal { targets: vec![20], shared: 0 });
        let goal = Goal::shared(&[10, 0, 4], &[10, 7, 10]);
        assert_eq!(goal, Goal { targets: vec![10, 4, 7], shared: 6 });
        assert!(goal.is_reached(&[12, 4, 11]) && goal.is_reached(&[10, 10, 7]));
        // One too few, one too many, and a thread that has not made its own.
        assert!(!goal.is_reached(&[12, 4, 10]) && !goal.is_reached(&[12, 5, 11]));
        assert!(!goal.is_reached(&[14, 3, 10]) && !goal.is_reached(&[12, 4]));
    }
}
