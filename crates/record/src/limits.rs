//! What a soak was allowed to use, where a person said so, and the limit that ended it.

use dlsoak_settings::named;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A limit that was set, or reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limit {
    /// Which limit.
    pub name: LimitName,
    /// What was allowed: milliseconds, bytes, or a count.
    pub allowed: u64,
    /// What was used when it ended the soak.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub used: Option<u64>,
}

named! {
    /// The limits of a soak, by the names of their flags.
    pub enum LimitName {
        /// Wall time, in milliseconds.
        Timeout = "timeout",
        /// Resident memory, in bytes.
        MemoryLimit = "memory-limit",
        /// Open descriptors.
        FdLimit = "fd-limit",
        /// Threads and processes.
        ProcessLimit = "process-limit",
        /// Bytes written.
        OutputLimit = "output-limit",
    }
}

/// What there was too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Excess {
    /// Milliseconds of wall time.
    Time,
    /// Bytes of resident memory.
    Memory,
    /// Open descriptors.
    Fds,
    /// Threads of the process and processes that descend from it, together.
    Tasks,
    /// The process and those that descend from it.
    Processes,
    /// Bytes written to standard output and standard error.
    Output,
    /// Bytes of one file.
    File,
}

impl Excess {
    /// The limit that it exceeds.
    pub fn limit(self) -> LimitName {
        match self {
            Self::Time => LimitName::Timeout,
            Self::Memory => LimitName::MemoryLimit,
            Self::Fds => LimitName::FdLimit,
            Self::Tasks | Self::Processes => LimitName::ProcessLimit,
            Self::Output | Self::File => LimitName::OutputLimit,
        }
    }
}

/// A limit that ended a soak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LimitReached {
    /// What there was too much of.
    pub excess: Excess,
    /// How much was used; for a file no more is known than that it would have been larger.
    pub used: u64,
    /// How much was allowed.
    pub allowed: u64,
    /// Whether a person set the limit; otherwise it is the default.
    pub given: bool,
}
