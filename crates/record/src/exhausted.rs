//! Resources that a process may have only so much of, and those that a library used up.

use dlsoak_settings::{Metric, named};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Column;
use super::residue::is_zero;

named! {
    /// A resource that can run out.
    pub enum Resource {
        /// Thread-specific keys.
        TlsKeys = "tls-keys",
        /// Descriptors (`RLIMIT_NOFILE`).
        Fds = "fds",
        /// Threads: of all processes of a user together (`RLIMIT_NPROC`), of the control group, or of the machine.
        Threads = "threads",
        /// Instances of inotify, which all processes of a user share (`fs.inotify.max_user_instances`).
        Inotify = "inotify",
        /// Mappings (`vm.max_map_count`).
        Mappings = "mappings",
        /// Address space (`RLIMIT_AS`).
        AddressSpace = "address-space",
        /// Memory of the machine, or of its control group.
        Memory = "memory",
        /// The static thread-local storage that glibc keeps for libraries.
        StaticTls = "static-tls",
        /// Namespaces of the loader.
        Namespaces = "namespaces",
    }
}

impl Resource {
    /// The column that counts it; `None` where only a load that fails shows that there is none left.
    pub fn column(self) -> Option<Column> {
        match self {
            Self::TlsKeys => Some(Column::TlsKeys),
            Self::Fds => Some(Column::Metric(Metric::Fds)),
            Self::Threads => Some(Column::Metric(Metric::Threads)),
            Self::Inotify => Some(Column::Inotify),
            Self::Mappings => Some(Column::Metric(Metric::Mappings)),
            Self::AddressSpace => Some(Column::Metric(Metric::Virtual)),
            Self::Memory | Self::StaticTls | Self::Namespaces => None,
        }
    }
}

/// How much of a resource the process could have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Allowance {
    /// The resource.
    pub resource: Resource,
    /// The limit: a count, or bytes.
    pub allowed: u64,
    /// How much of that other processes had when there was none left.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub elsewhere: u64,
}

/// A resource that ran out during the soak.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Exhausted {
    /// The resource.
    pub resource: Resource,
    /// The limit: a count, or bytes; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limit: Option<u64>,
    /// The first cycle that could not have it, from 0 over all threads, warm-up included. Where it ran out during the warm-up, the
    /// first cycle after that.
    pub cycle: u64,
    /// How much of it each cycle took before, where that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub per_cycle: Option<f64>,
}
