//! The course of one soak, from the first quiet point to the last: warm-up, then checkpoint after checkpoint, until the cycles are
//! made, the verdict is certain, or something ends it. It decides what comes next, and leaves to [`Steps`] how that is done.

use super::pace::Pace;
use super::series::Series;
use super::session::End;
use crate::analysis::{self, Look};
use crate::record::{Measured, Mode, Pass};
use crate::settings::Libc;
use crate::suite::plan::{Purpose, SoakPlan};

/// After how many times the cycles it is sought again whether what grows is lost: all of that together takes a seventh of the cycles that
/// the soak itself takes.
const SEEK_AGAIN: u64 = 8;
/// Most cycles in which that is sought. In psqlodbc, 128 show 764 of 764 B per cycle.
const MOST_SOUGHT: u64 = 10_000;

/// What a course is made of: a measurement, or in tests one that was recorded.
pub(super) trait Steps {
    /// Takes what there is before the first open. Where asked to, has two cycles run `alone`, and returns whether they left an
    /// instance behind.
    fn begin(&mut self, soak: &mut Measured, alone: bool) -> Result<bool, End>;
    /// Runs the warm-up up to this many cycles in all, or fewer. What was run so far is not measured. Returns the number of measured
    /// cycles after which something runs out, where that can be foreseen.
    fn warm_up(&mut self, cycles: u64) -> Result<Option<u64>, End>;
    /// Goes on to `cycle` measured cycles.
    fn advance(&mut self, cycle: u64) -> Result<(), End>;
    /// Measured cycles completed.
    fn measured(&self) -> u64;
    /// Takes a checkpoint here.
    fn take(&mut self) -> Result<(), End>;
    /// The checkpoints taken so far.
    fn series(&mut self) -> &mut Series;
    /// Puts what was measured so far into the record.
    fn fill(&self, soak: &mut Measured);
    /// Tells what was measured so far, unless it was told a moment ago. The worker is parked meanwhile.
    fn tell(&mut self, soak: &mut Measured);
    /// Asks the loader itself whether the library is there, and what is pending. It costs a round of its own, so it is
    /// not done at each checkpoint.
    fn look(&mut self) -> Result<(), End>;
    /// Has this many cycles run in another process to find out whether what grows is lost, and puts that into the record. The worker is
    /// parked meanwhile.
    fn seek_lost(&mut self, soak: &mut Measured, cycles: u64);
}

/// Runs to the end; true when it stopped because the verdict was certain.
pub(super) fn run(
    plan: &SoakPlan,
    warmup: u64,
    steps: &mut impl Steps,
    soak: &mut Measured,
) -> Result<bool, End> {
    let stay = steps.begin(soak, warmup >= 2)?;
    // Each cycle adds an instance, and there may be room for few: none of them is for warming up.
    let runs_out = steps.warm_up(if stay && plan.warmup.is_none() { 0 } else { warmup })?;
    let mut pace = Pace::new(plan, stay, runs_out);
    let mut looks = 0;
    let mut sought_at = 0;
    let mut points: u32 = 0;
    loop {
        while let Some(cycle) = pace.next() {
            checkpoint(steps, cycle)?;
            if steps.series().check.is_full() {
                // It is made again.
                return Ok(false);
            }
            steps.tell(soak);
            points += 1;
            if points.is_power_of_two() {
                steps.look()?;
            }
        }
        if pace.looks() {
            steps.fill(soak);
            let mut answer = is_decided(plan, soak, looks);
            let cycles = steps.measured();
            if answer.is_none() && may_seek_lost(plan) && cycles >= SEEK_AGAIN * sought_at {
                steps.seek_lost(soak, cycles.min(MOST_SOUGHT));
                sought_at = cycles;
                answer = is_decided(plan, soak, looks);
            }
            if answer == Some(true) {
                steps.look()?;
                return Ok(true);
            }
            looks += 1;
        }
        let kept = pace.keep(&steps.series().cycles());
        if !pace.go_on() {
            steps.look()?;
            return Ok(false);
        }
        steps.series().thin(&kept);
    }
}

/// Goes on to `cycle` measured cycles and takes a checkpoint there, or wherever the worker was made to stop.
fn checkpoint(steps: &mut impl Steps, cycle: u64) -> Result<(), End> {
    let reached = steps.advance(cycle);
    // An end at a quiet point still gets its checkpoint, unless it has one: nothing measured is lost.
    let done = Some(steps.measured());
    if reached.as_ref().is_err_and(|end| !end.is_quiet() || steps.series().last_cycle() == done) {
        return reached;
    }
    steps.take()?;
    reached
}

/// Whether no more cycles are needed to tell what this soak is for; `None` where that depends on whether what grows is lost.
fn is_decided(plan: &SoakPlan, soak: &Measured, looks: u32) -> Option<bool> {
    match plan.purpose {
        Purpose::Share { leak: Some(leak), lost } => {
            Some(analysis::is_all_of_it(soak, leak, lost, &plan.limits, looks))
        }
        _ => match analysis::look(soak, &plan.limits, looks) {
            Look::Clean | Look::Leak => Some(true),
            Look::LeakOrCache => None,
            Look::GoOn => Some(false),
        },
    }
}

/// Whether it can be found out if what grows is lost. What two builds leave in turn is not looked at.
fn may_seek_lost(plan: &SoakPlan) -> bool {
    plan.passes.contains(Pass::Lost)
        && plan.libc == Libc::Glibc
        && plan.mode != Mode::Namespace
        && plan.replace.is_none()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::LazyLock;

    use super::*;
    use crate::record::{
        Column, Excess, LimitReached, LoadCause, Lost, Metric, Reached, Run, UnloadState, sample,
    };
    use crate::settings::Settings;
    use crate::suite::plan::Plan;

    /// Plays the checkpoints of a soak that was measured before, and notes what it was asked for.
    struct Recorded {
        rows: Vec<Vec<i64>>,
        series: Series,
        warmup: u64,
        completed: u64,
        /// Each cycle leaves an instance behind.
        stays: bool,
        /// What ends it once it goes on beyond so many measured cycles.
        end: Option<(u64, End)>,
        /// More threads than can be counted from this cycle on.
        full: Option<u64>,
        asked: Vec<&'static str>,
        /// Whether what grows is lost, and in how many cycles that was sought.
        lost: bool,
        sought: Vec<u64>,
    }

    impl Recorded {
        /// The checkpoints of the sample with this name.
        fn of(name: &str) -> (Self, Measured) {
            static SAMPLE: LazyLock<Run> = LazyLock::new(|| sample::run(2));
            let soak = SAMPLE.soaks.iter().find(|soak| soak.measured.name == name);
            let mut soak = soak.unwrap().measured.clone();
            let rows = std::mem::take(&mut soak.checkpoints.rows);
            soak.unload.state = UnloadState::Unloaded;
            let mut series = Series::new(true);
            series.checkpoints = soak.checkpoints.clone();
            let recorded = Self {
                rows,
                series,
                warmup: 0,
                completed: 0,
                stays: false,
                end: None,
                full: None,
                asked: Vec::new(),
                lost: false,
                sought: Vec::new(),
            };
            (recorded, soak)
        }

        /// What was measured at this cycle, or would have been, between two checkpoints.
        fn row(&self, cycle: u64) -> Vec<i64> {
            let cycle = cycle.cast_signed();
            let after = self.rows.partition_point(|row| row[0] <= cycle).clamp(1, self.rows.len() - 1);
            let (from, to) = (&self.rows[after - 1], &self.rows[after]);
            let part = (cycle - from[0]) as f64 / (to[0] - from[0]) as f64;
            let between = |(from, to): (&i64, &i64)| from + (part * (to - from) as f64) as i64;
            from.iter().zip(to).map(between).collect()
        }

        fn count(&self, asked: &str) -> usize {
            self.asked.iter().filter(|other| **other == asked).count()
        }
    }

    impl Steps for Recorded {
        fn begin(&mut self, _: &mut Measured, alone: bool) -> Result<bool, End> {
            self.completed = if alone { 2 } else { 0 };
            Ok(self.stays)
        }

        fn warm_up(&mut self, cycles: u64) -> Result<Option<u64>, End> {
            self.completed = self.completed.max(cycles);
            self.warmup = self.completed;
            Ok(None)
        }

        fn advance(&mut self, cycle: u64) -> Result<(), End> {
            let end = self.end.take_if(|(at, _)| *at < cycle);
            self.completed = self.warmup + end.as_ref().map_or(cycle, |(at, _)| *at);
            end.map_or(Ok(()), |(_, end)| Err(end))
        }

        fn measured(&self) -> u64 {
            self.completed - self.warmup
        }

        fn take(&mut self) -> Result<(), End> {
            let cycle = self.measured();
            self.series.checkpoints.rows.push(self.row(cycle));
            self.series.check.take(cycle, None, self.full.is_some_and(|full| full <= cycle));
            Ok(())
        }

        fn series(&mut self) -> &mut Series {
            &mut self.series
        }

        fn fill(&self, soak: &mut Measured) {
            soak.checkpoints = self.series.checkpoints.clone();
            soak.cycles.completed = self.measured();
        }

        fn tell(&mut self, _: &mut Measured) {
            self.asked.push("tell");
        }

        fn look(&mut self) -> Result<(), End> {
            self.asked.push("look");
            Ok(())
        }

        fn seek_lost(&mut self, soak: &mut Measured, cycles: u64) {
            self.sought.push(cycles);
            let from = cycles / 2;
            let count = |blocks| Reached { blocks, bytes: 16 * blocks, ..Reached::default() };
            let (before, mut after) = (count(0), count(cycles - from));
            if self.lost {
                (after.lost_blocks, after.lost_bytes) = (after.blocks, after.bytes);
            }
            soak.lost = Some(Lost { cycles, from, before, after });
        }
    }

    fn plan(settings: serde_json::Value) -> SoakPlan {
        let settings: Settings = serde_json::from_value(settings).unwrap();
        Plan::from_paths(&[PathBuf::from("a.so")], &settings).unwrap().soaks.remove(0)
    }

    /// A soak of 1,000 cycles of a clean library that ends like this, and the cycles of its checkpoints.
    fn ended(at: u64, end: End) -> (Result<bool, End>, Vec<u64>) {
        let (mut steps, mut soak) = Recorded::of("c-clean");
        steps.end = Some((at, end));
        let end = run(&plan(serde_json::json!({ "cycles": 1000 })), 500, &mut steps, &mut soak);
        (end, steps.series.cycles())
    }

    #[test]
    fn a_soak_measures_its_cycles_after_the_warm_up() {
        let plan = plan(serde_json::json!({ "cycles": 1000 }));
        for warmup in [0, 1, 2, 500] {
            let (mut steps, mut soak) = Recorded::of("c-leak-constructor");
            assert!(!run(&plan, warmup, &mut steps, &mut soak).unwrap());
            let cycles = steps.series.cycles();
            assert_eq!((cycles[0], *cycles.last().unwrap()), (0, 1000));
            assert_eq!((steps.warmup, steps.completed), (warmup, warmup + 1000));
            // Each checkpoint is told; the loader is asked at the 1st, 2nd, 4th, ... and at the end.
            assert_eq!(steps.count("tell"), cycles.len());
            assert_eq!(steps.count("look"), cycles.len().ilog2() as usize + 2);
            assert_eq!(steps.asked.last(), Some(&"look"));
        }
    }

    #[test]
    fn no_instance_that_stays_is_for_warming_up_unless_it_was_asked_for() {
        for (settings, warmup, warmed) in [
            (serde_json::json!({ "mode": "copies", "cycles": 100 }), 500, 2),
            (serde_json::json!({ "mode": "copies", "cycles": 100, "warmup": 30 }), 30, 30),
        ] {
            let (mut steps, mut soak) = Recorded::of("c-clean");
            steps.stays = true;
            assert!(!run(&plan(settings), warmup, &mut steps, &mut soak).unwrap());
            assert_eq!((steps.warmup, steps.completed), (warmed, warmed + 100));
        }
    }

    #[test]
    fn a_soak_ends_as_soon_as_its_verdict_is_certain_and_never_later_than_it_may() {
        let settings = serde_json::json!({ "cycles": 20_000, "until-decided": true, "passes": "-lost" });
        let ends = |name: &str| {
            let (mut steps, mut soak) = Recorded::of(name);
            let decided = run(&plan(settings.clone()), 500, &mut steps, &mut soak).unwrap();
            assert_eq!(steps.asked.last(), Some(&"look"));
            (decided, steps.measured())
        };
        // What is counted to the byte is certain as soon as looks may go by little.
        assert_eq!(ends("c-leak-constructor"), (true, 1024));
        let (decided, cycles) = ends("c-clean");
        assert!(decided && (1024..=160_000).contains(&cycles), "{cycles}");
    }

    #[test]
    fn a_leak_beside_what_stays_ends_a_soak_once_it_is_lost() {
        let settings = |passes: &str| {
            serde_json::json!({
                "cycles": 900, "until-decided": true, "max-cycles": 3000, "passes": passes
            })
        };
        // What stays loaded may hold a cache that is not full yet.
        for (lost, passes, end, sought) in [
            (true, "+lost", (true, 128), &[128][..]),
            (false, "+lost", (false, 3000), &[128, 1024]),
            (true, "-lost", (false, 3000), &[]),
        ] {
            let (mut steps, mut soak) = Recorded::of("c-leak-constructor");
            soak.unload.state = UnloadState::Pinned;
            steps.lost = lost;
            let decided = run(&plan(settings(passes)), 500, &mut steps, &mut soak).unwrap();
            assert_eq!((decided, steps.measured()), end, "{lost} {passes}");
            assert_eq!(steps.sought, sought);
        }
        // What is not seen to grow needs no search.
        let (mut steps, mut soak) = Recorded::of("c-clean");
        run(&plan(settings("+lost")), 500, &mut steps, &mut soak).unwrap();
        assert!(steps.sought.is_empty());
    }

    #[test]
    fn a_leak_of_what_goes_is_certain_at_once_where_it_is_lost_and_else_once_it_outgrows_a_store() {
        for (lost, passes, end, sought) in [
            (true, "+lost", 128, &[128][..]),
            // 32 B per cycle; nobody found out whether something holds it, or something does, which may hold 1 MiB.
            (true, "-lost", 1024, &[]),
            (false, "+lost", 32_768, &[128, 1024, 8192]),
        ] {
            let (mut steps, mut soak) = Recorded::of("c-leak-constructor");
            steps.lost = lost;
            let settings = serde_json::json!({ "cycles": 9000, "until-decided": true, "passes": passes });
            let decided = run(&plan(settings), 500, &mut steps, &mut soak).unwrap();
            assert_eq!(
                (decided, steps.measured(), &steps.sought[..]),
                (true, end, sought),
                "{lost} {passes}"
            );
        }
    }

    #[test]
    fn without_its_calls_a_soak_ends_once_it_leaks_as_much_as_with_them() {
        let with = plan(serde_json::json!({ "call": ["f"], "cycles": 2000 }));
        let (gone, stays) = (UnloadState::Unloaded, UnloadState::Partial);
        for (rate, state, lost, end) in [
            (32.0, gone, false, (true, 128)),
            (64.0, gone, false, (false, 2000)),
            (32.0, stays, false, (false, 2000)),
            (32.0, stays, true, (true, 128)),
        ] {
            let (mut steps, mut soak) = Recorded::of("c-leak-constructor");
            soak.unload.state = state;
            let plan = with.without_calls(2000, Some((Metric::Heap, rate)), lost);
            let decided = run(&plan, 8, &mut steps, &mut soak).unwrap();
            assert_eq!((decided, steps.measured()), end, "{rate} B/cycle");
        }
    }

    #[test]
    fn an_end_at_a_quiet_point_gets_its_checkpoint_once() {
        let all = || {
            let reached = LimitReached { excess: Excess::Fds, used: 8, allowed: 7, given: true };
            let limit = End::Limit { reached, quiet: true };
            [End::Interrupted { quiet: true }, End::TimeUp, limit, End::of(LoadCause::Refused)]
        };
        for end in all() {
            let early = end.early();
            let (end, cycles) = ended(777, end);
            assert_eq!(end.unwrap_err().early(), early);
            assert!(cycles.is_sorted_by(|a, b| a < b) && cycles.last() == Some(&777), "{cycles:?}");
        }
        // Where it comes before the next cycle, there is nothing new to keep.
        let (_, mut cycles) = ended(777, End::TimeUp);
        cycles.pop();
        for end in all() {
            assert_eq!(ended(*cycles.last().unwrap(), end).1, cycles);
        }
    }

    #[test]
    fn an_end_in_the_middle_of_a_cycle_gets_no_checkpoint() {
        let died = || End::Died(std::process::ExitStatus::default());
        for end in [died(), End::Hung, End::Scribbled, End::Interrupted { quiet: false }] {
            let early = end.early();
            let (end, cycles) = ended(777, end);
            assert_eq!(end.unwrap_err().early(), early);
            assert!(*cycles.last().unwrap() < 777, "{cycles:?}");
        }
        let (end, cycles) = ended(0, died());
        assert!(matches!(end, Err(End::Died(_))) && cycles == [0], "{cycles:?}");
    }

    #[test]
    fn checkpoints_thin_out_as_a_soak_goes_on() {
        let (mut steps, mut soak) = Recorded::of("c-clean");
        steps.end = Some((70_001, End::TimeUp));
        let plan = plan(serde_json::json!({ "duration": "5s" }));
        assert!(matches!(run(&plan, 500, &mut steps, &mut soak), Err(End::TimeUp)));
        let cycles = steps.series.cycles();
        assert!(cycles.is_sorted_by(|a, b| a < b) && cycles.len() < 300, "{}", cycles.len());
        assert_eq!((cycles[0], *cycles.last().unwrap()), (0, 70_001));
        assert!(steps.count("tell") > 2 * cycles.len());
        // Those that are left are as they were taken.
        let heap = steps.series.checkpoints.position(Column::Metric(Metric::Heap)).unwrap();
        let rows = &steps.series.checkpoints.rows;
        assert!(rows.iter().all(|row| row[heap] == steps.row(row[0].cast_unsigned())[heap]));
    }

    #[test]
    fn no_cycle_is_made_for_figures_that_are_to_be_doubted() {
        let (mut steps, mut soak) = Recorded::of("c-clean");
        steps.full = Some(300);
        assert!(!run(&plan(serde_json::json!({ "cycles": 1000 })), 500, &mut steps, &mut soak).unwrap());
        assert!((300..1000).contains(&steps.measured()), "{}", steps.measured());
    }
}
