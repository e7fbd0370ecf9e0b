//! Libraries that are soaked in one process: which, and in which order.

use std::fmt;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::UnitError;

/// A library that each cycle opens after the one that the soak is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Companion(PathBuf);

impl Companion {
    /// The library in this file; `None` where its path is no text, or can't be a path.
    pub fn new(path: &Path) -> Option<Self> {
        path.to_str()?.parse().ok()
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The same library, where a path is relative to this directory.
    #[must_use]
    pub fn in_directory(&self, directory: &Path) -> Self {
        Self(directory.join(&self.0))
    }
}

impl FromStr for Companion {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text.is_empty() || text.contains('\0') {
            Err(UnitError::new("expected the path of a library"))
        } else {
            Ok(Self(PathBuf::from(text)))
        }
    }
}

impl fmt::Display for Companion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

/// In which order a cycle opens several libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// As they were named.
    #[default]
    Given,
    /// In another order in each cycle.
    Shuffle {
        /// What the orders are made from: the same number makes the same orders.
        seed: NonZeroU64,
    },
}

const GIVEN: &str = "given";
const SHUFFLE: &str = "shuffle";

impl FromStr for Order {
    type Err = UnitError;

    /// Parses `given`, `shuffle` or `shuffle:SEED`. Without a seed it is 1, so that a soak repeats the one before.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let seed = match (text, text.strip_prefix(SHUFFLE).and_then(|rest| rest.strip_prefix(':'))) {
            (GIVEN, _) => return Ok(Self::Given),
            (SHUFFLE, _) => Some(NonZeroU64::MIN),
            (_, seed) => seed.and_then(|seed| seed.parse().ok()),
        };
        seed.map(|seed| Self::Shuffle { seed }).ok_or_else(|| {
            UnitError::new("expected given, shuffle or shuffle:SEED, where SEED is a whole number from 1 up")
        })
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given => f.write_str(GIVEN),
            Self::Shuffle { seed } => write!(f, "{SHUFFLE}:{seed}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_reads_back() {
        let shuffle = |seed| Order::Shuffle { seed: NonZeroU64::new(seed).unwrap() };
        for (text, order, shown) in [
            ("given", Order::Given, "given"),
            ("shuffle", shuffle(1), "shuffle:1"),
            ("shuffle:77", shuffle(77), "shuffle:77"),
        ] {
            assert_eq!(text.parse(), Ok(order));
            assert_eq!(order.to_string(), shown);
        }
        for wrong in ["", "shuffle:", "shuffle:0", "shuffle:-1", "random", "shuffled"] {
            assert!(wrong.parse::<Order>().unwrap_err().to_string().contains("shuffle:SEED"), "{wrong}");
        }
    }

    #[test]
    fn a_companion_is_a_path() {
        let companion: Companion = "b/liba.so".parse().unwrap();
        assert_eq!(companion.in_directory(Path::new("/x")).to_string(), "/x/b/liba.so");
        assert!("".parse::<Companion>().is_err());
    }
}
