//! What a soak was allowed to use, where a person said so, and the limit that ended it.

use serde::{Deserialize, Serialize};

/// A limit that was set, or reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Limit {
    /// Name of its flag: `timeout`, `memory-limit`, `fd-limit`, `process-limit` or `output-limit`.
    pub name: String,
    /// What was allowed: milliseconds, bytes, or a count.
    pub allowed: u64,
    /// What was used when it ended the soak.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub used: Option<u64>,
}
