//! What a traced worker is preloaded with: it takes note of each resource when it is obtained, and forgets it when it is
//! given back. Built twice. As the root of a shared library of its own, without `std` and without a dependency, it defines
//! `malloc` and its like; `build.rs` compiles that one and the program carries it. As a module of the program it is only the
//! layout of the memory that both sides share, and what the tests need to try it.

#![cfg_attr(dlsoak_preload, no_std)]

pub mod intern;
pub mod layout;
pub mod live;
pub mod ranges;

#[cfg(any(dlsoak_preload, clippy))]
mod interpose;

/// Nobody to tell: a bug here must not go unnoticed.
#[cfg(all(dlsoak_preload, not(clippy)))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    interpose::c::give_up()
}
