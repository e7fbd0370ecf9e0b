//! Nothing that was measured is lost: a full stdout.

use std::fs;
use std::process::Command;

use crate::support::{dlsoak, fixture, read_record};

/// The one line that a refused command says.
fn refused(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{command:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{command:?}: {said}");
    assert!(said.starts_with("dlsoak: ") && output.stdout.is_empty(), "{command:?}: {said}");
    said
}

#[test]
fn a_full_stdout_is_an_error_and_costs_no_record() {
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let sample = crate::support::sample();
    let library = fixture("c-clean");
    let (sample, library) = (sample.to_str().unwrap(), library.to_str().unwrap());
    for (args, has_record) in [
        (vec!["run", library, "-n", "20"], true),
        (vec!["run", library, "-n", "20", "--message-format", "json"], true),
        (vec!["trace", library, "-n", "20"], true),
        (vec!["report", sample, "--to", "markdown"], false),
        (vec!["inspect", library], false),
        (vec!["completions", "bash"], false),
        (vec!["--help"], false),
        (vec!["--version"], false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut command = dlsoak();
        command.args(&args).stdout(full());
        if has_record || args[0] == "report" {
            command.arg("-o").arg(dir.path());
        }
        let said = refused(&mut command);
        assert!(said.contains("standard output: No space left on device"), "{said}");
        let record = dir.path().join("record.json");
        if has_record {
            assert_eq!(read_record(dir.path()).unwrap().soaks.len(), 1, "{args:?}");
            assert!(dir.path().join("report.html").is_file(), "{args:?}");
            assert!(said.contains(record.to_str().unwrap()), "{said}");
        }
    }
}
