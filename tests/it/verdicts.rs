//! How the end of a soak, what was unloaded, what grew and what was allowed make one verdict.

use dlsoak::analysis::judge;
use dlsoak::record::{
    Cause, CauseFacts, Code, Column, Evidence, Facts, Judged, Language, Limits, Measured, Metric, Mode,
    OneTime, OutcomeKind, Residue, ResidueKind, RuleName, Severity, SignalAction, UnloadState, Verdict,
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

/// The same soak on musl, which never unloads.
fn on_musl(mut soak: Measured) -> Measured {
    soak.worker.libc = "musl 1.2.5".to_owned();
    soak.unload.state = UnloadState::Pinned;
    soak.unload.causes = vec![Cause::of_library(CauseFacts::LibcNeverUnloads)];
    soak
}

#[test]
fn a_c_library_that_never_unloads_is_not_the_librarys_fault() {
    let judged = judge(&on_musl(leaving(0)), &Limits::default());
    assert_eq!((judged.verdict, judged.gate.passed), (Verdict::Pinned, Some(true)), "{:?}", judged.findings);
    let stays = judged.findings.iter().find(|finding| finding.code == Code::PinnedLibcNeverUnloads).unwrap();
    assert_eq!(stays.severity, Severity::Note);
    assert!(
        judged.findings.iter().all(|finding| finding.severity == Severity::Note),
        "{:?}",
        judged.findings
    );
    let rule = judged.gate.rules.iter().find(|rule| rule.name == RuleName::AllowPinned).unwrap();
    assert_eq!((rule.limit.as_deref(), rule.passed), (Some("libc-never-unloads"), Some(true)));
    // The same on a C library that unloads.
    let on_glibc = judge(&pinned(leaving(0)), &Limits::default());
    assert_eq!((on_glibc.verdict, on_glibc.gate.passed), (Verdict::Pinned, Some(false)));
    // What it leaks, or leaves, or what is open, is as it is elsewhere.
    let verdict = |soak| judge(&on_musl(soak), &Limits::default()).verdict;
    assert_eq!((verdict(leaving(32)), verdict(with_residue(leaving(0)))), (Verdict::Leak, Verdict::Residue));
    let mut short = leaving(0);
    short.checkpoints.rows.truncate(9);
    assert_eq!(verdict(short), Verdict::Inconclusive);
    // A soak that was cut short has no causes.
    let mut cut = on_musl(leaving(0));
    cut.unload.causes.clear();
    assert!(codes(&judge(&cut, &Limits::default())).contains(&Code::PinnedLibcNeverUnloads));
}

#[test]
fn without_a_figure_of_the_heap_no_soak_passes() {
    let without_heap = |mut soak: Measured| {
        soak.checkpoints.columns.remove(2);
        soak.checkpoints.rows.iter_mut().for_each(|row| {
            row.remove(2);
        });
        soak
    };
    for soak in [without_heap(leaving(0)), on_musl(without_heap(leaving(0)))] {
        let judged = judge(&soak, &Limits::default());
        assert_eq!((judged.verdict, judged.gate.passed), (Verdict::Inconclusive, None));
        assert!(codes(&judged).contains(&Code::HeapNotMeasured), "{:?}", judged.findings);
        assert!(judged.growth.iter().all(|growth| growth.metric != Metric::Heap));
    }
}

#[test]
fn what_a_load_costs_is_no_leak_where_none_is_unloaded() {
    // Each cycle loads another copy: 24 KiB resident, four mappings, and what the constructor keeps.
    let copies = |kept: i64| {
        let mut soak = on_musl(leaving(kept));
        soak.asked.mode = Some(Mode::Copies);
        soak.checkpoints.columns.extend([Metric::Anon, Metric::Rss, Metric::Mappings].map(Column::Metric));
        for row in &mut soak.checkpoints.rows {
            row.extend([8 << 10, 24 << 10, 4].map(|each| row[0] * each));
        }
        soak
    };
    let judged = judge(&copies(0), &Limits::default());
    assert_eq!((judged.verdict, judged.gate.passed), (Verdict::Pinned, Some(true)), "{:?}", judged.findings);
    assert!(judged.leak.is_none());
    assert!(judged.growth.iter().any(|growth| growth.metric == Metric::Rss && growth.per_cycle > 20_000.0));
    let judged = judge(&copies(32), &Limits::default());
    assert_eq!((judged.verdict, judged.gate.passed), (Verdict::Leak, Some(false)));
    assert_eq!(judged.leak.map(|leak| (leak.metric, leak.bytes_per_cycle)), Some((Metric::Heap, 32.0)));
    // Where C libraries unload, a copy that stays is the library's.
    let mut on_glibc = pinned(copies(0));
    on_glibc.worker.libc = "glibc 2.36".to_owned();
    assert_eq!(judge(&on_glibc, &Limits::default()).verdict, Verdict::Leak);
    // And where the one path is opened again, nothing is loaded that could cost something.
    let mut reopened = copies(0);
    reopened.asked.mode = None;
    assert_eq!(judge(&reopened, &Limits::default()).verdict, Verdict::Leak);
}

#[test]
fn resident_memory_is_judged_by_the_pages_of_the_machine_it_was_measured_on() {
    // Flat memory: the least that a run can exclude is a page that has not come yet.
    let flat = |page_size: u64| {
        let mut soak = leaving(0);
        soak.checkpoints.columns.push(Column::Metric(Metric::Anon));
        soak.checkpoints.rows.iter_mut().for_each(|row| row.push(50 * 65_536));
        soak.worker.page_size = page_size;
        soak
    };
    let detectable = |soak: &Measured| {
        let judged = judge(soak, &Limits::default());
        let of = |metric| judged.growth.iter().find(|growth| growth.metric == metric).unwrap().high;
        (judged.verdict, of(Metric::Anon), of(Metric::Heap))
    };
    let (verdict, usual, heap) = detectable(&flat(4 << 10));
    assert_eq!(verdict, Verdict::Clean);
    assert_eq!(detectable(&flat(0)), (verdict, usual, heap));
    for (size, more) in [(16 << 10, 4.0), (64 << 10, 16.0)] {
        let (verdict, high, of_heap) = detectable(&flat(size));
        assert!((high / usual - more).abs() < 1e-9, "{high} {usual}");
        // What malloc counts has no pages.
        assert!((of_heap - heap).abs() < f64::EPSILON);
        assert_eq!(verdict, Verdict::Clean);
    }
    // 20,000 cycles exclude 16 B per cycle of either size, 2,000 cycles of the small one alone.
    let shorter = |mut soak: Measured| {
        soak.cycles.completed = 2_000;
        soak.checkpoints.rows.iter_mut().for_each(|row| row[0] /= 10);
        judge(&soak, &Limits::default()).verdict
    };
    let sizes = [4 << 10, 16 << 10, 64 << 10];
    let verdicts = sizes.map(|size| shorter(flat(size)));
    assert_eq!(verdicts, [Verdict::Clean, Verdict::Inconclusive, Verdict::Inconclusive]);
    // One page of either size in the whole run is no growth, and one in each interval is.
    for size in sizes {
        let (mut once, mut grows) = (flat(size), flat(size));
        for soak in [&mut once, &mut grows] {
            soak.checkpoints.rows.iter_mut().for_each(|row| row[4] = 50 * size as i64);
        }
        once.checkpoints.rows.iter_mut().filter(|row| row[0] > 500).for_each(|row| row[4] += size as i64);
        grows.checkpoints.rows.iter_mut().for_each(|row| row[4] += row[0] / 100 * size as i64);
        let [once, grows] = [once, grows].map(|soak| judge(&soak, &Limits::default()).verdict);
        assert_eq!((once, grows), (Verdict::Clean, Verdict::Leak), "{size}");
    }
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
fn a_soak_that_was_cut_short_is_never_clean() {
    let of = |edit: &dyn Fn(&mut Measured), limits: &Limits| {
        let mut soak = leaving(0);
        edit(&mut soak);
        let judged = judge(&soak, limits);
        let severity = judged.findings.iter().find(|finding| finding.code == Code::Interrupted);
        (judged.verdict, judged.gate.passed, severity.map(|finding| finding.severity))
    };
    let cut = |soak: &mut Measured| soak.outcome.kind = OutcomeKind::Interrupted;
    let before_a_pass = |soak: &mut Measured| soak.interrupted = true;
    let plain = Limits::default();
    assert_eq!(of(&|_| {}, &plain), (Verdict::Clean, Some(true), None));
    assert_eq!(of(&cut, &plain), (Verdict::Inconclusive, None, Some(Severity::Undecided)));
    assert_eq!(of(&before_a_pass, &plain), (Verdict::Inconclusive, None, Some(Severity::Undecided)));
    // What may stay passes only as a whole.
    let allowed = Limits { allow_pinned: "it may".parse().ok(), ..Limits::default() };
    let pinned = |soak: &mut Measured| soak.unload.state = UnloadState::Pinned;
    assert_eq!(of(&pinned, &allowed), (Verdict::Pinned, Some(true), None));
    let both = |soak: &mut Measured| {
        pinned(soak);
        cut(soak);
    };
    assert_eq!(of(&both, &allowed), (Verdict::Pinned, None, Some(Severity::Undecided)));
    assert_eq!(of(&both, &plain), (Verdict::Pinned, Some(false), Some(Severity::Note)));
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
