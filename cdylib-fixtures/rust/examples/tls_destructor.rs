//! A `thread_local!` whose value has a destructor, touched by the call: the C library keeps the library loaded
//! until the thread that touched it has ended.

use std::cell::RefCell;

thread_local! {
    static LAST: RefCell<Vec<i64>> = const { RefCell::new(Vec::new()) };
}

/// The exported work.
#[unsafe(no_mangle)]
pub extern "C" fn fibonacci(n: i32) -> i64 {
    let value = fixture::fibonacci(n);
    LAST.with_borrow_mut(|last| {
        last.clear();
        last.push(value);
    });
    value
}
