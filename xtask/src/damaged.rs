//! Soaks damaged copies of libraries, many in one run: whatever is in a file, the supervisor comes to an end with it.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result};

use crate::fixtures::{Table, directory};
use crate::mutants::mutant;
use crate::record;
use crate::watched;

/// What is damaged: plain C, a symbol that pins, and thread-local storage.
pub const ORIGINALS: [&str; 3] = ["c-clean", "cpp-unique", "c-tls"];

/// Copies that one run soaks.
pub const BATCH: u64 = 100;

/// How a soak may end.
const ENDS: [&str; 6] = ["completed", "load-failed", "crashed", "hung", "exited", "limit"];

/// The original of the copy with this number.
///
/// # Errors
/// When it is not built.
pub fn original(root: &Path, number: u64) -> Result<Vec<u8>> {
    let name = ORIGINALS[(number % ORIGINALS.len() as u64) as usize];
    let path = directory(root).join(Table::load(root)?.get(name)?.file_name());
    fs::read(&path).with_context(|| format!("cannot read {}: run `cargo xtask fixtures`", path.display()))
}

/// Soaks the copies with these numbers in one run; how many came to each end, and what is wrong with the run.
/// `scratch` is a directory of its own.
///
/// # Errors
/// When the program can't be run, or leaves no record.
pub fn run(
    dlsoak: &Path,
    root: &Path,
    scratch: &Path,
    copies: Range<u64>,
) -> Result<(BTreeMap<String, u64>, Vec<String>)> {
    let mut suite = String::from(
        "[suite]\nname = 'damaged'\n[defaults]\ncycles = 3\nwarmup = 1\ncall = 'fibonacci(20)'\n\
         stall-timeout = '700ms'\nmemory-limit = '1GiB'\n",
    );
    for number in copies.clone() {
        let name = format!("mutant-{number}");
        let path = scratch.join(format!("{name}.so"));
        fs::write(&path, mutant(&original(root, number)?, number / ORIGINALS.len() as u64))
            .with_context(|| format!("cannot write {}", path.display()))?;
        suite.push_str(&format!("[[library]]\nname = '{name}'\npath = '{}'\n", path.display()));
    }
    let watched = watched::run(dlsoak, root, scratch, &suite, &|_| {})?;
    let mut problems = watched.problems;
    if !record::is_left_by(watched.code) {
        problems.push(format!("its exit code is {:?}", watched.code));
    }
    let asked = copies.end.saturating_sub(copies.start);
    if watched.run.soaks.len() as u64 != asked {
        problems
            .push(format!("{asked} soaks were asked for, and {} are in the record", watched.run.soaks.len()));
    }
    let mut ends = BTreeMap::new();
    for soak in &watched.run.soaks {
        if !ENDS.contains(&soak.outcome.kind.as_str()) {
            problems.push(format!("{} ended with {}", soak.name, soak.outcome.kind));
        }
        *ends.entry(soak.outcome.kind.clone()).or_default() += 1;
    }
    Ok((ends, problems))
}
