//! What a file tells, without a soak: predictions that the fixtures' truth does not contradict.

use std::path::Path;
use std::process::Output;

use dlsoak::record::inspection::{Answer, Inspection, Problem, SCHEMA};
use dlsoak::record::{Code, Language, Verdict};

use crate::support::{compile, dlsoak, fixture, installed, soak};
use xtask::fixtures::{Situation, Table, root};

fn inspect(args: &[&str]) -> Output {
    dlsoak().arg("inspect").args(args).output().unwrap()
}

fn read(library: &str) -> Inspection {
    serde_json::from_value(json(library)).unwrap()
}

fn json(library: &str) -> serde_json::Value {
    let output = inspect(&[library, "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Whether all that is said to stay is libstdc++.
fn of_libstdcxx(found: &Inspection) -> bool {
    let mut objects = found.unload.causes.iter().map(|prediction| prediction.cause.object.as_deref());
    !found.unload.causes.is_empty()
        && objects.all(|object| object.is_some_and(|object| object.contains("libstdc++.so")))
}

#[test]
fn no_prediction_contradicts_the_truth() {
    for known in Table::load(&root()).unwrap().fixtures {
        let Some(truth) = known.truth(&Situation::default()) else { continue };
        let found = read(fixture(&known.name).to_str().unwrap());
        assert_eq!(found.schema, SCHEMA);
        let answer = found.unload.answer;
        let context = format!("{}: {answer:?}, {:?} {:?}", known.name, truth.state, truth.causes);
        match truth.state.as_deref() {
            // A host in C++ has libstdc++ itself, and a prediction is for one in C.
            Some("unloaded") if of_libstdcxx(&found) => assert_eq!(answer, Answer::Partial, "{context}"),
            Some("unloaded") => assert!([Answer::Unloads, Answer::MayStay].contains(&answer), "{context}"),
            Some("partial") => assert_eq!(answer, Answer::Partial, "{context}"),
            Some("pinned") if truth.causes == ["nodelete"] => assert_eq!(answer, Answer::Stays, "{context}"),
            Some("pinned") if truth.causes == ["unique"] => {
                assert_eq!(answer, Answer::ProbablyStays, "{context}");
            }
            Some("pinned") if truth.causes == ["tls-destructor"] => {
                assert_eq!(answer, Answer::MayStay, "{context}");
            }
            _ => {}
        }
        // What no library defines is a problem, and the loader says so too.
        let missing = truth.findings.iter().any(|code| code == "load-failed-missing-symbol");
        let problems = &found.problems;
        assert_eq!(problems.is_empty(), !missing, "{context} {problems:?}");
        assert!(found.exports.iter().any(|name| name == "fibonacci"), "{context}");
    }
}

#[test]
fn static_tls_is_counted_against_what_glibc_leaves() {
    let found = json(fixture("c-tls-static").to_str().unwrap());
    assert_eq!(
        (found["static_tls"]["bytes"].as_u64(), found["static_tls"]["at_most"].as_u64()),
        (Some(256), Some(6))
    );
    assert!(json(fixture("c-tls").to_str().unwrap())["static_tls"].is_null());
}

/// A fixture that says it was linked against musl, as far as its bytes can say so.
fn for_musl(name: &str, to: &Path) {
    let mut bytes = std::fs::read(fixture(name)).unwrap();
    for (text, by) in [(&b"libc.so.6\0"[..], &b"libc.so\0\0\0"[..]), (b"GLIBC_", b"MUSLC_")] {
        let places: Vec<usize> = memchr::memmem::find_iter(&bytes, text).collect();
        assert!(!places.is_empty(), "{name}");
        places.into_iter().for_each(|place| bytes[place..place + by.len()].copy_from_slice(by));
    }
    std::fs::write(to, bytes).unwrap();
}

#[test]
fn go_for_musl_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let problems = |name: &str| {
        let copy = dir.path().join(format!("lib{name}.so"));
        for_musl(name, &copy);
        (read(copy.to_str().unwrap()).problems, copy)
    };
    let (found, go) = problems("go-clean");
    assert_eq!(found[0], Problem::InitialExecInMusl { language: Language::Go });
    let finished = soak(&go, &["-n", "10"]);
    assert_eq!(finished.soak().judged.verdict, Verdict::LoadFailed);
    let finding = &finished.soak().judged.findings[0];
    assert_eq!(finding.code, Code::LoadFailedBadFile);
    assert!(serde_json::to_string(finding).unwrap().contains("initial-exec-in-musl"), "{finding:?}");
    for twin in ["c-leak-call", "rust-tls-plain"] {
        let (found, _) = problems(twin);
        let refused = |problem: &&Problem| matches!(problem, Problem::InitialExecInMusl { .. });
        assert_eq!(found.iter().find(refused), None, "{twin}");
    }
}

#[test]
fn packed_relocations_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("packed.c");
    std::fs::write(&source, "static int a, b; int *const all[] = {&a, &b}; int f(void) { return *all[1]; }")
        .unwrap();
    for (name, flag) in [("libpacked.so", "-Wl,-z,pack-relative-relocs"), ("libplain.so", "-Wl,-z,now")] {
        let library = dir.path().join(name);
        compile(&["-shared", "-fPIC", "-nostdlib", flag], source.to_str().unwrap(), &library);
        let is_packed = name == "libpacked.so";
        assert_eq!(read(library.to_str().unwrap()).file.relr, is_packed, "{name}");
        let output = inspect(&[library.to_str().unwrap()]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text.contains("DT_RELR"), is_packed, "{text}");
    }
}

#[test]
fn a_library_that_is_not_found_is_told_with_who_needs_it() {
    let dir = tempfile::tempdir().unwrap();
    // The needed library is beside the original only, and found there by RUNPATH: by its name and by its place.
    let original = json(fixture("c-bound-back").to_str().unwrap());
    let first = &original["needed"][0];
    assert_eq!(
        (first["name"].as_str(), first["place"].as_str()),
        (Some("libhelper-bound-back.so"), Some("RUNPATH"))
    );
    let copy = dir.path().join("libcopy.so");
    std::fs::write(&copy, with_x_for_h(b"\0libhelper-bound-back.so\0", 4)).unwrap();
    let found = read(copy.to_str().unwrap());
    let missing = |problem: &Problem| matches!(problem, Problem::MissingLibrary { name, .. } if name == "libXelper-bound-back.so");
    assert!(found.problems.iter().any(missing), "{:?}", found.problems);
    assert!(found.needed.iter().any(|needed| needed.path.is_none()), "{:?}", found.needed);
}

#[test]
fn a_symbol_that_no_library_has_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("libcopy.so");
    std::fs::write(&copy, with_x_for_h(b"\0helper_bound_back\0", 1)).unwrap();
    let found = read(copy.to_str().unwrap());
    let problem = Problem::MissingSymbols { first: "Xelper_bound_back".to_owned(), count: 1 };
    assert_eq!(found.problems, [problem]);
}

/// The library `c-bound-back` with the byte at `at` of a string replaced, wherever the string is.
fn with_x_for_h(text: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = std::fs::read(fixture("c-bound-back")).unwrap();
    let places: Vec<_> = (0..bytes.len() - text.len()).filter(|i| bytes[*i..].starts_with(text)).collect();
    assert!(!places.is_empty());
    for place in places {
        bytes[place + at] = b'X';
    }
    bytes
}

#[test]
fn what_is_no_library_is_refused_in_one_line() {
    for file in ["/no/such/lib.so", "/etc/passwd"] {
        let output = inspect(&[file]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(
            errors.starts_with("dlsoak: ") && errors.contains(file) && errors.lines().count() == 1,
            "{errors}"
        );
    }
}

#[test]
fn all_exports_are_listed_when_asked_for() {
    let library = fixture("go-clean");
    let few = inspect(&[library.to_str().unwrap()]);
    let all = inspect(&[library.to_str().unwrap(), "-v"]);
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text(&few).contains("fibonacci"), "{}", text(&few));
    assert!(text(&all).contains("fibonacci"));
}

/// What a program prints; `None` where it is not there.
fn said(program: &str, args: &[&str]) -> Option<String> {
    let output = std::process::Command::new(program).args(args).current_dir(root()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[test]
fn what_a_library_was_built_with_is_what_its_own_tools_say() {
    let library = fixture("go-clean");
    let told = json(library.to_str().unwrap())["file"]["toolchain"].clone();
    let version = told["go"].as_str().unwrap();
    assert!(version.starts_with("go1."), "{version}");
    // The Go that built it: the one on PATH, or one that was fetched.
    let fetched = root().join(format!("target/toolchains/go-{}/go/bin/go", version.trim_start_matches("go")));
    let go = if fetched.exists() { fetched.to_str().unwrap() } else { "go" };
    let line = said(go, &["version", library.to_str().unwrap()]);
    if installed("go", line.is_some(), "https://go.dev/dl") {
        assert!(line.as_ref().unwrap().ends_with(&format!(": {version}")), "{line:?} {version}");
    }
    assert_eq!(told["go_settings"]["-buildmode"], "c-shared");
    assert_eq!(told["go_settings"]["CGO_ENABLED"], "1");
    assert!(told["libc"].as_str().unwrap().starts_with("glibc 2."), "{told}");
    assert!(!told["c"].as_array().unwrap().is_empty(), "{told}");

    let told = json(fixture("rust-clean").to_str().unwrap())["file"]["toolchain"].clone();
    let version = told["rust"].as_str().unwrap();
    assert_eq!(said("rustc", &["--version"]).unwrap(), format!("rustc {version}"));
    assert!(told.get("go").is_none() && told.get("go_settings").is_none(), "{told}");

    let told = json(fixture("c-clean").to_str().unwrap())["file"]["toolchain"].clone();
    assert!(told.get("go").is_none() && told.get("rust").is_none(), "{told}");
}
