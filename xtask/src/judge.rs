//! Holds what a soak measured against what is true of its fixture. One place, so that the demo, the truth table and
//! the integration tests mean the same by "as expected".

use std::collections::BTreeSet;

use serde_json::Value;

use crate::fixtures::{Fixture, Per, Rate, Situation, Truth};
use crate::record::{Finding, Growth, Outcome, Soak};

/// An exact rate may be off by this part of itself.
pub const TOLERANCE: f64 = 0.01;

/// A rate of residue may be off by this part of itself: it is the difference of two counts, and what comes every
/// tenth load falls on either side of a checkpoint.
const RESIDUE_TOLERANCE: f64 = 0.05;

/// Growth per cycle that a metric which does not grow may show: half a byte of heap, one thing in a hundred cycles.
const STILL: [(&str, f64); 3] = [("heap", 0.5), ("threads", 0.01), ("fds", 0.01)];

/// Codes of counts that grow. Such a count may be listed among the metrics that grow as a consequence, and then it need not be proven.
const COUNTS: [(&str, &str); 3] =
    [("leak-threads", "threads"), ("leak-fds", "fds"), ("leak-mappings", "mappings")];

/// What follows a heap that grows, in pages and at its own pace.
const FOLLOW_HEAP: [&str; 6] = ["rss", "anon", "private_dirty", "pss", "virtual", "page_tables"];

/// The situation that a soak was made in.
pub fn situation(soak: &Soak) -> Situation<'_> {
    Situation {
        threads: soak.asked.threads,
        mode: &soak.asked.mode,
        call_from: &soak.asked.call_from,
        share_path: soak.share_path,
        libc: soak.worker.libc(),
        machine: soak.machine.as_deref().unwrap_or(std::env::consts::ARCH),
        ..Situation::default()
    }
}

/// Every point in which a soak differs from what is true of its fixture, in plain words; empty when none does.
pub fn differences(fixture: &Fixture, soak: &Soak) -> Vec<String> {
    let Some(truth) = fixture.truth(&situation(soak)) else {
        return vec![
            "fixtures.toml says nothing about this mode, number of threads, C library and machine".to_owned(),
        ];
    };
    let mut found = Vec::new();
    end(truth, soak, &mut found);
    if !accepted(truth, &soak.verdict) {
        let why = soak.findings.first().map(|finding| format!(" ({})", finding.code)).unwrap_or_default();
        found.push(format!("verdict is {}{why}, not {}", soak.verdict, truth.verdict));
    }
    found.extend(codes(truth, soak));
    // Where the harm is not survived here, nothing more was measured.
    if truth.end.is_none() && soak.outcome.kind != "completed" && truth.accept.contains(&soak.outcome.kind) {
        return found;
    }
    unload(truth, soak, &mut found);
    growth(truth, soak, &mut found);
    residue(truth, soak, &mut found);
    found
}

/// Whether this verdict is not wrong: the true one, or one that is less sharp.
pub fn accepted(truth: &Truth, verdict: &str) -> bool {
    truth.verdict == verdict || truth.accept.iter().any(|other| other == verdict)
}

/// What was measured of a metric, by what its true rate counts by.
pub fn measured(truth: &Truth, growth: &Growth) -> f64 {
    match truth.per {
        Per::Load => growth.per_load.unwrap_or(growth.per_cycle),
        Per::Call => growth.per_cycle,
    }
}

/// The true rate of a metric; none where the table leaves it open.
pub fn known(truth: &Truth, metric: &str) -> Option<f64> {
    if let Some(rate) = truth.growth.get(metric) {
        return Some(rate.value());
    }
    let open = |metric: &str| truth.also.iter().any(|also| also == metric);
    let heap_moves = truth.growth.contains_key("heap") || open("heap");
    if open(metric) || heap_moves && FOLLOW_HEAP.contains(&metric) { None } else { Some(0.0) }
}

/// Whether the interval of a soak holds the true rate. A count has no width: it may be off as little as any exact
/// rate.
pub fn covers(truth: &Truth, growth: &Growth, rate: f64) -> bool {
    let scale = if growth.per_cycle == 0.0 { 1.0 } else { measured(truth, growth) / growth.per_cycle };
    let slack = if growth.exact { still(&growth.metric).max(TOLERANCE * rate.abs()) } else { 0.0 };
    (growth.low * scale - slack..=growth.high * scale + slack).contains(&rate)
}

/// How far an exact rate is off, as a part of itself; none where the truth is not an exact rate.
pub fn error(truth: &Truth, growth: &Growth) -> Option<f64> {
    match truth.growth.get(&growth.metric) {
        Some(Rate::Exact(rate)) if *rate != 0.0 => Some((measured(truth, growth) - rate).abs() / rate.abs()),
        _ => None,
    }
}

fn still(metric: &str) -> f64 {
    STILL.iter().find(|(name, _)| *name == metric).map_or(0.0, |(_, limit)| *limit)
}

fn end(truth: &Truth, soak: &Soak, found: &mut Vec<String>) {
    let outcome = &soak.outcome;
    let Some(end) = &truth.end else {
        if outcome.kind != "completed" && !truth.accept.contains(&outcome.kind) {
            found.push(format!("it did not complete: {} ({})", outcome.kind, outcome.why));
        }
        return;
    };
    // As it may end where the harm is not possible: a user who may not, a processor that can't.
    if truth.accept.contains(&soak.verdict) {
        return;
    }
    if outcome.kind != end.kind {
        found.push(format!("it {}, and should have {}", outcome.kind, end.kind));
    }
    for (what, expected, actual) in
        [("signal", &end.signal, &outcome.signal), ("phase", &end.phase, &outcome.phase)]
    {
        if expected.is_some() && expected != actual {
            found.push(format!("{what} is {actual:?}, not {expected:?}"));
        }
    }
    if end.cycle.is_some() && end.cycle != outcome.cycle {
        found.push(format!("cycle is {:?}, not {:?}", outcome.cycle, end.cycle));
    }
    let place = outcome.fault.as_ref().map_or(&Value::Null, |fault| &fault.place);
    for (what, expected, actual) in [("why", &end.why, &outcome.why), ("place", &end.place, place)] {
        if let Some(expected) = expected
            && !holds(expected, actual, what)
        {
            found.push(format!("its {what} is not {expected}, but {actual}"));
        }
    }
    if let Some(function) = &end.stack
        && !in_first_stack(outcome, function)
    {
        found.push(format!("its first stack has no `{function}`: {:?}", outcome.stacks));
    }
}

/// Whether all that is expected is so, by names; of texts that a library or a loader makes, a part is enough.
fn holds(expected: &Value, actual: &Value, name: &str) -> bool {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => expected
            .iter()
            .all(|(name, expected)| actual.get(name).is_some_and(|actual| holds(expected, actual, name))),
        (Value::String(expected), Value::String(actual)) if matches!(name, "line" | "said") => {
            actual.contains(expected)
        }
        _ => expected == actual,
    }
}

/// Whether the first thread's stack has a frame of this function; a demangled name may have its arguments behind it.
fn in_first_stack(outcome: &Outcome, function: &str) -> bool {
    let first = outcome.stacks.iter().flatten().next();
    let mut names = first.into_iter().flat_map(|stack| &stack.frames).filter_map(|f| f.function.as_deref());
    names.any(|name| {
        let of = |name: &str| {
            let rest = name.strip_prefix(function);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '+', '(']))
        };
        of(name) || name.split_once("::").is_some_and(|(_, name)| of(name))
    })
}

/// Every code that is missing among the findings of severity `fail` or `undecided`, or is one of them and should not be. A verdict that
/// is accepted instead of the true one comes with codes of its own, so these are not compared.
pub fn codes(truth: &Truth, soak: &Soak) -> Vec<String> {
    if truth.verdict != soak.verdict && truth.accept.contains(&soak.verdict) {
        return Vec::new();
    }
    let counts = |finding: &&Finding| matches!(finding.severity.as_str(), "fail" | "undecided");
    let given: BTreeSet<&str> =
        soak.findings.iter().filter(counts).map(|finding| finding.code.as_str()).collect();
    let expected: BTreeSet<&str> = truth.findings.iter().map(String::as_str).collect();
    let may = |code: &str| {
        let kind = code.strip_prefix("residue-");
        let counted = |also: &str| COUNTS.iter().any(|(of, metric)| *of == code && also == *metric);
        truth.also.iter().any(|also| kind == Some(also) || counted(also))
    };
    let missing = expected.difference(&given).map(|code| format!("finding {code} is missing"));
    let wrong = given.difference(&expected).filter(|code| !may(code));
    missing.chain(wrong.map(|code| format!("finding {code} is reported and is not true"))).collect()
}

/// Every point in which state, causes and objects left differ from the truth.
pub fn unloading(truth: &Truth, soak: &Soak) -> Vec<String> {
    let mut found = Vec::new();
    unload(truth, soak, &mut found);
    found
}

fn unload(truth: &Truth, soak: &Soak, found: &mut Vec<String>) {
    let unload = &soak.unload;
    let Some(state) = &truth.state else { return };
    if unload.state != *state {
        found.push(format!("it is {}, not {state}", unload.state));
    }
    let (loads, unloads) = (unload.loads_per_cycle, unload.unloads_per_cycle);
    let as_stated = match state.as_str() {
        // What stays is loaded once more by each cycle that opens another copy, or in another namespace.
        "pinned" if matches!(soak.asked.mode.as_str(), "copies" | "namespace") => true,
        "pinned" => loads == 0.0 && unloads == 0.0,
        // On one shared path an open that finds the library loaded is no load.
        _ if soak.share_path => loads > 0.0 && (loads - unloads).abs() < 0.01,
        _ => loads >= 1.0 && (loads - unloads).abs() < 0.01,
    };
    if !as_stated {
        found.push(format!("{loads} loads and {unloads} unloads per cycle do not fit {state}"));
    }
    for name in &truth.objects_left {
        if !unload.objects_left.iter().any(|path| path.ends_with(name.as_str())) {
            found.push(format!("{name} stayed and is not among the objects left"));
        }
    }
    for cause in &truth.causes {
        if !unload.causes.iter().any(|given| given.kind == *cause) {
            found.push(format!("cause {cause} is not named"));
        }
    }
    for given in &unload.causes {
        if !truth.causes.contains(&given.kind) {
            found.push(format!("cause {} is named and is none", given.kind));
        }
    }
}

fn growth(truth: &Truth, soak: &Soak, found: &mut Vec<String>) {
    if truth.end.is_some() {
        return;
    }
    for (metric, rate) in &truth.growth {
        match soak.growth.iter().find(|growth| growth.metric == *metric) {
            None => found.push(format!("growth of {metric} is missing")),
            Some(growth) if error(truth, growth).is_some_and(|error| error > TOLERANCE) => {
                let value = measured(truth, growth);
                found.push(format!("{metric} grows by {value:.3}, not {}", rate.value()));
            }
            Some(_) => {}
        }
    }
    for (metric, limit) in STILL {
        if known(truth, metric) != Some(0.0) {
            continue;
        }
        let Some(growth) = soak.growth.iter().find(|growth| growth.metric == metric) else { continue };
        if growth.per_cycle.abs() > limit {
            found.push(format!("{metric} grows by {:.3} per cycle and should not", growth.per_cycle));
        }
    }
}

/// Adds every point in which the residue of a soak differs from the truth.
pub fn residue(truth: &Truth, soak: &Soak, found: &mut Vec<String>) {
    for left in &truth.residue {
        let Some(told) = soak.residue.iter().find(|told| told.kind == left.kind) else {
            found.push(format!("residue {} is missing", left.kind));
            continue;
        };
        // On a shared path it grows per real load, of which there are fewer than cycles.
        let Some(rate) = left.per_cycle.filter(|_| !soak.share_path) else { continue };
        let measured = told.per_cycle.unwrap_or(0.0);
        if (measured - rate).abs() > RESIDUE_TOLERANCE * rate {
            found.push(format!("residue {} grows by {measured:.3} per cycle, not {rate}", left.kind));
        }
    }
    for told in &soak.residue {
        // What a process that came to a bad end had then is seen or not.
        let may = truth.end.is_some() && truth.also.contains(&told.kind);
        if !may && !truth.residue.iter().any(|left| left.kind == told.kind) {
            found.push(format!("residue {} is reported and is not true", told.kind));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{Table, root};

    fn soak(state: &str, loads: f64, heap: f64, verdict: &str, codes: &[&str]) -> Soak {
        let fails = |code: &&str| serde_json::json!({"code": code, "severity": "fail"});
        let findings: Vec<Value> = codes.iter().map(fails).collect();
        let causes: &[_] = if state == "pinned" { &[serde_json::json!({"kind": "nodelete"})] } else { &[] };
        serde_json::from_value(serde_json::json!({
            "name": "x", "seconds": 1.0, "verdict": verdict,
            "outcome": {"kind": "completed"},
            "unload": {"state": state, "loads_per_cycle": loads, "unloads_per_cycle": loads, "causes": causes},
            "growth": [{"metric": "heap", "per_cycle": heap, "low": heap, "high": heap}],
            "findings": findings,
        }))
        .unwrap()
    }

    #[test]
    fn a_soak_that_shows_the_truth_does_not_differ() {
        let table = Table::load(&root()).unwrap();
        let leak = table.get("c-leak-constructor").unwrap();
        let leaks = soak("unloaded", 1.0, 32.1, "leak", &["leak-heap"]);
        assert_eq!(differences(leak, &leaks), Vec::<String>::new());
        let go = table.get("go-clean").unwrap();
        let stays = soak("pinned", 0.0, 0.0, "pinned", &["pinned-nodelete"]);
        assert_eq!(differences(go, &stays), Vec::<String>::new());
    }

    #[test]
    fn what_the_table_leaves_open_is_not_judged() {
        let table = Table::load(&root()).unwrap();
        let truth = &table.get("c-leak-constructor").unwrap().truths[0];
        assert_eq!(known(truth, "heap"), Some(32.0));
        assert_eq!(known(truth, "rss"), None);
        assert_eq!(known(truth, "fds"), Some(0.0));
    }

    #[test]
    fn an_interval_covers_a_rate_per_load_as_one_per_cycle() {
        let table = Table::load(&root()).unwrap();
        let truth = &table.get("c-leak-constructor").unwrap().truths[0];
        let growth = |low: f64, per_cycle: f64, high: f64, per_load: Option<f64>| Growth {
            metric: "heap".to_owned(),
            per_cycle,
            low,
            high,
            per_load,
            exact: false,
        };
        assert!(covers(truth, &growth(31.0, 32.0, 33.0, None), 32.0));
        assert!(!covers(truth, &growth(33.0, 34.0, 35.0, None), 32.0));
        assert!(covers(truth, &growth(7.9, 8.0, 8.1, Some(32.1)), 32.0));
    }

    #[test]
    fn what_is_expected_of_an_end_is_a_part_of_what_is_recorded() {
        let actual = serde_json::json!({"kind": "crash", "said": {"line": "a: no room"}, "status": 3});
        let is = |expected: Value| holds(&expected, &actual, "why");
        assert!(is(serde_json::json!({"kind": "crash", "said": {"line": "no room"}})));
        assert!(!is(serde_json::json!({"kind": "cras"})) && !is(serde_json::json!({"status": 4})));
        assert!(!is(serde_json::json!({"signal": 1})) && !holds(&actual, &Value::Null, "why"));
    }

    #[test]
    fn every_point_that_differs_is_named() {
        let table = Table::load(&root()).unwrap();
        let leak = table.get("c-leak-constructor").unwrap();
        let found = differences(leak, &soak("pinned", 0.0, 31.0, "clean", &["pinned-nodelete"]));
        assert_eq!(found.len(), 7, "{found:?}");
        let clean = table.get("c-clean").unwrap();
        let found = differences(clean, &soak("unloaded", 1.0, 0.6, "clean", &[]));
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn codes_are_those_of_the_truth() {
        let table = Table::load(&root()).unwrap();
        let of = |name: &str, verdict: &str, codes: &[&str]| {
            let soak = soak("unloaded", 1.0, 0.0, verdict, codes);
            super::codes(&table.get(name).unwrap().truths[0], &soak).len()
        };
        assert_eq!(of("c-fds", "leak", &["leak-fds", "residue-fds"]), 0);
        assert_eq!(of("c-fds", "leak", &["leak-fds", "leak-mappings"]), 2);
        // Mappings may grow with threads, and need not.
        let threads = ["leak-anon", "leak-threads", "residue-threads"];
        assert_eq!(of("c-threads", "leak", &threads), 0);
        assert_eq!(of("c-threads", "leak", &[&threads[..], &["leak-mappings"]].concat()), 0);
        // Another verdict that is accepted has other codes; one that is wrong is compared.
        assert_eq!(of("c-fds", "residue", &["residue-fds"]), 0);
        assert_eq!(of("c-fds", "clean", &[]), 2);
        let mut noted = soak("unloaded", 1.0, 0.0, "clean", &["kept-once"]);
        noted.findings[0].severity = "note".to_owned();
        assert_eq!(super::codes(&table.get("c-clean").unwrap().truths[1], &noted), Vec::<String>::new());
    }
}
