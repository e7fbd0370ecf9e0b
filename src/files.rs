//! Writes files whole or not at all, so that a reader never meets half a record or half a picture; and reads what people
//! name without waiting on what is not a file, or taking in more than there is room for.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg, OFlag};

/// What the names of temporary files begin with; six letters or digits follow.
const PREFIX: &str = ".dlsoak-";
const RANDOM: usize = 6;

/// How often a file is written anew that another run has taken for left behind.
const TRIES: u32 = 4;

/// Most bytes that are read of a library; the largest ones, with their debug information, have some gigabytes.
const LARGEST_LIBRARY: u64 = 4 << 30;

/// Bytes of a file that show what it is if it is not a library.
const HEAD: u64 = 64 * 1024;

/// What an ELF file begins with.
const ELF: &[u8] = b"\x7fELF";

/// Reads a library. Of a file that does not begin as one only the beginning is read, which shows what it is; what is not a
/// regular file is not opened for long, because a FIFO would keep its reader waiting and a device would never end.
///
/// # Errors
/// Whatever the file system says; that it is not a regular file; that it is larger than any library.
pub fn read_library(path: &Path) -> io::Result<Vec<u8>> {
    if path.as_os_str().is_empty() {
        return Err(io::Error::other("the path is empty; name a shared library (.so)"));
    }
    // Before it is opened, since opening may already do something; and after, since it may be another file by then.
    regular(&std::fs::metadata(path)?)?;
    let mut file =
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let metadata = file.metadata()?;
    regular(&metadata)?;
    let mut bytes = Vec::new();
    Read::by_ref(&mut file).take(HEAD).read_to_end(&mut bytes)?;
    if !bytes.starts_with(ELF) {
        return Ok(bytes);
    }
    if metadata.len() > LARGEST_LIBRARY {
        return Err(io::Error::other(format!(
            "the file has {} bytes, but dlsoak reads libraries of at most {LARGEST_LIBRARY} bytes",
            metadata.len()
        )));
    }
    // At once: growing by doubling would take up to three times as much. A length that is too large for memory fails later.
    let room = usize::try_from(metadata.len()).unwrap_or(0).saturating_sub(bytes.len());
    let _ = bytes.try_reserve_exact(room.saturating_add(1));
    rest(file, LARGEST_LIBRARY, bytes)
}

/// Reads a file of text or JSON, which may as well be a pipe; at most `most` bytes.
///
/// # Errors
/// Whatever the file system says; that there are more bytes than that.
pub fn read_at_most(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    rest(File::open(path)?, most, Vec::new())
}

fn regular(metadata: &std::fs::Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    Err(io::Error::other("not a regular file; name a shared library (.so)"))
}

/// What is left of a file after what was read of it.
fn rest(file: File, most: u64, mut bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    // The length that a file states is where reading ends at the latest: it may grow meanwhile.
    let room = most.saturating_sub(bytes.len() as u64);
    file.take(room.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!(
            "the file has more than {most} bytes, the most that dlsoak reads"
        )));
    }
    Ok(bytes)
}

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
    fn what_is_no_library_is_told_from_its_beginning_and_what_is_no_file_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sparse.so");
        File::create(&path).unwrap().set_len(100 << 30).unwrap();
        assert_eq!(read_library(&path).unwrap(), vec![0; HEAD as usize]);
        std::fs::write(&path, [ELF, &[2, 1, 1]].concat()).unwrap();
        assert_eq!(read_library(&path).unwrap().len(), 7);
        OpenOptions::new().write(true).open(&path).unwrap().set_len(100 << 30).unwrap();
        assert!(read_library(&path).unwrap_err().to_string().contains("107374182400 bytes"));
        for odd in [Path::new("/dev/zero"), dir.path()] {
            assert!(read_library(odd).unwrap_err().to_string().contains("not a regular file"), "{odd:?}");
        }
    }

    #[test]
    fn no_more_is_read_than_there_is_room_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, b"12345").unwrap();
        assert_eq!(read_at_most(&path, 5).unwrap(), b"12345");
        assert!(read_at_most(&path, 4).unwrap_err().to_string().contains("more than 4 bytes"));
        assert!(read_at_most(Path::new("/dev/zero"), 4096).is_err());
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
