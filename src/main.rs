//! The `dlsoak` program: parses the command line and dispatches.

use std::process::ExitCode;

fn main() -> ExitCode {
    dlsoak::sys::glibc::keep_large_allocations_apart();
    dlsoak::cli::main()
}
