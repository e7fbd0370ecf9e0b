//! Each limit ends the soak of the library that goes beyond it, says which it was and by how much, and lets alone the
//! library that stays below.

use dlsoak::record::{LimitName, OutcomeKind, Verdict};
use xtask::fixtures::{Fixture, Table, root};
use xtask::judge;

use crate::support::{Finished, dlsoak, fixture, soak};

/// Fixtures that trip a limit; the name of the limit, and the twin is in the table.
const TRIP: [(&str, LimitName); 7] = [
    ("c-limit-memory", LimitName::MemoryLimit),
    ("c-limit-fds", LimitName::FdLimit),
    ("c-limit-processes", LimitName::ProcessLimit),
    ("c-limit-threads", LimitName::ProcessLimit),
    ("c-limit-output", LimitName::OutputLimit),
    ("c-limit-file", LimitName::OutputLimit),
    ("c-limit-time", LimitName::Timeout),
];

fn soaked(of: &Fixture, more: &[&str]) -> Finished {
    let own = of.arguments();
    let args: Vec<&str> = own.iter().map(String::as_str).chain(more.iter().copied()).collect();
    soak(&fixture(&of.name), &args)
}

#[test]
fn what_goes_beyond_a_limit_is_ended_and_told() {
    let table = Table::load(&root()).unwrap();
    for (name, limit) in TRIP {
        let of = table.get(name).unwrap();
        let finished = soaked(of, &["-n", "1000"]);
        let soak = finished.soak();
        let told = format!("{name}: {:?} {:?}", soak.outcome, soak.limits);
        assert_eq!((soak.outcome.kind, soak.judged.verdict), (OutcomeKind::Limit, Verdict::Limit), "{told}");
        assert_eq!(finished.code, 1, "{told}");
        let differences =
            judge::differences(of, &serde_json::from_value(serde_json::to_value(soak).unwrap()).unwrap());
        assert!(differences.is_empty(), "{told}: {differences:?}");
        assert!(soak.outcome.phase.is_some(), "{told}");
        let [reached] = soak.limits.as_slice() else { panic!("{told}") };
        assert_eq!(reached.name, limit, "{told}");
        assert!(reached.used.unwrap() >= reached.allowed, "{told}");
        assert!(finished.stdout.contains(&format!("--{}", limit.name())), "{}", finished.stdout);
    }
}

#[test]
fn what_stays_below_a_limit_is_let_alone() {
    let table = Table::load(&root()).unwrap();
    for (name, limit) in TRIP {
        let of = table.get(table.get(name).unwrap().twin.as_ref().unwrap()).unwrap();
        let finished = soaked(of, &["-n", "60"]);
        let soak = finished.soak();
        let told = format!("{}: {:?} {:?}", of.name, soak.outcome, soak.limits);
        assert_eq!(soak.outcome.kind, OutcomeKind::Completed, "{told}");
        assert!(soak.limits.len() == 1 && soak.limits[0].name == limit, "{told}");
        assert_eq!(soak.limits[0].used, None, "{told}");
    }
}

#[test]
fn limits_can_stand_in_a_suite_and_defaults_are_not_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let suite = dir.path().join("dlsoak.toml");
    let text = format!(
        "[defaults]\ncycles = 50\nfd-limit = 7\nprocess-limit = \"3k\"\noutput-limit = \"1MiB\"\ntimeout = \"1h\"\n\
         [[library]]\npath = {:?}\nfd-limit = 5000\n[[library]]\nname = \"b\"\npath = {:?}\n",
        fixture("c-clean"),
        fixture("c-limit-fds")
    );
    std::fs::write(&suite, text).unwrap();
    let output = dlsoak().arg("run").arg(&suite).args(["--force", "-o"]).arg(dir.path()).output().unwrap();
    let finished = crate::support::finished(&output, &dir);
    let [clean, leaky] = finished.run.soaks.as_slice() else { panic!("two soaks") };
    let limits = |soak: &dlsoak::record::Soak| {
        soak.limits.iter().map(|limit| (limit.name, limit.allowed)).collect::<Vec<_>>()
    };
    let own = |name: LimitName, allowed| (name, allowed);
    assert_eq!(
        limits(clean),
        [
            own(LimitName::Timeout, 3_600_000),
            own(LimitName::FdLimit, 5000),
            own(LimitName::ProcessLimit, 3000),
            own(LimitName::OutputLimit, 1 << 20)
        ]
    );
    assert_eq!((clean.outcome.kind, leaky.outcome.kind), (OutcomeKind::Completed, OutcomeKind::Limit));
    let plain = soak(&fixture("c-clean"), &["-n", "50"]);
    assert!(plain.soak().limits.is_empty());
}

#[test]
fn the_time_of_a_soak_is_that_of_all_its_passes() {
    // The measured cycles take about two seconds, and the soak without the call, which is 20 ms a load, takes one more.
    let of = fixture("c-limit-time");
    let args = ["-n", "50", "--warmup", "0", "--env", "LIMIT_TIME_LOAD=1"];
    let whole = soak(&of, &args);
    assert_eq!(
        whole.soak().without_calls.as_ref().unwrap().cycles.completed,
        50,
        "{:?}",
        whole.soak().judged.findings
    );
    let finished = soak(&of, &[&args[..], &["--timeout", "2500ms"]].concat());
    let soak = finished.soak();
    // On a machine that is slow enough the first pass is the one that is cut short.
    let kinds = [OutcomeKind::Completed, OutcomeKind::Limit];
    assert!(kinds.contains(&soak.outcome.kind) && soak.without_calls.is_none(), "{:?}", soak.outcome);
}
