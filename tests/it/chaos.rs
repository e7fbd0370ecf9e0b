//! `--chaos`: it finds what only a disturbed host meets, and changes no verdict of a library that is sound.

use crate::support::{Finished, dlsoak, fixture, growth, has, lack, run, soak};
use dlsoak::record::{Code, Metric, OutcomeKind, Verdict};

/// Often, so that few cycles meet it.
const SIGNALS: &str = "signal:SIGUSR1@2kHz";

fn disturbed(name: &str, args: &[&str]) -> Finished {
    soak(&fixture(name), args)
}

#[test]
fn a_handler_that_is_left_behind_crashes_once_its_signal_comes() {
    let alone = disturbed("c-signal-handler", &["-n", "500"]);
    assert_eq!(alone.soak().judged.verdict, Verdict::Residue, "{:?}", alone.soak().judged.findings);
    assert!(alone.soak().chaos.is_empty());
    let finished = disturbed("c-signal-handler", &["-n", "100k", "--chaos", SIGNALS]);
    let soak = finished.soak();
    assert_eq!(
        (soak.judged.verdict, finished.code),
        (Verdict::Crashed, 1),
        "{:?} {:?}",
        soak.judged.findings,
        soak.chaos
    );
    assert_eq!(soak.outcome.signal.as_deref(), Some("SIGSEGV"));
    assert!(soak.chaos[0].times > 0);
}

#[test]
fn a_handler_that_is_put_back_survives_its_signal() {
    let finished = disturbed("c-signal-handler-restored", &["-n", "2000", "--chaos", SIGNALS]);
    let soak = finished.soak();
    assert_eq!(soak.outcome.kind, OutcomeKind::Completed, "{:?}", soak.outcome);
    assert!(
        soak.residue.is_empty() && soak.judged.leak.is_none(),
        "{:?} {:?}",
        soak.residue,
        soak.judged.findings
    );
    assert!(soak.chaos[0].times > 0, "{:?}", soak.chaos);
}

#[test]
fn a_wait_that_a_signal_interrupts_fails_unless_it_is_tried_again() {
    let exercise = format!("{}:attempt_it", fixture("c-driver").display());
    let attempt = |name: &str, args: &[&str]| {
        let library = fixture(name);
        let mut all = vec![library.to_str().unwrap(), "--exercise", &exercise, "-n", "50"];
        all.extend(args);
        run(&all)
    };
    let failed = attempt("c-chaos-wait", &["--chaos", SIGNALS]);
    let outcome = &failed.soak().outcome;
    assert_eq!(outcome.phase, Some(dlsoak::record::Phase::Call), "{outcome:?}");
    let why = dlsoak::record::Why::CallFailed { returned: libc::EINTR };
    assert_eq!((outcome.why.as_ref(), failed.soak().judged.verdict), (Some(&why), Verdict::CallFailed));
    for (name, args) in [("c-chaos-wait", vec![]), ("c-chaos-wait-retries", vec!["--chaos", SIGNALS])] {
        let finished = attempt(name, &args);
        assert_eq!(finished.soak().cycles.completed, 50, "{name}: {:?}", finished.soak().outcome);
    }
}

#[test]
fn no_disturbance_changes_what_is_true_of_a_library() {
    for chaos in [SIGNALS, "stop@20Hz", "memory-pressure@100Hz", "cold-cache@100Hz"] {
        // Calls so long that the soak takes longer than it is until the first stop, on however fast a machine.
        let call = if chaos.starts_with("stop") { "fibonacci(200000)" } else { "fibonacci(1)" };
        let args = ["-n", "3000", "--checkpoints", "60", "-c", call, "--chaos", chaos];
        // Reclaimed pages make resident memory vary, by far less than this. What is counted is compared with 0 below.
        let finished = disturbed("c-clean", &[&args[..], &["--max-leak-rate", "4KiB/cycle"]].concat());
        let soak = finished.soak();
        assert_eq!(soak.outcome.kind, OutcomeKind::Completed, "{chaos}: {:?}", soak.outcome);
        let told = format!("{chaos}: {:?} {:?}", soak.judged.findings, soak.chaos);
        assert_eq!(soak.judged.verdict, Verdict::Clean, "{told}");
        assert!(soak.judged.leak.is_none(), "{told}");
        assert!(growth(soak, Metric::Heap).per_cycle.abs() < 1e-9, "{chaos}: {:?}", soak.judged.growth);
        let [told] = soak.chaos.as_slice() else { panic!("{:?}", soak.chaos) };
        match &told.refused {
            // It takes a right that not everyone has, or a file on a disk.
            Some(why) => {
                lack(&format!("--chaos {chaos}"), &format!("{why:?}"));
                assert!(has(soak, Code::DisturbanceRefused), "{chaos}: {:?}", soak.judged.findings);
            }
            None => {
                assert!(told.times > 0, "{chaos}: {told:?}");
                assert!(has(soak, Code::Disturbed), "{chaos}: {:?}", soak.judged.findings);
            }
        }
        let leak = disturbed("c-leak-constructor", &args);
        assert_eq!(leak.soak().judged.verdict, Verdict::Leak, "{chaos}: {:?}", leak.soak().judged.findings);
        assert!((growth(leak.soak(), Metric::Heap).per_cycle - 32.0).abs() < 0.32, "{chaos}");
    }
}

#[test]
fn several_disturbances_and_threads_go_together() {
    let args = ["-n", "2000", "-t", "3", "--chaos", SIGNALS, "--chaos", "stop@10Hz", "--chaos", "cold-cache"];
    let finished = disturbed("c-clean", &args);
    let soak = finished.soak();
    assert_eq!((soak.outcome.kind, soak.chaos.len()), (OutcomeKind::Completed, 3), "{:?}", soak.outcome);
    assert!(soak.residue.is_empty(), "{:?}", soak.residue);
}

#[test]
fn what_cannot_be_understood_is_refused_with_what_to_write() {
    let library = fixture("c-clean");
    for (chaos, part) in [("signal:SIGUSR3", "did you mean `SIGUSR1`"), ("stopp", "did you mean `stop`")] {
        let output = dlsoak().arg("run").arg(&library).args(["--chaos", chaos]).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(part), "{message}");
    }
}
