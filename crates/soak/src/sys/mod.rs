//! The few calls into the kernel and glibc that no kept crate wraps. What is glibc's own is in [`glibc`], so that
//! a port to another C library has one file to write.

pub mod clock;
pub mod futex;
pub mod glibc;
pub mod pressure;
pub mod ptrace;
