//! What the evidence means, in plain words: amounts, rates, and what kind of leak each metric speaks of.

use super::growth::{Evidence, Finding, is_memory};
use dlsoak_record::Metric;
pub(crate) use dlsoak_record::units::{bytes, count, number};

/// What people call the metric.
pub(super) fn name(metric: Metric) -> &'static str {
    match metric {
        Metric::Heap => "heap",
        Metric::Rss => "resident memory",
        Metric::Anon => "anonymous memory",
        Metric::PrivateDirty => "private dirty memory",
        Metric::Pss => "proportional set size",
        Metric::Virtual => "address space",
        Metric::PageTables => "page tables",
        Metric::Mappings => "mappings",
        Metric::Threads => "threads",
        Metric::Fds => "file descriptors",
    }
}

/// True for names that take a plural verb.
fn is_plural(metric: Metric) -> bool {
    matches!(metric, Metric::PageTables | Metric::Mappings | Metric::Threads | Metric::Fds)
}

/// The metric with its verb: `heap grows`, `threads grow`.
pub(super) fn grows(metric: Metric) -> String {
    format!("{} {}", name(metric), if is_plural(metric) { "grow" } else { "grows" })
}

/// The metric with its verb: `heap is`, `threads are`.
fn is(metric: Metric) -> String {
    format!("{} {}", name(metric), if is_plural(metric) { "are" } else { "is" })
}

/// A rate per cycle, with its unit.
pub(super) fn rate(metric: Metric, per_cycle: f64) -> String {
    if is_memory(metric) {
        format!("{} B/cycle", number(per_cycle))
    } else {
        format!("{} {}/cycle", number(per_cycle), metric.name())
    }
}

/// The rate with its interval.
pub(super) fn interval(evidence: &Evidence) -> String {
    let growth = &evidence.growth;
    let rate = rate(growth.metric, growth.per_cycle);
    if growth.exact && growth.low == growth.high {
        format!("{rate} exactly")
    } else if growth.low < -1e300 || growth.high > 1e300 {
        "too few checkpoints to say".to_owned()
    } else {
        format!("{rate} (95 %: {} to {})", number(growth.low), number(growth.high))
    }
}

/// What kind of leak it may be, from the metrics in which it is proven; `None` where none is.
pub(super) fn kind(evidence: &[Evidence], stated: Option<Metric>) -> Option<&'static str> {
    let proven = |metric| evidence.iter().any(|e| e.growth.metric == metric && e.finding == Finding::Leak);
    if proven(Metric::Threads) {
        return Some("threads are started and do not end; the memory is theirs: stacks and what they hold");
    }
    Some(match stated? {
        Metric::Heap => "memory from malloc that is not freed",
        Metric::Anon => "the heap does not account for it: an allocator of its own, or mmap without munmap",
        // What one process alone maps shared and writes counts as its private dirty memory.
        Metric::PrivateDirty | Metric::Rss | Metric::Pss => {
            "neither heap nor anonymous: a shared mapping, a memfd or a file that stays mapped"
        }
        Metric::PageTables => {
            "page tables: address space that is touched here and there, or mapped far apart"
        }
        Metric::Virtual => "address space only: mapped and not written to",
        Metric::Mappings | Metric::Threads | Metric::Fds => return None,
    })
}

/// Why the metrics that are neither clean nor leaks are undecided: one sentence for each finding, on the metric
/// that tells most, with the others named.
pub(super) fn all_undecided(evidence: &[&Evidence]) -> Vec<String> {
    let mut sentences = Vec::new();
    for finding in [Finding::Late, Finding::Fading, Finding::Undecided] {
        let alike: Vec<&&Evidence> = evidence.iter().filter(|e| e.finding == finding).collect();
        let Some((first, others)) = alike.split_first() else { continue };
        let names: Vec<&str> = others.iter().map(|e| name(e.growth.metric)).collect();
        let also =
            if names.is_empty() { String::new() } else { format!(" (the same in {})", names.join(", ")) };
        sentences.push(format!("{}{also}", undecided(first)));
    }
    sentences
}

/// Why one metric that is neither clean nor a leak is undecided.
fn undecided(evidence: &Evidence) -> String {
    let metric = evidence.growth.metric;
    let would_tell = evidence
        .cycles_needed
        .map_or_else(String::new, |cycles| format!("; {} cycles would tell", count(cycles)));
    let rates = |count: usize| {
        let mut rates: Vec<String> = evidence.rates.iter().take(count).map(|rate| number(*rate)).collect();
        rates.reverse();
        rates.join(", ")
    };
    let unit = if is_memory(metric) { "B" } else { metric.name() };
    match evidence.finding {
        _ if evidence.growth.high > 1e300 => {
            format!("{}: too few checkpoints in the last octaves to say anything{would_tell}", name(metric))
        }
        Finding::Fading => {
            let count = evidence.rates.len().min(3);
            let last = if count == 3 { "three" } else { "two" };
            format!(
                "{} still slowing down: {} {unit}/cycle in the last {last} octaves, as a cache does that fills\
                 {would_tell}",
                is(metric),
                rates(count)
            )
        }
        Finding::Late => format!(
            "{} in the last half of the run only: {} {unit}/cycle after {} before it{would_tell}",
            grows(metric),
            evidence.rates.first().map_or_else(String::new, |rate| number(*rate)),
            evidence.rates.get(1).map_or_else(String::new, |rate| number(*rate)),
        ),
        Finding::Undecided | Finding::Leak | Finding::Clean => format!(
            "{} undecided: {}, while clean would be below {}{would_tell}",
            is(metric),
            interval(evidence),
            rate(metric, evidence.bounds.clean_below),
        ),
    }
}
