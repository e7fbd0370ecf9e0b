//! What else a library leaves behind, beyond what every fixture is asked (`each_fixture`): its evidence, with threads, where it is allowed,
//! and that a library that nobody here wrote leaves nothing.

use crate::support::{DECIDED, dlsoak, fixture, library, run, soak};
use dlsoak::record::{
    Code, CrashHow, EnvironmentChange, Evidence, Note, OutcomeKind, Pass, Place, Severity, Soak,
    StreamChange, UnloadState, Verdict,
};

/// Enough for a rate.
const CYCLES: &str = "60";

/// Kinds and rates of what was told.
fn told(soak: &Soak) -> Vec<(&str, Option<f64>)> {
    soak.residue.iter().map(|found| (found.kind().name(), found.per_cycle)).collect()
}

#[test]
fn what_will_crash_is_told_as_the_crash_it_will_be() {
    type Proves = fn(&Evidence) -> bool;
    let cases: [(&str, Proves); 5] = [
        (
            "c-signal-handler",
            |evidence| matches!(evidence, Evidence::SignalHandler { signal, gone: true, .. } if signal == "SIGUSR1"),
        ),
        ("c-thread-late", |evidence| {
            let Evidence::Threads { crash: Some(crash), .. } = evidence else { return false };
            crash.how == CrashHow::ReturnsToGoneCode && crash.at.place == Place::Unmapped
        }),
        ("c-putenv", |evidence| {
            matches!(evidence, Evidence::Environment(EnvironmentChange::TextGone { .. }))
        }),
        ("c-stdio-buffer", |evidence| {
            let Evidence::Stdio(StreamChange::BufferGone { stream }) = evidence else { return false };
            stream.name.as_deref() == Some("stdout")
        }),
        (
            "c-key",
            |evidence| matches!(evidence, Evidence::TlsKeys { lasts_cycles: Some(cycles), .. } if (1000..1100).contains(cycles)),
        ),
    ];
    for (name, proves) in cases {
        let finished = soak(&fixture(name), &["-n", CYCLES, "--warmup", "10", "--checkpoints", "20"]);
        let soak = finished.soak();
        let first = &soak.residue.first().unwrap().evidence;
        assert!(proves(first), "{name}: {first:?}");
        assert_eq!(
            (soak.judged.verdict, finished.code),
            (Verdict::Residue, 1),
            "{name}: {:?}",
            soak.judged.findings
        );
    }
}

#[test]
fn many_threads_are_each_looked_at() {
    for (name, kind) in
        [("c-signal-mask", "signal-mask"), ("c-fp-mode", "fp-mode"), ("c-thread-name", "thread-name")]
    {
        let finished = soak(&fixture(name), &["-n", CYCLES, "-t", "3"]);
        assert_eq!(told(finished.soak()), [(kind, None)], "{name}");
        let finished = soak(&fixture(&format!("{name}-restored")), &["-n", CYCLES, "-t", "3"]);
        assert_eq!(told(finished.soak()), [], "{name}");
    }
}

#[test]
fn residue_passes_where_its_kind_is_allowed() {
    let library = fixture("c-signal-handler");
    let args = [&DECIDED[..], &["--allow-residue", "signal-handler"]].concat();
    let finished = soak(&library, &args);
    assert_eq!(
        (finished.soak().judged.verdict, finished.code),
        (Verdict::Clean, 0),
        "{:?}",
        finished.soak().judged.findings
    );
    assert_eq!(finished.soak().residue.len(), 1);
}

#[test]
fn a_key_of_the_host_that_is_deleted_is_told() {
    for (name, args, left, keys) in [
        ("c-key-foreign", &[][..], 0, vec![0]),
        // On threads as well, and in copies of the library.
        ("c-key-foreign", &["-t", "3"], 0, vec![0]),
        ("c-key-foreign", &["--call-from", "worker"], 0, vec![0]),
        // Whoever calls it has made the key.
        ("c-key-foreign", &["--call", "use"], 0, vec![]),
        // A namespace has a C library of its own, with keys of its own.
        ("c-key-foreign", &["--mode", "namespace"], 0, vec![]),
    ] {
        // A process has room for few namespaces.
        let finished = soak(&fixture(name), &[&["-n", "9"][..], args].concat());
        let found = finished.soak().residue.iter().find_map(|found| match &found.evidence {
            Evidence::TlsKeys { left, deleted, .. } => Some((*left, deleted.clone())),
            _ => None,
        });
        let expected = (!keys.is_empty()).then_some((left, keys));
        assert_eq!(found, expected, "{args:?}: {:?}", finished.soak().residue);
    }
}

#[test]
fn a_pointer_is_allowed_by_its_kind_or_by_its_place_and_reason() {
    let hook = fixture("c-dangling-hook");
    let few = ["-n", "300"];
    let place = |reason: &str| format!("libhelper-registry.so:hook={reason}");
    let (named, all) = (place("the host never calls it"), "libhelper-registry.so=ours".to_owned());
    let mut finished = soak(&hook, &[&few[..], &["--allow-residue", "dangling-pointer"]].concat());
    for (exception, reason) in [("", None), (&named, Some("the host never calls it")), (&all, Some("ours"))] {
        if !exception.is_empty() {
            finished = soak(&hook, &[&few[..], &["--allow-pointer", exception]].concat());
        }
        let soak = finished.soak();
        assert_ne!(soak.judged.verdict, Verdict::Residue, "{exception}: {:?}", soak.judged.findings);
        let finding =
            soak.judged.findings.iter().find(|one| one.code == Code::ResidueDanglingPointer).unwrap();
        assert_eq!(finding.severity, Severity::Note);
        assert_eq!(finding.allowed.as_ref().map(ToString::to_string).as_deref(), reason);
        assert!(!finished.stdout.contains("allows nothing"), "{}", finished.stdout);
    }
    let other = soak(&hook, &[&few[..], &["--allow-pointer", "libhelper-registry.so:table=x"]].concat());
    assert_eq!(other.soak().judged.verdict, Verdict::Residue);
    let warned = "--allow-pointer libhelper-registry.so:table allows nothing";
    assert!(other.stdout.contains(warned), "{}", other.stdout);
    let output =
        dlsoak().arg("run").arg(&hook).args(["--allow-pointer", "libglib-2.0.so.0"]).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && message.contains("a reason is required"), "{message}");
}

#[test]
fn a_search_without_room_for_all_says_so() {
    let dropped = |args: &[&str]| {
        let finished = soak(&fixture("c-dangling-many"), &[&["-n", "300"], args].concat());
        let soak = finished.soak();
        assert!(told(soak).iter().any(|(kind, _)| *kind == "dangling-pointer"), "{:?}", soak.residue);
        let noted = soak.notes.iter().find_map(|note| match note {
            Note::PointersInPart { dropped, .. } => Some(*dropped),
            _ => None,
        });
        (noted, soak.passes.iter().find(|made| made.pass == Pass::Pointers).map(|made| made.cycles))
    };
    assert!(matches!(dropped(&[]), (Some(1_000..), Some(32))));
    let (noted, loads) = dropped(&["--pointers", "2"]);
    assert_eq!((noted, loads), (None, Some(2)));
}

#[test]
fn an_unknown_kind_is_refused_with_the_list_of_kinds() {
    let library = fixture("c-clean");
    let output = dlsoak().arg("run").arg(&library).args(["--allow-residue", "signals"]).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("`signals`") && message.contains("signal-handler, signal-mask"), "{message}");
}

#[test]
fn a_descriptor_that_leaks_is_told_once() {
    let finished = soak(&fixture("c-fds"), &["-n", "500"]);
    let soak = finished.soak();
    assert_eq!(soak.judged.verdict, Verdict::Leak);
    let codes: Vec<Code> = soak.judged.findings.iter().map(|finding| finding.code).collect();
    // What the descriptors are follows the leak.
    let leak = [Code::LeakFds, Code::ResidueFds];
    assert!(codes.windows(2).any(|pair| pair == leak), "{:?}", soak.judged.findings);
    assert_eq!(codes.iter().filter(|code| **code == Code::ResidueFds).count(), 1, "{codes:?}");
}

#[test]
fn libraries_of_the_system_leave_nothing_that_they_should_not() {
    let names = [
        ("libz.so.1", "zlib1g"),
        ("libssl.so.3", "libssl3"),
        ("libcrypto.so.3", "libssl3"),
        ("libxml2.so.2", "libxml2"),
        ("libsqlite3.so.0", "libsqlite3-0"),
        ("libcurl.so.4", "libcurl4"),
        ("libstdc++.so.6", "libstdc++6"),
        ("libexpat.so.1", "libexpat1"),
        ("libgnutls.so.30", "libgnutls30"),
        ("libgomp.so.1", "libgomp1"),
        ("libglib-2.0.so.0", "libglib2.0-0"),
        ("libicuuc.so.", "libxml2"),
        ("libp11-kit.so.0", "libp11-kit0"),
        ("libsystemd.so.0", "libsystemd0"),
    ];
    for (name, package) in names {
        let Some(path) = library(name, package) else { continue };
        let finished = run(&[path.to_str().unwrap(), "-n", "50", "--warmup", "10", "--checkpoints", "20"]);
        let soak = finished.soak();
        assert_eq!(soak.outcome.kind, OutcomeKind::Completed, "{name}: {:?}", soak.outcome);
        assert_eq!(told(soak), [], "{name}: {:?}", soak.residue);
    }
}

#[test]
fn a_library_that_stays_holds_what_it_has() {
    // Go's runtime has threads and handlers for five signals; all of that is alive.
    let finished = soak(&fixture("go-clean"), &["-n", "200"]);
    let soak = finished.soak();
    assert_eq!(soak.unload.state, UnloadState::Pinned);
    assert_eq!(told(soak), [], "{:?}", soak.residue);
}
