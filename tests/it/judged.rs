//! Every committed record is judged again, and gives the codes that are listed here by hand, from what is true of each library.

use dlsoak::analysis::judge_run;
use dlsoak::record::{Run, Severity, read};

/// For the beginning of a soak's name, its codes.
type Table = &'static [(&'static str, &'static [&'static str])];

/// A record, and for the beginning of a soak's name the codes that fail it or leave it undecided, in their order.
const RECORDS: [(&str, Table); 3] = [
    (
        "reports/sample/record.json",
        &[
            ("c-clean", &[]),
            ("c-leak-constructor", &["leak-heap"]),
            ("cpp-clean", &[]),
            ("cpp-unique", &["pinned-unique"]),
            ("rust-clean", &[]),
            ("rust-tls-destructor", &["pinned-tls-destructor"]),
            ("go-clean", &["pinned-nodelete"]),
        ],
    ),
    (
        "reports/sample/go/record.json",
        &[
            ("reopen ", &["pinned-nodelete"]),
            // Each copy of a Go library brings a runtime with threads, mappings and a key of its own.
            (
                "copies ",
                &["leak-rss", "leak-mappings", "leak-threads", "residue-tls-keys", "pinned-nodelete"],
            ),
        ],
    ),
    (
        "fuzz/corpus/record/three-soaks.json",
        &[
            ("cpp-unique", &["pinned-unique"]),
            ("such", &["load-failed-bad-file"]),
            // Three checkpoints prove nothing.
            ("c-leak-call", &["too-few-checkpoints"]),
        ],
    ),
];

fn records() -> impl Iterator<Item = (&'static str, Run, Table)> {
    RECORDS.into_iter().map(|(path, table)| {
        let bytes = std::fs::read(xtask::fixtures::root().join(path)).unwrap();
        (path, read(&bytes).unwrap_or_else(|error| panic!("{path}: {error}")), table)
    })
}

#[test]
fn every_committed_record_has_the_codes_that_it_should_have() {
    for (path, run, table) in records() {
        for soak in judge_run(run).soaks {
            let expected = table.iter().find(|(name, _)| soak.name.starts_with(name));
            let (_, expected) = expected.unwrap_or_else(|| panic!("{path}: {} is not listed", soak.name));
            let codes: Vec<&str> = soak
                .judged
                .findings
                .iter()
                .filter(|finding| finding.severity != Severity::Note)
                .map(|finding| finding.code.name())
                .collect();
            assert_eq!(codes, *expected, "{path}: {}", soak.name);
        }
    }
}

#[test]
fn judging_again_changes_nothing() {
    for (path, run, _) in records() {
        let again = judge_run(run.clone());
        for (before, after) in run.soaks.iter().zip(&again.soaks) {
            assert_eq!(before.judged, after.judged, "{path}: {}", before.name);
        }
        assert_eq!(run.passed, again.passed, "{path}");
    }
}

#[test]
fn every_committed_record_is_listed() {
    let mut git = std::process::Command::new("git");
    git.args(["ls-files", "*.json"]).current_dir(xtask::fixtures::root());
    let output = git.output().unwrap();
    let tracked = String::from_utf8(output.stdout).unwrap();
    for path in
        tracked.lines().filter(|path| path.ends_with("/record.json") || path.ends_with("three-soaks.json"))
    {
        assert!(RECORDS.iter().any(|(listed, _)| *listed == path), "{path} is not listed");
    }
}
