//! Hot reload: which of two builds answered, while they replaced each other at one path.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which build answered. Cycles are counted from 0, with those of the warm-up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default, JsonSchema)]
pub struct Replaced {
    /// The library, which is at the path in cycle 0, 2, 4 and so on, and the build that replaces it in the others.
    pub builds: [Build; 2],
    /// Opens that were answered by the build that was not at the path.
    pub stale: u64,
    /// The first cycle with such an open.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_stale: Option<u64>,
}

/// One of the builds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default, JsonSchema)]
pub struct Build {
    /// Its file, as given.
    pub path: String,
    /// GNU build-id in hexadecimal, where the file has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub build_id: Option<String>,
    /// Opens that it answered.
    pub answered: u64,
    /// Bytes of the C heap that each of its cycles left, where some that ran alone after the warm-up all left the same.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub heap_per_load: Option<i64>,
}
