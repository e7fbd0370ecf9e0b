//! Bad input gets one clear line, and exit code 2 or the verdict `load-failed`.

use crate::support::{DECIDED, dlsoak, fixture, run};
use dlsoak::record::{Code, LoadCause, OutcomeKind, Verdict};

#[test]
fn a_path_that_is_no_library_gets_one_clear_line() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("notes.so");
    std::fs::write(&text, "hello\n").unwrap();
    let empty = dir.path().join("empty.so");
    std::fs::write(&empty, "").unwrap();
    let whole = std::fs::read(fixture("c-clean")).unwrap();
    let short = dir.path().join("short.so");
    std::fs::write(&short, &whole[..whole.len() / 2]).unwrap();
    let other_machine = dir.path().join("other.so");
    let mut bytes = whole;
    // e_machine: SPARC V9.
    bytes[18] = 43;
    std::fs::write(&other_machine, bytes).unwrap();
    for path in [&text, &empty, &short, &other_machine] {
        let finished = run(&[path.to_str().unwrap(), "-n", "100"]);
        let soak = finished.soak();
        assert_eq!(soak.judged.verdict, Verdict::LoadFailed, "{path:?}");
        assert_eq!((soak.outcome.kind, finished.code), (OutcomeKind::LoadFailed, 1), "{path:?}");
        let LoadCause::BadFile { path: named, problem } = &crate::support::failure(soak).cause else {
            panic!("{path:?}: {:?}", soak.outcome)
        };
        assert!(named == path.to_str().unwrap(), "{named}: {problem:?}");
        assert!(finished.stdout.contains("load-failed") || finished.stdout.contains("load failed"));
    }
}

#[test]
fn a_missing_symbol_is_named() {
    let finished = run(&[fixture("c-clean").to_str().unwrap(), "-c", "fibonaci(1)", "-n", "100"]);
    let soak = finished.soak();
    assert_eq!(soak.judged.verdict, Verdict::LoadFailed);
    assert_eq!(soak.outcome.phase, Some(dlsoak::record::Phase::Symbol));
    let LoadCause::MissingSymbol { symbol, exports: Some(exports) } = &crate::support::failure(soak).cause
    else {
        panic!("{:?}", soak.outcome)
    };
    assert_eq!((symbol.as_deref(), exports.nearest.as_deref()), (Some("fibonaci"), Some("fibonacci")));
    assert_eq!(soak.outcome.code(), Code::LoadFailedMissingSymbol);
}

#[test]
fn the_next_library_is_soaked_all_the_same() {
    let clean = fixture("c-clean");
    let finished = run(&[&["/etc/passwd", clean.to_str().unwrap()], &DECIDED[..]].concat());
    let verdicts: Vec<_> = finished.run.soaks.iter().map(|s| s.judged.verdict).collect();
    assert_eq!(verdicts, [Verdict::LoadFailed, Verdict::Clean]);
    assert_eq!(finished.code, 1);
}

/// Standard error of a run that can't begin; it is one line.
fn refused(args: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let output = dlsoak().args(args).current_dir(dir.path()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{args:?}");
    stderr
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let library = fixture("c-clean");
    let library = library.to_str().unwrap();
    for (args, expected) in [
        (vec!["run"], "dlsoak.toml"),
        (vec!["run", library, "-n", "0"], "cycle"),
        (vec!["run", library, "-n", "many"], "many"),
        (vec!["run", library, "-t", "100000"], "thread"),
        (vec!["run", library, "-c", "f(1"], "--call"),
        (vec!["run", library, "--env", "NOVALUE"], "NOVALUE"),
        (vec!["run", library, "--max-leak-rate", "3 parsecs"], "parsecs"),
        (vec!["run", library, "--mode", "sideways"], "sideways"),
        (vec!["run", library, "--flags", "now,lazy"], "lazy"),
        (vec!["run", library, "-o", "/proc/nowhere"], "/proc/nowhere"),
        (vec!["run", "missing.toml"], "missing.toml"),
        (vec!["report", "missing.json", "--to", "text"], "missing.json"),
    ] {
        let stderr = refused(&args);
        assert!(stderr.contains(expected), "{args:?}: {stderr}");
    }
}

#[test]
fn a_suite_with_an_unknown_key_names_the_line() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("dlsoak.toml"), "[[library]]\npath = 'a.so'\ncicles = 5\n").unwrap();
    let output = dlsoak().arg("run").current_dir(dir.path()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr.contains("dlsoak.toml:3") && stderr.contains("cicles") && stderr.contains("cycles"),
        "{stderr}"
    );
}

#[test]
fn a_record_of_another_schema_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.json");
    for (text, expected) in
        [("{", "no JSON"), ("{}", "no `schema`"), ("{\"schema\":\"dlsoak.run/9\"}", "dlsoak.run/9")]
    {
        std::fs::write(&path, text).unwrap();
        let output = dlsoak().args(["report", "--to", "text"]).arg(&path).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr.contains(expected) && stderr.lines().count() == 1, "{stderr}");
    }
}
