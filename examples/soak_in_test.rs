//! Soaks a library from a test, without the `dlsoak` binary, as another project would. In that project the `#[test]`
//! below stands in `tests/soak.rs`, and `dlsoak-soak` under `[dev-dependencies]`.
//!
//! `cargo run --example soak_in_test -- LIB.so [CALL]` does the same from `main`.

use std::error::Error;

/// What the library may not do: stay loaded, or leave anything behind.
fn soak(library: &str, call: Option<&str>) -> Result<(), dlsoak_soak::SoakError> {
    let mut soak = dlsoak_soak::Soak::new(library).cycles(10_000);
    if let Some(call) = call {
        soak = soak.call(call);
    }
    soak.run()?.assert_clean();
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let library = args.next().ok_or("usage: soak_in_test LIB.so [CALL]")?;
    Ok(soak(&library, args.next().as_deref())?)
}

#[test]
fn the_library_leaves_nothing_behind() -> Result<(), Box<dyn Error>> {
    // Another project names the file that its build makes. Of a cdylib of its own it has `Soak::cdylib` instead (`examples/rust`).
    let library = xtask::fixtures::directory(&xtask::fixtures::root()).join("libc-clean.so");
    Ok(soak(&library.to_string_lossy(), Some("fibonacci(20)"))?)
}
