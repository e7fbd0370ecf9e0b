//! Names as C++, Rust and D mangle them. C has names that begin so, too, such as `_RNA_length` and `_Zoom`, so a name counts as mangled
//! only if all of it follows the scheme, and if the result says what a C name can't.

mod d;

use std::borrow::Cow;

use dlsoak_record::Language;

/// The language that mangled a name, and the name as people write it.
pub(super) fn demangle(name: &str) -> Option<(Language, String)> {
    let rest = name.strip_prefix('_')?;
    match rest.as_bytes() {
        // C++ leaves the name of a global variable as it is, so a function has parameters, and all else has a scope or a title.
        [b'Z', ..] => {
            let by_rust = is_hashed(name.as_bytes()).then(|| by(name, gimli::DW_LANG_Rust)).flatten();
            let rust = by_rust.map(|text| (Language::Rust, text));
            rust.or_else(|| {
                let text = by(name, gimli::DW_LANG_C_plus_plus)?;
                (is_said_by_cpp(name) && text.contains(['(', ' ', '<', ':'])).then_some((Language::Cpp, text))
            })
        }
        // All that has a symbol is in a crate or in an instance. What begins with a letter else is a path or a type.
        [b'R', b'N' | b'M' | b'X' | b'Y' | b'I', ..] => {
            by(name, gimli::DW_LANG_Rust).map(|text| (Language::Rust, text))
        }
        [b'D', ..] => d::demangle(name).map(|text| (Language::D, text)),
        _ => None,
    }
}

/// Whether a name is not that of an operator that C++ does not let a program define, because none of its operands has a type of the program.
/// Such a one is `_Zoom`, which is `operator||(unsigned long)`.
fn is_said_by_cpp(name: &str) -> bool {
    let rest = name.strip_prefix("_Z").unwrap_or(name);
    let is_operator = rest.starts_with(|c: char| c.is_ascii_lowercase());
    let is_memory = ["nw", "na", "dl", "da"].iter().any(|operator| rest.starts_with(operator));
    !is_operator || is_memory || rest.contains(|c: char| c.is_ascii_digit() || c == 'S')
}

/// A name without what compilers put around it.
pub(super) fn demangled(name: &str) -> Cow<'_, str> {
    demangle(name).map_or(name.into(), |(_, text)| text.into())
}

/// Whether a name ends as Rust ended names while it used the mangling of C++: with a hash.
pub(super) fn is_hashed(name: &[u8]) -> bool {
    // A tool may have added a suffix, as `.llvm.123`.
    let end = memchr::memchr(b'.', name).unwrap_or(name.len());
    let name = name.get(..end).unwrap_or_default();
    let hash = name.len().checked_sub(20).and_then(|at| name.get(at..)).unwrap_or_default();
    matches!(hash, [b'1', b'7', b'h', digits @ .., b'E'] if digits.iter().all(u8::is_ascii_hexdigit))
}

fn by(name: &str, language: gimli::DwLang) -> Option<String> {
    addr2line::demangle(name, language)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme_is_known() {
        for (name, language, text) in [
            (
                "_ZNSt6vectorIiSaIiEE9push_backERKi",
                Language::Cpp,
                "std::vector<int, std::allocator<int> >::push_back(int const&)",
            ),
            ("_Z3addii", Language::Cpp, "add(int, int)"),
            ("_ZTV6Player", Language::Cpp, "{vtable(Player)}"),
            ("_ZN5audio4gainE", Language::Cpp, "audio::gain"),
            ("_ZdlPv", Language::Cpp, "operator delete(void*)"),
            ("_ZN4core9panicking5panic17h0123456789abcdefE", Language::Rust, "core::panicking::panic"),
            ("_RNvCs1234_7mycrate3foo", Language::Rust, "mycrate::foo"),
            ("_D3std5stdio12__ModuleInfoZ", Language::D, "std.stdio.__ModuleInfo"),
        ] {
            assert_eq!(demangle(name), Some((language, text.to_owned())), "{name}");
        }
    }

    #[test]
    fn names_of_c_stay_as_they_are() {
        for name in [
            "_Z",
            "_ZN",
            "_ZNK",
            "_Zoom",
            "_ZoomIn",
            "_Zeq",
            "_Zps",
            "_Z3foo",
            "_Z1x",
            "_ZN3fooE",
            "_ZLib_init",
            "_ZSTD_malloc",
            "_R",
            "_RNA",
            "_RNA_polymerase",
            "_RNA_length",
            "_RNvC",
            "_RC3foo",
            "_RINGS",
            "_RMS",
            "_RX_init",
            "_RYB",
            "_Random",
            "_D",
            "_D1x",
            "_D1xi",
            "_D3foo3bar",
            "_D3foo3barXYZ",
            "_DYNAMIC",
            "_D2D",
            "_Dmain",
            "_D3D9Create",
            "_D16_to_D32",
            "main",
            "t",
            "i",
            "Cvi",
            "?foo@@YAXXZ",
            "ZN3foo3barEv",
            "R",
            "RNvC1a1b",
            "__RNvC1a1b",
            "__ZN3foo3barEv",
            "runtime.mallocgc",
            "_",
            "",
        ] {
            assert_eq!(demangled(name), name);
        }
    }

    #[test]
    fn the_hash_of_rust_is_told_from_cpp() {
        assert!(
            is_hashed(b"_ZN4core3fmt17h0123456789abcdefE") && is_hashed(b"_ZN1a17h0123456789abcdefE.llvm.77")
        );
        // A length and a letter as in a hash, and yet C++.
        assert!(!is_hashed(b"_ZSt9x17has_facetI_and_moreE") && !is_hashed(b"_ZN3foo3barEv"));
    }
}
