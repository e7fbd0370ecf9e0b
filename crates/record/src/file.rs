//! What an ELF file says about itself, as plain data. `crates/elf` reads it from the file's bytes.

mod machine;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use machine::Machine;

use crate::{Language, Toolchain};
use dlsoak_settings::{named, nearest};

/// `DF_1_*`, the bits of `DT_FLAGS_1`, and `DF_*`, those of `DT_FLAGS`.
const DF_1_NODELETE: u64 = 0x8;
const DF_1_NOOPEN: u64 = 0x40;
const DF_STATIC_TLS: u64 = 0x10;

/// What an ELF file says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Facts {
    /// Width of its addresses.
    pub class: Class,
    /// Byte order.
    pub endian: Endian,
    /// Machine it was built for.
    pub machine: Machine,
    /// What kind of file it is.
    pub kind: Kind,
    /// `DT_SONAME`, the name other libraries know it by.
    pub soname: Option<String>,
    /// `DT_NEEDED`: the libraries it brings, in order.
    pub needed: Vec<String>,
    /// `DT_RPATH`: where it looks for them first.
    pub rpath: Option<String>,
    /// `DT_RUNPATH`: where it looks for them.
    pub runpath: Option<String>,
    /// `PT_INTERP`: the loader it asks for; libraries seldom have one.
    pub interpreter: Option<String>,
    /// `DT_FLAGS`, raw.
    pub flags: u64,
    /// `DT_FLAGS_1`, raw.
    pub flags_1: u64,
    /// Defined symbols bound `STB_GNU_UNIQUE`: once one of them is looked up the library stays.
    pub unique_symbols: Vec<String>,
    /// Symbols that `dlsym` would find, sorted by name.
    #[serde(skip)]
    pub exports: Vec<Export>,
    /// Number of symbols it takes from other libraries.
    pub imports: usize,
    /// Those of them that can keep a library loaded: `dlopen`, `__cxa_thread_atexit` and their like.
    pub imports_of_note: Vec<String>,
    /// Symbols that someone must have for it to load, sorted by name.
    #[serde(skip)]
    pub required: Vec<Box<str>>,
    /// Thread-local storage, where it has any.
    pub tls: Option<Tls>,
    /// Whether its code expects its own thread-local storage at a fixed place of each thread (the initial-exec model).
    #[serde(default)]
    pub initial_exec: bool,
    /// Whether it has packed relative relocations (`DT_RELR`), which glibc 2.36 and musl 1.2.4 brought.
    #[serde(default)]
    pub relr: bool,
    /// Whether it has a `DT_INIT` function.
    pub init: bool,
    /// Whether it has a `DT_FINI` function.
    pub fini: bool,
    /// Number of constructors in `DT_INIT_ARRAY`.
    pub init_array: u64,
    /// Number of destructors in `DT_FINI_ARRAY`.
    pub fini_array: u64,
    /// GNU build-id in hexadecimal.
    pub build_id: Option<String>,
    /// C library it was linked against.
    pub libc: Libc,
    /// Symbol versions it requires, with the library they come from, in the order of the file.
    pub versions: Vec<VersionNeed>,
    /// Language it was written in, as far as the file tells.
    pub language: Language,
    /// Compiler and its version, as the file names it.
    pub producer: Option<String>,
    /// What it was built with, as far as the file tells.
    pub toolchain: Toolchain,
    /// Whether the loader has to patch its code (`DT_TEXTREL`).
    pub text_relocations: bool,
    /// Whether it makes the stack executable.
    pub executable_stack: bool,
    /// How much of its relocated data becomes read-only.
    pub relro: Relro,
    /// Bytes of address space that it takes, from its first address on.
    #[serde(skip)]
    pub extent: u64,
}

/// Width of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Class {
    /// 32 bits.
    #[serde(rename = "32-bit")]
    Bits32,
    /// 64 bits.
    #[serde(rename = "64-bit")]
    Bits64,
}

/// Byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Endian {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

/// Kinds of ELF files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A shared library.
    SharedObject,
    /// An executable that can lie anywhere in memory.
    PositionIndependentExecutable,
    /// An executable with fixed addresses.
    Executable,
    /// What a compiler writes: `.o`.
    Relocatable,
    /// Memory of a crashed process.
    Core,
    /// The debug information of a library, without its code.
    DebugInfo,
    /// A shared object without a dynamic section, or a kind that has no name.
    Other,
}

/// Thread-local storage of a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tls {
    /// Bytes per thread.
    pub size: u64,
    /// Alignment in bytes.
    pub align: u64,
}

/// C library that a file was linked against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "name")]
pub enum Libc {
    /// glibc, at least this version (`2.34`), where it requires one.
    Glibc {
        /// The highest `GLIBC_x.y` it requires of any library.
        at_least: Option<String>,
    },
    /// musl.
    Musl,
    /// Android's.
    Bionic,
    /// It names none.
    None,
}

/// A symbol version that a file requires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VersionNeed {
    /// Library the version comes from.
    pub library: String,
    /// The version, for example `GLIBC_2.34`.
    pub version: String,
}

/// How much of the relocated data becomes read-only after loading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Relro {
    /// Nothing.
    None,
    /// All but the table that lazy binding writes to.
    Partial,
    /// Everything.
    Full,
}

/// What a symbol stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportKind {
    /// Code that can be called.
    Function,
    /// Data: calling it would crash.
    Data,
}

/// A symbol that `dlsym` would find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Its name.
    pub name: Box<str>,
    /// What it stands for.
    pub kind: ExportKind,
}

impl Facts {
    /// Whether the file asks never to be unloaded (`DF_1_NODELETE`).
    #[must_use]
    pub fn nodelete(&self) -> bool {
        self.flags_1 & DF_1_NODELETE != 0
    }

    /// Whether the file refuses to be opened by `dlopen` (`DF_1_NOOPEN`).
    #[must_use]
    pub fn noopen(&self) -> bool {
        self.flags_1 & DF_1_NOOPEN != 0
    }

    /// Whether its thread-local storage must lie in the block allotted at start-up (`DF_STATIC_TLS`), of which
    /// there is little left for libraries that are opened later.
    #[must_use]
    pub fn static_tls(&self) -> bool {
        self.flags & DF_STATIC_TLS != 0
    }

    /// Number of symbols that `dlsym` would find.
    #[must_use]
    pub fn export_count(&self) -> usize {
        self.exports.len()
    }

    /// Names of the symbols that `dlsym` would find, sorted.
    pub fn exports(&self) -> impl Iterator<Item = &str> {
        self.exports.iter().map(|export| &*export.name)
    }

    /// Names of the symbols that someone must have for it to load, sorted: those that are not weak.
    pub fn required(&self) -> impl Iterator<Item = &str> {
        self.required.iter().map(|name| &**name)
    }

    /// What the exported symbol `name` stands for; `None` when there is none of that name.
    #[must_use]
    pub fn export(&self, name: &str) -> Option<ExportKind> {
        let at = self.exports.binary_search_by(|export| (*export.name).cmp(name)).ok()?;
        self.exports.get(at).map(|export| export.kind)
    }

    /// Whether `dlsym` would find `name`.
    #[must_use]
    pub fn has_export(&self, name: &str) -> bool {
        self.export(name).is_some()
    }

    /// The exported symbol that `name` most likely stands for: the one nearest in spelling, else the shortest
    /// mangled one that holds it (`add` is `_Z3addii` when `extern "C"` was forgotten).
    #[must_use]
    pub fn nearest_export(&self, name: &str) -> Option<&str> {
        // A mangled name spells the plain one with its length before it.
        let mangled = format!("{}{name}", name.len());
        nearest(name, self.exports()).or_else(|| {
            self.exports()
                .filter(|export| !name.is_empty() && export.starts_with("_") && export.contains(&mangled))
                .min_by_key(|export| export.len())
        })
    }
}

/// Why a file can't be read as ELF.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "code")]
pub enum Unreadable {
    /// There is nothing in the file.
    #[error("the file is empty")]
    Empty,
    /// It is something else.
    #[error("not an ELF file")]
    NotElf {
        /// What it is instead.
        content: Content,
    },
    /// It ends before what its headers announce.
    #[error("the file has {have} bytes and needs at least {need}")]
    CutShort {
        /// Size of the file in bytes.
        have: u64,
        /// Size it must have at least, by its headers.
        need: u64,
    },
    /// Its headers contradict themselves.
    #[error("the file is damaged")]
    Damaged {
        /// What is wrong.
        part: Damage,
    },
}

/// What is wrong with a damaged ELF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Damage {
    /// Its class is neither 32 nor 64 bits.
    Class,
    /// Its header is invalid.
    Header,
    /// Its byte order is neither of the two.
    ByteOrder,
    /// Its program headers are invalid.
    ProgramHeaders,
    /// A segment ends beyond all addresses.
    Segment,
    /// Its symbol table is invalid.
    SymbolTable,
    /// Its symbols share their names, which would take more memory than the file.
    SharedNames,
}

/// What a file is that is not ELF, by its first bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Content {
    /// A text that names files for the linker.
    LinkerScript {
        /// The first shared library that it names.
        library: Option<String>,
    },
    /// A static library.
    Archive,
    /// A library or program of macOS.
    MachO,
    /// A library or program of Windows.
    Pe,
    /// Compressed or packed.
    Packed {
        /// In this format.
        format: Packing,
    },
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
    /// Nothing that is known.
    Unknown {
        /// Its first bytes; zero where it has fewer.
        first: [u8; 4],
    },
}

named! {
    /// Formats of packed files.
    pub enum Packing {
        /// `.gz`.
        Gzip = "gzip",
        /// `.bz2`.
        Bzip2 = "bzip2",
        /// `.xz`.
        Xz = "xz",
        /// `.zst`.
        Zstd = "zstd",
        /// `.zip`, `.whl`, `.jar`.
        Zip = "zip",
        /// `.lz4`.
        Lz4 = "lz4",
    }
}
