//! Why a library stays: every fixture of the table gets its true state and exactly its true causes.

use std::collections::{BTreeMap, BTreeSet};

use dlsoak::record::{CauseFacts, Language, OpenedBy, UnloadState};
use xtask::fixtures::{Fixture, Situation, Table, Truth, root};

use crate::support::{fixture, run};

#[test]
fn every_fixture_is_unloaded_or_stays_for_its_true_causes() {
    let table = Table::load(&root()).unwrap();
    // Those with the same calls and environment in one run: its record is written and drawn once.
    let mut runs: BTreeMap<_, Vec<(&Fixture, &Truth)>> = BTreeMap::new();
    for fixture in table.fixtures.iter().filter(|fixture| !fixture.hostile) {
        if let Some(truth) = fixture.truth(&Situation::default()).filter(|truth| truth.state.is_some()) {
            let cycles = truth.max_cycles.map_or(100, |most| most.min(100));
            let host = fixture.settings.get("host-kind").and_then(|kind| kind.as_str()).unwrap_or("auto");
            runs.entry((&fixture.calls, &fixture.env, host, cycles)).or_default().push((fixture, truth));
        }
    }
    let mut wrong = Vec::new();
    let mut kinds = BTreeSet::new();
    for ((calls, env, host, cycles), fixtures) in runs {
        let cycles = cycles.to_string();
        let libraries: Vec<_> = fixtures.iter().map(|(known, _)| fixture(&known.name)).collect();
        let mut args = vec!["-n", &cycles, "--host-kind", host];
        args.extend(libraries.iter().map(|library| library.to_str().unwrap()));
        args.extend(calls.iter().flat_map(|call| ["-c", call]));
        let env: Vec<_> = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        args.extend(env.iter().flat_map(|pair| ["--env", pair]));
        let finished = run(&args);
        for (soak, (known, truth)) in finished.run.soaks.iter().zip(fixtures) {
            let causes: BTreeSet<_> =
                soak.unload.causes.iter().map(|cause| cause.kind().name().to_owned()).collect();
            let expected: BTreeSet<_> = truth.causes.iter().cloned().collect();
            let state = serde_json::to_value(soak.unload.state).unwrap();
            if Some(state.as_str().unwrap()) != truth.state.as_deref() || causes != expected {
                wrong.push(format!("{}: {:?}, not {:?} {expected:?}", known.name, soak.unload, truth.state));
            }
            kinds.extend(causes);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // All that there are, but for what no fixture can be: part of the worker, or unknown.
    assert_eq!(kinds.len(), 8, "{kinds:?}");
}

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
