//! Each call leaks a box of 1,000 bytes.

/// The exported work.
#[unsafe(no_mangle)]
pub extern "C" fn fibonacci(n: i32) -> i64 {
    let value = fixture::fibonacci(n);
    // black_box: an allocation that nobody reads may be dropped by the compiler.
    std::hint::black_box(Box::leak(Box::new([value; 125]))); // traced
    value
}
