//! Which language and compiler a library comes from, told by the marks that compilers leave; some survive
//! stripping, so several are tried, the surest first.

use crate::record::Language;

use super::symbols::SymbolMarks;

/// What a Go program says about its build begins with this.
const GO_MAGIC: &[u8] = b"\xff Go buildinf:";

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

/// Longest text that is taken for a compiler's name.
const MAX_PRODUCER: usize = 200;

/// What can tell the language.
pub(super) struct Marks<'a> {
    pub(super) data: &'a [u8],
    pub(super) comment: Option<&'a [u8]>,
    /// Whether the file has sections, so that one that is not there is known to be missing.
    pub(super) sections: bool,
    pub(super) go_build_info: Option<&'a [u8]>,
    pub(super) go_note: bool,
    pub(super) needed: &'a [String],
    pub(super) symbols: SymbolMarks,
    pub(super) exports: usize,
}

/// The language, and the compiler where it is named.
pub(super) fn tell(marks: &Marks<'_>) -> (Language, Option<String>) {
    let go = go_version(marks);
    if go.is_some() || marks.go_note || marks.go_build_info.is_some() {
        return (Language::Go, go);
    }
    let compilers = marks.comment.map(compilers).unwrap_or_default();
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

/// The texts of `.comment`, one per compiler that took part.
fn compilers(comment: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    // A linked library has one per compiler; a damaged one may claim the whole file.
    for text in comment.split(|&byte| byte == 0).filter(|text| !text.is_empty()).take(64) {
        let text = text.get(..MAX_PRODUCER).unwrap_or(text);
        let text: String =
            String::from_utf8_lossy(text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if !found.contains(&text) {
            found.push(text);
        }
    }
    found
}

/// The version in Go's build information, as Go 1.18 and later write it.
fn go_version(marks: &Marks<'_>) -> Option<String> {
    let section = marks.go_build_info.filter(|section| section.starts_with(GO_MAGIC));
    match section {
        Some(section) => version_at(section),
        None if marks.sections => None,
        // Without section headers it is found as Go's own tools find it.
        None => memchr::memmem::find_iter(marks.data, GO_MAGIC)
            .filter(|at| at % 16 == 0)
            .find_map(|at| version_at(marks.data.get(at..)?)),
    }
}

/// Magic, pointer size, flags; with flag 2 at offset 32 the version, its length before it.
fn version_at(info: &[u8]) -> Option<String> {
    if info.get(15)? & 2 == 0 {
        return None;
    }
    let length = usize::from(*info.get(32)?);
    let version = std::str::from_utf8(info.get(33..33 + length)?).ok()?;
    let plain = version.chars().all(|c| !c.is_control());
    (plain && (version.starts_with("go") || version.starts_with("devel"))).then(|| version.to_owned())
}
