//! Changes of verdict, end, unload state, causes and residue.

use std::collections::BTreeSet;

use super::{Change, Changed};
use dlsoak_record::{OutcomeKind, Soak, UnloadState, Verdict};

/// Changes of verdict, end, unload state and causes.
pub(super) fn changes(base: &Soak, other: &Soak) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut changed = |worse, what| changes.push(Change { worse, what });
    // An inconclusive verdict is not a change.
    let (before, after) = (base.judged.verdict, other.judged.verdict);
    if before != after && before != Verdict::Inconclusive && after != Verdict::Inconclusive {
        let worse = match (before, after) {
            (_, Verdict::Clean) => Some(false),
            (Verdict::Clean, _) => Some(true),
            _ => None,
        };
        changed(worse, Changed::Verdict { before, after });
    }
    // A user who interrupts a run changes nothing about the library.
    let ran = |soak: &Soak| match soak.outcome.kind {
        OutcomeKind::Interrupted => OutcomeKind::Completed,
        kind => kind,
    };
    let (before, after) = (ran(base), ran(other));
    if before != after {
        let (signal, phase) = (other.outcome.signal.clone(), other.outcome.phase);
        let worse = Some(after != OutcomeKind::Completed);
        changed(worse, Changed::Outcome { before, after, signal, phase });
    }
    let (before, after) = (base.unload.state, other.unload.state);
    if before != after {
        let worse = match (before, after) {
            (UnloadState::Unloaded, _) | (UnloadState::Partial, UnloadState::Pinned) => true,
            (_, UnloadState::Unloaded | UnloadState::Partial | UnloadState::Pinned) => false,
        };
        changed(Some(worse), Changed::Unload { before, after });
    }
    let causes =
        |soak: &Soak| soak.unload.causes.iter().map(|cause| cause.kind().name().to_owned()).collect();
    if let Some((new, gone)) = new_and_gone(&causes(base), &causes(other)) {
        changed(None, Changed::Causes { new, gone });
    }
    changes
}

/// Changes of what else stays behind.
pub(super) fn residue(base: &Soak, other: &Soak) -> Option<Change> {
    let kinds = |soak: &Soak| soak.residue.iter().map(|found| found.kind().name().to_owned()).collect();
    let (new, gone) = new_and_gone(&kinds(base), &kinds(other))?;
    let worse = match (new.is_empty(), gone.is_empty()) {
        (false, true) => Some(true),
        (true, false) => Some(false),
        _ => None,
    };
    Some(Change { worse, what: Changed::Residue { new, gone } })
}

/// The elements that only `after` has and those that only `before` has; `None` if there are neither.
fn new_and_gone(before: &BTreeSet<String>, after: &BTreeSet<String>) -> Option<(Vec<String>, Vec<String>)> {
    let (new, gone) = (after.difference(before), before.difference(after));
    let (new, gone): (Vec<String>, Vec<String>) = (new.cloned().collect(), gone.cloned().collect());
    (!new.is_empty() || !gone.is_empty()).then_some((new, gone))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::{Cause, CauseFacts, Evidence, Judged, Language, Residue, Tally};

    #[test]
    fn each_kind_of_change_is_found_and_noise_is_not() {
        let of = |verdict| Soak { judged: Judged { verdict, ..Judged::default() }, ..Soak::default() };
        let clean = of(Verdict::Clean);
        assert!(changes(&clean, &clean).is_empty() && residue(&clean, &clean).is_none());
        let unclear = of(Verdict::Inconclusive);
        assert!(changes(&clean, &unclear).is_empty());
        let mut pinned = of(Verdict::Pinned);
        pinned.measured.unload.state = UnloadState::Pinned;
        pinned.measured.unload.causes =
            vec![Cause::of_library(CauseFacts::Nodelete { language: Language::C })];
        pinned.measured.residue =
            vec![Residue::once(Evidence::Fds { left: Tally::default(), closed: vec![1] })];
        let whats: Vec<Changed> = changes(&clean, &pinned).into_iter().map(|change| change.what).collect();
        let fds = || vec!["fds".to_owned()];
        assert_eq!(
            whats,
            [
                Changed::Verdict { before: Verdict::Clean, after: Verdict::Pinned },
                Changed::Unload { before: UnloadState::Unloaded, after: UnloadState::Pinned },
                Changed::Causes { new: vec!["nodelete".to_owned()], gone: Vec::new() },
            ]
        );
        let worse = |before, after| changes(before, after).iter().map(|c| c.worse).collect::<Vec<_>>();
        assert_eq!(worse(&clean, &pinned), [Some(true), Some(true), None]);
        assert_eq!(worse(&pinned, &clean), [Some(false), Some(false), None]);
        let what = Changed::Residue { new: fds(), gone: Vec::new() };
        assert_eq!(residue(&clean, &pinned), Some(Change { worse: Some(true), what }));
        let what = Changed::Residue { new: Vec::new(), gone: fds() };
        assert_eq!(residue(&pinned, &clean), Some(Change { worse: Some(false), what }));
        let mut crashed = clean.clone();
        crashed.measured.outcome.kind = OutcomeKind::Crashed;
        let (before, after) = (OutcomeKind::Completed, OutcomeKind::Crashed);
        let what = Changed::Outcome { before, after, signal: None, phase: None };
        assert_eq!(changes(&clean, &crashed), [Change { worse: Some(true), what }]);
        let mut cut = clean.clone();
        cut.measured.outcome.kind = OutcomeKind::Interrupted;
        assert!(changes(&clean, &cut).is_empty());
    }
}
