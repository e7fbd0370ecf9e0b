//! How the end of a soak, what was unloaded, what grew and what was allowed make one verdict.

use dlsoak::analysis::judge;
use dlsoak::record::{
    Cause, CauseFacts, Code, Column, Evidence, Facts, Judged, Language, Limits, Measured, Metric, OneTime,
    OutcomeKind, Residue, ResidueKind, SignalAction, UnloadState, Verdict,
};

use crate::reference;

/// A soak of 20,000 cycles of 46 us in which each leaves `per_cycle` bytes in the heap.
fn leaving(per_cycle: i64) -> Measured {
    let columns =
        vec![Column::Cycle, Column::Loads, Column::Metric(Metric::Heap), Column::Metric(Metric::Fds)];
    let mut soak = reference::soak("library", 1, 20_000, columns);
    soak.seconds = 20_000.0 * 46e-6;
    soak.checkpoints.rows =
        (0..=200).map(|at| vec![at * 100, at * 100, 250_000 + at * 100 * per_cycle, 7]).collect();
    soak
}

fn pinned(mut soak: Measured) -> Measured {
    soak.unload.state = UnloadState::Pinned;
    soak.unload.causes = vec![Cause::of_library(CauseFacts::Nodelete { language: Language::C })];
    soak
}

fn with_residue(mut soak: Measured) -> Measured {
    soak.residue = vec![Residue::once(Evidence::SignalHandler {
        signal: "SIGSEGV".to_owned(),
        old: SignalAction::Default,
        new: SignalAction::Ignore,
        gone: false,
    })];
    soak
}

fn codes(judged: &Judged) -> Vec<Code> {
    judged.findings.iter().map(|finding| finding.code).collect()
}

fn allowing_pinned() -> Limits {
    Limits { allow_pinned: "Go never unloads".parse().ok(), ..Limits::default() }
}

#[test]
fn the_verdict_has_an_order() {
    let plain = Limits::default();
    let allowing_residue =
        Limits { allow_residue: Some(vec![ResidueKind::SignalHandler]), ..Limits::default() };
    for (soak, policy, verdict, passed) in [
        (leaving(0), &plain, Verdict::Clean, Some(true)),
        (leaving(32), &plain, Verdict::Leak, Some(false)),
        (with_residue(leaving(32)), &plain, Verdict::Leak, Some(false)),
        (with_residue(leaving(0)), &plain, Verdict::Residue, Some(false)),
        (with_residue(leaving(0)), &allowing_residue, Verdict::Clean, Some(true)),
        (pinned(leaving(0)), &plain, Verdict::Pinned, Some(false)),
        (pinned(leaving(0)), &allowing_pinned(), Verdict::Pinned, Some(true)),
        (pinned(leaving(32)), &allowing_pinned(), Verdict::Leak, Some(false)),
        (with_residue(pinned(leaving(0))), &allowing_pinned(), Verdict::Residue, Some(false)),
    ] {
        let judgement = judge(&soak, policy);
        assert_eq!((judgement.verdict, judgement.gate.passed), (verdict, passed), "{:?}", judgement.findings);
        assert!(!judgement.findings.is_empty());
        assert_eq!(judgement.gate.rules.iter().all(|rule| rule.passed == Some(true)), passed == Some(true));
    }
}

#[test]
fn a_pinned_library_whose_growth_is_undecided_is_not_passed() {
    let mut soak = pinned(leaving(0));
    soak.checkpoints.rows.truncate(9);
    assert_eq!(judge(&soak, &allowing_pinned()).verdict, Verdict::Inconclusive);
    assert_eq!(judge(&soak, &Limits::default()).verdict, Verdict::Pinned);
}

#[test]
fn a_bad_end_is_the_verdict_whatever_grew() {
    for (kind, verdict) in [
        (OutcomeKind::Crashed, Verdict::Crashed),
        (OutcomeKind::Hung, Verdict::Hung),
        (OutcomeKind::Exited, Verdict::Exited),
        (OutcomeKind::LoadFailed, Verdict::LoadFailed),
    ] {
        let mut soak = leaving(32);
        soak.outcome.kind = kind;
        let judgement = judge(&soak, &Limits::default());
        assert_eq!((judgement.verdict, judgement.gate.passed), (verdict, Some(false)));
        assert!(
            [Code::Crashed, Code::Hung, Code::Exited, Code::LoadFailed].contains(&judgement.findings[0].code)
        );
    }
    // A limit ends a soak; what was proven before it counts.
    for (per_cycle, verdict) in [(32, Verdict::Leak), (0, Verdict::Limit)] {
        let mut soak = leaving(per_cycle);
        soak.outcome.kind = OutcomeKind::Limit;
        let judgement = judge(&soak, &Limits::default());
        assert_eq!((judgement.verdict, judgement.gate.passed), (verdict, Some(false)));
        assert_eq!(judgement.findings[0].code, Code::LimitReached);
    }
    let mut soak = leaving(32);
    soak.outcome.kind = OutcomeKind::Interrupted;
    assert_eq!(judge(&soak, &Limits::default()).verdict, Verdict::Leak);
}

#[test]
fn a_limit_by_time_is_shown_by_cycle_and_growth_below_it_passes() {
    let limit = |text: &str| Limits { max_leak_rate: text.parse().ok(), ..Limits::default() };
    let judgement = judge(&leaving(32), &limit("1MB/s"));
    assert_eq!(judgement.verdict, Verdict::Clean, "{:?}", judgement.findings);
    assert_eq!(codes(&judgement)[..2], [Code::GrowthWithinLimit, Code::LimitAllowsChunk]);
    // 0.2 us a cycle, as of a library that is never unloaded.
    let mut soak = leaving(0);
    soak.seconds = 20_000.0 * 0.2e-6;
    let judgement = judge(&soak, &limit("0.03MB/s"));
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert!(codes(&judgement).contains(&Code::LimitTooSmall), "{:?}", judgement.findings);
    let open = |code: &Code| matches!(code, Code::GrowthUndecided | Code::GrowthFading | Code::GrowthLate);
    assert!(codes(&judgement).iter().any(open), "{:?}", judgement.findings);
}

#[test]
fn counts_have_limits_of_their_own() {
    let mut soak = leaving(0);
    for row in &mut soak.checkpoints.rows {
        row[3] += row[0] / 100;
    }
    assert_eq!(judge(&soak, &Limits::default()).verdict, Verdict::Leak);
    let policy = Limits { max_growth: "fds=0.02/cycle".parse().ok(), ..Limits::default() };
    let judgement = judge(&soak, &policy);
    assert_eq!(judgement.verdict, Verdict::Clean);
    assert_eq!(codes(&judgement)[0], Code::GrowthWithinLimit);
}

#[test]
fn growth_is_counted_by_load_where_threads_share_a_path() {
    // Of 100 cycles between two checkpoints 3 to 7 load; each load leaves 32 bytes.
    let mut soak = leaving(0);
    soak.share_path = true;
    soak.asked.threads = "4".parse().ok();
    soak.unload.objects_per_load = 2;
    let mut loads = 0;
    for (at, row) in soak.checkpoints.rows.iter_mut().enumerate() {
        loads += if at == 0 { 0 } else { 3 + (at as i64 * 7) % 5 };
        (row[1], row[2]) = (2 * loads, 250_000 + 32 * loads);
    }
    soak.unload.loads_per_cycle = 2.0 * loads as f64 / 20_000.0;
    let judgement = judge(&soak, &Limits::default());
    let heap = judgement.growth.iter().find(|growth| growth.metric == Metric::Heap).unwrap();
    assert!(heap.exact, "{heap:?}");
    assert!((heap.per_load.unwrap() - 32.0).abs() < 1e-6, "{heap:?}");
    assert!((heap.per_cycle - 32.0 * loads as f64 / 20_000.0).abs() < 1e-6, "{heap:?}");
    assert_eq!(codes(&judgement)[0], Code::LeakHeap);
}

#[test]
fn what_the_first_loads_kept_is_shown_apart() {
    let mut soak = leaving(0);
    soak.one_time = vec![OneTime { metric: Metric::Heap, amount: 12_500 }];
    let judgement = judge(&soak, &Limits::default());
    assert_eq!(judgement.verdict, Verdict::Clean);
    assert_eq!(codes(&judgement), [Code::NoGrowth, Code::KeptOnce]);
    // What grows with the cycles grew in the warm-up, too.
    let mut soak = leaving(32);
    soak.cycles.warmup = 500;
    soak.one_time = vec![OneTime { metric: Metric::Heap, amount: 4_640 + 32 * 500 }];
    let judgement = judge(&soak, &Limits::default());
    let kept = judgement.findings.iter().find(|finding| finding.code == Code::KeptOnce).unwrap();
    assert_eq!(kept.facts, Facts::KeptOnce(vec![OneTime { metric: Metric::Heap, amount: 4_640 }]));
}
