//! `dlsoak init`: writes a suite to go on from, with the libraries that it finds.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::note;
use super::run::SUITE_FILE;
use crate::cli::{Global, InitArgs};
use crate::record::file::Kind;
use crate::record::inspection::Inspection;
use crate::{exit_code, files, inspect, report};

/// Directories below a directory that is searched.
const DEPTH: usize = 8;
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
            for (file, found) in libraries_in(path) {
                if seen.insert(identity(&file)) {
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

/// The shared libraries in a directory and below: of several names of one file the shortest, which is what a build links.
pub(super) fn libraries_in(directory: &Path) -> Vec<(PathBuf, Inspection)> {
    let (mut files, mut seen) = (Vec::new(), HashSet::new());
    search(directory, DEPTH, &mut files);
    files.sort_by_key(|file| (file.as_os_str().len(), file.clone()));
    let found = files.into_iter().filter_map(|file| library(&file).map(|found| (file, found)));
    found.filter(|(file, _)| seen.insert(identity(file))).collect()
}

/// Adds all files below a directory that are named as shared libraries are. What can't be read is passed over, and so is what a person
/// does not see.
fn search(directory: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b".")) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        // A link to a directory may lead round in a circle.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 0 => search(&path, depth - 1, found),
            Ok(kind)
                if !kind.is_dir() && (name.ends_with(".so") || name.contains(".so.")) && path.is_file() =>
            {
                found.push(path);
            }
            _ => {}
        }
    }
}

/// What a file says that is a shared library, and no program that can be executed, nor a file of another kind.
fn library(file: &Path) -> Option<Inspection> {
    let found = inspect::inspect(file).ok()?;
    (found.file.kind == Kind::SharedObject && found.file.interpreter.is_none()).then_some(found)
}

/// Device and inode of a file, or its path.
fn identity(file: &Path) -> Result<(u64, u64), PathBuf> {
    fs::metadata(file).map(|metadata| (metadata.dev(), metadata.ino())).map_err(|_| file.to_owned())
}

/// A path as a person would write it.
fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).to_string_lossy().into_owned()
}
