//! `dlsoak verify`: other instruments look at the same cycles, and agree, or the table says why not.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{dlsoak, fixture, read_record};

/// Whether valgrind is there; where it is not, that is said on stderr.
fn valgrind(what: &str) -> bool {
    let there =
        Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        // Not by the macro, whose output a test that passes would swallow.
        let _ = writeln!(
            std::io::stderr(),
            "NOT TESTED: {what} against valgrind, for there is none: apt install valgrind"
        );
    }
    there
}

fn verify(library: &Path, args: &[&str]) -> Output {
    let mut command = dlsoak();
    command.arg("verify").arg(library).args(["-c", "fibonacci(20)", "--json"]).args(args);
    command.output().unwrap()
}

/// The exit code and what was found.
fn found(name: &str, args: &[&str]) -> (i32, Value) {
    let output = verify(&fixture(name), args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let found = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{name}: {e}: {stderr}"));
    (output.status.code().unwrap(), found)
}

fn look<'a>(found: &'a Value, instrument: &str) -> &'a Value {
    let looks = found["looks"].as_array().unwrap();
    looks
        .iter()
        .find(|look| look["instrument"] == instrument)
        .unwrap_or_else(|| panic!("{instrument}: {found:#}"))
}

fn figure<'a>(found: &'a Value, instrument: &str, what: &str) -> &'a Value {
    let look = look(found, instrument);
    assert_eq!(look["state"], "looked", "{look:#}");
    let figures = look["figures"].as_array().unwrap();
    figures.iter().find(|figure| figure["what"] == what).unwrap_or_else(|| panic!("{what}: {look:#}"))
}

fn agreement<'a>(found: &'a Value, about: &str) -> &'a Value {
    let all = found["agreements"].as_array().unwrap();
    all.iter().find(|agreement| agreement["about"] == about).unwrap_or_else(|| panic!("{about}: {found:#}"))
}

/// Where it grows.
fn places(found: &Value) -> Vec<&str> {
    found["places"].as_array().unwrap().iter().map(|place| place["place"].as_str().unwrap()).collect()
}

fn conclusion(found: &Value) -> String {
    found["conclusion"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_leak_of_the_heap_is_the_same_for_all() {
    if !valgrind("a leak of the C heap") {
        return;
    }
    for (name, chunk, asked_for, function) in
        [("c-leak-constructor", 32.0, 16.0, "leak"), ("c-leak-call", 112.0, 100.0, "fibonacci")]
    {
        let (code, found) = found(name, &["-n", "3000"]);
        assert_eq!((code, places(&found)), (1, vec!["c-heap"]), "{found:#}");
        let near = |a: &Value, b: f64| (a.as_f64().unwrap() - b).abs() <= b * 0.01;
        assert!(near(&figure(&found, "dlsoak", "heap")["per_cycle"], chunk), "{found:#}");
        let not_freed = figure(&found, "memcheck", "not freed");
        assert!(
            near(&not_freed["per_cycle"], asked_for) && near(&not_freed["in_chunks"][0], chunk),
            "{found:#}"
        );
        assert_eq!(not_freed["blocks_per_cycle"], 1.0);
        assert_eq!(figure(&found, "memcheck", "definitely lost")["per_cycle"], asked_for);
        assert_eq!(agreement(&found, "C heap")["accord"], "agree", "{found:#}");
        // The library is gone by the time valgrind looks, and its functions have their names.
        assert_eq!(look(&found, "memcheck")["stack"][0]["function"], function, "{found:#}");
        if look(&found, "lsan")["state"] == "looked" {
            assert_eq!(figure(&found, "lsan", "lost")["per_cycle"], asked_for, "{found:#}");
            assert_eq!(agreement(&found, "lost blocks")["accord"], "agree", "{found:#}");
        }
    }
}

#[test]
fn what_leaks_nothing_is_clean_for_all() {
    for name in ["c-clean", "c-freed-call"] {
        let (code, found) = found(name, &["-n", "10000"]);
        assert!(places(&found).is_empty(), "{name}: {found:#}");
        // A busy machine may leave resident memory undecided; that is then the one reason.
        let undecided = found["verdict"] == "inconclusive";
        let answer = if undecided { (3, "undecided") } else { (0, "nothing-grows") };
        assert_eq!((code, &found["answer"]), (answer.0, &answer.1.into()), "{found:#}");
        for (instrument, what) in [("memcheck", "not freed"), ("memcheck", "lost"), ("lsan", "lost")] {
            let looked = look(&found, instrument)["state"] == "looked";
            assert!(!looked || figure(&found, instrument, what)["trend"] == "flat", "{found:#}");
        }
        let looks = found["looks"].as_array().unwrap();
        assert!(
            looks.iter().all(|look| look["sees"].is_string() && look["blind_to"].is_string()),
            "{found:#}"
        );
        let disagree = |agreement: &Value| agreement["accord"] == "disagree";
        assert!(!found["agreements"].as_array().unwrap().iter().any(disagree), "{found:#}");
        assert!(undecided || conclusion(&found).contains("what could hide"), "{found:#}");
    }
}

#[test]
fn of_a_leak_of_mappings_valgrind_sees_nothing_and_that_is_said() {
    for name in ["c-mmap-touched", "c-mmap-untouched"] {
        let (code, found) = found(name, &["-n", "3000"]);
        assert_eq!((code, places(&found)), (1, vec!["mappings"]), "{name}: {found:#}");
        assert_eq!(figure(&found, "status", "VmSize")["trend"], "growing", "{found:#}");
        assert_eq!(agreement(&found, "address space")["accord"], "agree", "{found:#}");
        if valgrind("a leak of mappings") {
            assert_eq!(figure(&found, "memcheck", "not freed")["trend"], "flat", "{found:#}");
            assert!(conclusion(&found).contains("valgrind sees nothing of it"), "{found:#}");
        }
    }
}

#[test]
fn go_that_is_clean_is_so_for_its_collector_too() {
    let (code, found) = found("go-clean", &["-n", "10000"]);
    assert_eq!((code, places(&found).len()), (0, 0), "{found:#}");
    let live = figure(&found, "gctrace", "live Go heap");
    assert_eq!(live["trend"], "flat", "{found:#}");
    // 1 MiB in all is the least that a trace can tell.
    assert!(live["smallest"].as_f64().unwrap() > 100.0, "{found:#}");
    assert!(look(&found, "gctrace")["notes"][0].as_str().unwrap().contains("collection"), "{found:#}");
}

#[test]
fn a_c_string_that_go_does_not_free_is_in_the_c_heap() {
    let (code, cstring) = found("go-cstring", &["-n", "10000"]);
    assert_eq!((code, places(&cstring)), (1, vec!["c-heap"]), "{cstring:#}");
    assert_eq!(figure(&cstring, "gctrace", "live Go heap")["trend"], "flat", "{cstring:#}");
    assert!(conclusion(&cstring).contains("Go's heap does not grow"), "{cstring:#}");
    if valgrind("C.CString in Go") && look(&cstring, "memcheck")["state"] == "looked" {
        assert_eq!(agreement(&cstring, "C heap")["accord"], "agree", "{cstring:#}");
    }
    let (code, freed) = found("go-cstring-freed", &["-n", "5000"]);
    assert_eq!((code, places(&freed).len()), (0, 0), "{freed:#}");
}

#[test]
fn a_map_of_go_is_in_go_s_own_heap() {
    // On a busy machine the collector may come late by some MiB; of 30 that is a small part.
    let (code, found) = found("go-map", &["-n", "30000"]);
    assert_eq!((code, places(&found)), (1, vec!["go-heap"]), "{found:#}");
    let live = figure(&found, "gctrace", "live Go heap");
    let (low, high) = (live["low"].as_f64().unwrap(), live["high"].as_f64().unwrap());
    // 1,024 bytes and an entry of the map for each call.
    assert!(low < 1_200.0 && high > 1_024.0 && low > 500.0, "{found:#}");
    assert_eq!(figure(&found, "dlsoak", "heap")["trend"], "flat", "{found:#}");
    assert!(conclusion(&found).contains("the C heap does not grow"), "{found:#}");
}

#[test]
fn an_instrument_that_is_missing_is_one_line() {
    let empty = tempfile::tempdir().unwrap();
    let mut command = dlsoak();
    command.arg("verify").arg(fixture("c-leak-constructor")).args(["-n", "1000"]).env("PATH", empty.path());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("valgrind ")).collect();
    assert_eq!(lines, ["valgrind        not installed: apt install valgrind"], "{text}");
    assert!(text.contains("/proc status    VmRSS"), "{text}");
    assert!(text.contains("C heap, 32 B/cycle"), "{text}");
}

#[test]
fn an_instrument_that_fails_says_why_and_the_others_go_on() {
    let fake = tempfile::tempdir().unwrap();
    let program = fake.path().join("valgrind");
    for (script, why) in [
        ("echo 'Fatal error at startup: install libc6-dbg' >&2; exit 1", "install libc6-dbg"),
        // It runs the loop and writes no report.
        ("while [ \"${1#--}\" != \"$1\" ]; do shift; done; exec \"$@\"", "report can't be read"),
        ("exit 0", "before all cycles were done"),
        ("kill -9 $$", "SIGKILL"),
    ] {
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).unwrap();
        let mut command = dlsoak();
        command.arg("verify").arg(fixture("c-clean")).args(["-n", "500", "--json"]).env("PATH", fake.path());
        let output = command.output().unwrap();
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let memcheck = look(&found, "memcheck");
        assert_eq!(memcheck["state"], "failed", "{script}: {memcheck:#}");
        assert!(memcheck["detail"].as_str().unwrap().contains(why), "{script}: {memcheck:#}");
        assert_eq!(look(&found, "status")["state"], "looked", "{script}: {found:#}");
    }
}

#[test]
fn a_run_that_takes_too_long_is_ended() {
    if !valgrind("the time limit") {
        return;
    }
    let (_, found) = found("c-clean", &["-n", "300", "--memcheck-cycles", "1000000", "--timeout", "1s"]);
    let detail = look(&found, "memcheck")["detail"].as_str().unwrap();
    assert!(detail.contains("longer than 1 s") && detail.contains("--timeout"), "{detail}");
}

#[test]
fn all_of_it_is_written_down_and_read_on_any_screen() {
    let out = tempfile::tempdir().unwrap();
    let mut command = dlsoak();
    command.arg("verify").arg(fixture("c-clean")).args(["-n", "3000", "-v", "-o"]).arg(out.path());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    // What it answers on a busy machine is not the point here.
    let answers = [(0, "nothing-grows", "nothing grows"), (3, "undecided", "undecided")];
    let answer = answers.iter().find(|(code, ..)| output.status.code() == Some(*code));
    let (_, answer, words) = answer.unwrap_or_else(|| panic!("{text}"));
    let json: Value =
        serde_json::from_slice(&std::fs::read(out.path().join("verify.json")).unwrap()).unwrap();
    assert_eq!((&json["schema"], &json["answer"]), (&"dlsoak.verify/1".into(), &(*answer).into()));
    assert_eq!(read_record(out.path()).unwrap().soaks.len(), 1);
    assert!(text.lines().all(|line| line.chars().count() <= 120 || line.contains('/')), "{text}");
    let concluded = format!("conclusion      {words}");
    for part in ["does not see mmap", "held together", &concluded, "verify.json"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn every_way_to_cycle_can_be_verified_but_many_threads() {
    let exercise = format!("{}:attempt_it", fixture("c-driver").display());
    for (name, args) in [
        ("c-leak-call", &["--mode", "copies"][..]),
        ("c-leak-call", &["--call-from", "worker"]),
        ("c-leak-call", &["--call-from", "short-lived"]),
        ("c-sandbox-connect", &["--exercise", &exercise]),
    ] {
        let all = [&["-n", "1000", "--memcheck-cycles", "20"], args].concat();
        let (_, found) = found(name, &all);
        let expected: &[&str] = if name == "c-leak-call" { &["c-heap"] } else { &[] };
        assert_eq!(places(&found), expected, "{args:?}: {found:#}");
        let failed = |look: &&Value| look["state"] == "failed";
        let failed = found["looks"].as_array().unwrap().iter().find(failed);
        assert!(failed.is_none(), "{args:?}: {found:#}");
    }
    let threads = verify(&fixture("c-clean"), &["-t", "2"]);
    let stderr = String::from_utf8_lossy(&threads.stderr);
    assert!(threads.status.code() == Some(2) && stderr.contains("--threads"), "{stderr}");
    let missing = verify(Path::new("/no/such/lib.so"), &[]);
    let stderr = String::from_utf8_lossy(&missing.stderr);
    assert!(missing.status.code() == Some(2) && stderr.contains("/no/such/lib.so"), "{stderr}");
}

#[test]
fn a_library_that_ends_the_soak_is_not_asked_again() {
    let output = verify(&fixture("c-end-null"), &["-n", "200"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &found["answer"]), (Some(1), &"ended-early".into()), "{found:#}");
    assert_eq!(found["looks"].as_array().unwrap().len(), 1, "{found:#}");
}
