//! Asks for the current thread in each call: the standard library that is linked into this one makes a
//! thread-specific key for it with each load and never deletes it, and aborts when the process has none left.

/// The exported work.
#[unsafe(no_mangle)]
pub extern "C" fn fibonacci(n: i32) -> i64 {
    std::hint::black_box(std::thread::current());
    fixture::fibonacci(n)
}
