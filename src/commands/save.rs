//! Saves the record of a run where it was asked for, or, where that has become impossible, somewhere else: hours of
//! measuring are not lost to a full disk. A soak is added at the end of the file, so the last of many costs what the first did.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tempfile::TempPath;

use crate::record::{Run, Soak};
use crate::report::json::{self, Lines};

/// Where the record of a run goes.
#[derive(Debug)]
pub(super) struct Saver {
    out: PathBuf,
    /// Name of the file that takes its place.
    name: String,
    /// What took its place, and why, where anything did.
    instead: Option<(PathBuf, String)>,
    lines: Lines,
    /// The file, where the next soak can be added to it.
    pair: Option<Pair>,
}

/// A record that grows at its end, in a file beside it that then takes its place. The two files take turns, so a soak is written twice, and
/// a reader sees the record whole, also where this process was killed while it wrote.
///
/// Both are open only while they are written: many soaks go by, and it is a descriptor less that they could leave behind.
#[derive(Debug)]
struct Pair {
    path: PathBuf,
    /// The other file, from the first soak on.
    spare: Option<TempPath>,
    lines: Lines,
    shown: Half,
    hidden: Half,
}

/// What one of the two files has.
#[derive(Debug, Clone)]
struct Half {
    /// Whether it has a soak that is over.
    any: bool,
    /// Where the next soak begins.
    end: u64,
    /// The length of the file.
    len: u64,
    /// The soak that only the other file has.
    missing: Vec<u8>,
}

impl Half {
    /// Opens the file, where it is as it was left.
    fn open(&self, path: &Path) -> io::Result<File> {
        let file = OpenOptions::new().write(true).open(path)?;
        if file.metadata()?.len() == self.len {
            Ok(file)
        } else {
            Err(io::Error::other("the record has changed meanwhile"))
        }
    }
}

impl Pair {
    /// The record that was just written whole, where it ends as one does that can grow.
    fn open(path: &Path, contents: &[u8], run: &Run, lines: Lines) -> Option<Self> {
        let any = !run.soaks.is_empty();
        let tail = tail(any);
        contents.ends_with(tail.as_bytes()).then_some(())?;
        let len = contents.len() as u64;
        let half = Half { any, end: len - tail.len() as u64, len, missing: Vec::new() };
        Some(Self { path: path.to_owned(), spare: None, lines, shown: half.clone(), hidden: half })
    }

    /// Writes what follows the soaks that are over: one more of them, and those under way. The next write replaces the latter.
    fn write(&mut self, over: Option<&Soak>, under_way: &[&Soak]) -> anyhow::Result<()> {
        self.shown.open(&self.path)?;
        let spare = match self.spare.take() {
            Some(spare) => spare,
            None => self.copy()?,
        };
        let mut text = std::mem::take(&mut self.hidden.missing);
        let mut any = self.shown.any;
        let mut add = |text: &mut Vec<u8>, soak: &Soak| {
            text.extend(any.then_some(b','));
            any = true;
            text.extend(json::soak(soak, self.lines)?);
            Ok::<_, serde_json::Error>(())
        };
        let begin = text.len();
        over.map_or(Ok(()), |soak| add(&mut text, soak))?;
        let kept = text.len();
        for soak in under_way {
            add(&mut text, soak)?;
        }
        text.extend(tail(any).as_bytes());
        let file = self.hidden.open(&spare)?;
        file.write_all_at(&text, self.hidden.end)?;
        let len = self.hidden.end + text.len() as u64;
        file.set_len(len)?;
        renameat_with(CWD, &*spare, CWD, &self.path, RenameFlags::EXCHANGE)?;
        let (any, end) = (self.shown.any || over.is_some(), self.hidden.end + kept as u64);
        let before = std::mem::replace(&mut self.shown, Half { any, end, len, missing: Vec::new() });
        self.hidden = Half { missing: text[begin..kept].to_vec(), ..before };
        self.spare = Some(spare);
        Ok(())
    }

    /// A second file with what the record has.
    fn copy(&self) -> io::Result<TempPath> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let spare = tempfile::Builder::new()
            .prefix(".dlsoak-")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(dir)?;
        io::copy(&mut File::open(&self.path)?, &mut spare.as_file())?;
        Ok(spare.into_temp_path())
    }
}

/// What ends a record with soaks, or without.
fn tail(any: bool) -> &'static str {
    if any { json::END } else { "]\n}\n" }
}

impl Saver {
    /// For the record of the run `name`, in the directory `out`.
    pub(super) fn new(out: &Path, name: &str, lines: Lines) -> Self {
        let name = format!("dlsoak-record-{name}-{}.json", std::process::id());
        Self { out: out.to_owned(), name, instead: None, lines, pair: None }
    }

    /// Saves the record whole.
    ///
    /// # Errors
    /// When it can be written nowhere.
    pub(super) fn save(&mut self, run: &Run) -> anyhow::Result<()> {
        let Err(error) = self.write(run) else {
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

    /// Writes the record whole where it was asked for.
    fn write(&mut self, run: &Run) -> anyhow::Result<()> {
        self.pair = None;
        let contents = json::render(run, self.lines)?;
        let path = self.out.join("record.json");
        crate::publish::write_contents(&path, &contents)?;
        self.pair = Pair::open(&path, &contents, run, self.lines);
        Ok(())
    }

    /// Adds a soak that is over, which is in the record already, to what was saved.
    ///
    /// # Errors
    /// When it can be written nowhere.
    pub(super) fn add(&mut self, run: &Run, soak: &Soak, under_way: &[&Soak]) -> anyhow::Result<()> {
        let added = self.pair.as_mut().is_some_and(|pair| pair.write(Some(soak), under_way).is_ok());
        if added { Ok(()) } else { self.save(run) }
    }

    /// Writes soaks that are under way behind those that are over: this process may be killed as well as the worker. Where that fails now,
    /// it does at the end as well, and is reported then.
    pub(super) fn keep(&mut self, run: &Run, under_way: &[&Soak]) {
        if self.pair.is_none() && self.instead.is_none() {
            let _ = self.write(run);
        }
        if let Some(pair) = &mut self.pair {
            let _ = pair.write(None, under_way);
        }
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
        let mut saver = Saver::new(dir.path(), "a", Lines::Rows);
        saver.save(&conduct::begin(jiff::Timestamp::now(), None)).unwrap();
        assert_eq!(saver.record().unwrap(), dir.path().join("record.json"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn soaks_that_are_added_make_the_record_that_is_written_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record.json");
        let read = || -> Run { serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap() };
        let names = || -> Vec<String> { read().soaks.into_iter().map(|soak| soak.measured.name).collect() };
        let all = dlsoak_record::sample::run(3);
        let [a, b, c] = all.soaks.as_slice() else { panic!() };
        let mut run = Run { soaks: Vec::new(), ..all.clone() };
        let mut saver = Saver::new(dir.path(), "a", Lines::Rows);
        saver.save(&run).unwrap();
        assert_eq!(names(), Vec::<String>::new());
        saver.keep(&run, &[a, b]);
        assert_eq!(names(), ["c-clean", "c-leak-constructor"]);
        // What is shorter leaves nothing of what was there.
        saver.keep(&run, &[]);
        assert_eq!(names(), Vec::<String>::new());
        for soak in [a, b, c] {
            run.soaks.push(soak.clone());
            saver.add(&run, soak, &[c]).unwrap();
        }
        assert_eq!(names(), ["c-clean", "c-leak-constructor", "cpp-clean", "cpp-clean"]);
        saver.keep(&run, &[]);
        assert_eq!(read(), run);
        let grown = std::fs::read(&path).unwrap();
        saver.save(&run).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), grown);
        saver.keep(&run, &[a]);
        assert_eq!(names().len(), 4);
        // What someone else has changed is written anew.
        std::fs::write(&path, "{").unwrap();
        run.soaks.push(a.clone());
        saver.add(&run, a, &[]).unwrap();
        assert_eq!(read(), run);
    }
}
