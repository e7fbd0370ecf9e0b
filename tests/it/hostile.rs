//! Whatever a library does, the run goes on with the next one, says what happened, and leaves nothing behind.

use std::path::Path;

use dlsoak::record::{LoadCause, OutcomeKind, Verdict};
use xtask::fixtures::{Table, root};
use xtask::hostile;

use crate::support::{fixture, run};

/// Soaks every second hostile library in one run: two tests side by side wait for what hangs at the same time.
fn every_second(first: usize) {
    let table = Table::load(&root()).unwrap();
    let all = hostile::fixtures(&table);
    assert!(all.len() > 50, "{}", all.len());
    let half: Vec<_> = all.into_iter().skip(first).step_by(2).collect();
    let scratch = tempfile::tempdir().unwrap();
    let dlsoak = Path::new(env!("CARGO_BIN_EXE_dlsoak"));
    let report = hostile::run(dlsoak, &root(), scratch.path(), &half, &|_| {}).unwrap();
    let wrong: Vec<_> = report.soaks.iter().filter(|(_, _, differences)| !differences.is_empty()).collect();
    assert!(report.is_good(), "{wrong:#?}\n{:#?}", report.problems);
}

#[test]
fn every_hostile_library_ends_as_it_is_made_to_and_the_run_goes_on() {
    every_second(0);
}

#[test]
fn every_other_hostile_library_does_too() {
    every_second(1);
}

#[test]
fn a_thread_that_a_library_ends_is_no_finished_cycle() {
    let library = fixture("c-hostile-exits-thread");
    let library = library.to_str().unwrap();
    let args = [library, "-c", "fibonacci(20)", "-n", "20", "--warmup", "1", "--call-from", "short-lived"];
    let finished = run(&args);
    let outcome = &finished.soak().outcome;
    assert_eq!(
        (outcome.kind, finished.soak().judged.verdict),
        (OutcomeKind::LoadFailed, Verdict::LoadFailed)
    );
    assert_eq!((outcome.cycle, outcome.phase), (Some(2), Some(dlsoak::record::Phase::Call)), "{outcome:?}");
    assert_eq!(crate::support::failure(finished.soak()).cause, LoadCause::ThreadEnded);
}

#[test]
fn many_threads_in_a_hostile_library_end_as_one_does() {
    for (name, kind) in [
        ("c-hostile-kills-itself", OutcomeKind::Crashed),
        ("c-hostile-exec", OutcomeKind::Exited),
        ("c-hostile-limits-files", OutcomeKind::LoadFailed),
    ] {
        let library = fixture(name);
        let args = [library.to_str().unwrap(), "-c", "fibonacci(20)", "-n", "40", "-t", "4", "--warmup", "4"];
        assert_eq!(run(&args).soak().outcome.kind, kind, "{name}");
    }
}
