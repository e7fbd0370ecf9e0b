//! The part of a record that says who left what behind.

use dlsoak_settings::named;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EndedEarly, Metric, Phase};

/// Who left what behind, from a soak of its own in which notes were taken.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Trace {
    /// Cycles that were traced, warm-up not included.
    pub cycles: u64,
    /// Active time of these cycles in nanoseconds, per cycle.
    pub ns_per_cycle: f64,
    /// What was left behind, by what it costs per cycle.
    pub places: Vec<TracePlace>,
    /// Growth of the traced process, and how much of it the places explain.
    pub explained: Vec<Explained>,
    /// Bytes of heap per cycle that were not noted; negative where more was noted than has grown.
    pub unexplained_bytes_per_cycle: f64,
    /// Resources that could not be noted for lack of room; 0 in a sound trace.
    pub lost: u64,
    /// Memory that the notes took in the end, in bytes; it does not grow with cycles that leave nothing behind.
    #[serde(default)]
    pub notes_bytes: u64,
    /// Why it ended before its last cycle, where it did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended: Option<EndedEarly>,
}

/// A place that something comes from that is left behind.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TracePlace {
    /// What is left.
    pub kind: PlaceKind,
    /// Function that obtained it: the first of the stack that is not an allocator's, or a part of the language's own
    /// library; `null` where no table has its name.
    pub function: Option<String>,
    /// Its source file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file: Option<String>,
    /// Line in it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub line: Option<u32>,
    /// File that the code was loaded from.
    pub module: String,
    /// Address of the call in that file.
    pub offset: u64,
    /// Phase of the cycle: `open`, `symbol`, `call` or `close`; `between` cycles; `other-thread` for a thread that makes no
    /// cycles.
    pub phase: Phase,
    /// Resources per cycle.
    pub count_per_cycle: f64,
    /// Bytes per cycle, as malloc's books have them.
    pub bytes_per_cycle: f64,
    /// Resources that were alive at the end and not before the first open.
    pub count: i64,
    /// Their bytes.
    pub bytes: i64,
    /// Whether it grows.
    pub trend: PlaceTrend,
    /// The stacks that it came by, those of most bytes first; at most 16.
    pub stacks: Vec<TraceStack>,
}

/// One of the ways to a place.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TraceStack {
    /// Resources per cycle.
    pub count_per_cycle: f64,
    /// Bytes per cycle.
    pub bytes_per_cycle: f64,
    /// Functions, innermost first.
    pub frames: Vec<TraceFrame>,
}

/// One function of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TraceFrame {
    /// Its name; `null` where no table has it.
    pub function: Option<String>,
    /// Bytes from its beginning, where the name is from a symbol table alone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub distance: Option<u64>,
    /// Its source file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file: Option<String>,
    /// Line in it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub line: Option<u32>,
    /// File that the code was loaded from.
    pub module: String,
    /// Address in that file.
    pub offset: u64,
    /// True for a function that was inlined into the next one.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub inlined: bool,
}

/// Growth of the traced process in one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explained {
    /// The metric.
    pub metric: Metric,
    /// Growth per cycle.
    pub measured: f64,
    /// What was noted adds up to, per cycle, in the same cycles: also what comes and goes.
    pub noted: f64,
}

named! {
    /// What is left behind.
    #[derive(Default)]
    pub enum PlaceKind {
        /// Memory from malloc.
        #[default]
        Heap = "heap",
        /// A mapping.
        Mapping = "mapping",
        /// A file descriptor.
        Fd = "fd",
        /// A thread.
        Thread = "thread",
        /// A thread-specific key.
        Key = "key",
    }
}

/// Whether what a place leaves behind grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PlaceTrend {
    /// It grows with the cycles.
    #[default]
    Growing,
    /// It was kept, by the first cycles or while something filled, and does not grow any more.
    Saturating,
}
