//! The result of `dlsoak doctor`, `dlsoak.doctor/2`: what a machine has for building, loading and soaking libraries.

use dlsoak_settings::named;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::file::{Libc, Machine};
use crate::inspection::Problem;

/// The value of [`Checkup::schema`].
pub const SCHEMA: &str = "dlsoak.doctor/2";

/// Everything that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Checkup {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The worst of all.
    pub status: Status,
    /// Each check, in groups.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// What it belongs to.
    pub group: Group,
    /// What is checked.
    pub name: Name,
    /// How it stands.
    pub status: Status,
    /// What was found.
    pub found: Found,
}

/// How it stands with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// As it should be.
    Ok,
    /// Good to know, and no trouble by itself, for example an optional tool that is missing.
    Note,
    /// Trouble for some uses.
    Warn,
    /// dlsoak can't work with it, or settings contradict each other so that nothing can.
    Fail,
}

named! {
    /// What a check is about.
    pub enum Group {
        /// Compilers, linkers and pkg-config.
        Tools = "tools",
        /// The Go tools.
        Go = "go",
        /// rustc.
        Rust = "rust",
        /// C library and kernel.
        System = "system",
        /// What processes may use.
        Limits = "limits",
        /// The library that was named.
        Library = "library",
        /// The program that was named as host.
        Host = "host",
    }
}

named! {
    /// What a check is about: a program, a variable, a part of the system.
    pub enum Name {
        /// GNU's C compiler.
        Gcc = "gcc",
        /// LLVM's C compiler.
        Clang = "clang",
        /// Any C compiler.
        CCompiler = "C compiler",
        /// Any C++ compiler.
        CppCompiler = "C++ compiler",
        /// A linker.
        Ld = "ld",
        /// The variable for the C compiler.
        Cc = "CC",
        /// The variable for the C++ compiler.
        Cxx = "CXX",
        /// `pkg-config` or `pkgconf`.
        PkgConfig = "pkg-config",
        /// Directories that pkg-config searches first.
        PkgConfigPath = "PKG_CONFIG_PATH",
        /// Directories that pkg-config searches.
        PkgConfigLibdir = "PKG_CONFIG_LIBDIR",
        /// Directories that the loader searches first.
        LdLibraryPath = "LD_LIBRARY_PATH",
        /// Libraries that the loader loads into every program.
        LdPreload = "LD_PRELOAD",
        /// A second opinion on leaks of the C heap.
        Valgrind = "valgrind",
        /// The debugger.
        Gdb = "gdb",
        /// The Go tool.
        Go = "go",
        /// Where Go's library and tools are.
        GoRoot = "GOROOT",
        /// The machine that Go builds for.
        GoTarget = "target",
        /// Whether Go builds with a C compiler.
        CgoEnabled = "CGO_ENABLED",
        /// Rust's compiler.
        Rustc = "rustc",
        /// Machines that rustc has a standard library for.
        RustTargets = "targets",
        /// The machine that cargo builds for.
        CargoBuildTarget = "CARGO_BUILD_TARGET",
        /// The C library of this machine.
        CLibrary = "C library",
        /// The kernel of this machine.
        Kernel = "kernel",
        /// What `--sandbox` uses.
        Landlock = "landlock",
        /// How dlsoak sees the end of a worker.
        Ptrace = "ptrace",
        /// How `dlsoak watch --pid` counts loads.
        PerfEvents = "perf events",
        /// How `dlsoak watch` sees loads.
        LdAudit = "LD_AUDIT",
        /// What a soak reads of the worker.
        Proc = "/proc",
        /// Where copies of libraries are made.
        TmpDir = "TMPDIR",
        /// CPUs that this process may run on.
        Cpus = "CPUs",
        /// Memory that is free.
        Memory = "memory",
        /// `RLIMIT_NOFILE`.
        OpenFiles = "open files",
        /// `RLIMIT_NPROC`.
        Processes = "processes",
        /// `RLIMIT_AS`.
        AddressSpace = "address space",
        /// `RLIMIT_DATA`.
        DataSegment = "data segment",
        /// Threads that may still be started.
        Threads = "threads",
        /// Mappings that a process may have.
        Mappings = "mappings",
        /// Transparent huge pages.
        HugePages = "huge pages",
        /// The governor of the CPU's frequency.
        CpuFrequency = "CPU frequency",
        /// Whether the library loads here.
        LoadsHere = "loads here",
        /// The library's static thread-local storage.
        StaticTls = "static TLS",
        /// The library's demand for an executable stack.
        Stack = "stack",
        /// The library's text relocations.
        TextRelocations = "text relocations",
        /// Whether headers that a compiler finds belong to the library.
        Headers = "headers",
        /// Whether `dlsoak watch` can watch the host.
        Watch = "watch",
        /// The host's allocator.
        Allocator = "allocator",
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "code")]
pub enum Found {
    /// The program is not in `PATH`.
    NotInPath {
        /// A directory with the program, which a variable points to.
        elsewhere: Option<String>,
    },
    /// The program is in `PATH`.
    Program {
        /// Its file.
        path: String,
        /// Its version, where dlsoak asks for it and the program reports one.
        version: Option<String>,
    },
    /// The compiler is older than any that dlsoak is tested with.
    OldProgram {
        /// Its file.
        path: String,
        /// Its version.
        version: String,
        /// The oldest major version that dlsoak is tested with.
        oldest: u32,
    },
    /// The program does not work.
    Broken {
        /// Its file.
        path: String,
        /// How it failed.
        failure: Failure,
        /// A variable that is set and may be the cause.
        variable: Option<String>,
    },
    /// The variable is set to something that works.
    Set {
        /// Its value.
        value: String,
    },
    /// The variable names a program that is not there.
    NamesNoProgram {
        /// Its value.
        value: String,
        /// The program.
        program: String,
    },
    /// The variable names a compiler for another machine or C library.
    CompilesFor {
        /// Its value.
        value: String,
        /// What the compiler compiles for.
        target: String,
        /// This machine.
        host: String,
    },
    /// The variable lists directories that are not there.
    MissingDirectories {
        /// Its value.
        value: String,
        /// The directories.
        missing: Vec<String>,
    },
    /// The variable has an empty entry, which stands for the current directory.
    EmptyEntry {
        /// Its value.
        value: String,
    },
    /// The directory that Go takes its library and tools from.
    GoRoot {
        /// The directory.
        root: String,
        /// Whether the environment sets it; if not, `go env -w` or the build of Go does.
        by_environment: bool,
        /// Whether it fits the `go` in `PATH`.
        fit: GoRootFit,
    },
    /// Go builds for another machine than this.
    GoTarget {
        /// What it builds for, for example `linux/arm64`.
        target: String,
        /// This machine.
        host: String,
        /// Variables of the environment that set the target.
        variables: Vec<String>,
    },
    /// cgo is off.
    CgoOff {
        /// Why.
        why: CgoOff,
    },
    /// cgo is on.
    CgoOn {
        /// The C compiler that it uses.
        compiler: String,
        /// What is wrong with that compiler.
        problem: Option<CgoProblem>,
    },
    /// rustc.
    Rustc {
        /// Its file.
        path: String,
        /// Its version.
        release: String,
        /// The machine that it runs on.
        host: String,
    },
    /// Machines that rustc has a standard library for.
    RustTargets {
        /// Their names.
        targets: Vec<String>,
        /// The machine that rustc runs on.
        host: String,
    },
    /// cargo builds for another machine than rustc runs on.
    CargoTarget {
        /// What it builds for.
        target: String,
        /// The machine that rustc runs on.
        host: String,
    },
    /// No C library is where programs look for their loader.
    NoCLibrary,
    /// The C library.
    CLibrary {
        /// Its name and version, for example `glibc 2.36`.
        libc: String,
        /// Whether musl is installed besides.
        musl: bool,
    },
    /// The kernel.
    Kernel {
        /// Its release.
        release: String,
        /// The machine.
        machine: String,
        /// What dlsoak misses.
        lacks: Option<KernelLack>,
    },
    /// What Landlock can keep a library from.
    Landlock {
        /// What it can't.
        lacks: Vec<Confinement>,
    },
    /// Whether dlsoak can trace a process.
    Ptrace {
        /// `kernel.yama.ptrace_scope`, where there is one.
        scope: Option<String>,
        /// The attempt.
        attempt: Attempt,
    },
    /// What the kernel reports of a process that runs already.
    PerfEvents {
        /// `kernel.perf_event_paranoid`, where there is one.
        paranoid: Option<i32>,
        /// What it reports to this user.
        sight: Sight,
    },
    /// What the C library does with an auditor (`LD_AUDIT`).
    Auditing {
        /// Its name and version, for example `glibc 2.36`.
        libc: String,
        /// What is wrong with it.
        lacks: Option<AuditLack>,
    },
    /// The host can be watched from its start.
    Watchable {
        /// Its file.
        path: String,
    },
    /// The host can't be watched from its start.
    NotWatchable {
        /// Its file.
        path: String,
        /// Why.
        why: Unwatchable,
    },
    /// The host is a script.
    Script {
        /// Its file.
        path: String,
    },
    /// The program defines the functions of malloc itself.
    OwnMalloc,
    /// Files of `/proc/self` that a soak reads.
    Proc {
        /// Those that are missing.
        missing: Vec<String>,
        /// The option `hidepid`, where other users' processes are hidden.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        hidepid: Option<String>,
    },
    /// The directory for temporary files.
    TmpDir {
        /// Its path.
        directory: String,
        /// Whether copies of libraries can be made and loaded there.
        room: Room,
    },
    /// CPUs.
    Cpus {
        /// Their number.
        count: u32,
    },
    /// Memory that is free, limits of control groups considered.
    Memory {
        /// In bytes; `None` where it can't be read.
        free: Option<u64>,
    },
    /// A limit of a process.
    Limit {
        /// The limit in force; `None` for no limit.
        soft: Option<u64>,
        /// What it can be raised to; `None` for no limit.
        hard: Option<u64>,
        /// What a soak with threads may need, where a number is known.
        enough: Option<u64>,
    },
    /// Threads that may still be started.
    Threads {
        /// Their number; `None` where it can't be read.
        free: Option<u64>,
    },
    /// Mappings that a process may have.
    Mappings {
        /// `vm.max_map_count`; `None` where it can't be read.
        most: Option<u64>,
        /// The kernel's default.
        usual: u64,
    },
    /// Transparent huge pages.
    HugePages {
        /// The setting in force.
        setting: String,
    },
    /// The CPU's frequency.
    CpuFrequency {
        /// The governor, where there is one.
        governor: Option<String>,
    },
    /// The library loads here, as far as files show.
    Loads {
        /// Machine that it is built for.
        machine: Machine,
        /// C library that it is built for.
        libc: Libc,
    },
    /// The library does not load here.
    DoesNotLoad {
        /// Why.
        problem: Problem,
    },
    /// There are more problems than are listed.
    MoreProblems {
        /// Their number.
        count: u64,
    },
    /// The library uses static thread-local storage.
    StaticTls {
        /// Bytes that it takes.
        bytes: u64,
        /// Bytes that glibc leaves to all libraries that are opened at run time.
        room: u64,
        /// How many such libraries fit.
        at_most: u64,
    },
    /// The library asks for an executable stack.
    ExecutableStack,
    /// The loader has to rewrite the library's code.
    TextRelocations,
    /// The package of pkg-config whose library has the same name.
    Headers {
        /// Its file.
        package: String,
        /// Its version.
        version: String,
        /// The library that it links with.
        library: String,
        /// Whether that is the library.
        fit: HeadersFit,
    },
}

/// What the kernel reports to this user of a process that runs already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "code")]
pub enum Sight {
    /// Loads and unloads.
    LoadsAndUnloads,
    /// Loads alone, because this user can't read the kernel's tracepoints.
    Loads,
    /// Nothing.
    Nothing {
        /// What the kernel said.
        error: String,
    },
}

/// What is wrong with a C library under an auditor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuditLack {
    /// It has none.
    Auditors,
    /// Each call of a library's function is slow, so that `dlsoak watch` wants `--force`.
    QuickCalls,
}

/// Why a host can't be watched from its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "code")]
pub enum Unwatchable {
    /// It is static.
    Static,
    /// It is setuid or setgid, and belongs to somebody else: the loader ignores our variables.
    Setuid,
    /// Its C library is musl.
    Musl,
    /// It is for another machine.
    WrongMachine {
        /// That machine.
        machine: Machine,
    },
}

/// How a program failed that was asked for its version or settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "code")]
pub enum Failure {
    /// It could not be started.
    NotStarted {
        /// What the kernel said.
        error: String,
    },
    /// It did not answer in time.
    NoAnswer {
        /// The time in seconds.
        seconds: u64,
    },
    /// It failed, with a message.
    Message {
        /// The first line of what it wrote.
        line: String,
    },
    /// It failed without a message.
    Status {
        /// Its exit code; `None` where a signal ended it.
        exit_code: Option<i32>,
    },
    /// Its answer can't be read.
    Nonsense,
}

/// Whether a `GOROOT` fits the `go` in `PATH`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "code")]
pub enum GoRootFit {
    /// It does.
    Same,
    /// It holds no Go.
    NoInstallation,
    /// It holds another version.
    OtherVersion {
        /// The version that it holds.
        version: String,
        /// The version of the `go` in `PATH`.
        go: String,
    },
    /// It holds another copy of the same version.
    OtherCopy {
        /// The directory that the `go` in `PATH` belongs to.
        directory: String,
    },
}

/// Why cgo is off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "code")]
pub enum CgoOff {
    /// The environment says so.
    Environment,
    /// `go env -w` says so.
    Setting,
    /// It is off by default for another machine.
    OtherMachine {
        /// What Go builds for.
        target: String,
        /// This machine.
        host: String,
        /// A C compiler for the target, where its usual name is known.
        fix: Option<String>,
    },
    /// It is off by default without a C compiler.
    NoCompiler {
        /// The compiler that Go looks for.
        compiler: String,
    },
}

/// What is wrong with the C compiler that cgo uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "code")]
pub enum CgoProblem {
    /// It is not in `PATH`.
    NotInPath,
    /// It compiles for another machine than Go builds for.
    OtherMachine {
        /// What it compiles for.
        machine: String,
        /// What Go builds for.
        target: String,
        /// A C compiler for the target, where its usual name is known.
        fix: Option<String>,
    },
}

/// What dlsoak misses in a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "code")]
pub enum KernelLack {
    /// Sealed shared memory (`memfd_create`).
    SealedMemory {
        /// What the kernel said.
        error: String,
    },
    /// `process_madvise`, for memory pressure under `--chaos`.
    ProcessMadvise,
}

named! {
    /// What a sandbox keeps a library from.
    pub enum Confinement {
        /// Writing files.
        WritingFiles = "writing-files",
        /// Truncating files.
        TruncatingFiles = "truncating-files",
        /// TCP.
        Tcp = "tcp",
        /// Signals to other processes.
        Signals = "signals",
    }
}

/// An attempt to trace a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "code")]
pub enum Attempt {
    /// It succeeded.
    Succeeded,
    /// It was refused.
    Refused {
        /// What the kernel said.
        error: String,
    },
    /// It was not made, because `cat` could not be started.
    NotMade,
}

/// Whether copies of libraries can be made in a directory and loaded from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "code")]
pub enum Room {
    /// They can.
    Free {
        /// Bytes that are free.
        bytes: u64,
    },
    /// It can't be reached.
    Unreachable {
        /// What the kernel said.
        error: String,
    },
    /// It is mounted noexec.
    NoExec,
    /// It can't be written to.
    NotWritable,
}

/// Whether headers belong to the library that was named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "code")]
pub enum HeadersFit {
    /// They do: it is the same library.
    Same,
    /// The library that they belong to is not there.
    NoLibrary,
    /// They belong to a library of another name.
    OtherSoname {
        /// The `DT_SONAME` of that library, where it has one.
        theirs: Option<String>,
        /// The `DT_SONAME` of the library that was named.
        ours: String,
    },
    /// They belong to a library for another machine.
    OtherMachine {
        /// That machine.
        machine: Machine,
    },
    /// They belong to another copy of the library.
    OtherCopy {
        /// The `DT_SONAME` of both.
        soname: String,
    },
}
