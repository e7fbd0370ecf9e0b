//! What a reader of the figures should know of how they were measured.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Code, DanglingPointer, EndedEarly};

/// Something about a measurement that its figures do not show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "note", rename_all = "kebab-case")]
pub enum Note {
    /// The soak was made again with the plain agent, because the counting one's figures are to be doubted.
    MeasuredAgain(Doubt),
    /// Calls could not be compared with the prototypes of their functions, because the library has no DWARF for them.
    CallsUnchecked {
        /// The calls, as they were given.
        calls: Vec<String>,
    },
    /// In mode `copies`, the loader binds the `STB_GNU_UNIQUE` symbols of all copies to those of the first.
    CopiesShareUnique,
    /// All threads open one path, because copies would share `STB_GNU_UNIQUE` symbols.
    OnePath,
    /// The threads can't be watched with ptrace.
    Unwatched {
        /// What the kernel said (`errno(3)`).
        errno: i32,
    },
    /// Processes that the library had started were still running at the end, and killed.
    ProcessesKilled {
        /// How many.
        count: u64,
    },
    /// With every handle closed, those that know whether the library is loaded contradict each other or changed their answer.
    WitnessesDiffer {
        /// What each of them said.
        witnesses: Vec<WitnessCount>,
    },
    /// glibc loaded `libgcc_s` for itself, for `pthread_exit`, `pthread_cancel` or `backtrace`, and keeps it.
    UnwinderLoaded,
    /// An object was left at some checkpoints and not at others.
    SometimesLeft {
        /// The object.
        object: String,
        /// Checkpoints at which it was left.
        at: u64,
        /// All checkpoints.
        of: u64,
    },
    /// The loader counts more objects than its list shows, so that they are in namespaces of their own (`dlmopen(3)`).
    HiddenObjects {
        /// How many more; negative where it counts fewer.
        count: i64,
    },
    /// Mappings of the library's file are left that hold no code, because something reads the file through `mmap`.
    FileMapped {
        /// How many.
        mappings: u64,
    },
    /// Other soaks ran at the same time, so that latencies and rates per second are contended.
    Contended {
        /// How many others, at most.
        others: u32,
    },
    /// The library leaks and could not be traced.
    NotTraced {
        /// Why.
        why: EndedEarly,
    },
    /// Growth of the heap is undecided, and no notes of its allocations could be taken.
    CohortsNotMade {
        /// Why.
        why: EndedEarly,
    },
    /// The library could not be soaked in another host.
    OtherHostNotMade {
        /// Why.
        why: EndedEarly,
    },
    /// Threads that were started during the soak belong to a library that the host holds.
    ThreadsOfHost {
        /// The library whose code they run.
        object: String,
        /// How many.
        count: u64,
    },
    /// Pointers into the library could not be looked for, or not to the end.
    PointersNotSought {
        /// Why.
        why: EndedEarly,
    },
    /// Where the library and what it needs are unloaded together, nothing points to them. In a host that links what it needs, something does.
    PointersIfHeld {
        /// What that host links, and the plain one unloads.
        objects: Vec<String>,
        /// The pointers into the library.
        pointers: Vec<DanglingPointer>,
    },
    /// Pointers into the library were looked for, and not all could be written down or would have been used.
    PointersInPart {
        /// Pointers and objects for which there was no room.
        dropped: u32,
        /// Ranges of unloaded objects that something else had taken before they could be guarded.
        unguarded: u32,
    },
}

impl Note {
    /// The code of the finding that reports it.
    pub fn code(&self) -> Code {
        match self {
            Self::MeasuredAgain(_) => Code::MeasuredAgain,
            Self::CallsUnchecked { .. } => Code::CallsUnchecked,
            Self::CopiesShareUnique => Code::CopiesShareUnique,
            Self::OnePath => Code::OnePath,
            Self::Unwatched { .. } => Code::Unwatched,
            Self::ProcessesKilled { .. } => Code::ProcessesKilled,
            Self::WitnessesDiffer { .. } => Code::WitnessesDiffer,
            Self::UnwinderLoaded => Code::UnwinderLoaded,
            Self::SometimesLeft { .. } => Code::SometimesLeft,
            Self::HiddenObjects { .. } => Code::HiddenObjects,
            Self::FileMapped { .. } => Code::FileMapped,
            Self::Contended { .. } => Code::Contended,
            Self::NotTraced { .. } => Code::NotTraced,
            Self::CohortsNotMade { .. } => Code::CohortsNotMade,
            Self::OtherHostNotMade { .. } => Code::OtherHostNotMade,
            Self::ThreadsOfHost { .. } => Code::ThreadsOfHost,
            Self::PointersNotSought { .. } => Code::PointersNotSought,
            Self::PointersIfHeld { .. } => Code::PointersIfHeld,
            Self::PointersInPart { .. } => Code::PointersInPart,
        }
    }
}

/// Why the counting agent's figures are to be doubted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "doubt", rename_all = "kebab-case")]
pub enum Doubt {
    /// More threads lived at a time than the agent can count.
    Threads,
    /// Its count of the heap and glibc's own drifted apart.
    Drift {
        /// By how many bytes per cycle.
        per_cycle: f64,
    },
}

/// Who knows whether the library is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Witness {
    /// The loader's list of objects (`dl_iterate_phdr(3)`).
    LoaderList,
    /// `dlopen` with `RTLD_NOLOAD`.
    Noload,
    /// `/proc/PID/maps`.
    Maps,
}

/// What a witness said over a soak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WitnessCount {
    /// Who.
    pub witness: Witness,
    /// How often it was asked with every handle closed.
    pub asked: u64,
    /// How often it had the library then.
    pub had: u64,
}
