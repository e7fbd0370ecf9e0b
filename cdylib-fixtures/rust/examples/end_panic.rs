//! A panic that reaches the end of Rust's code: the runtime aborts, since it may not unwind into its caller.

#[inline(never)]
fn refuse(n: i32) -> i64 {
    assert!(n < 0, "n must be negative, and is {n}");
    i64::from(n)
}

/// The exported work.
#[unsafe(no_mangle)]
pub extern "C" fn fibonacci(n: i32) -> i64 {
    refuse(n) + fixture::fibonacci(n)
}
