//! Why a library stays, beyond what the table of fixtures says of each (`each_fixture`).

use dlsoak::record::{CauseFacts, Language, OpenedBy, UnloadState};

use crate::support::{fixture, run};

#[test]
fn the_callers_own_flags_are_a_cause() {
    let finished = run(&[fixture("c-clean").to_str().unwrap(), "-n", "50", "--flags", "now,nodelete"]);
    let unload = &finished.soak().unload;
    assert_eq!(unload.state, UnloadState::Pinned);
    let [cause] = unload.causes.as_slice() else { panic!("{unload:?}") };
    assert_eq!(cause.facts, CauseFacts::NodeleteRuntime { opened_by: OpenedBy::Soak });
}

#[test]
fn causes_are_found_with_threads_and_in_copies_too() {
    for (name, kind) in [("c-extra-reference", "extra-reference"), ("rust-tls-destructor", "tls-destructor")]
    {
        let library = fixture(name);
        let finished = run(&[library.to_str().unwrap(), "-n", "100", "-t", "3", "-c", "fibonacci(20)"]);
        let unload = &finished.soak().unload;
        assert!(unload.causes.iter().any(|cause| cause.kind().name() == kind), "{name}: {unload:?}");
        // Private copies are named as what they are copies of.
        let private = std::env::temp_dir().join("dlsoak-").to_string_lossy().into_owned();
        assert!(unload.objects_left.iter().all(|left| !left.starts_with(&private)), "{name}: {unload:?}");
    }
}

#[test]
fn evidence_names_symbols_and_objects() {
    let library = fixture("c-bound-back");
    let finished = run(&[library.to_str().unwrap(), "-n", "50", "-c", "fibonacci(20)"]);
    let [cause] = finished.soak().unload.causes.as_slice() else { panic!("{:?}", finished.soak().unload) };
    let CauseFacts::RelocationDependency { symbol: Some(symbol), keeper: Some(keeper) } = &cause.facts else {
        panic!("{cause:?}")
    };
    assert_eq!(symbol, "fixture_hook");
    assert_eq!((&keeper.root, &*keeper.cause), (&None, &CauseFacts::Nodelete { language: Language::C }));
    assert!(keeper.by.ends_with("/libhelper-bound-back.so"), "{cause:?}");
    assert_eq!(cause.object.as_ref(), Some(&keeper.by));
}
