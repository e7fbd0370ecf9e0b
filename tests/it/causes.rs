//! Why a library stays: every fixture of the table gets its true state and exactly its true causes.

use dlsoak::record::UnloadState;
use xtask::fixtures::{Situation, Table, root};

use crate::support::{fixture, run};

#[test]
fn every_fixture_is_unloaded_or_stays_for_its_true_causes() {
    let table = Table::load(&root()).unwrap();
    let mut wrong = Vec::new();
    let mut kinds = std::collections::BTreeSet::new();
    for known in &table.fixtures {
        let Some(truth) = known.truth(&Situation::default()) else { continue };
        let Some(state) = &truth.state else { continue };
        let cycles = truth.max_cycles.map_or(100, |most| most.min(100)).to_string();
        let library = fixture(&known.name);
        let mut args = vec![library.to_str().unwrap(), "-n", &cycles];
        args.extend(known.calls.iter().flat_map(|call| ["-c", call]));
        let env: Vec<_> = known.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        args.extend(env.iter().flat_map(|pair| ["--env", pair]));
        let finished = run(&args);
        let unload = &finished.soak().unload;
        let mut expected = truth.causes.clone();
        let mut found: Vec<_> = unload.causes.iter().map(|cause| cause.kind.clone()).collect();
        kinds.extend(found.iter().cloned());
        expected.sort();
        found.sort();
        found.dedup();
        let word = serde_json::to_value(unload.state).unwrap();
        if word != state.as_str() || found != expected {
            wrong.push(format!("{}: {word} {found:?}, not {state} {expected:?}", known.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // What the fixtures show is all that there is, but for what no fixture can be: part of the worker, or unknown.
    assert!(kinds.len() >= 8, "{kinds:?}");
}

#[test]
fn the_callers_own_flags_are_a_cause() {
    let finished = run(&[fixture("c-clean").to_str().unwrap(), "-n", "50", "--flags", "now,nodelete"]);
    let unload = &finished.soak().unload;
    assert_eq!(unload.state, UnloadState::Pinned);
    let [cause] = unload.causes.as_slice() else { panic!("{unload:?}") };
    assert_eq!(cause.kind, "nodelete-runtime");
    assert!(cause.detail.contains("--flags"), "{}", cause.detail);
}

#[test]
fn causes_are_found_with_threads_and_in_copies_too() {
    for (name, kind) in [("c-extra-reference", "extra-reference"), ("rust-tls-destructor", "tls-destructor")]
    {
        let library = fixture(name);
        let finished = run(&[library.to_str().unwrap(), "-n", "100", "-t", "3", "-c", "fibonacci(20)"]);
        let unload = &finished.soak().unload;
        assert!(unload.causes.iter().any(|cause| cause.kind == kind), "{name}: {unload:?}");
        assert!(unload.objects_left.iter().all(|left| !left.contains("/tmp/")), "{name}: {unload:?}");
    }
}

#[test]
fn evidence_names_symbols_and_objects() {
    let library = fixture("c-bound-back");
    let finished = run(&[library.to_str().unwrap(), "-n", "50", "-c", "fibonacci(20)"]);
    let [cause] = finished.soak().unload.causes.as_slice() else { panic!("{:?}", finished.soak().unload) };
    for word in ["libhelper-bound-back.so", "`fixture_hook`", "-z nodelete"] {
        assert!(cause.detail.contains(word), "{}", cause.detail);
    }
    assert!(cause.object.as_deref().unwrap().ends_with("/libhelper-bound-back.so"));
}
