//! The passes that decide what growth alone leaves open: whether blocks of old cycles survive (`cohorts`), and how memory grows where the
//! collector runs often (`collected`).

use dlsoak::record::{Code, Facts, Finding, Metric, Pass, Soak, Trend, Verdict};

use crate::support::{Finished, dlsoak, finished, fixture, has, run, soak};

fn finding(soak: &Soak, code: Code) -> &Finding {
    soak.judged.findings.iter().find(|finding| finding.code == code).unwrap()
}

fn passes(finished: &Finished) -> Vec<Pass> {
    finished.soak().passes.iter().map(|made| made.pass).collect()
}

#[test]
fn a_leak_that_noise_hides_is_found_by_what_survives() {
    let leaks = soak(&fixture("c-churn-leak"), &["-n", "4000", "--allow-pinned"]);
    let found = leaks.soak();
    assert_eq!(found.judged.verdict, Verdict::Leak, "{}", leaks.stdout);
    let leak = found.judged.leak.as_ref().unwrap();
    assert!(leak.metric == Metric::Heap && (32.0..36.0).contains(&leak.bytes_per_cycle), "{leak:?}");
    let Facts::Survivors(survivors) = &finding(found, Code::Survivors).facts else { panic!() };
    // One block of each call in half of the calls.
    assert!(
        survivors.leak && survivors.blocks >= 2000 && survivors.to - survivors.from == 2000,
        "{survivors:?}"
    );
    let place = finding(found, Code::Leaker).place.as_ref().unwrap();
    assert!(place.file.as_deref().is_some_and(|file| file.ends_with("churn.c")), "{place:?}");
}

#[test]
fn noise_without_a_leak_is_no_growth() {
    let noise = soak(&fixture("c-churn"), &["-n", "4000", "--allow-pinned"]);
    let found = noise.soak();
    assert!(passes(&noise).contains(&Pass::Cohorts) && found.judged.leak.is_none(), "{}", noise.stdout);
    let heap = found.judged.growth.iter().find(|growth| growth.metric == Metric::Heap).unwrap();
    assert!(heap.trend == Trend::Flat && heap.high < 16.0, "{heap:?}");
    let Facts::Survivors(survivors) = &finding(found, Code::Survivors).facts else { panic!() };
    assert!(!survivors.leak, "{survivors:?}");
    // What is decided needs no notes.
    let exact = soak(&fixture("c-clean"), &["-n", "2000"]);
    assert!(
        !passes(&exact).contains(&Pass::Cohorts) && !has(exact.soak(), Code::Survivors),
        "{}",
        exact.stdout
    );
}

#[test]
fn a_leak_that_begins_half_way_is_not_clean() {
    let late = soak(&fixture("c-leak-late"), &["-n", "100k"]);
    let found = late.soak();
    assert!(passes(&late).contains(&Pass::Cohorts), "{}", late.stdout);
    assert_eq!(found.judged.verdict, Verdict::Inconclusive, "{}", late.stdout);
    assert!(has(found, Code::GrowthLate), "{}", late.stdout);
}

#[test]
fn garbage_is_no_leak_and_a_map_that_grows_is_one() {
    let at = |name: &str, call: &str, cycles: &str| {
        run(&[fixture(name).to_str().unwrap(), "-n", cycles, "--allow-pinned", "-c", call])
    };
    // The map was called a leak at 50,000 cycles once.
    for (name, call, cycles) in [
        ("go-map-erase", "MapErase(1000)", "50k"),
        ("go-garbage", "Garbage(1000)", "20k"),
        ("go-pool", "Pool(100)", "20k"),
    ] {
        let garbage = at(name, call, cycles);
        assert!(garbage.soak().judged.leak.is_none(), "{name}: {}", garbage.stdout);
    }
    let grows = at("go-slices", "Slices(1000)", "40k");
    let found = grows.soak();
    assert_eq!(found.judged.verdict, Verdict::Leak, "{}", grows.stdout);
    let Facts::Collected(collected) = &finding(found, Code::Collected).facts else { panic!() };
    assert!(collected.with.trend == Trend::Growing && collected.with.per_cycle > 500.0, "{collected:?}");
    // Its collector says the same: 1,000 B of each of 40,000 calls are alive, half of them half-way.
    let ran = collected.collections.unwrap();
    assert!(ran.measured > 0 && ran.live_after > 32 << 20, "{ran:?}");
    assert!(ran.live_halfway > 16 << 20 && ran.live_halfway < ran.live_after, "{ran:?}");
    // What a driver calls is called in the pass, too.
    let driver = format!("{}:slices_it", fixture("c-driver").display());
    let driven =
        run(&[fixture("go-slices").to_str().unwrap(), "-n", "20k", "--allow-pinned", "--exercise", &driver]);
    assert_eq!(driven.soak().judged.verdict, Verdict::Leak, "{}", driven.stdout);
    let Facts::Collected(collected) = &finding(driven.soak(), Code::Collected).facts else { panic!() };
    assert!(collected.with.per_cycle > 500.0, "{collected:?}");
}

#[test]
fn go_s_collector_tells_of_its_heap_and_not_in_the_output() {
    let soaked = |args: &[&str]| {
        let out = tempfile::tempdir().unwrap();
        let mut command = dlsoak();
        command.env("GODEBUG", "madvdontneed=1").arg("run").arg(fixture("go-map-erase"));
        command
            .args(["-n", "20k", "--allow-pinned", "-c", "MapErase(1000)", "-o"])
            .arg(out.path())
            .args(args);
        finished(&command.output().unwrap(), &out)
    };
    let one = soaked(&[]);
    let collected = one.soak().collected.as_ref().unwrap_or_else(|| panic!("{}", one.stdout));
    assert_eq!(collected.env["GODEBUG"], "madvdontneed=1,gctrace=1");
    // A map of 1,000 entries is less than a MiB.
    let ran = collected.collections.unwrap();
    assert!(ran.gogc == 10 && ran.measured > 0 && ran.total >= ran.measured, "{ran:?}");
    assert!(ran.live_halfway <= 1 << 20 && ran.live_after <= 1 << 20, "{ran:?}");
    assert_eq!(collected.worker.output_tail, "");
    assert!(one.soak().collections.is_none() && one.soak().env.is_empty());
    // Two copies have a runtime each, and a line does not say whose it is.
    let two = soaked(&["-t", "2"]);
    let collected = two.soak().collected.as_ref().unwrap_or_else(|| panic!("{}", two.stdout));
    assert!(collected.collections.is_none() && !collected.env.contains_key("GODEBUG"));
}

#[test]
fn what_malloc_holds_free_is_told_and_never_judged() {
    let args = ["-n", "4000", "--allow-pinned"];
    let held = soak(&fixture("c-free-held"), &args);
    assert_eq!((held.code, held.soak().judged.verdict), (0, Verdict::Pinned), "{}", held.stdout);
    let Facts::MallocHoldsFree(free) = finding(held.soak(), Code::MallocHoldsFree).facts else { panic!() };
    assert!(free.end > 1_000_000 && free.halfway > 600_000 && free.least_before < 200_000, "{free:?}");
    assert!(held.soak().judged.leak.is_none(), "{:?}", held.soak().judged.growth);
    let returned = soak(&fixture("c-free-returned"), &args);
    assert_eq!((returned.code, returned.soak().judged.verdict), (0, Verdict::Pinned), "{}", returned.stdout);
    assert!(!has(returned.soak(), Code::MallocHoldsFree), "{:?}", returned.soak().judged.findings);
}

#[test]
fn a_gogc_that_is_inherited_is_in_the_record_and_counts() {
    let soaked = |name: &str, args: &[&str]| {
        let out = tempfile::tempdir().unwrap();
        let mut command = dlsoak();
        command.env("GOGC", "10").arg("run").arg(fixture(name)).args(args).arg("-o").arg(out.path());
        finished(&command.output().unwrap(), &out)
    };
    let garbage = ["-n", "20k", "--allow-pinned", "-c", "Garbage(1000)"];
    let inherited = soaked("go-garbage", &garbage);
    assert_eq!(inherited.soak().env["GOGC"], "10");
    assert!(!passes(&inherited).contains(&Pass::Collected), "{}", inherited.stdout);
    // What the soak sets comes first, and a library without a collector has no use for it.
    let set = soaked("go-garbage", &[&garbage[..], &["--env", "GOGC=400"]].concat());
    assert_eq!(set.soak().env["GOGC"], "400");
    assert!(soaked("c-clean", &["-n", "500"]).soak().env.is_empty());
}
