//! Who left what behind: by function and line, also when the library is gone by the time anyone asks. The worker is preloaded
//! with a small library of ours that takes notes (`preload` of `dlsoak-agent`), in memory that the supervisor reads at quiet points (`shared`);
//! what grows there is told from what does not (`series`) and gets its names (`names`).

pub mod cohorts;
pub mod names;
pub mod series;
mod shared;

pub use shared::{Shared, SharedError};
