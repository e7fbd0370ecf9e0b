//! Whether dlsoak is as fast and as small as it is meant to be: each target with what was measured for it. What a checkpoint costs
//! is measured inside of the program, by `cargo bench --bench cost`.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::answers::{self, seconds};
use super::bare::{Bench, Build};
use super::table::{Rates, ends, markdown, median};
use super::{bare, peers, process, soak};

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
    let c = peers::measure(bench, &only, &["c-clean".to_owned()], &[1, 4], rounds)?;
    let go = peers::measure(bench, &only, &["go-clean".to_owned()], &[1], rounds)?;
    let mut targets = vec![
        ratio("part of the bare loop's cycles per second: small C library, 1 thread", 0.97, &c, "c-clean", 1),
        ratio("the same at 4 threads", 0.97, &c, "c-clean", 4),
        ratio("the same: Go library, of which a cycle loads nothing", 0.60, &go, "go-clean", 1),
    ];
    targets.push(memory_of_the_worker(bench)?);
    targets.push(memory_for_the_demo(bench)?);
    let (many, few) = (Whole::measure(bench, rounds, 100_000)?, Whole::measure(bench, rounds, 1_000)?);
    targets.push(Target {
        what: "part of the bare loop's cycles per second, whole process: `dlsoak run -n 100000`",
        limit: 0.75,
        at_least: true,
        measured: median(&many.bare) / median(&many.own),
        shown: many.shown(|own, bare| bare / own),
    });
    targets.push(Target {
        what: "times the wall time of the bare loop, whole process: `dlsoak run -n 1000`",
        limit: 2.0,
        at_least: false,
        measured: median(&few.own) / median(&few.bare),
        shown: few.shown(|own, bare| own / bare),
    });
    targets.push(sooner(bench, rounds)?);
    let row = |target: &Target| {
        let limit = if target.at_least { "at least" } else { "at most" };
        let met = if target.is_met() { "met" } else { "missed" };
        vec![
            target.what.to_owned(),
            format!("{limit} {}", target.limit),
            target.shown.clone(),
            met.to_owned(),
        ]
    };
    let header = ["target", "limit", "measured", ""].map(str::to_owned);
    let rows: Vec<Vec<String>> = targets.iter().map(row).collect();
    let figures = targets.iter().map(|target| {
        json!({ "target": target.what, "limit": target.limit, "measured": target.measured, "met": target.is_met() })
    });
    let figures = json!({
        "targets": figures.collect::<Value>(), "rates": [c.to_json(), go.to_json()], "whole": [many.to_json(), few.to_json()],
    });
    Ok((markdown(&header, &rows), figures, targets.iter().all(Target::is_met)))
}

fn ratio(what: &'static str, limit: f64, rates: &Rates, library: &str, threads: u32) -> Target {
    let measured = rates.ratio(library, threads, peers::RUN).unwrap_or(f64::NAN);
    let best = rates.best_ratio(library, threads, peers::RUN).unwrap_or(f64::NAN);
    let mut shown = format!("{measured:.3}, of the best turns {best:.3}");
    if let Some(ratio) = rates.ratio(library, threads, peers::RUN_MEDIAN) {
        shown += &format!(", of the median cycles {ratio:.3}");
    }
    Target { what, limit, at_least: true, measured, shown }
}

/// Wall times of whole processes, in turns: `dlsoak run`, and the bare loop with as many cycles of warm-up and as many others.
struct Whole {
    cycles: u64,
    warmup: u64,
    own: Vec<f64>,
    bare: Vec<f64>,
}

impl Whole {
    fn measure(bench: &Bench, rounds: u32, cycles: u64) -> Result<Self> {
        let subject = bench.subject("c-clean")?;
        let n = cycles.to_string();
        let soaked = || soak::soak(bench, "run", &subject.path, &["-n", &n], false);
        // This run also brings the files into memory, so its time does not count.
        let warmup = soaked()?.warmup()?;
        let mut whole = Self { cycles, warmup, own: Vec::new(), bare: Vec::new() };
        for round in 1..=rounds {
            eprintln!("whole processes, {cycles} cycles, round {round} of {rounds}");
            // Each of the two begins every second turn.
            for own in [round % 2 == 1, round % 2 == 0] {
                if own {
                    whole.own.push(soaked()?.ran.wall.as_secs_f64());
                } else {
                    let mut command = bench.command(Build::Plain, &[], &subject.path, cycles, "none", 1)?;
                    command.env("BARE_LOOP_WARMUP", warmup.to_string());
                    let ran = process::run(&mut command)?.context("the bare loop is gone")?;
                    bare::told(&ran)?;
                    whole.bare.push(ran.wall.as_secs_f64());
                }
            }
        }
        Ok(whole)
    }

    /// The ratio of the medians and of the quickest turns, and the medians.
    fn shown(&self, ratio: fn(f64, f64) -> f64) -> String {
        let (own, bare) = (median(&self.own), median(&self.bare));
        let best = ratio(ends(&self.own).0, ends(&self.bare).0);
        format!("{:.3}, of the best turns {best:.3} ({}, {})", ratio(own, bare), seconds(own), seconds(bare))
    }

    fn to_json(&self) -> Value {
        json!({ "cycles": self.cycles, "warmup": self.warmup, "dlsoak_seconds": self.own, "bare_seconds": self.bare })
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
    let wall = |how: &str| {
        let of = |answer: &&Value| answer["library"] == "c-leak-constructor" && answer["how"] == how;
        all.iter().find(of).and_then(|answer| answer["seconds"].as_f64()).unwrap_or(f64::NAN)
    };
    let own = wall("dlsoak run --until-decided");
    let theirs = wall("valgrind memcheck, 1,000 cycles");
    let measured = theirs / own;
    Ok(Target {
        what: "times sooner than valgrind with 1,000 cycles: a leak of 32 B per cycle",
        limit: 20.0,
        at_least: true,
        measured,
        shown: format!("{measured:.1} ({}, {})", seconds(own), seconds(theirs)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_processes_are_compared_by_their_medians_and_by_their_best() {
        let whole = Whole { cycles: 1_000, warmup: 500, own: vec![0.5, 0.2, 0.3], bare: vec![0.1, 0.2, 0.1] };
        assert_eq!(whole.shown(|own, bare| own / bare), "3.000, of the best turns 2.000 (300 ms, 100 ms)");
        assert_eq!(whole.to_json()["warmup"], 500);
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
