//! Private directories, and the ones that a supervisor which was killed has left behind: the next run removes those, and
//! no other's. The lock on a directory tells whether its owner lives; it goes with the process, however that ends.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{Error, Result};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg, OFlag};
use tempfile::TempDir;

/// What the names of private directories begin with; six letters or digits follow.
const PREFIX: &str = "dlsoak-";
const RANDOM: usize = 6;
/// Mode of a private directory.
const PRIVATE: u32 = 0o700;
/// A file in each of them, by which they are told from a directory of someone else's that is called the same.
const MARK: &str = ".dlsoak-private";
/// How often to try again, should another run take a directory for left behind before it is locked.
const TRIES: u32 = 16;
/// Entries of a temporary directory that are looked at, at most.
const MOST: usize = 100_000;

/// A directory that only this user can read. It goes with this value; after a SIGKILL, with the next run.
#[derive(Debug)]
pub struct PrivateDirectory {
    directory: TempDir,
    /// Held as long as the directory is in use.
    lock: Flock<File>,
}

impl PrivateDirectory {
    /// Makes one in `$TMPDIR`.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn new() -> Result<Self> {
        Self::new_in(&std::env::temp_dir())
    }

    fn new_in(place: &Path) -> Result<Self> {
        for _ in 0..TRIES {
            let directory = tempfile::Builder::new()
                .prefix(PREFIX)
                .rand_bytes(RANDOM)
                .permissions(Permissions::from_mode(PRIVATE))
                .tempdir_in(place)?;
            // Between the two lines, another run may find it without a lock, and remove it.
            let Ok(opened) = open(directory.path()) else { continue };
            let Ok(lock) = Flock::lock(opened, FlockArg::LockExclusiveNonblock) else { continue };
            if !is_at(&lock, directory.path()) {
                continue;
            }
            File::create(directory.path().join(MARK))?;
            return Ok(Self { directory, lock });
        }
        Err(Error::other("another run removes each directory as soon as it is made"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        // Not left to the one below, which does not know what must go last. What stays, that one says nothing of either.
        let _ = empty(&self.lock);
    }
}

/// Removes the private directories in `$TMPDIR` whose owners are gone.
pub fn clean() {
    clean_in(&std::env::temp_dir());
}

fn clean_in(place: &Path) {
    // What can't be read can't be cleaned, and hinders nobody.
    let Ok(entries) = std::fs::read_dir(place) else { return };
    for entry in entries.take(MOST).flatten() {
        let name = entry.file_name();
        let random = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).unwrap_or_default();
        if random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            let _ = remove(&entry.path());
        }
    }
}

/// Removes one directory, if it is private, ours, and nobody's any more.
fn remove(path: &Path) -> Result<()> {
    let opened = open(path)?;
    let metadata = opened.metadata()?;
    let private = metadata.mode() & 0o7777 == PRIVATE;
    if !private || metadata.uid() != nix::unistd::geteuid().as_raw() {
        return Ok(());
    }
    let Ok(lock) = Flock::lock(opened, FlockArg::LockExclusiveNonblock) else { return Ok(()) };
    if !is_at(&lock, path) {
        return Ok(());
    }
    empty(&lock)?;
    // Without the mark it goes only if it is empty: its owner was killed before the first file, or after the last.
    std::fs::remove_dir(path)
}

/// Removes all that is in a directory with our mark.
fn empty(directory: &File) -> Result<()> {
    // By way of the descriptor: whatever becomes of the name meanwhile, it is this directory.
    let inside = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    if !std::fs::symlink_metadata(inside.join(MARK)).is_ok_and(|mark| mark.is_file()) {
        return Ok(());
    }
    for entry in std::fs::read_dir(&inside)?.flatten() {
        // The mark goes last: what is cut short now is gone on with by the next run.
        if entry.file_name() == MARK {
            continue;
        }
        let path = inside.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            // Follows no symbolic link.
            std::fs::remove_dir_all(path)?;
        } else {
            std::fs::remove_file(path)?;
        }
    }
    std::fs::remove_file(inside.join(MARK))
}

fn open(path: &Path) -> Result<File> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)
}

/// Whether the directory that was opened is still the one of that name.
fn is_at(opened: &File, path: &Path) -> bool {
    let identity = |metadata: Metadata| (metadata.dev(), metadata.ino());
    let now = std::fs::symlink_metadata(path).map(identity);
    now.is_ok_and(|now| opened.metadata().map(identity).is_ok_and(|opened| opened == now))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a supervisor that was killed leaves behind.
    fn abandoned(place: &Path, name: &str) -> PathBuf {
        let path = place.join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(PRIVATE)).unwrap();
        std::fs::write(path.join(MARK), "").unwrap();
        path
    }

    #[test]
    fn a_directory_goes_with_its_owner_and_not_before() {
        let place = tempfile::tempdir().unwrap();
        let own = PrivateDirectory::new_in(place.path()).unwrap();
        std::fs::create_dir(own.path().join("0")).unwrap();
        std::fs::write(own.path().join("0/copy"), "x").unwrap();
        clean_in(place.path());
        assert!(own.path().join("0/copy").is_file());
        let path = own.path().to_path_buf();
        drop(own);
        assert!(!path.exists());
    }

    #[test]
    fn what_was_left_behind_is_removed_and_no_link_is_followed() {
        let place = tempfile::tempdir().unwrap();
        let precious = tempfile::tempdir().unwrap();
        std::fs::write(precious.path().join("file"), "x").unwrap();
        let left = abandoned(place.path(), "dlsoak-000000");
        std::os::unix::fs::symlink(precious.path(), left.join("link")).unwrap();
        std::fs::create_dir(left.join("0")).unwrap();
        std::os::unix::fs::symlink(precious.path(), left.join("0/link")).unwrap();
        std::os::unix::fs::symlink(precious.path(), place.path().join("dlsoak-abcdef")).unwrap();
        clean_in(place.path());
        assert!(!left.exists() && precious.path().join("file").is_file());
    }

    #[test]
    fn only_what_is_marked_is_emptied() {
        let place = tempfile::tempdir().unwrap();
        let left = abandoned(place.path(), "dlsoak-000000");
        for _ in 0..40 {
            std::fs::write(left.join(format!("{}", std::fs::read_dir(&left).unwrap().count())), "x").unwrap();
        }
        let opened = open(&left).unwrap();
        empty(&opened).unwrap();
        assert_eq!(std::fs::read_dir(&left).unwrap().count(), 0);
        std::fs::write(left.join("notes"), "x").unwrap();
        empty(&opened).unwrap();
        assert!(left.join("notes").is_file());
    }

    #[test]
    fn what_is_not_ours_stays() {
        let place = tempfile::tempdir().unwrap();
        // The name, but no mark and not empty; the name is longer; others may read it.
        for (name, mark, mode) in [
            ("dlsoak-abcdef", "notes", 0o700),
            ("dlsoak-abcdefg", MARK, 0o700),
            ("dlsoak-ABCDEF", MARK, 0o755),
        ] {
            let path = place.path().join(name);
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join(mark), "x").unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
        let empty = place.path().join("dlsoak-000000");
        std::fs::create_dir(&empty).unwrap();
        std::fs::set_permissions(&empty, Permissions::from_mode(0o700)).unwrap();
        clean_in(place.path());
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 3);
        assert!(!empty.exists());
    }

    #[test]
    fn several_runs_at_once_leave_each_other_alone() {
        let place = tempfile::tempdir().unwrap();
        let place = place.path();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        clean_in(place);
                        let own = PrivateDirectory::new_in(place).unwrap();
                        std::fs::write(own.path().join("copy"), "x").unwrap();
                        clean_in(place);
                        assert!(own.path().join("copy").is_file());
                    }
                });
            }
        });
        assert_eq!(std::fs::read_dir(place).unwrap().count(), 0);
    }
}
