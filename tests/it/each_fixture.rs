//! Every fixture of the table gets its true state, exactly its true causes, and exactly what it leaves behind, each at its rate, as its
//! twin does, from one short soak.

use std::collections::{BTreeMap, BTreeSet};

use dlsoak::record::{Soak, Verdict};
use xtask::fixtures::{Fixture, Situation, Table, Truth, root};

use crate::support::{fixture, run};

/// Enough for a rate, few enough for all fixtures.
const CYCLES: u64 = 60;

/// The soaks of all fixtures that have a truth here. Those with the same calls and environment are of one run: its record is written and
/// drawn once.
fn soaks(table: &Table) -> Vec<(Soak, &Fixture, &Truth)> {
    let mut runs: BTreeMap<_, Vec<(&Fixture, &Truth)>> = BTreeMap::new();
    for known in table.fixtures.iter().filter(|known| !known.hostile) {
        if let Some(truth) = known.truth(&Situation::default()).filter(|truth| truth.state.is_some()) {
            let cycles = truth.max_cycles.map_or(CYCLES, |most| most.min(CYCLES));
            let host = known.settings.get("host-kind").and_then(|kind| kind.as_str()).unwrap_or("auto");
            runs.entry((&known.calls, &known.env, host, cycles)).or_default().push((known, truth));
        }
    }
    let mut soaks = Vec::new();
    for ((calls, env, host, cycles), fixtures) in runs {
        let cycles = cycles.to_string();
        let libraries: Vec<_> = fixtures.iter().map(|(known, _)| fixture(&known.name)).collect();
        let mut args = vec!["-n", &cycles, "--warmup", "10", "--checkpoints", "20", "--host-kind", host];
        args.extend(libraries.iter().map(|library| library.to_str().unwrap()));
        args.extend(calls.iter().flat_map(|call| ["-c", call]));
        let env: Vec<_> = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        args.extend(env.iter().flat_map(|pair| ["--env", pair]));
        let finished = run(&args).run.soaks;
        assert_eq!(finished.len(), fixtures.len());
        soaks.extend(finished.into_iter().zip(fixtures).map(|(soak, (known, truth))| (soak, known, truth)));
    }
    soaks
}

/// What differs in what it leaves behind, where that is to be compared.
fn residue(soak: &Soak, known: &Fixture, truth: &Truth) -> Option<String> {
    // What is soaked with limits of its own is for the tests of limits. How soon a process ends of itself decides what it leaves; ends have
    // tests of their own.
    if !known.settings.is_empty() || truth.end.is_some() {
        return None;
    }
    let found: Vec<_> = soak.residue.iter().map(|found| (found.kind().name(), found.per_cycle)).collect();
    let right = match known.name.as_str() {
        // What is taken from a pool of 1 MiB, or left by every tenth load, shows its rate later than this.
        "c-arena" | "c-fds-tenth" => !found.is_empty(),
        _ => truth.residue.iter().map(|left| (left.kind.as_str(), left.per_cycle)).eq(found.iter().copied()),
    };
    let verdict = soak.judged.verdict == Verdict::Residue && truth.residue.is_empty();
    (!right || verdict)
        .then(|| format!("{}: {:?} {:?}, not {:?}", known.name, found, soak.outcome, truth.residue))
}

#[test]
fn every_fixture_stays_for_its_true_causes_and_leaves_what_it_leaves() {
    let table = Table::load(&root()).unwrap();
    let mut wrong = Vec::new();
    let mut kinds = BTreeSet::new();
    for (soak, known, truth) in soaks(&table) {
        let causes: BTreeSet<_> =
            soak.unload.causes.iter().map(|cause| cause.kind().name().to_owned()).collect();
        let expected: BTreeSet<_> = truth.causes.iter().cloned().collect();
        let state = serde_json::to_value(soak.unload.state).unwrap();
        if state.as_str() != truth.state.as_deref() || causes != expected {
            wrong.push(format!("{}: {:?}, not {:?} {expected:?}", known.name, soak.unload, truth.state));
        }
        wrong.extend(residue(&soak, known, truth));
        kinds.extend(causes);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // All that there are, but for what no fixture can be: part of the worker, or unknown.
    assert_eq!(kinds.len(), 8, "{kinds:?}");
}
