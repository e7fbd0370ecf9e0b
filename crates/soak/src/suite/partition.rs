//! A machine's share of a suite, so that several machines can soak it together.

use std::str::FromStr;

use super::plan::Plan;
use crate::record::{self, share_of};
use crate::settings::quantity::UnitError;

/// One machine's share of a suite: `1/4` is the first of four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    number: usize,
    of: usize,
}

impl Partition {
    /// Whether the soak at this index of the whole suite is in this share.
    #[must_use]
    pub fn takes(self, index: usize) -> bool {
        share_of(index, self.of) == self.number
    }

    /// The share as the record has it, of this plan, which is whole.
    #[must_use]
    pub fn to_record(self, plan: &Plan) -> record::Partition {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        record::Partition {
            part: number(self.number),
            of: number(self.of),
            suite: plan.name.clone(),
            soaks: plan.soaks.iter().map(|soak| soak.name.clone()).collect(),
        }
    }
}

impl FromStr for Partition {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError::new("expected a part such as 1/4, the first of four");
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        let number: usize = number.trim().parse().map_err(|_| wrong())?;
        let of: usize = of.trim().parse().map_err(|_| wrong())?;
        if number == 0 || number > of {
            return Err(UnitError::new("the first number must be between 1 and the second"));
        }
        Ok(Self { number, of })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::settings::Settings;

    #[test]
    fn shares_cover_the_suite_once() {
        let libraries: Vec<PathBuf> = (0..10).map(|n| PathBuf::from(format!("{n}.so"))).collect();
        let plan = Plan::from_paths(&libraries, &Settings::default()).unwrap();
        let mut seen = Vec::new();
        for share in ["1/4", "2/4", "3/4", "4/4"] {
            let part = plan.clone().partition(share.parse().unwrap());
            assert!((2..=3).contains(&part.soaks.len()), "{share}");
            seen.extend(part.soaks.into_iter().map(|soak| soak.name));
        }
        seen.sort();
        assert_eq!(seen, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
        for wrong in ["0/4", "5/4", "1", "a/b", "1/0", "-1/4", ""] {
            assert!(wrong.parse::<Partition>().is_err(), "{wrong}");
        }
    }
}
