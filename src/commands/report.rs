//! `dlsoak report`: makes a report from a saved record.

use std::path::Path;

use anyhow::{Context as _, bail};

use super::print;
use crate::cli::{Global, ReportArgs, ReportFormat};
use crate::record::{Run, SCHEMA};
use crate::{exit_code, report};

/// Carries out `dlsoak report` and returns the exit code.
///
/// # Errors
/// When the record can't be read or the report can't be written.
pub fn report(args: &ReportArgs, global: Global) -> anyhow::Result<u8> {
    let run = read_record(&args.record)?;
    let format = match args.to {
        ReportFormat::Text => {
            print(&report::terminal::render(&run, super::width(), global.color));
            return Ok(exit_code::PASSED);
        }
        ReportFormat::Svg => report::Format::Svg,
        ReportFormat::Png => report::Format::Png,
        ReportFormat::Html => report::Format::Html,
        ReportFormat::Markdown => report::Format::Markdown,
        ReportFormat::Junit => report::Format::Junit,
        ReportFormat::Csv => report::Format::Csv,
        ReportFormat::Hgrm => report::Format::Hgrm,
        ReportFormat::Hlog => report::Format::Hlog,
    };
    let beside = args.record.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let out = args.out.as_deref().unwrap_or(beside);
    std::fs::create_dir_all(out).with_context(|| format!("cannot make the directory {}", out.display()))?;
    for file in report::write(&run, out, &[format])? {
        print(&format!("{}\n", file.display()));
    }
    Ok(exit_code::PASSED)
}

/// Reads a saved record.
fn read_record(path: &Path) -> anyhow::Result<Run> {
    let text = std::fs::read(path).with_context(|| format!("cannot read the record {}", path.display()))?;
    let value: serde_json::Value =
        serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", path.display()))?;
    match value.get("schema").and_then(|s| s.as_str()) {
        Some(SCHEMA) => {}
        Some(other) => bail!("{}: schema `{other}`; this version reads `{SCHEMA}`", path.display()),
        None => bail!("{} is no record of dlsoak: it has no `schema`", path.display()),
    }
    serde_json::from_value(value).with_context(|| format!("{} is a broken record", path.display()))
}
