//! Every way that a soak can end, in the words that a person reads.

use std::fmt::Write as _;

use dlsoak_record::why::{Descriptor, Holder, Unloaded};
use dlsoak_record::{DanglingPointer, PointerTarget, Proof, Use, User};
use dlsoak_record::{
    Exports, FileProblem, Frame, LoadCause, LoadFailure, Mode, OpenFds, Provider, Shortage, Stack, Staying,
    ThreadName,
};

use super::*;

fn text(words: &str) -> String {
    words.to_owned()
}

fn who() -> ThreadName {
    ThreadName { id: 4711, name: text("worker") }
}

fn spot(function: &str) -> Frame {
    Frame {
        function: Some(text(function)),
        file: Some(text("src/plugin.c")),
        line: Some(42),
        object: Some(text("libplugin.so")),
        ..Frame::default()
    }
}

/// A library without debug information.
fn stripped() -> Frame {
    Frame { offset: Some(0x1234), object: Some(text("libplugin.so")), ..Frame::default() }
}

fn end(kind: OutcomeKind, phase: Phase, why: Why) -> Outcome {
    Outcome { kind, phase: Some(phase), cycle: Some(1234), why: Some(why), ..Outcome::default() }
}

fn crashed(signal: &str, cause: CrashCause) -> Outcome {
    let why = Why::Crash(Crash { cause, callee: None, by: Some(spot("process")), handled: None });
    Outcome { signal: Some(text(signal)), ..end(OutcomeKind::Crashed, Phase::Call, why) }
}

fn faulted(address: Option<&str>, place: Option<FaultPlace>, access: Option<Access>) -> Outcome {
    let address = address.map(text);
    let fault = Fault { address, instruction: text("0x7f0012345678"), place, access };
    Outcome { fault: Some(fault), ..crashed("SIGSEGV", CrashCause::Access) }
}

fn aborted(line: &str, message: Option<Message>) -> Outcome {
    crashed("SIGABRT", CrashCause::Abort { said: Some(Said { line: text(line), message }) })
}

fn hung(wait: Wait) -> Outcome {
    let doing = Some(Doing { wait, by: Some(spot("process")) });
    let cause = HangCause::Stall { timeout_ms: 10_000 };
    end(
        OutcomeKind::Hung,
        Phase::Call,
        Why::Hang(Hang { cause, doing, blocked: None, stopped: None, became: None }),
    )
}

fn exited(status: i32, function: Option<ExitFunction>, by: Option<Frame>) -> Exit {
    Exit { status, function, by, thread: None, said: None, became: None, handled: None }
}

fn ended_by(exit: Exit) -> Outcome {
    end(OutcomeKind::Exited, Phase::Open, Why::Exit(exit))
}

fn changed(same: bool) -> FileChange {
    let (before, now) = (Some(text("1234abcd")), (!same).then(|| text("5678ef01")));
    FileChange { path: text("/opt/libplugin.so"), before, now, same }
}

fn needs_host(phase: Phase, by: Option<Frame>, thread: Option<ThreadName>) -> Outcome {
    end(
        OutcomeKind::NeedsHost,
        phase,
        Why::NeedsHost(HostCall { called: text("ap_hook_handler"), by, thread }),
    )
}

fn lacks(provider: Provider) -> Outcome {
    let cause = LoadCause::MissingSymbol { symbol: Some(text("ap_log")), exports: None };
    let mut outcome = refused(0, cause, "/l/mod_x.so: undefined symbol: ap_log", None);
    if let Some(Why::LoadFailed(failure)) = &mut outcome.why {
        failure.provider = Some(provider);
    }
    outcome
}

fn limited(excess: Excess, used: u64, allowed: u64, given: bool) -> Outcome {
    end(OutcomeKind::Limit, Phase::Call, Why::Limit(LimitReached { excess, used, allowed, given }))
}

fn refused(cycle: u64, cause: LoadCause, said: &str, shortage: Option<Shortage>) -> Outcome {
    let said = (!said.is_empty()).then(|| text(said));
    let phase = match cause {
        LoadCause::MissingSymbol { exports: Some(_), .. } | LoadCause::DataSymbol { .. } => Phase::Symbol,
        LoadCause::ThreadEnded | LoadCause::ExerciseFailed { .. } => Phase::Call,
        _ => Phase::Open,
    };
    let failure = LoadFailure { said, shortage, ..LoadFailure::new(cause) };
    let outcome = end(OutcomeKind::LoadFailed, phase, Why::LoadFailed(failure));
    Outcome { cycle: Some(cycle), ..outcome }
}

fn staying(mode: Mode, said: &str, shortage: Option<Shortage>) -> Outcome {
    let mut outcome = refused(42, LoadCause::Refused, said, shortage);
    if let Some(Why::LoadFailed(failure)) = &mut outcome.why {
        failure.staying = Some(Staying { mode, live: 42 });
    }
    outcome
}

fn of_file(cause: LoadCause) -> Outcome {
    let outcome = refused(0, cause, "", None);
    Outcome { cycle: None, phase: None, ..outcome }
}

/// The outcomes with their codes, in the words that a person reads.
fn all(outcomes: &[Outcome]) -> String {
    let mut out = String::new();
    for one in outcomes {
        let _ = writeln!(
            out,
            "{}: {}",
            one.code(),
            outcome(one, 1_000).lines().collect::<Vec<_>>().join("\n    ")
        );
    }
    out
}

#[test]
fn crashes() {
    let rw = |of| FaultPlace::Mapped { of, allowed: vec![Access::Read, Access::Execute] };
    let object = FaultMapping::Object { object: text("libplugin.so"), offset: 0x2000 };
    let gone = |unloaded| FaultPlace::Unloaded { object: text("libplugin.so"), unloaded };
    let ran = |unloaded| CrashCause::UnloadedCode { thread: who(), object: text("libplugin.so"), unloaded };
    let write = Some(Access::Write);
    let at = Some("0x7f0011112222");
    let mut in_libc = faulted(Some("0x0"), Some(FaultPlace::Null), None);
    let mut handled_before = faulted(at, Some(FaultPlace::Nothing), None);
    let mut last = crashed("SIGSEGV", ran(Unloaded::Earlier { cycles_ago: 1 }));
    (last.phase, last.cycle) = (Some(Phase::Exit), None);
    if let (Some(Why::Crash(callee)), Some(Why::Crash(handled))) = (&mut in_libc.why, &mut handled_before.why)
    {
        callee.callee = Some(text("strlen"));
        handled.by = Some(stripped());
        handled.handled = Some(Handled {
            count: 3,
            signal: Some(text("SIGSEGV")),
            instruction: Some(text("0x7f0000001000")),
        });
    }
    insta::assert_snapshot!(all(&[
        in_libc,
        faulted(Some("0x18"), Some(FaultPlace::NearNull), write),
        faulted(Some("0x0"), Some(FaultPlace::Null), Some(Access::Execute)),
        faulted(at, Some(FaultPlace::BelowStack { stack_kib: 8192 }), write),
        faulted(at, Some(gone(Unloaded::ThisCycle)), None),
        faulted(at, Some(gone(Unloaded::Earlier { cycles_ago: 3 })), None),
        faulted(at, Some(gone(Unloaded::Earlier { cycles_ago: 0 })), None),
        faulted(at, Some(gone(Unloaded::LoadedAgain)), None),
        faulted(at, Some(rw(object)), write),
        faulted(at, Some(rw(FaultMapping::File { path: text("/tmp/data") })), write),
        faulted(at, Some(FaultPlace::Mapped { of: FaultMapping::Memory, allowed: Vec::new() }), None),
        faulted(at, Some(rw(FaultMapping::Stack)), write),
        faulted(at, Some(rw(FaultMapping::Kernel)), write),
        handled_before,
        Outcome { signal: Some(text("SIGBUS")), ..beyond_file() },
        faulted(None, None, None),
        crashed("SIGSEGV", CrashCause::NotAnAddress),
        crashed("SIGSEGV", ran(Unloaded::ThisCycle)),
        last,
        crashed("SIGFPE", CrashCause::StalePointer(Box::new(stale()))),
        crashed("SIGFPE", CrashCause::DivisionByZero),
        crashed("SIGFPE", CrashCause::Arithmetic),
        crashed("SIGILL", CrashCause::IllegalInstruction),
        crashed("SIGTRAP", CrashCause::Breakpoint),
        crashed("SIGSYS", CrashCause::ForbiddenCall),
        crashed("SIGPIPE", CrashCause::BrokenPipe),
        crashed("SIGTERM", CrashCause::Sent { sender: Sender::Itself }),
        crashed("SIGTERM", CrashCause::Sent { sender: Sender::Process { pid: 99 } }),
        crashed("SIGALRM", CrashCause::Timer),
        crashed("SIGUSR1", CrashCause::Unhandled),
        crashed("SIGKILL", CrashCause::Unseen),
        end(OutcomeKind::Crashed, Phase::Call, Why::SharedMemoryCorrupt),
        end(OutcomeKind::Crashed, Phase::Call, Why::ParentKilled),
    ]));
}

fn stale() -> DanglingPointer {
    let symbol = Some(text("tick"));
    let file = Some(text("/src/plugin.c"));
    let target =
        PointerTarget { object: text("libplugin.so"), code: true, symbol, offset: 0, file, line: Some(7) };
    let user = User::SignalHandler { signal: Some(text("SIGVTALRM")) };
    let used = Some(Use { user, access: Some(Access::Execute), load: 3, during: None });
    DanglingPointer { proof: Proof::Used, holder: None, target, loads: 1, of: 4, pointers: 1, used }
}

fn beyond_file() -> Outcome {
    let mut outcome = faulted(Some("0x7f0011112222"), None, None);
    if let Some(Why::Crash(crash)) = &mut outcome.why {
        crash.cause = CrashCause::BeyondFile;
    }
    outcome
}

#[test]
fn aborts() {
    insta::assert_snapshot!(all(&[
        crashed("SIGABRT", CrashCause::Abort { said: None }),
        aborted("goodbye", None),
        aborted("fatal runtime error: out of TLS keys, aborting", Some(Message::OutOfTlsKeys)),
        aborted("free(): double free detected in tcache 2", Some(Message::DoubleFree)),
        aborted("free(): invalid pointer", Some(Message::InvalidFree)),
        aborted("malloc(): corrupted top size", Some(Message::HeapCorrupt)),
        aborted("realloc(): invalid pointer", Some(Message::InvalidRealloc)),
        aborted("*** stack smashing detected ***: terminated", Some(Message::StackSmashed)),
        aborted("*** buffer overflow detected ***: terminated", Some(Message::BufferOverflow)),
        aborted("pure virtual method called", Some(Message::PureVirtual)),
        aborted("host: plugin.c:42: process: Assertion `n > 0' failed.", Some(Message::Assertion)),
        aborted("terminate called after throwing an instance of 'int'", Some(Message::Exception)),
        aborted("thread '<unnamed>' (7) panicked at src/lib.rs:9:5: no", Some(Message::RustPanic)),
        aborted("fatal runtime error: stack overflow", Some(Message::RustFatal)),
        aborted("panic: boom", Some(Message::GoPanic)),
        aborted("fatal error: all goroutines are asleep", Some(Message::GoFatal)),
        aborted("FATAL: no license", Some(Message::Fatal)),
    ]));
}

#[test]
fn hangs() {
    let holder = |wait| {
        let doing = Doing { wait, by: Some(spot("drain")) };
        Wait::Mutex { holder: Some(Box::new(Holder { thread: who(), doing })) }
    };
    let call = |call: Option<&str>, fd, of| Wait::Call {
        call: call.map(text),
        number: call.is_none().then_some(446),
        fd,
        of,
    };
    let stopped = |sender, by| {
        let stopped = Some(Stopped { signal: text("SIGSTOP"), sender, by });
        let cause = HangCause::Stall { timeout_ms: 700 };
        end(
            OutcomeKind::Hung,
            Phase::Call,
            Why::Hang(Hang { cause, doing: None, blocked: None, stopped, became: None }),
        )
    };
    let with = |cause, became: Option<&str>| {
        let doing = Some(Doing { wait: call(Some("pause"), None, None), by: None });
        Why::Hang(Hang { cause, doing, blocked: None, stopped: None, became: became.map(text) })
    };
    let at_exit = end(OutcomeKind::Hung, Phase::Exit, with(HangCause::Exit, None));
    let unseen = Hang {
        cause: HangCause::Stall { timeout_ms: 700 },
        doing: None,
        blocked: None,
        stopped: None,
        became: None,
    };
    let of = |path: &str| Some(Descriptor::File { path: text(path) });
    let mut in_loader = hung(Wait::Join { thread: Some(who()) });
    if let Some(Why::Hang(hang)) = &mut in_loader.why {
        hang.blocked =
            Some(Box::new(Blocked { thread: who(), callee: Some(text("dlopen")), by: Some(spot("load")) }));
    }
    insta::assert_snapshot!(all(&[
        hung(Wait::Runs),
        hung(Wait::OwnMutex),
        hung(Wait::Mutex { holder: None }),
        hung(holder(Wait::Runs)),
        hung(holder(Wait::Mutex { holder: None })),
        hung(holder(call(Some("poll"), None, None))),
        hung(Wait::Join { thread: None }),
        hung(Wait::Join { thread: Some(who()) }),
        in_loader,
        hung(Wait::Condition),
        hung(Wait::Futex),
        hung(call(None, None, None)),
        hung(call(Some("read"), Some(7), Some(Descriptor::Pipe))),
        hung(call(Some("read"), Some(7), of("/dev/tty"))),
        hung(call(Some("read"), Some(7), None)),
        stopped(Sender::Itself, Some(spot("process"))),
        stopped(Sender::Process { pid: 99 }, None),
        end(OutcomeKind::Hung, Phase::Call, with(HangCause::Stall { timeout_ms: 700 }, Some("/bin/sleep"))),
        Outcome { cycle: None, ..at_exit },
        end(OutcomeKind::Hung, Phase::Call, Why::Hang(unseen)),
    ]));
}

#[test]
fn exits() {
    let at_exit = ended_by(exited(3, Some(ExitFunction::UnderscoreExit), Some(spot("process"))));
    let said = Some(Said { line: text("cannot open the display"), message: None });
    insta::assert_snapshot!(all(&[
        ended_by(exited(0, Some(ExitFunction::Exit), Some(spot("process")))),
        ended_by(Exit { said, ..exited(3, Some(ExitFunction::UnderscoreExit), Some(stripped())) }),
        ended_by(Exit { thread: Some(who()), ..exited(4, Some(ExitFunction::ExitGroup), None) }),
        ended_by(exited(0, Some(ExitFunction::LastThread), None)),
        ended_by(exited(1, None, None)),
        ended_by(Exit { became: Some(text("/bin/true")), ..exited(0, None, None) }),
        Outcome { phase: Some(Phase::Exit), cycle: None, ..at_exit },
    ]));
}

#[test]
fn limits() {
    let at_exit = limited(Excess::Output, 5 << 30, 4 << 30, false);
    insta::assert_snapshot!(all(&[
        limited(Excess::Time, 1_234, 1_000, true),
        limited(Excess::Memory, 3 << 30, 2 << 30, true),
        limited(Excess::Memory, 3 << 30, 2 << 30, false),
        limited(Excess::Fds, 1_025, 1_024, true),
        limited(Excess::Fds, 1_000_001, 1_000_000, false),
        limited(Excess::Tasks, 201, 200, true),
        limited(Excess::Tasks, 10_001, 10_000, false),
        limited(Excess::Processes, 2_001, 2_000, false),
        limited(Excess::File, 1 << 20, 1 << 20, true),
        Outcome { phase: Some(Phase::Exit), cycle: None, ..at_exit },
    ]));
}

#[test]
fn failed_loads() {
    let missing = |symbol: &str, exports| LoadCause::MissingSymbol { symbol: Some(text(symbol)), exports };
    let near = |nearest: Option<&str>| Some(Exports { count: 12, nearest: nearest.map(text) });
    let tls = |each| Some(Shortage::StaticTls { each, tunable: 8192 });
    let no_tls = "/l/libplugin.so: cannot allocate memory in static TLS block";
    let no_memory = "/l/libplugin.so: failed to map segment from shared object";
    let late = |shortage| refused(214, LoadCause::Refused, no_memory, Some(shortage));
    let path = || text("/l/libplugin.so");
    let most = [(1_010, Descriptor::Pipe), (8, Descriptor::File { path: text("/dev/null") })];
    let most = most.map(|(count, of)| OpenFds { of, count }).to_vec();
    let fds = Shortage::Fds { open: 1_024, allowed: Some(1_024), most };
    insta::assert_snapshot!(all(&[
        refused(0, LoadCause::Refused, "/l/libplugin.so: invalid ELF header", None),
        refused(0, LoadCause::Refused, "", None),
        refused(
            0,
            LoadCause::MissingLibrary,
            "libx.so.3: cannot open shared object file: No such file or directory",
            None
        ),
        refused(0, missing("cbrt", None), "/l/libplugin.so: undefined symbol: cbrt", None),
        refused(
            0,
            LoadCause::MissingVersion,
            "/lib/libc.so.6: version `GLIBC_2.99' not found (required by /l/libplugin.so)",
            None
        ),
        refused(
            0,
            missing("proces", near(Some("process"))),
            "/l/libplugin.so: undefined symbol: proces",
            None
        ),
        refused(0, missing("main", near(None)), "/l/libplugin.so: undefined symbol: main", None),
        of_file(LoadCause::DataSymbol { symbol: text("table") }),
        of_file(LoadCause::BadFile {
            path: path(),
            problem: FileProblem::Unreadable(dlsoak_record::file::Unreadable::Empty)
        }),
        refused(5, LoadCause::CopyFailed { path: path(), errno: 28 }, "", Some(Shortage::Disk)),
        refused(5, LoadCause::CopyFailed { path: path(), errno: 13 }, "", None),
        refused(5, LoadCause::ThreadNotStarted { errno: 11 }, "", None),
        refused(0, LoadCause::ThreadEnded, "", None),
        refused(7, LoadCause::ExerciseFailed { returned: 4 }, "", None),
        refused(0, LoadCause::ExerciseNotLoaded, "/l/libdriver.so: undefined symbol: drive", None),
        of_file(LoadCause::OriginalUnreadable { path: path(), errno: 13 }),
        of_file(LoadCause::NotPreloaded),
        of_file(LoadCause::SandboxRefused { errno: 1 }),
        of_file(LoadCause::SetupFailed { errno: 12 }),
        refused(1, LoadCause::ProcessUnreadable { problem: text("Permission denied") }, "", None),
        refused(0, LoadCause::Refused, no_tls, tls(None)),
        refused(214, LoadCause::Refused, no_tls, tls(None)),
        staying(Mode::Copies, no_tls, tls(Some(8))),
        staying(Mode::Copies, no_tls, tls(None)),
        staying(Mode::Namespace, no_tls, tls(None)),
        staying(
            Mode::Namespace,
            "no more namespaces available for dlmopen()",
            Some(Shortage::Namespaces { allowed: 15 })
        ),
        staying(Mode::Copies, no_memory, None),
        late(fds),
        late(Shortage::Mappings { mappings: 65_520, allowed: 65_530 }),
        late(Shortage::AddressSpace { mappings: 500, allowed: 1 << 30 }),
        late(Shortage::Memory { mappings: 500 }),
        late(Shortage::LibraryGone),
        late(Shortage::FileGone { path: path() }),
        late(Shortage::FileChanged { path: path(), bytes: Some((16_000, 20_000)) }),
        late(Shortage::FileChanged { path: path(), bytes: None }),
    ]));
}

#[test]
fn what_belongs_to_the_host() {
    let path = |path: &str| text(path);
    insta::assert_snapshot!(all(&[
        needs_host(Phase::Open, Some(spot("init")), None),
        needs_host(Phase::Call, Some(stripped()), None),
        needs_host(Phase::Close, None, Some(who())),
        needs_host(Phase::Exit, None, None),
        lacks(Provider::Program { path: path("/usr/sbin/apache2") }),
        lacks(Provider::Program { path: path("/opt/my host") }),
        lacks(Provider::Sibling { path: path("/usr/lib/apache2/modules/mod_proxy.so") }),
        end(OutcomeKind::Exited, Phase::Between, Why::FileChanged(changed(false))),
        end(OutcomeKind::Exited, Phase::Between, Why::FileChanged(changed(true))),
    ]));
}

#[test]
fn ends_that_a_person_asked_for() {
    let asked = |kind, why| Outcome { kind, why, ..Outcome::default() };
    let doing = Some(Doing { wait: Wait::Condition, by: Some(spot("process")) });
    let hang = Hang { cause: HangCause::Interrupted, doing, blocked: None, stopped: None, became: None };
    insta::assert_snapshot!(all(&[
        asked(OutcomeKind::Completed, Some(Why::Decided)),
        asked(OutcomeKind::Completed, Some(Why::Duration)),
        asked(OutcomeKind::Interrupted, None),
        asked(OutcomeKind::Interrupted, Some(Why::CutShort)),
        end(OutcomeKind::Interrupted, Phase::Call, Why::Hang(hang)),
    ]));
    let completed = asked(OutcomeKind::Completed, Some(Why::Decided));
    let missing = ended(&Ended { outcome: completed, measured: 1_000 }).fact;
    assert_eq!(missing, "interrupted after 1,000 measured cycles, before all passes were over");
}

#[test]
fn traces_that_ended_early() {
    let failure = LoadFailure { said: Some(text("/l/x.so: no")), ..LoadFailure::new(LoadCause::Refused) };
    let reached = LimitReached { excess: Excess::Memory, used: 3 << 30, allowed: 2 << 30, given: true };
    let all = [
        EndedEarly::NotStarted { problem: text("no room") },
        EndedEarly::NoNotes,
        EndedEarly::NotesFull { cycles: 1_000 },
        EndedEarly::LoadFailed(Box::new(failure)),
        EndedEarly::NeedsHost { called: text("ap_hook") },
        EndedEarly::Died { signal: Some(text("SIGSEGV")), status: None },
        EndedEarly::Died { signal: None, status: Some(3) },
        EndedEarly::Died { signal: None, status: None },
        EndedEarly::Hung,
        EndedEarly::Interrupted,
        EndedEarly::Duration,
        EndedEarly::Limit(reached),
        EndedEarly::FileChanged(changed(false)),
        EndedEarly::SharedMemoryCorrupt,
    ];
    insta::assert_snapshot!(all.iter().map(|one| early(one) + "\n").collect::<String>());
}

#[test]
fn stacks() {
    let code = |code, address: Option<&str>| Frame { code, address: address.map(text), ..Frame::default() };
    use dlsoak_record::CodeOf;
    let repeated = Frame { repeated: Some(100), ..spot("recurse") };
    let symbol = Frame { offset: Some(0x12), file: None, line: None, ..spot("process") };
    let host = Frame { object: Some(text("dlsoak-agent")), ..code(CodeOf::Host, None) };
    let frames = vec![
        code(CodeOf::Nothing, Some("0x7f0011112222")),
        code(CodeOf::Memory, Some("0x7f0011113333")),
        code(CodeOf::Kernel, None),
        stripped(),
        repeated,
        symbol,
        host,
    ];
    let first =
        Stack { thread: who(), cycle: Some(12), phase: Some(Phase::Call), frames, ..Stack::default() };
    let other = Stack { thread: who(), unseen: true, more: true, ..Stack::default() };
    let between = Stack { thread: who(), cycle: Some(12), phase: Some(Phase::Between), ..Stack::default() };
    let outcome =
        Outcome { stacks: Some(vec![first, other, between]), more_threads: Some(5), ..Outcome::default() };
    let told: Vec<String> = super::super::stacks(&outcome).iter().map(|lines| lines.join("\n  ")).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn failed_calls() {
    let failed = |call: &str, returned: &str, check: &str, setup| {
        let why = Why::CheckFailed { call: text(call), check: text(check), returned: text(returned), setup };
        end(OutcomeKind::CallFailed, Phase::Call, why)
    };
    insta::assert_snapshot!(all(&[
        Outcome { cycle: Some(0), ..failed("init()", "-1", "== 0", false) },
        failed("make(3)", "null", "!= null", false),
        Outcome { cycle: None, phase: None, ..failed("host_new(4)", "4", "== 5", true) },
        Outcome {
            cycle: None,
            ..end(OutcomeKind::CallFailed, Phase::Between, Why::SetupReturned { returned: 3 })
        },
        of_file(LoadCause::SetupNotFound { symbol: text("host_new") }),
        of_file(LoadCause::OutTooSmall { call: text("begin(&s, 3)") }),
    ]));
}
