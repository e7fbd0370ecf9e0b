//! A plugin with a C interface: an object that its host creates and destroys.

/// What the host has a pointer to.
pub struct Fx {
    history: Vec<i32>,
}

/// Creates an object.
#[unsafe(no_mangle)]
pub extern "C" fn fx_create(size: i32) -> Box<Fx> {
    Box::new(Fx { history: (0..size).collect() })
}

/// Returns the sum of what an object has.
#[unsafe(no_mangle)]
pub extern "C" fn fx_sum(fx: &Fx) -> i32 {
    fx.history.iter().sum()
}

/// Destroys an object.
#[unsafe(no_mangle)]
pub extern "C" fn fx_destroy(fx: Box<Fx>) {
    drop(fx);
}
