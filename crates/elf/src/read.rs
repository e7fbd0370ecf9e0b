//! Reads what people name without waiting on what is not a file, or taking in more than there is room for.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::Facts;

/// Most bytes that are read of a library; the largest ones, with their debug information, have some gigabytes.
const LARGEST_LIBRARY: u64 = 4 << 30;

/// Bytes of a file that show what it is if it is not a library.
const HEAD: u64 = 64 * 1024;

/// What an ELF file begins with.
const ELF: &[u8] = b"\x7fELF";

/// What a library's file says; `None` where it can't be read, or is no ELF file.
pub fn facts_of(path: &Path) -> Option<Facts> {
    crate::parse(&read_library(path).ok()?).ok()
}

/// Reads a library. Of a file that does not begin as one only the beginning is read, which shows what it is; what is not a
/// regular file is not opened for long, because a FIFO would keep its reader waiting and a device would never end.
///
/// # Errors
/// Whatever the file system says; that it is not a regular file; that it is larger than any library.
pub fn read_library(path: &Path) -> io::Result<Vec<u8>> {
    if path.as_os_str().is_empty() {
        return Err(io::Error::other("the path is empty; name a shared library (.so)"));
    }
    let (mut file, metadata) = open(path)?;
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

/// Opens a regular file.
///
/// # Errors
/// Whatever the file system says; that it is not a regular file.
pub(crate) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    // Before it is opened, since opening may already do something; and after, since it may be another file by then.
    regular(&std::fs::metadata(path)?)?;
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let metadata = file.metadata()?;
    regular(&metadata)?;
    Ok((file, metadata))
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
