//! Holds `analysis` against recorded series of known truth, and against leaks that are rare, early or hidden.

use dlsoak::analysis::schedule::{DEFAULT_CHECKPOINTS, FIRST_LOOK, Schedule};
use dlsoak::analysis::{Look, judge, look};
use dlsoak::record::{
    Code, Column, Facts, Judged, Limits, Measured, Metric, OpenGrowth, UnloadState, Verdict,
};

use crate::reference::{self, Recorded, Truth};

const SERIES: &str = include_str!("../data/series.txt");
const CONTAINERS: &str = include_str!("../data/containers.txt");

fn policy(limit: &str) -> Limits {
    Limits { max_leak_rate: limit.parse().ok(), ..Limits::default() }
}

/// Verdicts on the recorded series that `which` selects, with a name for each.
fn verdicts<'a>(
    series: &'a [Recorded],
    policy: &Limits,
    which: impl Fn(&Recorded) -> bool,
) -> Vec<(Verdict, &'a Recorded)> {
    series.iter().filter(|r| which(r)).map(|r| (judge(&r.soak, policy).verdict, r)).collect()
}

/// Asserts that at least `share` of the verdicts are as wanted.
fn at_least(share: f64, verdicts: &[(Verdict, &Recorded)], wanted: impl Fn(Verdict) -> bool) {
    let others: Vec<String> = verdicts
        .iter()
        .filter(|(verdict, _)| !wanted(*verdict))
        .map(|(verdict, r)| format!("{} {} {} {}: {verdict:?}", r.case, r.threads, r.cycles, r.run))
        .collect();
    let allowed = (1.0 - share) * verdicts.len() as f64;
    assert!(!verdicts.is_empty());
    assert!(others.len() as f64 <= allowed, "{} of {}: {others:#?}", others.len(), verdicts.len());
}

#[test]
fn the_reference_series_are_judged_as_the_documents_say() {
    let series = reference::unpack(SERIES);
    assert_eq!(series.len(), 664);
    for policy in [Limits::default(), policy("1.4B/cycle")] {
        let of = |truth: Truth| move |r: &Recorded| r.truth() == truth;
        // A real library's run may be shorter: it takes longer to load.
        let long = |r: &Recorded| r.cycles == 100_000;
        let no_leak = verdicts(&series, &policy, of(Truth::None));
        at_least(1.0, &no_leak, |verdict| verdict != Verdict::Leak);
        let doubling = verdicts(&series, &policy, of(Truth::Doubling));
        at_least(1.0, &doubling, |verdict| verdict != Verdict::Leak);
        let leaks = verdicts(&series, &policy, of(Truth::Leak));
        at_least(1.0, &leaks, |verdict| verdict == Verdict::Leak);
        let disturbed = verdicts(&series, &policy, |r| r.truth() == Truth::Disturbed && long(r));
        at_least(0.95, &disturbed, |verdict| verdict == Verdict::Leak);
        let never_clean =
            verdicts(&series, &policy, |r| matches!(r.truth(), Truth::Late | Truth::Disturbed | Truth::Leak));
        at_least(1.0, &never_clean, |verdict| verdict != Verdict::Clean);
        let quiet = |r: &Recorded| {
            long(r)
                && r.truth() == Truth::None
                && ["clean", "tls", "real_"].iter().any(|c| r.case.starts_with(c))
        };
        at_least(0.9, &verdicts(&series, &policy, quiet), |verdict| verdict == Verdict::Clean);
        let fds = verdicts(&series, &policy, |r| r.case == "fd100" && r.cycles > 1_000);
        at_least(1.0, &fds, |verdict| verdict == Verdict::Leak);
    }
}

#[test]
fn containers_caches_and_collected_heaps_are_judged_as_the_documents_say() {
    let series = reference::unpack(CONTAINERS);
    let lengths: Vec<u64> = series.iter().take(4).map(|r| r.cycles).collect();
    assert_eq!((series.len(), lengths), (560, vec![50_000, 100_000, 200_000, 400_000]));
    for policy in [Limits::default(), policy("1.4B/cycle")] {
        let of = |truth: Truth| move |r: &Recorded| r.truth() == truth;
        for truth in [Truth::None, Truth::Slow] {
            at_least(1.0, &verdicts(&series, &policy, of(truth)), |verdict| verdict != Verdict::Leak);
        }
        let containers = |cycles: u64| move |r: &Recorded| of(Truth::Container)(r) && r.cycles == cycles;
        at_least(0.8, &verdicts(&series, &policy, containers(100_000)), |verdict| verdict == Verdict::Leak);
        at_least(0.9, &verdicts(&series, &policy, containers(400_000)), |verdict| verdict == Verdict::Leak);
        at_least(1.0, &verdicts(&series, &policy, of(Truth::Container)), |verdict| verdict != Verdict::Clean);
        let rare = |r: &Recorded| r.case.starts_with("rare_c") && r.case.ends_with("_4000");
        let found = if policy == Limits::default() { 0.9 } else { 0.85 };
        at_least(found, &verdicts(&series, &policy, rare), |verdict| verdict == Verdict::Leak);
    }
    let long = |r: &Recorded| r.truth() == Truth::None && r.cycles == 400_000 && !r.case.contains("_go_");
    let long = verdicts(&series, &Limits::default(), long);
    at_least(0.9, &long, |verdict| verdict == Verdict::Clean);
}

#[test]
fn leak_free_runs_that_are_long_enough_are_rarely_undecided() {
    let series = reference::unpack(SERIES);
    let long = |r: &Recorded| r.truth() == Truth::None && r.cycles == 100_000;
    let clean = |verdict| verdict == Verdict::Clean;
    at_least(0.97, &verdicts(&series, &Limits::default(), long), clean);
    at_least(0.75, &verdicts(&series, &policy("1.4B/cycle"), long), clean);
}

#[test]
fn what_an_undecided_soak_promises_decides_it() {
    let (mut undecided, mut promised, mut in_reach, mut broken) = (0, 0, 0, Vec::new());
    for (whole, lengths) in reference::unpack_whole(CONTAINERS) {
        // Growth that fades for ever has no such number, and a pass of its own judges what Go's collector frees.
        if lengths.len() < 2 || whole.truth() == Truth::Slow || whole.case.contains("_go_") {
            continue;
        }
        for limits in [Limits::default(), policy("1.4B/cycle")] {
            for length in &lengths[..lengths.len() - 1] {
                let judgement = judge(&whole.until(*length).soak, &limits);
                if judgement.verdict != Verdict::Inconclusive {
                    continue;
                }
                undecided += 1;
                let Some(then) = promise(&judgement) else { continue };
                promised += 1;
                if then > whole.cycles {
                    continue;
                }
                in_reach += 1;
                if judge(&whole.until(then).soak, &limits).verdict == Verdict::Inconclusive {
                    broken.push((whole.case.clone(), *length, then));
                }
            }
        }
    }
    assert!(in_reach >= 15 && 10 * broken.len() <= in_reach, "of {in_reach}: {broken:?}");
    assert!(10 * promised >= 3 * undecided, "{promised} of {undecided}");
}

/// The cycles that decide everything that is open.
fn promise(judgement: &Judged) -> Option<u64> {
    let open = judgement.findings.iter().filter_map(|finding| match &finding.facts {
        Facts::Unsettled(open) => Some(open.cycles_needed),
        _ => None,
    });
    open.collect::<Option<Vec<u64>>>()?.into_iter().max()
}

/// The soaks of `series.txt` that no leak was added to, with this many bytes more in each cycle.
fn with_leak(bytes: f64) -> Vec<Measured> {
    let no_leak = reference::unpack(SERIES).into_iter().filter(|r| r.truth() == Truth::None);
    no_leak
        .map(|mut recorded| {
            for metric in [Metric::Heap, Metric::Rss, Metric::Anon] {
                let column = recorded.soak.checkpoints.position(metric).unwrap();
                for row in &mut recorded.soak.checkpoints.rows {
                    row[column] += (row[0] as f64 * bytes) as i64;
                }
            }
            recorded.soak
        })
        .collect()
}

#[test]
fn what_leaks_a_little_more_than_the_limit_is_not_clean() {
    let soaks = with_leak(2.0);
    assert!(soaks.len() > 150);
    for soak in soaks {
        assert_ne!(judge(&soak, &policy("1.4B/cycle")).verdict, Verdict::Clean, "{}", soak.name);
    }
}

#[test]
fn what_a_look_decides_the_end_decides_too() {
    for recorded in reference::unpack(SERIES).iter().filter(|r| r.run == 0) {
        for policy in [Limits::default(), policy("1.4B/cycle")] {
            let verdict = judge(&recorded.soak, &policy).verdict;
            for index in 0..6 {
                match look(&recorded.soak, &policy, index) {
                    Look::Clean => assert_eq!(verdict, Verdict::Clean, "{}", recorded.case),
                    Look::Leak => assert_eq!(verdict, Verdict::Leak, "{}", recorded.case),
                    Look::LeakOrCache | Look::GoOn => {}
                }
            }
        }
    }
}

#[test]
fn the_leak_is_stated_in_the_metric_that_tells_its_kind() {
    for recorded in reference::unpack(SERIES).iter().filter(|r| r.cycles == 100_000 && r.threads == 1) {
        let (metric, rate) = match recorded.case.as_str() {
            "leak1" | "leak16" => (Metric::Heap, 32.0),
            "leak64" => (Metric::Heap, 80.0),
            "leak256" => (Metric::Heap, 272.0),
            "leak4096" => (Metric::Heap, 4112.0),
            "mmap_touch" => (Metric::Anon, 4096.0),
            "mmap_untouched" => (Metric::Virtual, 4096.0),
            _ => continue,
        };
        let judgement = judge(&recorded.soak, &Limits::default());
        let leak = judgement.leak.unwrap();
        assert_eq!(leak.metric, metric, "{}", recorded.case);
        assert!((leak.bytes_per_cycle / rate - 1.0).abs() < 0.01, "{}: {leak:?}", recorded.case);
        assert_eq!(judgement.gate.passed, Some(false));
    }
}

/// Random numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn one_in(&mut self, n: u64) -> bool {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33).is_multiple_of(n)
    }
}

/// A soak in which `leaves` says what each cycle leaves in the heap (bytes) and open (descriptors). Resident memory
/// follows the heap page by page.
fn soak_of(cycles: u64, mut leaves: impl FnMut(u64) -> (i64, i64)) -> Measured {
    let columns = ["cycle", "heap", "rss", "anon", "virtual", "threads", "fds", "mappings"];
    let mut soak = reference::soak(
        "synthetic",
        1,
        cycles,
        columns.iter().filter_map(|name| Column::from_name(name)).collect(),
    );
    let (mut heap, mut fds, mut done) = (250_000, 7, 0);
    for cycle in Schedule::new(cycles, DEFAULT_CHECKPOINTS, cycles) {
        while done < cycle {
            let (bytes, opened) = leaves(done);
            (heap, fds, done) = (heap + bytes, fds + opened, done + 1);
        }
        let resident = heap / 4096 * 4096;
        let row = vec![cycle as i64, heap, resident + 1_000_000, resident, 80_000_000, 1, fds, 30];
        soak.checkpoints.rows.push(row);
    }
    soak
}

#[test]
fn leaks_that_are_rare_are_found() {
    for seed in 0..20 {
        let mut random = Random(seed);
        let soak = soak_of(10_000, |_| (if random.one_in(4) { 32 } else { 0 }, 0));
        let judgement = judge(&soak, &Limits::default());
        assert_eq!(
            judgement.verdict,
            Verdict::Leak,
            "a chunk in every fourth cycle, at random: {:?}",
            judgement.findings
        );
        let leak = judgement.leak.unwrap();
        assert!(leak.low < 8.0 && 8.0 < leak.high, "{leak:?}");
    }
    let soak = soak_of(100_000, |cycle| (if cycle % 1000 == 999 { 4016 } else { 0 }, 0));
    assert_eq!(judge(&soak, &Limits::default()).verdict, Verdict::Leak);
    let soak = soak_of(2_000, |cycle| (0, i64::from(cycle % 10 == 9)));
    let judgement = judge(&soak, &Limits::default());
    assert_eq!(judgement.verdict, Verdict::Leak);
    assert!(judgement.leak.is_none(), "descriptors are not memory");
    assert_eq!(judgement.findings[0].code, Code::LeakFds);
    assert!((judgement.growth.last().map_or(0.0, |growth| growth.per_cycle) - 0.1).abs() < 0.001);
}

/// What the looks decide, and after how many cycles; [`Look::GoOn`] where 131,072 cycles do not.
fn until_decided(state: UnloadState, mut leaves: impl FnMut(u64) -> (i64, i64)) -> (Look, u64) {
    let mut cycles = FIRST_LOOK;
    let mut left: Vec<(i64, i64)> = Vec::new();
    for index in 0..11 {
        left.extend((left.len() as u64..cycles).map(&mut leaves));
        let mut soak = soak_of(cycles, |cycle| left[cycle as usize]);
        soak.unload.state = state;
        let look = look(&soak, &Limits::default(), index);
        if matches!(look, Look::Clean | Look::Leak) {
            return (look, cycles);
        }
        cycles *= 2;
    }
    (Look::GoOn, cycles)
}

#[test]
fn until_decided_stops_early_and_only_where_that_is_honest() {
    assert_eq!(until_decided(UnloadState::Unloaded, |_| (32, 0)), (Look::Leak, 1_024));
    assert_eq!(until_decided(UnloadState::Unloaded, |_| (784, 0)), (Look::Leak, 256));
    assert_eq!(until_decided(UnloadState::Unloaded, |_| (0, 1)), (Look::Leak, 256));
    // Whatever its phase, a sawtooth of 133 cycles that survives the unload comes back within two octaves of an early look.
    for phase in 0..133 {
        let saw = |cycle| (if (cycle + phase) % 133 == 0 { -132 * 2_048 } else { 2_048 }, 0);
        assert_eq!(until_decided(UnloadState::Unloaded, saw).0, Look::Clean, "{phase}");
    }
    assert_eq!(until_decided(UnloadState::Unloaded, |_| (0, 0)), (Look::Clean, 1_024));
    // A library that settles: something is kept in one of the first cycles.
    let (look, cycles) = until_decided(UnloadState::Unloaded, |cycle| (if cycle < 40 { 112 } else { 0 }, 0));
    assert_eq!(look, Look::Clean);
    assert!(cycles < 3_000, "{cycles}");
    for entries in [5_000, 30_000] {
        let cache = |cycle| (if cycle < entries { 48 } else { 0 }, 0);
        for state in [UnloadState::Partial, UnloadState::Pinned] {
            assert_ne!(until_decided(state, cache).0, Look::Leak, "a cache that a dependency keeps");
        }
    }
}

#[test]
fn a_large_leak_at_random_long_intervals_is_rarely_passed() {
    // 4 B/cycle in 100 events, whose number in an octave is as random as that of raindrops: it grows plainly, and
    // whether it fades is hard to say. Undecided is honest there, clean is not.
    let verdicts: Vec<Verdict> = (0..60)
        .map(|seed| {
            let mut random = Random(seed * 7 + 1);
            let soak = soak_of(100_000, |_| (if random.one_in(1000) { 4016 } else { 0 }, 0));
            judge(&soak, &Limits::default()).verdict
        })
        .collect();
    let count = |wanted: Verdict| verdicts.iter().filter(|verdict| **verdict == wanted).count();
    assert!(count(Verdict::Leak) >= 54, "{verdicts:?}");
    assert_eq!(count(Verdict::Clean), 0, "{verdicts:?}");
}

#[test]
fn large_blocks_that_are_rarer_still_are_not_passed() {
    // 2 B/cycle. In 1 of 150 runs of 10,000 cycles none comes, and in 1 of 150 runs of 20,000 none comes in the second half.
    for cycles in [10_000, 20_000] {
        for seed in 0..300 {
            let mut random = Random(seed * 7 + 1);
            let soak = soak_of(cycles, |_| (if random.one_in(2008) { 4016 } else { 0 }, 0));
            let verdict = judge(&soak, &policy("1.4B/cycle")).verdict;
            assert_ne!(verdict, Verdict::Clean, "{cycles} {seed}");
        }
    }
    // Nothing at all is clean once such blocks would have come.
    let verdict = |cycles| judge(&soak_of(cycles, |_| (0, 0)), &policy("1.4B/cycle")).verdict;
    assert_eq!((verdict(10_000), verdict(20_000)), (Verdict::Inconclusive, Verdict::Clean));
}

#[test]
fn a_soak_too_short_for_what_is_flat_says_how_many_cycles_do() {
    for limits in [Limits::default(), policy("1.4B/cycle"), policy("0.1B/cycle")] {
        let mut undecided = 0;
        for cycles in [64, 100, 200, 300, 500, 600, 700, 1_000, 5_000, 20_000, 100_000] {
            let judgement = judge(&soak_of(cycles, |_| (0, 0)), &limits);
            let Facts::Unsettled(open) = &judgement.findings[0].facts else { continue };
            undecided += 1;
            let below = open.clean_below;
            assert!(open.growth.high >= below, "{cycles}: below {below} is clean: {open:?}");
            let then = open.cycles_needed.unwrap_or_else(|| panic!("{cycles}: {open:?}"));
            assert_eq!(
                judge(&soak_of(then, |_| (0, 0)), &limits).verdict,
                Verdict::Clean,
                "{cycles}: {then}"
            );
        }
        assert!(undecided > 3, "{undecided}");
    }
}

#[test]
fn large_blocks_that_become_rarer_are_no_leak() {
    // About 600 blocks in 100,000 cycles and 500 before, at random, as a square root and a logarithm.
    let rates: [fn(f64) -> f64; 2] = [|at| 300.0 / (at * 100_500.0).sqrt(), |at| 113.0 / at];
    for rate in rates {
        let leaks = (0..60).filter(|seed| {
            let mut random = Random(seed * 7 + 1);
            let soak = soak_of(100_000, |cycle| {
                let one_in = 1.0 / rate(cycle as f64 + 500.0);
                (if random.one_in(one_in.max(1.0) as u64) { 4016 } else { 0 }, 0)
            });
            judge(&soak, &Limits::default()).verdict == Verdict::Leak
        });
        assert!(leaks.count() <= 2);
    }
}

/// A container of 8-byte entries, one for each cycle, whose capacity grows by half or doubles; the warm-up made 500 of them.
fn container(cycles: u64, grow: fn(i64) -> i64) -> Measured {
    let mut capacity = 4_i64;
    soak_of(cycles, |cycle| {
        let before = capacity;
        while cycle as i64 + 500 > capacity {
            capacity = grow(capacity);
        }
        (if cycle == 0 { 0 } else { 32 * (capacity - before) }, 0)
    })
}

#[test]
fn a_container_is_a_leak_or_doubles_at_a_cycle_that_is_promised() {
    for grow in [|capacity| 2 * capacity, |capacity| capacity * 3 / 2] {
        // After 127,000 cycles the last jump lies where two octaves meet.
        for cycles in [20_000, 50_000, 66_000, 77_000, 100_000, 120_000, 127_000] {
            let judgement = judge(&container(cycles, grow), &Limits::default());
            let then = match &judgement.findings[0].facts {
                Facts::Unsettled(open) => open.cycles_needed.unwrap_or_else(|| panic!("{cycles} {open:?}")),
                _ => cycles,
            };
            let judgement = judge(&container(then, grow), &Limits::default());
            assert_eq!(judgement.verdict, Verdict::Leak, "{cycles}, then {then}: {:?}", judgement.findings);
        }
    }
}

#[test]
fn a_collected_heap_is_no_leak_before_its_collector_must_have_run() {
    for (cycles, gogc, expected) in [
        (50_000, None, Verdict::Inconclusive),
        (50_000, Some("10"), Verdict::Leak),
        (200_000, None, Verdict::Leak),
        // As Go reads it: off, or no number.
        (200_000, Some("off"), Verdict::Inconclusive),
        (200_000, Some("-1"), Verdict::Inconclusive),
        (50_000, Some("1e1"), Verdict::Inconclusive),
    ] {
        // 200 B in each cycle.
        let mut soak = soak_of(cycles, |_| (200, 0));
        soak.checkpoints.columns[1] = Column::Metric(Metric::Pss);
        soak.language = dlsoak::record::Language::Go;
        soak.env.extend(gogc.map(|percent| ("GOGC".to_owned(), percent.to_owned())));
        let heap = soak.checkpoints.columns.len() as i64;
        soak.checkpoints.columns.push(Column::Metric(Metric::Heap));
        soak.checkpoints.rows.iter_mut().for_each(|row| row.push(heap));
        let judgement = judge(&soak, &Limits::default());
        assert_eq!(judgement.verdict, expected, "{cycles} {gogc:?}: {:?}", judgement.findings);
        if let Facts::Unsettled(open) = &judgement.findings[0].facts {
            let needed = (cycles == 50_000).then_some(81_000);
            assert_eq!((open.why, open.cycles_needed), (OpenGrowth::Collected, needed));
        }
    }
}

#[test]
fn growth_that_slows_down_is_no_leak() {
    type Shape = fn(f64) -> f64;
    let shapes: [(&str, Shape); 6] = [
        ("logarithm", |x| 3e5 * (1.0 + x / 1000.0).ln()),
        ("square root", |x| 3e3 * x.sqrt()),
        ("power 0.6", |x| 1e3 * x.powf(0.6)),
        ("63 % full", |x| 1e6 * (1.0 - (-x / 100_000.0).exp())),
        ("86 % full", |x| 1e6 * (1.0 - (-x / 50_000.0).exp())),
        ("98 % full", |x| 1e6 * (1.0 - (-x / 25_000.0).exp())),
    ];
    for (name, shape) in shapes {
        let soak =
            soak_of(100_000, |cycle| ((shape(cycle as f64 + 1.0) - shape(cycle as f64)).round() as i64, 0));
        let judgement = judge(&soak, &Limits::default());
        assert_ne!(judgement.verdict, Verdict::Leak, "{name}: {:?}", judgement.findings);
    }
    let soak = soak_of(100_000, |cycle| {
        ((3e3 * ((cycle as f64 + 1.0).sqrt() - (cycle as f64).sqrt())).ceil() as i64, 0)
    });
    let findings = judge(&soak, &policy("0.5B/cycle")).findings;
    let Facts::Unsettled(open) = &findings[0].facts else { panic!("{findings:?}") };
    assert_eq!((open.why, open.growth.metric, open.rates.len()), (OpenGrowth::Fading, Metric::Heap, 3));
    assert_eq!(open.cycles_needed, None, "it never ends");
}

#[test]
fn a_hash_map_that_grows_is_a_leak_though_its_table_doubles() {
    for cycles in [20_000, 50_000, 100_000] {
        let soak = soak_of(cycles, |cycle| {
            let doubled = (cycle + 1).is_power_of_two();
            (48 + if doubled { 8 * (cycle as i64 + 1) } else { 0 }, 0)
        });
        let judgement = judge(&soak, &Limits::default());
        assert_eq!(judgement.verdict, Verdict::Leak, "{cycles}: {:?}", judgement.findings);
        assert!(judgement.leak.unwrap().low > 20.0);
    }
}

#[test]
fn a_leak_just_above_what_is_said_to_be_detectable_is_found() {
    for cycles in [2_000, 10_000, 100_000] {
        let clean = judge(&soak_of(cycles, |_| (0, 0)), &Limits::default());
        let heap = clean.growth.iter().find(|growth| growth.metric == Metric::Heap).unwrap();
        let every = (32.0 / (heap.detectable * 1.1)).floor().max(1.0) as u64;
        let soak = soak_of(cycles, |cycle| (if cycle % every == 0 { 32 } else { 0 }, 0));
        assert_eq!(
            judge(&soak, &Limits::default()).verdict,
            Verdict::Leak,
            "{} B in {cycles}",
            heap.detectable
        );
    }
}
