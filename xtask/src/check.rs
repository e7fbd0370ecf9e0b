//! `cargo xtask fixtures --check`: was each fixture unloaded, if not why not, and what did it leave behind? A short soak
//! of each is compared with the truth, which takes a minute where `cargo xtask truth` takes an hour. The codes of its findings are
//! compared where the short soak was enough for the true verdict.

use std::path::Path;

use anyhow::{Context, Result};
use clap::Args;
use xtask::fixtures::{self, Fixture, Situation, Table, Truth};
use xtask::judge;
use xtask::record::Soak;

use crate::truth::Soaked;
use crate::{build, demo, truth};

/// What to build, and whether to look at it.
#[derive(Args)]
pub(crate) struct Wanted {
    #[command(flatten)]
    build: build::Options,
    /// Soak each fixture shortly and compare its state, causes, residue and findings with the truth; exit code 1 where they differ
    #[arg(long)]
    check: bool,
}

/// Cycles of a short soak: enough for an arena of 1 MiB to be filled more than once.
const CYCLES: u64 = 4_000;

/// Builds the fixtures; true unless one that was checked differs from its truth.
pub(crate) fn run(options: &Wanted) -> Result<bool> {
    build::run(&options.build)?;
    if !options.check {
        return Ok(true);
    }
    let root = fixtures::root();
    let dlsoak = demo::release(&root)?;
    let table = Table::load(&root)?;
    let scratch = root.join("target/check");
    std::fs::create_dir_all(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
    print_header();
    let (mut checked, mut wrong) = (0, 0);
    let wanted = |fixture: &&Fixture| !fixture.hostile && options.build.wants(&fixture.name);
    for fixture in table.fixtures.iter().filter(wanted) {
        let Some(truth) = fixture.truth(&Situation::default()) else { continue };
        if truth.state.is_none() {
            continue;
        }
        let short = soak(&dlsoak, &scratch, fixture, truth, CYCLES);
        print(fixture, truth, &short);
        checked += 1;
        wrong += u32::from(!short.differences.is_empty());
    }
    let left_out = table.left_out(&Situation::default()).len();
    println!("\n{checked} checked, {wrong} differ, {left_out} have no truth on this machine");
    Ok(wrong == 0)
}

/// Prints what the columns of [`print`] are.
pub(crate) fn print_header() {
    println!("{:<26} {:<44} {:<44}", "fixture", "truth", "a short soak says");
}

/// Prints a fixture's truth, what a short soak says, and in what they differ.
pub(crate) fn print(fixture: &Fixture, truth: &Truth, short: &Short) {
    let causes = truth.causes.iter().map(String::as_str);
    let state = truth.state.as_deref().unwrap_or_default();
    let expected = words(state, causes, truth.residue.iter().map(|left| left.kind.as_str()));
    println!("{:<26} {expected:<44} {:<44}", fixture.name, short.said);
    for difference in &short.differences {
        println!("    {difference}");
    }
}

/// A short soak of a fixture beside its truth.
pub(crate) struct Short {
    /// State, causes and residue.
    pub(crate) said: String,
    /// Every point in which these, and the findings, differ from the truth.
    pub(crate) differences: Vec<String>,
    /// None where there is no record.
    pub(crate) soak: Option<Soak>,
}

/// Soaks a fixture for this number of cycles, or for the most that it can have, and compares.
pub(crate) fn soak(dlsoak: &Path, scratch: &Path, fixture: &Fixture, truth: &Truth, cycles: u64) -> Short {
    let made = soaked(fixture, truth, cycles).and_then(|what| truth::soak(dlsoak, scratch, &what));
    compared(truth, made)
}

/// What such a soak soaks, and how.
pub(crate) fn soaked(fixture: &Fixture, truth: &Truth, cycles: u64) -> Result<Soaked> {
    let cycles = truth.max_cycles.map_or(cycles, |most| most.min(cycles));
    Soaked::of(fixture, cycles, 1)
}

/// A soak that was made, or why there is none, beside its truth.
pub(crate) fn compared(truth: &Truth, made: Result<Soak>) -> Short {
    let soak = match made {
        Ok(soak) => soak,
        // A row, not the end: the other fixtures are soaked, too.
        Err(error) => {
            return Short {
                said: "no record".to_owned(),
                differences: vec![format!("{error:#}")],
                soak: None,
            };
        }
    };
    let causes = soak.unload.causes.iter().map(|cause| cause.kind.as_str());
    let residue = soak.residue.iter().map(|left| left.kind.as_str());
    let said = words(&soak.unload.state, causes, residue);
    let mut differences = judge::unloading(truth, &soak);
    judge::residue(truth, &soak, &mut differences);
    // A short soak may not prove what grows.
    if soak.verdict == truth.verdict {
        differences.extend(judge::codes(truth, &soak));
    }
    Short { said, differences, soak: Some(soak) }
}

fn words<'a>(
    state: &str,
    causes: impl Iterator<Item = &'a str>,
    residue: impl Iterator<Item = &'a str>,
) -> String {
    let mut text = state.to_owned();
    for (before, kinds) in [(": ", causes.collect::<Vec<_>>()), ("; leaves ", residue.collect())] {
        if !kinds.is_empty() {
            text.push_str(before);
            text.push_str(&kinds.join(", "));
        }
    }
    text
}
