//! The file each thread opens: the library itself, or a private copy per thread, so that threads don't share one
//! reference count, or a private directory, where the worker makes a copy for each cycle. All of it is removed when this
//! value is dropped, also after a crash of the worker.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

use nix::sys::statvfs::{FsFlags, statvfs};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::original::{Stamp, stamp};
use super::private::PrivateDirectory;
use crate::channel::{Phase, Slot};
use crate::elf::{Difference, Facts};
use crate::fault::Fault;
use crate::record::{LoadCause, LoadFailure, Mode, Shortage};

/// Which files the threads open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Files {
    /// The library itself.
    Original,
    /// A copy for each thread.
    CopyPerThread,
    /// A copy for each cycle, which the worker makes.
    CopyPerCycle,
}

impl Files {
    /// What a plan needs.
    pub(super) fn of(mode: Mode, threads: u32, share_path: bool) -> Self {
        match mode {
            Mode::Copies => Self::CopyPerCycle,
            Mode::Reopen if threads > 1 && !share_path => Self::CopyPerThread,
            // A namespace shares nothing but the file.
            Mode::Reopen | Mode::Namespace => Self::Original,
        }
    }
}

/// The other build, which changes places with the library before each cycle.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The file that is not at the path. At first the library is, so that the first cycle opens it.
    pub(super) file: PathBuf,
    /// How the two builds are distinguished.
    pub(super) difference: Difference,
    /// The user's file.
    original: PathBuf,
    /// The staged file of the library, wherever it is.
    library: Option<Stamp>,
    /// Which build stays in the process, once that is known.
    stays: Option<usize>,
}

/// What the file of the other build is called, before the library's name.
const OTHER: &str = "other-";

/// Files to open: first those of the first thread, of each library one.
#[derive(Debug)]
pub(super) struct Staging {
    paths: Vec<PathBuf>,
    /// The libraries, and what the file of each was when the soak began.
    originals: Vec<(PathBuf, Option<Stamp>)>,
    /// Removes the copies when dropped.
    directory: Option<PrivateDirectory>,
    /// What the library may write in, where it may write nowhere else.
    scratch: Option<PrivateDirectory>,
    /// Where the file is replaced by another build.
    exchange: Option<Exchange>,
}

impl Staging {
    /// Prepares libraries for `threads` threads.
    ///
    /// # Errors
    /// When a copy or a directory can't be made.
    pub(super) fn new<'p>(
        libraries: impl IntoIterator<Item = &'p Path>,
        threads: u32,
        files: Files,
    ) -> Result<Self, Fault> {
        let mut originals = Vec::new();
        for library in libraries {
            let absolute = std::path::absolute(library);
            let original = absolute.map_err(|e| Fault::new(format!("{}: {e}", library.display())))?;
            let stamp = stamp(&original);
            originals.push((original, stamp));
        }
        if files == Files::Original {
            let of_each = || originals.iter().map(|(original, _)| original.clone());
            let paths = (0..threads.max(1)).flat_map(|_| of_each()).collect();
            return Ok(Self { paths, originals, directory: None, scratch: None, exchange: None });
        }
        let directory = for_copies()?;
        let mut paths = Vec::with_capacity(threads as usize * originals.len());
        for thread in 0..threads {
            let place = directory.path().join(thread.to_string());
            for (number, (original, _)) in originals.iter().enumerate() {
                let path = place.join(original.file_name().unwrap_or(original.as_os_str()));
                let made = if number == 0 { std::fs::create_dir(&place) } else { Ok(()) };
                made.and_then(|()| match files {
                    Files::CopyPerThread => std::fs::copy(original, &path).map(drop),
                    Files::CopyPerCycle | Files::Original => Ok(()),
                })
                .map_err(|e| {
                    Fault::new(format!("no copy of {} in {}: {e}", original.display(), place.display()))
                })?;
                paths.push(path);
            }
        }
        Ok(Self { paths, originals, directory: Some(directory), scratch: None, exchange: None })
    }

    /// Prepares copies of `library` and of `other`, another build of it, for one thread that opens them in turn by one path.
    ///
    /// # Errors
    /// When a copy or a directory can't be made, or two files there can't change places.
    pub(super) fn replaced(library: &Path, other: &Path, difference: Difference) -> Result<Self, Fault> {
        let mut staging = Self::new([library], 1, Files::CopyPerThread)?;
        let original = std::path::absolute(other);
        let original = original.map_err(|e| Fault::new(format!("{}: {e}", other.display())))?;
        let path = &staging.paths[0];
        let library = stamp(path);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let file = path.with_file_name(format!("{OTHER}{name}"));
        std::fs::copy(&original, &file).map_err(|e| {
            Fault::new(format!(
                "no copy of {} in {}: {e}",
                original.display(),
                std::env::temp_dir().display()
            ))
        })?;
        // The agent does the same before its first cycle, and the library is at the path then.
        renameat_with(CWD, path, CWD, &file, RenameFlags::EXCHANGE).map_err(|e| {
            Fault::new(format!(
                "two files in {} can't change places (RENAME_EXCHANGE): {e}; set TMPDIR to a directory on another file system",
                std::env::temp_dir().display()
            ))
        })?;
        staging.exchange = Some(Exchange { file, difference, original, library, stays: None });
        Ok(staging)
    }

    /// How the library is replaced, where it is.
    pub(super) fn exchange(&self) -> Option<&Exchange> {
        self.exchange.as_ref()
    }

    /// This build stays in the process: it is the one that is looked at from now on.
    pub(super) fn stays(&mut self, build: usize) {
        if let Some(exchange) = &mut self.exchange {
            exchange.stays = Some(build);
        }
    }

    /// The other build that stays in the process, as the user has it.
    pub(super) fn other_stays(&self) -> Option<&Path> {
        let exchange = self.exchange.as_ref().filter(|exchange| exchange.stays == Some(1))?;
        Some(&exchange.original)
    }

    /// The build that stays in the process, as the user has it: the other one, or the library itself.
    pub(super) fn build(&self) -> &Path {
        self.other_stays().unwrap_or(self.original())
    }

    /// The user's file that a private one is a copy of, where two builds change places.
    pub(super) fn build_of(&self, private: &Path) -> Option<&Path> {
        let exchange = self.exchange.as_ref().filter(|_| self.is_private(private))?;
        Some(if stamp(private) == exchange.library { self.original() } else { &exchange.original })
    }

    /// Makes a private directory that the library may write in.
    ///
    /// # Errors
    /// When it can't be made.
    pub(super) fn make_scratch(&mut self) -> Result<&Path, Fault> {
        let made = PrivateDirectory::new().map_err(|e| {
            Fault::new(format!(
                "no private directory for the sandbox in {}: {e}; set TMPDIR to a directory that is writable",
                std::env::temp_dir().display()
            ))
        })?;
        Ok(self.scratch.insert(made).path())
    }

    /// The file of each thread and library.
    pub(super) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Of each library one of its files that is there: the one that the first thread opens, or what was given.
    pub(super) fn first_of_each(&self) -> Vec<PathBuf> {
        if self.exchange.is_some() {
            return vec![self.build().to_owned()];
        }
        let first = |(path, (original, _)): (&PathBuf, &(PathBuf, _))| {
            if path.exists() { path.clone() } else { original.clone() }
        };
        self.paths.iter().zip(&self.originals).map(first).collect()
    }

    /// A file of the same library as this one that is there.
    pub(super) fn like(&self, name: &Path) -> Option<PathBuf> {
        self.first_of_each().into_iter().nth(self.library(name)?)
    }

    /// All files that are a library: what threads open, and what was given.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut files = self.paths.clone();
        files.extend(self.originals.iter().map(|(original, _)| original.clone()));
        files.extend(self.exchange.iter().flat_map(|other| [other.file.clone(), other.original.clone()]));
        files.sort_unstable();
        files.dedup();
        files
    }

    /// What became of the file of a library since the soak began; `None` where all are as they were.
    pub(super) fn change(&self) -> Option<Shortage> {
        self.originals.iter().find_map(|(original, before)| {
            let now = stamp(original);
            if now == *before {
                return None;
            }
            let path = original.to_string_lossy().into_owned();
            let Some(now) = now else { return Some(Shortage::FileGone { path }) };
            let bytes = before.map(|before| (before.2, now.2)).filter(|(before, now)| before != now);
            Some(Shortage::FileChanged { path, bytes })
        })
    }

    /// The first library itself.
    pub(super) fn original(&self) -> &Path {
        self.originals.first().map_or(Path::new(""), |(original, _)| original)
    }

    /// The names of the libraries' files.
    pub(super) fn names(&self) -> Vec<String> {
        let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.originals.iter().map(|(original, _)| name(original)).collect()
    }

    /// The name of the library that a thread is busy with, where a cycle opens several.
    pub(super) fn busy_with(&self, slot: &Slot) -> Option<String> {
        let is_inside = Phase::from_u32(slot.phase.load(Relaxed)) != Phase::Between;
        let library = slot.library.load(Relaxed) as usize;
        self.names().into_iter().nth(library).filter(|_| is_inside && self.originals.len() > 1)
    }

    /// The private directory of the copies, where there are any.
    pub(super) fn directory(&self) -> Option<&Path> {
        self.directory.as_ref().map(PrivateDirectory::path)
    }

    /// True when threads open copies and not the library itself.
    pub(super) fn has_copies(&self) -> bool {
        self.directory.is_some()
    }

    /// True when a path that the loader names is one of the files that are opened.
    pub(super) fn is_library(&self, name: &Path) -> bool {
        self.library(name).is_some()
    }

    /// The number of the library that a path is of that the loader names; `None` where it is of none. Both builds of a library have its
    /// number.
    pub(super) fn library(&self, name: &Path) -> Option<usize> {
        let private = self.is_private(name);
        let is_other = || self.exchange.as_ref().is_some_and(|other| same_file(&other.original, name));
        // A copy that is made for a cycle has the number of the cycle before its name, and no library beside it.
        if private && self.originals.len() == 1 || is_other() {
            return Some(0);
        }
        let is_it = |original: &Path| match private {
            true => original.file_name() == name.file_name(),
            false => same_file(original, name),
        };
        self.originals.iter().position(|(original, _)| is_it(original))
    }

    /// Whether it is one of the copies.
    pub(super) fn is_private(&self, name: &Path) -> bool {
        self.directory.as_ref().is_some_and(|directory| name.starts_with(directory.path()))
    }

    /// The failure with every private path in it replaced by that of the library, or of the build that is at the path.
    pub(super) fn unstaged_failure(&self, mut failure: LoadFailure) -> LoadFailure {
        let build = self.paths.first().and_then(|path| self.build_of(path));
        let unstaged = |text: &str| self.unstaged_as(text, build);
        if let LoadCause::CopyFailed { path, .. } | LoadCause::OriginalUnreadable { path, .. } =
            &mut failure.cause
        {
            *path = unstaged(path);
        }
        failure.said = failure.said.map(|said| unstaged(&said));
        failure
    }

    /// The text with every private path in it replaced by that of the library.
    pub(super) fn unstaged(&self, text: &str) -> String {
        self.unstaged_as(text, self.other_stays())
    }

    /// The same, where a copy is one of this build.
    fn unstaged_as(&self, text: &str, build: Option<&Path>) -> String {
        let Some(directory) = &self.directory else { return text.to_owned() };
        let directory = directory.path().to_string_lossy();
        let mut parts = text.split(&*directory);
        let mut out = parts.next().unwrap_or_default().to_owned();
        // What follows the directory is a thread's number, perhaps a cycle's, and the library's name.
        for part in parts {
            let of = |(original, _): &(PathBuf, _)| {
                let name = original.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let original = build.unwrap_or(original).to_string_lossy().into_owned();
                part.find(&name).map(|at| (at, std::cmp::Reverse(name.len()), original))
            };
            // Of names that end alike, the one that begins first.
            match self.originals.iter().filter_map(of).min() {
                Some((at, std::cmp::Reverse(len), original)) => {
                    out.push_str(&original);
                    out.push_str(&part[at + len..]);
                }
                None => out.push_str(part),
            }
        }
        out
    }
}

/// A private directory that libraries can be loaded from.
fn for_copies() -> Result<PrivateDirectory, Fault> {
    let directory = PrivateDirectory::new().map_err(|e| {
        Fault::new(format!(
            "no private directory for copies of the library in {}: {e}; set TMPDIR to a directory that is writable",
            std::env::temp_dir().display()
        ))
    })?;
    if statvfs(directory.path()).is_ok_and(|of| of.flags().contains(FsFlags::ST_NOEXEC)) {
        return Err(Fault::new(format!(
            "{} is mounted noexec, so no copy of the library can be loaded from there; set TMPDIR to another directory",
            std::env::temp_dir().display()
        )));
    }
    Ok(directory)
}

/// Lets a copy find what its original finds through `$ORIGIN`: the directories that it stands for go into the
/// worker's LD_LIBRARY_PATH.
pub(super) fn keep_origin(facts: &Facts, library: &Path, env: &mut BTreeMap<String, String>) {
    let Ok(library) = std::path::absolute(library) else { return };
    let Some(origin) = library.parent().map(|p| p.to_string_lossy().into_owned()) else { return };
    let searched = facts.runpath.as_deref().or(facts.rpath.as_deref()).unwrap_or_default();
    let mut directories: Vec<String> = searched
        .split(':')
        .filter(|entry| entry.contains("$ORIGIN") || entry.contains("${ORIGIN}"))
        .map(|entry| entry.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin))
        .collect();
    if directories.is_empty() {
        return;
    }
    let name = "LD_LIBRARY_PATH";
    let own = env.get(name).cloned().or_else(|| std::env::var(name).ok()).filter(|own| !own.is_empty());
    directories.extend(own);
    env.insert(name.to_owned(), directories.join(":"));
}

/// True when both names lead to one file; names lie (`/lib` and `/usr/lib`, symbolic links), inodes don't.
pub(crate) fn same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let identity = |path: &Path| std::fs::metadata(path).ok().map(|m| (m.dev(), m.ino()));
    identity(a).is_some_and(|a| identity(b) == Some(a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_threads_get_files_of_their_own_that_go_with_the_staging() {
        let library = std::env::current_exe().unwrap();
        let staging = Staging::new([&*library], 3, Files::of(Mode::Reopen, 3, false)).unwrap();
        let paths = staging.paths().to_vec();
        assert_eq!(paths.len(), 3);
        assert!(paths.iter().all(|p| p.is_file() && staging.is_library(p) && !same_file(p, &library)));
        assert!(staging.is_library(&library) && !staging.is_library(Path::new("/bin/sh")));
        let text = format!("{}: bad, and {}: worse", paths[1].display(), paths[2].display());
        let library = library.display();
        assert_eq!(staging.unstaged(&text), format!("{library}: bad, and {library}: worse"));
        drop(staging);
        assert!(paths.iter().all(|p| !p.exists() && !p.parent().unwrap().parent().unwrap().exists()));
    }

    #[test]
    fn of_several_libraries_each_thread_has_a_copy() {
        let place = tempfile::tempdir().unwrap();
        let own = std::env::current_exe().unwrap();
        let libraries = ["a.so", "liba.so"].map(|name| place.path().join(name));
        for library in &libraries {
            std::fs::copy(&own, library).unwrap();
        }
        let all = || libraries.iter().map(PathBuf::as_path);
        let original = Staging::new(all(), 2, Files::Original).unwrap();
        assert_eq!(original.paths(), [&libraries[..], &libraries[..]].concat());
        assert_eq!((original.library(&libraries[1]), original.library(&own)), (Some(1), None));
        let staging = Staging::new(all(), 2, Files::CopyPerThread).unwrap();
        let of: Vec<_> = staging.paths().iter().map(|path| staging.library(path)).collect();
        assert_eq!(of, [Some(0), Some(1), Some(0), Some(1)]);
        assert_eq!(staging.first_of_each(), staging.paths()[..2]);
        assert_eq!(staging.like(&staging.paths()[3]).as_ref(), Some(&staging.paths()[1]));
        for (path, library) in staging.paths().iter().zip(all().chain(all())) {
            let said = staging.unstaged(&format!("{}: no", path.display()));
            assert_eq!(said, format!("{}: no", library.display()));
        }
    }

    #[test]
    fn two_builds_change_places_and_are_one_library() {
        let place = tempfile::tempdir().unwrap();
        let [one, other] = ["a.so", "b.so"].map(|name| place.path().join(name));
        std::fs::write(&one, "one").unwrap();
        std::fs::write(&other, "other").unwrap();
        let mut staging = Staging::replaced(&one, &other, Difference { at: 0, words: [0, 1] }).unwrap();
        let (path, file) = (staging.paths()[0].clone(), staging.exchange().unwrap().file.clone());
        assert_eq!([&path, &file].map(|path| staging.build_of(path)), [Some(&*other), Some(&*one)]);
        assert_eq!(staging.build_of(&one), None);
        assert!([&path, &file, &one, &other].iter().all(|name| staging.library(name) == Some(0)));
        assert_eq!(staging.library(Path::new("/bin/sh")), None);
        for stays in [&one, &other] {
            let said = staging.unstaged(&format!("{}: no", path.display()));
            assert_eq!(said, format!("{}: no", stays.display()));
            assert_eq!(staging.first_of_each(), [stays.as_path()]);
            staging.stays(1);
        }
    }

    #[test]
    fn copies_that_the_worker_makes_are_the_library_too() {
        let library = std::env::current_exe().unwrap();
        let staging = Staging::new([&*library], 1, Files::of(Mode::Copies, 1, false)).unwrap();
        let path = &staging.paths()[0];
        assert!(!path.exists() && path.parent().unwrap().is_dir());
        let name = format!("000000000042-{}", path.file_name().unwrap().to_str().unwrap());
        let copy = path.with_file_name(name);
        assert!(staging.is_library(&copy));
        assert_eq!(
            staging.unstaged(&format!("{}: no", copy.display())),
            format!("{}: no", library.display())
        );
    }

    #[test]
    fn what_is_shared_is_not_copied() {
        let library = std::env::current_exe().unwrap();
        for (mode, threads, share) in
            [(Mode::Reopen, 1, false), (Mode::Reopen, 4, true), (Mode::Namespace, 4, false)]
        {
            let staging = Staging::new([&*library], threads, Files::of(mode, threads, share)).unwrap();
            assert_eq!(staging.paths(), vec![library.clone(); threads as usize]);
        }
        let error = Staging::new([Path::new("/no/such/lib.so")], 2, Files::CopyPerThread).unwrap_err();
        assert!(error.to_string().contains("/no/such/lib.so"));
    }
}
