//! Notes the functions that libraries register with `on_exit`, which glibc calls when the process ends and which
//! nobody can take back: those of a library that was unloaded are gone by then. The program offers `on_exit` in
//! glibc's place and passes each call on. `atexit` needs no such care: in a library it belongs to the library, and
//! is called when that is unloaded. musl has no `on_exit`.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use dlsoak_wire::channel::EXIT_HANDLERS;

use crate::c;

/// What is registered: called with the exit status and the argument that was given.
pub type Handler = unsafe extern "C" fn(c_int, *mut c_void);
type Register = unsafe extern "C" fn(Handler, *mut c_void) -> c_int;

/// Addresses of the functions, in order; 0 where there is none.
static TABLE: [AtomicU64; EXIT_HANDLERS] = [const { AtomicU64::new(0) }; EXIT_HANDLERS];
/// How many there were, also beyond the room for them.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Offered in glibc's place: notes a registration and passes it on.
///
/// # Safety
/// The contract is that of `on_exit`: `handler` may be called with `argument` when the process ends.
#[cfg_attr(all(dlsoak_program = "host", not(dlsoak_musl)), unsafe(export_name = "on_exit"))]
pub unsafe extern "C" fn register(handler: Handler, argument: *mut c_void) -> c_int {
    static REAL: c::Real = c::Real::new(c"on_exit");
    let index = usize::try_from(COUNT.fetch_add(1, Relaxed)).unwrap_or(usize::MAX);
    if let Some(entry) = TABLE.get(index) {
        entry.store(handler as *const () as u64, Relaxed);
    }
    let real = REAL.address();
    if real.is_null() {
        return -1;
    }
    // SAFETY: that symbol is a function of this type in every glibc.
    let real = unsafe { core::mem::transmute::<*mut c_void, Register>(real) };
    // SAFETY: the caller's contract is the same.
    unsafe { real(handler, argument) }
}

/// Writes down what is registered, and returns how many there are.
pub(super) fn write_down(to: &[AtomicU64; EXIT_HANDLERS]) -> u64 {
    for (entry, to) in TABLE.iter().zip(to) {
        to.store(entry.load(Relaxed), Relaxed);
    }
    COUNT.load(Relaxed)
}
