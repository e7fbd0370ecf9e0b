//! `cargo xtask mutate`: soaks damaged copies of libraries by the thousand; a failure names the copy that caused it.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use clap::Args;
use xtask::damaged::{BATCH, ORIGINALS};
use xtask::{damaged, fixtures};

use crate::{build, demo};

/// How many copies, and which.
#[derive(Args)]
pub(crate) struct Options {
    /// Damaged copies to soak
    #[arg(long, default_value_t = 2000)]
    copies: u64,
    /// Number of the first one
    #[arg(long, default_value_t = 0)]
    first: u64,
}

/// Soaks the copies; false where the supervisor failed at one.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let root = fixtures::root();
    let dlsoak = demo::release(&root)?;
    build::run(&build::Options::only(&ORIGINALS.map(str::to_owned)))?;
    let begin = std::time::Instant::now();
    let (mut ends, mut wrong) = (BTreeMap::<String, u64>::new(), 0);
    let last = options.first.saturating_add(options.copies);
    let mut from = options.first;
    while from < last {
        let to = from.saturating_add(BATCH).min(last);
        let scratch = tempfile::Builder::new().prefix("mutants-").tempdir().context("no directory")?;
        let (some, problems) = damaged::run(&dlsoak, &root, scratch.path(), from..to)?;
        for (end, count) in some {
            *ends.entry(end).or_default() += count;
        }
        for problem in problems {
            wrong += 1;
            println!("copies {from} to {}: {problem}", to - 1);
        }
        eprintln!("{to} of {last}");
        from = to;
    }
    for (end, count) in &ends {
        println!("{count:>6} {end}");
    }
    println!("\n{} copies in {:.0} s, {wrong} failures", options.copies, begin.elapsed().as_secs_f64());
    Ok(wrong == 0)
}
