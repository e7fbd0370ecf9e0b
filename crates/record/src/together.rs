//! What each of several libraries did that were soaked in one process.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Language, MetricRate, UnloadState};

/// One of the libraries that a cycle opens one after the other (`--together`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// The library, as given.
    pub path: String,
    /// Its GNU build-id in hexadecimal, where the file has one.
    pub build_id: Option<String>,
    /// Language that it was written in, as far as the file shows.
    pub language: Language,
    /// Whether it was unloaded: `unloaded` or `pinned`. What it brought is part of `unload`, because others may have brought it as well.
    pub state: UnloadState,
    /// Objects that the loader added per measured cycle while this library was open; absent where several threads ran cycles.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub loads_per_cycle: Option<f64>,
    /// Objects that the loader removed per measured cycle in the same time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unloads_per_cycle: Option<f64>,
    /// Bytes per cycle by which the heap grew from before each open of this library until after its close, in the last half of the measured
    /// cycles. The loader's own lists are in it: what stays loaded gets a list of 48 B with one close, and gives it back with the next one.
    /// Absent where the process does not count the heap, or several threads ran cycles.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub heap_per_cycle: Option<f64>,
    /// By how much each metric grew per visit, before the warm-up, when this library alone was opened and closed 4 times in a row.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub grows: Vec<MetricRate>,
}

impl Member {
    /// The name of its file, which no other member has.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// A library that has a part in what grows, and how large that is per cycle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    /// The name of its file.
    pub object: String,
    /// By how much it grows the metric per cycle, in the metric's unit.
    pub per_cycle: f64,
}
