//! The programs that `build.rs` made, as bytes; empty on machines that they are not written for.

/// The measured process, with the C library's own malloc.
pub static HOST: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/host"));
/// The measured process, which counts what malloc hands out.
pub static HOST_COUNTING: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/host-counting"));
/// The measured process that looks for stale pointers, with a malloc of its own.
pub static HOST_POINTERS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/host-pointers"));
/// The process between supervisor and host.
pub static KEEPER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/keeper"));
/// The cycles without the wire.
pub static LOOP: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/loop"));
/// The library that a traced host is preloaded with.
pub static PRELOAD: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/preload"));
/// The library by which the loader of a watched host reports what it does.
pub static AUDIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/audit"));
