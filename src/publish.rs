//! Writes what `dlsoak-report` renders: each file whole or not at all.

use std::io;
use std::path::{Path, PathBuf};

use dlsoak_judge::compare::Comparison;
use dlsoak_record::Run;
use dlsoak_report::{self as report, Format, Rendered};

use crate::files::write_atomic;

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// It could not be rendered.
    #[error(transparent)]
    Render(#[from] report::Error),
}

/// Renders `formats` into `dir`, which must exist, and returns the files written, in the order of the formats, so that a chart that
/// fails can't cost the record.
///
/// # Errors
/// The first that occurs; files written before it stay.
pub fn write(run: &Run, dir: &Path, formats: &[Format]) -> Result<Vec<PathBuf>, Error> {
    let mut written = Ok(Vec::new());
    report::render(run, formats, |rendered| {
        if let Ok(paths) = &mut written
            && let Err(error) = rendered.map_err(Error::from).and_then(|files| keep(files, dir, paths))
        {
            written = Err(error);
        }
    });
    written
}

/// Writes the record as a file of this name.
///
/// # Errors
/// When it can't be written.
pub fn write_record(run: &Run, path: &Path) -> Result<(), Error> {
    let files = Format::Json.render(run)?;
    let contents = files.first().map(|file| file.contents.as_slice()).unwrap_or_default();
    write_contents(path, contents)
}

/// Writes a file whole or not at all.
///
/// # Errors
/// When it can't be written.
pub(crate) fn write_contents(path: &Path, contents: &[u8]) -> Result<(), Error> {
    write_atomic(path, contents).map_err(|source| Error::Write { path: path.to_owned(), source })
}

/// Writes charts, table and data of a comparison into `dir`, which must exist, and returns the files written.
///
/// # Errors
/// The first that occurs; files written before it stay.
pub fn write_comparison(
    comparison: &Comparison,
    runs: &[(String, Run)],
    dir: &Path,
) -> Result<Vec<PathBuf>, Error> {
    let mut written = Vec::new();
    keep(report::comparison::files(comparison, runs)?, dir, &mut written)?;
    Ok(written)
}

fn keep(files: Vec<Rendered>, dir: &Path, written: &mut Vec<PathBuf>) -> Result<(), Error> {
    for Rendered { name, contents } in files {
        let path = dir.join(&name);
        write_contents(&path, &contents)?;
        written.push(path);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use dlsoak_record::sample;

    use super::*;

    #[test]
    fn a_run_leaves_its_record_and_its_charts() {
        let dir = tempfile::tempdir().unwrap();
        let run = sample::run(2);
        let written = write(&run, dir.path(), &Format::OF_A_RUN).unwrap();
        let names: Vec<_> = written.iter().map(|p| p.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["record.json", "report.html", "latency.svg", "loads.svg", "memory.svg"]);
        let back: Run = serde_json::from_slice(&std::fs::read(&written[0]).unwrap()).unwrap();
        assert_eq!(back, run);
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = write(&sample::run(1), Path::new("/nonexistent/x"), &Format::OF_A_RUN).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/x/record.json"), "{error}");
    }
}
