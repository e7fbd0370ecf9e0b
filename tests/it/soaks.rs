//! The main job: each fixture gets what is true of it, alone, with four threads, and on a shared path.

use crate::support::{DECIDED, fixture, growth, libc, library, run, soak};
use dlsoak::record::{Language, Metric, UnloadState, Verdict};

/// The demo's fixtures, with whether they are unloaded.
const FIXTURES: [(&str, UnloadState, Verdict); 7] = [
    ("c-clean", UnloadState::Unloaded, Verdict::Clean),
    ("c-leak-constructor", UnloadState::Unloaded, Verdict::Leak),
    ("cpp-clean", UnloadState::Unloaded, Verdict::Clean),
    ("cpp-unique", UnloadState::Pinned, Verdict::Pinned),
    ("rust-clean", UnloadState::Unloaded, Verdict::Clean),
    ("rust-tls-destructor", UnloadState::Pinned, Verdict::Pinned),
    ("go-clean", UnloadState::Pinned, Verdict::Pinned),
];

#[test]
fn one_thread_and_four_threads_tell_the_truth() {
    for threads in ["1", "4"] {
        for (name, state, verdict) in FIXTURES {
            let finished = soak(&fixture(name), &[&DECIDED[..], &["-t", threads]].concat());
            let soak = finished.soak();
            let told = format!("{name}, {threads} threads: {:?} {:?}", soak.unload, soak.judged.findings);
            // A leak is proven at the first look, as nothing points to what it left.
            let fewest = if verdict == Verdict::Leak { 128 } else { 1000 };
            assert!(soak.cycles.completed >= fewest, "{told}");
            assert_eq!(soak.unload.state, state, "{told}");
            assert_eq!(soak.judged.verdict, verdict, "{told}");
            let loads = (soak.unload.loads_per_cycle, soak.unload.unloads_per_cycle);
            // A library in Rust brings libgcc_s, which a C host does not have, and takes it along when no other thread has it.
            let objects = if soak.language == Language::Rust { 2.0 } else { 1.0 };
            match state {
                UnloadState::Unloaded if threads == "1" => assert_eq!(loads, (objects, objects), "{told}"),
                UnloadState::Unloaded => {
                    assert!(loads.0 == loads.1 && (1.0..=objects).contains(&loads.0), "{told}");
                }
                _ => assert_eq!(loads, (0.0, 0.0), "{told}"),
            }
            assert_eq!(finished.code, i32::from(verdict != Verdict::Clean), "{told}");
            if verdict == Verdict::Leak {
                // A constructor that keeps 16 bytes costs a chunk of 32.
                let leak = soak.judged.leak.as_ref().unwrap();
                assert_eq!(leak.metric, Metric::Heap, "{told}");
                assert!((leak.bytes_per_cycle - 32.0).abs() < 0.32, "{leak:?}");
                assert!(leak.low <= 32.1 && leak.high >= 31.9, "{leak:?}");
                assert!(finished.stdout.contains("leak"), "{}", finished.stdout);
            }
        }
    }
}

#[test]
fn threads_that_share_a_path_load_less_often_and_leak_per_load() {
    let finished = soak(&fixture("c-leak-constructor"), &["-n", "20000", "-t", "4", "--share-path"]);
    let soak = finished.soak();
    assert!(soak.share_path);
    assert!(soak.unload.loads_per_cycle < 1.0 && soak.unload.loads_per_cycle > 0.0, "{:?}", soak.unload);
    assert_eq!(soak.unload.objects_per_load, 1);
    let heap = growth(soak, Metric::Heap);
    let per_load = heap.per_load.unwrap();
    assert!((per_load - 32.0).abs() < 0.32, "{heap:?}");
    assert_eq!(soak.judged.verdict, Verdict::Leak);
}

#[test]
fn libraries_nobody_here_wrote_get_a_verdict() {
    for (name, package) in [
        ("libz.so.1", "zlib1g"),
        ("libbz2.so.1.0", "libbz2-1.0"),
        ("liblzma.so.5", "liblzma5"),
        ("libexpat.so.1", "libexpat1"),
    ] {
        let Some(path) = library(name, package) else { continue };
        let finished = run(&[&[path.to_str().unwrap()], &DECIDED[..]].concat());
        let soak = finished.soak();
        assert_eq!(
            soak.judged.verdict,
            Verdict::Clean,
            "{name}: {:?} {:?}",
            soak.judged.findings,
            soak.judged.growth
        );
        assert_eq!((soak.unload.state, finished.code), (UnloadState::Unloaded, 0), "{name}");
    }
}

#[test]
fn a_library_that_the_worker_itself_needs_is_told_as_such() {
    let finished = run(&[&libc(), "-n", "200"]);
    let unload = &finished.soak().unload;
    assert_eq!(unload.state, UnloadState::Pinned);
    assert!(unload.causes.iter().any(|c| c.kind() == dlsoak::record::CauseKind::AlreadyLoaded), "{unload:?}");
}
