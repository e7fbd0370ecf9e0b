//! How long the phases of a cycle took, as a record has it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Latencies by phase.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Latencies {
    /// `dlopen`.
    pub open: Option<Latency>,
    /// `dlsym`, all symbols of a cycle together.
    pub symbol: Option<Latency>,
    /// The calls of a cycle together.
    pub call: Option<Latency>,
    /// `dlclose`.
    pub close: Option<Latency>,
    /// The whole cycle.
    pub cycle: Option<Latency>,
}

/// A latency distribution. All values in nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Number of recorded values.
    pub count: u64,
    /// Smallest value.
    pub min: u64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// 99.9th percentile.
    pub p999: u64,
    /// Largest value.
    pub max: u64,
    /// The whole histogram: HdrHistogram V2, DEFLATE-compressed, in base64, as `.hlog` files hold it.
    pub hdr: String,
}
