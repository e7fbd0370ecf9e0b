//! The C libraries of this machine: where their loaders are, which versions they have, and the agents that are written for them. This
//! program may run on another one, or be static, so all of it is read from files.

use std::borrow::Cow;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use dlsoak_agent::{Agents, GLIBC, MUSL, SPARE};

use crate::elf::{self, Search};
use crate::settings::Libc;

/// What runs beside a library of this C library.
pub(crate) fn agents(libc: Libc) -> &'static Agents {
    match libc {
        Libc::Glibc => &GLIBC,
        Libc::Musl => &MUSL,
    }
}

/// Where the loader of a C library is.
pub fn loader(libc: Libc) -> &'static str {
    agents(libc).loader
}

/// Whether programs for this C library can be started here.
pub fn is_here(libc: Libc) -> bool {
    Path::new(agents(libc).loader).exists()
}

/// The C library of this machine: glibc where both are here.
pub fn of_this_machine() -> Libc {
    if !is_here(Libc::Glibc) && is_here(Libc::Musl) { Libc::Musl } else { Libc::Glibc }
}

/// Name and version of a C library as it is on this machine, for example `glibc 2.36`; the name alone where the version can't be read.
pub fn version(libc: Libc) -> &'static str {
    static GLIBC: OnceLock<String> = OnceLock::new();
    static MUSL: OnceLock<String> = OnceLock::new();
    let (known, read): (_, fn() -> Option<String>) = match libc {
        Libc::Glibc => (&GLIBC, of_glibc),
        Libc::Musl => (&MUSL, of_musl),
    };
    known.get_or_init(|| match read() {
        Some(version) => format!("{libc} {version}"),
        None => libc.to_string(),
    })
}

/// Whether the glibc of this machine is 2.x with at least this x. One whose version can't be read counts as new.
pub(crate) fn glibc_is_at_least(minor: u32) -> bool {
    is_at_least(version(Libc::Glibc), minor)
}

fn is_at_least(version: &str, minor: u32) -> bool {
    let numbers = version.trim_start_matches("glibc").trim_start();
    let numbers = numbers.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    version == "glibc" || numbers.collect::<Vec<_>>() >= vec![2, minor]
}

/// An agent as the C library of this machine needs it. Before glibc 2.34 libdl and libpthread were libraries of their own, which a host that
/// opens libraries and starts threads links.
pub fn fitting(image: &[u8]) -> Cow<'_, [u8]> {
    const PARTS_UNTIL: u32 = 34;
    if glibc_is_at_least(PARTS_UNTIL) { Cow::Borrowed(image) } else { Cow::Owned(with_parts(image)) }
}

fn with_parts(image: &[u8]) -> Vec<u8> {
    /// `DT_NEEDED`.
    const NEEDED: [u8; 8] = 1_u64.to_le_bytes();
    let mut image = image.to_vec();
    image.chunks_exact_mut(8).filter(|word| word == SPARE).for_each(|word| word.copy_from_slice(&NEEDED));
    image
}

/// The version in glibc's banner. Its loader has one since 2.33 and is a tenth of its library: to read that took 3 ms of the 8 before a soak
/// begins.
fn of_glibc() -> Option<String> {
    let in_file = |path: &Path, begin: &str| banner(&elf::read_library(path).ok()?, begin);
    let in_library = || in_file(&Search::of_this_machine().by_name("libc.so.6")?.path, "GNU C Library (");
    in_file(Path::new(GLIBC.loader), "ld.so (").or_else(in_library)
}

/// The version in a banner that begins like this: `GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.`
fn banner(bytes: &[u8], begin: &str) -> Option<String> {
    let after =
        |bytes: &'_ [u8], text: &str| memchr::memmem::find(bytes, text.as_bytes()).map(|at| at + text.len());
    let bytes = &bytes[after(bytes, begin)?..];
    let line = &bytes[after(bytes, " release version ")?..];
    let end = line.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.')?;
    Some(std::str::from_utf8(&line[..end]).ok()?.trim_end_matches('.').to_owned())
}

/// The version that musl's loader prints where it is given nothing to load.
fn of_musl() -> Option<String> {
    let output = Command::new(MUSL.loader).output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    said.lines().find_map(|line| line.strip_prefix("Version ")).map(|version| version.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        let of = |version: &str| [34, 42].map(|minor| is_at_least(version, minor));
        assert_eq!(of("glibc 2.9"), [false, false]);
        assert_eq!(of("glibc 2.33.9000"), [false, false]);
        assert_eq!(of("glibc 2.34"), [true, false]);
        assert_eq!(of("glibc 2.42"), [true, true]);
        assert_eq!(of("glibc 3.0"), [true, true]);
        assert_eq!(of("glibc"), [true, true]);
    }

    #[test]
    fn the_version_is_that_of_the_banner() {
        let library = "GNU C Library (";
        let text = |end: &str| format!("\0{library}Debian GLIBC 2.31-13+deb11u11) {end}\nCopyright\0");
        let of = |end: &str| banner(text(end).as_bytes(), library);
        assert_eq!(of("stable release version 2.31.").as_deref(), Some("2.31"));
        assert_eq!(of("development release version 2.33.9000.").as_deref(), Some("2.33.9000"));
        assert_eq!(banner(b"GNU C Library (", library), None);
        let loader = elf::read_library(Path::new(GLIBC.loader)).unwrap();
        let libc = Search::of_this_machine().by_name("libc.so.6").unwrap();
        let libc = elf::read_library(&libc.path).unwrap();
        assert_eq!(banner(&loader, "ld.so (").unwrap(), banner(&libc, library).unwrap());
        let here = version(of_this_machine());
        assert!(here.split_once(' ').is_some_and(|(_, version)| version.contains('.')), "{here}");
    }

    #[test]
    fn an_old_glibc_has_parts_that_an_agent_needs_there() {
        let parts = |image: &[u8]| elf::parse(&with_parts(image)).unwrap().needed;
        for image in [GLIBC.host, GLIBC.host_counting, GLIBC.host_pointers, GLIBC.cycles] {
            assert_eq!(parts(image), ["libc.so.6", "libdl.so.2", "libpthread.so.0"]);
        }
        assert_eq!(parts(GLIBC.preload), ["libc.so.6", "libgcc_s.so.1", "libdl.so.2", "libpthread.so.0"]);
        assert_eq!(parts(GLIBC.keeper), ["libc.so.6"]);
        assert_eq!(with_parts(MUSL.host), MUSL.host);
    }
}
