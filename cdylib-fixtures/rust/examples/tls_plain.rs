//! A `thread_local!` whose value has no destructor, touched by the call: nothing keeps the library loaded.

use std::cell::Cell;

thread_local! {
    static LAST: Cell<i64> = const { Cell::new(0) };
}

/// The exported work.
#[unsafe(no_mangle)]
pub extern "C" fn fibonacci(n: i32) -> i64 {
    LAST.set(fixture::fibonacci(n));
    LAST.get()
}
