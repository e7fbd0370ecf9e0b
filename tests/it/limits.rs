//! Each limit ends the soak of the library that goes beyond it, says which it was and by how much, and lets alone the
//! library that stays below.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use dlsoak::Fault;
use dlsoak::conduct::{self, Instrument};
use dlsoak::record::{
    Cohorts, Column, Doubt, EndedEarly, LimitName, Measured, Metric, Note, OutcomeKind, Residue, Trace,
    Verdict,
};
use dlsoak::suite::plan::{Plan, Purpose, SoakPlan};
use dlsoak::supervisor::Context;
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
        "[defaults]\ncycles = 1000\nfd-limit = 7\nprocess-limit = \"3k\"\noutput-limit = \"1MiB\"\ntimeout = \"1h\"\n\
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

/// Plays a soak that leaks and takes this long, and one without the calls that is cut short; keeps the time that each is allowed.
struct Slow {
    takes: Duration,
    allowed: Mutex<Vec<(Purpose, Duration)>>,
}

impl Instrument for Slow {
    fn measure(&self, plan: &SoakPlan, _: &Context<'_>) -> Result<(Measured, Option<Doubt>), Fault> {
        self.allowed.lock().unwrap().push((plan.purpose, plan.allowance.timeout.unwrap()));
        std::thread::sleep(self.takes);
        let columns = vec![Column::Cycle, Column::Metric(Metric::Heap)];
        let mut soak = crate::reference::soak("slow", 1, 2_000, columns);
        soak.checkpoints.rows = (0..=200).map(|at| vec![at * 10, 250_000 + at * 320]).collect();
        if plan.purpose != Purpose::Everything {
            soak.outcome.kind = OutcomeKind::Limit;
        }
        Ok((soak, None))
    }

    fn cohorts(&self, _: &SoakPlan, _: &Measured, _: u64, _: &Context<'_>) -> Result<Cohorts, EndedEarly> {
        panic!("growth of the heap is decided")
    }

    fn trace(&self, _: &SoakPlan, _: &Measured, _: u64, _: &Context<'_>) -> Result<Trace, EndedEarly> {
        panic!("no trace was asked for")
    }

    fn pointers(
        &self,
        plan: &SoakPlan,
        _: &Measured,
        _: Duration,
        _: &Context<'_>,
    ) -> Result<(Vec<Residue>, Option<Note>), EndedEarly> {
        self.allowed.lock().unwrap().push((plan.purpose, plan.allowance.timeout.unwrap()));
        Ok((Vec::new(), None))
    }
}

#[test]
fn the_time_of_a_soak_is_that_of_all_its_passes() {
    let hour = Duration::from_secs(3_600);
    let settings = serde_json::json!({ "call": ["f"], "cycles": 2_000, "timeout": "1h" });
    let plan = Plan::from_paths(&["slow.so".into()], &serde_json::from_value(settings).unwrap()).unwrap();
    let slow = Slow { takes: Duration::from_millis(20), allowed: Mutex::new(Vec::new()) };
    let never = AtomicBool::new(false);
    let soak = conduct::with(&slow, &plan.soaks[0], &Context { interrupted: &never, progress: &|_| {} });
    let soak = soak.unwrap();
    assert_eq!((soak.outcome.kind, soak.judged.verdict), (OutcomeKind::Completed, Verdict::Leak), "{soak:?}");
    assert!(soak.without_calls.is_none(), "what is cut short is no share");
    let mut allowed = slow.allowed.into_inner().unwrap();
    // The two that come after it are made side by side.
    allowed[1..].sort_by_key(|(purpose, _)| *purpose != Purpose::Pointers);
    let [(Purpose::Everything, first), (Purpose::Pointers, second), (Purpose::Share { .. }, third)] =
        allowed.as_slice()
    else {
        panic!("{allowed:?}")
    };
    assert_eq!(*first, hour);
    assert!(*second <= hour - slow.takes && *third <= hour - slow.takes, "{second:?} {third:?}");
}
