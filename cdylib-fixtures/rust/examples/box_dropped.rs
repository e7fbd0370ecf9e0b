//! Each call allocates a box of 1,000 bytes and drops it: the twin of `box_leak`.

/// The exported work.
#[unsafe(no_mangle)]
pub extern "C" fn fibonacci(n: i32) -> i64 {
    let value = fixture::fibonacci(n);
    std::hint::black_box(Box::new([value; 125]));
    value
}
