//! The worker's own cost is zero: it measures growth of 0 bytes on a clean library.

use crate::support::{column, fixture, growth, has, soak};
use dlsoak::record::{Agent, Code, Metric};

#[test]
fn a_clean_library_grows_by_no_byte_of_heap_and_by_no_thing() {
    for name in ["c-clean", "rust-clean", "cpp-clean"] {
        let finished = soak(&fixture(name), &["-n", "2000"]);
        let soak = finished.soak();
        for metric in ["heap", "threads", "fds", "mappings"] {
            let values = column(soak, metric);
            assert_eq!(values.first(), values.last(), "{name}: {metric}");
        }
        assert!(growth(soak, Metric::Heap).exact, "{name}");
    }
}

#[test]
fn the_worker_links_little() {
    let finished = soak(&fixture("c-clean"), &["-n", "10"]);
    let objects = &finished.soak().worker.objects;
    let expected = ["libc.so", "ld-linux"];
    assert!(
        objects.len() == 2 && objects.iter().all(|o| expected.iter().any(|e| o.contains(e))),
        "{objects:?}"
    );
}

#[test]
fn durations_cover_the_cycle_and_nothing_is_lost() {
    let finished = soak(&fixture("c-clean"), &["-n", "5000", "--warmup", "100"]);
    let soak = finished.soak();
    // What a host would not have is noted, and nothing else is.
    assert!(soak.notes.is_empty(), "{:?}", soak.notes);
    assert_eq!(has(soak, Code::LatenciesUncached), soak.worker.agent == Agent::Plain);
    let latency = &soak.latency_ns;
    let phases = [&latency.open, &latency.symbol, &latency.call, &latency.close, &latency.cycle];
    for phase in phases {
        let phase = phase.as_ref().unwrap();
        assert_eq!(phase.count, 5000);
        assert!(phase.min <= phase.p50 && phase.p50 <= phase.p99 && phase.p99 <= phase.max);
    }
    assert_eq!(soak.warmup_latency_ns.cycle.as_ref().unwrap().count, 100);
    // Active time is that of the cycles; what lies between is waking up.
    let in_cycles = latency.cycle.as_ref().unwrap().mean * 5000.0 / 1e9;
    assert!(soak.seconds > in_cycles * 0.99, "{} {in_cycles}", soak.seconds);
}
