//! From a place in a file to function, source file and line: by DWARF where the file or a separate debug file has it,
//! else by its symbol tables. Files are read whole, never mapped: a library may cut its own file short meanwhile.

mod debug_file;
mod object_file;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gimli::{EndianArcSlice, RunTimeEndian};
use object::{Object, ObjectSection};

pub(crate) use debug_file::content as apart;
use object_file::ObjectFile;

use super::mangled::demangled;

/// Bytes of DWARF.
pub(super) type Reader = EndianArcSlice<RunTimeEndian>;

/// Largest file that is read, in bytes.
const LARGEST: u64 = 1 << 30;
/// Longest name that is told, in characters: those of C++ templates may fill a page.
const LONGEST: usize = 300;

/// One function at a place. Where functions were inlined, a place has several.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Function {
    /// Its name, demangled; `None` where no table has it.
    pub name: Option<String>,
    /// Bytes from its beginning, where it was found in a symbol table.
    pub offset: Option<u64>,
    /// Source file, as the compiler was given it.
    pub file: Option<String>,
    /// Line in it, from 1.
    pub line: Option<u32>,
    /// True for what was inlined into the function that follows.
    pub inlined: bool,
}

/// Looks up places, and keeps what it has read of each file.
#[derive(Debug, Default)]
pub struct Symbols {
    files: HashMap<PathBuf, Option<ObjectFile>>,
}

impl Symbols {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The functions at this many bytes from the beginning of a file, innermost first; none where nothing is known.
    pub fn functions(&mut self, file: &Path, offset: u64) -> Vec<Function> {
        self.address(file, offset).map(|address| self.functions_at(file, address)).unwrap_or_default()
    }

    /// The address, by a file's own count, of what is this many bytes from its beginning.
    pub fn address(&mut self, file: &Path, offset: u64) -> Option<u64> {
        self.file(file)?.address(offset)
    }

    /// The functions at an address of a file, by the file's own count, innermost first; none where nothing is known.
    pub fn functions_at(&mut self, file: &Path, address: u64) -> Vec<Function> {
        self.file(file).map(|object| object.functions(address)).unwrap_or_default()
    }

    /// Whether there is code at an address of a file, by the file's own count.
    pub fn is_code(&mut self, file: &Path, address: u64) -> bool {
        self.file(file).is_some_and(|object| object.is_code(address))
    }

    /// The variable at an address of a file, by the file's own count, and how far from its beginning that is.
    pub fn variable_at(&mut self, file: &Path, address: u64) -> Option<(String, u64)> {
        self.file(file)?.variable(address)
    }

    fn file(&mut self, path: &Path) -> Option<&ObjectFile> {
        self.files.entry(path.to_path_buf()).or_insert_with(|| ObjectFile::read(path)).as_ref()
    }
}

/// The content of a file; `None` where it can't be read, is no regular file, or is too large.
pub(super) fn content(path: &Path) -> Option<Vec<u8>> {
    let metadata = std::fs::metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return None;
    }
    std::fs::read(path).ok()
}

/// Whether a file has DWARF itself.
fn has_dwarf(object: &object::File<'_>) -> bool {
    object.section_by_name(".debug_info").is_some_and(|section| section.size() > 0)
}

/// The DWARF of a file, copied; `None` where it has none.
pub(super) fn dwarf(object: &object::File<'_>) -> Option<gimli::Dwarf<Reader>> {
    has_dwarf(object).then_some(())?;
    let endian = if object.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
    let load = |id: gimli::SectionId| -> Result<Reader, gimli::Error> {
        let section = object.section_by_name(id.name());
        let data = section.and_then(|section| section.uncompressed_data().ok()).unwrap_or_default();
        Ok(EndianArcSlice::new(Arc::from(&*data), endian))
    };
    gimli::Dwarf::load(load).ok()
}

/// A name for people: without what compilers put around it, and not too long.
pub(super) fn readable(name: &str) -> String {
    let name = demangled(name);
    match name.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &name[..end]),
        None => name.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_demangled_and_bounded() {
        assert_eq!(
            readable("_ZNSt6vectorIiSaIiEE9push_backERKi"),
            "std::vector<int, std::allocator<int> >::push_back(int const&)"
        );
        assert_eq!(readable("_ZN4core9panicking5panic17h0123456789abcdefE"), "core::panicking::panic");
        assert_eq!(readable("_RNvCs1234_7mycrate3foo"), "mycrate::foo");
        for plain in ["main", "t", "i", "runtime.mallocgc", "Cvi"] {
            assert_eq!(readable(plain), plain);
        }
        assert_eq!(readable(&"x".repeat(1000)).len(), LONGEST + 3);
    }

    #[test]
    fn what_is_no_file_has_no_functions() {
        let mut symbols = Symbols::new();
        for path in ["/no/such/file", "/", "/dev/zero", "/etc/passwd"] {
            assert_eq!(symbols.functions(Path::new(path), 0x1000), [], "{path}");
        }
    }

    /// Where this test's own code is: function, file and line are known to the compiler.
    #[test]
    fn this_programs_own_code_is_found() {
        let maps = procfs::process::Process::myself().unwrap().maps().unwrap();
        let here = names_are_demangled_and_bounded as fn() as usize as u64;
        let map = maps.iter().find(|m| (m.address.0..m.address.1).contains(&here)).unwrap();
        let offset = here - map.address.0 + map.offset;
        let functions = Symbols::new().functions(&std::env::current_exe().unwrap(), offset);
        let last = functions.last().unwrap();
        let name = last.name.as_deref().unwrap();
        assert!(name.contains("names_are_demangled_and_bounded"), "{functions:?}");
        assert!(last.file.as_deref().unwrap().ends_with("src/lines/mod.rs"), "{functions:?}");
        assert!(last.line.unwrap() > 50, "{functions:?}");
    }
}
