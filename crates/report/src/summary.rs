//! What every format says about a soak, decided once: the words for verdicts and states, the one growth figure
//! that stands in a table, the reasons, the warnings, and the line that closes a run.

use dlsoak_record::{
    Growth, Language, Metric, Outcome, OutcomeKind, Run, Soak, Trend, Unit, UnloadState, Verdict,
};

use super::units;

/// What the gate made of a soak, as one of three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mark {
    /// It passed.
    Pass,
    /// It did not pass.
    Fail,
    /// The gate could not decide.
    Undecided,
}

impl Mark {
    /// The mark of a soak.
    pub fn of(soak: &Soak) -> Mark {
        match soak.gate.passed {
            Some(true) => Mark::Pass,
            Some(false) => Mark::Fail,
            None => Mark::Undecided,
        }
    }

    /// The word for it, which stands wherever a colour does. Failures are in capitals, so that an eye or a `grep`
    /// finds them.
    pub fn word(self) -> &'static str {
        match self {
            Mark::Pass => "pass",
            Mark::Fail => "FAIL",
            Mark::Undecided => "??",
        }
    }
}

/// The word for a verdict, as the record spells it.
pub fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Clean => "clean",
        Verdict::Leak => "leak",
        Verdict::Pinned => "pinned",
        Verdict::Residue => "residue",
        Verdict::Crashed => "crashed",
        Verdict::Hung => "hung",
        Verdict::Exited => "exited",
        Verdict::Limit => "limit",
        Verdict::LoadFailed => "load-failed",
        Verdict::Inconclusive => "inconclusive",
    }
}

/// The name of a language, as people write it; `?` where the file does not tell.
pub fn language_word(language: Language) -> &'static str {
    match language {
        Language::C => "C",
        Language::Cpp => "C++",
        Language::Rust => "Rust",
        Language::Go => "Go",
        Language::Unknown => "?",
    }
}

/// The word for an unload state. A library that never loaded has none.
pub fn unload_word(soak: &Soak) -> &'static str {
    match (soak.verdict, soak.unload.state) {
        (Verdict::LoadFailed, _) => units::NONE,
        (_, UnloadState::Unloaded) => "unloaded",
        (_, UnloadState::Partial) => "partial",
        (_, UnloadState::Pinned) => "pinned",
    }
}

/// The growth of one metric of a soak.
pub fn growth_of(soak: &Soak, metric: Metric) -> Option<&Growth> {
    soak.growth.iter().find(|growth| growth.metric == metric)
}

/// The checkpoints of a soak as (cycle, value), for one metric; empty where it was not measured.
pub fn series(soak: &Soak, metric: Metric) -> Vec<(f64, f64)> {
    let column = |name: &str| soak.checkpoints.columns.iter().position(|column| column == name);
    let (Some(x), Some(y)) = (column("cycle"), column(metric.name())) else {
        return Vec::new();
    };
    // A row cut short is skipped: what is there is still worth drawing.
    soak.checkpoints.rows.iter().filter_map(|row| Some((*row.get(x)? as f64, *row.get(y)? as f64))).collect()
}

/// The one statement about growth of memory that a table has room for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Headline {
    /// Nothing was measured.
    Nothing,
    /// Growth of this many bytes is proven.
    Leak {
        /// Bytes per cycle.
        per_cycle: f64,
        /// Bytes per second.
        per_second: f64,
        /// Where it was seen.
        metric: Metric,
    },
    /// Nothing grew, and the series had no noise: the figure is a count.
    Exact {
        /// Bytes per cycle.
        per_cycle: f64,
        /// Bytes per second.
        per_second: f64,
        /// What was counted.
        metric: Metric,
    },
    /// Nothing grew; a leak of this size or more would have been called.
    Below {
        /// Bytes per cycle.
        per_cycle: f64,
        /// Bytes per second.
        per_second: f64,
        /// What was measured.
        metric: Metric,
    },
    /// It may grow: neither proven nor excluded.
    Unclear {
        /// Bytes per cycle.
        per_cycle: f64,
        /// Bytes per second.
        per_second: f64,
        /// What was measured.
        metric: Metric,
        /// Whether it fades.
        decaying: bool,
    },
}

/// The headline of a soak: its proven leak, or else the first of heap, anonymous and resident memory that was
/// measured.
pub fn headline(soak: &Soak) -> Headline {
    if let Some(leak) = &soak.leak {
        return Headline::Leak {
            per_cycle: leak.bytes_per_cycle,
            per_second: leak.mb_per_second * 1e6,
            metric: leak.metric,
        };
    }
    let order = [Metric::Heap, Metric::Anon, Metric::PrivateDirty, Metric::Rss];
    let Some(growth) = order.into_iter().find_map(|metric| growth_of(soak, metric)) else {
        return Headline::Nothing;
    };
    let (per_cycle, per_second, metric) = (growth.per_cycle, growth.per_second, growth.metric);
    match growth.trend {
        Trend::Growing | Trend::Unclear | Trend::Decaying => {
            Headline::Unclear { per_cycle, per_second, metric, decaying: growth.trend == Trend::Decaying }
        }
        Trend::Flat if growth.exact => Headline::Exact { per_cycle, per_second, metric },
        Trend::Flat => {
            let rate = if soak.seconds > 0.0 { soak.cycles.completed as f64 / soak.seconds } else { 0.0 };
            Headline::Below { per_cycle: growth.detectable, per_second: growth.detectable * rate, metric }
        }
    }
}

/// A slope with its unit and its 95 % interval: `32.9 B/cycle [32.1, 33.4]`, `32 B/cycle, exact`.
pub fn slope(growth: &Growth) -> String {
    let unit = match growth.unit {
        Unit::Bytes => " B",
        Unit::Count => "",
    };
    let sign = if growth.per_cycle > 0.0 { "+" } else { "" };
    let figure = format!("{sign}{}{unit}/cycle", units::number(growth.per_cycle));
    if growth.exact {
        format!("{figure}, exact")
    } else {
        format!("{figure} [{}, {}]", units::number(growth.low), units::number(growth.high))
    }
}

/// Why a soak did not pass, most important first. Never empty for one that did not complete or is pinned.
pub fn reasons(soak: &Soak) -> Vec<String> {
    let ended = ending(&soak.outcome);
    // The ending tells the outcome's detail, with the place.
    let told = |reason: &&String| ended.is_none() || soak.outcome.detail.as_ref() != Some(*reason);
    let said: Vec<String> = soak.reasons.iter().filter(told).cloned().collect();
    let mut reasons: Vec<String> = ended.into_iter().chain(said).collect();
    if soak.reasons.is_empty() {
        reasons.extend(soak.unload.causes.iter().map(|cause| format!("{}: {}", cause.kind, cause.detail)));
        reasons.extend(soak.residue.iter().map(|residue| format!("{}: {}", residue.kind, residue.detail)));
    }
    let complete = soak.outcome.kind == OutcomeKind::Completed;
    let failed = soak.gate.rules.iter();
    let failed = failed.filter(|rule| rule.passed == Some(false) || (complete && rule.passed.is_none()));
    reasons.extend(failed.map(|rule| {
        let word = if rule.passed.is_none() { "undecided" } else { "not met" };
        let detail = rule.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
        format!("gate {}: limit {}, measured {}, {word}{detail}", rule.name, rule.limit, rule.measured)
    }));
    // Another part of the program may have said the same: once is enough.
    let mut seen = std::collections::HashSet::new();
    reasons.retain(|reason| seen.insert(reason.clone()));
    reasons
}

/// Where and how a soak ended, when it did not complete.
fn ending(outcome: &Outcome) -> Option<String> {
    let what = match outcome.kind {
        OutcomeKind::Completed => return None,
        OutcomeKind::Crashed => "crashed",
        OutcomeKind::Hung => "hung",
        OutcomeKind::Exited => "the library ended the process",
        OutcomeKind::Limit => "hit a limit",
        OutcomeKind::LoadFailed => "did not load",
        OutcomeKind::Interrupted => "interrupted",
    };
    let mut text = what.to_owned();
    if let Some(signal) = &outcome.signal {
        text.push_str(&format!(" with {signal}"));
    }
    match (&outcome.phase, outcome.cycle) {
        (Some(phase), Some(cycle)) => text.push_str(&format!(" in {phase} of cycle {}", units::count(cycle))),
        (Some(phase), None) => text.push_str(&format!(" in {phase}")),
        (None, Some(cycle)) => text.push_str(&format!(" in cycle {}", units::count(cycle))),
        (None, None) => {}
    }
    if let Some(detail) = &outcome.detail {
        text.push_str(&format!(": {detail}"));
    }
    Some(text)
}

/// What a reader of the figures must know although it is no reason to fail.
pub fn warnings(soak: &Soak) -> Vec<String> {
    let mut warnings = Vec::new();
    let cycles = &soak.cycles;
    // An end that was asked for, by time or by certainty, is told with the outcome.
    let asked_for = soak.outcome.kind == OutcomeKind::Completed && soak.outcome.detail.is_some();
    if soak.verdict != Verdict::LoadFailed && cycles.completed < cycles.requested && !asked_for {
        warnings.push(format!(
            "only {} of {} cycles were measured",
            units::count(cycles.completed),
            units::count(cycles.requested)
        ));
    }
    if soak.threads > 1 && soak.share_path && soak.unload.state == UnloadState::Unloaded {
        warnings.push(format!(
            "{} threads share one path and so one reference count: {} loads per cycle",
            soak.threads,
            units::number(soak.unload.loads_per_cycle)
        ));
    }
    if Mark::of(soak) == Mark::Pass {
        if soak.unload.state == UnloadState::Pinned {
            let causes: Vec<_> = soak.unload.causes.iter().map(|cause| cause.kind.as_str()).collect();
            let why = if causes.is_empty() { String::new() } else { format!(" ({})", causes.join(", ")) };
            warnings.push(format!(
                "allowed, but pinned{why}: it is never unloaded, so its open and close times are those of a \
                 reference count"
            ));
        }
        warnings.extend(soak.residue.iter().map(|r| format!("leaves {}: {}", r.kind, r.detail)));
    }
    warnings
}

/// The line that closes a run: `7 soaks: 3 clean, 1 leak, 3 pinned - not passed`.
pub fn closing(run: &Run) -> String {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for soak in &run.soaks {
        let allowed = Mark::of(soak) == Mark::Pass && soak.verdict != Verdict::Clean;
        let word = format!("{}{}", verdict_word(soak.verdict), if allowed { " (allowed)" } else { "" });
        match counts.iter_mut().find(|(known, _)| *known == word) {
            Some((_, n)) => *n += 1,
            None => counts.push((word, 1)),
        }
    }
    // Clean ones first, then what needs a look, in the order of the suite.
    counts.sort_by_key(|(word, _)| word != "clean");
    let parts: Vec<String> = counts.into_iter().map(|(word, n)| format!("{n} {word}")).collect();
    let soaks = if run.soaks.len() == 1 { "soak" } else { "soaks" };
    let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    format!("{} {soaks}{parts} - {}", run.soaks.len(), result_word(run))
}

/// The result of a run in words.
pub fn result_word(run: &Run) -> &'static str {
    if run.passed {
        "passed"
    } else if run.soaks.iter().any(|soak| Mark::of(soak) == Mark::Fail) || run.soaks.is_empty() {
        "not passed"
    } else {
        "undecided"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::sample;
    use dlsoak_record::{Residue, Rule};

    #[test]
    fn the_closing_line_counts_and_says_the_result() {
        assert_eq!(closing(&sample::run(0)), "0 soaks - passed");
        assert_eq!(closing(&sample::run(1)), "1 soak: 1 clean - passed");
        assert_eq!(closing(&sample::run(7)), "7 soaks: 3 clean, 1 leak, 3 pinned - not passed");
        let mut undecided = sample::run(8);
        undecided.soaks.drain(..7);
        assert_eq!(closing(&undecided), "1 soak: 1 inconclusive - undecided");
    }

    #[test]
    fn a_pinned_library_that_is_allowed_is_still_called_pinned() {
        let mut run = sample::run(7);
        let mut soak = run.soaks.remove(6);
        soak.gate.passed = Some(true);
        run.soaks = vec![soak];
        run.passed = true;
        assert_eq!(closing(&run), "1 soak: 1 pinned (allowed) - passed");
        let warnings = warnings(&run.soaks[0]);
        assert!(warnings[0].starts_with("allowed, but pinned (nodelete)"), "{warnings:?}");
    }

    #[test]
    fn reasons_are_said_once_and_rules_that_failed_are_among_them() {
        let mut soak = sample::run(2).soaks.remove(1);
        soak.reasons.push(soak.reasons[0].clone());
        let rule = |name: &str, passed| Rule {
            name: name.to_owned(),
            limit: "0.03MB/s".to_owned(),
            measured: "0.71 MB/s".to_owned(),
            passed,
            limit_per_cycle: None,
            detail: None,
        };
        soak.gate.rules =
            vec![rule("max-leak-rate", Some(false)), rule("fine", Some(true)), rule("open", None)];
        assert_eq!(
            reasons(&soak),
            [
                "heap grows by 32.0 B per cycle, exactly, and does not fade",
                "gate max-leak-rate: limit 0.03MB/s, measured 0.71 MB/s, not met",
                "gate open: limit 0.03MB/s, measured 0.71 MB/s, undecided",
            ]
        );
    }

    #[test]
    fn a_record_without_reasons_still_explains_itself() {
        let mut soak = sample::run(7).soaks.remove(6);
        soak.reasons.clear();
        soak.residue =
            vec![Residue { kind: "signal-handler".to_owned(), detail: "SIGURG".to_owned(), per_cycle: None }];
        let reasons = reasons(&soak);
        assert!(reasons[0].starts_with("nodelete: "), "{reasons:?}");
        assert_eq!(reasons[1], "signal-handler: SIGURG");
    }

    #[test]
    fn the_headline_names_the_smallest_leak_it_could_have_seen() {
        let mut soak = sample::run(1).soaks.remove(0);
        assert!(matches!(headline(&soak), Headline::Exact { metric: Metric::Heap, .. }));
        soak.growth.remove(0);
        soak.seconds = 10.0;
        let expected = Headline::Below { per_cycle: 1.6, per_second: 16_000.0, metric: Metric::Rss };
        assert_eq!(headline(&soak), expected);
        soak.growth.clear();
        assert_eq!(headline(&soak), Headline::Nothing);
        assert_eq!(headline(&sample::load_failed()), Headline::Nothing);
    }

    #[test]
    fn slopes_have_a_unit_and_an_interval() {
        let growth = &sample::run(2).soaks[1].growth;
        assert_eq!(slope(&growth[0]), "+32 B/cycle, exact");
        assert_eq!(slope(&growth[1]), "+33.4 B/cycle [31.8, 35.0]");
    }
}
