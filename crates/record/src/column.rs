//! The columns of the series that a record holds, so that no reader has to know them by text.

use dlsoak_settings::Metric;
use serde::{Deserialize, Serialize};

/// A column of the checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// A metric, under its own name.
    #[serde(untagged)]
    Metric(Metric),
}

impl Column {
    /// All columns, in the order of a row.
    pub fn all() -> impl Iterator<Item = Self> {
        let counters = [Self::Cycle, Self::ActiveNs, Self::Loads, Self::Unloads];
        counters.into_iter().chain(Metric::ALL.map(Self::Metric))
    }

    /// Its name, as in the record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cycle => "cycle",
            Self::ActiveNs => "active_ns",
            Self::Loads => "loads",
            Self::Unloads => "unloads",
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

/// A column of [`super::OverTime`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OverTimeColumn {
    /// Measured cycles completed.
    Cycle,
    /// Resident bytes of `[heap]`: what malloc took from the kernel by `brk`.
    Heap,
    /// Resident bytes of memory without a file.
    Anonymous,
    /// Resident bytes of stacks.
    Stacks,
    /// Resident bytes of the library's own files.
    Library,
    /// Resident bytes of other files with code.
    OtherLibraries,
    /// Resident bytes of files without code, and of shared memory.
    Files,
    /// Median of `dlopen` in nanoseconds.
    OpenP50,
    /// 99th percentile of `dlopen` in nanoseconds.
    OpenP99,
    /// Largest `dlopen` in nanoseconds.
    OpenMax,
    /// Median of `dlsym` in nanoseconds.
    SymbolP50,
    /// 99th percentile of `dlsym` in nanoseconds.
    SymbolP99,
    /// Largest `dlsym` in nanoseconds.
    SymbolMax,
    /// Median of the calls in nanoseconds.
    CallP50,
    /// 99th percentile of the calls in nanoseconds.
    CallP99,
    /// Largest time of the calls in nanoseconds.
    CallMax,
    /// Median of `dlclose` in nanoseconds.
    CloseP50,
    /// 99th percentile of `dlclose` in nanoseconds.
    CloseP99,
    /// Largest `dlclose` in nanoseconds.
    CloseMax,
    /// Median of a cycle in nanoseconds.
    CycleP50,
    /// 99th percentile of a cycle in nanoseconds.
    CycleP99,
    /// Largest cycle in nanoseconds.
    CycleMax,
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

    /// Its name, as in the record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cycle => "cycle",
            Self::Heap => "heap",
            Self::Anonymous => "anonymous",
            Self::Stacks => "stacks",
            Self::Library => "library",
            Self::OtherLibraries => "other_libraries",
            Self::Files => "files",
            Self::OpenP50 => "open_p50",
            Self::OpenP99 => "open_p99",
            Self::OpenMax => "open_max",
            Self::SymbolP50 => "symbol_p50",
            Self::SymbolP99 => "symbol_p99",
            Self::SymbolMax => "symbol_max",
            Self::CallP50 => "call_p50",
            Self::CallP99 => "call_p99",
            Self::CallMax => "call_max",
            Self::CloseP50 => "close_p50",
            Self::CloseP99 => "close_p99",
            Self::CloseMax => "close_max",
            Self::CycleP50 => "cycle_p50",
            Self::CycleP99 => "cycle_p99",
            Self::CycleMax => "cycle_max",
        }
    }
}
