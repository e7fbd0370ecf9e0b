//! The phases of a cycle.

use serde::{Deserialize, Serialize};

/// A phase of a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// `dlopen`.
    Open,
    /// `dlsym`, all symbols of a cycle.
    Symbol,
    /// The calls of a cycle.
    Call,
    /// `dlclose`.
    Close,
    /// Between two cycles.
    #[default]
    Between,
    /// While the process ends, after the last cycle.
    Exit,
    /// On a thread that makes no cycles.
    OtherThread,
}

impl Phase {
    /// Its name, as in the record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Symbol => "symbol",
            Self::Call => "call",
            Self::Close => "close",
            Self::Between => "between",
            Self::Exit => "exit",
            Self::OtherThread => "other-thread",
        }
    }
}
