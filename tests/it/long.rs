//! Runs that are longer than anyone planned for: the record stays small, and a run that is killed leaves one.

use std::time::{Duration, Instant};

use crate::support::{column, dlsoak, fixture, read_record, run};
use dlsoak::record::{OutcomeKind, Verdict};

/// Most checkpoints of a soak that goes on: 200 once they are thinned out, and 66 more in the stretch under way.
const MOST: usize = 270;

#[test]
fn checkpoints_thin_out_as_a_run_grows() {
    // Nothing is loaded anew, so that these are many cycles.
    let finished = run(&[fixture("go-clean").to_str().unwrap(), "--duration", "3s"]);
    let soak = finished.soak();
    assert_eq!(soak.outcome.kind, OutcomeKind::Completed, "{:?}", soak.outcome);
    let cycles = column(soak, "cycle");
    assert!(cycles.windows(2).all(|pair| pair[0] < pair[1]) && cycles[0] == 0);
    // 66 in each octave would be more.
    let last = *cycles.last().unwrap();
    assert!(last > 1_000 && cycles.len() < MOST, "{} checkpoints in {last} cycles", cycles.len());
    let newest = cycles.iter().filter(|cycle| **cycle > last / 2).count();
    assert!((45..=110).contains(&newest), "{newest} in the last octave of {last}");
    assert_eq!(u64::try_from(last).unwrap(), soak.cycles.completed);
}

#[test]
fn a_run_that_time_ends_is_looked_at_from_its_first_cycles() {
    // Slow calls, and so few cycles that a plan for many would look at none of them.
    let library = fixture("c-work");
    let call = ["-c", "busywork(20000000)", "--duration", "1s", "--warmup", "2"];
    let finished = run(&[&[library.to_str().unwrap()], &call[..]].concat());
    let (cycles, completed) = (column(finished.soak(), "cycle"), finished.soak().cycles.completed);
    assert!(completed > 0, "{:?}", finished.soak().outcome);
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
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while read_record(out.path()).is_err() && begin.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
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
