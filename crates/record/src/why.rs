//! What brought a soak to its end, as facts. `dlsoak-report` puts them into sentences.

use dlsoak_settings::named;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Code, DanglingPointer, Frame, LimitReached, LoadFailure, Outcome, OutcomeKind, Phase, ThreadName,
};

/// What brought a soak to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Why {
    /// The verdict was certain, and `--until-decided` asked for no more.
    Decided,
    /// The time given with `--duration` was over.
    Duration,
    /// The run was cut short, and this is what was measured up to a checkpoint.
    CutShort,
    /// A signal ended the process.
    Crash(Crash),
    /// The library wrote over the memory that the process shares with dlsoak.
    SharedMemoryCorrupt,
    /// The library killed its parent process, and died with it.
    ParentKilled,
    /// It did not go on.
    Hang(Hang),
    /// The library ended the process.
    Exit(Exit),
    /// The library's file became another during the soak.
    FileChanged(FileChange),
    /// A limit was exceeded.
    Limit(LimitReached),
    /// A cycle could not begin or go on.
    LoadFailed(LoadFailure),
    /// The library called a function that only its real host has.
    NeedsHost(HostCall),
    /// The code of `--exercise` returned another number than 0.
    CallFailed {
        /// The number.
        returned: i32,
    },
    /// A step of the cycle that the driver of a plugin interface makes failed.
    StepFailed {
        /// The interface, as people write it.
        interface: String,
        /// The step.
        step: String,
        /// What the step was for, such as `descriptor 2`, counted from 0; `None` for the plugin itself.
        item: Option<String>,
    },
    /// A check of a call failed.
    CheckFailed {
        /// The call, as it was written.
        call: String,
        /// The check, as it was written, such as `== 0`.
        check: String,
        /// The result, as it would be written in a call.
        returned: String,
        /// Whether the call is one of `--setup`.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        setup: bool,
    },
    /// The set-up of the driver, `int setup(void)`, returned another number than 0.
    SetupReturned {
        /// The number.
        returned: i32,
    },
}

/// A file that became another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileChange {
    /// The file.
    pub path: String,
    /// The build id of the file that was measured, where it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<String>,
    /// The build id of the file that is there now, where it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub now: Option<String>,
    /// Whether its content is the same.
    pub same: bool,
}

/// A call of a function that only the real host of a library has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostCall {
    /// The function.
    pub called: String,
    /// Where in the library it was called, where that was seen.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<Frame>,
    /// The thread that called it, where it makes no cycles.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub thread: Option<ThreadName>,
}

/// A signal that ended the process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Crash {
    /// What the signal was about.
    #[serde(flatten)]
    pub cause: CrashCause,
    /// Function of the C library, or of another one of the system's, in which it came.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub callee: Option<String>,
    /// Where in the library it came, or from where the function of the system was called.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<Frame>,
    /// Faults that a handler of the process took on itself before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub handled: Option<Handled>,
}

/// What a signal was about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "cause", rename_all = "kebab-case")]
pub enum CrashCause {
    /// An access to memory, which is in the outcome's `fault`.
    Access,
    /// An access beyond the end of a mapped file, or of shared memory.
    BeyondFile,
    /// A pointer that holds no address that the machine could have.
    NotAnAddress,
    /// A thread ran code of a library that is gone.
    UnloadedCode {
        /// The thread.
        thread: ThreadName,
        /// File name of the library.
        object: String,
        /// When it was unloaded.
        unloaded: Unloaded,
    },
    /// Something used what is gone, as the pass `pointers` proved, which lets no load come back to the address of another.
    StalePointer(Box<DanglingPointer>),
    /// An integer was divided by zero.
    DivisionByZero,
    /// Another operation of arithmetic was refused.
    Arithmetic,
    /// An instruction that the machine does not know.
    IllegalInstruction,
    /// A breakpoint instruction.
    Breakpoint,
    /// A system call that a seccomp filter forbids.
    ForbiddenCall,
    /// A write to a pipe or socket that nobody reads.
    BrokenPipe,
    /// The process aborted itself.
    Abort {
        /// What it had printed.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        said: Option<Said>,
    },
    /// Somebody sent the signal.
    Sent {
        /// Who.
        sender: Sender,
    },
    /// A timer went off.
    Timer,
    /// A signal that nothing in the process handles.
    Unhandled,
    /// The signal was not seen before it ended the process, so that nothing more is known of it.
    Unseen,
}

/// Who sent a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Sender {
    /// The process itself.
    Itself,
    /// Another process.
    Process {
        /// Its number.
        pid: i32,
    },
}

/// When a library was unloaded whose code or data was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "when", rename_all = "kebab-case")]
pub enum Unloaded {
    /// In the cycle under way.
    ThisCycle,
    /// In an earlier cycle.
    Earlier {
        /// How many cycles ago; 0 where another thread's cycle took the library away.
        cycles_ago: u64,
    },
    /// Before, and another thread has loaded it again at the same place since.
    LoadedAgain,
}

/// What is at an address, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FaultPlace {
    /// Address 0.
    Null,
    /// An address that a field or an element of a null pointer has.
    NearNull,
    /// Just below a stack that has overflowed.
    BelowStack {
        /// Size of the stack in KiB.
        stack_kib: u64,
    },
    /// A library that is gone.
    Unloaded {
        /// File name of the library.
        object: String,
        /// When it was unloaded.
        unloaded: Unloaded,
    },
    /// Something that is mapped, but not for this.
    Mapped {
        /// What is mapped.
        #[serde(flatten)]
        of: FaultMapping,
        /// What is allowed there.
        allowed: Vec<Access>,
    },
    /// Nothing is mapped there.
    Nothing,
}

/// What a mapping is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "of", rename_all = "kebab-case")]
pub enum FaultMapping {
    /// An object.
    Object {
        /// Its file name.
        object: String,
        /// Bytes from where it begins in memory.
        offset: u64,
    },
    /// Another file.
    File {
        /// Its path.
        path: String,
    },
    /// The first thread's stack.
    Stack,
    /// Code that the kernel gives each process (vdso).
    Kernel,
    /// Memory of no file.
    Memory,
}

/// What may be done with memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Read from it.
    Read,
    /// Write to it.
    Write,
    /// Run what it holds.
    Execute,
}

/// What the library or a runtime printed before it ended the process: of all lines the one that says most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Said {
    /// The line.
    pub line: String,
    /// What kind of message it is; absent for a line that is of no known kind.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message: Option<Message>,
}

/// Messages that say why a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// Rust's runtime has no more keys for thread-specific data.
    OutOfTlsKeys,
    /// glibc: memory was freed twice.
    DoubleFree,
    /// glibc: what was freed is no allocation, or its neighbour was written over.
    InvalidFree,
    /// glibc: memory beside an allocation was written over.
    HeapCorrupt,
    /// glibc: what was given to `realloc` is no allocation.
    InvalidRealloc,
    /// glibc: an array on the stack was written beyond its end.
    StackSmashed,
    /// glibc: a buffer was written beyond its end.
    BufferOverflow,
    /// A pure virtual method was called.
    PureVirtual,
    /// An assertion failed.
    Assertion,
    /// A C++ exception that nothing caught.
    Exception,
    /// A panic of Rust.
    RustPanic,
    /// Rust's runtime gave up.
    RustFatal,
    /// A panic of Go.
    GoPanic,
    /// Go's runtime gave up.
    GoFatal,
    /// Another fatal error.
    Fatal,
}

/// Faults that a handler of the process took on itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Handled {
    /// How many.
    pub count: u64,
    /// Signal of the last one that was looked at, by name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signal: Option<String>,
    /// Address of its instruction, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub instruction: Option<String>,
}

/// A process that did not go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hang {
    /// What it should have done.
    #[serde(flatten)]
    pub cause: HangCause,
    /// What the thread does that is inside the library; absent where that could not be seen.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub doing: Option<Doing>,
    /// A thread of the library's that waits for the loader's lock, which the thread in `doing` holds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub blocked: Option<Box<Blocked>>,
    /// What stopped the process.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stopped: Option<Stopped>,
    /// The program that the process has become.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub became: Option<String>,
}

/// What a process should have done that did not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "cause", rename_all = "kebab-case")]
pub enum HangCause {
    /// Finish a cycle.
    Stall {
        /// `--stall-timeout` in milliseconds.
        timeout_ms: u64,
    },
    /// End when told to, after the last cycle.
    Exit,
    /// Finish its cycle when the run was interrupted; it was killed.
    Interrupted,
}

/// What a thread does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Doing {
    /// What it waits for, if it waits.
    #[serde(flatten)]
    pub wait: Wait,
    /// Where in the library it is, or from where it went to wait.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<Frame>,
}

/// What a thread waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "waits", rename_all = "kebab-case")]
pub enum Wait {
    /// Nothing: it runs.
    Runs,
    /// A mutex that it holds itself.
    OwnMutex,
    /// A mutex.
    Mutex {
        /// Who holds it, where that is known.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        holder: Option<Box<Holder>>,
    },
    /// The end of a thread, in `pthread_join`.
    Join {
        /// The thread, where it is known.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        thread: Option<ThreadName>,
    },
    /// A condition variable.
    Condition,
    /// A futex, and it is not known what for.
    Futex,
    /// A system call.
    Call {
        /// Its name.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        call: Option<String>,
        /// Its number, where it is not known by name.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        number: Option<i64>,
        /// The descriptor that it waits on.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        fd: Option<i32>,
        /// What that descriptor is of.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        of: Option<Descriptor>,
    },
}

/// A thread that waits for the loader's lock. `dlopen` and `dlclose` hold it while they run constructors and destructors; `dlsym`, an
/// exception and the first use of thread-local memory take it, too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Blocked {
    /// The thread.
    pub thread: ThreadName,
    /// The function of the C library that it has called.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub callee: Option<String>,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<Frame>,
}

/// A thread that holds a mutex.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Holder {
    /// The thread.
    pub thread: ThreadName,
    /// What it does itself.
    pub doing: Doing,
}

/// What a descriptor is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Descriptor {
    /// A pipe.
    Pipe,
    /// A socket.
    Socket,
    /// What `epoll_create` makes.
    Epoll,
    /// What `eventfd` makes.
    Eventfd,
    /// What `timerfd_create` makes.
    Timerfd,
    /// What `signalfd` makes.
    Signalfd,
    /// What `inotify_init` makes.
    Inotify,
    /// What `pidfd_open` makes.
    Pidfd,
    /// A file or a device.
    File {
        /// Its path.
        path: String,
    },
    /// Something else.
    Other {
        /// What the kernel calls it.
        name: String,
    },
}

impl Descriptor {
    /// What a descriptor is of, by where its link in `/proc/PID/fd` leads: `pipe:[123]`, `anon_inode:[eventfd]`, `/dev/tty`.
    pub fn of_link(link: &str) -> Self {
        let name = match link.split_once(':') {
            Some(("pipe", _)) => return Self::Pipe,
            Some(("socket", _)) => return Self::Socket,
            Some(("anon_inode", name)) => name.trim_matches(['[', ']']),
            _ if link.starts_with('/') => return Self::File { path: link.to_owned() },
            Some((name, _)) => name,
            None => link,
        };
        match name {
            "eventpoll" => Self::Epoll,
            "eventfd" => Self::Eventfd,
            "timerfd" => Self::Timerfd,
            "signalfd" => Self::Signalfd,
            "inotify" => Self::Inotify,
            "pidfd" => Self::Pidfd,
            _ => Self::Other { name: name.to_owned() },
        }
    }
}

/// A signal that stopped the process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stopped {
    /// The signal, by name.
    pub signal: String,
    /// Who sent it.
    pub sender: Sender,
    /// Where in the library it was sent, where the process sent it to itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<Frame>,
}

/// How the library ended the process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Exit {
    /// The exit status.
    pub status: i32,
    /// The function that ended it; absent where that was not seen.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub function: Option<ExitFunction>,
    /// Where in the library it was called.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<Frame>,
    /// The thread that called it, where that makes no cycles.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub thread: Option<ThreadName>,
    /// What was printed before, where the status is not 0.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub said: Option<Said>,
    /// The program that the process had become.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub became: Option<String>,
    /// Faults that a handler of the process took on itself before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub handled: Option<Handled>,
}

named! {
    /// Ways to end a process.
    pub enum ExitFunction {
        /// `exit`.
        Exit = "exit",
        /// `quick_exit`.
        QuickExit = "quick_exit",
        /// `_exit`.
        UnderscoreExit = "_exit",
        /// `_Exit`.
        UnderscoreExitOfC = "_Exit",
        /// The system call `exit_group`.
        ExitGroup = "exit_group",
        /// `pthread_exit` or `pthread_cancel`, on the last thread that was left.
        LastThread = "pthread_exit",
    }
}

impl ExitFunction {
    /// Those that are functions of the C library and end the process whatever else runs in it.
    pub const CALLED: [Self; 4] =
        [Self::Exit, Self::QuickExit, Self::UnderscoreExit, Self::UnderscoreExitOfC];
}

/// Why a soak beside the measured one, or a trace, went no further.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum EndedEarly {
    /// It could not begin.
    NotStarted {
        /// Why, as the system says it.
        problem: String,
    },
    /// The process was not noted at all.
    NoNotes,
    /// More was alive than there is room to note.
    NotesFull {
        /// Cycles until then.
        cycles: u64,
    },
    /// A cycle could not begin or go on.
    LoadFailed(Box<LoadFailure>),
    /// The library called a function that only its real host has.
    NeedsHost {
        /// The function.
        called: String,
    },
    /// Its process ended.
    Died {
        /// By this signal.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        signal: Option<String>,
        /// With this status.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        status: Option<i32>,
    },
    /// No cycle finished in time.
    Hung,
    /// The person interrupted the run.
    Interrupted,
    /// The time that was given to it was over.
    Duration,
    /// A limit was exceeded.
    Limit(LimitReached),
    /// The library's file became another.
    FileChanged(FileChange),
    /// The library wrote over the memory that the process shares with dlsoak.
    SharedMemoryCorrupt,
}

impl Outcome {
    /// The code of the finding that reports it.
    pub fn code(&self) -> Code {
        let at_exit = self.phase == Some(Phase::Exit);
        match self.kind {
            OutcomeKind::Crashed | OutcomeKind::Hung | OutcomeKind::Exited if at_exit => Code::BrokenAtExit,
            OutcomeKind::Crashed => self.crash_code(),
            OutcomeKind::Hung => match &self.why {
                Some(Why::Hang(hang)) => hang.code(),
                _ => Code::Hung,
            },
            OutcomeKind::Exited if matches!(self.why, Some(Why::FileChanged(_))) => Code::FileChanged,
            OutcomeKind::Exited => Code::Exited,
            OutcomeKind::Limit => match &self.why {
                Some(Why::Limit(limit)) => match limit.excess {
                    super::Excess::Time => Code::LimitTimeout,
                    super::Excess::Memory => Code::LimitMemory,
                    super::Excess::Fds => Code::LimitFds,
                    super::Excess::Tasks | super::Excess::Processes => Code::LimitProcesses,
                    super::Excess::Output | super::Excess::File => Code::LimitOutput,
                },
                _ => Code::LimitReached,
            },
            OutcomeKind::LoadFailed => match &self.why {
                Some(Why::LoadFailed(failure)) => failure.code(),
                _ => Code::LoadFailed,
            },
            OutcomeKind::NeedsHost => Code::NeedsHost,
            OutcomeKind::CallFailed => Code::CallFailed,
            OutcomeKind::Interrupted | OutcomeKind::Completed => Code::Interrupted,
        }
    }

    fn crash_code(&self) -> Code {
        let Some(Why::Crash(crash)) = &self.why else { return Code::Crashed };
        let fault = self.fault.as_ref();
        match (&crash.cause, fault.and_then(|fault| fault.place.as_ref())) {
            (CrashCause::UnloadedCode { .. }, _) => Code::CrashedUnloadedCode,
            (CrashCause::StalePointer(pointer), _) if pointer.target.code => Code::CrashedUnloadedCode,
            (CrashCause::StalePointer(_), _) => Code::CrashedUnloadedData,
            (CrashCause::Abort { said }, _) => abort_code(said.as_ref().and_then(|said| said.message)),
            (CrashCause::Access, Some(FaultPlace::Null | FaultPlace::NearNull)) => Code::CrashedNullPointer,
            (CrashCause::Access, Some(FaultPlace::BelowStack { .. })) => Code::CrashedStackOverflow,
            (CrashCause::Access, Some(FaultPlace::Unloaded { .. })) => {
                if fault.is_some_and(|fault| fault.access == Some(Access::Execute)) {
                    Code::CrashedUnloadedCode
                } else {
                    Code::CrashedUnloadedData
                }
            }
            _ => Code::Crashed,
        }
    }
}

fn abort_code(message: Option<Message>) -> Code {
    match message {
        Some(Message::DoubleFree | Message::InvalidFree | Message::HeapCorrupt | Message::InvalidRealloc) => {
            Code::CrashedHeapCorrupt
        }
        Some(Message::Exception) => Code::CrashedException,
        Some(Message::RustPanic | Message::GoPanic) => Code::CrashedPanic,
        Some(Message::OutOfTlsKeys) => Code::CrashedTlsKeys,
        _ => Code::CrashedAbort,
    }
}

impl Hang {
    fn code(&self) -> Code {
        if self.stopped.is_some() {
            return Code::HungStopped;
        }
        match self.doing.as_ref().map(|doing| &doing.wait) {
            Some(Wait::OwnMutex) => Code::HungDeadlock,
            Some(Wait::Join { thread: Some(joined) })
                if self.blocked.as_ref().is_some_and(|blocked| blocked.thread.id == joined.id) =>
            {
                Code::HungDeadlock
            }
            Some(Wait::Condition | Wait::Futex) if self.blocked.is_some() => Code::HungDeadlock,
            Some(Wait::Mutex { holder: Some(holder) })
                if matches!(holder.doing.wait, Wait::Mutex { .. } | Wait::Join { .. }) =>
            {
                Code::HungDeadlock
            }
            _ => Code::Hung,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_of_what_their_links_lead_to() {
        let other = |name: &str| Descriptor::Other { name: name.to_owned() };
        for (link, of) in [
            ("pipe:[4711]", Descriptor::Pipe),
            ("socket:[1]", Descriptor::Socket),
            ("anon_inode:[eventpoll]", Descriptor::Epoll),
            ("anon_inode:inotify", Descriptor::Inotify),
            ("anon_inode:bpf-map", other("bpf-map")),
            ("net:[4026531840]", other("net")),
            ("/dev/tty", Descriptor::File { path: "/dev/tty".to_owned() }),
            ("/a:b (deleted)", Descriptor::File { path: "/a:b (deleted)".to_owned() }),
        ] {
            assert_eq!(Descriptor::of_link(link), of, "{link}");
        }
    }
}
