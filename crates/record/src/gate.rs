//! What the gate made of a soak, as a record has it.

use serde::{Deserialize, Serialize};

/// What the gate made of one soak.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Gate {
    /// Passed, failed, or undecided (`null`).
    pub passed: Option<bool>,
    /// Each rule that was applied.
    pub rules: Vec<Rule>,
}

/// One rule of the gate and what it found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rule {
    /// Name of the rule, as its flag or key is called (`max-leak-rate`).
    pub name: String,
    /// The limit, as given.
    pub limit: String,
    /// What was measured against it.
    pub measured: String,
    /// Passed, failed, or undecided (`null`).
    pub passed: Option<bool>,
    /// The limit per cycle, in bytes or as a count, where growth is what it limits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limit_per_cycle: Option<f64>,
    /// More, in plain words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
}
