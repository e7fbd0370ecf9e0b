//! Descriptors that are closed when their owner is done with them.

use core::ffi::{c_int, c_long};

use crate::c;

/// The result of a C function that returns a negative number and sets `errno` where it fails.
pub(super) fn ok(result: c_int) -> Result<c_int, c_int> {
    if result < 0 { Err(c::errno()) } else { Ok(result) }
}

/// A descriptor that is ours.
pub(super) struct Fd(c_int);

impl Fd {
    /// Owns this descriptor.
    ///
    /// # Safety
    /// It is open, and nothing else owns it.
    pub(super) unsafe fn from_raw(fd: c_int) -> Self {
        Self(fd)
    }

    /// Its number.
    pub(super) fn raw(&self) -> c_int {
        self.0
    }

    /// Says whether a program that this process starts inherits it.
    pub(super) fn set_inheritable(&self, inheritable: bool) -> Result<(), c_int> {
        let flags = if inheritable { 0 } else { c_long::from(c::FD_CLOEXEC) };
        // SAFETY: the command takes a number.
        ok(unsafe { c::fcntl(self.0, c::F_SETFD, flags) }).map(drop)
    }

    /// Reads until the bytes are full.
    ///
    /// # Errors
    /// The error number; 0 where the other side has closed its end before.
    pub(super) fn read_exact(&self, mut to: &mut [u8]) -> Result<(), c_int> {
        while !to.is_empty() {
            let count = self.read(to)?;
            to = to.get_mut(count..).filter(|_| count > 0).ok_or(0)?;
        }
        Ok(())
    }

    /// Reads what is there; how much that was.
    pub(super) fn read(&self, to: &mut [u8]) -> Result<usize, c_int> {
        loop {
            // SAFETY: the bytes are there to be written to.
            let count = unsafe { c::read(self.0, to.as_mut_ptr().cast(), to.len()) };
            match usize::try_from(count) {
                Ok(count) => return Ok(count),
                Err(_) if c::errno() == c::EINTR => {}
                Err(_) => return Err(c::errno()),
            }
        }
    }

    /// Writes all of the bytes.
    pub(super) fn write_all(&self, mut from: &[u8]) -> Result<(), c_int> {
        while !from.is_empty() {
            // SAFETY: the bytes are there.
            let count = unsafe { c::write(self.0, from.as_ptr().cast(), from.len()) };
            match usize::try_from(count) {
                Ok(count) => from = from.get(count..).unwrap_or_default(),
                Err(_) if c::errno() == c::EINTR => {}
                Err(_) => return Err(c::errno()),
            }
        }
        Ok(())
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours.
        unsafe { c::close(self.0) };
    }
}

/// Waits until one of these can be read or is closed at the other end; whether `first` is one of them.
pub(super) fn wait_for(first: &Fd, second: &Fd) -> Result<bool, c_int> {
    let mut waited = [first, second].map(|fd| c::PollFd { fd: fd.0, wanted: c::POLLIN, seen: 0 });
    loop {
        // SAFETY: the structures are on this stack; -1 is no limit of time.
        match ok(unsafe { c::poll(waited.as_mut_ptr(), waited.len() as u64, -1) }) {
            Ok(_) => return Ok(waited[0].seen != 0),
            Err(c::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}
