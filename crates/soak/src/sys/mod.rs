//! The few calls into the kernel that no kept crate wraps, and what is known of the C libraries of this machine: what is glibc's own is in
//! [`glibc`].

pub mod c_library;
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
