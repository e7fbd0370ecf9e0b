//! Baselines: records that are kept under a name, to compare later runs with.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::{note, print, records};
use crate::analysis::compare;
use crate::cli::RunArgs;
use crate::record::{self, Run};
use crate::settings::Limits;
use crate::suite::names::check_name;
use crate::suite::plan::Plan;

/// A baseline that was read.
pub(super) struct Baseline {
    /// As it was named on the command line.
    name: String,
    run: Run,
}

/// Reads the baseline of this name; what ends in `.json` is a file.
pub(super) fn read(name: &str, directory: &Path) -> anyhow::Result<Baseline> {
    let path = if has_json(name) { PathBuf::from(name) } else { place(name, directory)? };
    let run = records::read(&path).with_context(|| {
        let known = known(directory);
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        format!(
            "no baseline `{name}` in {} (available: {known}); save one with --save-baseline {name}",
            directory.display()
        )
    })?;
    Ok(Baseline { name: name.to_owned(), run })
}

/// Reports before the run what can't work after it: a name that can't be one, and a limit without a baseline.
pub(super) fn check(args: &RunArgs, plan: &Plan, baseline: Option<&Baseline>) -> anyhow::Result<()> {
    if let Some(name) = &args.save_baseline {
        place(name, &args.baselines)?;
    }
    let limits = |soak: &Limits| soak.max_leak_increase.is_some() || soak.max_p99_increase.is_some();
    if baseline.is_none() && plan.soaks.iter().any(|soak| limits(&soak.limits)) {
        note(
            "max-leak-increase and max-p99-increase have no effect without a baseline; name one with --baseline",
        );
    }
    Ok(())
}

/// What the baseline has of the library that is soaked under this name.
pub(super) fn like(name: &str, baseline: &Baseline) -> record::Baseline {
    compare::baseline_of(&baseline.run, name, &baseline.name)
}

/// Saves the record as a baseline; not one of a run that was cut short, against which all later ones would look worse or
/// better than they are.
pub(super) fn save(run: &Run, name: &str, directory: &Path, soaks: usize, quiet: bool) -> anyhow::Result<()> {
    let whole = run.soaks.len() == soaks && !run.soaks.iter().any(|soak| soak.is_cut_short());
    if !whole {
        note(&format!("the baseline `{name}` was not saved because the run was interrupted"));
        return Ok(());
    }
    let path = place(name, directory)?;
    std::fs::create_dir_all(directory).with_context(|| {
        format!("cannot create the directory {}; choose another with --baselines", directory.display())
    })?;
    crate::publish::write_record(run, &path)?;
    if !quiet {
        print(&format!("baseline saved to {}\n", path.display()));
    }
    Ok(())
}

/// The file of a baseline.
fn place(name: &str, directory: &Path) -> anyhow::Result<PathBuf> {
    if let Err(problem) = check_name(name) {
        bail!("baseline `{name}`: {problem}");
    }
    Ok(directory.join(format!("{name}.json")))
}

/// Names of the baselines that are there.
fn known(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut known: Vec<String> =
        names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect();
    known.sort();
    known
}

fn has_json(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "json")
}
