//! Panics in a function that C calls: a panic can't leave it, and the runtime aborts the process.

/// The exported work, which never returns.
#[unsafe(no_mangle)]
pub extern "C" fn fibonacci(n: i32) -> i64 {
    let table = [fixture::fibonacci(n)];
    // Not known to be out of bounds before it runs.
    table[std::hint::black_box(5)]
}
