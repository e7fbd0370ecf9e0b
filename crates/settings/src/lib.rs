//! What a person asks of a soak: quantities, limits, and the words that settings are made of, each defined once; and the settings
//! themselves, in one list ([`each_setting`]).
//!
//! **Invariant:** this crate knows nothing of a run. It parses, validates and displays, and every value that it holds reads back
//! from what it displays.

// A test has a value for each setting in one literal.
#![cfg_attr(test, recursion_limit = "256")]

mod allowed_pointer;
mod call;
mod call_names;
mod call_parse;
mod chaos;
mod command;
mod flags;
mod host;
mod limits;
mod list;
mod metric;
mod mode;
mod named;
pub mod nearest;
mod order;
mod other_library;
pub mod quantity;
mod residue_kind;
pub mod schema;
mod settings;
mod text;
pub mod units;
mod words;

pub use allowed_pointer::AllowedPointer;
pub use call::{
    Arg, Call, CallError, Check, Comparison, Keeps, MAX_FLOATS, MAX_INTEGERS, MAX_TEXT, Name, Reading,
};
pub use call_names::{NameError, check_names};
pub use chaos::{Chaos, ChaosKind};
pub use command::{command, quoted};
pub use flags::OpenFlags;
pub use host::{Blame, Hold, HostKind, Libc};
pub use limits::{CountLimits, Increase, LeakRate, LimitError, Per};
pub use metric::{Metric, Unit};
pub use mode::{CallFrom, Mode, Pass};
pub use nearest::nearest;
pub use order::Order;
pub use other_library::{Companion, OtherBuild};
pub use quantity::UnitError;
pub use residue_kind::{ResidueKind, UnknownKind};
pub use settings::{Limits, Settings};
pub use text::{Field, Given};
pub use words::{Driver, Exercise, Passes, Program, Reason, Sandboxing, Variable};
