//! What the gate made of a soak, as a record has it.

use dlsoak_settings::{Metric, ResidueKind, named};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Phase, UnloadState};

/// What the gate made of one soak.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Gate {
    /// Passed, failed, or undecided (`null`).
    pub passed: Option<bool>,
    /// Each rule that was applied.
    pub rules: Vec<Rule>,
}

/// One rule of the gate and what it found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rule {
    /// Which rule.
    pub name: RuleName,
    /// The metric that it limits, where it limits one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub metric: Option<Metric>,
    /// The limit as given; absent where the default holds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limit: Option<String>,
    /// The limit per cycle, in bytes or as a count, where growth is what it limits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limit_per_cycle: Option<f64>,
    /// What was measured against it.
    pub measured: RuleMeasured,
    /// Passed, failed, or undecided (`null`).
    pub passed: Option<bool>,
}

named! {
    /// The rules, as their flags and keys are called.
    pub enum RuleName {
        /// Growth of memory.
        MaxLeakRate = "max-leak-rate",
        /// Growth of a count.
        MaxGrowth = "max-growth",
        /// Whether the library may stay loaded.
        AllowPinned = "allow-pinned",
        /// What the process may be left with.
        AllowResidue = "allow-residue",
        /// How much more memory may grow than in the baseline.
        MaxLeakIncrease = "max-leak-increase",
        /// How much longer the 99th percentile of a phase may take than in the baseline.
        MaxP99Increase = "max-p99-increase",
        /// Whose faults fail the gate.
        Blame = "blame",
    }
}

/// What a rule compared with its limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum RuleMeasured {
    /// Nothing that it could be compared with.
    Nothing,
    /// The baseline has no soak of this name.
    NotInBaseline,
    /// All that is wrong is the fault of these libraries, and gone in a host that keeps them loaded.
    Dependencies {
        /// Their names.
        objects: Vec<String>,
    },
    /// The agent differs from the baseline's, so that calls that allocate can't be compared.
    OtherAgent,
    /// Growth of one metric.
    Growth {
        /// Which.
        metric: Metric,
        /// Per cycle, in its unit.
        per_cycle: f64,
        /// Lower bound of the 95 % interval; `null` where nothing bounds it.
        low: Option<f64>,
        /// Upper bound of the 95 % interval; `null` where nothing bounds it.
        high: Option<f64>,
        /// True when it is a count and not an estimate.
        exact: bool,
    },
    /// Whether the library was unloaded.
    Unload {
        /// The answer.
        state: UnloadState,
    },
    /// What the process was left with.
    Residue {
        /// The kinds, each once.
        kinds: Vec<ResidueKind>,
    },
    /// How much more a metric grows than in the baseline.
    Increase {
        /// Which.
        metric: Metric,
        /// Bytes per cycle more.
        per_cycle: f64,
        /// Lower bound of the 95 % interval.
        low: f64,
        /// Upper bound of the 95 % interval.
        high: f64,
    },
    /// How much longer the 99th percentile of a phase takes than in the baseline.
    P99 {
        /// The phase.
        phase: Phase,
        /// How many times as long.
        ratio: f64,
        /// In the baseline, in nanoseconds.
        base_ns: u64,
        /// Now, in nanoseconds.
        ns: u64,
    },
}
