//! A panic leaves an `extern "C-unwind"` function. Its caller is C and nothing catches the panic, so the runtime finds no frame to
//! unwind to and aborts.

#[inline(never)]
fn refuse(n: i32) -> i64 {
    assert!(n < 0, "no room for {n} more");
    i64::from(n)
}

/// The exported work.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn fibonacci(n: i32) -> i64 {
    refuse(n) + fixture::fibonacci(n)
}
