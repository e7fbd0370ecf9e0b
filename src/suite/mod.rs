//! What to soak: the suite file, call expressions, units and limits; merged and validated once.

pub mod limits;
