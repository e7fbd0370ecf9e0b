//! In which order the libraries of one process are opened.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use crate::UnitError;

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
}
