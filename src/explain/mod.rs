//! What a build log says went wrong between source and a loaded library, and what that means on this machine. The log is
//! matched against `rules.toml`; only `here.rs` looks at the machine, and it reads files and runs nothing.

mod here;
mod line;
mod rules;
mod scan;

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use serde::Serialize;

use crate::settings::units::printable;
use crate::suite::replay::quoted;
use rules::filled;
pub use rules::{Rule, Rules, RulesError, Stage};
pub use scan::{EchoLine, Scan, Scanned};

/// The value of [`Explanation::schema`].
pub const SCHEMA: &str = "dlsoak.explain/1";

/// A log with what its errors mean.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// Always [`SCHEMA`].
    pub schema: &'static str,
    /// The log's file; `-` for standard input.
    pub log: String,
    /// Lines of it.
    pub lines: u64,
    /// This machine, where it was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Errors, by the first line of each.
    pub errors: Vec<Explained>,
    /// Lines of further errors, which are only counted.
    pub left_out: u64,
}

/// One error, as often as it is in the log.
#[derive(Debug, Serialize)]
pub struct Explained {
    /// Name of the rule.
    pub rule: String,
    /// In a few words.
    pub title: String,
    /// Where in a build it happens.
    pub stage: Stage,
    /// Number of its first line, from 1.
    pub line: u64,
    /// Number of its last line.
    pub last_line: u64,
    /// How often it is there.
    pub count: u64,
    /// Its first line.
    pub text: String,
    /// What the line names: `symbol`, `library`, `file` and their like.
    pub names: BTreeMap<String, String>,
    /// What it means.
    pub means: String,
    /// What this machine has to do with it.
    pub here: Vec<String>,
    /// Commands that mend or check it.
    pub run: Vec<String>,
    /// Lines that only repeat it.
    pub repeated_by: Vec<EchoLine>,
}

/// Reads a log and explains it; with `look` also by what this machine has.
///
/// # Errors
/// Whatever reading it gives.
pub fn explain(rules: &Rules, log: &str, input: impl BufRead, look: bool) -> io::Result<Explanation> {
    let scanned = Scan::new(rules).read(input)?;
    let mut errors: Vec<Explained> = Vec::new();
    let symbols = scanned.hits.iter().filter_map(|hit| hit.found.get("symbol"));
    let here = look.then(|| here::Here::of_this_machine(symbols.map(String::as_str)));
    for hit in scanned.hits {
        let Some(rule) = rules.rules().get(hit.rule) else { continue };
        let plain = |text: &str| printable(text);
        let here = match (&here, rule.look) {
            (Some(here), Some(look)) => here.look(look, &hit.found),
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
            here: here.iter().map(|text| printable(text)).collect(),
            run: rule.run.iter().map(|run| filled(run, &hit.found, word)).collect(),
            names: hit.found,
            repeated_by: hit.echoes,
        });
    }
    Ok(Explanation {
        schema: SCHEMA,
        log: log.to_owned(),
        lines: scanned.lines,
        host: look.then(here::host),
        errors,
        left_out: scanned.left_out,
    })
}

/// What a log names as a word of a command. A log is anyone's text: what would be more than a word to a shell is quoted.
fn word(text: &str) -> String {
    quoted(printable(text).as_bytes())
}
