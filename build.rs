//! Exports symbols of the program to the libraries that it loads: without this, they would bind to glibc's own
//! functions, and what they register there could not be noted.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for symbol in ["__cxa_thread_atexit_impl", "on_exit", "DLSOAK_HAS_MAIN"] {
        println!("cargo::rustc-link-arg-bins=-Wl,--export-dynamic-symbol={symbol}");
    }
}
