//! `cargo xtask truth`: soaks every fixture many times and counts how often the verdict is wrong, how far exact rates
//! are off, and how often the 95 % intervals hold the true rate. With `--leak-free` it counts how often what keeps nothing stays undecided.
//! The figures in `docs/method.md` come from it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use clap::Args;
use dlsoak_judge::interval_of_share;
use xtask::fixtures::{self, Fixture, Language, Situation, Table, Truth};
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
    /// Soak what keeps nothing, with this limit or the default ones, and count what is not found to be clean; repeatable
    #[arg(long, value_name = "RATE|default", conflicts_with_all = ["within", "replay"])]
    leak_free: Vec<String>,
    /// Cycles of the soaks of --leak-free
    #[arg(short = 'n', long, default_value_t = 100_000, requires = "leak_free")]
    cycles: u64,
    /// With --leak-free, soak this library, too, without calls; repeatable
    #[arg(long, value_name = "FILE", requires = "leak_free")]
    library: Vec<PathBuf>,
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
    if !options.leak_free.is_empty() {
        return leak_free(options, &dlsoak, &scratch, &table);
    }

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
            let run = Soaked::of(fixture, truth.cycles, threads)?;
            for _ in 0..options.runs {
                let made = soak(&dlsoak, &scratch, &run);
                let made = if options.replay { made.and_then(|soak| again(&dlsoak, &soak)) } else { made };
                match made {
                    Ok(soak) => row.add(fixture, truth, &soak, &mut metrics),
                    // A row, not the end: the other fixtures are soaked, too.
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
    let left_out = table.left_out(&Situation::default()).len();
    println!("\nfixtures without a truth on this machine: {left_out}");
    println!("wrong clean: {clean}, wrong leak: {leak}, intervals that hold the truth: {all}");
    Ok(good && all.value() >= COVERAGE)
}

/// Fewest cycles in which the truth of a fixture shows that is soaked with `--leak-free`: it is smaller where a cycle takes long.
const QUICK: u64 = 4_000;

/// What became of the leak-free soaks of one group under one limit.
#[derive(Default)]
struct LeakFree {
    clean: u32,
    leak: u32,
    undecided: u32,
    /// Soaks that the passes `cohorts` and `collected` were made for.
    passes: [u32; 2],
}

/// Soaks what keeps nothing and prints what was not found to be clean, and a table; false when something was called a leak.
fn leak_free(options: &Options, dlsoak: &Path, scratch: &Path, table: &Table) -> Result<bool> {
    let keeps_nothing = |fixture: &Fixture, truth: &Truth| {
        let wanted = options.only.is_empty() || options.only.contains(&fixture.name);
        let able = truth.max_cycles.is_none_or(|most| most >= options.cycles) && truth.cycles >= QUICK;
        let clean = ["clean", "pinned"].contains(&truth.verdict.as_str()) && truth.growth.is_empty();
        wanted && !fixture.hostile && able && clean
    };
    let mut runs: Vec<(&str, Soaked)> = Vec::new();
    for &threads in &options.threads {
        for fixture in &table.fixtures {
            let situation = Situation { threads, ..Situation::default() };
            if fixture.truth(&situation).is_some_and(|truth| keeps_nothing(fixture, truth)) {
                let group = if fixture.language == Language::Go { "Go" } else { "C, C++ and Rust" };
                runs.push((group, Soaked::of(fixture, options.cycles, threads)?));
            }
        }
        for library in &options.library {
            let name = library.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let more = Vec::new();
            let run = Soaked { name, library: library.clone(), cycles: options.cycles, threads, more };
            runs.push(("other libraries", run));
        }
    }
    let mut groups: BTreeMap<(&str, &str), LeakFree> = BTreeMap::new();
    for ((group, run), limit) in runs.iter().flat_map(|run| options.leak_free.iter().map(move |l| (run, l))) {
        let mut run = run.clone();
        run.more.push("--allow-pinned=measured anyway".to_owned());
        if limit != "default" {
            run.more.push(format!("--max-leak-rate={limit}"));
        }
        // They stay, so that what is not clean can be studied.
        let records = scratch.join(limit.replace('/', "-"));
        fs::create_dir_all(&records).with_context(|| format!("cannot create {}", records.display()))?;
        let name = run.name.clone();
        for index in 0..options.runs {
            run.name = format!("{name}-{}-{index}", run.threads);
            let made = soak(dlsoak, &records, &run)?;
            let group = groups.entry((limit, group)).or_default();
            group.passes[0] += u32::from(!made.cohorts.is_null());
            group.passes[1] += u32::from(!made.collected.is_null());
            let open: Vec<&str> =
                made.findings.iter().filter(|f| f.severity == "undecided").map(|f| f.code.as_str()).collect();
            if made.verdict == "leak" {
                group.leak += 1;
            } else if open.is_empty() && ["clean", "pinned"].contains(&made.verdict.as_str()) {
                group.clean += 1;
                continue;
            } else {
                group.undecided += 1;
            }
            let open = open.join(", ");
            println!("{limit}, {}: {}, {open}", run.name, made.verdict);
        }
    }
    println!(
        "\n| limit | what | clean / leak / undecided | passes cohorts, collected | undecided, 95 % | leak, 95 % |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut leaks = 0;
    for ((limit, what), LeakFree { clean, leak, undecided, passes: [cohorts, collected] }) in &groups {
        let all = u64::from(clean + leak + undecided);
        let share = |part: u32| percent(interval_of_share(u64::from(part), all));
        println!(
            "| {limit} | {what} | {clean} / {leak} / {undecided} | {cohorts}, {collected} | {} | {} |",
            share(*undecided),
            share(*leak)
        );
        leaks += leak;
    }
    println!("\nleak-free soaks that were called a leak: {leaks}");
    Ok(leaks == 0)
}

/// An interval of a share, in percent.
fn percent((low, high): (f64, f64)) -> String {
    format!("{:.1} to {:.1} %", low * 100.0, high * 100.0)
}

/// What is soaked, and how.
#[derive(Clone)]
pub(crate) struct Soaked {
    name: String,
    library: PathBuf,
    cycles: u64,
    threads: u32,
    /// Further arguments of `dlsoak run`.
    more: Vec<String>,
}

impl Soaked {
    /// A fixture with the calls, settings and environment that its truth is about.
    pub(crate) fn of(fixture: &Fixture, cycles: u64, threads: u32) -> Result<Self> {
        let calls = fixture.calls.iter().map(|call| format!("--call={call}"));
        let env = fixture.env.iter().map(|(name, value)| format!("--env={name}={value}"));
        let more = calls.chain(fixture.arguments()).chain(env).collect();
        let library = fixture.library(&fixtures::root())?;
        Ok(Self { name: fixture.name.clone(), library, cycles, threads, more })
    }
}

/// One soak by the program, as a user would call it.
pub(crate) fn soak(dlsoak: &Path, scratch: &Path, what: &Soaked) -> Result<Soak> {
    let out = record::fresh(scratch.join(&what.name))?;
    command::soaks(&mut command(dlsoak, scratch, what), command::CARGO)?;
    only(&out)
}

/// The command that soaks it, and leaves the record in a directory of its name.
pub(crate) fn command(dlsoak: &Path, scratch: &Path, what: &Soaked) -> Command {
    let mut command = Command::new(dlsoak);
    command.current_dir(scratch).arg("run").arg(&what.library).args(&what.more);
    command.args(["-n", &what.cycles.to_string(), "-t", &what.threads.to_string()]);
    command.args(["--force", "-o"]).arg(scratch.join(&what.name)).stdin(Stdio::null());
    command
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
pub(crate) fn only(out: &Path) -> Result<Soak> {
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
