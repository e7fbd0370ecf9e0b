//! The library's file as it was when the soak began, and whether it still is that file: what a new file does is not the old one's.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::elf;
use crate::record::FileChange;

/// What distinguishes a file from another one, without reading it: device, inode, size, and the time of its last change.
pub(super) type Stamp = (u64, u64, u64, i64, i64);

/// The file of a library.
#[derive(Debug)]
pub(super) struct Original {
    path: PathBuf,
    stamp: Option<Stamp>,
    /// `None` where the file changed while it was read.
    content: Option<u64>,
    build_id: Option<String>,
}

/// The stamp of a file; `None` where it is not there.
pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    let of = std::fs::metadata(path).ok()?;
    Some((of.dev(), of.ino(), of.size(), of.mtime(), of.mtime_nsec()))
}

impl Original {
    /// The file at `path`, with the stamp that it had before its build id was read.
    pub(super) fn new(path: &Path, before: Option<Stamp>, build_id: Option<String>) -> Self {
        let content = elf::digest(path).ok().filter(|_| stamp(path) == before);
        Self { path: path.to_path_buf(), stamp: before, content, build_id }
    }

    /// The bytes that the file had.
    pub(super) fn size(&self) -> u64 {
        self.stamp.map_or(0, |(_, _, size, ..)| size)
    }

    /// What became of the file; `None` where it is the same one, or where none is there that is a library: then the next open fails and says
    /// so. A file that is only touched is the same.
    pub(super) fn change(&mut self) -> Option<FileChange> {
        let now = stamp(&self.path)?;
        if Some(now) == self.stamp {
            return None;
        }
        let inode = |stamp: Stamp| (stamp.0, stamp.1);
        let same = self.content.is_some() && elf::digest(&self.path).ok() == self.content;
        if self.stamp.map(inode) == Some(inode(now)) && same {
            self.stamp = Some(now);
            return None;
        }
        let build_id = elf::facts_of(&self.path)?.build_id;
        let path = self.path.to_string_lossy().into_owned();
        Some(FileChange { path, before: self.build_id.clone(), now: build_id, same })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_replaced_or_rewritten_is_another_and_one_that_is_touched_is_not() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("lib.so");
        let other = place.path().join("new.so");
        let program = std::fs::read("/proc/self/exe").unwrap();
        std::fs::write(&path, &program).unwrap();
        let original = || Original::new(&path, stamp(&path), Some("a".to_owned()));
        let touch = || {
            let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
            std::fs::File::options().append(true).open(&path).unwrap().set_modified(later).unwrap();
        };

        let mut same = original();
        assert_eq!(same.change(), None);
        touch();
        assert_eq!(same.change(), None);
        assert_eq!(same.change(), None);

        let mut replaced = original();
        std::fs::write(&other, &program).unwrap();
        std::fs::rename(&other, &path).unwrap();
        let change = replaced.change().unwrap();
        assert!(change.same && change.before.as_deref() == Some("a"), "{change:?}");

        let mut rewritten = original();
        std::fs::write(&path, [&program[..], b"more"].concat()).unwrap();
        touch();
        assert!(!rewritten.change().unwrap().same);

        let mut damaged = original();
        std::fs::write(&path, "no library").unwrap();
        assert_eq!(damaged.change(), None);

        let mut gone = original();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(gone.change(), None);
    }
}
