//! The columns of the series that a record holds, so that no reader has to know them by text.

use dlsoak_settings::{Metric, named};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A column of the checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Column {
    /// Measured cycles completed.
    Cycle,
    /// Active nanoseconds since the first measured checkpoint.
    ActiveNs,
    /// Objects that the loader has added (`dlpi_adds`).
    Loads,
    /// Objects that the loader has removed (`dlpi_subs`).
    Unloads,
    /// Thread-specific keys in use.
    TlsKeys,
    /// Instances of inotify.
    Inotify,
    /// Bytes that malloc has from the kernel, in use or free (`mallinfo2(3)`).
    Malloc,
    /// A metric, under its own name.
    #[serde(untagged)]
    Metric(Metric),
}

impl Column {
    /// All columns, in the order of a row.
    pub fn all() -> impl Iterator<Item = Self> {
        let counters = [Self::Cycle, Self::ActiveNs, Self::Loads, Self::Unloads];
        counters.into_iter().chain(Metric::ALL.map(Self::Metric)).chain([
            Self::TlsKeys,
            Self::Inotify,
            Self::Malloc,
        ])
    }

    /// Its name, as in the record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cycle => "cycle",
            Self::ActiveNs => "active_ns",
            Self::Loads => "loads",
            Self::Unloads => "unloads",
            Self::TlsKeys => "tls_keys",
            Self::Inotify => "inotify",
            Self::Malloc => "malloc",
            Self::Metric(metric) => metric.name(),
        }
    }

    /// The column of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|column| column.name() == name)
    }
}

/// By hand, because the error of an untagged variant would not say which name is unknown.
impl<'de> Deserialize<'de> for Column {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::from_name(&name)
            .ok_or_else(|| serde::de::Error::custom(format_args!("unknown column `{name}`")))
    }
}

impl From<Metric> for Column {
    fn from(metric: Metric) -> Self {
        Self::Metric(metric)
    }
}

named! {
    /// A column of [`super::OverTime`].
    pub enum OverTimeColumn {
        /// Measured cycles completed.
        Cycle = "cycle",
        /// Resident bytes of `[heap]`: what malloc took from the kernel by `brk`.
        Heap = "heap",
        /// Resident bytes of memory without a file.
        Anonymous = "anonymous",
        /// Resident bytes of stacks.
        Stacks = "stacks",
        /// Resident bytes of the library's own files.
        Library = "library",
        /// Resident bytes of other files with code.
        OtherLibraries = "other_libraries",
        /// Resident bytes of files without code, and of shared memory.
        Files = "files",
        /// Median of `dlopen` in nanoseconds.
        OpenP50 = "open_p50",
        /// 99th percentile of `dlopen` in nanoseconds.
        OpenP99 = "open_p99",
        /// Largest `dlopen` in nanoseconds.
        OpenMax = "open_max",
        /// Median of `dlsym` in nanoseconds.
        SymbolP50 = "symbol_p50",
        /// 99th percentile of `dlsym` in nanoseconds.
        SymbolP99 = "symbol_p99",
        /// Largest `dlsym` in nanoseconds.
        SymbolMax = "symbol_max",
        /// Median of the calls in nanoseconds.
        CallP50 = "call_p50",
        /// 99th percentile of the calls in nanoseconds.
        CallP99 = "call_p99",
        /// Largest time of the calls in nanoseconds.
        CallMax = "call_max",
        /// Median of `dlclose` in nanoseconds.
        CloseP50 = "close_p50",
        /// 99th percentile of `dlclose` in nanoseconds.
        CloseP99 = "close_p99",
        /// Largest `dlclose` in nanoseconds.
        CloseMax = "close_max",
        /// Median of a cycle in nanoseconds.
        CycleP50 = "cycle_p50",
        /// 99th percentile of a cycle in nanoseconds.
        CycleP99 = "cycle_p99",
        /// Largest cycle in nanoseconds.
        CycleMax = "cycle_max",
    }
}

impl OverTimeColumn {
    /// The kinds of mapping, in the order of a row of resident memory.
    pub const KINDS: [Self; 6] =
        [Self::Heap, Self::Anonymous, Self::Stacks, Self::Library, Self::OtherLibraries, Self::Files];

    /// The latencies, in the order of a row of latencies: median, 99th percentile and largest of each phase.
    pub const LATENCIES: [Self; 15] = [
        Self::OpenP50,
        Self::OpenP99,
        Self::OpenMax,
        Self::SymbolP50,
        Self::SymbolP99,
        Self::SymbolMax,
        Self::CallP50,
        Self::CallP99,
        Self::CallMax,
        Self::CloseP50,
        Self::CloseP99,
        Self::CloseMax,
        Self::CycleP50,
        Self::CycleP99,
        Self::CycleMax,
    ];
}
