//! The file each thread opens: the library itself, or a private copy per thread, so that threads don't share one
//! reference count, or a private directory, where the worker makes a copy for each cycle. All of it is removed when this
//! value is dropped, also after a crash of the worker.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};

use super::original::{Stamp, stamp};
use super::private::PrivateDirectory;
use crate::elf::{Difference, Facts};
use crate::fault::Fault;
use crate::record::{LoadCause, LoadFailure, Mode, Shortage};
pub(super) use crate::replace::same_file;

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

/// Files to open, one per thread.
#[derive(Debug)]
pub(super) struct Staging {
    paths: Vec<PathBuf>,
    original: PathBuf,
    /// What the library's file was when the soak began.
    stamp: Option<Stamp>,
    /// Removes the copies when dropped.
    directory: Option<PrivateDirectory>,
    /// What the library may write in, where it may write nowhere else.
    scratch: Option<PrivateDirectory>,
    /// Where the file is replaced by another build.
    exchange: Option<Exchange>,
}

impl Staging {
    /// Prepares `library` for `threads` threads.
    ///
    /// # Errors
    /// When a copy or a directory can't be made.
    pub(super) fn new(library: &Path, threads: u32, files: Files) -> Result<Self, Fault> {
        let absolute = std::path::absolute(library);
        let original = absolute.map_err(|e| Fault::new(format!("{}: {e}", library.display())))?;
        let stamp = stamp(&original);
        if files == Files::Original {
            let paths = vec![original.clone(); threads.max(1) as usize];
            return Ok(Self { paths, original, stamp, directory: None, scratch: None, exchange: None });
        }
        let directory = for_copies()?;
        let name = original.file_name().unwrap_or(original.as_os_str());
        let mut paths = Vec::with_capacity(threads as usize);
        for thread in 0..threads {
            let place = directory.path().join(thread.to_string());
            let path = place.join(name);
            std::fs::create_dir(&place)
                .and_then(|()| match files {
                    Files::CopyPerThread => std::fs::copy(&original, &path).map(drop),
                    Files::CopyPerCycle | Files::Original => Ok(()),
                })
                .map_err(|e| {
                    Fault::new(format!("no copy of {} in {}: {e}", original.display(), place.display()))
                })?;
            paths.push(path);
        }
        Ok(Self { paths, original, stamp, directory: Some(directory), scratch: None, exchange: None })
    }

    /// Prepares copies of `library` and of `other`, another build of it, for one thread that opens them in turn by one path.
    ///
    /// # Errors
    /// When a copy or a directory can't be made, or two files there can't change places.
    pub(super) fn replaced(library: &Path, other: &Path, difference: Difference) -> Result<Self, Fault> {
        use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

        let mut staging = Self::new(library, 1, Files::CopyPerThread)?;
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
        renameat2(AT_FDCWD, path, AT_FDCWD, &file, RenameFlags::RENAME_EXCHANGE).map_err(|e| {
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

    /// The user's file that a private one is a copy of.
    pub(super) fn original_of(&self, private: &Path) -> &Path {
        let exchange = self.exchange.as_ref().filter(|_| self.is_private(private));
        match exchange {
            Some(exchange) if stamp(private) != exchange.library => &exchange.original,
            _ => &self.original,
        }
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

    /// The file of each thread.
    pub(super) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// One of the files that are the library, and that is there: the first one that threads open, or what was given.
    pub(super) fn first(&self) -> &Path {
        if self.exchange.is_some() {
            return self.other_stays().unwrap_or(&self.original);
        }
        self.paths.first().filter(|path| path.exists()).unwrap_or(&self.original)
    }

    /// All files that are the library: what threads open, and what was given.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut files = self.paths.clone();
        files.push(self.original.clone());
        files.extend(self.exchange.iter().flat_map(|other| [other.file.clone(), other.original.clone()]));
        files.dedup();
        files
    }

    /// What became of the library's file since the soak began; `None` where it is as it was.
    pub(super) fn change(&self) -> Option<Shortage> {
        let now = stamp(&self.original);
        if now == self.stamp {
            return None;
        }
        let path = self.original.to_string_lossy().into_owned();
        let Some(now) = now else { return Some(Shortage::FileGone { path }) };
        let bytes = self.stamp.map(|before| (before.2, now.2)).filter(|(before, now)| before != now);
        Some(Shortage::FileChanged { path, bytes })
    }

    /// The library itself.
    pub(super) fn original(&self) -> &Path {
        &self.original
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
        let others = self.exchange.iter().map(|exchange| &exchange.original);
        self.is_private(name) || others.chain([&self.original]).any(|original| same_file(original, name))
    }

    /// Whether it is one of the copies.
    pub(super) fn is_private(&self, name: &Path) -> bool {
        self.directory.as_ref().is_some_and(|directory| name.starts_with(directory.path()))
    }

    /// The failure with every private path in it replaced by that of the library, or of the build that is at the path.
    pub(super) fn unstaged_failure(&self, mut failure: LoadFailure) -> LoadFailure {
        let original = self.paths.first().map_or(&*self.original, |path| self.original_of(path));
        let unstaged = |text: &str| self.unstaged_as(text, original);
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
        self.unstaged_as(text, self.other_stays().unwrap_or(&self.original))
    }

    fn unstaged_as(&self, text: &str, original: &Path) -> String {
        let Some(directory) = &self.directory else { return text.to_owned() };
        let directory = directory.path().to_string_lossy();
        let name = self.original.file_name().unwrap_or_default().to_string_lossy();
        let mut parts = text.split(&*directory);
        let mut out = parts.next().unwrap_or_default().to_owned();
        // What follows the directory is a thread's number, perhaps a cycle's, and the library's name.
        for part in parts {
            match part.split_once(&*name) {
                Some((_, rest)) => {
                    out.push_str(&original.to_string_lossy());
                    out.push_str(rest);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_threads_get_files_of_their_own_that_go_with_the_staging() {
        let library = std::env::current_exe().unwrap();
        let staging = Staging::new(&library, 3, Files::of(Mode::Reopen, 3, false)).unwrap();
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
    fn copies_that_the_worker_makes_are_the_library_too() {
        let library = std::env::current_exe().unwrap();
        let staging = Staging::new(&library, 1, Files::of(Mode::Copies, 1, false)).unwrap();
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
            let staging = Staging::new(&library, threads, Files::of(mode, threads, share)).unwrap();
            assert_eq!(staging.paths(), vec![library.clone(); threads as usize]);
        }
        let error = Staging::new(Path::new("/no/such/lib.so"), 2, Files::CopyPerThread).unwrap_err();
        assert!(error.to_string().contains("/no/such/lib.so"));
    }
}
