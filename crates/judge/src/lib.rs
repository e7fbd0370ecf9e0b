//! From what a soak measured to growth, findings, verdict and gate. `docs/method.md` describes the method, its sources and its
//! measured error rates.
//!
//! **Invariant:** everything here is a pure function of a record, so that any saved record can be judged again, with other limits.

mod bound;
mod cohorts;
pub mod compare;
mod critical;
mod exhausted;
mod free;
mod gate;
mod growth;
mod kind;
mod ladder;
mod line;
mod lost;
pub mod merge;
mod others;
mod promise;
mod quantile;
pub mod schedule;
mod series;
mod shares;
mod staircase;
#[cfg(test)]
mod synthetic;
mod together;
mod verdict;
pub mod watch;

use dlsoak_record::{Judged, Limits, Measured, Metric, Run, Soak, Trend};

use growth::{Answer, Errors, Evidence};

pub use exhausted::{exhausted, judged_until};
pub use growth::{gogc, has_collector};
pub use others::{are_seen_at_once, is_gone, object_at_fault, problems};
pub use quantile::{binomial, of_median as interval_of_median, share as interval_of_share};
pub use shares::is_all_of_it;
pub use verdict::unused_exceptions;

/// Judges what was measured by these limits.
pub fn judge(soak: &Measured, limits: &Limits) -> Judged {
    verdict::judge(soak, limits)
}

/// A soak with its judgement, by the limits that it was asked for with.
pub fn judged(measured: Measured) -> Soak {
    let judged = judge(&measured, &measured.asked.limits());
    Soak { measured, judged }
}

/// Judges a whole run again, by the limits that each soak was asked for with. A run that was cut short stays one that did not pass.
pub fn judge_run(run: Run) -> Run {
    let soaks: Vec<Soak> = run.soaks.into_iter().map(|soak| judged(soak.measured)).collect();
    let watch = run.watch.map(watch::watch);
    let watched = watch.as_ref().is_none_or(|watch| watch::passed(watch) == Some(true));
    let something = !soaks.is_empty() || watch.is_some();
    let passed = something && watched && soaks.iter().all(|soak| soak.judged.gate.passed == Some(true));
    Run { passed, soaks, watch, ..run }
}

/// Whether growth of the heap is proven, and nothing points to the memory that grows.
pub fn is_lost(soak: &Measured) -> bool {
    lost::growth(soak, &others::growth_of(soak, &soak.asked.limits())).is_some()
}

/// Whether growth of the heap is neither proven nor excluded.
pub fn is_heap_open(soak: &Measured) -> bool {
    let evidence = others::growth_of(soak, &soak.asked.limits());
    evidence.iter().any(|evidence| evidence.growth.metric == Metric::Heap && evidence.answer.is_open())
}

/// Whether memory grows, or may grow, that a collector would free.
pub fn may_be_garbage(soak: &Measured) -> bool {
    has_collector(soak)
        && soak.instances.is_none()
        && collected(soak).iter().any(|evidence| evidence.answer != Answer::Clean)
}

/// Whether growth of memory that a collector would free is neither proven nor excluded.
pub fn is_garbage_open(soak: &Measured) -> bool {
    collected(soak).iter().any(|evidence| evidence.answer.is_open())
}

/// The evidence that decides on growth of memory that a collector would free.
fn collected(soak: &Measured) -> Vec<Evidence> {
    let mut evidence = others::growth_of(soak, &soak.asked.limits());
    evidence.retain(|evidence| verdict::decides(evidence) && kind::is_collected(evidence.growth.metric));
    evidence
}

/// Bytes that no store in the C library is assumed to hold; see [`is_plain`]. In 200 simulated soaks a sawtooth of 1,337 cycles and 200 to
/// 400 kB that survives each unload is a leak in 107, and without this in 180; a leak of 770 B per cycle shows within 256 cycles all the same.
const PLAIN: f64 = 131_072.0;

/// Bytes that no cache is assumed to hold where nothing stays but what each host has, once the pass `lost` has found that something holds what
/// grows. A cache of 5,000 entries of 64 B was a leak at 1,024 cycles; a leak of 770 B per cycle shows within 2,048 all the same.
const HELD: f64 = 1_048_576.0;

/// What a look during a soak says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// No growth at or above the limit: the soak may stop.
    Clean,
    /// A leak that more cycles would not make go away: the soak may stop.
    Leak,
    /// What looks like a leak, but a cache that is not full yet may hold it: one of what stays loaded or, before there were many cycles, one of
    /// the C library. Whether the memory is lost decides.
    LeakOrCache,
    /// Not decided.
    GoOn,
}

/// Looks at a soak that is under way; `look_index` counts the looks from 0. Look when the cycles have doubled, not
/// more often: each look spends half of the error probability that is left.
pub fn look(soak: &Measured, limits: &Limits, look_index: u32) -> Look {
    let (look, evidence) = looked(soak, limits, look_index);
    if look != Look::Leak || look_index >= schedule::LEAK_LOOKS || lost::growth(soak, &evidence).is_some() {
        return look;
    }
    if is_plain(soak, limits, look_index, &evidence) { Look::Leak } else { Look::LeakOrCache }
}

/// Whether a leak is plain at an early look: the look before found it, too, and what it adds is too much for a store of the C library, which
/// is all that survives an unload. Two octaves of the first look fit between two falls of a sawtooth of 133 cycles, which was a leak in 58 of
/// 200 simulated soaks, and is in none.
fn is_plain(soak: &Measured, limits: &Limits, look_index: u32, evidence: &[Evidence]) -> bool {
    if look_index == 0 {
        return false;
    }
    let half = series::Exposure::of(soak, Some(soak.cycles.completed / 2));
    let before =
        growth::evidence(soak, &half, Errors::at_look(look_index - 1), verdict::bounds(soak, limits));
    let leaks = |evidence: &Evidence| {
        let now = &evidence.growth;
        let leaked = |found: &Evidence| found.growth.metric == now.metric && found.answer == Answer::Leak;
        now.trend == Trend::Growing
            && (added(evidence, soak) >= PLAIN || !growth::is_memory(now.metric))
            && before.iter().any(leaked)
    };
    evidence.iter().any(leaks)
}

/// By how much a metric has grown in all cycles.
fn added(evidence: &Evidence, soak: &Measured) -> f64 {
    evidence.growth.per_cycle * soak.cycles.completed as f64
}

/// What a look says, and what it saw.
fn looked(soak: &Measured, limits: &Limits, look_index: u32) -> (Look, Vec<Evidence>) {
    let exposure = series::Exposure::of(soak, judged_until(soak, &exhausted(soak)));
    let bounds = verdict::bounds(soak, limits);
    let evidence = growth::evidence(soak, &exposure, Errors::at_look(look_index), bounds);
    let look = if verdict::has(&evidence, Answer::Leak) {
        let fits = |of: &Evidence| growth::is_memory(of.growth.metric) && added(of, soak) < HELD;
        let mut leaks = evidence.iter().filter(|of| verdict::decides(of) && of.answer == Answer::Leak);
        // What stays loaded may hold a cache that is not full yet, but no memory that nothing points to.
        let may_be_held = lost::stays(soak) || soak.lost.is_some() && leaks.all(fits);
        if may_be_held && lost::growth(soak, &evidence).is_none() { Look::LeakOrCache } else { Look::Leak }
    } else if verdict::is_undecided(&evidence) {
        Look::GoOn
    } else {
        Look::Clean
    };
    (look, evidence)
}
