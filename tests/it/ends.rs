//! Each kind of end: what is told of it, that the soak can be repeated from what is told, and that a library which
//! comes to no such end is left alone.

use std::process::Command;

use dlsoak::record::why::{Access, FaultPlace};
use dlsoak::record::{Code, OutcomeKind, Phase, Stack, Verdict, Why};
use xtask::fixtures::{Fixture, Situation, Table, root};
use xtask::hostile::hangs;
use xtask::judge;

use crate::support::{DECIDED, Finished, fixture, lack, run, soak, tool};

/// The fixtures that come to an end before the last cycle or at exit, or those that are made not to.
fn fixtures(ends: bool) -> Vec<Fixture> {
    let table = Table::load(&root()).unwrap();
    let of = |fixture: &Fixture| {
        let truth = fixture.truth(&Situation::default());
        let ended = truth.is_some_and(|truth| truth.end.is_some());
        fixture.name.contains("-end-") && ended == ends
    };
    let fixtures: Vec<Fixture> = table.fixtures.into_iter().filter(of).collect();
    assert!(fixtures.len() >= if ends { 20 } else { 4 });
    fixtures
}

fn differences(of: &Fixture, finished: &Finished) -> Vec<String> {
    let json = serde_json::to_value(finished.soak()).unwrap();
    judge::differences(of, &serde_json::from_value(json).unwrap())
}

fn end_of(name: &str, args: &[&str]) -> Finished {
    let table = Table::load(&root()).unwrap();
    let of = table.get(name).unwrap();
    // What hangs is soon said to; what does not is given the time of a machine that has much else to do.
    let stall = if hangs(of.truth(&Situation::default()).unwrap()) { "700ms" } else { "1m" };
    let own = of.arguments();
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let all = [&["-n", "100", "--stall-timeout", stall], &own[..], args].concat();
    if of.settings.contains_key("exercise") {
        return run(&[&[fixture(name).to_str().unwrap()], &all[..]].concat());
    }
    soak(&fixture(name), &all)
}

#[test]
fn each_end_is_told_with_what_brought_it_about() {
    let fixtures = fixtures(true);
    let found = std::sync::Mutex::new(Vec::new());
    // Side by side: most of the time of a soak that hangs is waiting.
    std::thread::scope(|scope| {
        for some in fixtures.chunks(fixtures.len().div_ceil(4)) {
            scope.spawn(|| {
                let told: Vec<String> = some.iter().flat_map(told).collect();
                found.lock().unwrap().extend(told);
            });
        }
    });
    let found = found.into_inner().unwrap();
    assert!(found.is_empty(), "{found:#?}");
}

/// In what the end of a fixture differs from what is true of it.
fn told(of: &Fixture) -> Vec<String> {
    let finished = end_of(&of.name, &[]);
    assert_eq!(finished.code, 1, "{}: {}", of.name, finished.stderr);
    let outcome = &finished.soak().outcome;
    assert!(outcome.stacks.as_ref().is_some_and(|stacks| !stacks.is_empty()), "{}: {outcome:?}", of.name);
    // What a person reads at first holds the essence, and the way to see it again.
    let first = &finished.soak().judged.findings[0];
    assert!(
        matches!(&first.facts, dlsoak::record::Facts::Ended(ended) if ended.outcome.kind == outcome.kind)
    );
    assert!(finished.stdout.contains("again: dlsoak run "), "{}", finished.stdout);
    differences(of, &finished).iter().map(|text| format!("{}: {text}", of.name)).collect()
}

#[test]
fn what_comes_to_no_bad_end_is_left_alone() {
    for of in fixtures(false) {
        let finished = soak(&fixture(&of.name), &DECIDED);
        let differences = differences(&of, &finished);
        assert!(differences.is_empty(), "{}: {differences:#?}", of.name);
        assert_eq!(finished.soak().outcome.kind, OutcomeKind::Completed, "{}", of.name);
    }
}

/// Runs the command of a record, as it stands, and returns the record that it leaves.
fn again(finished: &Finished) -> Finished {
    let out = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_dlsoak");
    let (tool, arguments) = finished.soak().replay.split_once(' ').unwrap();
    assert_eq!(tool, "dlsoak");
    let script = format!("'{program}' -q {arguments} -o '{}'", out.path().display());
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    crate::support::finished(&output, &out)
}

#[test]
fn an_end_comes_again_by_the_command_in_the_record() {
    for name in ["c-end-late", "c-end-exit-constructor", "c-end-mutex-twice", "c-end-at-exit"] {
        let first = end_of(name, &["--env", "A=it's \"one\"", "--flags", "lazy"]);
        let second = again(&first);
        let ends = [&first, &second].map(|finished| {
            let outcome = &finished.soak().outcome;
            (outcome.kind, outcome.cycle, outcome.phase, outcome.signal.clone())
        });
        assert_eq!(ends[0], ends[1], "{name}: {}", first.soak().replay);
        assert_eq!(second.soak().env["A"], "it's \"one\"");
    }
}

#[test]
fn a_suite_is_repeated_without_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let library = directory.path().join("with space\nand line.so");
    std::fs::copy(fixture("c-end-late"), &library).unwrap();
    let suite = directory.path().join("suite.toml");
    let text = "[defaults]\ncycles = 60\nwarmup = 7\nenv = { B = \"2 3\" }\n[[library]]\nname = \"late\"\n\
                path = \"with space\\nand line.so\"\ncall = \"fibonacci(20)\"\n";
    std::fs::write(&suite, text).unwrap();
    let first = run(&[suite.to_str().unwrap()]);
    let second = again(&first);
    assert_eq!(first.soak().outcome.cycle, Some(20));
    assert_eq!(second.soak().outcome.cycle, Some(20), "{}", first.soak().replay);
    assert_eq!(second.soak().env["B"], "2 3");
}

#[test]
fn keys_that_run_out_are_told_with_how_many_there_are() {
    let finished = soak(&fixture("rust-current-thread"), &["-n", "3000"]);
    let outcome = &finished.soak().outcome;
    assert_eq!(finished.soak().judged.verdict, Verdict::Crashed, "{outcome:?}");
    assert_eq!(outcome.code(), Code::CrashedTlsKeys, "{outcome:?}");
}

#[test]
fn a_thread_in_code_that_is_gone_is_told_with_the_library() {
    let finished = end_of("c-end-thread", &[]);
    let outcome = &finished.soak().outcome;
    let fault = outcome.fault.as_ref().unwrap_or_else(|| panic!("{outcome:?}"));
    assert_eq!(fault.access, Some(Access::Execute));
    let Some(FaultPlace::Unloaded { object, .. }) = &fault.place else { panic!("{fault:?}") };
    assert_eq!(object, "libc-end-thread.so");
    assert_eq!(fault.address.as_ref(), Some(&fault.instruction));
    assert_eq!(outcome.code(), Code::CrashedUnloadedCode);
}

#[test]
fn threads_get_their_own_stacks_and_cycles() {
    let finished = end_of("c-end-mutex-twice", &["-t", "3"]);
    let stacks = finished.soak().outcome.stacks.as_ref().unwrap();
    let inside = stacks.iter().filter(|stack| has_function(stack, "lock_twice")).count();
    // Each has a copy of the library and so a mutex of its own; the first cycles run alone.
    assert_eq!((stacks.len(), inside), (3, 1), "{stacks:#?}");
    assert!(has_function(&stacks[0], "lock_twice"), "{stacks:#?}");
    assert_eq!((stacks[0].cycle, stacks[0].phase), (Some(0), Some(Phase::Call)), "{stacks:#?}");
    let finished = end_of("c-end-null", &["--mode", "copies"]);
    let outcome = &finished.soak().outcome;
    let Some(Why::Crash(crash)) = &outcome.why else { panic!("{outcome:?}") };
    let by = crash.by.as_ref().unwrap();
    assert_eq!(by.function.as_deref(), Some("follow_null"), "{outcome:?}");
    assert_eq!(by.object.as_deref(), Some("libc-end-null.so"), "{outcome:?}");
    assert!(by.line.is_some() && outcome.stacks.as_ref().unwrap()[0].frames.contains(by), "{outcome:?}");
}

fn has_function(stack: &Stack, name: &str) -> bool {
    stack.frames.iter().any(|frame| frame.function.as_deref() == Some(name))
}

/// One thing at a time may trace a process: with a tracer there already, the soak goes on and says what it lacks.
#[test]
fn a_process_that_is_traced_already_is_soaked_without_stacks() {
    if !tool("strace") {
        return;
    }
    let can = Command::new("strace").args(["-f", "true"]).output().unwrap();
    if !can.status.success() {
        return lack("a process that is traced already", &String::from_utf8_lossy(&can.stderr));
    }
    let out = tempfile::tempdir().unwrap();
    let output = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=none", "-o", "/dev/null"])
        .args([env!("CARGO_BIN_EXE_dlsoak"), "run", "-q", "-n", "50", "-c", "fibonacci(20)", "-o"])
        .arg(out.path())
        .arg(fixture("c-end-late"))
        .output()
        .unwrap();
    let finished = crate::support::finished(&output, &out);
    let soak = finished.soak();
    assert_eq!((soak.outcome.cycle, soak.outcome.signal.as_deref()), (Some(20), Some("SIGSEGV")));
    assert!(soak.outcome.stacks.is_none());
    assert!(crate::support::has(soak, dlsoak::record::Code::Unwatched), "{:?}", soak.notes);
}
