//! `dlsoak merge`: merges the records of several machines into one.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{note, print, records};
use crate::analysis::merge::{self, Part};
use crate::cli::{Global, MergeArgs};
use crate::suite::names::check_name;
use crate::{exit_code, report};

/// Carries out `dlsoak merge` and returns the exit code, which is that of the whole run.
///
/// # Errors
/// When a record can't be read, the records do not belong together, or the result can't be written.
pub fn merge(args: &MergeArgs, global: Global) -> anyhow::Result<u8> {
    let parts = args.parts.iter().map(|part| read(part)).collect::<anyhow::Result<Vec<_>>>()?;
    let merged = merge::merge(parts)?;
    if let Some(warning) = report::comparison::of_merged(&merged) {
        note(warning);
    }
    crate::publish::write_record(&merged.run, &args.out)?;
    print(&report::terminal::render(&merged.run, super::columns(), global.color));
    print(&format!("record: {}\n", args.out.display()));
    Ok(exit_code::of(&merged.run))
}

/// Reads `FILE` or `LABEL=FILE`.
fn read(text: &Path) -> anyhow::Result<Part> {
    let shown = text.to_string_lossy();
    // A file that exists is a file, even with `=` in its name.
    let (label, path) = match shown.split_once('=') {
        Some((label, path)) if !text.exists() => (Some(label.to_owned()), PathBuf::from(path)),
        _ => (None, text.to_owned()),
    };
    if let Some(label) = &label {
        check_name(label).map_err(anyhow::Error::msg).with_context(|| format!("the label in {shown}"))?;
    }
    let run = records::read(&path)?;
    Ok(Part { file: path.display().to_string(), label, run })
}
