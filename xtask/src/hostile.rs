//! One suite of all that is hostile, run in one go: each soak is held against its truth, and the machine is looked at
//! before and after. `cargo xtask hostile` and the integration tests mean the same by it.

use std::path::Path;

use anyhow::{Context, Result};

use crate::fixtures::{Fixture, Situation, Table, Truth, directory};
use crate::judge;
use crate::watched::{self, Watched};

/// How long without a cycle counts as hung, for those that hang: each takes it, and a busy machine may not delay another for so long.
const STALL: &str = "5s";
/// The same for the others, which may be slow on a machine that has much else to do.
const SLOW: &str = "1m";

/// Cycles of warm-up before those that a truth names.
const WARMUP: i64 = 2;

/// What came of a run of the suite.
#[derive(Debug)]
pub struct Report {
    /// Each soak: its name, how it ended in a word, and every point in which that differs from the truth.
    pub soaks: Vec<(String, String, Vec<String>)>,
    /// What is wrong with the run as a whole.
    pub problems: Vec<String>,
}

impl Report {
    /// Whether all is as it should be.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty() && self.soaks.iter().all(|(_, _, differences)| differences.is_empty())
    }
}

/// The fixtures of the suite: those that are hostile, and those that never complete.
pub fn fixtures(table: &Table) -> Vec<&Fixture> {
    let ends =
        |fixture: &Fixture| fixture.truth(&Situation::default()).is_some_and(|truth| truth.end.is_some());
    table.fixtures.iter().filter(|fixture| fixture.hostile || ends(fixture)).collect()
}

/// Whether a soak may hang, by its truth.
pub fn hangs(truth: &Truth) -> bool {
    let ends = truth.end.as_ref().is_some_and(|end| end.kind == "hung");
    ends || truth.verdict == "hung" || truth.accept.iter().any(|verdict| verdict == "hung")
}

/// The text of the suite.
///
/// # Errors
/// When a fixture has no truth.
pub fn suite(fixtures: &[&Fixture], root: &Path) -> Result<String> {
    let out = directory(root).to_string_lossy().into_owned();
    let mut libraries = Vec::new();
    for fixture in fixtures {
        let truth = fixture.truths.first().with_context(|| format!("{} has no truth", fixture.name))?;
        let mut library = toml::Table::new();
        library.insert("name".to_owned(), fixture.name.clone().into());
        library.insert("path".to_owned(), format!("{out}/{}", fixture.file_name()).into());
        library.insert("cycles".to_owned(), i64::try_from(truth.cycles)?.into());
        if !fixture.settings.contains_key("exercise") {
            library.insert("call".to_owned(), fixture.calls.clone().into());
        }
        if !fixture.env.is_empty() {
            let env: toml::Table = fixture.env.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
            library.insert("env".to_owned(), env.into());
        }
        library.insert("stall-timeout".to_owned(), if hangs(truth) { STALL } else { SLOW }.into());
        for (key, value) in &fixture.settings {
            let value = match value {
                toml::Value::String(text) => text.replace("{out}", &out).into(),
                other => other.clone(),
            };
            library.insert(key.clone(), value);
        }
        libraries.push(toml::Value::Table(library));
    }
    let mut suite = toml::Table::new();
    suite.insert("suite".to_owned(), toml::Table::from_iter([("name".to_owned(), "hostile".into())]).into());
    let defaults = [("warmup".to_owned(), WARMUP.into())];
    suite.insert("defaults".to_owned(), toml::Table::from_iter(defaults).into());
    suite.insert("library".to_owned(), libraries.into());
    toml::to_string(&suite).context("cannot write the suite")
}

/// Runs the suite of these fixtures once. `scratch` is a directory of its own, where all is written; `each` is told
/// the name of each soak before it begins.
///
/// # Errors
/// When the program can't be run, or leaves no record.
pub fn run(
    dlsoak: &Path,
    root: &Path,
    scratch: &Path,
    fixtures: &[&Fixture],
    each: &dyn Fn(&str),
) -> Result<Report> {
    let Watched { run, code, mut problems } =
        watched::run(dlsoak, root, scratch, &suite(fixtures, root)?, each)?;
    if code != Some(1) {
        problems.push(format!("its exit code is {code:?}, and should be 1"));
    }
    let names: Vec<_> = run.soaks.iter().map(|soak| soak.name.as_str()).collect();
    let expected: Vec<_> = fixtures.iter().map(|fixture| fixture.name.as_str()).collect();
    if names != expected {
        problems.push(format!(
            "{} soaks were asked for, and {} are in the record",
            expected.len(),
            names.len()
        ));
    }
    let soaks = run.soaks.iter().filter_map(|soak| {
        let fixture = fixtures.iter().find(|fixture| fixture.name == soak.name)?;
        let outcome = &soak.outcome;
        let said = [Some(soak.verdict.as_str()), outcome.signal.as_deref(), outcome.phase.as_deref()];
        let said: Vec<_> = said.into_iter().flatten().collect();
        Some((soak.name.clone(), said.join(" "), judge::differences(fixture, soak)))
    });
    Ok(Report { soaks: soaks.collect(), problems })
}
