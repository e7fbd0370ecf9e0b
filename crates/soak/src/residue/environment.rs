//! The environment: variables that were added, changed or removed, and those whose text is in memory that is gone,
//! so that the next `getenv` crashes.

use std::collections::BTreeMap;

use super::snapshot::Environment;
use super::{Case, tally};
use crate::record::{EnvironmentChange as Change, Evidence, Residue};

/// Finds what changed. Values are not recorded: they may be secret.
pub(super) fn find(case: &Case<'_>) -> Vec<Residue> {
    changes(case).into_iter().map(|change| Residue::once(Evidence::Environment(change))).collect()
}

fn changes(case: &Case<'_>) -> Vec<Change> {
    let (Some(before), Some(after)) = (&case.before.environment, &case.after.environment) else {
        return Vec::new();
    };
    if after.array_gone {
        return vec![Change::ArrayGone];
    }
    let (old, new) = (by_name(before), by_name(after));
    let names = |wanted: &dyn Fn(&str) -> bool| {
        let all = old.keys().chain(new.keys()).collect::<std::collections::BTreeSet<_>>();
        tally(all.into_iter().filter(|name| wanted(name)).map(|name| (*name).to_owned()))
    };
    let missing = names(&|name| old.contains_key(name) && !new.contains_key(name));
    let set = names(&|name| !old.contains_key(name) && new.contains_key(name));
    let changed = names(&|name| old.get(name).is_some_and(|o| new.get(name).is_some_and(|n| n != o)));
    let gone = after.variables.iter().filter(|variable| variable.is_none()).count() as u64;
    let mut found = Vec::new();
    if gone > 0 {
        found.push(Change::TextGone { count: gone, names: missing.clone() });
    }
    if !set.is_empty() {
        found.push(Change::Set { names: set });
    }
    if !changed.is_empty() {
        found.push(Change::Changed { names: changed });
    }
    // A variable whose text is gone was not removed.
    if gone == 0 && !missing.is_empty() {
        found.push(Change::Removed { names: missing });
    }
    found
}

/// Variables by name; of one that is there twice, the first counts, as for `getenv`.
fn by_name(environment: &Environment) -> BTreeMap<&str, &str> {
    let mut all = BTreeMap::new();
    for variable in environment.variables.iter().flatten() {
        if let Some((name, value)) = variable.split_once('=') {
            all.entry(name).or_insert(value);
        }
    }
    all
}
