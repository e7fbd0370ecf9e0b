//! What runs out in the middle of a soak is told with the cycle, growth is judged by the cycles before, and a twin that only uses much
//! of it is let alone.

use dlsoak::record::{Code, Exhausted, Facts, Metric, OutcomeKind, Resource, Soak, Verdict};

use crate::support::{Finished, dlsoak, finished, fixture, growth, lack, soak};

/// What ran out first.
fn first(soak: &Soak) -> Exhausted {
    *soak.judged.exhausted.first().unwrap_or_else(|| panic!("{:?} {:?}", soak.outcome, soak.allowances))
}

/// A limit of this machine; `None` where it is so high that it takes too long to reach it.
fn limit(path: &str, most: u64) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let limit = text.trim().parse().ok().filter(|limit| *limit <= most);
    if limit.is_none() {
        lack("a resource that runs out", &format!("{path} is {}", text.trim()));
    }
    limit
}

/// Soaks a fixture in a shell that allows so many descriptors.
fn with_descriptors(allowed: u64, name: &str, cycles: &str) -> Finished {
    let out = tempfile::tempdir().unwrap();
    let command = dlsoak();
    let output = std::process::Command::new("sh")
        .args(["-c", &format!("ulimit -n {allowed} && exec \"$@\""), "sh"])
        .arg(command.get_program())
        .arg("run")
        .arg(fixture(name))
        .args(["-q", "-c", "fibonacci(20)", "-n", cycles, "-o"])
        .arg(out.path())
        .output()
        .unwrap();
    finished(&output, &out)
}

#[test]
fn keys_that_run_out_hide_no_leak() {
    for cycles in ["2000", "20k"] {
        let finished = soak(&fixture("c-exhaust-keys"), &["-n", cycles]);
        let soak = finished.soak();
        assert_eq!((soak.judged.verdict, finished.code), (Verdict::Leak, 1), "{:?}", soak.judged.findings);
        assert_eq!(soak.judged.findings[0].code, Code::Exhausted, "{:?}", soak.judged.findings);
        let keys = first(soak);
        assert_eq!((keys.resource, keys.limit, keys.per_cycle), (Resource::TlsKeys, Some(1024), Some(1.0)));
        assert!((1000..=1024).contains(&keys.cycle), "{keys:?}");
        let heap = growth(soak, Metric::Heap).per_cycle;
        assert!((heap - 48.5).abs() < 1.0, "{cycles}: {heap}");
        assert_eq!(soak.residue[0].per_cycle, Some(1.0), "{:?}", soak.residue);
        let kept = soak.judged.findings.iter().find_map(|finding| match &finding.facts {
            Facts::KeptOnce(kept) => {
                kept.iter().find(|kept| kept.metric == Metric::Heap).map(|kept| kept.amount)
            }
            _ => None,
        });
        assert!(kept.is_none_or(|bytes| bytes < 6 << 10), "{kept:?}");
    }
    let twin = soak(&fixture("c-exhaust-keys-deleted"), &["-n", "2000"]);
    let twin = twin.soak();
    assert_eq!((twin.judged.verdict, twin.judged.exhausted.as_slice()), (Verdict::Clean, &[][..]));
}

#[test]
fn a_crash_is_told_after_what_led_to_it() {
    let finished = soak(&fixture("c-exhaust-keys-crash"), &["-n", "2000"]);
    let soak = finished.soak();
    assert_eq!(soak.judged.verdict, Verdict::Crashed);
    let codes: Vec<Code> = soak.judged.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes[..3], [Code::Exhausted, Code::CrashedNullPointer, Code::LeakHeap]);
    let Facts::Exhausted(ran_out) = &soak.judged.findings[0].facts else { panic!("{codes:?}") };
    assert_eq!(ran_out.ended, Some(OutcomeKind::Crashed));
    assert_eq!(Some(ran_out.what.cycle), soak.outcome.cycle);
}

#[test]
fn what_ran_out_during_the_warm_up_is_never_clean() {
    let args = ["-n", "300", "--warmup", "1500", "--allow-residue", "tls-keys"];
    let finished = soak(&fixture("c-exhaust-keys"), &args);
    let soak = finished.soak();
    assert_eq!((first(soak).resource, first(soak).cycle), (Resource::TlsKeys, 1500));
    assert_eq!((soak.judged.verdict, finished.code), (Verdict::Residue, 1), "{:?}", soak.judged.findings);
}

#[test]
fn a_limit_that_processes_share_is_seen_too() {
    let Some(allowed) = limit("/proc/sys/fs/inotify/max_user_instances", 400) else { return };
    let finished = soak(&fixture("c-exhaust-inotify"), &["-n", "500"]);
    let soak = finished.soak();
    let inotify = first(soak);
    assert_eq!((inotify.resource, inotify.limit), (Resource::Inotify, Some(allowed)), "{inotify:?}");
    assert!((allowed / 2..=allowed).contains(&inotify.cycle), "{inotify:?}");
    assert_eq!(growth(soak, Metric::Fds).per_cycle, 2.0, "{:?}", soak.judged.findings);
    assert_eq!(soak.judged.findings[0].code, Code::Exhausted);
    assert_eq!(soak.judged.verdict, Verdict::Leak);
}

#[test]
fn descriptors_run_out_where_they_leak_and_not_where_many_are_held() {
    let finished = with_descriptors(1024, "c-fds", "3000");
    let soak = finished.soak();
    let fds = first(soak);
    assert_eq!((fds.resource, fds.limit), (Resource::Fds, Some(1024)));
    assert!((1000..=1024).contains(&fds.cycle), "{fds:?}");
    assert_eq!(soak.outcome.kind, OutcomeKind::LoadFailed);
    let codes: Vec<Code> = soak.judged.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes[..2], [Code::LoadFailedFds, Code::LeakFds]);
    let held = with_descriptors(1024, "c-exhaust-held", "1000");
    let held = held.soak();
    assert_eq!((held.judged.verdict, held.judged.exhausted.as_slice()), (Verdict::Residue, &[][..]));
}

#[test]
fn mappings_run_out_in_the_cycle_that_can_map_no_more() {
    let Some(allowed) = limit("/proc/sys/vm/max_map_count", 70_000) else { return };
    let finished =
        soak(&fixture("c-exhaust-mappings"), &["-n", "1000", "--checkpoints", "30", "--passes", "measure"]);
    let soak = finished.soak();
    let mappings = first(soak);
    assert_eq!(
        (mappings.resource, mappings.limit),
        (Resource::Mappings, Some(allowed)),
        "{:?}",
        soak.outcome
    );
    assert!((allowed / 100 - 10..=allowed / 100).contains(&mappings.cycle), "{mappings:?}");
    assert_eq!(growth(soak, Metric::Mappings).per_cycle, 100.0, "{:?}", soak.judged.findings);
    assert_ne!(soak.judged.verdict, Verdict::Clean);
}

#[test]
fn a_load_that_fails_for_want_of_something_says_what_ran_out() {
    let tunables = "GLIBC_TUNABLES=glibc.rtld.nns=1:glibc.rtld.optional_static_tls=0";
    for (args, resource) in [
        (&["--mode", "copies", "-n", "2000", "--env", tunables][..], Resource::StaticTls),
        (&["--mode", "namespace", "-n", "100"], Resource::Namespaces),
    ] {
        let name = if resource == Resource::StaticTls { "go-clean" } else { "cpp-unique" };
        let finished = soak(&fixture(name), args);
        let soak = finished.soak();
        assert_eq!(soak.outcome.kind, OutcomeKind::LoadFailed);
        assert_eq!(first(soak).resource, resource, "{:?}", soak.outcome);
        assert_eq!(first(soak).cycle, soak.cycles.warmup + soak.cycles.completed);
    }
}
