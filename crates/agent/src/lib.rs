//! Everything of `dlsoak` that runs inside another process: the measured host, the loop that other instruments look at, the keeper
//! between supervisor and host, the library that a traced host is preloaded with, the auditor of a watched one, and the drivers of
//! plugins.
//!
//! **Invariant:** what runs beside a library under test is a plain C program. It needs the C library and nothing else, has no runtime
//! of its own, unwinds nothing, and allocates nothing. The host parses nothing, because its orders and its answers are data
//! (`dlsoak-wire`); the loop takes its orders as arguments. There are two exceptions. The library that takes notes unwinds stacks, and so
//! needs `libgcc_s.so.1` besides. The auditor needs nothing at all.
//!
//! The sources are built several times. `build.rs` makes the programs, each with one call of the compiler and
//! `--cfg dlsoak_program`, for glibc and, with `--cfg dlsoak_musl`, for musl; cargo builds this library, which offers the programs as
//! bytes and has their tests.

#![cfg_attr(not(test), no_std)]
#![cfg_attr(dlsoak_program, no_main)]
// The library build offers the programs and tests their parts; nothing there calls what the C library calls in a program.
#![allow(dead_code)]
#![allow(unreachable_pub, reason = "what a program offers it offers by its symbols")]

#[cfg(any(not(dlsoak_program), dlsoak_program = "host"))]
pub mod arena;
#[cfg(any(dlsoak_program = "host", dlsoak_program = "loop", dlsoak_program = "keeper"))]
mod begin;
#[cfg(not(dlsoak_program = "audit"))]
pub mod c;
#[cfg(any(not(dlsoak_program), dlsoak_program = "host", dlsoak_program = "loop"))]
mod copies;
#[cfg(any(not(dlsoak_program), dlsoak_program = "preload", dlsoak_program = "audit"))]
mod raw;
#[cfg(any(not(dlsoak_program), dlsoak_program = "host", dlsoak_program = "loop"))]
mod short_lived;
#[cfg(any(not(dlsoak_program), dlsoak_program = "host", dlsoak_program = "keeper"))]
mod text;
mod thread_pointer;
#[cfg(not(any(dlsoak_program = "preload", dlsoak_program = "audit", dlsoak_program = "drivers")))]
mod words;

#[cfg(any(not(dlsoak_program), dlsoak_program = "audit"))]
pub mod audit;
#[cfg(any(not(dlsoak_program), dlsoak_program = "loop"))]
pub mod bare;
#[cfg(any(not(dlsoak_program), dlsoak_program = "drivers"))]
pub mod drivers;
#[cfg(any(not(dlsoak_program), dlsoak_program = "host"))]
pub mod heap;
#[cfg(any(not(dlsoak_program), dlsoak_program = "host"))]
pub mod host;
#[cfg(any(not(dlsoak_program), dlsoak_program = "keeper"))]
pub mod keeper;
#[cfg(any(not(dlsoak_program), dlsoak_program = "preload"))]
pub mod preload;

/// Name of the host's program: as `/proc` shows it, also where it is started from memory.
pub const HOST_NAME: &core::ffi::CStr = c"dlsoak-agent";
/// Name of the keeper's program.
pub const KEEPER_NAME: &core::ffi::CStr = c"dlsoak-keeper";

/// Name of the function of the host that a stub calls, with the name that it stands for.
pub const NEEDS_HOST: &str = "dlsoak_needs_host";

#[cfg(not(dlsoak_program))]
mod images;
#[cfg(not(dlsoak_program))]
pub use images::{Agents, GLIBC, MUSL, SPARE};

/// Nothing can be said from here: a bug here must not go unnoticed.
#[cfg(dlsoak_program)]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    #[cfg(dlsoak_program = "audit")]
    audit::give_up();
    #[cfg(not(dlsoak_program = "audit"))]
    c::give_up()
}
