//! `dlsoak init`: writes a suite to go on from, with the libraries that it finds.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::libraries::{identity, libraries_in};
use super::note;
use super::run::SUITE_FILE;
use crate::cli::{Global, InitArgs};
use crate::{exit_code, files, inspect, report};

/// Libraries that are written down, at most.
const MOST: usize = 500;

/// Carries out `dlsoak init` and returns the exit code.
///
/// # Errors
/// When there is a suite already, no library is found, or the file can't be written.
pub fn init(args: &InitArgs, global: Global) -> anyhow::Result<u8> {
    let suite = Path::new(SUITE_FILE);
    if suite.exists() && !args.force {
        bail!("{SUITE_FILE} is there already; replace it with --force, or remove it");
    }
    let mut libraries = Vec::new();
    let mut seen = HashSet::new();
    let here = [PathBuf::from(".")];
    for path in if args.paths.is_empty() { &here[..] } else { &args.paths } {
        if path.is_dir() {
            for file in libraries_in(path).into_iter().filter(|file| !is_hidden(path, file)) {
                if seen.insert(identity(&file)) {
                    let found = inspect::inspect(&file).with_context(|| file.display().to_string())?;
                    libraries.push((shown(&file), found));
                }
            }
        } else {
            let found = inspect::inspect(path).with_context(|| path.display().to_string())?;
            if seen.insert(identity(path)) {
                libraries.push((shown(path), found));
            }
        }
    }
    libraries.sort_by(|a, b| a.0.cmp(&b.0));
    if libraries.is_empty() {
        bail!("no shared library is below this directory; build it first, or name its path");
    }
    if libraries.len() > MOST {
        let count = libraries.len();
        bail!(
            "there are {count} shared libraries here, and a suite gets at most {MOST}; name the paths of yours"
        );
    }
    let name =
        std::env::current_dir().ok().and_then(|here| Some(here.file_name()?.to_string_lossy().into_owned()));
    let text = report::template::suite(&name.unwrap_or_else(|| "plugins".to_owned()), &libraries);
    files::write_atomic(suite, text.as_bytes()).with_context(|| format!("cannot write {SUITE_FILE}"))?;
    if !global.quiet {
        let libraries = match libraries.len() {
            1 => "1 library".to_owned(),
            count => format!("{count} libraries"),
        };
        note(&format!("wrote {SUITE_FILE} with {libraries}; read it, then run: dlsoak run"));
    }
    Ok(exit_code::PASSED)
}

/// Whether a file is one that a person does not see in a directory, for example of a cache or of another program's environment.
fn is_hidden(directory: &Path, file: &Path) -> bool {
    let below = file.strip_prefix(directory).unwrap_or(file);
    below.iter().any(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// A path as a person would write it.
fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).to_string_lossy().into_owned()
}
