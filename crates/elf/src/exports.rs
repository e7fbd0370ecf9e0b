//! Whether a file has a symbol for others, read without the rest of it: to look through all programs of a machine takes as long as their
//! symbol tables do, and not as long as gigabytes of code.

use std::path::Path;

use object::read::elf::{ElfFile64, ProgramHeader as _};
use object::{Endianness, Object as _, ObjectKind, ObjectSection as _, ObjectSymbol as _, ReadCache, elf};

use crate::read;

/// What a file with a dynamic symbol table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// A program, wherever it lies in memory.
    Program,
    /// A shared library.
    Library,
}

/// What this file is, if it exports a symbol of this name; `None` where it does not, and where it can't be read as ELF of 64 bits.
#[must_use]
pub fn exporter(path: &Path, symbol: &str) -> Option<Image> {
    let cache = ReadCache::new(read::open(path).ok()?.0);
    let object = ElfFile64::<Endianness, _>::parse(&cache).ok()?;
    let is_interpreted = || {
        let endian = object.endian();
        object.elf_program_headers().iter().any(|header| header.p_type(endian) == elf::PT_INTERP)
    };
    let image = match object.kind() {
        ObjectKind::Executable => Image::Program,
        ObjectKind::Dynamic if is_interpreted() => Image::Program,
        ObjectKind::Dynamic => Image::Library,
        _ => return None,
    };
    // At once: the names of the symbols would be read one by one.
    let names = object.section_by_name(".dynstr")?.data().ok()?;
    memchr::memmem::find(names, symbol.as_bytes())?;
    let is_it = |name: Result<&[u8], _>| name.is_ok_and(|name| name == symbol.as_bytes());
    let mut symbols = object.dynamic_symbols();
    symbols.any(|of| of.is_global() && of.is_definition() && is_it(of.name_bytes())).then_some(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_what_it_exports() {
        let own = std::env::current_exe().unwrap();
        // Rust exports nothing from programs.
        assert_eq!(exporter(&own, "main"), None);
        let libc = crate::Search::of_this_machine().by_name("libc.so.6").map(|found| found.path);
        if let Some(libc) = libc {
            // glibc's library can be executed, too, and musl's is the loader.
            assert!(exporter(&libc, "malloc").is_some());
            assert_eq!(exporter(&libc, "no_such_function"), None);
        }
        assert_eq!(exporter(Path::new("/"), "malloc"), None);
        assert_eq!(exporter(Path::new("/no/such/file"), "malloc"), None);
        assert_eq!(exporter(Path::new("/proc/self/maps"), "malloc"), None);
    }
}
