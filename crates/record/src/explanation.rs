//! The result of `dlsoak explain`, `dlsoak.explain/2`: the errors of a build log, what they mean, and what this machine has to do
//! with them.

use dlsoak_settings::named;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Host;
use crate::file::{Class, Kind, Machine, Unreadable};
use crate::inspection::{Place, Problem};

/// The value of [`Explanation::schema`].
pub const SCHEMA: &str = "dlsoak.explain/2";

/// A log with what its errors mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The log's file; `-` for standard input.
    pub log: String,
    /// Lines of it.
    pub lines: u64,
    /// This machine, where dlsoak looked at it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub host: Option<Host>,
    /// Errors, by the first line of each.
    pub errors: Vec<Explained>,
    /// Lines of further errors, which are only counted.
    pub left_out: u64,
}

/// One error, as often as it is in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explained {
    /// Name of the rule.
    pub rule: String,
    /// In a few words, from the rule.
    pub title: String,
    /// Where in a build it happens.
    pub stage: Stage,
    /// Number of its first line, from 1.
    pub line: u64,
    /// Number of its last line.
    pub last_line: u64,
    /// How often it is there.
    pub count: u64,
    /// Its first line.
    pub text: String,
    /// What the line names: `symbol`, `library`, `file` and their like.
    pub names: BTreeMap<String, String>,
    /// What it means, from the rule.
    pub means: String,
    /// What this machine has to do with it.
    pub here: Vec<Here>,
    /// Commands that fix or check it, from the rule.
    pub run: Vec<String>,
    /// Lines that only repeat it.
    pub repeated_by: Vec<EchoLine>,
}

/// A line that repeats an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EchoLine {
    /// Its number, from 1.
    pub line: u64,
    /// Its text.
    pub text: String,
}

named! {
    /// Where in a build something goes wrong.
    pub enum Stage {
        /// A compiler.
        Compile = "compile",
        /// A linker.
        Link = "link",
        /// The loader, at the start of a program or in `dlopen`.
        Load = "load",
        /// A program that was started, or could not be.
        Run = "run",
        /// The Go tools.
        Go = "go",
        /// rustc and cargo.
        Rust = "rust",
        /// pkg-config.
        Package = "package",
    }
}

/// One fact about this machine that has to do with an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "code")]
pub enum Here {
    /// This machine.
    Machine {
        /// C library and its version.
        libc: String,
        /// Machine, as `uname -m` prints it.
        machine: String,
        /// Kernel release.
        kernel: String,
    },
    /// This machine's glibc, compared with a version that the log names.
    Glibc {
        /// This machine's glibc.
        libc: String,
        /// The version that the log names.
        version: String,
        /// Whether this machine's glibc has it; `None` where the two can't be compared.
        has: Option<bool>,
    },
    /// A file needs at least this version of glibc.
    NeedsGlibc {
        /// The file.
        file: String,
        /// The version.
        version: String,
    },
    /// A file is there.
    Exists {
        /// The file.
        file: String,
        /// Its size; `None` where it is no regular file.
        bytes: Option<u64>,
    },
    /// A file is not there.
    Missing {
        /// The file.
        file: String,
    },
    /// A file is not there, seen from the current directory.
    MissingFromHere {
        /// The file.
        file: String,
    },
    /// A file can't be read as ELF.
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        why: Unreadable,
    },
    /// A file is ELF.
    Elf {
        /// The file.
        file: String,
        /// What kind of file it is.
        kind: Kind,
        /// Machine that it is built for.
        machine: Machine,
        /// Width of its addresses.
        class: Class,
    },
    /// A library does not load here.
    DoesNotLoad {
        /// The library.
        file: String,
        /// Why.
        problem: Problem,
    },
    /// A library uses static thread-local storage.
    StaticTls {
        /// The library.
        file: String,
        /// Bytes that it takes.
        bytes: u64,
        /// Bytes that glibc leaves to all libraries that are opened at run time.
        room: u64,
        /// How many such libraries fit.
        at_most: u64,
    },
    /// A library uses no static thread-local storage.
    NoStaticTls {
        /// The library.
        file: String,
    },
    /// The loader that a file asks for.
    Interpreter {
        /// The file.
        file: String,
        /// The loader; `None` where it asks for none.
        interpreter: Option<String>,
        /// Whether that is there.
        exists: bool,
    },
    /// Memory that is free now.
    Memory {
        /// In bytes.
        free: u64,
    },
    /// Threads that may still be started.
    Threads {
        /// Their number.
        free: u64,
    },
    /// A program in `PATH`.
    Tool {
        /// Its name.
        name: String,
        /// Its file; `None` where it is not in `PATH`.
        path: Option<String>,
    },
    /// A header in a directory that compilers search.
    Header {
        /// The header.
        name: String,
        /// Its file.
        path: String,
    },
    /// A header in a directory that a compiler searches only with `-I`.
    HeaderBelow {
        /// The header.
        name: String,
        /// The directory.
        directory: String,
    },
    /// A header that is not there.
    NoHeader {
        /// The header.
        name: String,
    },
    /// A `.pc` file.
    Package {
        /// Its name.
        name: String,
        /// Its path; `None` where no directory has it.
        path: Option<String>,
    },
    /// Whether a file lies where nothing may be executed.
    Mount {
        /// The file, or the nearest directory that is there.
        path: String,
        /// Whether it is mounted noexec.
        noexec: bool,
    },
    /// A start file of the C library.
    StartFile {
        /// Its path; `None` where this machine has none.
        path: Option<String>,
    },
    /// There are no toolchains of rustup.
    NoRustup,
    /// Toolchains of rustup that have a target.
    RustTarget {
        /// The target.
        target: String,
        /// The toolchains.
        toolchains: Vec<String>,
    },
    /// A library that the linker finds.
    Linkable {
        /// Its file.
        path: String,
    },
    /// A library that programs run with, without the file that the linker needs.
    NotLinkable {
        /// The library, as `-lNAME` has it.
        name: String,
        /// The file that programs run with.
        path: String,
    },
    /// A library that the linker does not find.
    NoLibrary {
        /// The library, as `-lNAME` has it.
        name: String,
    },
    /// A library that the loader finds.
    Loadable {
        /// Its file.
        path: String,
        /// By what it was found.
        place: Place,
    },
    /// Another version of a library that the loader does not find.
    OtherVersion {
        /// Name of the version that is there.
        name: String,
        /// Its file.
        path: String,
    },
    /// A library that the loader does not find.
    NotLoadable {
        /// Its name.
        name: String,
    },
    /// A library that has a symbol.
    Symbol {
        /// The symbol.
        symbol: String,
        /// The library.
        path: String,
    },
    /// No library that the loader knows has a symbol.
    NoSymbol {
        /// The symbol.
        symbol: String,
    },
    /// The newest version of a family of symbol versions that a library has.
    NewestVersion {
        /// The library.
        path: String,
        /// The version, for example `GLIBCXX_3.4.30`.
        version: String,
    },
}
