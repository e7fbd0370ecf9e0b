//! What a run reports to GitHub Actions, if it runs there: annotations, and the summary of the step.

use std::io::Write as _;
use std::path::PathBuf;

use super::print;
use crate::record::Run;
use crate::report::{self, Format};

/// Prints annotations and appends to the step's summary, as far as the environment asks for them. `json`: stdout carries
/// events and nothing else. Neither is worth failing a run for.
pub(super) fn tell(run: &Run, json: bool) {
    if std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true") {
        let annotations = report::annotations::render(run, in_repository());
        if json {
            // The runner reads commands from both.
            let _ = std::io::stderr().lock().write_all(annotations.as_bytes());
        } else {
            print(&annotations);
        }
    }
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else { return };
    let summary = Format::Markdown.render(run).unwrap_or_default();
    let append = |contents: &[u8]| {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&path)?;
        file.write_all(contents)
    };
    for file in summary {
        if let Err(error) = append(&file.contents) {
            super::note(&format!("cannot append to the step summary {}: {error}", path.to_string_lossy()));
        }
    }
}

/// What makes a path relative to the root of the repository, which is the step's own directory unless the runner names another. A path
/// outside of it stays.
fn in_repository() -> impl Fn(&str) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let named = std::env::var_os("GITHUB_WORKSPACE").filter(|root| !root.is_empty()).map(PathBuf::from);
    let root = named.unwrap_or_else(|| here.clone());
    move |path| {
        let full = here.join(path);
        full.strip_prefix(&root).map_or_else(|_| path.to_owned(), |path| path.display().to_string())
    }
}
