//! The parts of a record that are about who calls and what a cycle opens: calling patterns, and what instances cost that
//! stay.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CallFrom, LoadFailure, Metric, OutcomeKind, UnloadState, Verdict};

/// What instances cost that stay in the process: copies and namespaces of a library that is not unloaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Instances {
    /// How many were in the process at the last checkpoint.
    pub live: u64,
    /// What each of them costs.
    pub cost: Vec<InstanceCost>,
    /// Why the next one could not be loaded, where that is how the soak ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_load: Option<LoadFailure>,
}

/// What one instance costs of one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InstanceCost {
    /// What is counted.
    pub metric: Metric,
    /// How much of it one instance takes.
    pub per_instance: f64,
}

/// What came of a short soak of one calling pattern.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pattern {
    /// Which thread its cycles ran on.
    pub call_from: CallFrom,
    /// Cycles completed, warm-up not included.
    pub cycles: u64,
    /// How it ended.
    pub end: OutcomeKind,
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
