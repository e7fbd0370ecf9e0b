//! What a cycle opens, and which thread runs it.

use std::str::FromStr;

use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};
use serde::{Deserialize, Serialize};

use crate::UnitError;

/// Reads a word as files spell it.
fn word<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, UnitError> {
    let text: StrDeserializer<'de, Error> = text.into_deserializer();
    T::deserialize(text).map_err(|error| UnitError::new(error.to_string()))
}

impl FromStr for Mode {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        word(text)
    }
}

impl FromStr for CallFrom {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        word(text)
    }
}

/// What one cycle opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The same path; with several threads each has a copy of the file of its own.
    #[default]
    Reopen,
    /// A fresh copy, a new inode, every cycle.
    Copies,
    /// `dlmopen(LM_ID_NEWLM)`.
    Namespace,
}

impl Mode {
    /// Its name, as in the suite file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reopen => "reopen",
            Self::Copies => "copies",
            Self::Namespace => "namespace",
        }
    }
}

/// Which thread a cycle runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CallFrom {
    /// The process's main thread; with several threads it is one of them, and the others live on as well.
    #[default]
    Main,
    /// Threads that live on, none of them the main thread.
    Worker,
    /// A thread of its own for each cycle, which opens, calls, closes and ends.
    ShortLived,
}

impl CallFrom {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Main, Self::Worker, Self::ShortLived];

    /// Its name, as in the suite file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Worker => "worker",
            Self::ShortLived => "short-lived",
        }
    }
}

/// One of the soaks that a library is put through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Pass {
    /// The soak that was asked for.
    Measure,
    /// The same with the plain agent, where the counting agent's figures are to be doubted.
    Recheck,
    /// The same, shortly and without its calls.
    WithoutCalls,
    /// The same, shortly, with cycles on each kind of thread.
    Patterns,
    /// A few cycles under the loader's own log.
    Diagnose,
    /// The same with notes of each allocation.
    Trace,
    /// An earlier run, which a finding may come from; it is not run.
    Baseline,
}

impl Pass {
    /// All that can be run, in the order in which they run.
    pub const ALL: [Self; 6] =
        [Self::Measure, Self::Recheck, Self::Diagnose, Self::WithoutCalls, Self::Trace, Self::Patterns];

    /// Those that run where nobody says otherwise, each where its condition holds.
    pub const USUAL: [Self; 4] = [Self::Measure, Self::Recheck, Self::Diagnose, Self::WithoutCalls];

    /// Its name, as in the record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Measure => "measure",
            Self::Recheck => "recheck",
            Self::WithoutCalls => "without-calls",
            Self::Patterns => "patterns",
            Self::Diagnose => "diagnose",
            Self::Trace => "trace",
            Self::Baseline => "baseline",
        }
    }
}
