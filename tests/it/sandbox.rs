//! `--sandbox`: what a library may no longer do, what stays as it was, and that nothing of it is silent.

use std::net::TcpListener;

use crate::support::{Finished, dlsoak, finished, fixture, lack, run, soak};
use dlsoak::record::{Metric, Restriction, Sandbox, Soak, UnloadState, Verdict};

/// Soaks a fixture with its `attempt` in each cycle.
fn attempt(name: &str, args: &[&str]) -> Finished {
    let exercise = format!("{}:attempt_it", fixture("c-driver").display());
    let library = fixture(name);
    let mut all = vec![library.to_str().unwrap(), "--exercise", &exercise, "-n", "20"];
    all.extend(args);
    run(&all)
}

/// Whether the record says that a restriction is not to be had here.
fn lacks(sandbox: &Sandbox, restriction: Restriction) -> bool {
    sandbox.missing.iter().any(|missing| missing.restriction == restriction)
}

/// Whether writing is refused here; where it is not, the record says so.
fn refuses_writing(soak: &Soak) -> bool {
    let sandbox = soak.sandbox.as_ref().unwrap();
    let refuses = sandbox.applied.contains(&Restriction::Writing);
    if !refuses {
        assert!(lacks(sandbox, Restriction::Writing), "{sandbox:?}");
        lack("a sandbox that refuses writing", "this kernel has no Landlock");
    }
    refuses
}

/// Whether TCP is refused here.
fn refuses_tcp(soak: &Soak) -> bool {
    let sandbox = soak.sandbox.as_ref().unwrap();
    let refuses = [Restriction::Network, Restriction::Tcp].iter().any(|of| sandbox.applied.contains(of));
    if !refuses {
        assert!(lacks(sandbox, Restriction::Tcp), "{sandbox:?}");
        lack("a sandbox that refuses TCP", "there is neither a network namespace nor Landlock for TCP");
    }
    refuses
}

#[test]
fn a_file_outside_is_written_only_without_a_sandbox() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("written");
    let env = format!("SANDBOX_FILE={}", file.display());
    let inside = attempt("c-sandbox-write", &["--env", &env, "--sandbox"]);
    let soak = inside.soak();
    if refuses_writing(soak) {
        assert!(!file.exists());
        let outcome = &soak.outcome;
        assert_eq!((soak.judged.verdict, inside.code), (Verdict::CallFailed, 1), "{outcome:?}");
        assert_eq!(outcome.phase, Some(dlsoak::record::Phase::Call), "{outcome:?}");
        assert_eq!(outcome.why, Some(dlsoak::record::Why::CallFailed { returned: libc::EACCES }));
    }
    let without = attempt("c-sandbox-write", &["--env", &env]);
    assert!(file.exists() && without.soak().sandbox.is_none());
    assert_ne!(without.soak().judged.verdict, Verdict::CallFailed, "{:?}", without.soak().outcome);
}

#[test]
fn temporary_files_and_sockets_of_its_own_are_a_librarys_own_business() {
    for name in ["c-sandbox-private", "c-sandbox-pair"] {
        let private = tempfile::tempdir().unwrap();
        let out = tempfile::tempdir().unwrap();
        let exercise = format!("{}:attempt_it", fixture("c-driver").display());
        let output = dlsoak()
            .env("TMPDIR", private.path())
            .arg("run")
            .arg(fixture(name))
            .args(["--exercise", &exercise, "-n", "20", "--sandbox", "-o"])
            .arg(out.path())
            .output()
            .unwrap();
        let finished = finished(&output, &out);
        let soak = finished.soak();
        assert_eq!(soak.cycles.completed, 20, "{name}: {:?}", soak.outcome);
        assert!(!soak.env.contains_key("TMPDIR"), "{name}: {:?}", soak.env);
        let left: Vec<_> = std::fs::read_dir(private.path()).unwrap().collect();
        assert!(left.is_empty(), "{name}: {left:?}");
    }
}

#[test]
fn a_port_of_this_machine_is_reached_only_without_a_sandbox() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let env = format!("SANDBOX_PORT={}", listener.local_addr().unwrap().port());
    let inside = attempt("c-sandbox-connect", &["--env", &env, "--sandbox"]);
    if refuses_tcp(inside.soak()) {
        assert_eq!(inside.soak().judged.verdict, Verdict::CallFailed, "{:?}", inside.soak().outcome);
        assert_eq!(inside.soak().cycles.completed, 0);
    }
    let without = attempt("c-sandbox-connect", &["--env", &env]);
    assert_eq!(without.soak().cycles.completed, 20, "{:?}", without.soak().outcome);
}

#[test]
fn what_is_measured_is_the_same_in_a_sandbox() {
    for (name, args, state) in [
        ("c-clean", vec!["-n", "2000"], UnloadState::Unloaded),
        ("c-clean", vec!["-n", "2000", "-t", "4"], UnloadState::Unloaded),
        ("c-clean", vec!["-n", "500", "--mode", "copies"], UnloadState::Unloaded),
        ("c-thread-name-restored", vec!["-n", "200"], UnloadState::Unloaded),
        ("cpp-unique", vec!["-n", "200"], UnloadState::Pinned),
        ("go-clean", vec!["-n", "200"], UnloadState::Pinned),
    ] {
        let mut args = args;
        let without = soak(&fixture(name), &args);
        args.push("--sandbox");
        let inside = soak(&fixture(name), &args);
        let (without, inside) = (without.soak(), inside.soak());
        let told = |soak: &Soak| {
            let kinds: Vec<String> =
                soak.unload.causes.iter().map(|cause| cause.kind().name().to_owned()).collect();
            let fds = soak.judged.growth.iter().find(|g| g.metric == Metric::Fds).map(|g| g.per_cycle);
            (soak.unload.state, kinds, soak.residue.clone(), fds, soak.outcome.kind)
        };
        assert_eq!(told(inside), told(without), "{name} {args:?}");
        assert_eq!(inside.unload.state, state, "{name} {args:?}");
        assert!(inside.judged.leak.is_none(), "{name} {args:?}: {:?}", inside.judged.findings);
        let sandbox = inside.sandbox.as_ref().unwrap();
        assert!(!sandbox.applied.is_empty());
        assert!(crate::support::has(inside, dlsoak::record::Code::Sandboxed), "{:?}", inside.judged.findings);
    }
}

#[test]
fn a_suite_asks_for_a_sandbox_too() {
    let directory = tempfile::tempdir().unwrap();
    let suite = directory.path().join("s.toml");
    let text = format!("[[library]]\npath = {:?}\ncycles = 20\nsandbox = true\n", fixture("c-clean"));
    std::fs::write(&suite, text).unwrap();
    let output =
        dlsoak().arg("run").arg(&suite).args(["--force", "-o"]).arg(directory.path()).output().unwrap();
    let run = crate::support::read_record(directory.path());
    assert!(run.unwrap().soaks[0].sandbox.is_some(), "{}", String::from_utf8_lossy(&output.stderr));
}
