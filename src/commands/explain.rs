//! `dlsoak explain`: what the code of a finding means, or the errors of a build log here. A log is read to its end and never held
//! whole.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::Context as _;

use super::print;
use crate::cli::{ExplainArgs, Global};
use crate::exit_code;
use crate::explain::{Rules, explain as read};
use crate::record::Code;
use crate::report::{self, explanation};

/// Carries out `dlsoak explain` and returns the exit code.
///
/// # Errors
/// When the log can't be read.
pub fn explain(args: &ExplainArgs, global: Global) -> anyhow::Result<u8> {
    if let Some(page) = args.log.as_deref().and_then(page) {
        print(&page);
        return Ok(exit_code::PASSED);
    }
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
        print(&explanation::render(&found, super::width(), global.color, global.verbose > 0));
    }
    Ok(if found.errors.is_empty() { exit_code::PASSED } else { exit_code::FAILED })
}

/// The page of a finding's code; `None` where this is no code, or a file of that name is there.
fn page(name: &Path) -> Option<String> {
    let code = Code::from_name(name.to_str()?)?;
    (!name.exists()).then(|| format!("{}\n", report::page(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_a_page_and_a_log_has_none() {
        assert!(page(Path::new("leak-heap")).is_some_and(|page| page.starts_with("leak-heap\n")));
        assert_eq!(page(Path::new("make.log")), None);
    }
}
