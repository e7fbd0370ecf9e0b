//! Ctrl-C leaves a valid record of what was measured, and neither a process nor a file.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{dlsoak, finished, fixture, read_record, until};
use dlsoak::record::OutcomeKind;

/// Processes whose parent or ancestor is `pid`.
fn descendants(pid: i32) -> Vec<i32> {
    let children = |pid: i32| {
        let path = format!("/proc/{pid}/task/{pid}/children");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.split_whitespace().filter_map(|p| p.parse().ok()).collect::<Vec<i32>>()
    };
    let mut all = children(pid);
    let mut index = 0;
    while index < all.len() {
        all.extend(children(all[index]));
        index += 1;
    }
    all
}

fn alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| !s.contains(") Z "))
}

fn interrupted_by(signal: Signal) {
    let out = tempfile::tempdir().unwrap();
    let private = tempfile::tempdir().unwrap();
    let child = dlsoak()
        .arg("run")
        .args([fixture("c-clean"), fixture("c-leak-constructor")])
        .args(["--duration", "1d", "-t", "2", "-o"])
        .arg(out.path())
        .env("TMPDIR", private.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let copies = || std::fs::read_dir(private.path()).unwrap().count();
    // What it has measured so far is in the record of a soak that may go on for long.
    until("cycles are measured", || read_record(out.path()).ok());
    let workers = descendants(pid);
    assert!(!workers.is_empty() && copies() == 1);
    kill(Pid::from_raw(pid), signal).unwrap();
    let finished = finished(&child.wait_with_output().unwrap(), &out);
    assert_eq!(finished.code, 130, "{}", finished.stderr);
    let soak = finished.soak();
    assert_eq!(soak.outcome.kind, OutcomeKind::Interrupted);
    assert!(soak.cycles.completed > 0 && !soak.checkpoints.rows.is_empty(), "{:?}", soak.cycles);
    assert_eq!(soak.latency_ns.cycle.as_ref().unwrap().count, soak.cycles.completed);
    assert!(!finished.run.passed);
    assert_eq!(workers.iter().filter(|p| alive(**p)).count(), 0);
    assert_eq!(copies(), 0);
}

#[test]
fn sigint_keeps_what_was_measured() {
    interrupted_by(Signal::SIGINT);
}

#[test]
fn sigterm_keeps_what_was_measured() {
    interrupted_by(Signal::SIGTERM);
}

#[test]
fn a_supervisor_that_is_killed_takes_its_worker_with_it() {
    let out = tempfile::tempdir().unwrap();
    let mut child = dlsoak()
        .arg("run")
        .arg(fixture("c-clean"))
        .args(["--duration", "1d", "-o"])
        .arg(out.path())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    until("cycles are measured", || read_record(out.path()).ok());
    let workers = descendants(pid);
    assert!(!workers.is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    until("the worker ends, too", || (!workers.iter().any(|p| alive(*p))).then_some(()));
}
