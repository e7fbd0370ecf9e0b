//! The `dlsoak` program: becomes a worker or its keeper when it is asked to, else parses the command line and dispatches.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: dlsoak::worker::CountingAllocator = dlsoak::worker::CountingAllocator;

// In the program and not in the library, so that nobody who links the library offers these functions unasked.
dlsoak::worker!();

/// Tells the library that this program becomes a worker in `main`, where a host's code runs, and not before it.
#[unsafe(no_mangle)]
pub static DLSOAK_HAS_MAIN: u8 = 1;

fn main() -> ExitCode {
    if let Some(code) = dlsoak::worker::run_if_asked() {
        return code;
    }
    if let Some(code) = dlsoak::keeper::run_if_asked() {
        return code;
    }
    dlsoak::sys::glibc::keep_large_allocations_apart();
    dlsoak::cli::main()
}
