//! Writes files whole or not at all, so that a reader never meets half a record or half a picture.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg, OFlag};

/// What the names of temporary files begin with; six letters or digits follow.
const PREFIX: &str = ".dlsoak-";
const RANDOM: usize = 6;

/// How often a file is written anew that another run has taken for left behind.
const TRIES: u32 = 4;

/// Writes `contents` to a temporary file beside `path` and renames it into place.
///
/// The directory must exist. On an error nothing is left behind and an older file at `path` is untouched. What a process
/// leaves that is killed meanwhile, [`clean_temporary`] removes.
///
/// # Errors
///
/// Whatever the file system says.
pub fn write_atomic(path: &Path, contents: &[u8]) -> io::Result<()> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let mut written = Ok(());
    for _ in 0..TRIES {
        written = write_once(dir, path, contents);
        // Gone before it was locked: another run begins in this directory, this very moment.
        if !written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound && dir.is_dir()) {
            break;
        }
    }
    written
}

fn write_once(dir: &Path, path: &Path, contents: &[u8]) -> io::Result<()> {
    // Temporary files are private by default; a report is an ordinary file, readable as the umask allows.
    let mut file = tempfile::Builder::new()
        .prefix(PREFIX)
        .rand_bytes(RANDOM)
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(dir)?;
    // Shows a process that cleans up that the file is in use; where locks are unavailable, only that is lost.
    let lock = Flock::lock(file.as_file().try_clone()?, FlockArg::LockExclusiveNonblock);
    file.write_all(contents)?;
    file.persist(path)?;
    drop(lock);
    Ok(())
}

/// Removes what a process has left in `dir` that was killed while it wrote there: temporary files of this user that
/// nobody holds. What can't be removed hinders nobody.
pub fn clean_temporary(dir: &Path) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let random = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).unwrap_or_default();
        if random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            let _ = remove(&entry.path());
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file: File = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.uid() != nix::unistd::geteuid().as_raw() {
        return Ok(());
    }
    let Ok(_lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else { return Ok(()) };
    std::fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_the_file_and_leaves_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o400, 0o400);
    }

    #[test]
    fn a_directory_in_the_way_is_an_error_that_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        std::fs::create_dir(&path).unwrap();
        assert!(write_atomic(&path, b"x").is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn only_what_was_left_behind_is_cleaned_away() {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| dir.path().join(name);
        for name in [".dlsoak-abcdef", ".dlsoak-locked", ".dlsoak-abcdefg", "record.json"] {
            std::fs::write(place(name), "x").unwrap();
        }
        std::os::unix::fs::symlink(place("record.json"), place(".dlsoak-linked")).unwrap();
        let held = File::open(place(".dlsoak-locked")).unwrap();
        let held = Flock::lock(held, FlockArg::LockExclusiveNonblock).unwrap();
        clean_temporary(dir.path());
        let left = |name: &str| std::fs::symlink_metadata(place(name)).is_ok();
        assert!(!left(".dlsoak-abcdef"));
        assert!([".dlsoak-locked", ".dlsoak-abcdefg", ".dlsoak-linked", "record.json"].into_iter().all(left));
        drop(held);
    }
}
