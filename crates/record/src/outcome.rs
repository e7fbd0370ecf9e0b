//! How a soak ended: the kind, where, why, and what the threads were doing.

use serde::{Deserialize, Serialize};

/// How a soak ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Outcome {
    /// Kind of end.
    pub kind: OutcomeKind,
    /// Cycle it ended in, warm-up included, counted from 0 on the thread it happened on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cycle: Option<u64>,
    /// Phase it ended in: `open`, `symbol`, `call`, `close`, `between` cycles, or `exit`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub phase: Option<String>,
    /// Signal that ended it, by name (`SIGSEGV`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signal: Option<String>,
    /// What happened, in plain words, with what to do.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
    /// The memory fault that ended it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fault: Option<Fault>,
    /// Stacks of the worker's threads, where they could be taken: one text for each thread, the one that matters
    /// first. Its first line names the thread and where it was, the others its frames, innermost first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stacks: Option<Vec<String>>,
}

/// An access to memory that the machine refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Fault {
    /// The address, in hexadecimal.
    pub address: String,
    /// Address of the instruction under way, in hexadecimal.
    pub instruction: String,
    /// What is there, or was, in plain words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<String>,
    /// What was tried, where that can be told: `write` or `execute`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub access: Option<String>,
}

/// Kinds of end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeKind {
    /// All cycles ran.
    #[default]
    Completed,
    /// A signal ended the worker.
    Crashed,
    /// No cycle finished within the stall timeout.
    Hung,
    /// The library ended the process.
    Exited,
    /// A limit was hit.
    Limit,
    /// The loader refused the library, or a symbol to call is missing.
    LoadFailed,
    /// The person interrupted the run.
    Interrupted,
}
