//! What must hold of `analysis` for any series whatever.

use dlsoak::analysis::schedule::Schedule;
use dlsoak::analysis::{judge, look};
use dlsoak::record::{Column, Growth, Limits, Measured, Metric, UnloadState};
use proptest::prelude::*;

use crate::reference;

/// A soak of one thread with a heap of these values, sampled as a schedule of that seed says.
fn soak_of(heap: &[i64], stretch: u64, seed: u64) -> Measured {
    let cycles = 4 * heap.len() as u64;
    let mut soak =
        reference::soak("any", 1, cycles * stretch, vec![Column::Cycle, Column::Metric(Metric::Heap)]);
    let at = Schedule::new(cycles, 3 * heap.len() as u32, seed).map(|cycle| (cycle * stretch) as i64);
    soak.checkpoints.rows = at.zip(heap).map(|(cycle, heap)| vec![cycle, *heap]).collect();
    soak
}

fn heap_growth(soak: &Measured) -> Growth {
    let growth = judge(soak, &Limits::default()).growth.swap_remove(0);
    assert_eq!(growth.metric, Metric::Heap);
    growth
}

/// Changes every value of the heap.
fn changed(soak: &Measured, change: impl Fn(i64, i64) -> i64) -> Measured {
    let mut soak = soak.clone();
    for row in &mut soak.checkpoints.rows {
        row[1] = change(row[0], row[1]);
    }
    soak
}

/// Equal up to rounding, for values of some millions.
fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * (1.0 + a.abs().max(b.abs()))
}

fn series() -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec(0_i64..10_000_000, 40..200)
}

proptest! {
    #[test]
    fn an_added_leak_adds_to_the_estimate_what_it_is(heap in series(), seed: u64, leak in 0_i64..5_000) {
        let soak = soak_of(&heap, 1, seed);
        let (before, after) = (heap_growth(&soak), heap_growth(&changed(&soak, |cycle, heap| heap + leak * cycle)));
        prop_assert!(after.per_cycle >= before.per_cycle - 1e-6);
        prop_assert!(close(after.per_cycle - before.per_cycle, leak as f64), "{before:?} {after:?}");
        prop_assert!(after.low >= before.low - 1e-6 && after.high >= before.high - 1e-6);
    }

    #[test]
    fn a_shift_changes_nothing(heap in series(), seed: u64, shift in -1_000_000_000_i64..1_000_000_000) {
        let soak = soak_of(&heap, 1, seed);
        let (before, after) = (heap_growth(&soak), heap_growth(&changed(&soak, |_, heap| heap + shift)));
        prop_assert!(close(before.per_cycle, after.per_cycle));
        prop_assert!(close(before.low, after.low) && close(before.high, after.high));
    }

    #[test]
    fn larger_values_and_longer_cycles_scale_the_estimate(heap in series(), seed: u64, factor in 2_i64..100) {
        let soak = soak_of(&heap, 1, seed);
        let growth = heap_growth(&soak);
        let larger = heap_growth(&changed(&soak, |_, heap| heap * factor));
        prop_assert!(close(larger.per_cycle, growth.per_cycle * factor as f64));
        let slower = heap_growth(&soak_of(&heap, factor as u64, seed));
        prop_assert!(close(slower.per_cycle * factor as f64, growth.per_cycle));
    }

    #[test]
    fn a_steady_leak_stays_exact_however_it_is_thinned(leak in -5_000_i64..5_000, keep in 40_usize..200, seed: u64) {
        let soak = changed(&soak_of(&vec![0; keep], 7, seed), |cycle, _| 250_000 + leak * cycle);
        let growth = heap_growth(&soak);
        prop_assert!(growth.exact, "{growth:?}");
        prop_assert!(close(growth.per_cycle, leak as f64), "{growth:?}");
    }

    #[test]
    fn nothing_panics(
        columns in prop::collection::vec(
            prop::sample::select(vec![
                Column::Cycle, Column::Loads, Column::Metric(Metric::Heap), Column::Metric(Metric::Rss), Column::Metric(Metric::Virtual), Column::Metric(Metric::Threads), Column::Metric(Metric::Fds)]), 0..6),
        rows in prop::collection::vec(prop::collection::vec(prop_oneof![
            any::<i64>(), 0_i64..1000, Just(i64::MAX), Just(i64::MIN)], 0..7), 0..60),
        numbers in prop::array::uniform4(prop_oneof![
            any::<f64>(), Just(f64::NAN), Just(f64::INFINITY), Just(0.0), 0.0..2.0]),
        threads: u32, completed: u64, objects in 0_u64..4, index: u32, share_path: bool, sorted: bool,
        limit in prop::sample::select(vec!["0B/s", "0.03MB/s", "16B/cycle", "999999GiB/cycle"]),
    ) {
        let mut soak = reference::soak("any", threads, completed, columns);
        let mut rows = rows;
        if sorted {
            rows.sort();
        }
        soak.checkpoints.rows = rows;
        soak.share_path = share_path;
        soak.seconds = numbers[0];
        soak.unload.loads_per_cycle = numbers[1];
        soak.unload.objects_per_load = objects;
        for state in [UnloadState::Unloaded, UnloadState::Partial, UnloadState::Pinned] {
            soak.unload.state = state;
            let policy = Limits { max_leak_rate: limit.parse().ok(), ..Limits::default() };
            judge(&soak, &policy);
            judge(&soak, &Limits::default());
            look(&soak, &policy, index);
        }
    }
}

/// Ascending cycles, `count` of them, with a heap that leaks 32 bytes in each.
fn many(count: i64) -> Measured {
    let columns = vec![Column::Cycle, Column::Metric(Metric::Heap)];
    let mut soak = reference::soak("many", 1, count as u64, columns);
    soak.checkpoints.rows = (0..count).map(|cycle| vec![cycle, 250_000 + 32 * cycle]).collect();
    soak
}

#[test]
fn a_checkpoint_at_every_cycle_is_no_trouble() {
    assert_eq!(heap_growth(&many(200_000)).per_cycle, 32.0);
}

#[test]
#[ignore = "takes half a gigabyte"]
fn ten_million_checkpoints_are_no_trouble() {
    assert_eq!(heap_growth(&many(10_000_000)).per_cycle, 32.0);
}

#[test]
fn too_little_to_judge_is_not_judged() {
    for rows in
        [vec![], vec![vec![0, 5]], vec![vec![0, 5], vec![100, 5]], vec![vec![3, 1], vec![3, 2], vec![3, 3]]]
    {
        let mut soak = reference::soak("few", 1, 100, vec![Column::Cycle, Column::Metric(Metric::Heap)]);
        soak.checkpoints.rows = rows;
        let judgement = judge(&soak, &Limits::default());
        assert_eq!(judgement.gate.passed, None, "{judgement:?}");
        // JSON has no infinities: what is not known must still be a number.
        assert!(
            judgement
                .growth
                .iter()
                .all(|g| g.low.is_finite() && g.high.is_finite() && g.detectable.is_finite())
        );
    }
}
