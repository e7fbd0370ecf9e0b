//! `cargo xtask pairs`: how often `dlsoak compare` errs. Soaks the same libraries many times, interleaved with runs in which one
//! call takes 1.3 times as many steps, and compares the runs in pairs. The table in `docs/compare.md` comes from it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Deserialize;
use xtask::fixtures;

use crate::{build, command, demo};

/// The libraries of a run, and their calls. The last one is exchanged for [`SLOWER`] in every other run.
const LIBRARIES: [(&str, &str); 5] = [
    ("c-clean", "fibonacci(20)"),
    ("cpp-clean", "fibonacci(20)"),
    ("rust-clean", "fibonacci(20)"),
    ("go-clean", "fibonacci(20)"),
    ("c-work", "work"),
];

/// The one whose call takes 1.3 times as many steps as that of `c-work`.
const SLOWER: &str = "c-work-slower";

/// Each run is compared with this many that follow it, and with as many slower ones.
const FOLLOWING: usize = 3;

/// How many runs.
#[derive(Args)]
pub(crate) struct Options {
    /// Runs of each kind
    #[arg(long, default_value_t = 36)]
    runs: usize,
    /// Cycles per library
    #[arg(short = 'n', long, default_value_t = 10_000)]
    cycles: u64,
}

/// What is read of `dlsoak compare --json`.
#[derive(Deserialize)]
struct Comparison {
    others: Vec<Against>,
}

#[derive(Deserialize)]
struct Against {
    soaks: Vec<Soak>,
}

#[derive(Deserialize)]
struct Soak {
    name: String,
    changes: Vec<Change>,
    latency: Vec<Phase>,
}

#[derive(Deserialize)]
struct Change {
    kind: String,
    #[serde(default)]
    phase: String,
    worse: Option<bool>,
}

#[derive(Deserialize)]
struct Phase {
    outcome: String,
}

impl Against {
    /// Each change as a person would note it, with the library's name.
    fn changes(&self) -> Vec<String> {
        let changes =
            self.soaks.iter().flat_map(|soak| soak.changes.iter().map(move |change| (soak, change)));
        changes.map(|(soak, change)| change.told(&soak.name)).collect()
    }

    fn has_tail(&self) -> bool {
        self.soaks.iter().flat_map(|soak| &soak.latency).any(|phase| phase.outcome.starts_with("tail-"))
    }
}

impl Change {
    fn told(&self, library: &str) -> String {
        let direction = match self.worse {
            Some(true) => " worse",
            Some(false) => " better",
            None => "",
        };
        let phase = if self.phase.is_empty() { String::new() } else { format!(" {}", self.phase) };
        format!("{library} {}{phase}{direction}", self.kind)
    }
}

/// Soaks, compares, and prints the table; false when a pair was told wrongly.
pub(crate) fn run(options: &Options) -> Result<bool> {
    if options.runs <= FOLLOWING {
        bail!("--runs must be at least {}, so that no run is compared with itself", FOLLOWING + 1);
    }
    let root = fixtures::root();
    let dlsoak = demo::release(&root)?;
    let mut names: Vec<String> = LIBRARIES.iter().map(|(name, _)| (*name).to_owned()).collect();
    names.push(SLOWER.to_owned());
    build::run(&build::Options::only(&names))?;
    let scratch = xtask::record::fresh(root.join("target/pairs"))?;
    let (mut same, mut slower) = (Vec::new(), Vec::new());
    for index in 0..options.runs {
        for (kind, last, records) in [("same", "c-work", &mut same), ("slower", SLOWER, &mut slower)] {
            let dir = scratch.join(format!("{kind}-{index}"));
            records.push(soak(&dlsoak, &dir, last, options.cycles)?);
        }
        println!("{} of {} runs of each kind", index + 1, options.runs);
    }

    let (mut quiet, mut tails, mut named, mut alone, mut pairs) = (0, 0, 0, 0, 0);
    let mut wrong = Vec::new();
    let wanted = "work latency call worse";
    for (index, base) in same.iter().enumerate() {
        let at = |records: &[PathBuf], offset: usize| records[(index + offset) % records.len()].clone();
        let following: Vec<PathBuf> = (1..=FOLLOWING).map(|offset| at(&same, offset)).collect();
        for other in compare(&dlsoak, base, &following)? {
            pairs += 1;
            let changes = other.changes();
            quiet += usize::from(changes.is_empty());
            tails += usize::from(other.has_tail());
            wrong.extend(changes.into_iter().map(|change| format!("same: {change}")));
        }
        let beside: Vec<PathBuf> = (0..FOLLOWING).map(|offset| at(&slower, offset)).collect();
        for other in compare(&dlsoak, base, &beside)? {
            let (right, others): (Vec<String>, Vec<String>) =
                other.changes().into_iter().partition(|change| change == wanted);
            named += usize::from(!right.is_empty());
            alone += usize::from(others.is_empty());
            if right.is_empty() {
                wrong.push("slower: the slower call is not named".to_owned());
            }
            wrong.extend(others.into_iter().map(|change| format!("slower: {change}")));
        }
    }
    println!("\n| pairs of runs | number | reported |\n| --- | --- | --- |");
    println!("| of the same libraries | {pairs} | no change in {quiet}; a tail marked in {tails} |");
    println!("| with the call of 1.3 times | {pairs} | that call in {named}, and nothing else in {alone} |");
    for line in &wrong {
        println!("{line}");
    }
    println!("\n{} pairs, {} wrong changes", 2 * pairs, wrong.len());
    Ok(wrong.is_empty())
}

/// Soaks all libraries in one run, and returns where its record is.
fn soak(dlsoak: &Path, dir: &Path, last: &str, cycles: u64) -> Result<PathBuf> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let root = fixtures::root();
    let mut text = format!("[suite]\nname = 'pairs'\n[defaults]\ncycles = {cycles}\n");
    for (name, call) in LIBRARIES {
        // The slower one has the other's name, because libraries are paired by name.
        let (name, file) = if name == "c-work" { ("work", last) } else { (name, name) };
        let path = fixtures::directory(&root).join(format!("lib{file}.so"));
        text += &format!("[[library]]\nname = '{name}'\npath = '{}'\ncall = '{call}'\n", path.display());
    }
    let suite = dir.join("pairs.toml");
    fs::write(&suite, text).with_context(|| format!("cannot write {}", suite.display()))?;
    let mut command = Command::new(dlsoak);
    command.args(["run", "-q", "--force"]).arg(&suite).arg("-o").arg(dir);
    command::soaks(&mut command, command::CARGO)?;
    Ok(dir.join("record.json"))
}

/// The first record compared with each of the others.
fn compare(dlsoak: &Path, base: &Path, others: &[PathBuf]) -> Result<Vec<Against>> {
    let mut command = Command::new(dlsoak);
    let text = command::quietly(command.args(["compare", "--json"]).arg(base).args(others), command::CARGO)?;
    let read: Comparison = serde_json::from_str(&text).context("the output of `dlsoak compare --json`")?;
    Ok(read.others)
}
