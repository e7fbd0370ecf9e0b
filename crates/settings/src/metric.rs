//! What is measured at each checkpoint, and in which unit.

use crate::named;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

named! {
    /// What is measured at each checkpoint.
    pub enum Metric {
        /// C heap in use: bytes of all malloc chunks, with their headers.
        Heap = "heap",
        /// Resident set size.
        Rss = "rss",
        /// Resident anonymous memory.
        Anon = "anon",
        /// Resident private dirty memory.
        PrivateDirty = "private_dirty",
        /// Proportional set size.
        Pss = "pss",
        /// Address space (`VmSize`).
        Virtual = "virtual",
        /// Page tables (`VmPTE`).
        PageTables = "page_tables",
        /// Number of mappings.
        Mappings = "mappings",
        /// Number of threads.
        Threads = "threads",
        /// Number of open file descriptors.
        Fds = "fds",
    }
}

impl Metric {
    /// What it is measured in.
    pub fn unit(self) -> Unit {
        match self {
            Self::Mappings | Self::Threads | Self::Fds => Unit::Count,
            _ => Unit::Bytes,
        }
    }
}

/// Unit of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// A number of things.
    Count,
}
