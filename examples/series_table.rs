//! Prints how `analysis` judges recorded series of known truth, case by case:
//! `cargo run --release --example series_table -- FILE [LIMIT] [CASE]`. A case is printed with all its reasons.
//!
//! The file has the columns case, threads, cycles, run, cycle, active_ns and then one per metric, or is packed as
//! `tests/data/series.txt` is.

#![allow(clippy::print_stdout, reason = "printing the table is what this program is for")]

#[path = "../tests/it/reference.rs"]
mod reference;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use dlsoak::analysis::{Look, interval_of_share, judge, look};
use dlsoak::record::{Judged, Limits};
use dlsoak::record::{Measured, Metric, Trend, Verdict};
use reference::Truth;

/// What became of the runs of one case.
#[derive(Default)]
struct Row {
    clean: u32,
    leak: u32,
    undecided: u32,
    growing: BTreeSet<Metric>,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().context("which file?")?;
    let limit = arguments.next().map(|limit| limit.parse()).transpose()?;
    let shown = arguments.next();
    let policy = Limits { max_leak_rate: limit, ..Limits::default() };
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let mut coverage: BTreeMap<(Truth, Metric), (u32, u32)> = BTreeMap::new();
    let mut looks: BTreeMap<(Truth, u64), BTreeMap<String, u32>> = BTreeMap::new();
    let mut table: BTreeMap<(Truth, String, u32, u64), Row> = BTreeMap::new();
    let series =
        if text.starts_with("checkpoints") { reference::unpack(&text) } else { reference::parse(&text) };
    for recorded in series {
        let judgement = judge(&recorded.soak, &policy);
        if shown.as_ref() == Some(&recorded.case) {
            println!("{} {} {} {}", recorded.case, recorded.threads, recorded.cycles, recorded.run);
            print(&judgement);
        }
        if let Some(rate) = recorded.heap_rate() {
            for growth in judgement.growth.iter().filter(|g| [Metric::Heap, Metric::Rss].contains(&g.metric))
            {
                let (covered, all) = coverage.entry((recorded.truth(), growth.metric)).or_default();
                // A chunk may cost a little more than itself in a fragmented heap, a page more than its content.
                let (low, high) = (growth.low - 0.01 - rate * 0.01, growth.high + 0.01 + rate * 0.01);
                *covered += u32::from((low..=high).contains(&rate));
                *all += 1;
            }
        }
        let decided = first_decision(&recorded.soak, &policy);
        *looks.entry((recorded.truth(), recorded.cycles)).or_default().entry(decided).or_default() += 1;
        let row =
            table.entry((recorded.truth(), recorded.case, recorded.threads, recorded.cycles)).or_default();
        match judgement.verdict {
            Verdict::Clean => row.clean += 1,
            Verdict::Leak => row.leak += 1,
            _ => row.undecided += 1,
        }
        row.growing.extend(judgement.growth.iter().filter(|g| g.trend == Trend::Growing).map(|g| g.metric));
    }
    println!("truth      case                   threads  cycles  clean  leak  undecided  growing");
    let mut sums: BTreeMap<(Truth, u64), [u32; 3]> = BTreeMap::new();
    for ((truth, case, threads, cycles), row) in table {
        let Row { clean, leak, undecided, growing } = row;
        let sum = sums.entry((truth, cycles)).or_default();
        for (sum, part) in sum.iter_mut().zip([clean, leak, undecided]) {
            *sum += part;
        }
        let truth = format!("{truth:?}");
        println!(
            "{truth:10} {case:22} {threads:7} {cycles:7} {clean:6} {leak:5} {undecided:10}  {growing:?}"
        );
    }
    println!("\ntruth       cycles  clean  leak  undecided   clean, 95 %    leak, 95 %");
    for ((truth, cycles), [clean, leak, undecided]) in sums {
        let share = |part: u32| {
            let (low, high) = interval_of_share(u64::from(part), u64::from(clean + leak + undecided));
            format!("{:.1}-{:.1}", low * 100.0, high * 100.0)
        };
        let (truth, passed, found) = (format!("{truth:?}"), share(clean), share(leak));
        println!("{truth:10} {cycles:7} {clean:6} {leak:5} {undecided:10} {passed:>13} {found:>13}");
    }
    println!("\n95 % intervals that cover the truth, runs of 20,000 cycles and more");
    for ((truth, metric), (covered, all)) in coverage {
        println!("{truth:?} {metric:?}: {covered} of {all}");
    }
    println!(
        "\nfirst decision of looks at an eighth, a quarter, half and all of the run, as if all were unloaded"
    );
    for ((truth, cycles), decisions) in looks {
        println!("{truth:?} {cycles}: {decisions:?}");
    }
    Ok(())
}

/// What the first look to decide says, and at which share of the run.
fn first_decision(soak: &Measured, policy: &Limits) -> String {
    for (index, share) in [8, 4, 2, 1].into_iter().enumerate() {
        let mut part = soak.clone();
        let until = (soak.cycles.requested / share) as i64;
        part.checkpoints.rows.retain(|row| row[0] <= until);
        part.cycles.completed = soak.cycles.requested / share;
        part.seconds = soak.seconds / share as f64;
        let look = look(&part, policy, index as u32);
        if matches!(look, Look::Clean | Look::Leak) {
            return format!("{look:?} at 1/{share}");
        }
    }
    "none".to_owned()
}

fn print(judgement: &Judged) {
    println!("  {:?}, gate {:?}", judgement.verdict, judgement.gate.passed);
    for reason in &judgement.findings {
        println!("    - {reason:?}");
    }
    for rule in &judgement.gate.rules {
        println!("    {}: {:?} | {:?} | {:?}", rule.name.name(), rule.limit, rule.measured, rule.passed);
    }
    for g in &judgement.growth {
        println!(
            "      {:?} {:.3} [{:.3}, {:.3}] detectable {:.3} {:?} exact {}",
            g.metric, g.per_cycle, g.low, g.high, g.detectable, g.trend, g.exact
        );
    }
}
