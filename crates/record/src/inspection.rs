//! The result of `dlsoak inspect`, `dlsoak.inspect/2`: what a library's file and those that it needs say.

use dlsoak_settings::named;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::file::{Class, Endian, Facts, Kind, Machine};
use crate::{Language, Prediction};

/// The value of [`Inspection::schema`].
pub const SCHEMA: &str = "dlsoak.inspect/2";

/// Everything that can be known of a library without loading it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Inspection {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The file, as given.
    pub path: String,
    /// Why it will not load here; empty when it should.
    pub problems: Vec<Problem>,
    /// Whether it will be unloaded.
    pub unload: Outlook,
    /// Libraries that it brings, each once, nearest first.
    pub needed: Vec<Needed>,
    /// How it uses static thread-local storage, where it does.
    pub static_tls: Option<StaticTls>,
    /// The plugin interface that its exports name, where one has a driver.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub interface: Option<PluginInterface>,
    /// Number of exported symbols.
    pub export_count: usize,
    /// Their names.
    pub exports: Vec<String>,
    /// C library of this machine, for example `glibc 2.36`.
    pub host_libc: String,
    /// What the file says of itself.
    pub file: Facts,
}

/// A plugin interface, and the driver that a soak would use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PluginInterface {
    /// As people write it.
    pub title: String,
    /// The export that names it.
    pub symbol: String,
    /// The driver, as `--as` takes it.
    pub driver: String,
    /// Whether it is used only where it is asked for, because hosts of the interface never unload a plugin.
    pub asked: bool,
}

/// Whether a library will be unloaded, as far as files show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outlook {
    /// In a word.
    pub answer: Answer,
    /// Why it may stay: its own causes and those of what it brings.
    pub causes: Vec<Prediction>,
}

/// Will it be unloaded?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Nothing in the files speaks against it.
    Unloads,
    /// It depends on what is called.
    MayStay,
    /// It goes, something that it brings stays.
    Partial,
    /// It probably stays.
    ProbablyStays,
    /// It stays.
    Stays,
}

/// A library that is needed, directly or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Needed {
    /// Its name.
    pub name: String,
    /// File name of the object that needs it.
    pub by: String,
    /// Its file; `None` when it is not found.
    pub path: Option<String>,
    /// By what it was found.
    pub place: Option<Place>,
}

named! {
    /// By what a library was found.
    pub enum Place {
        /// Its name is a path.
        Path = "path",
        /// `DT_RPATH`.
        Rpath = "RPATH",
        /// The environment.
        Environment = "LD_LIBRARY_PATH",
        /// `DT_RUNPATH`.
        Runpath = "RUNPATH",
        /// `/etc/ld.so.cache`.
        Cache = "ld.so.cache",
        /// glibc's own directories.
        Default = "default directory",
    }
}

/// Static thread-local storage of a library that is opened at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StaticTls {
    /// Bytes that it takes, alignment included.
    pub bytes: u64,
    /// Bytes that glibc leaves to all libraries that are opened at run time.
    pub room: u64,
    /// How many such libraries a process can hold, if nothing else takes of the room.
    pub at_most: u64,
}

/// Why a library will not load here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "code")]
pub enum Problem {
    /// It was built for another machine.
    WrongMachine {
        /// Machine it was built for.
        machine: Machine,
        /// This machine.
        host: Machine,
    },
    /// Its bytes are in the other order.
    WrongEndian {
        /// Its byte order.
        endian: Endian,
        /// Machine it was built for.
        machine: Machine,
    },
    /// Its addresses have another width.
    WrongClass {
        /// Width of its addresses.
        class: Class,
        /// Machine it was built for.
        machine: Machine,
    },
    /// It is ELF, but not a shared library.
    NotShared {
        /// What it is instead.
        kind: Kind,
    },
    /// It refuses to be opened by `dlopen` (`DF_1_NOOPEN`).
    NoOpen,
    /// It needs more static thread-local storage than glibc leaves to libraries that are opened at run time.
    StaticTls {
        /// Bytes that it needs.
        bytes: u64,
        /// Bytes that are left.
        room: u64,
    },
    /// It expects its own thread-local storage at a fixed place of each thread, and musl has none for libraries that are opened.
    InitialExecInMusl {
        /// Its language: Go builds every library so.
        language: Language,
    },
    /// It has packed relative relocations (`DT_RELR`), and this C library can't read them.
    PackedRelocations {
        /// The C library.
        libc: String,
    },
    /// The file of a needed library does not define a symbol version.
    MissingVersion {
        /// File name of the object that needs it.
        by: String,
        /// The version, for example `GLIBC_2.38`.
        version: String,
        /// Name of the library that should define it.
        library: String,
        /// The file that was found for that name.
        path: String,
        /// This machine's glibc, where the version is one of glibc's.
        glibc: Option<String>,
    },
    /// No library that it brings has these symbols.
    MissingSymbols {
        /// The first of them.
        first: String,
        /// How many there are.
        count: u64,
    },
    /// A library that it needs, directly or not, is not found.
    MissingLibrary {
        /// Its name.
        name: String,
        /// File name of the object that needs it.
        by: String,
    },
}
