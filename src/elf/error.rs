//! Why a file is no library that can be loaded here, each in one line with what to do. The loader's own words
//! for these ("invalid ELF header", "file too short") leave people searching.

use std::fmt;

use thiserror::Error;

use super::{Class, Endian, Kind, Machine};

/// Why a file can't be read as ELF, or not be loaded here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ElfError {
    /// There is nothing in the file.
    #[error("the file is empty: was its build interrupted?")]
    Empty,
    /// It is something else.
    #[error("not an ELF file but {0}")]
    NotElf(Look),
    /// It ends before what its headers announce.
    #[error(
        "cut short: the file has {have} bytes and needs at least {need}: was a download or a build interrupted?"
    )]
    CutShort {
        /// Size of the file in bytes.
        have: u64,
        /// Size it must have at least, by its headers.
        need: u64,
    },
    /// Its headers contradict themselves.
    #[error("damaged: {0}: build or fetch it again")]
    Damaged(&'static str),
    /// Its addresses have another width.
    #[error(
        "built for {machine} with {} addresses, and this program is {}: build it for this machine", bits(*class), bits(other(*class))
    )]
    WrongClass {
        /// Width of its addresses.
        class: Class,
        /// Machine it was built for.
        machine: Machine,
    },
    /// Its bytes are in the other order.
    #[error("built for a {} {machine}: build it for this machine", order(*endian))]
    WrongEndian {
        /// Its byte order.
        endian: Endian,
        /// Machine it was built for.
        machine: Machine,
    },
    /// It was built for another machine.
    #[error("built for {machine}, and this machine is {host}: build it for {host}")]
    WrongMachine {
        /// Machine it was built for.
        machine: Machine,
        /// This machine.
        host: Machine,
    },
    /// It is ELF, but not a shared library.
    #[error("{}", not_shared(*.0))]
    NotShared(Kind),
    /// It refuses to be opened by `dlopen`.
    #[error("linked with -z nodlopen: it can't be opened at run time; link it without")]
    NoOpen,
}

/// What a file that is not ELF looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// A text that tells the linker which files to take; with the library it names first.
    LinkerScript(Option<String>),
    /// A static library.
    Archive,
    /// A library or program of macOS.
    MachO,
    /// A library or program of Windows.
    Pe,
    /// Compressed or packed, by this program.
    Packed(&'static str),
    /// What LLVM keeps between compiling and linking.
    Bitcode,
    /// A WebAssembly module.
    Wasm,
    /// A stand-in for a file that Git LFS did not fetch.
    LfsPointer,
    /// A script to be run.
    Script,
    /// Some other text.
    Text,
    /// Nothing that is known, with its first four bytes.
    Unknown([u8; 4]),
}

/// Magic numbers of files that get mistaken for libraries.
const MAGIC: [(&[u8], Look); 19] = [
    (b"!<arch>\n", Look::Archive),
    (b"!<thin>\n", Look::Archive),
    (&[0xfe, 0xed, 0xfa, 0xce], Look::MachO),
    (&[0xfe, 0xed, 0xfa, 0xcf], Look::MachO),
    (&[0xce, 0xfa, 0xed, 0xfe], Look::MachO),
    (&[0xcf, 0xfa, 0xed, 0xfe], Look::MachO),
    (&[0xca, 0xfe, 0xba, 0xbe], Look::MachO),
    (b"MZ", Look::Pe),
    (&[0x1f, 0x8b], Look::Packed("gzip")),
    (b"BZh", Look::Packed("bzip2")),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], Look::Packed("xz")),
    (&[0x28, 0xb5, 0x2f, 0xfd], Look::Packed("zstd")),
    (b"PK\x03\x04", Look::Packed("zip")),
    (&[0x04, 0x22, 0x4d, 0x18], Look::Packed("lz4")),
    (b"BC\xc0\xde", Look::Bitcode),
    (&[0xde, 0xc0, 0x17, 0x0b], Look::Bitcode),
    (b"\0asm", Look::Wasm),
    (b"version https://git-lfs", Look::LfsPointer),
    (b"#!", Look::Script),
];

impl Look {
    /// Tells what `data`, which does not begin as ELF does, looks like.
    pub(super) fn of(data: &[u8]) -> Self {
        if let Some((_, look)) = MAGIC.iter().find(|(magic, _)| data.starts_with(magic)) {
            return look.clone();
        }
        // Enough to tell text from anything else, and to hold a linker script.
        let head = data.get(..4096).unwrap_or(data);
        let is_text = head.iter().all(|&b| b >= b' ' && b != 0x7f || b.is_ascii_whitespace());
        if !is_text {
            let mut first = [0; 4];
            first.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
            return Self::Unknown(first);
        }
        let text = String::from_utf8_lossy(head);
        if ["GNU ld script", "GROUP", "INPUT", "OUTPUT_FORMAT"].iter().any(|word| text.contains(word)) {
            let library = text
                .split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ','))
                .find(|word| word.contains('/') && (word.ends_with(".so") || word.contains(".so.")));
            return Self::LinkerScript(library.map(str::to_owned));
        }
        Self::Text
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LinkerScript(None) => f.write_str("a linker script: give the library that it names"),
            Self::LinkerScript(Some(path)) => {
                write!(f, "a linker script: give the library that it names, {}", path.escape_debug())
            }
            Self::Archive => {
                f.write_str("a static library (ar archive): link it into a shared one with cc -shared")
            }
            Self::MachO => f.write_str("a macOS file (Mach-O): build it for Linux"),
            Self::Pe => f.write_str("a Windows file (PE): build it for Linux"),
            Self::Packed(by) => write!(f, "a {by} file: unpack it first"),
            Self::Bitcode => f.write_str("LLVM bitcode: link it into a shared library first"),
            Self::Wasm => f.write_str("a WebAssembly module: build it as a native library"),
            Self::LfsPointer => f.write_str("a Git LFS pointer: fetch the file with git lfs pull"),
            Self::Script => f.write_str("a script: give the library itself"),
            Self::Text => f.write_str("a text file: give the library itself"),
            Self::Unknown([a, b, c, d]) => {
                write!(f, "unknown data (it begins with {a:02x} {b:02x} {c:02x} {d:02x}): is the path right?")
            }
        }
    }
}

fn bits(class: Class) -> &'static str {
    match class {
        Class::Bits32 => "32-bit",
        Class::Bits64 => "64-bit",
    }
}

fn other(class: Class) -> Class {
    match class {
        Class::Bits32 => Class::Bits64,
        Class::Bits64 => Class::Bits32,
    }
}

fn order(endian: Endian) -> &'static str {
    match endian {
        Endian::Little => "little-endian",
        Endian::Big => "big-endian",
    }
}

fn not_shared(kind: Kind) -> &'static str {
    match kind {
        Kind::SharedObject | Kind::Other => "not a shared library: link it with cc -shared",
        Kind::PositionIndependentExecutable | Kind::Executable => {
            "an executable, not a shared library: link it with cc -shared (Rust: crate-type cdylib, Go: \
             -buildmode=c-shared)"
        }
        Kind::Relocatable => "an object file (.o), not a shared library: link it with cc -shared",
        Kind::Core => "a core dump, not a shared library",
        Kind::DebugInfo => "only the debug information of a library: give the library itself",
    }
}

#[cfg(test)]
mod tests {
    use super::super::Facts;

    #[test]
    fn what_is_not_elf_is_told_apart() {
        let files: [(&str, &[u8]); 17] = [
            ("empty", b""),
            ("cut magic", b"\x7fE"),
            ("cut header", b"\x7fELF\x02\x01\x01\0\0\0"),
            ("bad class", b"\x7fELF\x07\x01\x01\0\0\0"),
            (
                "libc.so",
                b"/* GNU ld script */\nOUTPUT_FORMAT(elf64-x86-64)\nGROUP ( /lib/x86_64-linux-gnu/libc.so.6 /usr/lib/libc_nonshared.a )",
            ),
            ("ncurses", b"INPUT(libncurses.so.6 -ltinfo)\n"),
            ("ar", b"!<arch>\n/ 1234"),
            ("Mach-O", &[0xcf, 0xfa, 0xed, 0xfe, 7, 0, 0, 1]),
            ("DLL", b"MZ\x90\0"),
            ("gzip", &[0x1f, 0x8b, 8, 0]),
            ("wheel", b"PK\x03\x04abc"),
            ("bitcode", b"BC\xc0\xde"),
            ("wasm", b"\0asm\x01\0\0\0"),
            ("LFS", b"version https://git-lfs.github.com/spec/v1\n"),
            ("script", b"#!/bin/sh\n"),
            ("text", "größe\n".as_bytes()),
            ("data", &[1, 2, 3]),
        ];
        let all: String = files
            .iter()
            .map(|(name, data)| format!("{name:10} {}\n", Facts::parse(data).unwrap_err()))
            .collect();
        insta::assert_snapshot!(all);
    }
}
