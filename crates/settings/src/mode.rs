//! What a cycle opens, and which thread runs it.

use std::str::FromStr;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};

use crate::{UnitError, named};

/// Reads a word as files spell it.
pub(crate) fn word<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, UnitError> {
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

named! {
    /// What one cycle opens.
    #[derive(Default)]
    pub enum Mode {
        /// The same path; with several threads each has a copy of the file of its own.
        #[default]
        Reopen = "reopen",
        /// A fresh copy, a new inode, every cycle.
        Copies = "copies",
        /// `dlmopen(LM_ID_NEWLM)`.
        Namespace = "namespace",
    }
}

named! {
    /// Which thread a cycle runs on.
    #[derive(Default)]
    pub enum CallFrom {
        /// The process's main thread; with several threads it is one of them, and the others live on as well.
        #[default]
        Main = "main",
        /// Threads that live on, none of them the main thread.
        Worker = "worker",
        /// A thread of its own for each cycle, which opens, calls, closes and ends.
        ShortLived = "short-lived",
    }
}

named! {
    /// One of the soaks that a library is put through.
    pub enum Pass {
        /// The soak that was asked for.
        Measure = "measure",
        /// The same with the plain agent, where the counting agent's figures are to be doubted.
        Recheck = "recheck",
        /// A few loads, each kept from coming back to its address, after which memory is searched for pointers to what is gone.
        Pointers = "pointers",
        /// A few cycles of the same, after which memory is searched for pointers to the blocks of the heap.
        Lost = "lost",
        /// The same with notes of each allocation, which show whether blocks of old cycles survive.
        Cohorts = "cohorts",
        /// The same with a collector that runs often, where a runtime with a collector is in the process.
        Collected = "collected",
        /// The same, shortly and without its calls.
        WithoutCalls = "without-calls",
        /// The same, shortly, in another host: one of the other kind, or one that links what the library needs.
        OtherHost = "other-host",
        /// The same, shortly, with cycles on each kind of thread.
        Patterns = "patterns",
        /// A few cycles under the loader's own log.
        Diagnose = "diagnose",
        /// The same with notes of each allocation.
        Trace = "trace",
        /// An earlier run, which a finding may come from; it is not run.
        Baseline = "baseline",
    }
}

impl Pass {
    /// All that can be run, in the order in which they run.
    pub const RUN: [Self; 11] = [
        Self::Measure,
        Self::Recheck,
        Self::Diagnose,
        Self::Lost,
        Self::Cohorts,
        Self::Collected,
        Self::Pointers,
        Self::WithoutCalls,
        Self::OtherHost,
        Self::Trace,
        Self::Patterns,
    ];

    /// Whether it runs where nobody says otherwise, if its condition holds.
    pub fn is_usual(self) -> bool {
        !matches!(self, Self::Trace | Self::Patterns)
    }
}
