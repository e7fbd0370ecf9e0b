//! The environment: variables that were added, changed or removed, and those whose text is in memory that is gone,
//! so that the next `getenv` crashes.

use std::collections::BTreeMap;

use super::crash::consequence;
use super::snapshot::Environment;
use super::{Case, Found, Kind, tally};

/// Finds what changed. Values are not told: they may be secret.
pub(super) fn find(case: &Case<'_>) -> Vec<(Kind, Found)> {
    let (Some(before), Some(after)) = (&case.before.environment, &case.after.environment) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut told = |detail: String| found.push((Kind::Environment, Found::once(detail)));
    if after.array_gone {
        told(format!(
            "environ itself lies in memory that is no longer mapped: {}; don't point environ into a library",
            consequence(Kind::Environment, "the next getenv")
        ));
        return found;
    }
    let (old, new) = (by_name(before), by_name(after));
    let names = |wanted: &dyn Fn(&str) -> bool| -> Vec<String> {
        let all = old.keys().chain(new.keys()).collect::<std::collections::BTreeSet<_>>();
        all.into_iter().filter(|name| wanted(name)).map(|name| format!("`{name}`")).collect()
    };
    let missing = names(&|name| old.contains_key(name) && !new.contains_key(name));
    let gone = after.variables.iter().filter(|variable| variable.is_none()).count();
    if gone > 0 {
        let which = if missing.is_empty() {
            String::new()
        } else {
            format!(" (no longer readable: {})", tally(missing.clone()))
        };
        told(format!(
            "{gone} of the environment's variables lie in memory that is no longer mapped{which}: {}; putenv \
             keeps the pointer it is given, setenv makes a copy",
            consequence(Kind::Environment, "the next getenv that passes them")
        ));
    }
    let lists = [
        ("was set", names(&|name| !old.contains_key(name) && new.contains_key(name))),
        (
            "has another value",
            names(&|name| old.get(name).is_some_and(|o| new.get(name).is_some_and(|n| n != o))),
        ),
        // What lies in gone memory has been told already.
        ("was removed", if gone > 0 { Vec::new() } else { missing }),
    ];
    for (what, names) in lists {
        if !names.is_empty() {
            told(format!(
                "{} {what} in the environment, for the whole process and its children; put it back before the \
                 library is unloaded",
                tally(names)
            ));
        }
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
