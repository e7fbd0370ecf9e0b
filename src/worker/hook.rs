//! Lets every program that links this library be its own worker, and the worker's keeper: a test binary has no `main` of
//! ours, so their start is caught before any `main` runs.
//!
//! glibc calls the functions in `.init_array` of a program before its `main`, with `main`'s arguments (`call_init` in
//! `csu/libc-start.c`). Ours looks at the first argument, and returns at once where it is that of neither.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What the `dlsoak` program offers to say that its `main` takes care of workers.
const HAS_MAIN: &CStr = c"DLSOAK_HAS_MAIN";

type Initializer = unsafe extern "C" fn(c_int, *const *const c_char, *const *const c_char);

#[used]
#[unsafe(link_section = ".init_array")]
static INITIALIZER: Initializer = before_main;

/// The initializer ran in the program itself.
static IN_PROGRAM: AtomicBool = AtomicBool::new(false);

/// Functions that a worker offers to libraries in glibc's place, and what is not seen where it does not.
const OFFERED: [(&CStr, &str); 2] = [
    (c"__cxa_thread_atexit_impl", "pending thread-local destructors, as a cause for staying loaded"),
    (c"on_exit", "functions registered with on_exit"),
];

/// # Safety
/// To be called by the C library only, before `main`.
unsafe extern "C" fn before_main(_argc: c_int, _argv: *const *const c_char, _env: *const *const c_char) {
    // A library under test may link this one too; its initializer runs in a worker, and must leave it alone.
    if !is_in_program(before_main as *const c_void) {
        return;
    }
    IN_PROGRAM.store(true, Relaxed);
    super::bare::wake_sanitizer();
    // Before `main` there is nothing yet that a thread's end unwinds to: what ends the main thread crashes differently.
    // So a program with a `main` of ours waits for that.
    if is_offered(HAS_MAIN) {
        return;
    }
    if let Some(code) = super::run_if_asked().or_else(crate::keeper::run_if_asked) {
        std::process::exit(i32::from(code != ExitCode::SUCCESS) * 2);
    }
}

/// Whether this program, started again, becomes a worker when it is asked to. It does not where this library is part of a
/// shared library only.
pub fn is_ready() -> bool {
    IN_PROGRAM.load(Relaxed)
}

/// What a worker of this program does not see, in plain words; empty where the program says [`crate::worker!`].
pub fn unseen() -> Vec<&'static str> {
    OFFERED.iter().filter(|(symbol, _)| !is_offered(symbol)).map(|(_, what)| *what).collect()
}

/// Whether libraries that look for this function find the program's.
fn is_offered(symbol: &CStr) -> bool {
    // SAFETY: the name is a C string; a look through the global scope has no precondition.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, symbol.as_ptr()) };
    !found.is_null() && is_in_program(found)
}

/// Whether this address lies in the program, and not in a shared library.
fn is_in_program(address: *const c_void) -> bool {
    // SAFETY: getauxval has no precondition.
    let entry = unsafe { libc::getauxval(libc::AT_ENTRY) } as *const c_void;
    base(address).is_some_and(|object| base(entry) == Some(object))
}

/// Where the object that holds this address is loaded.
fn base(address: *const c_void) -> Option<usize> {
    let mut info = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    // SAFETY: the structure is ours; any address may be asked for.
    let known = unsafe { libc::dladdr(address, &raw mut info) };
    (known != 0).then_some(info.dli_fbase as usize)
}

/// Makes a program, such as a test binary, see all that `dlsoak` itself sees: it offers `__cxa_thread_atexit_impl` and
/// `on_exit` to the libraries that it soaks, notes who calls them, and passes each call on to glibc.
///
/// To be written once in a program, outside of any function. Without it all else works; the record's `notes` say what is
/// not seen.
#[macro_export]
macro_rules! worker {
    () => {
        const _: () = {
            /// Offered in glibc's place, so that a worker can count pending thread-local destructors.
            ///
            /// # Safety
            /// The contract is glibc's, to which every call is passed on.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn __cxa_thread_atexit_impl(
                destructor: $crate::worker::tls_destructors::Destructor,
                object: *mut ::core::ffi::c_void,
                dso: *mut ::core::ffi::c_void,
            ) -> ::core::ffi::c_int {
                // SAFETY: the caller's contract is the same.
                unsafe { $crate::worker::tls_destructors::register(destructor, object, dso) }
            }

            /// Offered in glibc's place, so that a worker knows of functions that are called at exit, when their
            /// code may be gone.
            ///
            /// # Safety
            /// The contract is glibc's, to which every call is passed on.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn on_exit(
                handler: $crate::worker::exit_handlers::Handler,
                argument: *mut ::core::ffi::c_void,
            ) -> ::core::ffi::c_int {
                // SAFETY: the caller's contract is the same.
                unsafe { $crate::worker::exit_handlers::register(handler, argument) }
            }
        };
    };
}
