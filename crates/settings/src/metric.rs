//! What is measured at each checkpoint, and in which unit.

use serde::{Deserialize, Serialize};

/// What is measured at each checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// C heap in use: bytes of all malloc chunks, with their headers.
    Heap,
    /// Resident set size.
    Rss,
    /// Resident anonymous memory.
    Anon,
    /// Resident private dirty memory.
    PrivateDirty,
    /// Proportional set size.
    Pss,
    /// Address space (`VmSize`).
    Virtual,
    /// Page tables (`VmPTE`).
    PageTables,
    /// Number of mappings.
    Mappings,
    /// Number of threads.
    Threads,
    /// Number of open file descriptors.
    Fds,
}

impl Metric {
    /// Every metric, in the order of the record.
    pub const ALL: [Self; 10] = [
        Self::Heap,
        Self::Rss,
        Self::Anon,
        Self::PrivateDirty,
        Self::Pss,
        Self::Virtual,
        Self::PageTables,
        Self::Mappings,
        Self::Threads,
        Self::Fds,
    ];

    /// Its name in the record, which is also that of its checkpoint column.
    pub fn name(self) -> &'static str {
        match self {
            Self::Heap => "heap",
            Self::Rss => "rss",
            Self::Anon => "anon",
            Self::PrivateDirty => "private_dirty",
            Self::Pss => "pss",
            Self::Virtual => "virtual",
            Self::PageTables => "page_tables",
            Self::Mappings => "mappings",
            Self::Threads => "threads",
            Self::Fds => "fds",
        }
    }

    /// What it is measured in.
    pub fn unit(self) -> Unit {
        match self {
            Self::Mappings | Self::Threads | Self::Fds => Unit::Count,
            _ => Unit::Bytes,
        }
    }
}

/// Unit of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// A number of things.
    Count,
}
