//! The `dlsoak` program: becomes a worker or its keeper when it is asked to, else parses the command line and dispatches.

use std::ffi::{c_int, c_void};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: dlsoak::worker::CountingAllocator = dlsoak::worker::CountingAllocator;

/// Offered to libraries in glibc's place, so that a worker can count pending thread-local destructors. In the program
/// and not in the library, so that nobody who links the library gets it too.
///
/// # Safety
/// The contract is glibc's, to which every call is passed on.
#[unsafe(no_mangle)]
unsafe extern "C" fn __cxa_thread_atexit_impl(
    destructor: dlsoak::worker::tls_destructors::Destructor,
    object: *mut c_void,
    dso: *mut c_void,
) -> c_int {
    // SAFETY: the caller's contract is the same.
    unsafe { dlsoak::worker::tls_destructors::register(destructor, object, dso) }
}

/// Offered to libraries in glibc's place, so that a worker knows of functions that are called at exit, when their
/// code may be gone. In the program and not in the library, so that nobody who links the library gets it too.
///
/// # Safety
/// The contract is glibc's, to which every call is passed on.
#[unsafe(no_mangle)]
unsafe extern "C" fn on_exit(
    handler: dlsoak::worker::exit_handlers::Handler,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: the caller's contract is the same.
    unsafe { dlsoak::worker::exit_handlers::register(handler, argument) }
}

fn main() -> ExitCode {
    if let Some(code) = dlsoak::worker::run_if_asked() {
        return code;
    }
    if let Some(code) = dlsoak::keeper::run_if_asked() {
        return code;
    }
    dlsoak::cli::main()
}
