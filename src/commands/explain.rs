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
use crate::report::explanation;

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

/// A page for each code.
const FINDINGS: &str = include_str!("../../docs/findings.md");

/// The page of a finding's code; `None` where this is no code, or a file of that name is there.
fn page(name: &Path) -> Option<String> {
    let code = Code::from_name(name.to_str()?)?;
    if name.exists() {
        return None;
    }
    let from = FINDINGS.find(&format!("\n## {code}\n"))? + 1;
    let page = FINDINGS.get(from..)?;
    let end = page.get(3..)?.find("\n## ").map_or(page.len(), |end| end + 4);
    Some(format!("{}\n", page.get(..end)?.trim_start_matches("## ").trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_page_and_every_page_a_code() {
        let pages: Vec<&str> = FINDINGS.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        let codes = Code::ALL.map(Code::name);
        assert_eq!(pages, codes);
        for code in codes {
            let page = page(Path::new(code)).unwrap();
            assert!(page.starts_with(code) && page.lines().count() > 3 && !page.contains("\n## "), "{page}");
        }
        assert_eq!(page(Path::new("make.log")), None);
    }
}
