//! The Rust library that does nothing wrong: a plain `extern "C"` function, no state.

/// The exported work.
#[unsafe(no_mangle)]
pub extern "C" fn fibonacci(n: i32) -> i64 {
    fixture::fibonacci(n)
}
