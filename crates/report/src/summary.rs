//! What every format says about a soak, decided once: the words for verdicts and states, the one growth figure
//! that stands in a table, the reasons, the warnings, and the line that closes a run.

use dlsoak_record::{
    Code, Column, Facts, Finding, Growth, Language, Metric, Note, OutcomeKind, Rule, Run, Severity, Soak,
    Trend, Unit, UnloadState, Verdict, Watch, WatchVerdict, WatchedLibrary,
};

use super::units;
use super::words::{self, Text};

/// What the gate made of a soak, as one of three; what needs a look comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// It did not pass.
    Fail,
    /// The gate could not decide.
    Undecided,
    /// It passed.
    Pass,
}

impl Mark {
    /// The mark of a soak.
    pub fn of(soak: &Soak) -> Mark {
        match soak.judged.gate.passed {
            Some(true) => Mark::Pass,
            Some(false) => Mark::Fail,
            None => Mark::Undecided,
        }
    }

    /// The mark of a library of a watched host.
    pub fn of_watched(library: &WatchedLibrary) -> Mark {
        let marks = library.findings.iter().map(|finding| match finding.severity {
            Severity::Fail => Mark::Fail,
            Severity::Undecided => Mark::Undecided,
            Severity::Note => Mark::Pass,
        });
        marks.min().unwrap_or(Mark::Pass)
    }

    /// The mark of a watch, whatever its libraries have: it is open where something was not seen.
    pub fn of_watch(watch: &Watch) -> Mark {
        if watch.is_whole() { Mark::Pass } else { Mark::Undecided }
    }

    /// The sign for it in a page.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Mark::Pass => "✓",
            Mark::Fail => "✕",
            Mark::Undecided => "?",
        }
    }

    /// The class of everything in a page that shows it.
    pub(super) fn class(self) -> &'static str {
        match self {
            Mark::Pass => "good",
            Mark::Fail => "bad",
            Mark::Undecided => "open",
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

/// The name of a language, as people write it; `?` where the file does not show it.
pub fn language_word(language: Language) -> &'static str {
    match language {
        Language::C => "C",
        Language::Cpp => "C++",
        Language::Rust => "Rust",
        Language::Go => "Go",
        Language::D => "D",
        Language::Nim => "Nim",
        Language::OCaml => "OCaml",
        Language::Haskell => "Haskell",
        Language::Zig => "Zig",
        Language::GraalVm => "GraalVM",
        Language::Ada => "Ada",
        Language::Pascal => "Pascal",
        Language::Fortran => "Fortran",
        Language::Swift => "Swift",
        Language::Unknown => "?",
    }
}

/// The word for an unload state. A library that never loaded has none.
pub fn unload_word(soak: &Soak) -> &'static str {
    match (soak.judged.verdict, soak.unload.state) {
        (Verdict::LoadFailed, _) => units::NONE,
        (_, state) => state.name(),
    }
}

/// The growth of one metric of a soak.
pub fn growth_of(soak: &Soak, metric: Metric) -> Option<&Growth> {
    soak.judged.growth.iter().find(|growth| growth.metric == metric)
}

/// The checkpoints of a soak as (cycle, value), for one metric; empty where it was not measured.
pub fn series(soak: &Soak, metric: Metric) -> Vec<(f64, f64)> {
    let points = &soak.checkpoints;
    let (Some(x), Some(y)) = (points.position(Column::Cycle), points.position(metric)) else {
        return Vec::new();
    };
    // A row cut short is skipped: what is there is still worth drawing.
    soak.checkpoints.rows.iter().filter_map(|row| Some((*row.get(x)? as f64, *row.get(y)? as f64))).collect()
}

/// The one statement about growth of memory that a table has room for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Headline {
    /// What the figure is.
    pub figure: Figure,
    /// Bytes per cycle.
    pub per_cycle: f64,
    /// Bytes per second.
    pub per_second: f64,
    /// Where it was seen.
    pub metric: Metric,
}

/// What the figure of a [`Headline`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Growth that is proven.
    Leak,
    /// Nothing grew, and the series had no noise: the figure is a count.
    Exact,
    /// Nothing grew; a leak of this size or more would have been called.
    Below,
    /// Growth that is proven, and that the limit allows.
    Within,
    /// It may grow: neither proven nor excluded.
    Unclear,
    /// The same, and it fades.
    Fading,
}

/// The headline of a soak: its proven leak, or else the first of heap, anonymous and resident memory that was
/// measured; `None` where nothing was.
pub fn headline(soak: &Soak) -> Option<Headline> {
    if let Some(leak) = &soak.judged.leak {
        let (per_cycle, per_second) = (leak.bytes_per_cycle, leak.mb_per_second * 1e6);
        return Some(Headline { figure: Figure::Leak, per_cycle, per_second, metric: leak.metric });
    }
    let order = [Metric::Heap, Metric::Anon, Metric::PrivateDirty, Metric::Rss];
    let growth = order.into_iter().find_map(|metric| growth_of(soak, metric))?;
    let metric = growth.metric;
    let per_cycle = words::estimate(growth.per_cycle, Some((growth.low, growth.high)));
    let per_second = if per_cycle == 0.0 { 0.0 } else { growth.per_second };
    let allowed = |finding: &Finding| matches!(&finding.facts, Facts::WithinLimit { growth, .. } if growth.metric == metric);
    let figure = match growth.trend {
        _ if soak.judged.findings.iter().any(allowed) => Figure::Within,
        Trend::Growing | Trend::Unclear => Figure::Unclear,
        Trend::Decaying => Figure::Fading,
        Trend::Flat if growth.exact => Figure::Exact,
        Trend::Flat => {
            let rate = if soak.seconds > 0.0 { soak.cycles.completed as f64 / soak.seconds } else { 0.0 };
            let per_cycle = growth.detectable;
            return Some(Headline { figure: Figure::Below, per_cycle, per_second: per_cycle * rate, metric });
        }
    };
    Some(Headline { figure, per_cycle, per_second, metric })
}

/// A slope with its unit and its 95 % interval: `32.9 B/cycle [32.1, 33.4]`, `32 B/load, exact`. `per` is what it is counted in.
pub fn slope(growth: &Growth, per: &str) -> String {
    let unit = match growth.unit {
        Unit::Bytes => " B",
        Unit::Count => "",
    };
    let sign = if growth.per_cycle > 0.0 { "+" } else { "" };
    let figure = format!("{sign}{}{unit}/{per}", units::number(growth.per_cycle));
    if growth.exact {
        format!("{figure}, exact")
    } else {
        format!("{figure} [{}, {}]", units::number(growth.low), units::number(growth.high))
    }
}

/// A finding in sentences, without the advice that this soak has followed already, and with that for the runtime of the library's language.
pub(super) fn text(soak: &Soak, finding: &Finding) -> Text {
    let text = words::finding(finding);
    let text = match &finding.facts {
        Facts::Leak(_) if soak.trace.is_some() => Text { help: None, ..text },
        Facts::Unsettled(_) if soak.asked.until_decided == Some(true) => {
            Text { help: text.help.map(|help| help.replace(", or --until-decided", "")), ..text }
        }
        _ => text,
    };
    words::with_runtime(text, finding, soak.language)
}

/// What is said of a soak, most important first: each finding in lines, the fact before what it means and what helps. Of one that
/// did not pass, all; of one that passed, what is to be known.
pub fn texts(soak: &Soak) -> Vec<Text> {
    soak.judged.findings.iter().map(|finding| text(soak, finding)).collect()
}

/// Why a soak did not pass, most important first: what failed and what is open, then what explains it.
pub fn reasons(soak: &Soak) -> Vec<Text> {
    reasoning(soak).map(|finding| text(soak, finding)).collect()
}

/// The findings that are its reasons.
pub(super) fn reasoning(soak: &Soak) -> impl Iterator<Item = &Finding> {
    let explains = |finding: &&Finding| finding.severity != Severity::Note || explains(finding.code);
    soak.judged.findings.iter().filter(explains)
}

/// Whether a rule of the gate is among the reasons: it failed, or none did and it could not be decided although all cycles ran. A soak that
/// ends once a leak is certain leaves most rules open.
pub fn is_not_met(soak: &Soak, rule: &Rule) -> bool {
    let complete = soak.outcome.kind == OutcomeKind::Completed;
    let fails = |rule: &Rule| rule.passed == Some(false);
    fails(rule) || complete && rule.passed.is_none() && !soak.judged.gate.rules.iter().any(fails)
}

/// A rule of the gate that was not met, in a sentence.
pub fn rule(rule: &Rule) -> String {
    format!("{}, and dlsoak measured {}", rule_in_short(rule), words::rule_measured(rule))
}

/// The same without what was measured.
pub(super) fn rule_in_short(rule: &Rule) -> String {
    let word = if rule.passed.is_none() { "undecided" } else { "not met" };
    format!("gate {}: {word}; the limit is {}", rule.name.name(), words::rule_limit(rule))
}

/// Whether a note belongs to the reasons of a soak that did not pass, and not to the warnings.
fn explains(code: Code) -> bool {
    matches!(
        code,
        Code::ShareLoad
            | Code::ShareCall
            | Code::ShareBoth
            | Code::ShareUndecided
            | Code::Leaker
            | Code::DependencyAtFault
            | Code::BuildAtFault
            | Code::HostsDiffer
            | Code::Survivors
            | Code::Lost
            | Code::Collected
            | Code::KeptOnce
            | Code::MallocHoldsFree
            | Code::GrowthWithinLimit
            | Code::DependenciesStay
            | Code::GrowthLate
            | Code::GrowthFading
            | Code::GrowthDoubles
            | Code::GrowthUncollected
            | Code::GrowthUndecided
            | Code::TooFewCheckpoints
            | Code::LimitAllowsChunk
            | Code::LimitTooSmall
            | Code::NoGrowth
            | Code::Interrupted
    )
}

/// What a reader of the figures must know although it is no reason to fail.
pub fn warnings(soak: &Soak) -> Vec<Text> {
    warning(soak).map(|finding| text(soak, finding)).chain(unmeasured(soak).map(Text::fact)).collect()
}

/// The findings that are warnings.
pub(super) fn warning(soak: &Soak) -> impl Iterator<Item = &Finding> {
    let mark = Mark::of(soak);
    let warns = move |finding: &&Finding| finding.severity == Severity::Note && warns(finding, mark);
    soak.judged.findings.iter().filter(warns)
}

/// The findings that are notes beside the result; some only of one that passed, because they are among the reasons of others.
pub(super) fn noted(soak: &Soak, verbose: bool) -> impl Iterator<Item = &Finding> {
    let passed = Mark::of(soak) == Mark::Pass;
    soak.judged.findings.iter().filter(move |finding| match finding.code {
        Code::CallsUnchecked => verbose,
        Code::MallocHoldsFree => passed,
        _ => false,
    })
}

/// Figures of a soak that do not measure what their name says.
pub(super) fn unmeasured(soak: &Soak) -> impl Iterator<Item = String> {
    let shared = soak.threads() > 1 && soak.share_path && soak.unload.state == UnloadState::Unloaded;
    let shared = shared.then(|| {
        format!(
            "{} threads share one path and so one reference count, with {} loads per cycle",
            soak.threads(),
            units::number(soak.unload.loads_per_cycle)
        )
    });
    let pinned = Mark::of(soak) == Mark::Pass && soak.unload.state == UnloadState::Pinned;
    let pinned = pinned.then(|| {
        "the library is never unloaded, so its open and close times measure only a reference count".to_owned()
    });
    shared.into_iter().chain(pinned)
}

/// How a soak was measured: what a reader of its figures should know.
pub fn measuring(soak: &Soak) -> Vec<Text> {
    let measuring = |finding: &&Finding| {
        matches!(
            finding.facts,
            Facts::Note(_)
                | Facts::Disturbed(_)
                | Facts::DisturbanceRefused(_)
                | Facts::Sandboxed(_)
                | Facts::SandboxIncomplete(_)
                | Facts::LatenciesUncached {}
                | Facts::PatternsDiffer(_)
                | Facts::NotInBaseline { .. }
        ) || finding.code == Code::BuildsAlternate
    };
    soak.judged.findings.iter().filter(measuring).map(words::finding).collect()
}

/// Whether a note is shown beside the result of a soak with this mark.
fn warns(finding: &Finding, mark: Mark) -> bool {
    match finding.code {
        Code::FewerCycles
        | Code::PatternsDiffer
        | Code::BaselineMissing
        | Code::NotTraced
        | Code::OtherHostNotMade
        | Code::CohortsNotMade
        | Code::PointersNotSought => true,
        Code::DependencyAtFault
        | Code::BuildAtFault
        | Code::OldBuildAnswers
        | Code::HostsDiffer
        | Code::PointersIfHeld
        | Code::ThreadsOfHost => mark == Mark::Pass,
        // What was not guarded could only have shown as a crash, and the search does not depend on it.
        Code::PointersInPart => {
            matches!(finding.facts, Facts::Note(Note::PointersInPart { dropped, .. }) if dropped > 0)
        }
        Code::LimitAllowsChunk | Code::LimitTooSmall => mark == Mark::Pass,
        _ => {
            mark == Mark::Pass
                && matches!(finding.facts, Facts::Stays(_) | Facts::Left(_) | Facts::DependenciesStay { .. })
        }
    }
}

/// The line that closes a run: `7 soaks: 3 clean, 1 leak, 3 pinned - not passed`.
pub fn closing(run: &Run) -> String {
    let mut parts = Vec::new();
    if !run.soaks.is_empty() || run.watch.is_none() {
        let words = run.soaks.iter().map(|soak| {
            let allowed = Mark::of(soak) == Mark::Pass && soak.judged.verdict != Verdict::Clean;
            format!("{}{}", soak.judged.verdict, if allowed { " (allowed)" } else { "" })
        });
        parts.push(tally(["soak", "soaks"], words));
    }
    if let Some(watch) = &run.watch {
        let words = watch.libraries.iter().map(|library| {
            let allowed = Mark::of_watched(library) == Mark::Pass && library.verdict == WatchVerdict::Leak;
            format!("{}{}", library.verdict, if allowed { " (allowed)" } else { "" })
        });
        parts.push(tally(["watched library", "watched libraries"], words));
    }
    format!("{} - {}", parts.join("; "), result_word(run))
}

/// How many there are, and of each verdict.
fn tally([one, many]: [&str; 2], words: impl Iterator<Item = String>) -> String {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for word in words {
        match counts.iter_mut().find(|(known, _)| *known == word) {
            Some((_, n)) => *n += 1,
            None => counts.push((word, 1)),
        }
    }
    // Clean ones first, then what needs a look, in the order of the suite.
    counts.sort_by_key(|(word, _)| word != "clean");
    let all: usize = counts.iter().map(|(_, n)| n).sum();
    let parts: Vec<String> = counts.into_iter().map(|(word, n)| format!("{n} {word}")).collect();
    let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    format!("{all} {}{parts}", if all == 1 { one } else { many })
}

/// The result of a run in words.
pub fn result_word(run: &Run) -> &'static str {
    let watched = run.watch.iter().flat_map(|watch| &watch.libraries).map(Mark::of_watched);
    let failed = run.soaks.iter().map(Mark::of).chain(watched).any(|mark| mark == Mark::Fail);
    if run.passed {
        "passed"
    } else if failed || run.soaks.is_empty() && run.watch.is_none() {
        "not passed"
    } else {
        "undecided"
    }
}

#[cfg(test)]
mod tests {
    use super::super::cells;
    use super::*;
    use dlsoak_record::sample;

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
        soak.judged.gate.passed = Some(true);
        run.soaks = vec![soak];
        run.passed = true;
        assert_eq!(closing(&run), "1 soak: 1 pinned (allowed) - passed");
        let warnings = warnings(&run.soaks[0]);
        assert!(warnings.iter().any(|warning| warning.fact.contains("never unloaded")), "{warnings:?}");
    }

    #[test]
    fn the_headline_names_the_smallest_leak_it_could_have_seen() {
        let mut soak = sample::run(1).soaks.remove(0);
        let exact = headline(&soak).unwrap();
        assert_eq!((exact.figure, exact.metric), (Figure::Exact, Metric::Heap));
        soak.judged.growth.remove(0);
        soak.seconds = 10.0;
        let (per_cycle, per_second, metric) = (1.6, 16_000.0, Metric::Rss);
        assert_eq!(headline(&soak), Some(Headline { figure: Figure::Below, per_cycle, per_second, metric }));
        soak.judged.growth.clear();
        assert_eq!(headline(&soak), None);
        assert_eq!(headline(&sample::load_failed()), None);
    }

    #[test]
    fn growth_within_a_limit_is_neither_a_leak_nor_open() {
        let mut soak = sample::run(2).soaks.remove(1);
        soak.judged.leak = None;
        let growth = soak.judged.growth[0].clone();
        soak.judged.findings =
            vec![Finding::new(Severity::Note, Facts::WithinLimit { growth, limit: 100.0 })];
        assert_eq!(headline(&soak).unwrap().figure, Figure::Within);
        assert_eq!(cells::growth(&soak, false).0, "32 ok");
    }

    #[test]
    fn advice_that_was_followed_is_not_repeated() {
        let run = sample::run(8);
        let help = |soak: &Soak| reasons(soak)[0].help.clone();
        let (mut leaking, mut open) = (run.soaks[1].clone(), run.soaks[7].clone());
        assert!(help(&leaking).unwrap().contains("dlsoak trace"));
        leaking.trace = Some(sample::trace());
        assert_eq!(help(&leaking), None);
        assert_eq!(help(&open).unwrap(), "run about 200,000 cycles (-n), or --until-decided");
        open.measured.asked.until_decided = Some(true);
        assert_eq!(help(&open).unwrap(), "run about 200,000 cycles (-n)");
    }

    #[test]
    fn slopes_have_a_unit_and_an_interval() {
        let growth = &sample::run(2).soaks[1].judged.growth;
        assert_eq!(slope(&growth[0], "cycle"), "+32 B/cycle, exact");
        assert_eq!(slope(&growth[1], "cycle"), "+33.4 B/cycle [31.8, 35.0]");
    }
}
