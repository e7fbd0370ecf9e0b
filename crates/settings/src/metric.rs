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

    /// Whether it takes part in the verdict. The proportional set size does not: it moves when other processes
    /// come and go. Nor does private dirty memory: pages of files that were written just now count as dirty, and turn
    /// from shared to private when another process that maps them ends. What a library leaks there is in `anon` or, for
    /// shared mappings, in `rss` too.
    pub fn takes_part(self) -> bool {
        !matches!(self, Self::Pss | Self::PrivateDirty)
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
