//! The part of a record that says how much of what grows on the heap nothing points to any more.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is alive on the heap, and what of it is lost, from a soak of its own on one thread in which all memory was searched for pointers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Lost {
    /// Cycles, from the first one on.
    pub cycles: u64,
    /// The cycle after which it was looked for the first time.
    pub from: u64,
    /// What was alive then.
    pub before: Reached,
    /// What was alive at the end.
    pub after: Reached,
}

/// Living blocks, and those among them that neither memory outside of the heap points to, nor a block that is not lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Reached {
    /// All blocks.
    pub blocks: u64,
    /// Their bytes, as far as they may be used.
    pub bytes: u64,
    /// Blocks that nothing points to.
    pub lost_blocks: u64,
    /// Their bytes.
    pub lost_bytes: u64,
}
