//! `cargo xtask truth`: soaks every fixture many times and counts how often the verdict is wrong, how far exact rates
//! are off, and how often the 95 % intervals hold the true rate. The figures in `docs/method.md` come from it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use clap::Args;
use xtask::fixtures::{self, Fixture, Situation, Table, Truth};
use xtask::record::{self, Soak};
use xtask::{judge, record::Growth};

use crate::{build, command, demo};

/// The part of the intervals that must hold the truth, over all fixtures.
const COVERAGE: f64 = 0.93;

/// Kinds of differences that are shown for each line.
const SHOWN: usize = 4;

/// How often and where to soak.
#[derive(Args)]
pub(crate) struct Options {
    /// Soaks of each fixture and number of threads
    #[arg(long, default_value_t = 20)]
    runs: u32,
    /// Numbers of threads
    #[arg(long, value_delimiter = ',', default_value = "1,4")]
    threads: Vec<u32>,
    /// Only this fixture; repeatable
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Only fixtures whose truth shows within this many cycles
    #[arg(long, value_name = "N")]
    within: Option<u64>,
    /// Judge the soak that the record's own command makes, from another directory
    #[arg(long)]
    replay: bool,
}

/// One line of the table: a fixture at a number of threads.
#[derive(Default)]
struct Row {
    verdicts: BTreeMap<String, u32>,
    wrong_clean: u32,
    wrong_leak: u32,
    wrong_state: u32,
    wrong_codes: u32,
    failed: u32,
    worst_error: Option<f64>,
    covered: Share,
    differences: BTreeMap<String, u32>,
}

/// A part of a number of things.
#[derive(Default, Clone, Copy)]
struct Share {
    part: u32,
    all: u32,
}

/// Soaks the fixtures and prints the table; false when a verdict, a state, a finding or an exact rate was wrong, or
/// too few intervals held the truth.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let root = fixtures::root();
    let dlsoak = demo::release(&root)?;
    build::run(&build::Options::only(&options.only))?;
    let table = Table::load(&root)?;
    for name in &options.only {
        table.get(name)?;
    }
    let scratch = root.join("target/truth");
    fs::create_dir_all(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;

    println!(
        "{:<24} {:>3} {:>7}  {:<28} {:<34} {:>8} {:>9}",
        "fixture", "thr", "cycles", "truth", "verdicts", "rate err", "covered"
    );
    let (mut good, mut metrics) = (true, BTreeMap::<String, Share>::new());
    let (mut clean, mut leak) = (0, 0);
    let wanted = |f: &&Fixture| {
        if options.only.is_empty() { !f.hostile } else { options.only.contains(&f.name) }
    };
    for fixture in table.fixtures.iter().filter(wanted) {
        for &threads in &options.threads {
            let situation = Situation { threads, ..Situation::default() };
            let Some(truth) = fixture.truth(&situation) else { continue };
            if options.within.is_some_and(|within| truth.cycles > within) {
                continue;
            }
            let mut row = Row::default();
            for _ in 0..options.runs {
                let made = soak(&dlsoak, &scratch, fixture, truth.cycles, threads);
                let made = if options.replay { made.and_then(|soak| again(&dlsoak, &soak)) } else { made };
                match made {
                    Ok(soak) => row.add(fixture, truth, &soak, &mut metrics),
                    // A row, not the end: the other fixtures still tell.
                    Err(error) => row.fail(&error),
                }
            }
            row.print(fixture, truth, threads);
            clean += row.wrong_clean;
            leak += row.wrong_leak;
            good &= row.is_good();
        }
    }

    println!("\n{:<14} {:>9} {:>9}", "metric", "intervals", "covered");
    let mut all = Share::default();
    for (metric, share) in &metrics {
        println!("{metric:<14} {:>9} {share:>9}", share.all);
        all.part += share.part;
        all.all += share.all;
    }
    println!("\nwrong clean: {clean}, wrong leak: {leak}, intervals that hold the truth: {all}");
    Ok(good && all.value() >= COVERAGE)
}

/// One soak by the program, as a user would call it.
pub(crate) fn soak(
    dlsoak: &Path,
    scratch: &Path,
    fixture: &Fixture,
    cycles: u64,
    threads: u32,
) -> Result<Soak> {
    let out = record::fresh(scratch.join(&fixture.name))?;
    let mut command = Command::new(dlsoak);
    command.current_dir(scratch).arg("run").arg(fixture.library(&fixtures::root())?);
    command.args(["-n", &cycles.to_string(), "-t", &threads.to_string()]);
    command.args(fixture.calls.iter().flat_map(|call| ["-c", call])).args(fixture.arguments());
    command
        .args(fixture.env.iter().flat_map(|(name, value)| ["--env".to_owned(), format!("{name}={value}")]));
    command.args(["--force", "-o"]).arg(&out).stdin(Stdio::null());
    command::soaks(&mut command, command::CARGO)?;
    only(&out)
}

/// The soak that a record's command makes, in a directory of its own.
fn again(dlsoak: &Path, soak: &Soak) -> Result<Soak> {
    let elsewhere = tempfile::tempdir().context("no directory for a replay")?;
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", dlsoak.parent().unwrap_or(Path::new(".")).display());
    let mut command = Command::new("bash");
    command.args(["-c", &format!("{} -o out", soak.replay)]).env("PATH", path);
    command.current_dir(elsewhere.path()).stdin(Stdio::null());
    command::soaks(&mut command, "apt install bash")?;
    only(&elsewhere.path().join("out"))
}

/// The only soak of the record in this directory.
fn only(out: &Path) -> Result<Soak> {
    let soaks = record::read(out)?.soaks;
    soaks.into_iter().next().with_context(|| format!("the record in {} is empty", out.display()))
}

impl Row {
    fn add(&mut self, fixture: &Fixture, truth: &Truth, soak: &Soak, metrics: &mut BTreeMap<String, Share>) {
        *self.verdicts.entry(soak.verdict.clone()).or_default() += 1;
        if !judge::accepted(truth, &soak.verdict) {
            self.wrong_clean += u32::from(soak.verdict == "clean");
            self.wrong_leak += u32::from(soak.verdict == "leak");
        }
        self.wrong_state += u32::from(truth.state.as_ref().is_some_and(|state| *state != soak.unload.state));
        self.wrong_codes += u32::from(!judge::codes(truth, soak).is_empty());
        for difference in judge::differences(fixture, soak) {
            *self.differences.entry(difference).or_default() += 1;
        }
        for growth in &soak.growth {
            self.measure(truth, growth, metrics);
        }
    }

    fn fail(&mut self, error: &anyhow::Error) {
        self.failed += 1;
        *self.verdicts.entry("no record".to_owned()).or_default() += 1;
        *self.differences.entry(format!("{error:#}")).or_default() += 1;
    }

    fn measure(&mut self, truth: &Truth, growth: &Growth, metrics: &mut BTreeMap<String, Share>) {
        if let Some(error) = judge::error(truth, growth) {
            self.worst_error = Some(self.worst_error.map_or(error, |worst| worst.max(error)));
        }
        if let Some(rate) = judge::known(truth, &growth.metric) {
            let covered = judge::covers(truth, growth, rate);
            self.covered.add(covered);
            metrics.entry(growth.metric.clone()).or_default().add(covered);
        }
    }

    fn is_good(&self) -> bool {
        let exact = self.worst_error.is_none_or(|error| error <= judge::TOLERANCE);
        exact && self.wrong_clean + self.wrong_leak + self.wrong_state + self.wrong_codes + self.failed == 0
    }

    fn print(&self, fixture: &Fixture, truth: &Truth, threads: u32) {
        let verdicts: Vec<_> =
            self.verdicts.iter().map(|(verdict, times)| format!("{verdict} {times}")).collect();
        let rates: Vec<_> =
            truth.growth.iter().map(|(metric, rate)| format!("{metric} {}", rate.value())).collect();
        let true_of_it = match rates.first() {
            Some(rate) => format!("{}, {rate}", truth.verdict),
            None => truth.verdict.clone(),
        };
        let error = self.worst_error.map_or("-".to_owned(), |error| format!("{:.2} %", error * 100.0));
        println!(
            "{:<24} {threads:>3} {:>7}  {true_of_it:<28} {:<34} {error:>8} {:>9}",
            fixture.name,
            truth.cycles,
            verdicts.join(", "),
            self.covered.to_string(),
        );
        for (difference, times) in self.differences.iter().take(SHOWN) {
            println!("    {times} x {difference}");
        }
        if self.differences.len() > SHOWN {
            println!("    and {} more", self.differences.len() - SHOWN);
        }
    }
}

impl Share {
    fn add(&mut self, counts: bool) {
        self.part += u32::from(counts);
        self.all += 1;
    }

    /// 1 where there is nothing to share.
    fn value(self) -> f64 {
        if self.all == 0 { 1.0 } else { f64::from(self.part) / f64::from(self.all) }
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{:.1} %", self.value() * 100.0))
    }
}
