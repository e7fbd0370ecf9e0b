//! A fresh copy of the library for each cycle: a file with a new inode, made before the cycle's clock starts and removed
//! before the next one. The library's bytes are in memory once, so that a copy is a write and needs no descriptor that
//! the library could close.

use std::ffi::{CStr, CString};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{unlink, write};

use super::failure::Failure;

/// Digits of the number before the name.
const DIGITS: usize = 12;

/// Makes the copies of one thread.
#[derive(Debug)]
pub(super) struct Copies {
    image: Arc<Vec<u8>>,
    /// The path of the present copy with its NUL, in which only the number changes.
    path: Vec<u8>,
    /// Where the number begins.
    number: usize,
    made: u64,
}

impl Copies {
    /// Copies of `image`, beside `path` and with its name behind their numbers.
    pub(super) fn new(path: &CStr, image: Arc<Vec<u8>>) -> Result<Self, String> {
        let bytes = path.to_bytes();
        let number = bytes.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let (directory, name) = bytes.split_at(number);
        let path = [directory, &[b'0'; DIGITS], b"-", name, b"\0"].concat();
        Ok(Self { image, path, number, made: 0 })
    }

    /// Removes the last copy and makes the next one. What is loaded keeps its file.
    pub(super) fn make(&mut self) -> Result<(), Failure> {
        if self.made > 0 {
            // A library may have removed its own file; that is no reason to stop.
            let _ = unlink(self.path());
        }
        self.made += 1;
        let mut left = self.made;
        for digit in self.path[self.number..self.number + DIGITS].iter_mut().rev() {
            *digit = b'0' + (left % 10) as u8;
            left /= 10;
        }
        self.write().map_err(|error| Failure::Copy(CString::from(self.path()), error))
    }

    /// The present copy.
    #[inline]
    pub(super) fn path(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.path).unwrap_or(c"")
    }

    fn write(&self) -> Result<(), Errno> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let file = open(self.path(), flags, Mode::from_bits_truncate(0o700))?;
        let mut left = self.image.as_slice();
        while !left.is_empty() {
            match write(&file, left) {
                Ok(written) => left = left.get(written..).unwrap_or_default(),
                // A library's signal is no reason to stop.
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_copy_is_a_new_file_and_the_last_one_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = CString::new(directory.path().join("liba.so").to_str().unwrap()).unwrap();
        let mut copies = Copies::new(&path, Arc::new(vec![7; 100_000])).unwrap();
        for n in 1..=11_u32 {
            copies.make().unwrap();
            let name = format!("{n:012}-liba.so");
            assert!(copies.path().to_str().unwrap().ends_with(&name));
            assert_eq!(std::fs::read(directory.path().join(name)).unwrap(), vec![7; 100_000]);
            assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        }
        drop(directory);
        assert!(copies.make().unwrap_err().to_string().contains("no copy at"));
    }
}
