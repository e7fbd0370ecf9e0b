//! Why a library could not be loaded, or a cycle could not begin or go on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::Unreadable;
use super::inspection::Problem;
use super::why::Descriptor;
use super::{Code, Mode};

/// Why a cycle could not begin or go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoadFailure {
    /// What failed.
    #[serde(flatten)]
    pub cause: LoadCause,
    /// What the loader said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub said: Option<String>,
    /// What had run out or changed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shortage: Option<Shortage>,
    /// Who has the symbol that is missing, where somebody on this machine was found to have it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub provider: Option<Provider>,
    /// Instances in the process that do not unload, in the modes `copies` and `namespace`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub staying: Option<Staying>,
}

impl LoadFailure {
    /// A failure of which nothing more is known.
    pub fn new(cause: LoadCause) -> Self {
        Self { cause, said: None, shortage: None, provider: None, staying: None }
    }

    /// The code of the finding that reports it.
    pub(super) fn code(&self) -> Code {
        match &self.cause {
            LoadCause::ExerciseFailed { .. }
            | LoadCause::CheckFailed { .. }
            | LoadCause::SetupReturned { .. } => return Code::CallFailed,
            LoadCause::ThreadEnded => return Code::ExitedThread,
            LoadCause::BadFile { .. } => return Code::LoadFailedBadFile,
            _ => {}
        }
        match (&self.shortage, &self.cause) {
            (Some(Shortage::StaticTls { .. }), _) => Code::LoadFailedStaticTls,
            (Some(Shortage::Fds { .. }), _) => Code::LoadFailedFds,
            (
                Some(Shortage::Mappings { .. } | Shortage::AddressSpace { .. } | Shortage::Memory { .. }),
                _,
            ) => Code::LoadFailedMemory,
            (Some(Shortage::Namespaces { .. }), _) => Code::LoadFailedNamespaces,
            (Some(Shortage::FileGone { .. } | Shortage::FileChanged { .. }), _) => {
                Code::LoadFailedFileChanged
            }
            (_, LoadCause::MissingSymbol { .. } | LoadCause::DataSymbol { .. }) => {
                Code::LoadFailedMissingSymbol
            }
            (_, LoadCause::MissingVersion) => Code::LoadFailedMissingVersion,
            (_, LoadCause::MissingLibrary) => Code::LoadFailedMissingLibrary,
            _ => Code::LoadFailed,
        }
    }
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FileProblem {
    /// It could not be read.
    System {
        /// What the file system said.
        said: String,
    },
    /// It is not an ELF file that can be read.
    Unreadable(Unreadable),
    /// It can't be loaded on this machine.
    NotLoadable(Problem),
}

/// What failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "cause", rename_all = "kebab-case")]
pub enum LoadCause {
    /// The loader refused, and `said` has its words.
    Refused,
    /// The loader did not find the library, or one that it needs.
    MissingLibrary,
    /// A symbol is missing: one to call, or one that the library needs.
    MissingSymbol {
        /// Its name.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        symbol: Option<String>,
        /// For one to call: what the library exports instead.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        exports: Option<Exports>,
    },
    /// A version of a symbol is missing.
    MissingVersion,
    /// The symbol to call is data.
    DataSymbol {
        /// Its name.
        symbol: String,
    },
    /// The file can't be read, or is no library that can be loaded on this machine.
    BadFile {
        /// The file, as given.
        path: String,
        /// What is wrong with it.
        problem: FileProblem,
    },
    /// The copy of the library that a cycle opens could not be made.
    CopyFailed {
        /// Where.
        path: String,
        /// What the kernel said (`errno(3)`).
        errno: i32,
    },
    /// The thread that a cycle was to run on could not be started.
    ThreadNotStarted {
        /// What the kernel said.
        errno: i32,
    },
    /// The library ended the thread that called it (`pthread_exit`, `pthread_cancel`).
    ThreadEnded,
    /// The exercise returned another number than 0.
    ExerciseFailed {
        /// The number.
        returned: i32,
    },
    /// A check of a call failed.
    CheckFailed {
        /// The call, as it was written.
        call: String,
        /// The check, as it was written.
        check: String,
        /// The result.
        returned: String,
        /// Whether the call is one of `--setup`.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        setup: bool,
    },
    /// The set-up of the driver returned another number than 0.
    SetupReturned {
        /// The number.
        returned: i32,
    },
    /// A function wrote more than the 8 bytes that an out-parameter has.
    OutTooSmall {
        /// The call, as it was written.
        call: String,
    },
    /// The host has no function of this name, which `--setup` calls.
    SetupNotFound {
        /// Its name.
        symbol: String,
    },
    /// The library with the exercise could not be opened, or lacks its function; `said` has the loader's words.
    ExerciseNotLoaded,
    /// The library could not be read to make copies of it.
    OriginalUnreadable {
        /// The file.
        path: String,
        /// What the kernel said.
        errno: i32,
    },
    /// The library that takes notes for a trace was not preloaded.
    NotPreloaded,
    /// Nothing of the sandbox could be applied.
    SandboxRefused {
        /// What the kernel said.
        errno: i32,
    },
    /// The process could not be set up.
    SetupFailed {
        /// What the kernel said.
        errno: i32,
    },
    /// The library has made its process unreadable.
    ProcessUnreadable {
        /// What the system says.
        problem: String,
    },
}

/// What a library exports that lacks a symbol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exports {
    /// How many symbols.
    pub count: u64,
    /// The one of the nearest name, where one is similar.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub nearest: Option<String>,
}

/// Who has a symbol that a library lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Provider {
    /// A program exports it to the libraries that it loads.
    Program {
        /// Its file.
        path: String,
    },
    /// A library in the same directory exports it, which the host loads before.
    Sibling {
        /// Its file.
        path: String,
    },
}

/// What had run out or changed when a load failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Shortage {
    /// The static thread-local storage that glibc keeps for libraries.
    StaticTls {
        /// Bytes that each instance takes, where that is known.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        each: Option<u64>,
        /// A value of the tunable `glibc.rtld.optional_static_tls` that makes room for more.
        tunable: u64,
    },
    /// Descriptors.
    Fds {
        /// How many were open.
        open: u64,
        /// How many the process may have (`RLIMIT_NOFILE`).
        #[serde(skip_serializing_if = "Option::is_none", default)]
        allowed: Option<u64>,
        /// What most of them are of, most frequent first; at most 3.
        most: Vec<OpenFds>,
    },
    /// Mappings (`vm.max_map_count`).
    Mappings {
        /// How many there were.
        mappings: u64,
        /// How many there may be.
        allowed: u64,
    },
    /// Address space (`RLIMIT_AS`).
    AddressSpace {
        /// Mappings that there were.
        mappings: u64,
        /// Bytes that the process may have.
        allowed: u64,
    },
    /// Memory of the machine, or of its control group.
    Memory {
        /// Mappings that there were.
        mappings: u64,
    },
    /// Room on the disk.
    Disk,
    /// Namespaces.
    Namespaces {
        /// How many glibc gives.
        allowed: u64,
    },
    /// A library that it needs was there in earlier cycles and is gone.
    LibraryGone,
    /// The library's own file was removed since the soak began.
    FileGone {
        /// The file.
        path: String,
    },
    /// The library's own file was changed or replaced since the soak began.
    FileChanged {
        /// The file.
        path: String,
        /// Its bytes before and now, where they differ.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        bytes: Option<(u64, u64)>,
    },
}

/// Descriptors of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenFds {
    /// What they are of.
    #[serde(flatten)]
    pub of: Descriptor,
    /// How many.
    pub count: u64,
}

/// Instances of a library that do not unload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Staying {
    /// What a cycle opens: copies, or namespaces.
    pub mode: Mode,
    /// How many were in the process.
    pub live: u64,
}
