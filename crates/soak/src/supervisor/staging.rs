//! The file each thread opens: the library itself, or a private copy per thread, so that threads don't share one
//! reference count, or a private directory, where the worker makes a copy for each cycle. All of it is removed when this
//! value is dropped, also after a crash of the worker.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};

use super::original::{Stamp, stamp};
use super::private::PrivateDirectory;
use crate::elf::Facts;
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
            return Ok(Self { paths, originals, directory: None, scratch: None });
        }
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
        Ok(Self { paths, originals, directory: Some(directory), scratch: None })
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

    /// The number of the library that a path is of that the loader names; `None` where it is of none.
    pub(super) fn library(&self, name: &Path) -> Option<usize> {
        let private = self.directory.as_ref().is_some_and(|directory| name.starts_with(directory.path()));
        // A copy that is made for a cycle has the number of the cycle before its name, and no library beside it.
        if private && self.originals.len() == 1 {
            return Some(0);
        }
        let is_it = |original: &Path| match private {
            true => original.file_name() == name.file_name(),
            false => same_file(original, name),
        };
        self.originals.iter().position(|(original, _)| is_it(original))
    }

    /// The failure with every private path in it replaced by that of the library.
    pub(super) fn unstaged_failure(&self, mut failure: LoadFailure) -> LoadFailure {
        if let LoadCause::CopyFailed { path, .. } | LoadCause::OriginalUnreadable { path, .. } =
            &mut failure.cause
        {
            *path = self.unstaged(path);
        }
        failure.said = failure.said.map(|said| self.unstaged(&said));
        failure
    }

    /// The text with every private path in it replaced by that of the library.
    pub(super) fn unstaged(&self, text: &str) -> String {
        let Some(directory) = &self.directory else { return text.to_owned() };
        let directory = directory.path().to_string_lossy();
        let mut parts = text.split(&*directory);
        let mut out = parts.next().unwrap_or_default().to_owned();
        // What follows the directory is a thread's number, perhaps a cycle's, and the library's name.
        for part in parts {
            let of = |(original, _): &(PathBuf, _)| {
                let name = original.file_name().unwrap_or_default().to_string_lossy().into_owned();
                part.find(&name)
                    .map(|at| (at, std::cmp::Reverse(name.len()), original.to_string_lossy().into_owned()))
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
