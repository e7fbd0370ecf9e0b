//! Tells a worker that stands still from a supervisor that was not there to see it move: stopped, suspended, or not
//! scheduled on a machine with more to do than it can.

use std::time::{Duration, Instant};

/// Most that a pause between two looks counts for: what is longer than a look takes on a busy machine was not watched.
const WATCHED: Duration = Duration::from_millis(250);

/// Time without progress, as far as it was watched. `Instant` is the monotonic clock: setting the time of day does not
/// move it, and it stands still while the machine is suspended.
#[derive(Debug)]
pub(super) struct Stall {
    still: Duration,
    looked: Instant,
    /// The furthest that the worker has been.
    best: Option<u64>,
}

impl Stall {
    /// Nothing was watched yet.
    pub(super) fn new(now: Instant) -> Self {
        Self { still: Duration::ZERO, looked: now, best: None }
    }

    /// Takes out of the count what the supervisor itself has held the worker up for since the last look.
    pub(super) fn excuse(&mut self, held: Duration) {
        self.looked = self.looked.checked_add(held).unwrap_or(self.looked);
    }

    /// Takes how far the worker is, and returns for how long it has stood still. Going back and forth is no progress.
    pub(super) fn look(&mut self, now: Instant, progress: u64) -> Duration {
        let passed = now.saturating_duration_since(self.looked).min(WATCHED);
        self.looked = now;
        if self.best.is_none_or(|best| progress > best) {
            self.best = Some(progress);
            self.still = Duration::ZERO;
        } else {
            self.still = self.still.saturating_add(passed);
        }
        self.still
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(20);

    fn ticks(stall: &mut Stall, now: &mut Instant, count: u32, progress: impl Fn(u32) -> u64) -> Duration {
        let mut still = Duration::ZERO;
        for tick in 0..count {
            *now += TICK;
            still = stall.look(*now, progress(tick));
        }
        still
    }

    #[test]
    fn what_stands_still_while_it_is_watched_stalls() {
        let mut now = Instant::now();
        let mut stall = Stall::new(now);
        assert_eq!(ticks(&mut stall, &mut now, 11, |_| 7), TICK * 10);
        assert_eq!(ticks(&mut stall, &mut now, 5, |tick| 8 + u64::from(tick)), Duration::ZERO);
    }

    #[test]
    fn back_and_forth_is_no_progress() {
        let mut now = Instant::now();
        let mut stall = Stall::new(now);
        let still = ticks(&mut stall, &mut now, 1000, |tick| u64::from(tick % 3));
        assert_eq!(still, TICK * 997);
    }

    #[test]
    fn time_in_which_nobody_watched_does_not_count() {
        let mut now = Instant::now();
        let mut stall = Stall::new(now);
        stall.look(now, 1);
        now += Duration::from_secs(3600);
        assert_eq!(stall.look(now, 1), WATCHED);
    }
}
