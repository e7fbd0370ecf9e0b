//! The file each thread opens: the library itself, or a private copy per thread, so that threads don't share one
//! reference count. Copies are removed when this value is dropped, also after a crash of the worker.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::elf::Facts;

/// Files to open, one per thread.
#[derive(Debug)]
pub(super) struct Staging {
    paths: Vec<PathBuf>,
    original: PathBuf,
    /// Removes the copies when dropped.
    directory: Option<TempDir>,
}

impl Staging {
    /// Prepares `library` for `threads` threads. One thread, or threads that share the path, open the file itself.
    ///
    /// # Errors
    /// When a copy can't be made.
    pub(super) fn new(library: &Path, threads: u32, share_path: bool) -> Result<Self, String> {
        let original = std::path::absolute(library).map_err(|e| format!("{}: {e}", library.display()))?;
        if threads <= 1 || share_path {
            let paths = vec![original.clone(); threads.max(1) as usize];
            return Ok(Self { paths, original, directory: None });
        }
        let directory = tempfile::Builder::new().prefix("dlsoak-").tempdir().map_err(|e| {
            format!(
                "no private directory for the threads' copies: {e}; set TMPDIR to a place that is writable"
            )
        })?;
        let name = original.file_name().unwrap_or(original.as_os_str());
        let mut paths = Vec::with_capacity(threads as usize);
        for thread in 0..threads {
            let place = directory.path().join(thread.to_string());
            let path = place.join(name);
            std::fs::create_dir(&place)
                .and_then(|()| std::fs::copy(&original, &path))
                .map_err(|e| format!("no copy of {} in {}: {e}", original.display(), place.display()))?;
            paths.push(path);
        }
        Ok(Self { paths, original, directory: Some(directory) })
    }

    /// The file of each thread.
    pub(super) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// All files that are the library: what threads open, and what was given.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut files = self.paths.clone();
        files.push(self.original.clone());
        files.dedup();
        files
    }

    /// True when threads open copies and not the library itself.
    pub(super) fn has_copies(&self) -> bool {
        self.directory.is_some()
    }

    /// True when a path that the loader names is one of the files that are opened.
    pub(super) fn is_library(&self, name: &Path) -> bool {
        self.paths.iter().any(|p| p == name) || same_file(&self.original, name)
    }

    /// The text with every private path in it replaced by that of the library.
    pub(super) fn unstaged(&self, text: &str) -> String {
        let original = self.original.to_string_lossy();
        self.paths
            .iter()
            .fold(text.to_owned(), |text, path| text.replace(&*path.to_string_lossy(), &original))
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
pub(super) fn same_file(a: &Path, b: &Path) -> bool {
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
        let staging = Staging::new(&library, 3, false).unwrap();
        let paths = staging.paths().to_vec();
        assert_eq!(paths.len(), 3);
        assert!(paths.iter().all(|p| p.is_file() && staging.is_library(p) && !same_file(p, &library)));
        assert!(staging.is_library(&library) && !staging.is_library(Path::new("/bin/sh")));
        let text = format!("{}: bad", paths[1].display());
        assert_eq!(staging.unstaged(&text), format!("{}: bad", library.display()));
        drop(staging);
        assert!(paths.iter().all(|p| !p.exists() && !p.parent().unwrap().parent().unwrap().exists()));
    }

    #[test]
    fn a_shared_path_is_not_copied() {
        let library = std::env::current_exe().unwrap();
        for (threads, share) in [(1, false), (4, true)] {
            let staging = Staging::new(&library, threads, share).unwrap();
            assert_eq!(staging.paths(), vec![library.clone(); threads as usize]);
        }
        assert!(
            Staging::new(Path::new("/no/such/lib.so"), 2, false).unwrap_err().contains("/no/such/lib.so")
        );
    }
}
