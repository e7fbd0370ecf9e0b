//! What else the process was left with: one type of evidence for each kind.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use dlsoak_settings::{ResidueKind, named};

use super::Frame;
use super::why::Access;

/// Something the process was left with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Residue {
    /// Its kind, as `--allow-residue` names it, with the evidence.
    #[serde(flatten)]
    pub evidence: Evidence,
    /// How many per cycle, where it grows; of `allocator`, how many bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub per_cycle: Option<f64>,
    /// The dependency that leaves it, where a host that keeps that loaded is left without it; or the only one of `by`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub object: Option<String>,
    /// The libraries after whose close it appeared, by the names of their files, where several were soaked together.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub by: Vec<String>,
}

impl Residue {
    /// What was found, and how many of it per cycle.
    pub fn new(evidence: Evidence, per_cycle: Option<f64>) -> Self {
        Self { evidence, per_cycle, object: None, by: Vec::new() }
    }

    /// The same, left by these of several libraries that were soaked together.
    #[must_use]
    pub fn left_by(self, by: Vec<String>) -> Self {
        let object = <&[String; 1]>::try_from(&by[..]).ok().map(|[one]| one.clone());
        Self { object, by, ..self }
    }

    /// Something that is there once, or of which it is not known that it grows.
    pub fn once(evidence: Evidence) -> Self {
        Self::new(evidence, None)
    }

    /// Its kind.
    pub fn kind(&self) -> ResidueKind {
        self.evidence.kind()
    }
}

/// What was found, by kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Evidence {
    /// Threads that the library started still run.
    Threads {
        /// The threads by name.
        left: Tally<String>,
        /// How the first of them crashes that has lost its code, where one has.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        crash: Option<ThreadCrash>,
    },
    /// Open descriptors are not those from before.
    Fds {
        /// Descriptors that are open, by what they point to: a path, or `socket` and the like without the number.
        left: Tally<String>,
        /// Descriptors of the host that were closed.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        closed: Vec<i32>,
    },
    /// Memory is still mapped.
    Mappings(Mapped),
    /// Thread-specific keys were not deleted, or the host's were.
    TlsKeys {
        /// How many were not.
        left: u64,
        /// How many a process may have.
        limit: u64,
        /// In how many cycles a process runs out of them, where they grow.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        lasts_cycles: Option<u64>,
        /// Keys of the host that were deleted, by number.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        deleted: Vec<u32>,
    },
    /// The loader refused a load because static thread-local storage was used up.
    StaticTls {
        /// How many loads went well.
        loads: u64,
        /// What the loader said.
        message: String,
    },
    /// A signal has another action.
    SignalHandler {
        /// The signal, by name.
        signal: String,
        /// Its action before the first open.
        old: SignalAction,
        /// Its action now.
        new: SignalAction,
        /// Whether the handler's code is gone.
        gone: bool,
    },
    /// The thread that ran the library blocks other signals.
    SignalMask {
        /// Signals that it blocks and did not block before, by name.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        blocked: Vec<String>,
        /// Signals that it no longer blocks, by name.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        unblocked: Vec<String>,
    },
    /// A control register of the floating-point unit of the thread that ran the library differs.
    FpMode {
        /// The register.
        register: FpRegister,
        /// Its value before the first open, in hexadecimal.
        old: String,
        /// Its value now, in hexadecimal.
        new: String,
        /// What the bits that differ mean, as far as that is known.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        changes: Vec<FpChange>,
    },
    /// The environment differs.
    Environment(EnvironmentChange),
    /// A locale differs.
    Locale(LocaleChange),
    /// The working directory differs.
    Cwd {
        /// The directory before the first open.
        old: String,
        /// The directory now.
        new: String,
    },
    /// The file mode creation mask differs.
    Umask {
        /// The mask before the first open, in octal.
        old: String,
        /// The mask now, in octal.
        new: String,
    },
    /// A resource limit differs.
    Rlimits {
        /// Its name, as `/proc/PID/limits` has it, in lower case.
        limit: String,
        /// Its values before the first open.
        old: SoftHard,
        /// Its values now.
        new: SoftHard,
    },
    /// Timers are armed.
    Timers {
        /// The timers by what they do.
        left: Tally<Timer>,
    },
    /// Child processes are left.
    Children {
        /// The processes.
        left: Tally<Child>,
    },
    /// Shared memory is left.
    Ipc(SharedMemory),
    /// Functions that the process calls when it ends are gone.
    Atexit {
        /// How many.
        count: u64,
        /// Where the first one was.
        first: At,
    },
    /// Address space grows that the C heap does not account for.
    Allocator {
        /// Bytes that are mapped now and were not before the first open.
        bytes: u64,
    },
    /// The thread that ran the library has another name.
    ThreadName {
        /// Its name now.
        new: String,
    },
    /// `oom_score_adj` differs.
    OomScore {
        /// The score before the first open.
        old: i64,
        /// The score now.
        new: i64,
    },
    /// Streams are left open, or lost.
    Stdio(StreamChange),
    /// Memory that stays points into a library that is gone.
    DanglingPointer(Box<DanglingPointer>),
}

impl Evidence {
    /// The kind of residue that it proves.
    pub fn kind(&self) -> ResidueKind {
        match self {
            Self::Threads { .. } => ResidueKind::Threads,
            Self::Fds { .. } => ResidueKind::Fds,
            Self::Mappings(_) => ResidueKind::Mappings,
            Self::TlsKeys { .. } => ResidueKind::TlsKeys,
            Self::StaticTls { .. } => ResidueKind::StaticTls,
            Self::SignalHandler { .. } => ResidueKind::SignalHandler,
            Self::SignalMask { .. } => ResidueKind::SignalMask,
            Self::FpMode { .. } => ResidueKind::FpMode,
            Self::Environment(_) => ResidueKind::Environment,
            Self::Locale(_) => ResidueKind::Locale,
            Self::Cwd { .. } => ResidueKind::Cwd,
            Self::Umask { .. } => ResidueKind::Umask,
            Self::Rlimits { .. } => ResidueKind::Rlimits,
            Self::Timers { .. } => ResidueKind::Timers,
            Self::Children { .. } => ResidueKind::Children,
            Self::Ipc(_) => ResidueKind::Ipc,
            Self::Atexit { .. } => ResidueKind::Atexit,
            Self::Allocator { .. } => ResidueKind::Allocator,
            Self::ThreadName { .. } => ResidueKind::ThreadName,
            Self::OomScore { .. } => ResidueKind::OomScore,
            Self::Stdio(_) => ResidueKind::Stdio,
            Self::DanglingPointer(_) => ResidueKind::DanglingPointer,
        }
    }
}

/// Things that are counted by what they are. Of a long list the most frequent ones are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default, JsonSchema)]
pub struct Tally<T> {
    /// How many there are in all.
    pub count: u64,
    /// What they are, most frequent first.
    pub items: Vec<Counted<T>>,
    /// How many further entries the list would have.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub more: u64,
}

impl<T> Tally<T> {
    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// One entry of a [`Tally`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counted<T> {
    /// What it is.
    pub what: T,
    /// How many of these there are.
    pub count: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// An address and what is mapped there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct At {
    /// The address, in hexadecimal.
    pub address: String,
    /// What is mapped there.
    pub place: Place,
}

/// What is mapped at an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// Nothing, any more.
    Unmapped,
    /// Memory that no file backs.
    Anonymous,
    /// A file, by its path, or `[heap]` and the like.
    File(String),
}

/// How a thread crashes that has lost its code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ThreadCrash {
    /// What it is about to do.
    pub how: CrashHow,
    /// Where the code was.
    #[serde(flatten)]
    pub at: At,
}

/// What a thread is about to do that has lost its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CrashHow {
    /// It waits in code that is gone.
    InGoneCode,
    /// It waits, and returns to code of the library, which is gone.
    ReturnsToGoneCode,
}

/// Memory that is still mapped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "memory", rename_all = "kebab-case")]
pub enum Mapped {
    /// Files, and anonymous memory that is shared, which the kernel calls `/dev/zero`.
    Files {
        /// The mappings by name.
        left: Tally<String>,
    },
    /// Private memory that no file backs.
    Anonymous {
        /// Bytes that are mapped now and were not before the first open.
        bytes: u64,
        /// Whether code may run in any of it.
        executable: bool,
    },
}

/// What a signal does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum SignalAction {
    /// `SIG_DFL`.
    Default,
    /// `SIG_IGN`.
    Ignore,
    /// A function is called.
    Handler {
        /// The function.
        #[serde(flatten)]
        at: At,
        /// `SA_*` flags, in hexadecimal.
        flags: String,
    },
}

/// A control register of the floating-point unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FpRegister {
    /// The control and status register of SSE, without the sticky flags.
    Mxcsr,
    /// The control word of the x87 unit.
    X87,
    /// The control register of AArch64.
    Fpcr,
}

/// What bits of a control register mean that differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum FpChange {
    /// Whether denormal results become zero.
    FlushToZero {
        /// Whether they do now.
        on: bool,
    },
    /// Whether denormal operands are read as zero.
    DenormalsAreZero {
        /// Whether they are now.
        on: bool,
    },
    /// Whether each NaN becomes the default one.
    DefaultNan {
        /// Whether it does now.
        on: bool,
    },
    /// The rounding mode.
    Rounding,
    /// The precision of `long double`.
    Precision,
    /// Which exceptions trap.
    Traps,
}

/// What became of the environment. Values are never recorded, because they may be secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum EnvironmentChange {
    /// `environ` points to memory that is gone.
    ArrayGone,
    /// The text of variables lies in memory that is gone.
    TextGone {
        /// How many.
        count: u64,
        /// Variables from before that can no longer be read, by name.
        names: Tally<String>,
    },
    /// Variables were set.
    Set {
        /// Their names.
        names: Tally<String>,
    },
    /// Variables have other values.
    Changed {
        /// Their names.
        names: Tally<String>,
    },
    /// Variables were removed.
    Removed {
        /// Their names.
        names: Tally<String>,
    },
}

/// Which locale differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "of", rename_all = "kebab-case")]
pub enum LocaleChange {
    /// That of the process (`setlocale`).
    Process {
        /// Its name before the first open.
        old: String,
        /// Its name now.
        new: String,
    },
    /// That of the thread that ran the library (`uselocale`).
    Thread,
}

/// The two values of a resource limit; `null` where there is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SoftHard {
    /// The value that holds.
    pub soft: Option<u64>,
    /// The value up to which a process may raise it.
    pub hard: Option<u64>,
}

/// What a timer does when it fires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "timer", rename_all = "kebab-case")]
pub enum Timer {
    /// A timer of `timer_create` sends a signal.
    Signal {
        /// The signal, by name.
        signal: String,
    },
    /// A timer of `timer_create` calls a function on a thread (`SIGEV_THREAD`).
    Thread,
    /// A timer of `timer_create` does nothing (`SIGEV_NONE`).
    Silent,
    /// An interval timer (`setitimer`, `alarm`) sends a signal.
    Interval {
        /// The signal, by name.
        signal: String,
    },
}

/// A child process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Child {
    /// Its name.
    pub name: String,
    /// Whether it has ended, and nothing has waited for it.
    pub ended: bool,
}

/// Shared memory that is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "memory", rename_all = "kebab-case")]
pub enum SharedMemory {
    /// SysV segments that the process has made.
    Sysv {
        /// The segments by their size in bytes.
        left: Tally<u64>,
    },
    /// POSIX shared memory and semaphores.
    Posix {
        /// Their files in `/dev/shm`.
        left: Tally<String>,
    },
    /// Shared memory that is still mapped.
    Mapped {
        /// The mappings by name.
        left: Tally<String>,
    },
}

/// What became of a stdio stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum StreamChange {
    /// The `FILE` of a stream lies in memory that is gone.
    FileGone {
        /// The stream.
        #[serde(flatten)]
        stream: Stream,
    },
    /// The buffer of a stream lies in memory that is gone.
    BufferGone {
        /// The stream.
        #[serde(flatten)]
        stream: Stream,
    },
    /// A standard stream was replaced by another one, or by none.
    Replaced {
        /// The stream.
        #[serde(flatten)]
        stream: Stream,
    },
    /// Streams were not closed.
    Open {
        /// How many.
        count: u64,
    },
}

/// A stdio stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default, JsonSchema)]
pub struct Stream {
    /// `stdin`, `stdout` or `stderr`, if it is one of them.
    #[serde(rename = "stream", skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// Its descriptor, where it can be read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub descriptor: Option<i32>,
}

/// Pointers of one holder into a library that is gone: the first of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DanglingPointer {
    /// How it is known that the pointer is one, and that it is kept.
    pub proof: Proof,
    /// Where it is; `null` where it was used before it was found.
    pub holder: Option<PointerHolder>,
    /// What it points to.
    pub target: PointerTarget,
    /// Loads after which the holder had such a pointer.
    pub loads: u64,
    /// Loads that were looked at.
    pub of: u64,
    /// Such pointers of the holder after the last load that left one.
    pub pointers: u64,
    /// The use that proved it, where the proof is `used`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub used: Option<Use>,
}

/// A use of what is gone, in a pass that lets no load come back to the address of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Use {
    /// Who did it.
    #[serde(flatten)]
    pub user: User,
    /// What was done with it, where that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub access: Option<Access>,
    /// The load that it had come with, counted from 0.
    pub load: u64,
    /// The library that was being opened, called or closed then, by the name of its file, where several were soaked together.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub during: Option<String>,
}

/// Who uses what is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "user", rename_all = "kebab-case")]
pub enum User {
    /// A thread that the library, or something that came with it, started.
    Thread {
        /// The function that the thread was started with, where it is known.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        start: Option<PointerTarget>,
    },
    /// The C library, which calls the destructor of a thread-specific key when a thread ends.
    KeyDestructor,
    /// The C library, which calls what was registered for the process's end.
    ExitFunction,
    /// The C library, which calls what was registered for `fork`.
    ForkHandler,
    /// The kernel, which delivers a signal.
    SignalHandler {
        /// The signal, by name.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        signal: Option<String>,
    },
    /// Another function of the process.
    Function {
        /// Its frame; absent where it is not known.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        by: Option<Frame>,
    },
}

named! {
    /// How it is known that something points into a library that is gone.
    pub enum Proof {
        /// It was used: the process accessed what was gone, and crashed.
        Used = "used",
        /// After each of several loads the same word pointed into what had just gone.
        Follows = "follows",
        /// A word that one load put there was still there at the end, in memory that lives.
        Stays = "stays",
    }
}

/// Memory that holds a pointer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PointerHolder {
    /// What kind of memory.
    pub memory: HolderMemory,
    /// File name of the object whose data it is, or whose code allocated the block.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub object: Option<String>,
    /// The variable, or the function that allocated the block.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub symbol: Option<String>,
    /// Bytes from the beginning of the variable, of the block, or else of the object.
    pub offset: u64,
    /// Bytes of the block.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub size: Option<u64>,
}

named! {
    /// A kind of memory that holds a pointer.
    pub enum HolderMemory {
        /// Data of an object.
        Data = "data",
        /// A block of the heap.
        Heap = "heap",
        /// Thread-local memory.
        ThreadLocal = "thread-local",
        /// The stack of a thread.
        Stack = "stack",
        /// A mapping without a file.
        Anonymous = "anonymous",
    }
}

/// A place in a library that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PointerTarget {
    /// File name of the library, or of one that went with it.
    pub object: String,
    /// Whether it is code.
    pub code: bool,
    /// The function or variable.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub symbol: Option<String>,
    /// Bytes from its beginning, or else from where the library was loaded.
    pub offset: u64,
    /// Source file of the function.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file: Option<String>,
    /// Line in it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub line: Option<u32>,
}
