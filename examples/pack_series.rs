//! Packs recorded series into the compact form that the tests read:
//! `cargo run --release --example pack_series -- FILE.csv > tests/data/series.txt`.
//!
//! Of series with even checkpoints four runs of five stay, and in every series the same two checkpoints of three. Of those with a
//! schedule all stay. Where one soak is in the file at several lengths, the longest is written with the checkpoints of all, and is
//! thinned again when it is read. Of each metric the first value and then the differences are written, `0*57` for 57 equal ones, in units
//! of 4,096 where all are multiples.

#![allow(clippy::print_stdout, reason = "standard output is where the packed file goes")]

#[path = "../tests/it/reference.rs"]
mod reference;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use reference::Recorded;

/// Checkpoints of each recorded series, the one at cycle 0 not counted.
const RECORDED: u64 = 200;
/// Runs of each case that are kept, of five.
const RUNS: u32 = 4;
/// Columns that are not kept: the verdict does not depend on them.
const DROPPED: [&str; 3] = ["active_ns", "pss", "private_dirty"];

fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).context("which file?")?;
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let recorded = reference::parse(&text);
    let step = |recorded: &Recorded| recorded.cycles / RECORDED;
    let is_even = |recorded: &Recorded| {
        let rows = &recorded.soak.checkpoints.rows;
        let cycles = rows.iter().zip(0_i64..);
        cycles.clone().all(|(row, index)| row[0] == index * step(recorded) as i64)
            && rows.len() as u64 == RECORDED + 1
    };
    if recorded.iter().all(is_even) {
        even(&recorded)
    } else {
        scheduled(&recorded)
    }
    Ok(())
}

/// Prints series whose checkpoints are even.
fn even(series: &[Recorded]) {
    // Two of each three, unevenly: 66 in the last octave, as many as a soak of 200 checkpoints has there.
    let left_out = |index: u64| index % 3 == (index / 3).wrapping_mul(0x9e37_79b9) / 1024 % 3;
    let kept: Vec<u64> =
        (0..=RECORDED).filter(|index| [0, RECORDED].contains(index) || !left_out(*index)).collect();
    println!("checkpoints {}", kept.iter().map(u64::to_string).collect::<Vec<_>>().join(" "));
    for recorded in series.iter().filter(|recorded| recorded.run < RUNS) {
        let rows: Vec<&Vec<i64>> =
            kept.iter().map(|at| &recorded.soak.checkpoints.rows[*at as usize]).collect();
        print(recorded, &recorded.cycles.to_string(), &rows, &["cycle"]);
    }
}

/// Prints series with the cycles of their checkpoints, each soak once.
fn scheduled(series: &[Recorded]) {
    println!("checkpoints");
    let mut soaks: BTreeMap<(&str, u32, u32), Vec<&Recorded>> = BTreeMap::new();
    for recorded in series {
        soaks.entry((&recorded.case, recorded.threads, recorded.run)).or_default().push(recorded);
    }
    for lengths in soaks.into_values() {
        let Some(longest) = lengths.iter().max_by_key(|recorded| recorded.cycles) else { continue };
        let rows: BTreeMap<i64, &Vec<i64>> =
            lengths.iter().flat_map(|one| &one.soak.checkpoints.rows).map(|row| (row[0], row)).collect();
        let cycles: BTreeSet<u64> = lengths.iter().map(|one| one.cycles).collect();
        let cycles: Vec<String> = cycles.iter().map(u64::to_string).collect();
        print(longest, &cycles.join(","), &rows.into_values().collect::<Vec<_>>(), &[]);
    }
}

/// Prints one soak without the columns that are dropped.
fn print(recorded: &Recorded, cycles: &str, rows: &[&Vec<i64>], dropped: &[&str]) {
    let seconds = recorded.soak.seconds;
    println!("= {} {} {cycles} {} {seconds:.3}", recorded.case, recorded.threads, recorded.run);
    for (index, column) in recorded.soak.checkpoints.columns.iter().enumerate() {
        let name = column.name();
        if !DROPPED.contains(&name) && !dropped.contains(&name) {
            println!("{name}{}", pack(&rows.iter().map(|row| row[index]).collect::<Vec<_>>()));
        }
    }
}

/// The values as differences.
fn pack(values: &[i64]) -> String {
    let unit = if values.iter().all(|value| value % 4096 == 0) { 4096 } else { 1 };
    let mut text = if unit == 1 { String::new() } else { format!("@{unit}") };
    let mut last = 0;
    let differences: Vec<i64> =
        values.iter().map(|value| (value - std::mem::replace(&mut last, *value)) / unit).collect();
    for run in differences.chunk_by(|a, b| a == b) {
        text += &format!(" {}", run[0]);
        if run.len() > 1 {
            text += &format!("*{}", run.len());
        }
    }
    text
}
