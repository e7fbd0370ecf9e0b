//! A `static` that holds a box: Rust never drops statics, so that each load leaves its box behind.

use std::sync::OnceLock;

static FIRST: OnceLock<Box<[i64; 125]>> = OnceLock::new();

/// The exported work.
#[unsafe(no_mangle)]
pub extern "C" fn fibonacci(n: i32) -> i64 {
    let value = fixture::fibonacci(n);
    let first = FIRST.get_or_init(|| Box::new([value; 125]));
    std::hint::black_box(first);
    value
}
