//! A fresh copy of the library for each cycle: a file with a new inode, made before the cycle's clock starts and removed before the
//! next one. The library's bytes are in memory once, so that a copy is a write and needs no descriptor that the library could close.

use core::ffi::{CStr, c_int, c_uint};

use crate::c;

/// Digits of the number before the name.
const DIGITS: usize = 12;
/// Longest path, `PATH_MAX`.
const LONGEST: usize = 4096;

/// Makes the copies of one thread.
pub(crate) struct Copies {
    image: &'static [u8],
    /// The path of the present copy with its NUL, in which only the number changes.
    path: [u8; LONGEST],
    /// Where the number begins.
    number: usize,
    made: u64,
}

impl Copies {
    /// Copies of `image`, beside `path` and with its name behind their numbers.
    pub(crate) fn new(path: &CStr, image: &'static [u8]) -> Self {
        let bytes = path.to_bytes_with_nul();
        let number = bytes.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let mut copies = Self { image, path: [0; LONGEST], number, made: 0 };
        let (directory, name) = bytes.split_at(number);
        let digits = [b'0'; DIGITS];
        let parts = directory.iter().chain(&digits).chain(b"-").chain(name);
        // The last byte stays NUL.
        for (cell, byte) in copies.path[..LONGEST - 1].iter_mut().zip(parts) {
            *cell = *byte;
        }
        copies
    }

    /// Removes the last copy and makes the next one. What is loaded keeps its file.
    ///
    /// # Errors
    /// The error number.
    pub(crate) fn make(&mut self) -> Result<(), c_int> {
        if self.made > 0 {
            // A library may have removed its own file; that is no reason to stop.
            // SAFETY: the path ends in NUL.
            unsafe { c::unlink(self.path().as_ptr()) };
        }
        self.made += 1;
        let mut left = self.made;
        for digit in self.path[self.number..].iter_mut().take(DIGITS).rev() {
            *digit = b'0' + (left % 10) as u8;
            left /= 10;
        }
        self.write()
    }

    /// The path of the present copy.
    #[inline]
    pub(crate) fn path(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.path).unwrap_or(c"")
    }

    fn write(&self) -> Result<(), c_int> {
        const MODE: c_uint = 0o700;
        let flags = c::O_WRONLY | c::O_CREAT | c::O_EXCL | c::O_CLOEXEC;
        // SAFETY: the path ends in NUL.
        let file = unsafe { c::open(self.path().as_ptr(), flags, MODE) };
        if file < 0 {
            return Err(c::errno());
        }
        let mut left = self.image;
        let mut result = Ok(());
        while !left.is_empty() {
            // SAFETY: the bytes are there.
            let written = unsafe { c::write(file, left.as_ptr().cast(), left.len()) };
            match usize::try_from(written) {
                Ok(written) => left = left.get(written..).unwrap_or_default(),
                // A library's signal is no reason to stop.
                Err(_) if c::errno() == c::EINTR => {}
                Err(_) => {
                    result = Err(c::errno());
                    break;
                }
            }
        }
        // SAFETY: the descriptor was opened above.
        unsafe { c::close(file) };
        result
    }
}

/// The content of a file.
///
/// # Errors
/// The error number.
pub(crate) fn read(path: &CStr) -> Result<&'static [u8], c_int> {
    // SAFETY: the path ends in NUL; what is read is written into memory that is large enough.
    unsafe {
        let file = c::open(path.as_ptr(), c::O_CLOEXEC);
        if file < 0 {
            return Err(c::errno());
        }
        let result = read_all(file);
        c::close(file);
        result
    }
}

/// What is in an open file.
///
/// # Safety
/// It is open.
unsafe fn read_all(file: c_int) -> Result<&'static [u8], c_int> {
    // SAFETY: the caller's file is open; what is read is written into memory that is large enough.
    unsafe {
        let len = usize::try_from(c::lseek(file, 0, c::SEEK_END)).map_err(|_| c::errno())?;
        c::lseek(file, 0, 0);
        let image = c::map(len.max(1))?;
        let mut done = 0;
        while done < len {
            match c::read(file, image[done..].as_mut_ptr().cast(), len - done) {
                0 => break,
                count if count > 0 => done += count.cast_unsigned(),
                _ if c::errno() == c::EINTR => {}
                _ => return Err(c::errno()),
            }
        }
        Ok(&image[..done])
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::*;

    #[test]
    fn each_copy_is_a_new_file_and_the_last_one_goes() {
        static IMAGE: [u8; 100_000] = [7; 100_000];
        let directory = std::env::temp_dir().join(format!("dlsoak-copies-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let path = CString::new(directory.join("liba.so").to_str().unwrap()).unwrap();
        let mut copies = Copies::new(&path, &IMAGE);
        for n in 1..=11_u32 {
            copies.make().unwrap();
            let name = format!("{n:012}-liba.so");
            assert!(copies.path().to_str().unwrap().ends_with(&name));
            assert_eq!(std::fs::read(directory.join(name)).unwrap(), IMAGE);
            assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
        }
        std::fs::remove_dir_all(&directory).unwrap();
        assert_eq!(copies.make(), Err(c::ENOENT));
    }
}
