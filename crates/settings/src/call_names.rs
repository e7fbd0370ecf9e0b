//! The names in a list of calls: each result and out-parameter is set before it is used, once, and an out-parameter is used at all.

use std::collections::HashMap;

use thiserror::Error;

use crate::call::{Arg, Call, Name};

/// What is wrong with a name in a list of calls, with its place.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{call}`: column {column}: {problem}")]
pub struct NameError {
    /// Whether the call is one of the set-up.
    pub in_setup: bool,
    /// The call.
    pub call: String,
    /// Column of the name in it, counted in characters from 1.
    pub column: usize,
    /// What is wrong and what to do.
    pub problem: String,
}

/// What has set a name.
struct Set<'a> {
    by: &'a Call,
    at: &'a Name,
    in_setup: bool,
    is_out: bool,
    used: bool,
}

/// Checks the names of the calls of a set-up and of the calls of a cycle, which may use what the set-up keeps.
///
/// # Errors
/// [`NameError`] for the first name that is wrong.
pub fn check_names(setup: &[Call], calls: &[Call]) -> Result<(), NameError> {
    let mut set: HashMap<&str, Set<'_>> = HashMap::new();
    let all = setup.iter().map(|call| (true, call)).chain(calls.iter().map(|call| (false, call)));
    for (position, (in_setup, call)) in all.clone().enumerate() {
        let error = |name: &Name, problem: String| {
            Err(NameError { in_setup, call: call.text.clone(), column: name.column, problem })
        };
        let mut outs: Vec<&Name> = Vec::new();
        let value = call.check.as_ref().map(|check| &check.value);
        for arg in call.args.iter().chain(value) {
            match arg {
                Arg::Result(name) => match set.get_mut(name.text.as_str()) {
                    Some(known) => known.used = true,
                    None => {
                        let text = &name.text;
                        let later = all.clone().skip(position).any(|(_, other)| sets(other, text));
                        return error(
                            name,
                            if later {
                                format!("`{text}` is used before it is set")
                            } else {
                                format!("no earlier call sets `{text}`; write a string as \"{text}\"")
                            },
                        );
                    }
                },
                Arg::Out(name) => match set.get_mut(name.text.as_str()) {
                    Some(known) if known.in_setup && !in_setup => {
                        let problem =
                            format!("`{}` is kept by the set-up, so a cycle can't write to it", name.text);
                        return error(name, problem);
                    }
                    Some(known) => known.used = true,
                    None => outs.push(name),
                },
                _ => {}
            }
        }
        for name in outs {
            set.entry(&name.text).or_insert(Set { by: call, at: name, in_setup, is_out: true, used: false });
        }
        if let Some(keeps) = &call.keeps {
            let name = &keeps.name;
            if let Some(known) = set.get(name.text.as_str()) {
                let problem =
                    format!("`{}` is set by `{}` already; choose another name", name.text, known.by.text);
                return error(name, problem);
            }
            set.insert(&name.text, Set { by: call, at: name, in_setup, is_out: false, used: false });
        }
    }
    let unused = set.values().filter(|known| known.is_out && !known.used);
    match unused.min_by_key(|known| (!known.in_setup, &known.by.text, known.at.column)) {
        None => Ok(()),
        Some(unused) => Err(NameError {
            in_setup: unused.in_setup,
            call: unused.by.text.clone(),
            column: unused.at.column,
            problem: format!(
                "no later call uses `{}`, which this call writes; pass it on, or write null",
                unused.at.text
            ),
        }),
    }
}

/// Whether a call sets the name.
fn sets(call: &Call, name: &str) -> bool {
    let keeps = call.keeps.as_ref().is_some_and(|keeps| keeps.name.text == name);
    keeps || call.args.iter().any(|arg| matches!(arg, Arg::Out(out) if out.text == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(setup: &[&str], calls: &[&str]) -> String {
        let parse = |texts: &[&str]| texts.iter().map(|text| Call::parse(text).unwrap()).collect::<Vec<_>>();
        match check_names(&parse(setup), &parse(calls)) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn each_name_is_set_once_and_before_it_is_used() {
        for (setup, calls, expected) in [
            (&[][..], &["h = make(3)", "use(h) == 0", "destroy(h)"][..], ""),
            (&[], &["open(\":memory:\", &db) == 0", "close(db)"], ""),
            (&[], &["open(&db)", "free_and_null(&db)"], ""),
            (&[], &["h = make(3)"], ""),
            (&[], &["a = f()", "f() == a"], ""),
            (&["ctx = host()"], &["start(ctx)"], ""),
            (&["host(&ctx)"], &["start(ctx)"], ""),
            (&[], &["use(h)"], "`use(h)`: column 5: no earlier call sets `h`; write a string as \"h\""),
            (&[], &["use(h)", "h = make(3)"], "`use(h)`: column 5: `h` is used before it is set"),
            (&[], &["h = grow(h)"], "`h = grow(h)`: column 10: `h` is used before it is set"),
            (&[], &["get(&n, n)"], "`get(&n, n)`: column 9: `n` is used before it is set"),
            (&[], &["f() == x"], "`f() == x`: column 8: no earlier call sets `x`; write a string as \"x\""),
            (
                &[],
                &["h = f()", "h = g()"],
                "`h = g()`: column 1: `h` is set by `h = f()` already; choose another name",
            ),
            (
                &[],
                &["get(&h)", "h = g()"],
                "`h = g()`: column 1: `h` is set by `get(&h)` already; choose another name",
            ),
            (
                &[],
                &["f(1, &out)"],
                "`f(1, &out)`: column 7: no later call uses `out`, which this call writes; pass it on, or write null",
            ),
            (
                &["ctx = host()"],
                &["start(&ctx)"],
                "`start(&ctx)`: column 8: `ctx` is kept by the set-up, so a cycle can't write to it",
            ),
        ] {
            assert_eq!(problem(setup, calls), expected, "{setup:?} {calls:?}");
        }
    }
}
