//! What to soak: the suite file and the command line, merged and validated once.

pub mod file;
mod matrix;
pub mod names;
pub mod partition;
pub mod plan;
pub mod suite_error;
pub(crate) mod together;
pub(crate) mod variants;
