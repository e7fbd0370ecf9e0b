//! The parts of a record that are about who calls and what a cycle opens: calling patterns, and what instances cost that
//! stay.

use serde::{Deserialize, Serialize};

use super::{Metric, OutcomeKind, UnloadState, Verdict};

/// What one cycle opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The same path; with several threads each has a copy of the file of its own.
    #[default]
    Reopen,
    /// A fresh copy, a new inode, every cycle.
    Copies,
    /// `dlmopen(LM_ID_NEWLM)`.
    Namespace,
}

impl Mode {
    /// Its name, as in the suite file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reopen => "reopen",
            Self::Copies => "copies",
            Self::Namespace => "namespace",
        }
    }
}

/// Which thread a cycle runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CallFrom {
    /// The process's main thread; with several threads it is one of them, and the others live on as well.
    #[default]
    Main,
    /// Threads that live on, none of them the main thread.
    Worker,
    /// A thread of its own for each cycle, which opens, calls, closes and ends.
    ShortLived,
}

impl CallFrom {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Main, Self::Worker, Self::ShortLived];

    /// Its name, as in the suite file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Worker => "worker",
            Self::ShortLived => "short-lived",
        }
    }
}

/// What instances cost that stay in the process: copies and namespaces of a library that is not unloaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Instances {
    /// How many were in the process at the last checkpoint.
    pub live: u64,
    /// What each of them costs.
    pub cost: Vec<InstanceCost>,
    /// Why the next one could not be loaded, where that is how the soak ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_load: Option<String>,
}

/// What one instance costs of one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct InstanceCost {
    /// What is counted.
    pub metric: Metric,
    /// How much of it one instance takes.
    pub per_instance: f64,
}

/// A short soak of one calling pattern.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Pattern {
    /// Which thread its cycles ran on.
    pub call_from: CallFrom,
    /// Cycles completed, warm-up not included.
    pub cycles: u64,
    /// How it ended.
    pub end: OutcomeKind,
    /// What happened, where it did not complete.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
    /// Whether the library was unloaded.
    pub state: UnloadState,
    /// Objects that the loader added per cycle.
    pub loads_per_cycle: f64,
    /// Growth of the C heap in bytes per cycle, where it was measured.
    pub heap_per_cycle: Option<f64>,
    /// Median of a whole cycle in nanoseconds, where one was measured.
    pub cycle_p50_ns: Option<u64>,
    /// Its verdict.
    pub verdict: Verdict,
}
