//! `dlsoak verify`: runs the same cycles under valgrind, LeakSanitizer, Go's gctrace and a plain reader of `/proc`, each on a process
//! that only cycles, and compares what they report. Pure functions parse the reports (`memcheck`, `lsan`, `gctrace`, `status`)
//! and compare them (`reconcile`); `instruments` runs the programs.

mod blocks;
pub mod gctrace;
mod instruments;
pub mod lsan;
pub mod memcheck;
mod peer;
mod reconcile;
pub mod status;
#[cfg(test)]
mod tests;
pub mod trend;
mod workspace;

use crate::record::verification::Frame;

pub use instruments::{Request, VerifyError, verify};
pub use workspace::{Workspace, WorkspaceError};

/// Blocks that one stack requested and that are not freed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaked {
    /// Bytes as they were requested.
    pub bytes: u64,
    /// Number of blocks.
    pub blocks: u64,
    /// The stack, from the allocator outwards.
    pub stack: Vec<Frame>,
}
