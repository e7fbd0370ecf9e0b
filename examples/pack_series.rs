//! Thins recorded series and packs them into the compact form that the tests read:
//! `cargo run --release --example pack_series -- FILE.csv > tests/data/series.txt`.
//!
//! Four runs of five stay, and in every series the same two checkpoints of three. Of each metric the first
//! value and then the differences are written, `0*57` for 57 equal ones, in units of 4,096 where all are multiples.

#![allow(clippy::print_stdout, reason = "standard output is where the packed file goes")]

#[path = "../tests/it/reference.rs"]
mod reference;

use anyhow::{Context, ensure};

/// Checkpoints of each recorded series, the one at cycle 0 not counted.
const RECORDED: u64 = 200;
/// Runs of each case that are kept, of five.
const RUNS: u32 = 4;
/// Columns that are not kept: the verdict does not depend on them.
const DROPPED: [&str; 4] = ["cycle", "active_ns", "pss", "private_dirty"];

fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).context("which file?")?;
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    // Two of each three, unevenly: 66 in the last octave, as many as a soak of 200 checkpoints has there.
    let left_out = |index: u64| index % 3 == (index / 3).wrapping_mul(0x9e37_79b9) / 1024 % 3;
    let kept: Vec<u64> =
        (0..=RECORDED).filter(|index| [0, RECORDED].contains(index) || !left_out(*index)).collect();
    println!("checkpoints {}", kept.iter().map(u64::to_string).collect::<Vec<_>>().join(" "));
    for recorded in reference::parse(&text).into_iter().filter(|recorded| recorded.run < RUNS) {
        let points = &recorded.soak.checkpoints;
        let step = recorded.cycles / RECORDED;
        let even = points.rows.iter().zip(0_i64..).all(|(row, index)| row[0] == index * step as i64);
        ensure!(even && points.rows.len() as u64 == RECORDED + 1, "{} is not even", recorded.case);
        let seconds = recorded.soak.seconds;
        println!(
            "= {} {} {} {} {seconds:.3}",
            recorded.case, recorded.threads, recorded.cycles, recorded.run
        );
        for (index, column) in points.columns.iter().enumerate() {
            let name = column.name();
            if !DROPPED.contains(&name) {
                let values: Vec<i64> = kept.iter().map(|at| points.rows[*at as usize][index]).collect();
                println!("{name}{}", pack(&values));
            }
        }
    }
    Ok(())
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
