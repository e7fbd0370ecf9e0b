//! What a person asks of a soak: quantities, limits, and the words that settings are made of, each defined once.
//!
//! **Invariant:** this crate knows nothing of a run. It parses, validates and displays, and every value that it holds reads back
//! from what it displays.

mod limits;
mod metric;
mod mode;
pub mod nearest;
pub mod quantity;
mod residue_kind;
pub mod units;

pub use limits::{CountLimits, Increase, LeakRate, LimitError, Limits, Per};
pub use metric::{Metric, Unit};
pub use mode::{CallFrom, Mode};
pub use nearest::nearest;
pub use quantity::UnitError;
pub use residue_kind::{ResidueKind, UnknownKind};
