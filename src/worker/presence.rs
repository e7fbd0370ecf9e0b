//! Asks the loader whether a library is there, `dlopen` with `RTLD_NOLOAD`, at quiet points only; and gives the
//! reference back that the answer takes.

use std::ffi::{CString, OsStr, c_int};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::Ordering::Relaxed;

use libloading::os::unix::Library;

use crate::channel::{Header, Look};

/// As `dlfcn.h` of Linux has it; libc names it for some targets only.
const NOLOAD: c_int = 0x4;

/// Most references that are given back in search of the one too many.
const MOST_RELEASED: u32 = 64;

/// Carries out the look that the supervisor asked for with the order under way.
pub(super) fn look(header: &Header, paths: &[CString]) {
    let look = Look::from_u32(header.look.load(Relaxed));
    if look == Look::None {
        return;
    }
    let there = paths.iter().filter(|path| is_there(path)).count();
    header.there.store(u32::try_from(there).unwrap_or(u32::MAX), Relaxed);
    if look == Look::Release && there > 0 {
        let released = paths.first().and_then(release);
        header.released.store(released.unwrap_or(0), Relaxed);
    }
}

/// A handle on the library if it is loaded. Its reference is the caller's.
fn handle(path: &CString) -> Option<Library> {
    // libloading takes a path that ends in NUL without a copy.
    let path = OsStr::from_bytes(path.as_bytes_with_nul());
    // SAFETY: with RTLD_NOLOAD nothing is loaded, so no code runs.
    unsafe { Library::open(Some(path), NOLOAD | libc::RTLD_LAZY) }.ok()
}

fn is_there(path: &CString) -> bool {
    handle(path).is_some()
}

/// Closes the library more often than it was opened until it is gone; how often that took, `None` when it stays.
fn release(path: &CString) -> Option<u32> {
    for released in 1..=MOST_RELEASED {
        let raw = handle(path)?.into_raw();
        // SAFETY: the handle is the one that into_raw gave.
        let _ = unsafe { Library::from_raw(raw) }.close();
        if !is_there(path) {
            // It went with the next close of anything: nobody holds it.
            return None;
        }
        // SAFETY: someone holds one reference more than this process has use for: this is a diagnostic worker, which
        // ends after this, and the loader checks the handle.
        let _ = unsafe { Library::from_raw(raw) }.close();
        if !is_there(path) {
            return Some(released);
        }
    }
    None
}
