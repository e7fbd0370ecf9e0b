//! How a soak ended: the kind, where, why, and what the threads were doing.

use dlsoak_settings::named;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::why::{Access, FaultPlace, Why};
use super::{Phase, Stack};

/// How a soak ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default, JsonSchema)]
pub struct Outcome {
    /// Kind of end.
    pub kind: OutcomeKind,
    /// Cycle it ended in, warm-up included, counted from 0 on the thread it happened on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cycle: Option<u64>,
    /// Phase it ended in: `open`, `symbol`, `call`, `close`, `between` cycles, or `exit`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub phase: Option<Phase>,
    /// The library that was being opened, called or closed, by the name of its file, where a cycle opens several (`--together`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub library: Option<String>,
    /// Signal that ended it, by name (`SIGSEGV`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signal: Option<String>,
    /// What brought it about; absent where all cycles that were asked for ran.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<Why>,
    /// The memory fault that ended it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fault: Option<Fault>,
    /// Stacks of the worker's threads, where they could be taken; the one that matters comes first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stacks: Option<Vec<Stack>>,
    /// Threads that there were besides those of `stacks`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub more_threads: Option<u64>,
}

/// An access to memory that the machine refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default, JsonSchema)]
pub struct Fault {
    /// The address, in hexadecimal; absent where the machine does not report it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub address: Option<String>,
    /// Address of the instruction under way, in hexadecimal.
    pub instruction: String,
    /// What is there, or was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<FaultPlace>,
    /// What was tried, where that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub access: Option<Access>,
}

named! {
    /// Kinds of end.
    #[derive(Default)]
    pub enum OutcomeKind {
        /// All cycles ran.
        #[default]
        Completed = "completed",
        /// A signal ended the worker.
        Crashed = "crashed",
        /// No cycle finished within the stall timeout.
        Hung = "hung",
        /// The library ended the process, or its file became another.
        Exited = "exited",
        /// A limit was hit.
        Limit = "limit",
        /// The loader refused the library, or a symbol to call is missing.
        LoadFailed = "load-failed",
        /// The library called a function that only its real host has.
        NeedsHost = "needs-host",
        /// A check of a call failed, or the code of `--exercise` returned another number than 0.
        CallFailed = "call-failed",
        /// The person interrupted the run.
        Interrupted = "interrupted",
    }
}
