//! When to take checkpoints, and when to stop: after the cycles asked for, when the time is up, or as soon as the
//! verdict is certain.

use crate::analysis::schedule::{FIRST_LOOK, Schedule};
use crate::suite::plan::{Purpose, SoakPlan};

/// Cycles to plan for at first where any may be the last, since time bounds the soak or each leaves an instance
/// behind; doubled as long as it goes. A cycle may take a microsecond or a minute: these are all looked at.
const FIRST_STRETCH: u64 = 64;

/// How far an undecided soak goes on where nobody said: this many times the cycles asked for.
const PATIENCE: u64 = 8;

/// Jitter of the checkpoints. Fixed, so that two runs of one suite look at the same cycles.
const SEED: u64 = 0x0d15_0a4b;

/// Whether the soak may end at a look at what it has measured: when its verdict is certain or, where the calls are left out, when it is certain
/// that the load alone leaks what was found with them.
fn looks(plan: &SoakPlan) -> bool {
    plan.until_decided || matches!(plan.purpose, Purpose::Share { leak: Some(_), .. })
}

/// The fewest cycles after which the soak may end by itself.
pub(super) fn fewest(plan: &SoakPlan) -> u64 {
    if looks(plan) { FIRST_LOOK.min(most(plan)) } else { plan.cycles }
}

/// The most cycles that it makes.
fn most(plan: &SoakPlan) -> u64 {
    if plan.until_decided {
        plan.max_cycles.unwrap_or_else(|| plan.cycles.saturating_mul(PATIENCE))
    } else {
        plan.cycles
    }
}

/// Hands out the cycles of the checkpoints.
#[derive(Debug)]
pub(super) struct Pace {
    schedule: Schedule,
    /// No checkpoint lies beyond this cycle.
    last: u64,
    looks: bool,
    /// Checkpoints up to here are all kept: growth is judged by them.
    runs_out: u64,
}

impl Pace {
    /// `stay`: each cycle leaves an instance behind. `runs_out`: after so many cycles something runs out, and growth is judged by the
    /// cycles before, so they are a stretch of their own.
    pub(super) fn new(plan: &SoakPlan, stay: bool, runs_out: Option<u64>) -> Self {
        let last = most(plan);
        let open = stay || plan.duration.is_some();
        let first = if open && !looks(plan) { FIRST_STRETCH } else { fewest(plan) };
        let runs_out = runs_out.unwrap_or(0);
        let first = if runs_out > 0 { first.min(runs_out) } else { first };
        let schedule = if looks(plan) { Schedule::until_decided } else { Schedule::new };
        let schedule = schedule(first.min(last), plan.checkpoints, SEED);
        Self { schedule, last, looks: looks(plan), runs_out }
    }

    /// The cycle of the next checkpoint; `None` at the end of a stretch.
    pub(super) fn next(&mut self) -> Option<u64> {
        self.schedule.next()
    }

    /// True where the end of a stretch is a time to look at the figures and perhaps to stop.
    pub(super) fn looks(&self) -> bool {
        self.looks
    }

    /// Which of the checkpoints taken so far to keep; see [`Schedule::keep`].
    pub(super) fn keep(&self, cycles: &[u64]) -> Vec<bool> {
        let keep = self.schedule.keep(cycles).into_iter().zip(cycles);
        keep.map(|(keep, cycle)| keep || *cycle <= self.runs_out).collect()
    }

    /// Plans another stretch, as long as all before it; false when there is none left.
    pub(super) fn go_on(&mut self) -> bool {
        let end = self.schedule.end();
        self.schedule.extend_to(end.saturating_mul(2).min(self.last));
        self.schedule.end() > end
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::settings::Settings;
    use crate::suite::plan::Plan;

    fn ends(settings: Settings) -> Vec<u64> {
        paced(settings, false)
    }

    fn paced(settings: Settings, stay: bool) -> Vec<u64> {
        let plan = Plan::from_paths(&[PathBuf::from("a.so")], &settings).unwrap();
        let mut pace = Pace::new(&plan.soaks[0], stay, None);
        let mut ends = Vec::new();
        loop {
            ends.push(std::iter::from_fn(|| pace.next()).last().unwrap());
            if ends.len() > 9 || !pace.go_on() {
                return ends;
            }
        }
    }

    #[test]
    fn the_cycles_before_something_runs_out_keep_their_checkpoints() {
        let settings = Settings { cycles: "100000".parse().ok(), ..Settings::default() };
        let plan = Plan::from_paths(&[PathBuf::from("a.so")], &settings).unwrap();
        let mut pace = Pace::new(&plan.soaks[0], false, Some(960));
        let mut taken: Vec<u64> = std::iter::from_fn(|| pace.next()).collect();
        assert_eq!(taken.last(), Some(&960));
        let before = taken.len();
        assert!(before > 100);
        while pace.go_on() {
            taken.extend(std::iter::from_fn(|| pace.next()));
            let mut keep = pace.keep(&taken).into_iter();
            taken.retain(|_| keep.next().unwrap());
        }
        assert_eq!(taken.iter().filter(|cycle| **cycle <= 960).count(), before);
        assert_eq!(taken.last(), Some(&100_000));
        // Nothing runs out before the end.
        assert_eq!(Pace::new(&plan.soaks[0], false, Some(200_000)).schedule.end(), 100_000);
    }

    #[test]
    fn a_soak_ends_with_the_cycles_asked_for() {
        assert_eq!(ends(Settings { cycles: "777".parse().ok(), ..Settings::default() }), [777]);
    }

    #[test]
    fn instances_that_stay_are_looked_at_from_the_first() {
        let settings = Settings { cycles: "777".parse().ok(), ..Settings::default() };
        assert_eq!(paced(settings, true), [64, 128, 256, 512, 777]);
    }

    #[test]
    fn an_undecided_soak_doubles_up_to_its_bound() {
        let decided =
            Settings { cycles: "1000".parse().ok(), until_decided: Some(true), ..Settings::default() };
        assert_eq!(ends(decided.clone()), [128, 256, 512, 1024, 2048, 4096, 8000]);
        assert_eq!(
            ends(Settings { max_cycles: "1300".parse().ok(), ..decided }),
            [128, 256, 512, 1024, 1300]
        );
    }

    #[test]
    fn a_soak_that_time_ends_doubles_without_a_bound() {
        let timed = Settings { duration: "5s".parse().ok(), ..Settings::default() };
        let ends = ends(timed);
        assert_eq!((ends[0], ends[9]), (64, 64 << 9));
    }
}
