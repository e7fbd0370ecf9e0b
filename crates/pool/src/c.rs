//! The pool for hosts in C and C++. `include/dlsoak_pool.h` has the documentation, and each function here the name that it has there.
//!
//! An error is written into memory of the caller's, because a thread-local text would have a destructor, and that keeps a library
//! loaded that a host may want to unload.

use std::ffi::{CStr, c_char, c_int, c_void};

use super::entry::Entry;
use super::{Handle, Pool};

/// Copies a text and its NUL, as far as there is room.
///
/// # Safety
/// There must be `size` bytes at `room`, unless it is null.
unsafe fn write(text: &str, room: *mut c_char, size: usize) {
    if room.is_null() || size == 0 {
        return;
    }
    let text = text.as_bytes();
    let fits = text.len().min(size - 1);
    // SAFETY: the caller's contract; what is copied is shorter than the room.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr().cast(), room, fits);
        room.add(fits).write(0);
    }
}

#[unsafe(no_mangle)]
extern "C" fn dlsoak_pool_new(flags: c_int) -> *mut Pool {
    Box::into_raw(Box::new(if flags == 0 { Pool::new() } else { Pool::with_flags(flags) }))
}

/// # Safety
/// The pool is one that `dlsoak_pool_new` made, or null, and no thread uses it any more.
#[unsafe(no_mangle)]
unsafe extern "C" fn dlsoak_pool_free(pool: *mut Pool) {
    if !pool.is_null() {
        // SAFETY: the caller's contract.
        drop(unsafe { Box::from_raw(pool) });
    }
}

/// # Safety
/// The pool is one that `dlsoak_pool_new` made, the path ends in NUL, there are `size` bytes at `error`, and the library may be loaded
/// as [`Pool::get`] says.
#[unsafe(no_mangle)]
unsafe extern "C" fn dlsoak_pool_get(
    pool: *const Pool,
    path: *const c_char,
    error: *mut c_char,
    size: usize,
) -> *const Entry {
    // SAFETY: the caller's contract.
    let (pool, path) = unsafe { (&*pool, CStr::from_ptr(path)) };
    // SAFETY: the caller's contract.
    let leased = unsafe { pool.get(path) }.and_then(|handle| handle.0.enter().map(|()| handle));
    match leased {
        Ok(Handle(entry)) => entry,
        Err(why) => {
            // SAFETY: the caller's contract.
            unsafe { write(&why.to_string(), error, size) };
            std::ptr::null()
        }
    }
}

/// # Safety
/// The library is leased, and the name ends in NUL.
#[unsafe(no_mangle)]
unsafe extern "C" fn dlsoak_pool_symbol(library: *const Entry, name: *const c_char) -> *mut c_void {
    // SAFETY: the caller's contract; an address has no type.
    let found = unsafe { (*library).symbol::<*mut c_void>(CStr::from_ptr(name)) };
    found.map_or(std::ptr::null_mut(), |symbol| symbol.as_raw_ptr())
}

/// # Safety
/// The library is leased.
#[unsafe(no_mangle)]
unsafe extern "C" fn dlsoak_pool_handle(library: *const Entry) -> *mut c_void {
    // SAFETY: the caller's contract.
    unsafe { &*library }.handle()
}

/// # Safety
/// The library is leased by the caller, or null. The lease ends here.
#[unsafe(no_mangle)]
unsafe extern "C" fn dlsoak_pool_release(library: *const Entry) {
    // SAFETY: the caller's contract.
    if let Some(entry) = unsafe { library.as_ref() } {
        entry.leave();
    }
}

/// # Safety
/// The pool is one that `dlsoak_pool_new` made.
#[unsafe(no_mangle)]
unsafe extern "C" fn dlsoak_pool_evict_idle(pool: *const Pool) -> usize {
    // SAFETY: the caller's contract.
    unsafe { &*pool }.evict_idle()
}

/// # Safety
/// The library is leased, and there are `size` bytes at `reason`.
#[unsafe(no_mangle)]
unsafe extern "C" fn dlsoak_pool_kept(library: *const Entry, reason: *mut c_char, size: usize) -> c_int {
    // SAFETY: the caller's contract.
    let kept = unsafe { &*library }.kept();
    // SAFETY: the caller's contract.
    unsafe { write(&kept.as_ref().map(ToString::to_string).unwrap_or_default(), reason, size) };
    c_int::from(kept.is_some())
}

/// # Safety
/// The library is leased.
#[unsafe(no_mangle)]
unsafe extern "C" fn dlsoak_pool_allow_eviction(library: *const Entry) {
    // SAFETY: the caller's contract.
    unsafe { &*library }.allow();
}

/// # Safety
/// The library is leased.
#[unsafe(no_mangle)]
unsafe extern "C" fn dlsoak_pool_loads(library: *const Entry) -> u64 {
    // SAFETY: the caller's contract.
    unsafe { &*library }.loads()
}
