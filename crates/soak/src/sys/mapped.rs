//! Memory that is shared with another process, mapped here by the type that it is.

use std::num::NonZeroUsize;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use dlsoak_wire::notes::Memory;
use dlsoak_wire::watch::Ring;
use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// A shared mapping of a file that holds one `T`.
#[derive(Debug)]
pub(crate) struct Mapped<T> {
    at: NonNull<T>,
}

// SAFETY: only types that are made of atomics are mapped, and they stay mapped until the last owner drops this.
unsafe impl<T> Send for Mapped<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Mapped<T> {}

impl Mapped<Memory> {
    /// Maps the notes of a traced process. The file is that large.
    pub(crate) fn notes(file: impl AsFd) -> Result<Self, Errno> {
        Self::new(file)
    }
}

impl Mapped<Ring> {
    /// Maps the ring of a watched host. The file is that large.
    pub(crate) fn ring(file: impl AsFd) -> Result<Self, Errno> {
        Self::new(file)
    }
}

impl<T> Mapped<T> {
    fn new(file: impl AsFd) -> Result<Self, Errno> {
        let len = NonZeroUsize::MIN.saturating_add(size_of::<T>() - 1);
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new shared mapping at an address the kernel chooses touches nothing that exists.
        let at = unsafe { mmap(None, len, access, MapFlags::MAP_SHARED, file, 0) }?;
        Ok(Self { at: at.cast() })
    }
}

impl<T> Deref for Mapped<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the mapping is as large as T, page-aligned, and lives as long as self. T is one of the two types above, which are made of
        // atomics that are valid for any bytes.
        unsafe { self.at.as_ref() }
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: address and length are those of the mapping, and no reference into it outlives self.
        let _ = unsafe { munmap(self.at.cast(), size_of::<T>()) };
    }
}
