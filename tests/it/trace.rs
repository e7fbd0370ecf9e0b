//! `dlsoak trace`: who left what behind, by function and line, whatever the language, and on whatever thread.

use std::path::Path;

use dlsoak::record::{Code, Metric, PlaceKind, PlaceTrend, Soak, Trace, TracePlace, UnloadState};
use xtask::fixtures::{Table, root};

use crate::support::{Finished, dlsoak, finished, fixture, growth, library, run};

/// Traces one library.
fn traced(library: &Path, args: &[&str]) -> Finished {
    let out = tempfile::tempdir().unwrap();
    let mut command = dlsoak();
    command.arg("trace").arg(library).args(["-c", "fibonacci(20)"]).args(args).arg("-o").arg(out.path());
    finished(&command.output().unwrap(), &out)
}

fn trace(soak: &Soak) -> &Trace {
    soak.trace.as_ref().unwrap_or_else(|| panic!("no trace: {:?}", soak.outcome))
}

/// The marked line of a fixture's source, from 1.
fn marked(fixture: &str, source: &str) -> u32 {
    let path = root().join("cdylib-fixtures").join(source);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> =
        text.lines().zip(1..).filter(|(line, _)| line.contains(concat!("tra", "ced"))).collect();
    let line = lines
        .iter()
        .rev()
        .find(|(line, _)| line.contains("; /*") || line.contains("{ /*") || line.contains("// t"));
    line.unwrap_or_else(|| panic!("{fixture}: {} has no marked line", path.display())).1
}

/// The first row of what grows, held against the marked line.
fn first(name: &str, function: &str, source: &str, args: &[&str]) -> (Soak, TracePlace) {
    let finished = traced(&fixture(name), args);
    let soak = finished.soak().clone();
    // Go's runtime maps memory for its own tables at any time: 256 KiB at once, which is more per cycle than what the fixture leaks.
    let is_fixture_s = |place: &&TracePlace| place.function.as_deref() != Some("x_cgo_mmap");
    let place = trace(&soak).places.iter().find(is_fixture_s);
    let place = place.unwrap_or_else(|| panic!("{name}: no place")).clone();
    let told = format!("{name}: {place:?}\n{}", finished.stdout);
    assert_eq!(finished.code, 1, "{told}");
    assert_eq!(place.trend, PlaceTrend::Growing, "{told}");
    assert_eq!(place.function.as_deref(), Some(function), "{told}");
    assert!(
        Path::new(source).ends_with(place.file.as_deref().unwrap().rsplit('/').next().unwrap()),
        "{told}"
    );
    assert_eq!(place.line, Some(marked(name, source)), "{told}");
    let file = source.rsplit('/').next().unwrap();
    assert!(finished.stdout.contains(&format!("{function} ({file}:{}", place.line.unwrap())), "{told}");
    assert_eq!(trace(&soak).lost, 0, "{told}");
    assert_eq!(trace(&soak).ended, None, "{told}");
    (soak, place)
}

/// Fixtures whose heap grows: name, function, source, phase, whether the library itself is unloaded.
const HEAP: [(&str, &str, &str, &str, UnloadState); 7] = [
    ("c-leak-constructor", "leak", "c/leak-constructor.c", "open", UnloadState::Unloaded),
    ("c-trace-deep", "keep", "c/trace-deep.c", "call", UnloadState::Unloaded),
    ("cpp-trace-static", "Table::Table()", "cpp/trace-static.cpp", "open", UnloadState::Unloaded),
    ("c-trace-dependency", "helper_trace_work", "c/helper-trace.c", "call", UnloadState::Unloaded),
    ("rust-box-leak", "fibonacci", "rust/examples/box_leak.rs", "call", UnloadState::Unloaded),
    ("go-cstring", "main.fibonacci", "go/cstring/main.go", "call", UnloadState::Pinned),
    ("c-trace-longjmp", "parse", "c/trace-longjmp.c", "call", UnloadState::Unloaded),
];

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= b.abs() * 0.01
}

#[test]
fn heap_is_named_by_function_and_line_in_every_language() {
    let table = Table::load(&root()).unwrap();
    for (name, function, source, phase, state) in HEAP {
        let (soak, place) = first(name, function, source, &["-n", "400"]);
        assert_eq!((place.kind, place.phase.name()), (PlaceKind::Heap, phase), "{name}");
        assert_eq!(soak.unload.state, state, "{name}");
        // The sum over places of the heap, beside which Go's runtime may map memory; the growth that the soak before measured without notes;
        // and what is true of the fixture.
        let of_heap = trace(&soak).places.iter().filter(|place| place.kind == PlaceKind::Heap);
        let sum: f64 = of_heap.map(|place| place.bytes_per_cycle).sum();
        let measured = growth(&soak, Metric::Heap).per_cycle;
        let truth =
            table.get(name).unwrap().truths.iter().find_map(|truth| truth.growth.get("heap")).unwrap();
        assert!(near(sum, measured) && near(sum, truth.value()), "{name}: {sum} {measured} {truth:?}");
        let unexplained = trace(&soak).unexplained_bytes_per_cycle;
        assert!(unexplained.abs() <= measured * 0.01, "{name}: {unexplained}");
        // The stack leads from the place to whoever is outside.
        let stack = &place.stacks[0].frames;
        assert!(stack.iter().any(|frame| frame.function.as_deref() == Some(function)), "{name}: {stack:?}");
    }
}

#[test]
fn a_stack_has_all_functions_down_to_the_exported_one() {
    let (_, place) = first("c-trace-deep", "keep", "c/trace-deep.c", &["-n", "300"]);
    let names: Vec<_> = place.stacks[0].frames.iter().filter_map(|frame| frame.function.as_deref()).collect();
    assert_eq!(names, ["keep", "middle", "outer", "fibonacci"]);
    assert_eq!(place.count_per_cycle, 1.0);
    let (_, go) = first("go-cstring", "main.fibonacci", "go/cstring/main.go", &["-n", "300"]);
    let names: Vec<_> = go.stacks[0].frames.iter().filter_map(|frame| frame.function.as_deref()).collect();
    assert!(names.contains(&"main._Cfunc_CString"), "{names:?}");
}

#[test]
fn descriptors_mappings_and_threads_are_named_the_same_way() {
    for (name, function, source, kind, metric, amount) in [
        ("c-fds", "leak", "c/fds.c", PlaceKind::Fd, Some(Metric::Fds), 1.0),
        ("c-mmap-touched", "map", "c/mmap.c", PlaceKind::Mapping, None, 4096.0),
        ("c-threads", "leak", "c/threads.c", PlaceKind::Thread, Some(Metric::Threads), 1.0),
    ] {
        let (soak, first) = first(name, function, source, &["-n", "200", "--warmup", "20"]);
        let place = trace(&soak).places.iter().find(|place| place.kind == kind).unwrap();
        assert_eq!((&place.function, place.line), (&first.function, first.line), "{name}");
        assert_eq!((place.count_per_cycle, place.phase.name()), (1.0, "open"), "{name}");
        match metric {
            Some(metric) => {
                let row = trace(&soak).explained.iter().find(|row| row.metric == metric).unwrap();
                assert_eq!((row.measured, row.noted), (amount, amount), "{name}");
            }
            None => assert_eq!(place.bytes_per_cycle, amount, "{name}"),
        }
    }
}

#[test]
fn what_is_given_back_is_not_named() {
    for name in [
        "c-clean",
        "c-freed-call",
        "c-fds-closed",
        "c-mmap-unmapped",
        "c-key-deleted",
        "cpp-clean",
        "rust-box-dropped",
        "go-cstring-freed",
    ] {
        let finished = traced(&fixture(name), &["-n", "300", "--warmup", "50"]);
        let growing = |place: &&TracePlace| place.trend == PlaceTrend::Growing;
        let found: Vec<_> = trace(finished.soak()).places.iter().filter(growing).collect();
        assert!(found.is_empty(), "{name}: {found:?}");
        assert!(finished.stdout.contains("nothing grows"), "{name}: {}", finished.stdout);
        assert_eq!(finished.code, 0, "{name}: {:?}", finished.soak().judged.findings);
    }
}

#[test]
fn a_cache_that_has_filled_does_not_grow() {
    // 5,000 entries: full before the first measured cycle, and full after a third of them.
    for args in [["-n", "300", "--warmup", "5500"], ["-n", "1500", "--warmup", "4500"]] {
        let full = traced(&fixture("c-cache"), &args);
        let places = &trace(full.soak()).places;
        let cache = places.iter().find(|place| place.function.as_deref() == Some("look_up")).unwrap();
        assert_eq!((cache.trend, cache.bytes_per_cycle), (PlaceTrend::Saturating, 0.0), "{cache:?}");
        // malloc leaves no remainder that is too small for a chunk: now and then one has 16 bytes more.
        assert!(cache.count > 100 && near(cache.bytes as f64, cache.count as f64 * 64.0), "{cache:?}");
        assert!(places.iter().all(|place| place.trend == PlaceTrend::Saturating), "{places:?}");
    }
    let never = traced(&fixture("c-cache-leak"), &["-n", "1500", "--warmup", "4500"]);
    let growing = &trace(never.soak()).places[0];
    assert_eq!((growing.trend, growing.function.as_deref()), (PlaceTrend::Growing, Some("fixture_leak")));
    assert_eq!(growing.bytes_per_cycle, 32.0);
}

#[test]
fn eight_threads_lose_no_note_and_make_one_row() {
    let finished = traced(&fixture("c-trace-deep"), &["-n", "8000", "-t", "8"]);
    let soak = finished.soak();
    let trace = trace(soak);
    assert_eq!((trace.cycles, trace.lost, &trace.ended), (8000, 0, &None));
    let growing: Vec<_> = trace.places.iter().filter(|p| p.trend == PlaceTrend::Growing).collect();
    let [place] = growing.as_slice() else { panic!("{growing:?}") };
    // Each thread opens a file of its own; all of them are the library.
    assert!(Path::new(&place.module).ends_with("libc-trace-deep.so"), "{place:?}");
    assert_eq!((place.count_per_cycle, place.bytes_per_cycle), (1.0, 112.0), "{place:?}");
}

#[test]
fn its_memory_grows_with_what_is_left_and_not_with_cycles() {
    let of = |name: &str, cycles: &str| {
        let finished = traced(&fixture(name), &["-n", cycles]);
        let trace = trace(finished.soak());
        (trace.notes_bytes, trace.places.len())
    };
    let (few, many) = (of("c-clean", "2000"), of("c-clean", "10000"));
    let pages = 64 * 1024;
    assert!(few.0 > 0 && many.0 <= few.0 + pages, "{few:?} {many:?}");
    assert_eq!(few.1, many.1);
    let leak = of("c-leak-constructor", "10000");
    assert!(leak.0 > many.0 + 2 * pages, "{leak:?} {many:?}");
}

#[test]
fn it_can_be_traced_however_it_is_called() {
    for args in [
        &["--mode", "copies"][..],
        &["--call-from", "worker"],
        &["--call-from", "short-lived"],
        &["--share-path", "-t", "3"],
    ] {
        // The first few calls of each thread may be noted before their stacks are wanted: of 300 that is 1 or 2 %.
        let finished = traced(&fixture("c-trace-deep"), &[&["-n", "3000"], args].concat());
        let place = &trace(finished.soak()).places[0];
        let told = format!("{args:?}: {place:?}");
        assert_eq!((place.function.as_deref(), place.phase.name()), (Some("keep"), "call"), "{told}");
        assert!(near(place.bytes_per_cycle, 112.0), "{told}");
    }
}

#[test]
fn allocators_of_their_own_and_forks_break_nothing() {
    for (name, bytes) in [("c-trace-own-malloc", 32.0), ("c-trace-fork", 112.0)] {
        let source = format!("c/{}.c", name.trim_start_matches("c-"));
        let (soak, place) = first(name, "fibonacci", &source, &["-n", "200", "--warmup", "20"]);
        // One in many chunks has malloc's remainder besides.
        assert!(near(place.bytes_per_cycle, bytes), "{name}: {}", place.bytes_per_cycle);
        assert_eq!(place.count_per_cycle, 1.0, "{name}");
        // The child's descriptor and memory are not the parent's.
        let others = trace(&soak).places.iter().filter(|p| p.trend == PlaceTrend::Growing).count();
        assert_eq!((others, trace(&soak).lost), (1, 0), "{name}: {:?}", trace(&soak).places);
    }
}

#[test]
fn a_crash_is_told_with_what_was_noted_until_then() {
    let finished = traced(&fixture("rust-current-thread"), &["-n", "3000", "--warmup", "100"]);
    let trace = trace(finished.soak());
    // Each load makes a key, of which a process has 1,024.
    assert!(trace.ended.is_some() && trace.cycles < 1_024, "{trace:?}");
    assert!(trace.places.iter().any(|place| place.kind == PlaceKind::Key), "{trace:?}");
    assert_eq!(finished.code, 1, "{}", finished.stdout);
}

#[test]
fn stacks_and_a_picture_are_left_for_other_tools() {
    let out = tempfile::tempdir().unwrap();
    let mut command = dlsoak();
    command.arg("trace").arg(fixture("c-trace-deep")).args(["-c", "fibonacci(20)", "-n", "300", "-o"]);
    assert_eq!(command.arg(out.path()).output().unwrap().status.code(), Some(1));
    let folded = std::fs::read_to_string(out.path().join("trace.folded")).unwrap();
    assert_eq!(folded, "heap;fibonacci;outer;middle;keep 112000\n");
    let svg = std::fs::read_to_string(out.path().join("trace-flame.svg")).unwrap();
    assert!(svg.contains("middle") && !svg.contains("<script"), "{svg}");
    let page = std::fs::read_to_string(out.path().join("report.html")).unwrap();
    assert!(page.contains("keep (trace-deep.c:") && page.contains("class=\"flame\""));
}

#[test]
fn a_leak_is_traced_by_itself_when_that_is_asked_for() {
    let run = |name: &str| run(&[fixture(name).to_str().unwrap(), "-n", "1000", "--trace-on-leak"]);
    let leak = run("c-leak-constructor");
    let findings = &leak.soak().judged.findings;
    let leaker = findings.iter().find(|finding| finding.code == Code::Leaker).unwrap();
    let place = leaker.place.as_ref().unwrap();
    assert_eq!(place.line, Some(marked("c-leak-constructor", "c/leak-constructor.c")), "{place:?}");
    assert!(place.file.as_ref().unwrap().ends_with("leak-constructor.c"), "{place:?}");
    assert!(leak.stdout.contains("constructor"), "{}", leak.stdout);
    assert!(run("c-clean").soak().trace.is_none());
}

#[test]
fn what_was_never_written_here_is_named_too() {
    // GNU's OpenMP, which comes with gcc: version 12 leaves 32 bytes behind with each load.
    let Some(library) = library("libgomp.so.1", "libgomp1") else { return };
    let out = tempfile::tempdir().unwrap();
    let output =
        dlsoak().arg("trace").arg(&library).args(["-n", "300", "-o"]).arg(out.path()).output().unwrap();
    let finished = finished(&output, &out);
    let heap = growth(finished.soak(), Metric::Heap).per_cycle;
    let growing = trace(finished.soak()).places.iter().find(|place| place.trend == PlaceTrend::Growing);
    match growing {
        Some(place) => {
            assert!(place.module.contains("libgomp"), "{place:?}");
            assert!(place.function.is_some() || place.offset > 0, "{place:?}");
            assert!(near(place.bytes_per_cycle, heap), "{place:?} {heap}");
        }
        None => assert_eq!(heap, 0.0),
    }
}

#[test]
fn what_cannot_be_loaded_is_an_error() {
    let out = tempfile::tempdir().unwrap();
    let output = dlsoak().args(["trace", "/no/such/lib.so", "-o"]).arg(out.path()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("/no/such/lib.so"), "{stderr}");
}
