//! What was done to the worker's surroundings on purpose: what it was kept from, and what disturbed it.

use dlsoak_settings::named;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What `--sandbox` kept the worker from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Sandbox {
    /// The restrictions that were applied.
    pub applied: Vec<Restriction>,
    /// Those that could not be, and why.
    pub missing: Vec<Missing>,
}

named! {
    /// Something that a sandbox keeps the worker from.
    pub enum Restriction {
        /// Writing, making and removing files outside the soak's private directories (Landlock).
        Writing = "writing",
        /// Truncating files there (Landlock).
        Truncating = "truncating",
        /// The network, the loopback included (a network namespace).
        Network = "network",
        /// TCP, both connecting and listening (Landlock). Absent where there is no network at all.
        Tcp = "tcp",
        /// Signals to processes outside, and their abstract Unix sockets (Landlock).
        Signals = "signals",
    }
}

/// A restriction that could not be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Missing {
    /// Which one.
    pub restriction: Restriction,
    /// What it lacks.
    #[serde(flatten)]
    pub lacks: Lack,
}

/// What a restriction lacks on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "lacks", rename_all = "kebab-case")]
pub enum Lack {
    /// The kernel has no Landlock, or an older version of it.
    Landlock {
        /// The version that the restriction needs.
        version: u32,
    },
    /// The kernel refused a network namespace.
    Namespace {
        /// What the kernel answered (`errno(3)`).
        errno: i32,
    },
}

/// One disturbance of `--chaos`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Disturbance {
    /// What was asked for, with its rate.
    pub what: String,
    /// How often it was done.
    pub times: u64,
    /// Why it could not be done, where it could not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<Refusal>,
}

/// Why a disturbance could not be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Refusal {
    /// A signal could not be sent.
    NotSent {
        /// The signal, by name (`SIGUSR1`).
        signal: String,
        /// What the kernel answered (`errno(3)`).
        errno: i32,
    },
    /// A file lies in a tmpfs, which is memory, so that it is never read from a disk.
    Tmpfs {
        /// The file.
        path: String,
    },
    /// A file could not be opened.
    NotOpened {
        /// The file.
        path: String,
        /// What the kernel answered (`errno(3)`).
        errno: i32,
    },
    /// What was written to a file could not be written back to its disk.
    NotWrittenBack {
        /// The file.
        path: String,
        /// What the kernel answered (`errno(3)`).
        errno: i32,
    },
    /// A file could not be dropped from the page cache.
    NotDropped {
        /// The file.
        path: String,
        /// What the kernel answered (`errno(3)`).
        errno: i32,
    },
    /// The kernel did not reclaim the worker's memory.
    NotReclaimed {
        /// What the kernel answered (`errno(3)`).
        errno: i32,
    },
}
