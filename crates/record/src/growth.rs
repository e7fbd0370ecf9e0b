//! The part of a record that is about growth: what is measured, how much it grows, and the leak where one is proven.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Metric, Unit};

/// Growth of one metric over the measured cycles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Growth {
    /// What grew.
    pub metric: Metric,
    /// `bytes` or `count`.
    pub unit: Unit,
    /// Growth per cycle.
    pub per_cycle: f64,
    /// Lower bound of the 95 % interval of `per_cycle`.
    pub low: f64,
    /// Upper bound of the 95 % interval of `per_cycle`.
    pub high: f64,
    /// Growth per second of active time.
    pub per_second: f64,
    /// Growth per real load, where that differs from per cycle.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub per_load: Option<f64>,
    /// The smallest steady growth per cycle that this run would have called.
    pub detectable: f64,
    /// Which way it goes.
    pub trend: Trend,
    /// True when the series carried no noise, so that `per_cycle` is a count and not an estimate.
    #[serde(default)]
    pub exact: bool,
    /// The fitted line, for charts: value at cycle 0, and the cycles it was fitted on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fit: Option<Fit>,
}

/// A fitted line: `value = intercept + per_cycle * cycle` for cycles in the window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fit {
    /// Value of the line at cycle 0, in the metric's unit.
    pub intercept: f64,
    /// First cycle of the window.
    pub from_cycle: u64,
    /// Last cycle of the window.
    pub to_cycle: u64,
}

/// Which way a metric goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trend {
    /// Proven growth that does not fade.
    Growing,
    /// No growth that this run could have seen.
    Flat,
    /// Growth that slows down, as a cache does that fills.
    Decaying,
    /// Neither proven nor excluded.
    Unclear,
}

/// The proven leak of memory, in the metric that tells most about its kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Leak {
    /// Metric in which the leak is stated.
    pub metric: Metric,
    /// Bytes per cycle.
    pub bytes_per_cycle: f64,
    /// Lower bound of the 95 % interval.
    pub low: f64,
    /// Upper bound of the 95 % interval.
    pub high: f64,
    /// 10^6 bytes per second of active time.
    pub mb_per_second: f64,
    /// Bytes per real load, where that differs from per cycle.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bytes_per_load: Option<f64>,
    /// The dependency that leaks it, where nothing leaks in a host that keeps that loaded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub object: Option<String>,
}

/// What the loads of the warm-up kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OneTime {
    /// Metric it was seen in.
    pub metric: Metric,
    /// Value after the warm-up less the value before the first open; may be negative.
    pub amount: i64,
}
