//! The few calls into the kernel and glibc that no kept crate wraps. What is glibc's own is in [`glibc`], so that
//! a port to another C library has one file to write.

pub mod clock;
pub mod futex;
pub mod glibc;
pub(crate) mod mapped;
pub(crate) mod perf;
pub mod pressure;
pub mod ptrace;

/// Name of a signal.
pub fn signal_name<N: TryInto<i32> + Copy + std::fmt::Display>(number: N) -> String {
    let known = number.try_into().ok().and_then(|number| nix::sys::signal::Signal::try_from(number).ok());
    known.map_or_else(|| format!("signal {number}"), |signal| signal.as_str().to_owned())
}
