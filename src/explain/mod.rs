//! Explains what went wrong in a build log between source and a loaded library. The log is matched against `rules.toml`; only
//! `here/` looks at the machine, and it reads files and runs nothing.

mod here;
mod line;
mod rules;
mod scan;

use std::io::{self, BufRead};

use crate::record::explanation::{Explained, Explanation, SCHEMA};
use crate::settings::quoted;
use crate::settings::units::printable;
use crate::supervisor;
use rules::filled;
pub use rules::{Rule, Rules, RulesError};
pub use scan::{Scan, Scanned};

/// Reads a log and explains it; with `look` also by what this machine has.
///
/// # Errors
/// Whatever reading it gives.
pub fn explain(rules: &Rules, log: &str, input: impl BufRead, look: bool) -> io::Result<Explanation> {
    let scanned = Scan::new(rules).read(input)?;
    let mut errors: Vec<Explained> = Vec::new();
    let symbols = scanned.hits.iter().filter_map(|hit| hit.found.get("symbol"));
    let machine = look.then(|| here::Machine::with_symbols(symbols.map(String::as_str)));
    for hit in scanned.hits {
        let Some(rule) = rules.rules().get(hit.rule) else { continue };
        let plain = |text: &str| printable(text);
        let here = match (&machine, rule.look) {
            (Some(machine), Some(look)) => machine.look(look, &hit.found),
            _ => Vec::new(),
        };
        errors.push(Explained {
            rule: rule.name.clone(),
            title: filled(&rule.title, &hit.found, plain),
            stage: rule.stage,
            line: hit.line,
            last_line: hit.last_line,
            count: hit.count,
            text: hit.text,
            means: filled(&rule.means, &hit.found, plain),
            here,
            run: rule.run.iter().map(|run| filled(run, &hit.found, word)).collect(),
            names: hit.found,
            repeated_by: hit.echoes,
        });
    }
    Ok(Explanation {
        schema: SCHEMA.to_owned(),
        log: log.to_owned(),
        lines: scanned.lines,
        host: look.then(|| supervisor::host(crate::sys::c_library::of_this_machine())),
        errors,
        left_out: scanned.left_out,
    })
}

/// What a log names as a word of a command. A log is anyone's text: what would be more than a word to a shell is quoted.
fn word(text: &str) -> String {
    quoted(printable(text).as_bytes())
}
