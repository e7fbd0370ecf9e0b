//! Whether dlsoak is as fast and as small as it is meant to be: each target with what was measured for it. What a checkpoint costs
//! is measured inside of the program, by `cargo bench --bench cost`.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::answers::{self, seconds};
use super::bare::{Bench, Build};
use super::table::{Rates, Ratio, markdown, median, part};
use super::{bare, peers, process, soak};

/// Numbers of threads that are measured.
pub(super) const THREADS: [u32; 2] = [1, 4];

/// Turns of whole processes that take a tenth of a second: many cost little, and single ones differ by a third.
const SHORT_TURNS: u32 = 41;

/// A target, and what was measured.
#[derive(Debug)]
struct Target {
    what: &'static str,
    limit: f64,
    /// Whether it is met at the limit and above, or at the limit and below.
    at_least: bool,
    measured: f64,
    shown: String,
}

impl Target {
    /// What was measured as a ratio by the turn.
    fn by_turn(what: &'static str, limit: f64, at_least: bool, ratio: Option<Ratio>) -> Self {
        let shown = ratio.map_or_else(|| "-".to_owned(), Ratio::shown);
        Self { what, limit, at_least, measured: ratio.map_or(f64::NAN, |ratio| ratio.median), shown }
    }

    /// The same, with the seconds that both took in the middle.
    fn of_times(mut self, own: &[f64], other: &[f64]) -> Self {
        self.shown += &format!("; {}, {}", seconds(median(own)), seconds(median(other)));
        self
    }

    /// Nothing that could not be measured is met.
    fn is_met(&self) -> bool {
        if self.at_least { self.measured >= self.limit } else { self.measured <= self.limit }
    }
}

/// Fixtures that are cycled.
pub(super) fn libraries() -> Vec<String> {
    let own = ["c-clean", "go-clean"].map(str::to_owned);
    own.into_iter().chain(answers::libraries()).collect()
}

/// Measures all: the table, the figures, and whether each target is met.
pub(super) fn measure(bench: &Bench, rounds: u32) -> Result<(String, Value, bool)> {
    let only = ["bare".to_owned(), "run".to_owned()];
    let c = peers::measure(bench, &only, &["c-clean".to_owned()], &THREADS, rounds)?;
    let go = peers::measure(bench, &only, &["go-clean".to_owned()], &[1], rounds)?;
    let traced = ["bare".to_owned(), "trace".to_owned()];
    let trace = peers::measure(bench, &traced, &["c-clean".to_owned()], &[1], rounds)?;
    let mut targets = vec![
        rate("share of the bare loop's cycles per second: small C library, 1 thread", 0.97, &c, "c-clean", 1),
        rate("the same at 4 threads", 0.97, &c, "c-clean", 4),
        rate("the same: Go library, which a cycle never loads", 0.75, &go, "go-clean", 1),
        Target::by_turn(
            "share of the bare loop's cycles per second while they are traced, both with the thread cache off",
            1.0 / 1.05,
            true,
            trace.by_turn("c-clean", 1, peers::TRACE),
        ),
    ];
    targets.push(memory_of_the_worker(bench)?);
    targets.push(memory_for_the_demo(bench)?);
    let whole = [
        Whole::new("whole process of 100,000 cycles, as a share of the bare loop's cycles per second", 0.85),
        Whole { threads: 4, ..Whole::new("the same at 4 threads", 0.85) },
        Whole {
            arguments: &[],
            ..Whole::short(
                "whole process of 1,000 cycles, as a multiple of the bare loop's, warm-up included",
                2.0,
            )
        },
        Whole {
            against: Build::LeakSanitizer,
            ..Whole::short(
                "`run -n 1000 --summary --no-report`, as a multiple of LeakSanitizer's time: clean",
                1.3,
            )
        },
        Whole {
            against: Build::LeakSanitizer,
            library: "c-leak-constructor",
            ..Whole::short("the same: a leak of 32 B per cycle", 1.0)
        },
    ];
    let mut figures = vec![c.to_json(), go.to_json(), trace.to_json()];
    for whole in &whole {
        let (target, turns) = whole.measure(bench, rounds)?;
        targets.push(target);
        figures.push(turns);
    }
    targets.push(sooner(bench, rounds)?);
    let row = |target: &Target| {
        let limit = if target.at_least { "at least" } else { "at most" };
        let met = if target.is_met() { "met" } else { "**missed**" };
        vec![
            target.what.to_owned(),
            format!("{limit} {}", (target.limit * 1000.0).round() / 1000.0),
            target.shown.clone(),
            met.to_owned(),
        ]
    };
    let header = ["target", "limit", "measured", ""].map(str::to_owned);
    let rows: Vec<Vec<String>> = targets.iter().map(row).collect();
    let table = targets.iter().map(|target| {
        json!({ "target": target.what, "limit": target.limit, "measured": target.measured, "shown": target.shown, "met": target.is_met() })
    });
    let figures = json!({ "targets": table.collect::<Value>(), "turns": figures });
    Ok((markdown(&header, &rows), figures, targets.iter().all(Target::is_met)))
}

fn rate(what: &'static str, limit: f64, rates: &Rates, library: &str, threads: u32) -> Target {
    let mut target = Target::by_turn(what, limit, true, rates.by_turn(library, threads, peers::RUN));
    if let Some(ratio) = rates.by_turn(library, threads, peers::RUN_MEDIAN) {
        target.shown += &format!("; of the median cycles {}", part(ratio.median));
    }
    target
}

/// A comparison of whole processes in turns: `dlsoak run`, and the bare loop with as many cycles of warm-up and as many others.
struct Whole {
    what: &'static str,
    limit: f64,
    library: &'static str,
    cycles: u64,
    threads: u32,
    /// More of `dlsoak run`.
    arguments: &'static [&'static str],
    /// How the loop is built.
    against: Build,
    /// Whether the loop's cycles per second are to be reached, or its time not exceeded.
    at_least: bool,
}

impl Whole {
    const fn new(what: &'static str, limit: f64) -> Self {
        Self {
            what,
            limit,
            library: "c-clean",
            cycles: 100_000,
            threads: 1,
            arguments: &[],
            against: Build::Plain,
            at_least: true,
        }
    }

    const fn short(what: &'static str, limit: f64) -> Self {
        let arguments = &["--summary", "--no-report"];
        Self { cycles: 1_000, arguments, at_least: false, ..Self::new(what, limit) }
    }

    /// The target, and all turns.
    fn measure(&self, bench: &Bench, rounds: u32) -> Result<(Target, Value)> {
        let rounds = if self.cycles > 1_000 { rounds } else { SHORT_TURNS };
        if self.against == Build::LeakSanitizer {
            bench.compile(self.against).context(peers::missing("lsan"))?;
        }
        let subject = bench.subject(self.library)?;
        let (cycles, threads) = (self.cycles.to_string(), self.threads.to_string());
        let arguments = [&["-n", &cycles, "-t", &threads], self.arguments].concat();
        let soaked = || soak::soak(bench, "run", &subject.path, &arguments, false);
        // This run also brings the files into memory, so its time does not count.
        let warmup = soaked()?.warmup()?;
        let (mut own, mut bare) = (Vec::new(), Vec::new());
        for round in 1..=rounds {
            eprintln!("{}: round {round} of {rounds}", self.what);
            // Each of the two begins every second turn.
            for is_own in [round % 2 == 1, round % 2 == 0] {
                if is_own {
                    own.push(soaked()?.ran.wall.as_secs_f64());
                } else {
                    let mut command =
                        bench.command(self.against, &[], &subject.path, self.cycles, "none", self.threads)?;
                    command.env("BARE_LOOP_WARMUP", warmup.to_string());
                    let ran = process::run(&mut command)?.context("the bare loop is gone")?;
                    bare::told(&ran)?;
                    bare.push(ran.wall.as_secs_f64());
                }
            }
        }
        let turns =
            json!({ "target": self.what, "warmup": warmup, "dlsoak_seconds": own, "bare_seconds": bare });
        Ok((self.target(&own, &bare), turns))
    }

    fn target(&self, own: &[f64], bare: &[f64]) -> Target {
        let ratio = if self.at_least { Ratio::of(bare, own) } else { Ratio::of(own, bare) };
        Target::by_turn(self.what, self.limit, self.at_least, Some(ratio)).of_times(own, bare)
    }
}

/// The worker's private memory beyond that of the bare loop, at the same work.
fn memory_of_the_worker(bench: &Bench) -> Result<Target> {
    let subject = bench.subject("c-clean")?;
    let bare = bench.alone(Build::Plain, &subject, 1, "none", true)?.private_kb;
    let n = subject.cycles.to_string();
    let worker = soak::soak(bench, "run", &subject.path, &["-n", &n], true)?.ran.private_below_kb as f64;
    let measured = (worker - bare) / 1024.0;
    Ok(Target {
        what: "private memory of the worker beyond the bare loop's, MiB",
        limit: 2.0,
        at_least: false,
        measured,
        shown: format!("{measured:.2} ({worker:.0} kB, {bare:.0} kB)"),
    })
}

/// The supervisor's peak while it soaks the demo's suite.
fn memory_for_the_demo(bench: &Bench) -> Result<Target> {
    let mut command = bench.dlsoak();
    command.current_dir(bench.root.join("cdylib-fixtures")).arg("-o").arg(bench.scratch.path().join("demo"));
    let ran = process::followed(&mut command)?.context("the release build is gone")?;
    let measured = ran.peak_kb as f64 / 1024.0;
    Ok(Target {
        what: "largest resident memory of the supervisor for the demo, MiB",
        limit: 24.0,
        at_least: false,
        measured,
        shown: format!("{measured:.1}, in {}", seconds(ran.wall.as_secs_f64())),
    })
}

/// How much sooner than valgrind a leak of 32 B is found: by dlsoak in as many cycles as it needs, by valgrind in 1,000, as by the other peers.
/// Over as many cycles as dlsoak makes, each cycle that dlsoak learns to do without would count against it; that row is in the table of
/// answers.
fn sooner(bench: &Bench, rounds: u32) -> Result<Target> {
    let (_, figures) = answers::measure(bench, &["run".to_owned(), "valgrind".to_owned()], rounds)?;
    let all = figures.as_array().context("no answers")?;
    let turns = |how: &str| -> Vec<f64> {
        let of = |answer: &&Value| answer["library"] == "c-leak-constructor" && answer["how"] == how;
        let turns = all.iter().find(of).and_then(|answer| answer["turns"].as_array());
        turns.into_iter().flatten().filter_map(Value::as_f64).collect()
    };
    let (own, theirs) = (turns("dlsoak run --until-decided"), turns("valgrind memcheck, 1,000 cycles"));
    let what = "times sooner than valgrind with 1,000 cycles: a leak of 32 B per cycle";
    Ok(Target::by_turn(what, 20.0, true, Some(Ratio::of(&theirs, &own))).of_times(&own, &theirs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_processes_are_compared_turn_by_turn() {
        let (own, bare) = ([0.2, 0.4, 0.3], [0.1, 0.1, 0.1]);
        let target = Whole::short("t", 3.0).target(&own, &bare);
        assert_eq!(target.shown, "3.000 (2.000 to 4.000); 300 ms, 100 ms");
        assert!(target.is_met());
        let target = Whole::new("t", 0.35).target(&own, &bare);
        assert_eq!((target.measured * 300.0).round(), 100.0);
        assert!(!target.is_met());
    }

    #[test]
    fn a_target_is_met_on_its_side_of_the_limit_alone() {
        let target =
            |at_least, measured| Target { what: "t", limit: 2.0, at_least, measured, shown: String::new() };
        assert!(target(true, 2.5).is_met() && !target(true, 1.5).is_met());
        assert!(target(false, 1.5).is_met() && !target(false, 2.5).is_met());
        assert!(!target(true, f64::NAN).is_met() && !target(false, f64::NAN).is_met());
    }
}
