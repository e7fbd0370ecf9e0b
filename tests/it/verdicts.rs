//! How the end of a soak, what was unloaded, what grew and what was allowed make one verdict.

use dlsoak::analysis::{Policy, judge};
use dlsoak::record::{Cause, Metric, OneTime, OutcomeKind, Residue, Soak, UnloadState, Verdict};

use crate::reference;

/// A soak of 20,000 cycles of 46 us in which each leaves `per_cycle` bytes in the heap.
fn leaving(per_cycle: i64) -> Soak {
    let columns = ["cycle", "loads", "heap", "fds"].map(str::to_owned).to_vec();
    let mut soak = reference::soak("library", 1, 20_000, columns);
    soak.seconds = 20_000.0 * 46e-6;
    soak.checkpoints.rows =
        (0..=200).map(|at| vec![at * 100, at * 100, 250_000 + at * 100 * per_cycle, 7]).collect();
    soak
}

fn pinned(mut soak: Soak) -> Soak {
    soak.unload.state = UnloadState::Pinned;
    soak.unload.causes = vec![Cause {
        kind: "nodelete".to_owned(),
        detail: "linked with -z nodelete".to_owned(),
        object: None,
    }];
    soak
}

fn with_residue(mut soak: Soak) -> Soak {
    let detail = "a handler for SIGSEGV".to_owned();
    soak.residue = vec![Residue { kind: "signal-handler".to_owned(), detail, per_cycle: None }];
    soak
}

fn allowing_pinned() -> Policy {
    Policy { allow_pinned: Some("Go never unloads".to_owned()), ..Policy::default() }
}

#[test]
fn the_verdict_has_an_order() {
    let plain = Policy::default();
    let allowing_residue = Policy { allow_residue: vec!["signal-handler".to_owned()], ..Policy::default() };
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
        assert_eq!((judgement.verdict, judgement.gate.passed), (verdict, passed), "{:?}", judgement.reasons);
        assert!(!judgement.reasons.is_empty());
        assert_eq!(judgement.gate.rules.iter().all(|rule| rule.passed == Some(true)), passed == Some(true));
    }
}

#[test]
fn a_pinned_library_whose_growth_is_undecided_is_not_passed() {
    let mut soak = pinned(leaving(0));
    soak.checkpoints.rows.truncate(9);
    assert_eq!(judge(&soak, &allowing_pinned()).verdict, Verdict::Inconclusive);
    assert_eq!(judge(&soak, &Policy::default()).verdict, Verdict::Pinned);
}

#[test]
fn a_bad_end_is_the_verdict_whatever_grew() {
    for (kind, verdict) in [
        (OutcomeKind::Crashed, Verdict::Crashed),
        (OutcomeKind::Hung, Verdict::Hung),
        (OutcomeKind::Exited, Verdict::Exited),
        (OutcomeKind::Limit, Verdict::Limit),
        (OutcomeKind::LoadFailed, Verdict::LoadFailed),
    ] {
        let mut soak = leaving(32);
        soak.outcome.kind = kind;
        soak.outcome.detail = Some("SIGSEGV in the destructor".to_owned());
        let judgement = judge(&soak, &Policy::default());
        assert_eq!((judgement.verdict, judgement.gate.passed), (verdict, Some(false)));
        assert_eq!(judgement.reasons[0], "SIGSEGV in the destructor");
    }
    let mut soak = leaving(32);
    soak.outcome.kind = OutcomeKind::Interrupted;
    assert_eq!(judge(&soak, &Policy::default()).verdict, Verdict::Leak);
}

#[test]
fn a_limit_by_time_is_shown_by_cycle_and_growth_below_it_passes() {
    let limit = |text: &str| Policy { max_leak_rate: text.parse().ok(), ..Policy::default() };
    let judgement = judge(&leaving(32), &limit("1MB/s"));
    assert_eq!(judgement.verdict, Verdict::Clean);
    assert!(
        judgement.reasons[0].starts_with("heap grows by 32 B/cycle exactly, below the limit of 46 B/cycle")
    );
    let detail = judgement.gate.rules[0].detail.as_deref().unwrap();
    assert!(detail.starts_with("1MB/s is 46 B/cycle at 46 us a cycle; that lets a whole chunk"), "{detail}");
    // 0.2 us a cycle, as of a library that is never unloaded.
    let mut soak = leaving(0);
    soak.seconds = 20_000.0 * 0.2e-6;
    let judgement = judge(&soak, &limit("0.03MB/s"));
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    let detail = judgement.gate.rules[0].detail.as_deref().unwrap();
    assert!(
        detail.contains("is 0.006 B/cycle at 0.2 us a cycle; that is less than these 20,000 cycles"),
        "{detail}"
    );
    assert!(judgement.reasons[0].contains("cycles would tell"), "{:?}", judgement.reasons);
}

#[test]
fn counts_have_limits_of_their_own() {
    let mut soak = leaving(0);
    for row in &mut soak.checkpoints.rows {
        row[3] += row[0] / 100;
    }
    assert_eq!(judge(&soak, &Policy::default()).verdict, Verdict::Leak);
    let policy = Policy { max_growth: "fds=0.02/cycle".parse().unwrap(), ..Policy::default() };
    let judgement = judge(&soak, &policy);
    assert_eq!(judgement.verdict, Verdict::Clean);
    assert!(
        judgement.reasons[0].starts_with("file descriptors grow by 0.01 fds/cycle"),
        "{:?}",
        judgement.reasons
    );
}

#[test]
fn growth_is_counted_by_load_where_threads_share_a_path() {
    // Of 100 cycles between two checkpoints 3 to 7 load; each load leaves 32 bytes.
    let mut soak = leaving(0);
    soak.share_path = true;
    soak.threads = 4;
    soak.unload.objects_per_load = 2;
    let mut loads = 0;
    for (at, row) in soak.checkpoints.rows.iter_mut().enumerate() {
        loads += if at == 0 { 0 } else { 3 + (at as i64 * 7) % 5 };
        (row[1], row[2]) = (2 * loads, 250_000 + 32 * loads);
    }
    soak.unload.loads_per_cycle = 2.0 * loads as f64 / 20_000.0;
    let judgement = judge(&soak, &Policy::default());
    let heap = judgement.growth.iter().find(|growth| growth.metric == Metric::Heap).unwrap();
    assert!(heap.exact, "{heap:?}");
    assert!((heap.per_load.unwrap() - 32.0).abs() < 1e-6, "{heap:?}");
    assert!((heap.per_cycle - 32.0 * loads as f64 / 20_000.0).abs() < 1e-6, "{heap:?}");
    assert!(judgement.reasons[0].contains("32 B per real load"), "{:?}", judgement.reasons);
}

#[test]
fn what_the_first_loads_kept_is_shown_apart() {
    let mut soak = leaving(0);
    soak.one_time = vec![OneTime { metric: Metric::Heap, amount: 12_500 }];
    let judgement = judge(&soak, &Policy::default());
    assert_eq!(judgement.verdict, Verdict::Clean);
    assert_eq!(judgement.reasons.last().unwrap(), "kept once, by the first loads: 12.2 KiB of heap");
}
