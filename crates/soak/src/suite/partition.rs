//! A machine's share of a suite, so that several machines can soak it together: which one it is, by number or from the environment of a
//! batch system, and how the suite is split.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::plan::Plan;
use crate::record::{self, Run, SplitSoak};
use crate::settings::quantity::UnitError;

/// One machine's share of a suite: `1/4` is the first of four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    number: u32,
    of: u32,
}

/// A share as it is asked for: by its number, or as a batch system numbers the task that dlsoak runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// `1/4`.
    Given(Partition),
    /// `auto`, or `auto/4` where the number of tasks is known.
    Auto {
        /// How many shares there are, where the person says it.
        of: Option<u32>,
    },
}

/// The variable of each batch system that numbers a task, the number of its first task, and how its name continues in an error.
const NUMBERED: [(&str, u32, &str); 3] = [
    ("JOB_COMPLETION_INDEX", 0, "a Kubernetes Job counts from 0 to completions - 1"),
    ("HQ_TASK_ID", 1, "submit to HyperQueue with --array 1-N"),
    ("PARALLEL_SEQ", 1, "GNU parallel counts its jobs from 1"),
];
const SLURM: &str = "SLURM_ARRAY_TASK_ID";

/// Why the environment does not say which share is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoShare {
    /// None of the variables is set.
    #[error(
        "--partition auto finds no part in the environment: none of SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX, HQ_TASK_ID and \
         PARALLEL_SEQ is set; name the part, for example --partition 1/4"
    )]
    Nothing,
    /// More than one batch system numbers this task.
    #[error("--partition auto: both {0} and {1} are set; name the part, for example --partition 1/4")]
    Both(&'static str, &'static str),
    /// A variable is not a number.
    #[error("--partition auto: {name} is {value:?}, which is not a number that a task can have")]
    Odd {
        /// The variable.
        name: &'static str,
        /// What it is set to.
        value: String,
    },
    /// A variable that the batch system sets with the other is missing.
    #[error("--partition auto: {SLURM} is set, but {0} is not; name the part, for example --partition 1/4")]
    Lacks(&'static str),
    /// The variable says which, and not of how many.
    #[error("--partition auto: {0} says which task this is, but not of how many; use --partition auto/N")]
    OfHowMany(&'static str),
    /// The ids of an array's tasks have gaps.
    #[error(
        "--partition auto: the {count} task ids of the Slurm array from {min} to {max} have no regular step, so task {id} is no certain \
         part; submit with --array=1-N, or name the part, for example --partition 1/4"
    )]
    Gaps {
        /// Id of this task.
        id: u32,
        /// How many tasks there are.
        count: u32,
        /// The lowest id.
        min: u32,
        /// The highest id.
        max: u32,
    },
    /// The array has another number of tasks than the person says.
    #[error(
        "--partition auto/{of}: the Slurm array has {count} tasks; submit with --array=1-{of}, or name the part, for example \
         --partition 1/{of}"
    )]
    Contradicts {
        /// What the person says.
        of: u32,
        /// What the environment says.
        count: u32,
    },
    /// The task's number is not in the range.
    #[error("--partition auto/{of}: {name} is {value}, which is none of {of} parts; {hint}")]
    Outside {
        /// The variable.
        name: &'static str,
        /// The number.
        value: u32,
        /// How many parts there are.
        of: u32,
        /// How the batch system counts.
        hint: &'static str,
    },
}

impl Share {
    /// Which share it is, where `variable` looks a name up in the environment.
    ///
    /// # Errors
    /// When the environment says nothing about it, or contradicts itself or the number of shares; see [`NoShare`].
    pub fn resolve(self, variable: &dyn Fn(&str) -> Option<String>) -> Result<Partition, NoShare> {
        let of = match self {
            Self::Given(partition) => return Ok(partition),
            Self::Auto { of } => of,
        };
        let names = std::iter::once(SLURM).chain(NUMBERED.map(|(name, ..)| name));
        let set: Vec<&'static str> = names.filter(|name| variable(name).is_some()).collect();
        match set[..] {
            [] => Err(NoShare::Nothing),
            [SLURM] => of_slurm(of, variable),
            [name] => {
                let of = of.ok_or(NoShare::OfHowMany(name))?;
                let value = number(name, variable)?.ok_or(NoShare::Nothing)?;
                let (first, hint) =
                    NUMBERED.iter().find(|known| known.0 == name).map_or((1, ""), |known| (known.1, known.2));
                match value.checked_sub(first).filter(|index| *index < of) {
                    Some(index) => Ok(Partition { number: index + 1, of }),
                    None => Err(NoShare::Outside { name, value, of, hint }),
                }
            }
            [one, other, ..] => Err(NoShare::Both(one, other)),
        }
    }
}

fn of_slurm(of: Option<u32>, variable: &dyn Fn(&str) -> Option<String>) -> Result<Partition, NoShare> {
    let need = |name: &'static str| number(name, variable)?.ok_or(NoShare::Lacks(name));
    let (id, count) = (need(SLURM)?, need("SLURM_ARRAY_TASK_COUNT")?);
    let (min, max) = (need("SLURM_ARRAY_TASK_MIN")?, need("SLURM_ARRAY_TASK_MAX")?);
    let step = number("SLURM_ARRAY_TASK_STEP", variable)?.unwrap_or(1);
    if let Some(of) = of.filter(|of| *of != count) {
        return Err(NoShare::Contradicts { of, count });
    }
    let regular =
        (id <= max && step > 0 && count > 0).then(|| u64::from(min) + u64::from(count - 1) * u64::from(step));
    let index = id.checked_sub(min).filter(|_| regular == Some(u64::from(max)));
    match index {
        Some(index) if index % step == 0 => Ok(Partition { number: index / step + 1, of: count }),
        _ => Err(NoShare::Gaps { id, count, min, max }),
    }
}

/// A variable that is a number, where it is set.
fn number(name: &'static str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<u32>, NoShare> {
    let Some(value) = variable(name) else { return Ok(None) };
    // One less than the largest, so that the next is a number as well.
    let number = value.parse().ok().filter(|number| *number < u32::MAX);
    number.map_or(Err(NoShare::Odd { name, value }), |number| Ok(Some(number)))
}

impl Partition {
    /// The share with the split that it is of, as the record has it. In turns, soak number i (from 0) is in part i % n + 1 of n. With the
    /// record of an earlier run, each soak in the order of falling cost goes to the part that has the least to do so far.
    ///
    /// # Errors
    /// When the earlier record has none of the soaks.
    pub fn of_plan(self, plan: &Plan, earlier: Option<&Run>) -> Result<record::Partition, NoWeights> {
        let parts = match earlier {
            None => (0..self.of).cycle().take(plan.soaks.len()).map(|part| part + 1).collect(),
            Some(earlier) => longest_first(&costs(plan, earlier)?, self.of),
        };
        let names = plan.soaks.iter().map(|soak| soak.name.clone());
        let soaks = names.zip(parts).map(|(name, part)| SplitSoak { name, part }).collect();
        Ok(record::Partition { part: self.number, of: self.of, suite: plan.name.clone(), soaks })
    }
}

/// An earlier record has none of the soaks, so their costs are unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it has no complete soak of this suite, so it can't weigh any")]
pub struct NoWeights;

/// What each soak cost in the earlier run, in seconds. One that the record lacks, or that was cut short, is taken to cost the median.
fn costs(plan: &Plan, earlier: &Run) -> Result<Vec<f64>, NoWeights> {
    let complete = earlier.soaks.iter().filter(|soak| !soak.is_cut_short());
    let known: BTreeMap<&str, f64> =
        complete.map(|soak| (soak.name.as_str(), soak.cost().max(0.0))).collect();
    let costs: Vec<Option<f64>> =
        plan.soaks.iter().map(|soak| known.get(soak.name.as_str()).copied()).collect();
    let mut sorted: Vec<f64> = costs.iter().flatten().copied().collect();
    sorted.sort_by(f64::total_cmp);
    let median = *sorted.get(sorted.len() / 2).ok_or(NoWeights)?;
    Ok(costs.into_iter().map(|cost| cost.unwrap_or(median)).collect())
}

/// The part of each soak. Of soaks that cost the same, the first goes first; of parts that have the same to do, the one with the fewest
/// soaks, and then the first.
fn longest_first(costs: &[f64], of: u32) -> Vec<u32> {
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_by(|a, b| costs[*b].total_cmp(&costs[*a]));
    // Parts beyond the number of soaks get none.
    let mut loads: Vec<(f64, usize)> = vec![(0.0, 0); costs.len().min(of as usize)];
    let mut parts = vec![0; costs.len()];
    for index in order {
        let least = loads.iter().enumerate().min_by(|(_, a), (_, b)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let least = least.map_or(0, |(part, _)| part);
        let load = &mut loads[least];
        *load = (load.0 + costs[index], load.1 + 1);
        parts[index] = u32::try_from(least).unwrap_or(u32::MAX - 1) + 1;
    }
    parts
}

impl FromStr for Share {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError::new("expected a part such as 1/4, the first of four, or auto, or auto/4");
        let count =
            |text: &str| text.trim().parse::<u32>().ok().filter(|of| *of < u32::MAX).ok_or_else(wrong);
        if text.trim() == "auto" {
            return Ok(Self::Auto { of: None });
        }
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        let of = count(of)?;
        if number.trim() == "auto" && of > 0 {
            return Ok(Self::Auto { of: Some(of) });
        }
        let number = count(number)?;
        if number == 0 || number > of {
            return Err(UnitError::new("the first number must be between 1 and the second"));
        }
        Ok(Self::Given(Partition { number, of }))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::record::{Measured, OutcomeKind, Soak};
    use crate::settings::Settings;

    fn plan(soaks: usize) -> Plan {
        let libraries: Vec<PathBuf> = (0..soaks).map(|n| PathBuf::from(format!("{n}.so"))).collect();
        Plan::from_paths(&libraries, &Settings::default()).unwrap()
    }

    fn given(text: &str) -> Partition {
        text.parse::<Share>().unwrap().resolve(&|_| None).unwrap()
    }

    /// The share that `auto` or `auto/N` is where these variables are set, or the error.
    fn auto(text: &str, variables: &[(&str, &str)]) -> Result<(u32, u32), String> {
        let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        let share = text.parse::<Share>().unwrap().resolve(&variable).map_err(|error| error.to_string())?;
        Ok((share.number, share.of))
    }

    fn slurm(
        id: &'static str,
        count: &'static str,
        [min, max, step]: [&'static str; 3],
    ) -> Vec<(&'static str, &'static str)> {
        vec![
            ("SLURM_ARRAY_TASK_ID", id),
            ("SLURM_ARRAY_TASK_COUNT", count),
            ("SLURM_ARRAY_TASK_MIN", min),
            ("SLURM_ARRAY_TASK_MAX", max),
            ("SLURM_ARRAY_TASK_STEP", step),
        ]
    }

    #[test]
    fn shares_cover_the_suite_once() {
        let plan = plan(10);
        let mut seen = Vec::new();
        for share in ["1/4", "2/4", "3/4", "4/4"] {
            let split = given(share).of_plan(&plan, None).unwrap();
            let part = plan.clone().partition(&split);
            let names: Vec<String> = part.soaks.into_iter().map(|soak| soak.name).collect();
            assert!((2..=3).contains(&names.len()) && split.share().eq(&names), "{share}");
            seen.extend(names);
        }
        seen.sort();
        assert_eq!(seen, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
        for wrong in
            ["0/4", "5/4", "1", "a/b", "1/0", "-1/4", "", "auto/0", "auto/", "auto/x", "1/4294967295"]
        {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn batch_systems_number_their_tasks() {
        for (id, number) in [("3", 1), ("5", 2), ("9", 4)] {
            let variables = slurm(id, "4", ["3", "9", "2"]);
            assert_eq!(auto("auto", &variables), Ok((number, 4)), "{id}");
            assert_eq!(auto("auto/4", &variables), Ok((number, 4)), "{id}");
        }
        assert_eq!(auto("auto", &slurm("7", "1", ["7", "7", "1"])), Ok((1, 1)));
        for (name, first) in [("JOB_COMPLETION_INDEX", 0), ("HQ_TASK_ID", 1), ("PARALLEL_SEQ", 1)] {
            for index in 0..3 {
                let value = (first + index).to_string();
                assert_eq!(auto("auto/3", &[(name, &value)]), Ok((index + 1, 3)), "{name} {value}");
            }
            let beyond = (first + 3).to_string();
            let error = auto("auto/3", &[(name, &beyond)]).unwrap_err();
            assert!(error.contains(name) && error.contains("none of 3 parts"), "{error}");
            let error = auto("auto", &[(name, "1")]).unwrap_err();
            assert!(error.contains(name) && error.contains("--partition auto/N"), "{error}");
        }
    }

    #[test]
    fn what_the_environment_leaves_open_is_no_share() {
        let refused = |text: &str, variables: &[(&str, &str)], part: &str| {
            let error = auto(text, variables).unwrap_err();
            assert!(error.contains(part) && !error.contains('\n'), "{error}");
        };
        refused("auto", &[], "finds no part");
        refused("auto/4", &[], "finds no part");
        refused("auto/4", &[("HQ_TASK_ID", "0")], "--array 1-N");
        refused("auto/4", &[("HQ_TASK_ID", "1"), ("PARALLEL_SEQ", "1")], "both HQ_TASK_ID and PARALLEL_SEQ");
        refused("auto/4", &[("PARALLEL_SEQ", "one\n")], "PARALLEL_SEQ is \"one\\n\"");
        refused("auto/4", &[("PARALLEL_SEQ", "4294967295")], "not a number");
        refused("auto", &[("SLURM_ARRAY_TASK_ID", "1")], "SLURM_ARRAY_TASK_COUNT is not");
        refused("auto/3", &slurm("1", "4", ["1", "4", "1"]), "has 4 tasks");
        // --array=1,2,4,7, and what no array has.
        for (id, count, range) in [
            ("2", "4", ["1", "7", "1"]),
            ("2", "4", ["1", "7", "2"]),
            ("8", "4", ["1", "4", "1"]),
            ("0", "4", ["1", "4", "1"]),
            ("1", "0", ["1", "1", "1"]),
            ("1", "1", ["1", "1", "0"]),
            ("9", "4294967294", ["1", "9", "4294967294"]),
        ] {
            refused("auto", &slurm(id, count, range), "no regular step");
        }
    }

    fn earlier(costs: &[(&str, f64)]) -> Run {
        let soak = |(name, seconds): &(&str, f64)| Soak {
            measured: Measured { name: (*name).to_owned(), seconds: *seconds, ..Measured::default() },
            ..Soak::default()
        };
        Run { soaks: costs.iter().map(soak).collect(), ..record::sample::run(1) }
    }

    fn parts(plan: &Plan, earlier: &Run, share: &str) -> Vec<u32> {
        let split = given(share).of_plan(plan, Some(earlier)).unwrap();
        split.soaks.iter().map(|soak| soak.part).collect()
    }

    #[test]
    fn the_longest_goes_first_and_each_to_the_part_with_the_least() {
        let plan = plan(6);
        // Number 5 is new and costs the median, 4; a soak that is gone costs nothing.
        let mut costs =
            earlier(&[("0", 1.0), ("1", 9.0), ("2", 4.0), ("3", 4.0), ("4", 5.0), ("gone", 99.0)]);
        // 9, 4, 1 and 5, 4, 4.
        assert_eq!(parts(&plan, &costs, "1/2"), [1, 1, 2, 1, 2, 2]);
        assert_eq!(parts(&plan, &costs, "2/2"), parts(&plan, &costs, "1/2"));
        // What was cut short says nothing of its cost: 5, 4, 1 and 4, 4, 4.
        costs.soaks[1].measured.outcome.kind = OutcomeKind::Interrupted;
        assert_eq!(parts(&plan, &costs, "1/2"), [1, 2, 2, 1, 1, 2]);
        // Where nothing costs anything, the soaks are spread.
        let nothing = earlier(&[("0", 0.0), ("1", -1.0)]);
        assert_eq!(parts(&plan, &nothing, "1/2"), [1, 2, 1, 2, 1, 2]);
        assert_eq!(parts(&plan, &nothing, "1/4294967294"), [1, 2, 3, 4, 5, 6]);
        assert_eq!(given("1/2").of_plan(&plan, Some(&earlier(&[("gone", 1.0)]))), Err(NoWeights));
    }
}
