//! `dlsoak explain`: what the errors of a build log mean here. The log is read to its end and never held whole.

use std::fs::File;
use std::io::BufReader;

use anyhow::Context as _;

use super::print;
use crate::cli::{ExplainArgs, Global};
use crate::exit_code;
use crate::explain::{Rules, explain as read};

/// Carries out `dlsoak explain` and returns the exit code.
///
/// # Errors
/// When the log can't be read.
pub fn explain(args: &ExplainArgs, global: Global) -> anyhow::Result<u8> {
    let rules = Rules::own()?;
    let found = match args.log.as_deref().filter(|path| path.as_os_str() != "-") {
        Some(path) => {
            let name = path.display().to_string();
            File::open(path)
                .and_then(|file| read(&rules, &name, BufReader::new(file), !args.no_host))
                .with_context(|| format!("cannot read {name}"))?
        }
        None => {
            read(&rules, "-", std::io::stdin().lock(), !args.no_host).context("cannot read standard input")?
        }
    };
    if args.json {
        print(&(serde_json::to_string_pretty(&found)? + "\n"));
    } else {
        print(&crate::rooms::explanation::render(&found, super::width(), global.color, global.verbose > 0));
    }
    Ok(if found.errors.is_empty() { exit_code::PASSED } else { exit_code::FAILED })
}
