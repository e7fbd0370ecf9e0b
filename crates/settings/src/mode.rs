//! What a cycle opens, and which thread runs it.

use serde::{Deserialize, Serialize};

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
