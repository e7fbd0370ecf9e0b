//! The part of a record that is about where it was made: by which version, on which machine, and as which share of a suite.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A share of a suite that several machines soak together, and how the suite is split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Partition {
    /// Number of the share, from 1.
    pub part: u32,
    /// How many shares there are.
    pub of: u32,
    /// Name of the suite.
    pub suite: String,
    /// Soaks of the whole suite in order, each with the part that it is in.
    pub soaks: Vec<SplitSoak>,
}

/// A soak of a suite that is split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SplitSoak {
    /// Its name.
    pub name: String,
    /// Number of the part that it is in.
    pub part: u32,
}

impl Partition {
    /// Names of the soaks of this share, in the suite's order.
    pub fn share(&self) -> impl Iterator<Item = &str> {
        self.soaks.iter().filter(|soak| soak.part == self.part).map(|soak| soak.name.as_str())
    }
}

/// What wrote the record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// Version of `dlsoak`, as in its `Cargo.toml`.
    pub version: String,
}

/// The machine, as far as it changes what a soak measures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// Kernel release, as `uname -r` prints it.
    pub kernel: String,
    /// C library and its version, for example `glibc 2.36`.
    pub libc: String,
    /// Machine, as `uname -m` prints it.
    pub machine: String,
    /// Number of CPUs this process may run on.
    pub cpus: u32,
    /// Size of a page in bytes.
    pub page_size: u64,
    /// The transparent huge page setting in force: `always`, `madvise`, `never` or `unknown`.
    pub thp: String,
}
