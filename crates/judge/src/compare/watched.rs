//! Compares the libraries of two watched hosts.

use serde::Serialize;

use super::{Change, Changed, GrowthChange, growth};
use dlsoak_record::{
    Baseline, BaselineSoak, Limits, Measured, Rule, Soak, Watch, WatchVerdict, WatchedLibrary,
};

/// One library of a watched host, in both runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LibraryChange {
    /// The name of its file.
    pub name: String,
    /// Its path in the other run.
    pub path: String,
    /// What changed, most important first; empty if nothing did.
    pub changes: Vec<Change>,
    /// Verdicts, before and after.
    pub verdict: (WatchVerdict, WatchVerdict),
    /// Growth of each metric, per load.
    pub growth: Vec<GrowthChange>,
}

/// The libraries of two watches, matched by path and then by the name of the file.
#[derive(Debug, Default)]
pub(super) struct Matched {
    pub(super) both: Vec<LibraryChange>,
    pub(super) only_in_base: Vec<String>,
    pub(super) only_here: Vec<String>,
}

/// Compares what two runs watched, if both did.
pub(super) fn watched(base: Option<&Watch>, other: Option<&Watch>) -> Matched {
    let (Some(base), Some(other)) = (base, other) else { return Matched::default() };
    let mut left: Vec<(&WatchedLibrary, Soak)> = other.libraries.iter().zip(other.soaks()).collect();
    let mut found = Matched::default();
    for (before, before_soak) in base.libraries.iter().zip(base.soaks()) {
        let by_path = left.iter().position(|(after, _)| after.path == before.path);
        let Some(at) = by_path.or_else(|| left.iter().position(|(after, _)| after.name() == before.name()))
        else {
            found.only_in_base.push(before.name().to_owned());
            continue;
        };
        let (after, after_soak) = left.remove(at);
        found.both.push(library(before, after, growth::growth(&before_soak, &after_soak)));
    }
    found.only_here = left.into_iter().map(|(library, _)| library.name().to_owned()).collect();
    found
}

fn library(before: &WatchedLibrary, after: &WatchedLibrary, growth: Vec<GrowthChange>) -> LibraryChange {
    let verdict = (before.verdict, after.verdict);
    let mut changes = Vec::new();
    // An inconclusive verdict is not a change.
    if verdict.0 != verdict.1 && ![verdict.0, verdict.1].contains(&WatchVerdict::Inconclusive) {
        let worse = match verdict {
            (WatchVerdict::Leak, WatchVerdict::Clean) | (_, WatchVerdict::Clean) => Some(false),
            (WatchVerdict::Clean, _) | (_, WatchVerdict::Leak) => Some(true),
            _ => None,
        };
        changes.push(Change { worse, what: Changed::Watched { before: verdict.0, after: verdict.1 } });
    }
    changes.extend(growth::changes(&growth));
    let (name, path) = (before.name().to_owned(), after.path.clone());
    LibraryChange { name, path, changes, verdict, growth }
}

/// The limit on an increase of growth per load, applied to the library of this path; a load is its cycle.
pub fn rules_of_watched(
    base: &Watch,
    named: &str,
    other: &Watch,
    change: &LibraryChange,
    limits: &Limits,
) -> Vec<Rule> {
    let by_path = |watch: &'_ Watch| watch.libraries.iter().position(|library| library.path == change.path);
    let by_name = || base.libraries.iter().position(|library| library.name() == change.name);
    let before = by_path(base).or_else(by_name).map(|at| &base.libraries[at]);
    let Some(after) = by_path(other).map(|at| other.soak_of(&other.libraries[at])) else { return Vec::new() };
    let soak =
        before.map(|library| BaselineSoak { growth: library.growth.clone(), ..BaselineSoak::default() });
    let measured = Measured { baseline: Some(Baseline { name: named.to_owned(), soak }), ..after.measured };
    let limits = Limits { max_leak_increase: limits.max_leak_increase.clone(), ..Limits::default() };
    super::limits::rules(&measured, &after.judged.growth, &limits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;
    use dlsoak_record::Trend;

    fn watch(path: &str, verdict: WatchVerdict, per_cycle: f64) -> Watch {
        let trend = if verdict == WatchVerdict::Leak { Trend::Growing } else { Trend::Flat };
        let growth = synthetic::growth(per_cycle, 0.0, trend);
        let library = WatchedLibrary {
            path: path.to_owned(),
            verdict,
            growth: vec![growth],
            ..WatchedLibrary::default()
        };
        Watch { libraries: vec![library], ..Watch::default() }
    }

    #[test]
    fn a_new_leak_is_worse_and_fails_a_limit() {
        let limits: Limits = toml::from_str("max-leak-increase = '8B/cycle'").unwrap();
        let clean = watch("/old/mod.so", WatchVerdict::Clean, 0.0);
        let leaks = watch("/new/mod.so", WatchVerdict::Leak, 32.0);
        let answer = |before: &Watch, after: &Watch| {
            let found = watched(Some(before), Some(after));
            assert_eq!(found.both.len(), 1);
            let worse: Vec<_> = found.both[0].changes.iter().map(|change| change.worse).collect();
            (worse, rules_of_watched(before, "old", after, &found.both[0], &limits)[0].passed)
        };
        assert_eq!(answer(&clean, &leaks), (vec![Some(true); 2], Some(false)));
        assert_eq!(answer(&leaks, &clean), (vec![Some(false); 2], Some(true)));
        assert_eq!(answer(&leaks, &leaks), (vec![], Some(true)));
        let open = watch("/new/mod.so", WatchVerdict::Inconclusive, 0.0);
        assert_eq!(answer(&clean, &open), (vec![], Some(true)));
        let other = watch("/new/other.so", WatchVerdict::Leak, 32.0);
        let found = watched(Some(&clean), Some(&other));
        assert_eq!(
            (found.only_in_base, found.only_here),
            (vec!["mod.so".to_owned()], vec!["other.so".to_owned()])
        );
        assert!(watched(Some(&clean), None).both.is_empty());
    }
}
