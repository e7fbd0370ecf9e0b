//! An exception or a panic that nothing catches ends the measured process exactly as it ends a plain C host: the same message byte for
//! byte, the same signal, and the frame that threw on the stack.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Command;

use dlsoak::record::why::{Crash, CrashCause, Message, Said};
use dlsoak::record::{Code, Frame, Outcome, OutcomeKind, Verdict, Why};
use tempfile::TempDir;

use crate::support::{compile, fixture, soak};

/// A host in C, built by this test.
struct Host {
    directory: TempDir,
}

impl Host {
    fn build() -> Self {
        let directory = tempfile::tempdir().unwrap();
        compile(&[], "tests/data/plain-host.c", &directory.path().join("plain-host"));
        Self { directory }
    }

    fn program(&self) -> PathBuf {
        self.directory.path().join("plain-host")
    }

    /// What the host printed when it died of SIGABRT with this library.
    fn last_words(&self, name: &str, call_from: &str) -> String {
        let mut command = Command::new(self.program());
        command.arg(fixture(name)).arg(call_from).current_dir(self.directory.path());
        let output = command.env_remove("RUST_BACKTRACE").output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{name}: {stderr}");
        assert!(output.stdout.is_empty(), "{name}");
        stderr
    }
}

/// The text without the number of the thread in `thread '<unnamed>' (123) panicked`, which differs in each process.
fn without_thread_ids(text: &str) -> String {
    let mark = "thread '<unnamed>' (";
    let mut parts = text.split(mark);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + mark + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// Soaks the fixture and requires the same end as in the host.
fn ends_as_in(host: &Host, name: &str, call_from: &str) -> (Outcome, String) {
    let finished = soak(&fixture(name), &["-n", "20", "--call-from", call_from]);
    let soak = finished.soak();
    let outcome = soak.outcome.clone();
    let told = format!("{name} {call_from}: {outcome:?}");
    assert_eq!(
        (outcome.kind, soak.judged.verdict, finished.code),
        (OutcomeKind::Crashed, Verdict::Crashed, 1),
        "{told}"
    );
    assert_eq!(outcome.signal.as_deref(), Some("SIGABRT"), "{told}");
    let expected = without_thread_ids(&host.last_words(name, call_from));
    assert_eq!(without_thread_ids(&soak.worker.output_tail), expected, "{told}");
    (outcome, expected)
}

/// Requires a frame of this function and line, the line included, in the first stack and in what a person reads first.
fn names(outcome: &Outcome, function: &str, file: &str, source: &str) {
    let line = line_of(file, source);
    let is_it = |frame: &Frame| {
        frame.function.as_ref().is_some_and(|name| name.contains(function))
            && frame.file.as_ref().is_some_and(|path| file.ends_with(path.as_str()) || path.ends_with(file))
            && frame.line == u32::try_from(line).ok()
    };
    let stack = outcome.stacks.iter().flatten().next().unwrap_or_else(|| panic!("no stack: {outcome:?}"));
    assert!(stack.frames.iter().any(is_it), "{function} at {file}:{line}: {stack:?}");
    assert!(crash(outcome).by.as_ref().is_some_and(is_it), "{function} at {file}:{line}: {outcome:?}");
}

fn crash(outcome: &Outcome) -> &Crash {
    let Some(Why::Crash(crash)) = &outcome.why else { panic!("{outcome:?}") };
    crash
}

/// What was printed before the abort.
fn said(outcome: &Outcome) -> &Said {
    let CrashCause::Abort { said: Some(said) } = &crash(outcome).cause else { panic!("{outcome:?}") };
    said
}

/// The number of the only line with this text in a fixture's source.
fn line_of(file: &str, source: &str) -> usize {
    let text = std::fs::read_to_string(xtask::fixtures::root().join("cdylib-fixtures").join(file)).unwrap();
    let found: Vec<usize> =
        text.lines().zip(1..).filter_map(|(line, at)| line.contains(source).then_some(at)).collect();
    let [line] = found.as_slice() else { panic!("`{source}` is in {file} {} times", found.len()) };
    *line
}

const CPP: &str = "cpp/end-throws.cpp";
const RUST: &str = "examples/end_unwind.rs";

#[test]
fn an_exception_ends_the_soak_as_it_ends_a_c_host_wherever_it_is_thrown() {
    let host = Host::build();
    for (name, text, phase) in [
        ("constructor", "registry already has this plugin", "open"),
        ("init", "no configuration", "open"),
        ("call", "no room for more", "call"),
        ("destructor", "registry is not empty", "close"),
        ("fini", "cannot save the configuration", "close"),
        ("thread", "the thread has no room", "call"),
    ] {
        let (outcome, words) = ends_as_in(&host, &format!("cpp-end-throws-{name}"), "main");
        let expected = format!(
            "terminate called after throwing an instance of 'std::runtime_error'\n  what():  {text}\n"
        );
        assert_eq!(words, expected);
        assert_eq!(
            (outcome.phase.map(|phase| phase.name()), outcome.cycle),
            (Some(phase), Some(0)),
            "{outcome:?}"
        );
        let line =
            format!("terminate called after throwing an instance of 'std::runtime_error' what():  {text}");
        assert_eq!(said(&outcome), &Said { line, message: Some(Message::Exception) });
        assert_eq!(outcome.code(), Code::CrashedException);
        names(&outcome, "end::refuse", CPP, "throw std::runtime_error(text)");
    }
}

#[test]
fn an_exception_without_a_text_is_named_by_its_type() {
    let (outcome, words) = ends_as_in(&Host::build(), "cpp-end-throws-number", "main");
    assert_eq!(words, "terminate called after throwing an instance of 'int'\n");
    assert_eq!(said(&outcome).line, words.trim_end());
    names(&outcome, "end::refuse_number", CPP, "throw number;");
}

#[test]
fn a_panic_that_unwinds_into_c_is_told_by_its_message_and_its_place() {
    let host = Host::build();
    for call_from in ["main", "worker", "short-lived"] {
        let (outcome, words) = ends_as_in(&host, "rust-end-unwind", call_from);
        assert!(words.contains("no room for 20 more\n"), "{words}");
        assert!(
            words.ends_with("fatal runtime error: failed to initiate panic, error 5, aborting\n"),
            "{words}"
        );
        assert_eq!(outcome.phase, Some(dlsoak::record::Phase::Call), "{outcome:?}");
        assert!(said(&outcome).line.contains("no room for 20 more"), "{outcome:?}");
        assert_eq!(outcome.code(), Code::CrashedPanic);
        names(&outcome, "refuse", &format!("rust/{RUST}"), "assert!(n < 0");
    }
}

#[test]
fn an_exception_is_the_same_on_every_kind_of_thread() {
    let host = Host::build();
    for call_from in ["main", "worker", "short-lived"] {
        let (outcome, _) = ends_as_in(&host, "cpp-end-throws-call", call_from);
        assert_eq!(outcome.phase, Some(dlsoak::record::Phase::Call), "{call_from}: {outcome:?}");
        names(&outcome, "end::refuse", CPP, "throw std::runtime_error(text)");
    }
}
