//! `dlsoak report`: makes a report from a saved record.

use std::path::Path;

use anyhow::{Context as _, bail};

use super::{print, records};
use crate::cli::{Global, ReportArgs, ReportFormat};
use crate::{exit_code, report};

/// Carries out `dlsoak report` and returns the exit code.
///
/// # Errors
/// When the record can't be read or the report can't be written.
pub fn report(args: &ReportArgs, global: Global) -> anyhow::Result<u8> {
    if args.summary && args.to != ReportFormat::Text {
        bail!("--summary is for --to text");
    }
    let run = records::read(&args.record)?;
    let format = match args.to {
        ReportFormat::Text => {
            print(&super::result(&run, args.summary, global));
            return Ok(exit_code::PASSED);
        }
        ReportFormat::Svg => report::Format::Svg,
        ReportFormat::Png => report::Format::Png,
        ReportFormat::Html => report::Format::Html,
        ReportFormat::Markdown => report::Format::Markdown,
        ReportFormat::Junit => report::Format::Junit,
        ReportFormat::Sarif => report::Format::Sarif,
        ReportFormat::Bencher => report::Format::Bencher,
        ReportFormat::Csv => report::Format::Csv,
        ReportFormat::Hgrm => report::Format::Hgrm,
        ReportFormat::Hlog => report::Format::Hlog,
        ReportFormat::Costs => report::Format::Costs,
    };
    if run.watch.is_some() && run.soaks.is_empty() && format.is_of_soaks() {
        bail!(
            "{}: this is the record of a watch, which has no cycles to draw or list; its charts are in the page (--to html)",
            args.record.display()
        );
    }
    let beside = args.record.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let out = args.out.as_deref().unwrap_or(beside);
    std::fs::create_dir_all(out).with_context(|| format!("cannot create the directory {}", out.display()))?;
    for file in crate::publish::write(&run, out, &[format])? {
        print(&format!("{}\n", file.display()));
    }
    Ok(exit_code::PASSED)
}
