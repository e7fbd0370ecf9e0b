//! How a soak ended that did not complete, in sentences.

use dlsoak_record::why::{
    Access, Blocked, Crash, CrashCause, Doing, EndedEarly, Exit, ExitFunction, FaultMapping, FaultPlace,
    FileChange, Handled, Hang, HangCause, HostCall, Message, Said, Sender, Stopped, Unloaded, Wait, Why,
};
use dlsoak_record::{
    Code, Ended, Excess, Fault, LimitReached, LoadCause, LoadFailure, Outcome, OutcomeKind, Phase, units,
};

use super::stack::{called, frame, thread};
use super::{Text, load, residue};

const BREAKS_AT_EXIT: &str =
    "something that the library left behind (a handler, a thread, a destructor) breaks its host at exit";
const LEAVE_NOTHING: &str = "remove every handler and join every thread before the library is unloaded";

pub(super) fn ended(ended: &Ended) -> Text {
    // Of a soak that completed, only an interruption of what follows it is a finding.
    if ended.outcome.kind == OutcomeKind::Completed {
        let cycles = measured_cycles(ended.measured);
        return Text::fact(format!("interrupted after {cycles}, before all passes were over"))
            .means("a pass that is missing might have found something");
    }
    outcome(&ended.outcome, ended.measured)
}

/// How a soak ended, with the measured cycles that it is judged by.
pub fn outcome(outcome: &Outcome, measured: u64) -> Text {
    let mut text = match (&outcome.why, outcome.kind) {
        (_, OutcomeKind::Interrupted) => interrupted(outcome, measured),
        (Some(Why::LoadFailed(failure)), _) => load::failed(outcome, failure),
        (Some(Why::NeedsHost(call)), _) => needs_host(outcome, call),
        (Some(Why::CallFailed { returned }), _) => load::exercise_failed(outcome, *returned),
        (Some(Why::StepFailed { interface, step, item }), _) => {
            let of = item.as_ref().map_or(String::new(), |item| format!(" of {item}"));
            Text::fact(format!("{interface}: the step `{step}`{of} failed{}", place_of(outcome)))
                .means("any host of this interface gets the same failure")
                .help("docs/drivers.md says what each step demands; --as none only loads the library")
        }
        (Some(Why::CheckFailed { call, check, returned, setup }), _) => {
            let cause = LoadCause::CheckFailed {
                call: call.clone(),
                check: check.clone(),
                returned: returned.clone(),
                setup: *setup,
            };
            load::failed(outcome, &LoadFailure::new(cause))
        }
        (Some(Why::SetupReturned { returned }), _) => {
            load::failed(outcome, &LoadFailure::new(LoadCause::SetupReturned { returned: *returned }))
        }
        (Some(Why::Crash(why)), _) => crash(outcome, why),
        (Some(Why::Hang(why)), _) => hang(outcome, why),
        (Some(Why::Exit(why)), _) => exit(outcome, why),
        (Some(Why::FileChanged(change)), _) => file_changed(outcome, change),
        (Some(Why::Limit(reached)), _) => limit(outcome, reached),
        (Some(Why::SharedMemoryCorrupt), _) => Text::fact(format!(
            "the memory that the process shares with dlsoak is corrupt, because the library wrote outside its own memory{}",
            place_of(outcome)
        ))
        .means("in production it would overwrite the host's memory")
        .help(RUN_VALGRIND),
        (Some(Why::ParentKilled), _) => Text::fact(format!(
            "the library killed its parent process{}, and the process died with it",
            place_of(outcome)
        ))
        .means("in production this kills whatever started the host"),
        (Some(Why::Decided), _) => {
            Text::fact("the soak ended before its last cycle, because the verdict was certain (--until-decided)")
        }
        (Some(Why::Duration), _) => {
            Text::fact("the soak ended before its last cycle, because its time ran out (--duration)")
        }
        (Some(Why::CutShort) | None, kind) => Text::fact(format!("{}{}", plain(kind), signal_at(outcome))),
    };
    let at_exit = outcome.phase == Some(Phase::Exit)
        && matches!(outcome.kind, OutcomeKind::Crashed | OutcomeKind::Hung | OutcomeKind::Exited);
    if at_exit {
        let known = text.consequence.map(|known| format!("{known}; "));
        text.consequence = Some(known.unwrap_or_default() + BREAKS_AT_EXIT);
        text.help = Some(LEAVE_NOTHING.to_owned());
    }
    text
}

fn plain(kind: OutcomeKind) -> &'static str {
    match kind {
        OutcomeKind::Completed => "completed",
        OutcomeKind::Crashed => "crashed",
        OutcomeKind::Hung => "hung",
        OutcomeKind::Exited => "the library ended the process",
        OutcomeKind::Limit => "exceeded a limit",
        OutcomeKind::NeedsHost => "needs its real host",
        OutcomeKind::CallFailed => "a call failed",
        OutcomeKind::LoadFailed => "did not load",
        OutcomeKind::Interrupted => "interrupted",
    }
}

fn file_changed(outcome: &Outcome, change: &FileChange) -> Text {
    let id = |id: &Option<String>| {
        id.as_ref().map_or("a file without a build id".to_owned(), |id| format!("build {id}"))
    };
    let to = match change.same {
        true => "a file with the same content took its place".to_owned(),
        false => format!("{} became {}", id(&change.before), id(&change.now)),
    };
    let cycle = units::count(outcome.cycle.unwrap_or(0));
    Text::fact(format!("{} changed in cycle {cycle} or before: {to}", units::printable(&change.path)))
        .means("a soak measures one file, so the figures are those of the checkpoints before")
        .help("soak again while nothing builds or installs the library")
}

fn needs_host(outcome: &Outcome, call: &HostCall) -> Text {
    let by = call.by.as_ref().map_or("the library".to_owned(), frame);
    let on = call.thread.as_ref().map(|who| format!(", on {}", thread(who))).unwrap_or_default();
    let text = Text::fact(format!(
        "{by} called {}, which only its real host has,{}{on}",
        called(&call.called),
        place_of(outcome)
    ))
    .means("dlsoak stands in for what the host exports, but can't run it, so the soak ends here");
    match outcome.phase {
        Some(Phase::Call) => text.help("leave out the calls, and soak how the library loads and unloads"),
        _ => text.help("soak the library in its real host"),
    }
}

/// ` with SIGSEGV in a call of cycle 12`, as much of it as is known.
fn signal_at(outcome: &Outcome) -> String {
    let signal = outcome.signal.as_ref().map(|signal| format!(" with {signal}"));
    signal.unwrap_or_default() + &place_of(outcome)
}

/// ` in a call of cycle 12`.
fn place_of(outcome: &Outcome) -> String {
    let phase = match outcome.phase {
        Some(Phase::Open) => " in dlopen",
        Some(Phase::Symbol) => " in dlsym",
        Some(Phase::Call) => " in a call",
        Some(Phase::Close) => " in dlclose",
        Some(Phase::After) => " in a call after dlclose",
        Some(Phase::Between) => return " between cycles".to_owned(),
        Some(Phase::Exit) => return " at exit, after the last cycle".to_owned(),
        Some(Phase::OtherThread) => " on another thread",
        None => "",
    };
    let of = outcome.library.as_ref().map(|library| format!(" of {}", units::printable(library)));
    let phase = match (of, outcome.cycle) {
        (Some(of), Some(cycle)) => return format!("{phase}{of} in cycle {}", units::count(cycle)),
        (Some(of), None) => format!("{phase}{of}"),
        (None, _) => phase.to_owned(),
    };
    match outcome.cycle {
        Some(cycle) if phase.is_empty() => format!(" in cycle {}", units::count(cycle)),
        Some(cycle) => format!("{phase} of cycle {}", units::count(cycle)),
        None => phase,
    }
}

fn measured_cycles(measured: u64) -> String {
    match measured {
        1 => "1 measured cycle".to_owned(),
        _ => format!("{} measured cycles", units::count(measured)),
    }
}

fn interrupted(outcome: &Outcome, measured: u64) -> Text {
    let what =
        if matches!(outcome.why, Some(Why::CutShort)) { "the run was cut short" } else { "interrupted" };
    let cycles = measured_cycles(measured);
    let text = Text::fact(format!("{what} after {cycles}, which the verdict is based on"));
    match &outcome.why {
        Some(Why::Hang(hang)) => {
            let doing = hang.doing.as_ref().map(|does| format!(", because the thread {}", doing(does)));
            text.means(format!(
                "the process did not finish its cycle when dlsoak asked it to{}, and dlsoak killed it",
                doing.unwrap_or_default()
            ))
        }
        _ => text,
    }
}

fn crash(outcome: &Outcome, crash: &Crash) -> Text {
    let head = format!("crashed{}", signal_at(outcome));
    let Text { fact, consequence, help } = cause(outcome.fault.as_ref(), crash);
    let mut known: Vec<String> = consequence.into_iter().collect();
    if matches!(crash.cause, CrashCause::Abort { .. }) {
        known.extend(crash.by.as_ref().map(|by| format!("the abort came from {}", frame(by))));
    }
    known.extend(crash.handled.as_ref().map(handled));
    let fact = if fact.is_empty() { head } else { format!("{head}: {fact}") };
    Text { fact, consequence: together(&known), help }
}

/// All that is known besides the fact.
fn together(known: &[String]) -> Option<String> {
    (!known.is_empty()).then(|| known.join("; "))
}

/// Who did it: `foo() at foo.c:3 in libfoo.so`, or `strlen(), called from foo() at foo.c:3 in libfoo.so,`.
fn who(crash: &Crash) -> String {
    match (crash.callee.as_deref().map(called), crash.by.as_ref().map(frame)) {
        (Some(callee), Some(by)) => format!("{callee}, called from {by},"),
        (Some(callee), None) => callee,
        (None, Some(by)) => by,
        (None, None) => "the library".to_owned(),
    }
}

/// Where the thread was that got a signal which it did not bring about.
fn meanwhile(crash: &Crash) -> String {
    match (&crash.callee, &crash.by) {
        (None, None) => String::new(),
        _ => format!(", while the thread was in {}", who(crash).trim_end_matches(',')),
    }
}

const RUN_VALGRIND: &str = "run the library under valgrind to see which access does it";

/// What a signal was about, what that means, and what helps.
fn cause(fault: Option<&Fault>, crash: &Crash) -> Text {
    let did = |what: &str| Text::fact(format!("{} {what}", who(crash)));
    match &crash.cause {
        CrashCause::Access => access(fault, crash),
        CrashCause::BeyondFile => did(&format!(
            "accessed {}, beyond the end of a mapped file or of shared memory",
            address_of(fault)
        ))
        .means("the file became shorter after it was mapped, or the mapping is larger than the file"),
        CrashCause::NotAnAddress => did("followed a pointer that holds no valid address")
            .means("the pointer was not initialized, or its memory was overwritten or freed")
            .help(RUN_VALGRIND),
        CrashCause::UnloadedCode { thread: who, object, unloaded } => {
            Text::fact(format!("{} ran code of {object}, {}", thread(who), when(*unloaded)))
                .means("a thread, handler or timer outlived the library")
                .help("stop every thread, handler and timer of the library before it is unloaded")
        }
        CrashCause::StalePointer(pointer) => residue::used(pointer).means(
            "the pass `pointers` proves it, in which no load comes back to the address of an earlier one. How the soak \
             crashes depends on what is at the old address",
        ),
        CrashCause::DivisionByZero => did("divided an integer by zero"),
        CrashCause::Arithmetic => did("did an arithmetic operation that the processor refuses"),
        CrashCause::IllegalInstruction => did("ran an instruction that the processor does not know").means(
            "the instruction is a __builtin_trap, a place that the compiler considered unreachable, or code for another processor",
        ),
        CrashCause::Breakpoint => did("ran a breakpoint instruction"),
        CrashCause::ForbiddenCall => did("made a system call that a seccomp filter forbids"),
        CrashCause::BrokenPipe => did("wrote to a pipe or socket that nobody reads")
            .help("ignore SIGPIPE in the host, or send with MSG_NOSIGNAL"),
        CrashCause::Abort { said: None } => Text::fact("the process aborted and printed nothing"),
        CrashCause::Abort { said: Some(Said { line, message }) } => said(Text::fact(line), *message),
        CrashCause::Sent { sender: Sender::Itself } => did("sent the signal to its own process"),
        CrashCause::Sent { sender: Sender::Process { pid } } => {
            Text::fact(format!("process {pid} sent the signal{}", meanwhile(crash)))
        }
        CrashCause::Timer => {
            Text::fact(format!("a timer expired, and nothing handles its signal{}", meanwhile(crash)))
                .help("delete each timer before the library is unloaded")
        }
        CrashCause::Unhandled => {
            Text::fact(format!("nothing in the process handles the signal{}", meanwhile(crash)))
        }
        CrashCause::Unseen => {
            Text::default().means("dlsoak did not see the signal, so nothing more is known of it")
        }
    }
}

fn address_of(fault: Option<&Fault>) -> &str {
    fault.and_then(|fault| fault.address.as_deref()).unwrap_or("an unknown address")
}

fn access(fault: Option<&Fault>, crash: &Crash) -> Text {
    let did = match fault.and_then(|fault| fault.access) {
        Some(Access::Execute) => "jumped to",
        Some(Access::Write) => "wrote to",
        Some(Access::Read) => "read from",
        None => "accessed",
    };
    let did = format!("{} {did} {}", who(crash), address_of(fault));
    let Some(place) = fault.and_then(|fault| fault.place.as_ref()) else { return Text::fact(did) };
    let text = Text::fact(format!("{did}, {}", at_address(place)));
    match place {
        FaultPlace::NearNull => {
            text.means("the pointer is null, and the address is that of one of its fields or elements")
        }
        FaultPlace::BelowStack { .. } => text
            .means("the stack has overflowed, by recursion or by large local variables")
            .help("bound the recursion, or allocate large arrays on the heap"),
        FaultPlace::Unloaded { .. } => text
            .means("a pointer into the library outlived it")
            .help("clear every pointer that the library handed out before it is unloaded"),
        FaultPlace::Null | FaultPlace::Mapped { .. } | FaultPlace::Nothing => text,
    }
}

/// What is at an address, or was.
pub fn at_address(place: &FaultPlace) -> String {
    match place {
        FaultPlace::Null => "a null pointer".to_owned(),
        FaultPlace::NearNull => "near a null pointer".to_owned(),
        FaultPlace::BelowStack { stack_kib } => {
            format!("just below a stack of {}", units::bytes(*stack_kib as f64 * 1024.0))
        }
        FaultPlace::Unloaded { object, unloaded } => format!("in {object}, {}", when(*unloaded)),
        FaultPlace::Mapped { of, allowed } => {
            let of = match of {
                FaultMapping::Object { object, offset } => format!("at {object}+{offset:#x}"),
                FaultMapping::File { path } => format!("in the file {path}"),
                FaultMapping::Stack => "in the first thread's stack".to_owned(),
                FaultMapping::Kernel => "in the kernel's code (vdso)".to_owned(),
                FaultMapping::Memory => "in memory of no file".to_owned(),
            };
            let allowed: Vec<&str> = allowed.iter().map(|access| past(*access)).collect();
            match allowed.as_slice() {
                [] => format!("{of}, which may not be accessed"),
                some => format!("{of}, which may only be {}", some.join(" and ")),
            }
        }
        FaultPlace::Nothing => "where nothing is mapped".to_owned(),
    }
}

fn past(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::Write => "written",
        Access::Execute => "executed",
    }
}

/// What was tried.
pub fn access_word(access: Option<Access>) -> &'static str {
    match access {
        Some(Access::Read) => "read",
        Some(Access::Write) => "write",
        Some(Access::Execute) => "execute",
        None => "read or write",
    }
}

fn when(unloaded: Unloaded) -> String {
    match unloaded {
        Unloaded::ThisCycle => "unloaded in this cycle".to_owned(),
        Unloaded::Earlier { cycles_ago: 0 } => "unloaded".to_owned(),
        Unloaded::Earlier { cycles_ago: 1 } => "unloaded 1 cycle ago".to_owned(),
        Unloaded::Earlier { cycles_ago } => format!("unloaded {} cycles ago", units::count(cycles_ago)),
        Unloaded::LoadedAgain => "unloaded, and loaded there again since".to_owned(),
    }
}

/// A message with what it means, and what helps.
fn said(text: Text, message: Option<Message>) -> Text {
    let Some(message) = message else { return text };
    match message {
        Message::OutOfTlsKeys => text
            .means(
                "each load takes a key for thread-specific data and does not give it back, and a process has 1,024 \
                 (PTHREAD_KEYS_MAX)",
            )
            .help("call pthread_key_delete before the library is unloaded, or keep the library loaded"),
        Message::DoubleFree => {
            text.means("the library freed memory twice, or wrote beyond an allocation").help(RUN_VALGRIND)
        }
        Message::InvalidFree => text
            .means("the library freed what malloc had not returned, freed it twice, or wrote beyond an allocation")
            .help(RUN_VALGRIND),
        Message::HeapCorrupt => text.means("the library wrote beyond an allocation").help(RUN_VALGRIND),
        Message::InvalidRealloc => text
            .means("the library gave realloc what malloc had not returned, or what it had freed")
            .help(RUN_VALGRIND),
        Message::StackSmashed => text.means("the library wrote beyond the end of an array on the stack"),
        Message::BufferOverflow => text.means("the library wrote beyond the end of a buffer"),
        Message::PureVirtual => {
            text.means("the library called a method on an object that is under construction or destroyed")
        }
        Message::Exception => text
            .means("nothing in a C host catches a C++ exception")
            .help("catch exceptions before they leave the library"),
        Message::RustPanic => text
            .means("a panic that leaves the library ends its host")
            .help("catch panics with std::panic::catch_unwind"),
        Message::GoPanic => text
            .means("a panic in Go ends its host")
            .help("call recover in each function that the library exports"),
        Message::Assertion | Message::RustFatal | Message::GoFatal | Message::Fatal => text,
    }
}

fn handled(handled: &Handled) -> String {
    let signal = handled.signal.as_deref().unwrap_or("a fault");
    let last = handled.instruction.as_ref().map(|pc| format!(", the last one at instruction {pc}"));
    format!(
        "before that, a handler in the process caught {} {signal}{}",
        match handled.count {
            1 => "1 fault with".to_owned(),
            count => format!("{} faults with", units::count(count)),
        },
        last.unwrap_or_default()
    )
}

fn hang(outcome: &Outcome, hang: &Hang) -> Text {
    let mut known = Vec::new();
    let (head, why) = match hang.cause {
        HangCause::Stall { timeout_ms } => (
            format!("hung{}", place_of(outcome)),
            format!("no cycle finished for {} (--stall-timeout)", milliseconds(timeout_ms)),
        ),
        HangCause::Exit => (
            "hung at exit, after the last cycle".to_owned(),
            "the process did not end when dlsoak asked it to".to_owned(),
        ),
        HangCause::Interrupted => (
            format!("hung{}", place_of(outcome)),
            "the process did not finish its cycle when dlsoak asked it to".to_owned(),
        ),
    };
    known.extend(
        hang.became.as_ref().map(|program| format!("the process has become another program, {program}")),
    );
    known.extend(hang.stopped.as_ref().map(stopped));
    known.extend(hang.doing.as_ref().map(|does| format!("the thread {}", doing(does))));
    known.extend(hang.doing.as_ref().and_then(held));
    known.extend(hang.blocked.as_deref().map(blocked));
    let help = match outcome.code() {
        Code::HungDeadlock => hang.doing.as_ref().map(|doing| match doing.wait {
            Wait::OwnMutex => "unlock the mutex before the thread locks it again, or make it recursive",
            Wait::Join { .. } | Wait::Condition | Wait::Futex if hang.blocked.is_some() => {
                "stop the thread before dlclose, in a function that the host calls, and not in a destructor"
            }
            _ => "lock mutexes in the same order on every thread",
        }),
        _ => None,
    };
    let text = match known.is_empty() {
        true => Text::fact(format!("{head}: {why}")),
        false => {
            let first = known.remove(0);
            known.push(why);
            Text::fact(format!("{head}: {first}")).means(known.join("; "))
        }
    };
    match help {
        Some(help) => text.help(help),
        None => text,
    }
}

/// What a thread does, as the end of a sentence that begins with the thread.
fn doing(doing: &Doing) -> String {
    let by = doing.by.as_ref().map(frame);
    let within = |what: String| match &by {
        Some(by) => format!("{what}, in {by}"),
        None => what,
    };
    let called_from = |what: String| match &by {
        Some(by) => format!("{what}, called from {by}"),
        None => what,
    };
    match &doing.wait {
        Wait::Runs => match &by {
            Some(by) => format!("runs in {by}"),
            None => "runs at an unknown place".to_owned(),
        },
        Wait::OwnMutex => within("waits for a mutex that it holds itself".to_owned()),
        Wait::Mutex { .. } => within("waits for a mutex".to_owned()),
        Wait::Join { thread: None } => called_from("waits in pthread_join() for a thread to end".to_owned()),
        Wait::Join { thread: Some(joined) } => {
            called_from(format!("waits in pthread_join() for {} to end", thread(joined)))
        }
        Wait::Condition => within("waits for a condition variable".to_owned()),
        Wait::Futex => within("waits for a futex".to_owned()),
        Wait::Call { call: None, number, .. } => {
            let number = number.map(|number| format!(" {number}")).unwrap_or_default();
            called_from(format!("is in system call{number}"))
        }
        Wait::Call { call: Some(call), fd: None, .. } => called_from(format!("waits in {call}()")),
        Wait::Call { call: Some(call), fd: Some(fd), of, .. } => {
            let of = of.as_ref().map(|of| format!(" ({})", load::descriptor(of))).unwrap_or_default();
            called_from(format!("waits in {call}() on fd {fd}{of}"))
        }
    }
}

/// Who waits for the loader's lock, and why that does not end.
fn blocked(blocked: &Blocked) -> String {
    let callee =
        blocked.callee.as_deref().map(|callee| format!(" in {}", called(callee))).unwrap_or_default();
    let by = blocked.by.as_ref().map(|by| format!(", called from {}", frame(by))).unwrap_or_default();
    format!(
        "{} waits{callee} for the loader's lock{by}, and the first thread holds that lock until its dlopen or dlclose \
         returns, so neither goes on",
        thread(&blocked.thread)
    )
}

/// Who holds the mutex that a thread waits for.
fn held(waits: &Doing) -> Option<String> {
    let Wait::Mutex { holder: Some(holder) } = &waits.wait else { return None };
    Some(format!("{} holds the mutex and {}", thread(&holder.thread), doing(&holder.doing)))
}

fn stopped(stopped: &Stopped) -> String {
    let signal = &stopped.signal;
    match (stopped.sender, &stopped.by) {
        (Sender::Itself, Some(by)) => format!("{} stopped its own process with {signal}", frame(by)),
        (Sender::Itself, None) => format!("the process stopped itself with {signal}"),
        (Sender::Process { pid }, _) => format!("process {pid} stopped the process with {signal}"),
    }
}

fn exit(outcome: &Outcome, exit: &Exit) -> Text {
    let status = exit.status;
    let mut known = Vec::new();
    let at = place_of(outcome);
    let on = exit.thread.as_ref().map(|other| format!(", on {}", thread(other))).unwrap_or_default();
    let who = exit.by.as_ref().map_or("the library".to_owned(), frame);
    let mut help = Some("return an error to the caller instead");
    let fact = match (&exit.became, exit.function) {
        (Some(program), _) => {
            help = None;
            format!("the process became another program, {program}, which ended with status {status}{at}")
        }
        (None, None) => format!("{who} ended the process with exit({status}) or _exit({status}){at}"),
        (None, Some(ExitFunction::LastThread)) => {
            known.push("no other thread was left, so the process ended with exit(0)".to_owned());
            help = Some("return from the function instead");
            format!("the library ended the thread that runs main (pthread_exit or pthread_cancel){at}")
        }
        (None, Some(function)) => {
            format!("{who} ended the process with {}({status}){at}{on}", function.name())
        }
    };
    if status == 0 {
        known.push("a parent that checks only the exit status sees success".to_owned());
    }
    known.extend(exit.said.as_ref().map(|said| format!("it had printed: {}", said.line)));
    known.extend(exit.handled.as_ref().map(handled));
    Text { fact, consequence: together(&known), help: help.map(str::to_owned) }
}

fn limit(outcome: &Outcome, reached: &LimitReached) -> Text {
    let text = Text::fact(excess(reached, &place_of(outcome)));
    let flag = reached.excess.limit();
    match reached.given {
        true => text,
        false => text.help(format!("set --{flag} if the library is meant to use more")),
    }
}

fn excess(reached: &LimitReached, at: &str) -> String {
    let LimitReached { used, allowed, given, .. } = *reached;
    let amount = |value: u64| match reached.excess {
        Excess::Time => milliseconds(value),
        Excess::Memory | Excess::Output | Excess::File => units::bytes(value as f64),
        Excess::Fds | Excess::Tasks | Excess::Processes => units::count(value),
    };
    let (used, allowed) = (amount(used), amount(allowed));
    let what = match reached.excess {
        Excess::Time => format!("the soak took {used}"),
        Excess::Memory => format!("the process used {used} of resident memory{at}"),
        Excess::Fds => format!("the process had {used} descriptors open{at}"),
        Excess::Tasks => format!("the process had {used} threads and child processes{at}"),
        Excess::Processes => format!("the process and its children were {used} processes{at}"),
        Excess::Output => format!("the library wrote {used} to stdout and stderr{at}"),
        Excess::File => format!("the library wrote to a file{at}"),
    };
    let more = if reached.excess == Excess::File { " beyond what" } else { ", more than" };
    let flag = reached.excess.limit();
    let allows = match given {
        true => format!("{more} --{flag} allows ({allowed})"),
        false => format!("{more} --{flag} allows by default ({allowed}{})", default_of(reached.excess)),
    };
    match reached.excess {
        Excess::Time if !at.is_empty() => format!("{what}{allows}; it ended{at}"),
        _ => format!("{what}{allows}"),
    }
}

/// Where a default comes from, as docs/limits.md has it.
fn default_of(excess: Excess) -> &'static str {
    match excess {
        Excess::Memory => ", half of what was free when the soak began",
        Excess::Fds => ", half of what was free when the soak began, at most 1,000,000",
        Excess::Tasks => ", half of what was free when the soak began, at most 10,000",
        Excess::Processes => ", half of what was free when the soak began, at most 2,000",
        Excess::Time | Excess::Output | Excess::File => "",
    }
}

fn milliseconds(ms: u64) -> String {
    match ms % 1_000 {
        0 => format!("{} s", units::count(ms / 1_000)),
        _ => units::nanos(ms as f64 * 1e6),
    }
}

/// Why a trace, or a soak beside the measured one, went no further.
pub fn early(early: &EndedEarly) -> String {
    match early {
        EndedEarly::NotStarted { problem } => problem.clone(),
        EndedEarly::NoNotes => "the process recorded nothing".to_owned(),
        EndedEarly::NotesFull { cycles } => {
            format!(
                "after {} cycles, more resources were alive than dlsoak can record",
                units::count(*cycles)
            )
        }
        EndedEarly::LoadFailed(failure) => load::line(failure),
        EndedEarly::NeedsHost { called: function } => {
            format!("the library called {}, which only its real host has", called(function))
        }
        EndedEarly::Died { signal: Some(signal), .. } => format!("{signal} ended its process"),
        EndedEarly::Died { status: Some(status), .. } => format!("its process ended with status {status}"),
        EndedEarly::Died { .. } => "its process ended".to_owned(),
        EndedEarly::Hung => "no cycle finished in time".to_owned(),
        EndedEarly::Interrupted => "it was interrupted".to_owned(),
        EndedEarly::Duration => "its time ran out".to_owned(),
        EndedEarly::Limit(reached) => excess(reached, ""),
        EndedEarly::FileChanged(_) => "the library's file was replaced".to_owned(),
        EndedEarly::SharedMemoryCorrupt => {
            "the library wrote over the memory that the process shares with dlsoak".to_owned()
        }
    }
}

#[cfg(test)]
mod tests;
