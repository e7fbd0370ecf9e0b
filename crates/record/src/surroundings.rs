//! What was done to the worker's surroundings on purpose: what it was kept from, and what disturbed it.

use serde::{Deserialize, Serialize};

/// What `--sandbox` kept the worker from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Sandbox {
    /// What was applied, in plain words.
    pub applied: Vec<String>,
    /// What could not be, and why.
    pub missing: Vec<String>,
}

/// One disturbance of `--chaos`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Disturbance {
    /// What was asked for, with its rate.
    pub what: String,
    /// How often it was done.
    pub times: u64,
    /// Why it could not be done, where it could not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<String>,
}
