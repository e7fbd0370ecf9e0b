//! The languages that the record tells apart.

use serde::{Deserialize, Serialize};

/// Language a library was written in, read from its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Language {
    /// C.
    #[serde(rename = "c")]
    C,
    /// C++.
    #[serde(rename = "c++")]
    Cpp,
    /// Rust.
    #[serde(rename = "rust")]
    Rust,
    /// Go.
    #[serde(rename = "go")]
    Go,
    /// The file does not tell.
    #[serde(rename = "unknown")]
    #[default]
    Unknown,
}
