//! Soaks that stop when the verdict is certain or the time is up, and the short soak that leaves the calls out.

use crate::support::{DECIDED, Finished, column, fixture, growth, has, run, soak};
use dlsoak::record::{Agent, Code, Metric, OutcomeKind, Pass, RuleMeasured, RuleName, Trend, Verdict};

#[test]
fn a_leak_and_a_clean_library_are_decided_early() {
    for (name, verdict) in [("c-leak-constructor", Verdict::Leak), ("c-clean", Verdict::Clean)] {
        let finished = soak(&fixture(name), &["-n", "1M", "--until-decided"]);
        let soak = finished.soak();
        assert_eq!(soak.judged.verdict, verdict, "{:?}", soak.judged.findings);
        // The heap is counted, so that a leak is certain at the first look. Resident memory decides on the other one: how soon is the
        // machine's matter, but it is no matter of a million cycles.
        let early = if verdict == Verdict::Leak { 1_024 } else { 200_000 };
        assert!(soak.cycles.completed <= early, "{name}: {:?}", soak.cycles);
        assert_eq!(soak.outcome.kind, OutcomeKind::Completed);
        assert_eq!(soak.outcome.why, Some(dlsoak::record::Why::Decided));
        assert!(!finished.stdout.contains("were measured"), "{}", finished.stdout);
    }
}

#[test]
fn latencies_are_gated_only_against_those_of_the_same_agent() {
    let path = fixture("c-clean");
    let baselines = tempfile::tempdir().unwrap();
    let at = baselines.path().to_str().unwrap();
    let timed = |more: &[&str]| soak(&path, &[&["-n", "300", "--baselines", at], more].concat());
    let before = timed(&["--save-baseline", "before"]);
    // More than any time that a test can take, so that only the agent decides.
    let gate = ["--baseline", "before", "--max-p99-increase", "1000000000000%"];
    let rule = |finished: &Finished| {
        let rules = &finished.soak().judged.gate.rules;
        rules.iter().find(|rule| rule.name == RuleName::MaxP99Increase).unwrap().clone()
    };
    let same = rule(&timed(&gate));
    assert_eq!(same.passed, Some(true), "{same:?}");
    let mut run = before.run.clone();
    let agent = &mut run.soaks[0].worker.agent;
    *agent = if *agent == Agent::Plain { Agent::Counting } else { Agent::Plain };
    let text = serde_json::to_string(&run).unwrap();
    std::fs::write(baselines.path().join("before.json"), text).unwrap();
    let other = rule(&timed(&gate));
    assert_eq!(other.passed, None, "{other:?}");
    assert_eq!(other.measured, RuleMeasured::OtherAgent);
}

#[test]
fn a_cache_is_no_leak_however_early_one_looks() {
    // What stays holds the first two; in the second one, the library itself allocates what it holds. A word of the C library holds the others.
    for name in ["c-cache-dependency", "c-cache-handed", "c-cache", "c-slow-start"] {
        let finished = soak(&fixture(name), &["-n", "100k", "--until-decided"]);
        let soak = finished.soak();
        assert_ne!(soak.judged.verdict, Verdict::Leak, "{name}: {:?}", soak.judged.findings);
        // 5,000 entries: before that there is growth to see, and a verdict would be a guess.
        assert!(soak.cycles.completed >= 5_000, "{name}: {:?} {:?}", soak.cycles, soak.judged.findings);
        assert!(!has(soak, Code::Lost), "{name}: {:?}", soak.judged.findings);
    }
    for name in ["c-cache-leak", "c-slow-start-leak"] {
        let finished = soak(&fixture(name), &["-n", "100k", "--until-decided"]);
        let soak = finished.soak();
        assert_eq!(soak.judged.verdict, Verdict::Leak, "{name}: {:?}", soak.judged.findings);
        assert!(soak.cycles.completed >= 5_000, "{name}: {:?} {:?}", soak.cycles, soak.judged.findings);
    }
}

#[test]
fn a_cache_of_what_the_host_holds_is_no_leak_either() {
    let helper = fixture("helper-cache");
    for how in ["", ":link"] {
        let held = format!("{}{how}", helper.display());
        let finished =
            soak(&fixture("c-cache-dependency"), &["-n", "100k", "--until-decided", "--hold", &held]);
        let soak = finished.soak();
        assert_eq!(soak.unload.objects_left, Vec::<String>::new());
        assert_ne!(soak.judged.verdict, Verdict::Leak, "{held}: {:?}", soak.judged.findings);
        assert!(soak.cycles.completed >= 5_000, "{held}: {:?} {:?}", soak.cycles, soak.judged.findings);
    }
}

#[test]
fn what_nothing_points_to_is_a_leak_whatever_stays() {
    for more in [&[][..], &["-t", "4"], &["-c", "fibonacci(10)"]] {
        let finished = soak(&fixture("c-lost"), &[&["-n", "100k", "--until-decided"], more].concat());
        let soak = finished.soak();
        assert_eq!(soak.judged.verdict, Verdict::Leak, "{more:?}: {:?}", soak.judged.findings);
        assert_eq!(soak.cycles.completed, 128, "{more:?}: {:?}", soak.passes);
        assert_eq!(soak.outcome.why, Some(dlsoak::record::Why::Decided));
        assert!(has(soak, Code::Lost) && has(soak, Code::DependenciesStay), "{more:?}");
        let passes: Vec<(Pass, u64)> =
            soak.passes.iter().map(|made| (made.pass, made.cycles)).take(2).collect();
        assert_eq!(passes, [(Pass::Measure, 128), (Pass::Lost, 128)]);
        // The load alone leaks as much, so that this soak ends early, too.
        let alone = soak.without_calls.as_ref().map_or(0, |alone| alone.cycles.completed);
        assert!(alone <= 256, "{more:?}: {alone}");
    }
    let left_out = ["-n", "500", "--until-decided", "--max-cycles", "1000", "--passes", "-lost"];
    let finished = soak(&fixture("c-lost"), &left_out);
    assert_eq!(finished.soak().cycles.completed, 1000);
    assert!(finished.soak().lost.is_none());
}

#[test]
fn a_leak_beside_a_cache_is_measured_once_the_cache_is_full() {
    let finished = soak(&fixture("c-lost-and-cache"), &["-n", "100k", "--until-decided"]);
    let soak = finished.soak();
    assert_eq!(soak.judged.verdict, Verdict::Leak, "{:?}", soak.judged.findings);
    let leak = soak.judged.leak.as_ref().unwrap();
    assert!((31.9..32.5).contains(&leak.bytes_per_cycle), "{leak:?} after {:?}", soak.cycles);
    assert!((5_000..100_000).contains(&soak.cycles.completed) && has(soak, Code::Lost), "{:?}", soak.passes);
}

#[test]
fn an_undecided_soak_goes_on_as_far_as_it_may() {
    // 900 cycles are too few for a cache of 5,000 entries; so are 2,000.
    let finished =
        soak(&fixture("c-cache-dependency"), &["-n", "900", "--until-decided", "--max-cycles", "2000"]);
    let soak = finished.soak();
    assert_eq!(soak.cycles.completed, 2000);
    // At the full budget growth is what it looks like.
    assert_eq!(soak.judged.verdict, Verdict::Leak, "{:?}", soak.judged.findings);
}

#[test]
fn time_ends_a_soak_with_a_whole_record() {
    let finished = soak(&fixture("c-leak-constructor"), &["--duration", "2s"]);
    let soak = finished.soak();
    assert_eq!(soak.outcome.kind, OutcomeKind::Completed);
    assert_eq!(soak.outcome.why, Some(dlsoak::record::Why::Duration));
    assert_eq!(soak.judged.verdict, Verdict::Leak);
    let last = soak.checkpoints.rows.last().unwrap();
    assert_eq!(last[0], i64::try_from(soak.cycles.completed).unwrap());
    // Whole to the byte: each cycle that was measured is in it.
    let heap = column(soak, "heap");
    assert_eq!(heap.last().unwrap() - heap[0], 32 * last[0]);
}

#[test]
fn the_share_of_the_call_is_told_from_that_of_the_load() {
    let finished = soak(&fixture("c-leak-call"), &["-n", "3000"]);
    let with = finished.soak();
    let without = with.without_calls.as_ref().unwrap();
    assert_eq!(growth(with, Metric::Heap).trend, Trend::Growing);
    assert!(has(with, Code::ShareCall), "{:?}", with.judged.findings);
    // That something does not leak takes as many cycles as before; that it leaks as much, no more than show it.
    assert_eq!(without.cycles.completed, 3000);

    let finished = soak(&fixture("c-leak-constructor"), &["-n", "3000"]);
    let without = finished.soak().without_calls.as_ref().unwrap();
    assert!((128..3000).contains(&without.cycles.completed), "{:?}", without.cycles);
    assert!(has(finished.soak(), Code::ShareLoad), "{:?}", finished.soak().judged.findings);

    let finished = soak(&fixture("c-clean"), &["-n", "3000"]);
    assert!(finished.soak().without_calls.is_none());
    let finished = run(&[fixture("c-leak-constructor").to_str().unwrap(), "-n", "3000"]);
    assert!(finished.soak().without_calls.is_none());
}

#[test]
fn the_share_of_the_call_is_known_though_the_leak_is_decided_at_once() {
    let finished = soak(&fixture("c-leak-call"), &["-n", "100k", "--until-decided"]);
    let soak = finished.soak();
    assert_eq!(soak.cycles.completed, 128, "{:?}", soak.passes);
    assert!(has(soak, Code::ShareCall), "{:?}", soak.judged.findings);
}

#[test]
fn a_limit_moves_both_sides_of_the_gate() {
    let path = fixture("c-leak-constructor");
    let finished = soak(&path, &["-n", "10000", "--max-leak-rate", "400B/cycle"]);
    assert_eq!(
        (finished.soak().judged.verdict, finished.code),
        (Verdict::Clean, 0),
        "{:?}",
        finished.soak().judged.findings
    );
    assert!(has(finished.soak(), Code::GrowthWithinLimit));
    let finished = soak(&path, &["-n", "3000", "--max-leak-rate", "20B/cycle"]);
    assert_eq!((finished.soak().judged.verdict, finished.code), (Verdict::Leak, 1));
    let finished = soak(&fixture("go-clean"), &[&DECIDED[..], &["--allow-pinned"]].concat());
    assert_eq!(
        (finished.soak().judged.verdict, finished.code),
        (Verdict::Pinned, 0),
        "{:?}",
        finished.soak().judged.findings
    );
}
