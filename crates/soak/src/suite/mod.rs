//! What to soak: the suite file, call expressions, units and limits; merged and validated once.

pub mod allowance;
pub mod call;
mod call_parse;
pub mod chaos;
pub mod file;
pub mod flags;
mod matrix;
pub mod mode;
pub mod names;
pub mod partition;
pub mod plan;
pub mod replay;
pub mod settings;
pub mod suite_error;
mod variants;
