//! The table of fixtures: its codes are codes of the record, and they fit the rest of each truth.

use std::collections::BTreeSet;

use dlsoak::record::Code;
use xtask::fixtures::{Fixture, Situation, Table, Truth, root};

use crate::support::lack;

/// All truths of the table, each with its fixture.
fn truths(table: &Table) -> impl Iterator<Item = (&Fixture, &Truth)> {
    table.fixtures.iter().flat_map(|fixture| fixture.truths.iter().map(move |truth| (fixture, truth)))
}

/// Whether it passes that the fixture stays: by its settings, or because its C library never unloads.
fn may_stay(fixture: &Fixture, truth: &Truth) -> bool {
    fixture.settings.contains_key("allow-pinned") || truth.causes == ["libc-never-unloads"]
}

#[test]
fn every_finding_of_a_truth_is_a_code_and_is_there_once() {
    let table = Table::load(&root()).unwrap();
    for (fixture, truth) in truths(&table) {
        for name in &truth.findings {
            assert!(Code::from_name(name).is_some(), "{}: `{name}` is no code", fixture.name);
        }
        let different: BTreeSet<_> = truth.findings.iter().collect();
        assert_eq!(different.len(), truth.findings.len(), "{}: {:?}", fixture.name, truth.findings);
    }
}

#[test]
fn fixtures_without_a_truth_on_this_machine_are_counted() {
    for fixture in Table::load(&root()).unwrap().left_out(&Situation::default()) {
        lack(&format!("the fixture {}", fixture.name), "the table has no truth for this machine");
    }
}

#[test]
fn every_truth_that_does_not_pass_has_a_finding_and_no_other_has() {
    let table = Table::load(&root()).unwrap();
    for (fixture, truth) in truths(&table) {
        let allowed = truth.verdict == "pinned" && may_stay(fixture, truth);
        let passes = truth.verdict == "clean" || allowed;
        assert_eq!(passes, truth.findings.is_empty(), "{}: {truth:?}", fixture.name);
    }
}

#[test]
fn findings_agree_with_what_stays_and_what_is_left() {
    let table = Table::load(&root()).unwrap();
    for (fixture, truth) in truths(&table) {
        let of = |prefix: &str| -> BTreeSet<&str> {
            truth.findings.iter().filter_map(|code| code.strip_prefix(prefix)).collect()
        };
        let fails = truth.state.as_deref() == Some("pinned") && !may_stay(fixture, truth);
        let causes: BTreeSet<&str> =
            truth.causes.iter().filter(|_| fails).map(|cause| cause.trim_end_matches("-pinned")).collect();
        assert_eq!(of("pinned-"), causes, "{}: {truth:?}", fixture.name);
        let left: BTreeSet<&str> = truth.residue.iter().map(|left| left.kind.as_str()).collect();
        assert!(of("residue-").is_subset(&left), "{}: {truth:?}", fixture.name);
        // What an allocator of the library takes is counted by virtual memory.
        let counted = |kind: &&&str| **kind == "allocator" && truth.growth.contains_key("virtual");
        let told: BTreeSet<&str> = left.iter().filter(|kind| !counted(kind)).copied().collect();
        assert!(told.is_subset(&of("residue-")), "{}: {truth:?}", fixture.name);
    }
}
