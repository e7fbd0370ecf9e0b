//! A traced worker's threads say where their cycle and phase are to be read, to the library that it was preloaded with.

use std::ffi::c_void;
use std::mem::offset_of;
use std::sync::OnceLock;

use crate::channel::Slot;

/// See `dlsoak_trace_thread` in `trace::preload`.
type Announce = unsafe extern "C" fn(*const c_void, usize, usize);

static ANNOUNCE: OnceLock<Announce> = OnceLock::new();

/// Finds that library. Nothing of this is done where nothing is traced.
///
/// # Errors
/// When it is not there, and so nothing would be noted.
pub(super) fn begin() -> Result<(), String> {
    // SAFETY: the name ends in NUL.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"dlsoak_trace_thread".as_ptr()) };
    if found.is_null() {
        return Err("tracing: the library that takes notes could not be preloaded (LD_PRELOAD)".to_owned());
    }
    // SAFETY: nobody else exports this name, and that is its type.
    let announce = unsafe { std::mem::transmute::<*mut c_void, Announce>(found) };
    let _ = ANNOUNCE.set(announce);
    Ok(())
}

/// While this lives, the calling thread makes the cycles of a slot.
#[derive(Debug)]
pub(super) struct Announced(Option<Announce>);

impl Announced {
    pub(super) fn new(slot: &Slot) -> Self {
        let announce = ANNOUNCE.get().copied();
        tell(announce, std::ptr::from_ref(slot).cast());
        Self(announce)
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        tell(self.0, std::ptr::null());
    }
}

fn tell(announce: Option<Announce>, slot: *const c_void) {
    if let Some(announce) = announce {
        // SAFETY: the offsets are those of the words in a slot, which lives until this is called with null.
        unsafe { announce(slot, offset_of!(Slot, completed), offset_of!(Slot, phase)) };
    }
}
