//! What a cycle opens and which thread it runs on: each mode and calling pattern tells what is true of the fixtures.

use dlsoak::record::{CallFrom, Metric, Mode, OutcomeKind, Shortage, Soak, Staying, UnloadState, Verdict};
use xtask::fixtures::{Table, root};
use xtask::judge;

use crate::support::{DECIDED, column, failure, fixture, run, soak};

/// Soaks a fixture, and holds it against the table of what is true.
fn told(name: &str, args: &[&str]) -> Soak {
    let finished = soak(&fixture(name), args);
    let soak = finished.soak().clone();
    let read = serde_json::from_value(serde_json::to_value(&soak).unwrap()).unwrap();
    let table = Table::load(&root()).unwrap();
    let found = judge::differences(table.get(name).unwrap(), &read);
    assert!(found.is_empty(), "{name} {args:?}: {found:?}\n{:?} {:?}", soak.unload, soak.outcome);
    soak
}

fn cost(soak: &Soak, metric: Metric) -> f64 {
    let instances = soak.instances.as_ref().unwrap();
    instances.cost.iter().find(|cost| cost.metric == metric).unwrap().per_instance
}

#[test]
fn a_clean_library_leaves_nothing_in_any_mode_and_pattern() {
    for mode in ["reopen", "copies", "namespace"] {
        for call_from in ["main", "worker", "short-lived"] {
            let soak = told("c-clean", &[&DECIDED[..], &["--mode", mode, "--call-from", call_from]].concat());
            let told = format!("{mode} {call_from}: {:?} {:?}", soak.unload, soak.judged.findings);
            assert!(soak.cycles.completed >= 1000, "{told}");
            assert_eq!(soak.unload.loads_per_cycle, 1.0, "{told}");
            assert_eq!(soak.instances, None, "{told}");
            // A namespace has a C library of its own, and its heap is nobody's to measure.
            let has_heap = soak.checkpoints.position(Metric::Heap).is_some();
            assert_eq!(has_heap, mode != "namespace", "{told}");
            for metric in ["heap", "threads", "fds", "mappings"].iter().skip(usize::from(!has_heap)) {
                let values = column(&soak, metric);
                assert_eq!(values.first(), values.last(), "{told}: {metric}");
            }
        }
    }
}

#[test]
fn several_threads_do_in_every_mode_what_one_does() {
    for mode in ["copies", "namespace"] {
        for call_from in ["main", "short-lived"] {
            told("c-clean", &[&DECIDED[..], &["-t", "3", "--mode", mode, "--call-from", call_from]].concat());
        }
    }
    let leak = told("c-leak-constructor", &["-n", "1500", "-t", "2", "--mode", "copies"]);
    assert_eq!(leak.judged.verdict, Verdict::Leak);
}

#[test]
fn copies_of_go_tell_what_a_runtime_costs() {
    // With the threads of a machine of four CPUs, however many this one has.
    let soak = told("go-clean", &["-n", "120", "--mode", "copies", "--env", "GOMAXPROCS=4"]);
    let live = soak.instances.as_ref().unwrap().live;
    assert_eq!((soak.cycles.completed, live), (120, 122));
    assert_eq!((soak.unload.loads_per_cycle, soak.unload.unloads_per_cycle), (1.0, 0.0));
    assert!(cost(&soak, Metric::Rss) > 1e6 && cost(&soak, Metric::Virtual) > 1e8, "{:?}", soak.instances);
    assert!((3.0..8.0).contains(&cost(&soak, Metric::Threads)), "{:?}", soak.instances);
}

#[test]
fn the_copy_that_no_longer_loads_is_counted_and_the_way_out_works() {
    // With little room for static thread-local storage, so that few copies fit.
    let args = |tunable: u64| {
        let tunables = format!("GLIBC_TUNABLES=glibc.rtld.nns=1:glibc.rtld.optional_static_tls={tunable}");
        ["-n", "2000", "--mode", "copies", "--env", &tunables].map(str::to_owned)
    };
    let soak_with = |args: &[String]| {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        soak(&fixture("go-clean"), &args).soak().clone()
    };
    let soak = soak_with(&args(0));
    assert_eq!(soak.outcome.kind, OutcomeKind::LoadFailed);
    let failure = failure(&soak);
    let Some(Shortage::StaticTls { each: Some(8), tunable }) = failure.shortage else {
        panic!("{failure:?}")
    };
    let instances = soak.instances.as_ref().unwrap();
    assert_eq!(instances.next_load.as_ref(), Some(failure));
    assert_eq!(failure.staying, Some(Staying { mode: Mode::Copies, live: instances.live }));
    // All that was measured before is there.
    assert_eq!(instances.live, soak.cycles.completed + soak.cycles.warmup);
    assert_eq!(column(&soak, "cycle").last().copied(), i64::try_from(soak.cycles.completed).ok());
    assert!(cost(&soak, Metric::Rss) > 1e6, "{instances:?}");
    assert_eq!(soak.latency_ns.open.as_ref().unwrap().count, soak.cycles.completed);
    // What it says to do, done.
    let mut args = args(tunable);
    args[1] = (instances.live + 20).to_string();
    assert_eq!(soak_with(&args).outcome.kind, OutcomeKind::Completed);
}

#[test]
fn a_namespace_that_stays_is_seen_though_the_loader_does_not_list_it() {
    for name in ["cpp-unique", "go-clean"] {
        let finished = soak(&fixture(name), &["-n", "100", "--mode", "namespace"]);
        let soak = finished.soak();
        assert_eq!(soak.unload.state, UnloadState::Pinned, "{name}: {:?}", soak.unload);
        assert_eq!(soak.outcome.kind, OutcomeKind::LoadFailed, "{name}: {:?}", soak.outcome);
        let live = soak.instances.as_ref().unwrap().live;
        assert!((5..=15).contains(&live), "{name}: {live}");
        assert_eq!(
            failure(soak).staying,
            Some(Staying { mode: Mode::Namespace, live }),
            "{:?}",
            soak.outcome
        );
    }
    told("go-clean", &["-n", "20", "--mode", "namespace"]);
}

#[test]
fn what_depends_on_the_calling_thread_is_told() {
    for call_from in ["short-lived", "worker"] {
        told("rust-tls-destructor", &[&DECIDED[..], &["--call-from", call_from]].concat());
    }
    let library = fixture("rust-tls-destructor");
    let finished =
        run(&[library.to_str().unwrap(), "-c", "fibonacci(20)", "-n", "5000", "--passes", "+patterns"]);
    let soak = finished.soak();
    let states: Vec<_> =
        soak.judged.patterns.iter().map(|pattern| (pattern.call_from, pattern.state)).collect();
    let (pinned, unloaded) = (UnloadState::Pinned, UnloadState::Unloaded);
    assert_eq!(
        states,
        [(CallFrom::Main, pinned), (CallFrom::Worker, pinned), (CallFrom::ShortLived, unloaded)]
    );
    assert!(crate::support::has(soak, dlsoak::record::Code::PatternsDiffer), "{:?}", soak.judged.findings);
    assert!(finished.stdout.contains("by the thread that calls"), "{}", finished.stdout);
}

#[test]
fn copies_leave_nothing_behind() {
    let place = tempfile::tempdir().unwrap();
    let out = tempfile::tempdir().unwrap();
    let output = crate::support::dlsoak()
        .env("TMPDIR", place.path())
        .arg("run")
        .arg(fixture("c-clean"))
        .args(["-n", "300", "-t", "2", "--mode", "copies", "-o"])
        .arg(out.path())
        .output()
        .unwrap();
    assert_eq!(crate::support::finished(&output, &out).soak().cycles.completed, 300);
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}
