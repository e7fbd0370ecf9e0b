//! Soaks that run side by side: each is told as if it ran alone, in the suite's order, and what time gates does run alone.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{dlsoak, finished, fixture, read_record, run, until};
use dlsoak::record::{OutcomeKind, UnloadState, Verdict};

/// A suite of these fixtures in a directory of its own, each with more lines of its table.
fn suite(dir: &std::path::Path, libraries: &[(&str, &str)]) -> std::path::PathBuf {
    let mut text = "[suite]\nname = \"jobs\"\n".to_owned();
    for (name, more) in libraries {
        text += &format!("\n[[library]]\nname = \"{name}\"\npath = {:?}\n{more}", fixture(name));
    }
    let file = dir.join("dlsoak.toml");
    std::fs::write(&file, text).unwrap();
    file
}

#[test]
fn what_runs_side_by_side_is_told_as_if_it_ran_alone() {
    let libraries = ["go-clean", "c-leak-constructor", "rust-tls-destructor", "c-fds", "cpp-clean"];
    let paths = libraries.map(|name| fixture(name).to_str().unwrap().to_owned());
    let mut args: Vec<&str> = paths.iter().map(String::as_str).collect();
    args.extend(["-c", "fibonacci(20)", "-n", "2000", "-j", "3"]);
    let finished = run(&args);
    let soaks = &finished.run.soaks;
    assert_eq!(soaks.iter().map(|soak| soak.name.as_str()).collect::<Vec<_>>(), libraries);
    let states = soaks.iter().map(|soak| soak.unload.state).collect::<Vec<_>>();
    use UnloadState::{Pinned, Unloaded};
    assert_eq!(states, [Pinned, Unloaded, Pinned, Unloaded, Unloaded]);
    for soak in soaks {
        assert_eq!((soak.cycles.completed, soak.beside), (2000, 2), "{}", soak.name);
        assert!(crate::support::has(soak, dlsoak::record::Code::Contended), "{:?}", soak.notes);
    }
    let leak = soaks[1].judged.leak.as_ref().unwrap();
    assert!((leak.bytes_per_cycle - 32.0).abs() < 0.32, "{leak:?}");
    // No descriptor of one worker is in another: one per cycle, and nothing in its neighbours.
    assert_eq!(soaks[3].judged.verdict, Verdict::Leak, "{:?}", soaks[3].judged.findings);
    assert!(soaks[4].residue.is_empty(), "{:?}", soaks[4].residue);
    assert_eq!(finished.code, 1);
    assert!(finished.stdout.contains("~x: other soaks ran at the same time"), "{}", finished.stdout);
}

#[test]
fn what_is_gated_by_time_runs_alone() {
    let dir = tempfile::tempdir().unwrap();
    let rate = "max-leak-rate = \"1MB/s\"\n";
    let libraries = [("c-clean", ""), ("c-leak-constructor", rate), ("cpp-clean", "")];
    let suite = suite(dir.path(), &libraries);
    let finished = run(&[suite.to_str().unwrap(), "-n", "1000", "--jobs", "2"]);
    let beside: Vec<_> = finished.run.soaks.iter().map(|soak| (soak.name.as_str(), soak.beside)).collect();
    assert_eq!(beside, [("c-clean", 1), ("c-leak-constructor", 0), ("cpp-clean", 1)]);
    // With one job, or one library, nothing is contended.
    let alone = run(&[fixture("c-clean").to_str().unwrap(), "-n", "200", "--jobs", "4"]);
    assert_eq!(alone.soak().beside, 0);
    assert!(!alone.stdout.contains('~'), "{}", alone.stdout);
}

#[test]
fn events_of_soaks_side_by_side_are_whole_lines() {
    let libraries = ["c-clean", "cpp-clean", "c-leak-constructor"].map(fixture);
    let out = tempfile::tempdir().unwrap();
    let args = ["-n", "500", "-j", "3", "--message-format", "json", "-o"];
    let output = dlsoak().arg("run").args(&libraries).args(args).arg(out.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let events: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let count = |kind: &str| events.iter().filter(|event| event["event"] == kind).count();
    assert_eq!((count("begin"), count("soak"), count("end")), (3, 3, 1), "{text}");
}

#[test]
fn an_interrupt_keeps_what_all_of_them_have_measured() {
    let out = tempfile::tempdir().unwrap();
    let child = dlsoak()
        .arg("run")
        .args([fixture("c-clean"), fixture("cpp-clean"), fixture("c-leak-constructor")])
        .args(["-n", "50M", "--checkpoints", "10000", "-j", "2", "-o"])
        .arg(out.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Until both have told of checkpoints, as they do for whoever kills this program.
    until("both are in the record", || read_record(out.path()).ok().filter(|run| run.soaks.len() == 2));
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let finished = finished(&child.wait_with_output().unwrap(), &out);
    assert_eq!(finished.code, 130, "{}", finished.stderr);
    let soaks = &finished.run.soaks;
    assert_eq!(soaks.iter().map(|soak| soak.name.as_str()).collect::<Vec<_>>(), ["c-clean", "cpp-clean"]);
    for soak in soaks {
        assert_eq!(soak.outcome.kind, OutcomeKind::Interrupted, "{}", soak.name);
        assert!(soak.cycles.completed > 0 && !soak.checkpoints.rows.is_empty(), "{}", soak.name);
    }
}
