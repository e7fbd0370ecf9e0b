//! What a cycle costs, by language and phase, with all phases timed: the medians of the turns' own medians and means.
//!
//! `cargo xtask bench --bench cycle`.

#![allow(clippy::print_stdout)]

use std::path::Path;

use anyhow::{Context as _, Result};
use dlsoak::Soak;
use dlsoak::record::Latency;

/// Turns of each library.
const ROUNDS: usize = 7;
const CYCLES: u64 = 20_000;
/// Fixtures that leave nothing behind, one of each language.
const FIXTURES: [&str; 4] = ["c-clean", "cpp-clean", "rust-clean", "go-clean"];

fn main() -> Result<()> {
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let directory = xtask::fixtures::directory(&xtask::fixtures::root());
    let mut turns = FIXTURES.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for (name, turns) in FIXTURES.iter().zip(&mut turns) {
            turns.push(latencies(&directory.join(format!("lib{name}.so")))?);
        }
    }
    println!("ns per cycle, median / mean, medians of {ROUNDS} turns of {CYCLES} cycles\n");
    println!("  {:<14}{:>18}{:>18}{:>18}{:>18}{:>18}", "", "open", "symbol", "call", "close", "cycle");
    for (name, turns) in FIXTURES.iter().zip(&turns) {
        let phase = |index: usize| {
            let of = |value: fn(&Latency) -> f64| {
                let mut values: Vec<f64> =
                    turns.iter().filter_map(|turn| turn.get(index)).map(value).collect();
                values.sort_by(f64::total_cmp);
                values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
            };
            format!(
                "{:>18}",
                format!("{:.0} / {:.0}", of(|latency| latency.p50 as f64), of(|latency| latency.mean))
            )
        };
        println!("  {name:<14}{}", (0..5).map(phase).collect::<String>());
    }
    Ok(())
}

/// The phases of one turn, and the whole cycle.
fn latencies(library: &Path) -> Result<Vec<Latency>> {
    let soaked = Soak::new(library).cycles(CYCLES).call("fibonacci(20)").run()?;
    let of = &soaked.soak().latency_ns;
    let all = [&of.open, &of.symbol, &of.call, &of.close, &of.cycle];
    all.into_iter().map(|phase| phase.clone().context("a phase that was not timed")).collect()
}
