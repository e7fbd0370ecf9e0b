//! What else may change of a library: verdict, end, unload state, causes, residue.

use std::collections::BTreeSet;

use super::{Change, ChangeKind};
use dlsoak_record::{OutcomeKind, Soak, UnloadState, Verdict};

/// Changes of verdict, end, unload state and causes.
pub(super) fn changes(base: &Soak, other: &Soak) -> Vec<Change> {
    let mut changes = Vec::new();
    // What could not be decided is no change.
    let decided = |soak: &Soak| soak.verdict != Verdict::Inconclusive;
    if decided(base) && decided(other) && base.verdict != other.verdict {
        let worse = if other.verdict == Verdict::Clean {
            Some(false)
        } else {
            (base.verdict == Verdict::Clean).then_some(true)
        };
        changes.push(change(
            ChangeKind::Verdict,
            worse,
            format!("the verdict is {}, not {}", word(&other.verdict), word(&base.verdict)),
        ));
    }
    // Who interrupted a run changed nothing of the library.
    let ran = |soak: &Soak| match soak.outcome.kind {
        OutcomeKind::Interrupted => OutcomeKind::Completed,
        kind => kind,
    };
    if ran(base) != ran(other) {
        let detail = other.outcome.detail.as_ref().map_or_else(String::new, |detail| format!(": {detail}"));
        let worse = ran(other) != OutcomeKind::Completed;
        let text = format!("it ended {}, not {}{detail}", word(&ran(other)), word(&ran(base)));
        changes.push(change(ChangeKind::End, Some(worse), text));
    }
    let (before, after) = (base.unload.state, other.unload.state);
    if before != after {
        let worse = match (before, after) {
            (UnloadState::Unloaded, _) | (UnloadState::Partial, UnloadState::Pinned) => true,
            (_, UnloadState::Unloaded | UnloadState::Partial | UnloadState::Pinned) => false,
        };
        let text = format!("it is {}, not {}", word(&after), word(&before));
        changes.push(change(ChangeKind::Unload, Some(worse), text));
    }
    let causes = |soak: &Soak| soak.unload.causes.iter().map(|cause| cause.kind.clone()).collect();
    if let Some(text) = sets(&causes(base), &causes(other)) {
        changes.push(change(ChangeKind::Causes, None, format!("why it stays loaded: {text}")));
    }
    changes
}

/// Changes of what else is left behind.
pub(super) fn residue(base: &Soak, other: &Soak) -> Option<Change> {
    let kinds = |soak: &Soak| soak.residue.iter().map(|found| found.kind.clone()).collect();
    let (before, after): (BTreeSet<String>, BTreeSet<String>) = (kinds(base), kinds(other));
    let worse = match (before.is_subset(&after), after.is_subset(&before)) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        _ => None,
    };
    sets(&before, &after).map(|text| change(ChangeKind::Residue, worse, format!("left behind: {text}")))
}

fn change(kind: ChangeKind, worse: Option<bool>, text: String) -> Change {
    Change { kind, worse, text }
}

/// What came and what went.
fn sets(before: &BTreeSet<String>, after: &BTreeSet<String>) -> Option<String> {
    let list = |set: Vec<&String>, word: &str| {
        let names: Vec<&str> = set.into_iter().map(String::as_str).collect();
        (!names.is_empty()).then(|| format!("{} {word}", names.join(", ")))
    };
    let parts: Vec<String> = [
        list(after.difference(before).collect(), "is new"),
        list(before.difference(after).collect(), "is gone"),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// A word of the record, as it spells it.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::{Cause, Residue};

    #[test]
    fn each_kind_of_change_is_told_and_noise_is_not() {
        let clean = Soak { verdict: Verdict::Clean, ..Soak::default() };
        assert!(changes(&clean, &clean).is_empty() && residue(&clean, &clean).is_none());
        let unclear = Soak { verdict: Verdict::Inconclusive, ..Soak::default() };
        assert!(changes(&clean, &unclear).is_empty());
        let mut pinned = Soak { verdict: Verdict::Pinned, ..Soak::default() };
        pinned.unload.state = UnloadState::Pinned;
        pinned.unload.causes =
            vec![Cause { kind: "nodelete".to_owned(), detail: String::new(), object: None }];
        pinned.residue = vec![Residue { kind: "fds".to_owned(), detail: String::new(), per_cycle: None }];
        let told = changes(&clean, &pinned);
        let texts: Vec<&str> = told.iter().map(|change| change.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "the verdict is pinned, not clean",
                "it is pinned, not unloaded",
                "why it stays loaded: nodelete is new"
            ]
        );
        assert_eq!(told[1].worse, Some(true));
        assert_eq!(changes(&pinned, &clean)[1].worse, Some(false));
        assert_eq!(residue(&clean, &pinned).unwrap().text, "left behind: fds is new");
        assert_eq!(residue(&pinned, &clean).unwrap().worse, Some(false));
        let mut crashed = clean.clone();
        crashed.outcome.kind = OutcomeKind::Crashed;
        assert_eq!(changes(&clean, &crashed)[0].text, "it ended crashed, not completed");
        let mut cut = clean.clone();
        cut.outcome.kind = OutcomeKind::Interrupted;
        assert!(changes(&clean, &cut).is_empty());
    }
}
