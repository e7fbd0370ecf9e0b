//! Which language and compiler a library comes from, told by the marks that compilers leave; some survive
//! stripping, so several are tried, the surest first.

use dlsoak_record::Language;

use super::symbols::SymbolMarks;
use super::toolchain::GoBuild;

/// The part of a path that every Rust program with a panic message holds: Rust's own library source.
const RUST_SOURCES: [&[u8]; 2] = [b"library/std/src/", b"library/core/src/"];

/// Libraries of languages that the record has no name for.
const OTHERS: [(&str, &str); 8] = [
    ("libgfortran.so", "Fortran"),
    ("libflang", "Fortran"),
    ("libgnat-", "Ada"),
    ("libphobos2", "D"),
    ("libdruntime-ldc", "D"),
    ("libHS", "Haskell"),
    ("libswiftCore.so", "Swift"),
    ("libgo.so", "Go (gccgo)"),
];

/// What can tell the language.
pub(super) struct Marks<'a> {
    pub(super) data: &'a [u8],
    /// What `.comment` names.
    pub(super) compilers: &'a [String],
    pub(super) go_build: Option<&'a GoBuild>,
    /// Whether there is a section or a note that Go alone makes.
    pub(super) go_mark: bool,
    pub(super) needed: &'a [String],
    pub(super) symbols: SymbolMarks,
    pub(super) exports: usize,
}

/// The language, and the compiler where it is named.
pub(super) fn tell(marks: &Marks<'_>) -> (Language, Option<String>) {
    if marks.go_build.is_some() || marks.go_mark {
        return (Language::Go, marks.go_build.map(|go| go.version.clone()));
    }
    let compilers = marks.compilers;
    let compiler = |word: &str| compilers.iter().find(|name| name.contains(word)).cloned();
    let named = || compilers.first().cloned();
    if let Some(rustc) = compiler("rustc version") {
        return (Language::Rust, Some(rustc));
    }
    if marks.symbols.rust {
        return (Language::Rust, named());
    }
    let needs = |prefix: &str| marks.needed.iter().any(|library| library.starts_with(prefix));
    if marks.symbols.cpp || ["libstdc++.so", "libc++.so", "libc++abi.so"].into_iter().any(needs) {
        return (Language::Cpp, named());
    }
    if let Some((_, name)) = OTHERS.into_iter().find(|(prefix, _)| needs(prefix)) {
        return (Language::Unknown, named().or_else(|| Some(name.to_owned())));
    }
    if RUST_SOURCES.into_iter().any(|path| memchr::memmem::find(marks.data, path).is_some()) {
        return (Language::Rust, named());
    }
    let is_c = compiler("GCC").or_else(|| compiler("clang")).is_some();
    if is_c || marks.exports > 0 && needs("libc.") {
        (Language::C, named())
    } else {
        (Language::Unknown, named())
    }
}
