//! The part of a record that is about what a library was built with, as far as its file tells.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a library was built with. What its file does not tell is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Toolchain {
    /// Version of Go, as `go version FILE` tells it: `go1.26.8`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub go: Option<String>,
    /// Settings of the Go build that change how it behaves, such as `CGO_ENABLED` and `-buildmode`; Go 1.18 and later
    /// write them down.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub go_settings: BTreeMap<String, String>,
    /// Version of Rust: `1.95.0 (59807616e 2026-04-14)`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rust: Option<String>,
    /// C and C++ compilers that took part, as they name themselves. In a library of another language that is what its
    /// C parts and the start-up files of the machine that linked it were compiled with.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub c: Vec<String>,
    /// C library that it was linked against, with the lowest version that has all that it requires: `glibc 2.34`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub libc: Option<String>,
}

impl Toolchain {
    /// True when the file told nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
