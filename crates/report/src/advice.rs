//! A fact in words with the help for it, as inspections and checkups print them.

use std::fmt;

use super::units;

/// What was found, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// What was found.
    pub fact: String,
    /// What to do, in the imperative or as a command.
    pub help: Option<String>,
}

impl Advice {
    /// A fact with its help.
    pub(crate) fn new(fact: impl Into<String>, help: impl Into<String>) -> Self {
        Self { fact: fact.into(), help: Some(help.into()) }
    }

    /// A fact that needs no help.
    pub(crate) fn fact(fact: impl Into<String>) -> Self {
        Self { fact: fact.into(), help: None }
    }
}

/// In one line, whatever the names in it hold.
impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&units::printable(&self.fact))?;
        match &self.help {
            Some(help) => write!(f, " (help: {})", units::printable(help)),
            None => Ok(()),
        }
    }
}
