//! The part of a record that says how much of what each stretch of cycles allocated is still there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EndedEarly, TracePlace};

/// What is left of malloc's blocks by when they were allocated, from a soak of its own in which notes were taken.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Cohorts {
    /// Cycles, warm-up not included.
    pub cycles: u64,
    /// Equal stretches of these cycles, oldest first.
    pub stretches: Vec<Stretch>,
    /// Where the survivors of the third eighth to the sixth come from, by what they cost per cycle.
    pub places: Vec<TracePlace>,
    /// Blocks that could not be noted for lack of room; 0 where the figures are whole.
    pub lost: u64,
    /// Why it ended before its last cycle, where it did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended: Option<EndedEarly>,
}

/// What is left of what was allocated in one stretch of cycles.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Stretch {
    /// Half-way through the soak; nothing for a stretch that came later.
    pub halfway: Alive,
    /// At its end.
    pub end: Alive,
}

/// Blocks that are alive.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Alive {
    /// Their number.
    pub blocks: u64,
    /// Their bytes, as malloc's books have them.
    pub bytes: u64,
    /// The sum of the squares of their bytes, which says how large those are that weigh most.
    pub squares: f64,
}

impl Cohorts {
    /// Number of stretches. The windows of the judgement begin and end at their borders, and a shape is fitted to their middles.
    pub const STRETCHES: usize = 64;
}

impl std::ops::AddAssign for Alive {
    fn add_assign(&mut self, other: Self) {
        self.blocks = self.blocks.saturating_add(other.blocks);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.squares += other.squares;
    }
}
