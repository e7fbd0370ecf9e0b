//! Prints how `analysis` judges recorded series of known truth, case by case:
//! `cargo run --release --example series_table -- FILE.csv [LIMIT]`.
//!
//! The file has the columns case, threads, cycles, run, cycle, active_ns and then one per metric.

#![allow(clippy::print_stdout, reason = "printing the table is what this program is for")]

#[path = "../tests/it/reference.rs"]
mod reference;

use std::collections::BTreeMap;

use anyhow::Context;
use dlsoak::analysis::{Policy, judge};
use dlsoak::record::{Metric, Verdict};
use reference::Recorded;

/// Case, threads and cycles.
type Key = (String, u32, u64);

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().context("which file?")?;
    let limit = arguments.next().map(|limit| limit.parse()).transpose()?;
    let detail = arguments.next();
    let policy = Policy { max_leak_rate: limit, ..Policy::default() };
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let mut table: BTreeMap<Key, Vec<(Verdict, Vec<Metric>)>> = BTreeMap::new();
    for recorded in reference::parse(&text) {
        let Recorded { case, threads, cycles, run, soak, .. } = recorded;
        let judgement = judge(&soak, &policy);
        if detail.as_deref() == Some(case.as_str()) {
            println!("{case} {threads} {cycles} {run}: {:?} {:#?}", judgement.verdict, judgement.reasons);
            for g in &judgement.growth {
                println!(
                    "    {:?} {:.3} [{:.3}, {:.3}] det {:.3} {:?} exact={}",
                    g.metric, g.per_cycle, g.low, g.high, g.detectable, g.trend, g.exact
                );
            }
        }
        let growing = judgement.growth.iter().filter(|g| g.trend == dlsoak::record::Trend::Growing);
        table
            .entry((case, threads, cycles))
            .or_default()
            .push((judgement.verdict, growing.map(|g| g.metric).collect()));
    }
    println!(
        "{:22} {:>3} {:>7}  {:>5} {:>5} {:>5}  growing",
        "case", "thr", "cycles", "clean", "leak", "undec"
    );
    for ((case, threads, cycles), verdicts) in table {
        let count = |verdict| verdicts.iter().filter(|(v, _)| *v == verdict).count();
        let mut metrics: BTreeMap<Metric, usize> = BTreeMap::new();
        for metric in verdicts.iter().flat_map(|(_, metrics)| metrics) {
            *metrics.entry(*metric).or_default() += 1;
        }
        println!(
            "{case:22} {threads:>3} {cycles:>7}  {:>5} {:>5} {:>5}  {metrics:?}",
            count(Verdict::Clean),
            count(Verdict::Leak),
            count(Verdict::Inconclusive)
        );
    }
    Ok(())
}
