//! Memory from the kernel: its length is known only when the orders are there.

use core::ffi::{c_char, c_int};
use core::marker::PhantomData;
use core::ptr::{NonNull, null_mut};

use crate::c;

/// What any bytes are valid for, zero included.
pub(super) trait Plain: Copy {}
impl Plain for u8 {}
impl Plain for *const c_char {}

/// Zeroed memory for `len` values, which is given back with this value.
pub(super) struct Memory<T: Plain = u8> {
    base: NonNull<T>,
    len: usize,
    values: PhantomData<T>,
}

impl<T: Plain> Memory<T> {
    /// Makes it.
    ///
    /// # Errors
    /// The error number.
    pub(super) fn new(len: usize) -> Result<Self, c_int> {
        let (access, flags) = (c::PROT_READ | c::PROT_WRITE, c::MAP_PRIVATE | c::MAP_ANONYMOUS);
        let bytes = Self::bytes(len).ok_or(c::NO_MEMORY)?;
        // SAFETY: a new mapping at an address that the kernel chooses touches nothing that exists.
        let base = unsafe { c::mmap(null_mut(), bytes, access, flags, -1, 0) };
        if base as isize == -1 {
            return Err(c::errno());
        }
        let base = NonNull::new(base.cast()).ok_or(c::NO_MEMORY)?;
        Ok(Self { base, len, values: PhantomData })
    }

    /// The values.
    pub(super) fn get(&self) -> &[T] {
        // SAFETY: the mapping has room for as many, all bytes of which are valid, and lives as long as self.
        unsafe { core::slice::from_raw_parts(self.base.as_ptr(), self.len) }
    }

    /// The values, to be written.
    pub(super) fn get_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and self is borrowed alone.
        unsafe { core::slice::from_raw_parts_mut(self.base.as_ptr(), self.len) }
    }

    /// Bytes of a mapping for as many; a mapping can't be empty.
    fn bytes(len: usize) -> Option<usize> {
        len.max(1).checked_mul(size_of::<T>())
    }
}

impl<T: Plain> Drop for Memory<T> {
    fn drop(&mut self) {
        // SAFETY: address and length are those of the mapping, and no reference into it outlives self.
        unsafe { c::munmap(self.base.as_ptr().cast(), Self::bytes(self.len).unwrap_or(0)) };
    }
}
