//! Exports one symbol of the program to the libraries that it loads: without this, they would bind to glibc's own
//! `__cxa_thread_atexit_impl`, and pending thread-local destructors could not be counted.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bins=-Wl,--export-dynamic-symbol=__cxa_thread_atexit_impl");
}
