//! The measured process is a plain C host: it links libc alone, counts the heap exactly with malloc's thread cache on, and the plain
//! agent measures again where counting can't be exact.

use dlsoak::record::{Agent, Metric, OutcomeKind, Soak, Trend, Verdict};

use crate::support::{DECIDED, fixture, growth, soak};

/// Soaks a fixture; the soak must have completed.
fn soaked(name: &str, args: &[&str]) -> Soak {
    let soak = soak(&fixture(name), args).soak().clone();
    assert_eq!(soak.outcome.kind, OutcomeKind::Completed, "{name}: {:?}", soak.outcome);
    soak
}

/// Requires this many bytes of heap per cycle, counted and not estimated.
fn grows_by_exactly(soak: &Soak, bytes: f64) {
    let heap = growth(soak, Metric::Heap);
    let told = format!("{}: {heap:?} {:?}", soak.name, soak.notes);
    assert!(heap.exact, "{told}");
    assert_eq!(heap.per_cycle, bytes, "{told}");
    assert_eq!(heap.trend == Trend::Growing, bytes > 0.0, "{told}");
}

#[test]
fn a_library_that_lacks_libm_fails_to_load() {
    let finished = soak(&fixture("c-libm-missing"), &["-n", "20"]);
    let soak = finished.soak();
    assert_eq!((soak.judged.verdict, finished.code), (Verdict::LoadFailed, 1), "{:?}", soak.outcome);
    let cause = dlsoak::record::LoadCause::MissingSymbol { symbol: Some("cbrt".to_owned()), exports: None };
    assert_eq!(crate::support::failure(soak).cause, cause);
    let linked = soaked("c-libm", &["-n", "2000"]);
    assert_eq!(linked.unload.loads_per_cycle, 2.0, "libm comes and goes with it: {:?}", linked.unload);
    grows_by_exactly(&linked, 0.0);
}

#[test]
fn a_plugin_that_bypasses_the_count_is_measured_by_the_plain_agent() {
    for (name, verdict, bytes) in [
        ("c-deepbind", Verdict::Clean, 0.0),
        ("c-deepbind-leak", Verdict::Leak, 32.0),
        ("c-deepbind-leak-only", Verdict::Leak, 32.0),
    ] {
        let soak = soaked(name, &DECIDED);
        assert_eq!(soak.judged.verdict, verdict, "{name}: {:?} {:?}", soak.judged.findings, soak.notes);
        assert_eq!(soak.worker.agent, Agent::Plain, "{name}: {:?}", soak.notes);
        grows_by_exactly(&soak, bytes);
    }
}

#[test]
fn more_threads_than_the_agent_counts_for_are_measured_by_the_plain_agent() {
    for (name, bytes) in [("c-threads-at-once", 0.0), ("c-threads-at-once-leak", 48.0)] {
        let soak = soaked(name, &["-n", "32", "--warmup", "4"]);
        assert_eq!(soak.worker.agent, Agent::Plain, "{name}: {:?}", soak.notes);
        // How many arenas 1,100 threads share, and which chunk is split, is chance: the figure is an estimate, which must hold the truth.
        let heap = growth(&soak, Metric::Heap);
        assert!(heap.low <= bytes && bytes <= heap.high, "{name}: {heap:?}");
        assert!(bytes > 0.0 || soak.judged.verdict != Verdict::Leak, "{name}: {:?}", soak.judged.findings);
    }
}

#[test]
fn every_function_that_allocates_is_counted() {
    for (name, verdict, bytes) in
        [("c-malloc-family", Verdict::Clean, 0.0), ("c-malloc-family-leak", Verdict::Leak, 207_792.0)]
    {
        let soak = soaked(name, &DECIDED);
        assert_eq!(soak.worker.agent, Agent::Counting, "{name}: {:?}", soak.notes);
        assert_eq!(soak.judged.verdict, verdict, "{name}: {:?}", soak.judged.findings);
        // One thread frees what another one allocated. So a chunk may be split off another one, and be 16 bytes larger where the
        // rest would be too small: in cycles, not in each.
        let heap = growth(&soak, Metric::Heap).per_cycle;
        assert!((heap - bytes).abs() <= 16.0, "{name}: {heap}");
    }
}
