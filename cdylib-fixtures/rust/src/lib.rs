//! The work that every Rust fixture exports, the same as in the other languages, so that what differs between two
//! soaks is the library and not the call.

/// The `n`-th Fibonacci number, wrapping in 64 bits; 0 for `n` below 1.
pub fn fibonacci(n: i32) -> i64 {
    let (mut a, mut b) = (0_i64, 1_i64);
    for _ in 0..n {
        (a, b) = (b, a.wrapping_add(b));
    }
    a
}
