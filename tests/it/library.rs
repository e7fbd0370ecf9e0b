//! Soaks from a program that is not `dlsoak`.

use dlsoak::record::{Mode, Note, UnloadState, Verdict};
use dlsoak::{CdylibError, Soak, SoakError};

use crate::support::fixture;

#[test]
fn a_clean_library_passes_in_a_test() {
    let soak = Soak::new(fixture("c-clean")).until_decided(true).max_cycles("200k");
    let soaked = soak.call("fibonacci(20)").threads(2).run().unwrap();
    soaked.assert_clean();
    soaked.assert_passed();
    let soak = soaked.soak();
    assert_eq!(soak.threads(), 2);
    let calls = soak.latency_ns.call.as_ref().unwrap().count;
    assert!(calls == soak.cycles.completed && soaked.run().passed);
}

#[test]
fn a_leak_fails_the_test_with_its_figures() {
    let soaked = Soak::new(fixture("c-leak-constructor")).cycles(1_000).run().unwrap();
    assert_eq!((soaked.verdict(), soaked.passed()), (Verdict::Leak, Some(false)));
    let failure = std::panic::catch_unwind(|| soaked.assert_clean()).unwrap_err();
    let text = failure.downcast_ref::<String>().unwrap();
    assert!(text.contains("is not clean") && text.contains("32 B per cycle"), "{text}");
    assert!(std::panic::catch_unwind(|| soaked.assert_passed()).is_err());
}

#[test]
fn a_program_sees_what_dlsoak_sees() {
    let soaked = Soak::new(fixture("rust-tls-destructor")).cycles(200).call("fibonacci(20)").run().unwrap();
    assert_eq!(soaked.soak().unload.state, UnloadState::Pinned);
    let causes: Vec<_> = soaked.soak().unload.causes.iter().map(|cause| cause.kind().name()).collect();
    assert!(causes.contains(&"tls-destructor"), "{causes:?}");
    // The fixture has lines and no types.
    let unchecked = Note::CallsUnchecked { calls: vec!["fibonacci(20)".to_owned()] };
    assert_eq!(soaked.soak().notes, [unchecked]);
    // What this program links is not in the process that is measured.
    let objects = &soaked.soak().worker.objects;
    assert!(!objects.iter().any(|object| object.contains("libgcc_s")), "{objects:?}");
    // What is allowed passes, and is not clean.
    let allowed = Soak::new(fixture("go-clean")).until_decided(true).max_cycles("200k");
    let allowed = allowed.allow_pinned("it is Go").run().unwrap();
    assert_eq!(allowed.verdict(), Verdict::Pinned, "{allowed}");
    allowed.assert_passed();
    assert!(std::panic::catch_unwind(|| allowed.assert_clean()).is_err());
}

#[test]
fn several_libraries_are_soaked_in_one_process() {
    let other = fixture("c-leak-constructor");
    let soaked = Soak::new(fixture("c-clean")).together(other.to_str().unwrap()).cycles(800).run().unwrap();
    assert_eq!((soaked.verdict(), soaked.soak().together.len()), (Verdict::Leak, 2), "{soaked}");
    let leaking = soaked.soak().judged.leak.as_ref().unwrap().object.as_deref();
    assert_eq!(leaking, other.file_name().unwrap().to_str());
    let both = Soak::new(fixture("c-clean")).together(other.to_str().unwrap()).replace("other.so").run();
    assert!(matches!(both, Err(SoakError::Plan(_))));
}

#[test]
fn a_crash_ends_the_soak_and_not_the_test() {
    let soaked = Soak::new(fixture("c-on-exit")).cycles(200).run().unwrap();
    assert_eq!(soaked.verdict(), Verdict::Crashed);
    let dir = tempfile::tempdir().unwrap();
    assert!(soaked.write(dir.path()).unwrap().ends_with("record.json"));
    assert!(crate::support::read_record(dir.path()).is_ok());
}

#[test]
fn settings_that_cannot_be_carried_out_are_errors() {
    let wrong = Soak::new(fixture("c-clean")).mode(Mode::Copies).share_path(true).run();
    assert!(matches!(wrong, Err(SoakError::Plan(_))));
}

#[test]
fn a_cdylib_that_the_workspace_lacks_is_an_error() {
    let error = Soak::cdylib("no-such-plugin").run().unwrap_err();
    assert!(
        matches!(&error, SoakError::Cdylib(CdylibError::Unknown { name, .. }) if name == "no-such-plugin"),
        "{error}"
    );
}
