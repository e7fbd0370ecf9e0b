//! Mappings that code makes itself. What the loader, malloc and the thread library map, they map without these functions.

use core::ffi::{c_int, c_void};

use super::origin::{memory_of_process, place};
use crate::c::{self, reals};
use dlsoak_wire::notes::Kind;
use dlsoak_wire::notes::Live;

reals! {
    mmap(*mut c_void, usize, c_int, c_int, c_int, i64) -> *mut c_void;
    munmap(*mut c_void, usize) -> c_int;
    mremap(*mut c_void, usize, usize, c_int, *mut c_void) -> *mut c_void;
}

const FAILED: usize = usize::MAX;

fn pages(len: usize) -> u64 {
    (len as u64).next_multiple_of(c::page() as u64)
}

fn noted(start: *mut c_void, len: usize) -> *mut c_void {
    if start as usize != FAILED
        && let Some(memory) = memory_of_process()
        && let Some(live) = place(memory, Kind::Mapping)
    {
        memory.mapped(start as u64, Live { size: pages(len), ..live });
    }
    start
}

/// As the C library's.
///
/// # Safety
/// The C library's contract.
#[cfg_attr(dlsoak_program = "preload", unsafe(no_mangle))]
pub unsafe extern "C" fn mmap(
    at: *mut c_void,
    len: usize,
    access: c_int,
    flags: c_int,
    fd: c_int,
    offset: i64,
) -> *mut c_void {
    let Some(real) = real::mmap() else {
        c::not_there();
        return core::ptr::without_provenance_mut(FAILED);
    };
    // SAFETY: the caller's contract.
    noted(unsafe { real(at, len, access, flags, fd, offset) }, len)
}

/// As the C library's.
///
/// # Safety
/// The C library's contract.
#[cfg_attr(dlsoak_program = "preload", unsafe(no_mangle))]
pub unsafe extern "C" fn mmap64(
    at: *mut c_void,
    len: usize,
    access: c_int,
    flags: c_int,
    fd: c_int,
    offset: i64,
) -> *mut c_void {
    // SAFETY: the two are one on 64-bit machines; the caller's contract.
    unsafe { mmap(at, len, access, flags, fd, offset) }
}

/// As the C library's.
///
/// # Safety
/// The C library's contract.
#[cfg_attr(dlsoak_program = "preload", unsafe(no_mangle))]
pub unsafe extern "C" fn munmap(at: *mut c_void, len: usize) -> c_int {
    let Some(real) = real::munmap() else {
        c::not_there();
        return -1;
    };
    if let Some(memory) = memory_of_process() {
        memory.unmapped(at as u64, pages(len));
    }
    // SAFETY: the caller's contract.
    unsafe { real(at, len) }
}

/// As the C library's, whose last argument is there only with `MREMAP_FIXED`.
///
/// # Safety
/// The C library's contract.
#[cfg_attr(dlsoak_program = "preload", unsafe(no_mangle))]
pub unsafe extern "C" fn mremap(
    old: *mut c_void,
    old_len: usize,
    len: usize,
    flags: c_int,
    at: *mut c_void,
) -> *mut c_void {
    let Some(real) = real::mremap() else {
        c::not_there();
        return core::ptr::without_provenance_mut(FAILED);
    };
    let before = memory_of_process().and_then(|memory| memory.unmapped(old as u64, pages(old_len)));
    // SAFETY: the caller's contract.
    let new = unsafe { real(old, old_len, len, flags, at) };
    if new as usize == FAILED {
        if let (Some(memory), Some(before)) = (memory_of_process(), before) {
            memory.mapped(old as u64, before);
        }
        return new;
    }
    noted(new, len)
}
