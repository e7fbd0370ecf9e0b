//! Runs that are longer than anyone planned for: the record stays small, and a run that is killed leaves one.

use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Finished, column, dlsoak, finished, fixture, read_record, until};
use dlsoak::record::{OutcomeKind, Run, Verdict};

/// Most checkpoints of a soak that goes on: 200 once they are thinned out, and 66 more in the stretch under way.
const MOST: usize = 270;

/// Soaks without an end, and interrupts the run once it has measured this many cycles.
fn interrupted_after(cycles: u64, library: &str, args: &[&str]) -> Finished {
    let out = tempfile::tempdir().unwrap();
    let mut program = dlsoak();
    program.arg("run").arg(fixture(library)).args(args).args(["--duration", "1d", "-o"]).arg(out.path());
    let child = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let enough = |run: &Run| run.soaks.iter().any(|soak| soak.cycles.completed >= cycles);
    until("enough is measured", || read_record(out.path()).ok().filter(enough));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let finished = finished(&child.wait_with_output().unwrap(), &out);
    assert_eq!(finished.soak().outcome.kind, OutcomeKind::Interrupted, "{:?}", finished.soak().outcome);
    assert!(finished.soak().cycles.completed >= cycles);
    finished
}

#[test]
fn checkpoints_thin_out_as_a_run_grows() {
    // Nothing is loaded anew, so that these are soon done.
    let finished = interrupted_after(100_000, "go-clean", &[]);
    let soak = finished.soak();
    let cycles = column(soak, "cycle");
    assert!(cycles.windows(2).all(|pair| pair[0] < pair[1]) && cycles[0] == 0);
    // 66 in each octave would be more.
    let last = *cycles.last().unwrap();
    assert!(cycles.len() < MOST, "{} checkpoints in {last} cycles", cycles.len());
    let newest = cycles.iter().filter(|cycle| **cycle > last / 2).count();
    assert!((45..=110).contains(&newest), "{newest} in the last octave of {last}");
    assert_eq!(u64::try_from(last).unwrap(), soak.cycles.completed);
}

#[test]
fn a_run_without_an_end_is_looked_at_from_its_first_cycles() {
    // So few cycles that a plan for many would look at none of them.
    let finished = interrupted_after(8, "c-work", &["-c", "busywork(2000000)", "--warmup", "2"]);
    let (cycles, completed) = (column(finished.soak(), "cycle"), finished.soak().cycles.completed);
    let looked_at = usize::try_from(completed.min(40)).unwrap();
    assert!(cycles.len() > looked_at, "{} checkpoints of {completed} cycles", cycles.len());
}

#[test]
fn a_run_that_is_killed_leaves_what_was_measured() {
    let out = tempfile::tempdir().unwrap();
    let mut child = dlsoak()
        .arg("run")
        .arg(fixture("c-leak-constructor"))
        .args(["--duration", "1h", "-o"])
        .arg(out.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // As many cycles as make the verdict certain: a leak of the heap is counted, whatever else goes on.
    let enough = |run: &Run| run.soaks.iter().any(|soak| soak.cycles.completed >= 2_048);
    until("enough is measured", || read_record(out.path()).ok().filter(enough));
    child.kill().unwrap();
    child.wait().unwrap();
    let run = read_record(out.path()).unwrap();
    let [soak] = run.soaks.as_slice() else { panic!("{} soaks", run.soaks.len()) };
    assert_eq!((soak.outcome.kind, run.passed), (OutcomeKind::Interrupted, false));
    assert_eq!(soak.judged.verdict, Verdict::Leak, "{:?}", soak.judged.findings);
    let last = *column(soak, "cycle").last().unwrap();
    assert_eq!(u64::try_from(last).unwrap(), soak.cycles.completed);
    assert_eq!(soak.latency_ns.cycle.as_ref().unwrap().count, soak.cycles.completed);
}
