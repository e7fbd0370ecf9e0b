//! What a library was built with: Go's build information in both of its formats, and the compilers that name
//! themselves in `.comment`. The formats are those that Go's `debug/buildinfo` reads.

use std::collections::BTreeMap;

use super::Libc;
use dlsoak_record::Toolchain;

/// What a Go program says about its build begins with this.
const GO_MAGIC: &[u8] = b"\xff Go buildinf:";

/// Bit of the flags of Go's build information: the version and the settings follow, each with its length before it
/// (Go 1.18 and later). Without it pointers to Go strings follow.
const GO_INLINE: u8 = 2;

/// Bit of the flags: the pointers are big-endian.
const GO_BIG: u8 = 1;

/// Where the inline texts begin.
const GO_TEXTS: usize = 32;

/// Random bytes around the list of modules and settings, by which Go finds it in memory.
const GO_MARK: usize = 16;

/// Longest list of modules and settings that is looked through; a program with 1,000 modules has 100 kB of it.
const MAX_MODULES: usize = 1 << 20;

/// Longest text that is taken for a version or for a compiler's name.
const MAX_NAME: usize = 200;

/// Longest value of a setting; `DefaultGODEBUG` of an old module has 700 characters.
const MAX_VALUE: usize = 2000;

/// Most compilers that are kept: a linked library has one for each that took part.
const MAX_COMPILERS: usize = 64;

/// Settings of a Go build that change how the library behaves. Paths and flags of the C compiler are not among them.
const GO_SETTINGS: [&str; 11] = [
    "-asan",
    "-buildmode",
    "-msan",
    "-race",
    "-tags",
    "CGO_ENABLED",
    "DefaultGODEBUG",
    "GOAMD64",
    "GOARM64",
    "GOEXPERIMENT",
    "GOFIPS140",
];

/// What a Go program says about its build.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GoBuild {
    /// Version of Go.
    pub(super) version: String,
    /// Those of [`GO_SETTINGS`] that it was built with.
    pub(super) settings: BTreeMap<String, String>,
}

/// All of it.
pub(super) fn toolchain(go: Option<&GoBuild>, compilers: &[String], libc: &Libc) -> Toolchain {
    let is_c = |name: &&String| name.contains("GCC") || name.contains("clang");
    Toolchain {
        go: go.map(|go| go.version.clone()),
        go_settings: go.map(|go| go.settings.clone()).unwrap_or_default(),
        rust: compilers.iter().find_map(|name| name.strip_prefix("rustc version ")).map(str::to_owned),
        c: compilers.iter().filter(is_c).cloned().collect(),
        libc: match libc {
            Libc::Glibc { at_least: Some(version) } => Some(format!("glibc {version}")),
            Libc::Glibc { at_least: None } => Some("glibc".to_owned()),
            Libc::Musl => Some("musl".to_owned()),
            Libc::Bionic => Some("bionic".to_owned()),
            Libc::None => None,
        },
    }
}

/// The texts of `.comment`, one per compiler that took part.
pub(super) fn compilers(comment: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    // A damaged file may claim that all of it is this section.
    for text in comment.split(|&byte| byte == 0).filter(|text| !text.is_empty()).take(MAX_COMPILERS) {
        let text = printable(text.get(..MAX_NAME).unwrap_or(text));
        if !found.contains(&text) {
            found.push(text);
        }
    }
    found
}

/// Go's build information in the section that is made for it; `at` gives the bytes that will lie at an address.
pub(super) fn go_build<'data>(section: &[u8], at: impl Fn(u64) -> Option<&'data [u8]>) -> Option<GoBuild> {
    if !section.starts_with(GO_MAGIC) {
        return None;
    }
    if section.get(15)? & GO_INLINE == 0 { by_pointers(section, at) } else { inline(section) }
}

/// The same without section headers: found as Go's own tools find it, at a multiple of 16 in the file. What older
/// versions of Go wrote is not found so, since it is no more than two pointers.
pub(super) fn go_build_in(data: &[u8]) -> Option<GoBuild> {
    memchr::memmem::find_iter(data, GO_MAGIC)
        .filter(|at| at % 16 == 0)
        .filter_map(|at| data.get(at..))
        .filter(|info| info.get(15).is_some_and(|flags| flags & GO_INLINE != 0))
        .find_map(inline)
}

/// Magic, pointer size, flags; at offset 32 the version and the modules.
fn inline(info: &[u8]) -> Option<GoBuild> {
    let (version, rest) = counted(info.get(GO_TEXTS..)?)?;
    let modules = counted(rest).map(|(modules, _)| modules).unwrap_or_default();
    told(version, modules)
}

/// Magic, pointer size, flags; at offset 16 the addresses of two Go strings, each an address and a length.
fn by_pointers<'data>(info: &[u8], at: impl Fn(u64) -> Option<&'data [u8]>) -> Option<GoBuild> {
    let size = usize::from(*info.get(14)?);
    let big = info.get(15)? & GO_BIG != 0;
    let word = |bytes: &[u8], index: usize| -> Option<u64> {
        let bytes = bytes.get(index * size..)?.get(..size)?;
        Some(match (size, big) {
            (4, false) => u32::from_le_bytes(bytes.try_into().ok()?).into(),
            (4, true) => u32::from_be_bytes(bytes.try_into().ok()?).into(),
            (8, false) => u64::from_le_bytes(bytes.try_into().ok()?),
            (8, true) => u64::from_be_bytes(bytes.try_into().ok()?),
            _ => return None,
        })
    };
    let string = |index: usize| -> Option<&'data [u8]> {
        let header = at(word(info.get(16..)?, index)?)?;
        let length = usize::try_from(word(header, 1)?).ok()?;
        at(word(header, 0)?)?.get(..length)
    };
    told(string(0)?, string(1).unwrap_or_default())
}

/// A text with its length before it, seven bits a byte (Go's `binary.Uvarint`), and what follows it.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length: usize = 0;
    // Three bytes reach beyond any length that is taken.
    for (index, byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let rest = bytes.get(index + 1..)?;
            return (length <= MAX_MODULES && length <= rest.len()).then(|| rest.split_at(length));
        }
    }
    None
}

/// Version and settings, where the version is one.
fn told(version: &[u8], modules: &[u8]) -> Option<GoBuild> {
    let version = std::str::from_utf8(version).ok().filter(|version| version.len() <= MAX_NAME)?;
    let plain = version.chars().all(|c| !c.is_control());
    if !plain || !(version.starts_with("go") || version.starts_with("devel")) {
        return None;
    }
    let marked = modules.get(..modules.len().min(MAX_MODULES)).unwrap_or(modules);
    let listed =
        marked.len().checked_sub(GO_MARK).and_then(|end| marked.get(GO_MARK..end)).unwrap_or_default();
    let mut settings = BTreeMap::new();
    for line in listed.split(|&byte| byte == b'\n') {
        let Some(setting) = line.strip_prefix(b"build\t") else { continue };
        let Some(equals) = memchr::memchr(b'=', setting) else { continue };
        let (name, value) = setting.split_at(equals);
        if let Some(name) = GO_SETTINGS.iter().find(|known| known.as_bytes() == name) {
            let value = value.get(1..).unwrap_or_default();
            settings.insert((*name).to_owned(), printable(value.get(..MAX_VALUE).unwrap_or(value)));
        }
    }
    Some(GoBuild { version: version.to_owned(), settings })
}

/// Text without what moves a cursor.
fn printable(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `.go.buildinfo` of a c-shared library of Go 1.21.13, whole.
    const GO_1_21: &[u8] = b"\xff Go buildinf:\x08\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x09go1.21.13\
        \xf3\x01\x30\x77\xaf\x0c\x92\x74\x08\x02\x41\xe1\xc1\x07\xe6\xd6\x18\xe6path\tdlsoak.invalid/fixtures/clean\n\
        mod\tdlsoak.invalid/fixtures\t(devel)\t\nbuild\t-buildmode=c-shared\nbuild\t-compiler=gc\n\
        build\t-trimpath=true\nbuild\tCGO_ENABLED=1\nbuild\tGOARCH=amd64\nbuild\tGOOS=linux\nbuild\tGOAMD64=v1\n\
        \xf9\x32\x43\x31\x86\x18\x20\x72\x00\x82\x42\x10\x41\x16\xd8\xf2";

    fn nowhere(_: u64) -> Option<&'static [u8]> {
        None
    }

    #[test]
    fn the_inline_format_tells_version_and_settings() {
        let told = go_build(GO_1_21, nowhere).unwrap();
        assert_eq!(told.version, "go1.21.13");
        let settings: Vec<_> = told.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(settings, ["-buildmode=c-shared", "CGO_ENABLED=1", "GOAMD64=v1"]);
        // Without section headers.
        let file = [&[0; 48], GO_1_21].concat();
        assert_eq!(go_build_in(&file), Some(told));
        assert_eq!(go_build_in(&file[1..]), None);
    }

    #[test]
    fn a_list_that_is_cut_short_leaves_the_version() {
        for end in 0..GO_1_21.len() {
            let told = go_build(&GO_1_21[..end], nowhere);
            assert_eq!(told.is_some(), end >= 42, "{end}");
            assert!(told.is_none_or(|told| told.version == "go1.21.13" && told.settings.is_empty()), "{end}");
        }
    }

    /// The section of a c-shared library of Go 1.17.13, and what lies at the addresses in it.
    fn go_1_17(address: u64) -> Option<&'static [u8]> {
        let pieces: [(u64, &'static [u8]); 3] = [
            (0xf_2270, b"\x11\x90\x0a\0\0\0\0\0\x09\0\0\0\0\0\0\0"),
            (0xf_22b0, b"\x40\x90\x0a\0\0\0\0\0\x3e\0\0\0\0\0\0\0"),
            (0xa_9011, b"go1.17.13go1.17.13"),
        ];
        pieces.iter().find(|(at, _)| *at == address).map(|(_, bytes)| *bytes)
    }

    #[test]
    fn the_older_format_is_followed_to_the_version() {
        let info = b"\xff Go buildinf:\x08\0\x70\x22\x0f\0\0\0\0\0\xb0\x22\x0f\0\0\0\0\0";
        let told = go_build(info, go_1_17).unwrap();
        assert_eq!((told.version.as_str(), told.settings.len()), ("go1.17.13", 0));
        assert_eq!(go_build(info, nowhere), None);
        // Other sizes of a pointer than there are, and the other byte order, lead nowhere.
        for (size, flags) in [(0, 0), (3, 0), (16, 0), (255, 0), (8, 1), (4, 1)] {
            let mut info = *info;
            (info[14], info[15]) = (size, flags);
            assert_eq!(go_build(&info, go_1_17), None, "{size} {flags}");
        }
    }

    #[test]
    fn the_compilers_of_a_rust_library_are_told_apart() {
        let comment = b"rustc version 1.95.0 (59807616e 2026-04-14)\0Linker: LLD 22.1.2 (/checkout/src/llvm-project)\0\
            GCC: (Debian 12.2.0-14+deb12u1) 12.2.0\0GCC: (Debian 12.2.0-14+deb12u1) 12.2.0\0Debian clang version 14.0.6\0";
        let told = toolchain(None, &compilers(comment), &Libc::Glibc { at_least: Some("2.34".to_owned()) });
        assert_eq!(told.rust.as_deref(), Some("1.95.0 (59807616e 2026-04-14)"));
        assert_eq!(told.c, ["GCC: (Debian 12.2.0-14+deb12u1) 12.2.0", "Debian clang version 14.0.6"]);
        assert_eq!((told.go, told.libc.as_deref()), (None, Some("glibc 2.34")));
        assert_eq!(toolchain(None, &[], &Libc::Musl).libc.as_deref(), Some("musl"));
        assert!(toolchain(None, &[], &Libc::None).is_empty());
        assert_eq!(compilers(&vec![b'x'; 1 << 20])[0].len(), MAX_NAME);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(mut bytes: Vec<u8>, flags: u8, size: u8) {
            let _ = go_build_in(&bytes);
            let mut info = [GO_MAGIC, &[size, flags]].concat();
            info.append(&mut bytes);
            let at = |address: u64| info.get(usize::try_from(address % 300).ok()?..);
            let _ = go_build(&info, at);
            let _ = compilers(&info);
        }
    }
}
