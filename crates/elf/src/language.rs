//! Which language and compiler a library comes from. Each kind of evidence is certain by itself: what a compiler writes of itself, and
//! what only the code of one language defines or uses. Where there is none, the language is unknown: a C compiler's name in `.comment` is
//! none, because GCC writes the same one into C, D, Ada and Fortran, and the start-up files of a machine bring it into all the others.

use std::collections::BTreeSet;

use dlsoak_record::Language;

use super::mangled::{demangle, is_hashed};
use super::toolchain::GoBuild;

/// All languages that took part, from the one that decides to the one that all others bring along. A library in Nim or OCaml has much C in
/// it, and one in Rust may have C++, but not the other way round.
const ORDER: [Language; 14] = [
    Language::Go,
    Language::GraalVm,
    Language::Haskell,
    Language::OCaml,
    Language::Nim,
    Language::D,
    Language::Swift,
    Language::Rust,
    Language::Ada,
    Language::Pascal,
    Language::Zig,
    Language::Cpp,
    Language::Fortran,
    Language::C,
];

/// The part of a path that every Rust program with a panic message holds: Rust's own library source.
const RUST_SOURCES: [&[u8]; 2] = [b"library/std/src/", b"library/core/src/"];

/// Compilers that name themselves in `.comment`, and compile one language only. C's and C++'s are both called clang.
const COMPILERS: [(&str, Language); 3] =
    [("rustc version", Language::Rust), ("ldc version", Language::D), ("GHC ", Language::Haskell)];

/// Sections that only one language has, by the beginning of their names.
const SECTIONS: [(&[u8], Language); 4] = [
    (b"swift5_", Language::Swift),
    (b".fpcdata", Language::Pascal),
    (b".fpc.", Language::Pascal),
    (b".svm_heap", Language::GraalVm),
];

/// Symbols that are looked at for how they are mangled, and their longest name. All symbols of a damaged file may be of one name.
const TRIES: u32 = 64;
const LONGEST: usize = 1024;

/// The languages that left their marks in a file.
#[derive(Debug, Default)]
pub(super) struct Marks {
    seen: BTreeSet<Language>,
    tries: u32,
    /// What DWARF names as the compiler of a language.
    producers: Vec<(Language, String)>,
}

impl Marks {
    pub(super) fn add(&mut self, language: Language) {
        self.seen.insert(language);
    }

    /// Adds what DWARF says of a unit.
    pub(super) fn add_unit(&mut self, language: Language, producer: &str) {
        if self.seen.insert(language) || self.producers.iter().all(|(of, _)| *of != language) {
            // The options of the compiler follow its version.
            let name = producer.split(" -").next().unwrap_or(producer);
            self.producers.push((language, name.to_owned()));
        }
    }

    /// Adds what the name of a source file shows, as symbol tables and DWARF have it.
    pub(super) fn add_source(&mut self, name: &str) {
        let name = name.rsplit('/').next().unwrap_or(name);
        // The machine's start-up files.
        if name.starts_with("crt") {
            return;
        }
        let (stem, extension) = name.rsplit_once('.').unwrap_or_default();
        self.seen.extend(match extension {
            "c" if stem.ends_with(".nim") => Some(Language::Nim),
            // Compilers of these write C and keep their own name for the file.
            "c" if !stem.contains('.') => Some(Language::C),
            "cc" | "cpp" | "cxx" | "C" => Some(Language::Cpp),
            "d" => Some(Language::D),
            "ml" => Some(Language::OCaml),
            "adb" | "ads" => Some(Language::Ada),
            "f" | "f77" | "f90" | "f95" | "f03" | "f08" | "F" | "F90" => Some(Language::Fortran),
            "pas" | "pp" => Some(Language::Pascal),
            "swift" => Some(Language::Swift),
            "hs" => Some(Language::Haskell),
            "zig" => Some(Language::Zig),
            _ => None,
        });
    }

    /// Adds what the name of a section shows.
    pub(super) fn add_section(&mut self, name: &[u8]) {
        self.seen.extend(
            SECTIONS.iter().filter(|(begin, _)| name.starts_with(begin)).map(|(_, language)| *language),
        );
    }

    /// Adds what a dynamic symbol shows; `start` is the string table from the first byte of its name on.
    pub(super) fn add_symbol(&mut self, start: &[u8], is_defined: bool) {
        let [first, second, ..] = *start else { return };
        let known = match (first, second) {
            (b'_', b'Z' | b'R' | b'D') => self.mangled(start),
            (b'_', b'd') => is(start, "_d_dso_registry").then_some(Language::D),
            // What links to a Fortran library calls what that defines. Only Fortran's own code calls its runtime.
            (b'_', b'g' | b'F') if !is_defined => (start.starts_with(b"_gfortran_")
                || start.starts_with(b"_FortranA"))
            .then_some(Language::Fortran),
            (b'_', b'_') if is(start, "__gxx_personality_v0") => Some(Language::Cpp),
            (b'_', b'_') if start.starts_with(b"__gnat_") => Some(Language::Ada),
            (b'_', b'_') if is_defined => is_of_module(named(start)).then_some(Language::Fortran),
            (b'_', b'_') => is_of_headers(named(start)).then_some(Language::C),
            (b'r', b'u') => is(start, "rust_eh_personality").then_some(Language::Rust),
            (b's', b't') => is(start, "stg_upd_frame_info").then_some(Language::Haskell),
            // A host may call what starts a runtime. Only the library itself defines it.
            (b'g', b'r') if is_defined => is(start, "graal_create_isolate").then_some(Language::GraalVm),
            (b'N', b'i') if is_defined => is(start, "NimMain").then_some(Language::Nim),
            (b'c', b'a') if is_defined => is_of_ocaml(named(start)).then_some(Language::OCaml),
            _ => None,
        };
        self.seen.extend(known);
    }

    fn mangled(&mut self, start: &[u8]) -> Option<Language> {
        let language = match start.get(1)? {
            b'Z' if is_hashed(named(start)) => Language::Rust,
            b'Z' => Language::Cpp,
            b'R' => Language::Rust,
            _ => Language::D,
        };
        if self.seen.contains(&language) || self.tries >= TRIES {
            return None;
        }
        let name = Some(named(start)).filter(|name| name.len() <= LONGEST)?;
        self.tries += 1;
        demangle(std::str::from_utf8(name).ok()?).map(|(language, _)| language)
    }

    /// The language, and the compiler where it is named: in `.comment`, whose texts these are, or in DWARF.
    pub(super) fn conclude(
        mut self,
        data: &[u8],
        compilers: &[String],
        go: Option<&GoBuild>,
    ) -> (Language, Option<String>) {
        let names = |word: &str| compilers.iter().find(|name| name.contains(word));
        let compiler =
            |language| COMPILERS.iter().find(|(_, of)| *of == language).and_then(|(word, _)| names(word));
        self.seen.extend(
            COMPILERS.iter().filter(|(word, _)| names(word).is_some()).map(|(_, language)| *language),
        );
        if self.seen.is_empty() || self.seen.iter().eq([&Language::C]) {
            self.seen.extend(names_rust(data).then_some(Language::Rust));
        }
        let language = ORDER.into_iter().find(|language| self.seen.contains(language)).unwrap_or_default();
        let by_dwarf = || self.producers.iter().find(|(of, _)| *of == language).map(|(_, name)| name.clone());
        // Where these are linked, `.comment` is the linker's or C's.
        let producer = match language {
            Language::Go => return (language, go.map(|go| go.version.clone())),
            Language::Zig | Language::Pascal => by_dwarf(),
            _ => compiler(language).cloned(),
        };
        (language, producer.or_else(|| compilers.first().cloned()).or_else(by_dwarf))
    }
}

/// Whether these bytes name a source file of Rust's own library.
pub(super) fn names_rust(data: &[u8]) -> bool {
    RUST_SOURCES.into_iter().any(|path| memchr::memmem::find(data, path).is_some())
}

/// The language of a DWARF unit; `None` for assembler, for what is another language's runtime, and for languages that the record has no name for.
pub(super) fn of_unit(code: u16, producer: &str, name: &str) -> Option<Language> {
    // Zig says that it is C. Its own runtime is also in C that Zig has compiled.
    if producer.starts_with("zig ") {
        return (name != "compiler_rt").then_some(Language::Zig);
    }
    Some(match code {
        // The numbers of DWARF 5, and from 0x27 on those that were given out since.
        0x01 | 0x02 | 0x0c | 0x1d | 0x2c | 0x3e if name.ends_with(".nim.c") => Language::Nim,
        0x01 | 0x02 | 0x0c | 0x1d | 0x2c | 0x3e => Language::C,
        0x04 | 0x19 | 0x1a | 0x21 | 0x2a | 0x2b | 0x3a => Language::Cpp,
        0x03 | 0x0d | 0x2e | 0x2f => Language::Ada,
        0x07 | 0x08 | 0x0e | 0x22 | 0x23 | 0x2d => Language::Fortran,
        0x09 => Language::Pascal,
        0x0b if producer.contains("GraalVM") => Language::GraalVm,
        0x13 => Language::D,
        0x18 => Language::Haskell,
        0x1b => Language::OCaml,
        0x1c => Language::Rust,
        0x1e => Language::Swift,
        0x27 => Language::Zig,
        _ => return None,
    })
}

/// The name that starts here.
fn named(start: &[u8]) -> &[u8] {
    let start = start.get(..super::image::MAX_NAME).unwrap_or(start);
    memchr::memchr(0, start).and_then(|end| start.get(..end)).unwrap_or_default()
}

/// Whether the name that starts here is this one.
fn is(start: &[u8], name: &str) -> bool {
    start.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
}

/// Whether a name is one that the headers of glibc put in place of the one in the source, so that only what includes them uses it.
fn is_of_headers(name: &[u8]) -> bool {
    name.ends_with(b"_chk")
        || name.starts_with(b"__isoc")
        || [&b"__ctype_b_loc"[..], b"__ctype_tolower_loc", b"__ctype_toupper_loc", b"__assert_fail"]
            .contains(&name)
}

/// Whether a name is one that gfortran gives to what is in a module: `__MODULE_MOD_NAME`.
fn is_of_module(name: &[u8]) -> bool {
    memchr::memmem::find(name, b"_MOD_").is_some_and(|at| at > 2 && at + 5 < name.len())
}

/// Whether a name is one that OCaml's compiler defines, and not its runtime, which is in C.
fn is_of_ocaml(name: &[u8]) -> bool {
    name.starts_with(b"caml") && [&b"__frametable"[..], b"__code_begin"].iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn concluded(comment: &[&str], of: impl Fn(&mut Marks)) -> (Language, Option<String>) {
        let mut marks = Marks::default();
        of(&mut marks);
        let compilers: Vec<String> = comment.iter().map(|&text| text.to_owned()).collect();
        marks.conclude(b"", &compilers, None)
    }

    #[test]
    fn source_files_show_a_language() {
        for (name, language) in [
            ("clean.c", Language::C),
            ("src/a b/plugin.cpp", Language::Cpp),
            ("@m..@slib@ssystem.nim.c", Language::Nim),
            ("stdlib/sys.ml", Language::OCaml),
            ("solver.f90", Language::Fortran),
            ("fib.adb", Language::Ada),
            ("d.d", Language::D),
            ("H.hs", Language::Haskell),
            // The start-up files of the machine, parts of archives, and what is no source.
            ("crtstuff.c", Language::Unknown),
            ("signals.npic.o", Language::Unknown),
            ("module.pyx.c", Language::Unknown),
            ("", Language::Unknown),
            ("c", Language::Unknown),
        ] {
            assert_eq!(concluded(&[], |marks| marks.add_source(name)).0, language, "{name}");
        }
    }

    #[test]
    fn units_of_dwarf_show_a_language() {
        assert_eq!(of_unit(0x1d, "GNU C17 12.2.0", "a.c"), Some(Language::C));
        assert_eq!(of_unit(0x1d, "GNU C17 12.2.0", "@ma.nim.c"), Some(Language::Nim));
        assert_eq!(of_unit(0x0c, "zig 0.13.0", "leak"), Some(Language::Zig));
        // A library in C that Zig has linked has this, too.
        assert_eq!(of_unit(0x0c, "zig 0.13.0", "compiler_rt"), None);
        assert_eq!(of_unit(0x13, "LDC 1.30.0 (LLVM 14.0.6)", "d.d"), Some(Language::D));
        assert_eq!(of_unit(0x8001, "GNU AS 2.40", "memcpy.S"), None);
        assert_eq!(of_unit(0x0b, "GNU Java", "a.java"), None);
    }

    #[test]
    fn a_compiler_is_named_from_where_it_is_not_another_s() {
        let (gcc, lld) = ("GCC: (Debian 12.2.0-14) 12.2.0", "Linker: LLD 18.1.6");
        let unit = |language, producer| move |marks: &mut Marks| marks.add_unit(language, producer);
        let found = |language, producer: &str| (language, Some(producer.to_owned()));
        assert_eq!(concluded(&[lld], unit(Language::Zig, "zig 0.13.0")), found(Language::Zig, "zig 0.13.0"));
        assert_eq!(concluded(&[gcc], unit(Language::C, "GNU C17 12.2.0 -g")), found(Language::C, gcc));
        assert_eq!(
            concluded(&[], unit(Language::C, "GNU C17 12.2.0 -g -O2")),
            found(Language::C, "GNU C17 12.2.0")
        );
        assert_eq!(concluded(&[gcc, "ldc version 1.30.0"], |_| {}), found(Language::D, "ldc version 1.30.0"));
        assert_eq!(concluded(&[gcc, "GHC 9.0.2"], |_| {}), found(Language::Haskell, "GHC 9.0.2"));
        // GCC compiles D, Ada and Fortran as well, and comes with the start-up files.
        assert_eq!(concluded(&[gcc], |_| {}), found(Language::Unknown, gcc));
    }

    #[test]
    fn sections_show_a_language() {
        for (name, language) in [
            (&b"swift5_types\0"[..], Language::Swift),
            (b".fpcdata\0", Language::Pascal),
            (b".svm_heap\0", Language::GraalVm),
            (b".text\0", Language::Unknown),
        ] {
            assert_eq!(concluded(&[], |marks| marks.add_section(name)).0, language);
        }
    }
}
