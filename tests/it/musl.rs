//! Libraries for musl, on a machine that has glibc as well: each is soaked on the C library that it needs.

use std::path::{Path, PathBuf};
use std::process::Command;

use dlsoak::record::{Agent, Metric, OutcomeKind, PassMade};
use dlsoak::settings::Pass;

use crate::support::{dlsoak, fixture, growth, installed, run, soak};

/// The compiler for musl.
const CC: &str = "musl-gcc";

/// Builds a fixture in C for musl; `None` where this machine has no compiler for it.
fn built(name: &str, directory: &Path) -> Option<PathBuf> {
    let is_there = Command::new(CC).arg("--version").output().is_ok_and(|output| output.status.success());
    if !installed(CC, is_there, "apt install musl-tools") {
        return None;
    }
    let source = xtask::fixtures::root().join("cdylib-fixtures/c").join(format!("{name}.c"));
    let library = directory.join(format!("libmusl-{name}.so"));
    let mut compiler = Command::new(CC);
    compiler.args(["-O2", "-g", "-fPIC", "-shared"]).arg(&source).arg("-o").arg(&library);
    let output = compiler.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(library)
}

#[test]
fn a_library_is_soaked_on_the_c_library_that_it_needs() {
    let directory = tempfile::tempdir().unwrap();
    let Some(library) = built("clean", directory.path()) else { return };
    let on_musl = soak(&library, &["-n", "2000"]);
    assert_eq!(on_musl.soak().outcome.kind, OutcomeKind::Completed, "{}", on_musl.stdout);
    assert!(on_musl.run.host.libc.starts_with("musl 1."), "{}", on_musl.run.host.libc);
    let worker = &on_musl.soak().worker;
    assert_eq!(worker.agent, Agent::Counting);
    assert!(worker.objects.iter().any(|object| object.contains("ld-musl")), "{:?}", worker.objects);
    let heap = growth(on_musl.soak(), Metric::Heap);
    assert_eq!(heap.per_cycle, 0.0, "{heap:?}");
    let on_glibc = soak(&fixture("c-clean"), &["-n", "2000"]);
    assert!(on_glibc.run.host.libc.starts_with("glibc 2."), "{}", on_glibc.run.host.libc);
    let objects = &on_glibc.soak().worker.objects;
    assert!(objects.iter().any(|object| object.contains("libc.so.6")), "{objects:?}");
}

#[test]
fn each_load_of_a_copy_leaks_on_musl_what_its_constructor_asks_for() {
    let directory = tempfile::tempdir().unwrap();
    let Some(library) = built("leak-constructor", directory.path()) else { return };
    let leaks = soak(&library, &["-n", "1000", "--mode", "copies"]);
    let heap = growth(leaks.soak(), Metric::Heap);
    // musl has no header to count.
    assert_eq!((heap.low, heap.per_cycle, heap.high), (16.0, 16.0, 16.0), "{heap:?}");
    assert_eq!(leaks.code, 1, "{}", leaks.stdout);
    let Some(clean) = built("clean", directory.path()) else { return };
    let heap = soak(&clean, &["-n", "1000", "--mode", "copies"]);
    assert_eq!(growth(heap.soak(), Metric::Heap).per_cycle, 0.0);
}

#[test]
fn the_plain_agent_of_musl_measures_no_heap() {
    let directory = tempfile::tempdir().unwrap();
    let Some(library) = built("clean", directory.path()) else { return };
    let plain = soak(&library, &["-n", "1000", "--env", "LD_PRELOAD=/no/such.so"]);
    let soak = plain.soak();
    assert_eq!((soak.worker.agent, soak.outcome.kind), (Agent::Plain, OutcomeKind::Completed));
    assert!(!soak.env.contains_key("GLIBC_TUNABLES"), "{:?}", soak.env);
    assert!(soak.judged.growth.iter().all(|growth| growth.metric != Metric::Heap));
}

#[test]
fn what_musl_can_not_do_is_refused_and_its_passes_are_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let Some(library) = built("leak-constructor", directory.path()) else { return };
    let path = library.to_str().unwrap();
    let refused = |arguments: &[&str]| {
        let output = dlsoak().current_dir(&directory).args(arguments).arg(path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        said
    };
    assert!(refused(&["run", "--mode", "namespace"]).contains("musl has no namespaces"));
    assert!(refused(&["verify"]).contains("glibc"));
    assert!(refused(&["trace", "-n", "100"]).contains("tracing needs glibc"));
    assert!(!directory.path().join("reports").exists());
    // A library that is for glibc by its needs is not for musl.
    let other = run(&["-n", "100", "--libc", "musl", fixture("c-clean").to_str().unwrap()]);
    assert!(other.run.host.libc.starts_with("musl"), "{}", other.run.host.libc);
    let leaks = run(&["-n", "200", "--mode", "copies", "--passes", "+cohorts", path]);
    let made: Vec<Pass> = leaks.soak().passes.iter().map(|made: &PassMade| made.pass).collect();
    assert_eq!(made, [Pass::Measure]);
}
