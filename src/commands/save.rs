//! Saves the record of a run where it was asked for, or, where that has become impossible, somewhere else: hours of
//! measuring are not lost to a full disk.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::record::Run;
use crate::report::Format;

/// Where the record of a run goes.
#[derive(Debug)]
pub(super) struct Saver {
    out: PathBuf,
    /// Name of the file that takes its place.
    name: String,
    /// What took its place, and why, where anything did.
    instead: Option<(PathBuf, String)>,
}

impl Saver {
    /// For the record of the run `name`, in the directory `out`.
    pub(super) fn new(out: &Path, name: &str) -> Self {
        let name = format!("dlsoak-record-{name}-{}.json", std::process::id());
        Self { out: out.to_owned(), name, instead: None }
    }

    /// Saves the record whole.
    ///
    /// # Errors
    /// When it can be written nowhere.
    pub(super) fn save(&mut self, run: &Run) -> anyhow::Result<()> {
        let Err(error) = crate::publish::write(run, &self.out, &[Format::Json]) else {
            // What was saved elsewhere is older now.
            if let Some((path, _)) = self.instead.take() {
                let _ = std::fs::remove_file(path);
            }
            return Ok(());
        };
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let places = std::iter::once(std::env::temp_dir()).chain(home).filter(|place| place.is_absolute());
        for place in places {
            let path = place.join(&self.name);
            if crate::publish::write_record(run, &path).is_ok() {
                if self.instead.as_ref().is_none_or(|(before, _)| *before != path) {
                    super::note(&format!("{error}; the record was saved to {} instead", path.display()));
                }
                self.instead = Some((path, error.to_string()));
                return Ok(());
            }
        }
        Err(error).context(
            "the record could not be saved in the output directory, TMPDIR or HOME; free some space, and run again",
        )
    }

    /// The record as it is saved now.
    ///
    /// # Errors
    /// When it is not where it was asked for; the error says where it is.
    pub(super) fn record(&self) -> anyhow::Result<PathBuf> {
        match &self.instead {
            None => Ok(self.out.join("record.json")),
            Some((path, error)) => {
                anyhow::bail!("{error}; the record was saved to {} instead", path.display())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conduct;

    #[test]
    fn a_record_that_can_be_written_is_where_it_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let mut saver = Saver::new(dir.path(), "a");
        saver.save(&conduct::begin(jiff::Timestamp::now(), None)).unwrap();
        assert_eq!(saver.record().unwrap(), dir.path().join("record.json"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
