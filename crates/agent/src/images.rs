//! The programs that `build.rs` made, as bytes; empty on machines that they are not written for.

/// The programs for one C library.
#[derive(Debug)]
pub struct Agents {
    /// Where its loader is.
    pub loader: &'static str,
    /// The measured process, with the C library's own malloc.
    pub host: &'static [u8],
    /// The measured process, which counts what malloc hands out.
    pub host_counting: &'static [u8],
    /// The measured process that looks for stale pointers, with a malloc of its own.
    pub host_pointers: &'static [u8],
    /// The process between supervisor and host.
    pub keeper: &'static [u8],
    /// The cycles without the wire.
    pub cycles: &'static [u8],
    /// The library that a traced host is preloaded with.
    pub preload: &'static [u8],
    /// The library by which the loader of a watched host reports what it does.
    pub audit: &'static [u8],
    /// The library with the drivers of plugins.
    pub drivers: &'static [u8],
}

macro_rules! made {
    ($file:literal) => {
        include_bytes!(concat!(env!("OUT_DIR"), "/", $file))
    };
}

/// Those for glibc.
pub static GLIBC: Agents = Agents {
    loader: include_str!(concat!(env!("OUT_DIR"), "/glibc/loader")),
    host: made!("glibc/host"),
    host_counting: made!("glibc/host-counting"),
    host_pointers: made!("glibc/host-pointers"),
    keeper: made!("glibc/keeper"),
    cycles: made!("glibc/loop"),
    preload: made!("glibc/preload"),
    audit: made!("glibc/audit"),
    drivers: made!("glibc/drivers"),
};

/// Those for musl, which never unloads: there is nothing to search for stale pointers. Its loader has no auditors, and the instruments that
/// the loop is for know glibc.
pub static MUSL: Agents = Agents {
    loader: include_str!(concat!(env!("OUT_DIR"), "/musl/loader")),
    host: made!("musl/host"),
    host_counting: made!("musl/host-counting"),
    host_pointers: &[],
    keeper: made!("musl/keeper"),
    cycles: &[],
    preload: &[],
    audit: &[],
    drivers: &[],
};

/// Stands in a program, as a word of eight bytes, where `DT_NEEDED` belongs on glibc before 2.34, whose libdl and libpthread were libraries of
/// their own.
pub static SPARE: &[u8; 8] = made!("spare");
