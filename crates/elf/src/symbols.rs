//! The dynamic symbols, read as the loader reads them: from `DT_SYMTAB`, counted by the hash tables, bound by
//! the raw `st_info`. readelf shows `STB_GNU_UNIQUE` only where the header says GNU, and the loader does not
//! ask the header.

use object::Endianness;
use object::elf;
use object::read::elf::{FileHeader, GnuHashTable, HashTable, Sym};

use super::image::{Image, damaged};
use super::language::Marks;
use super::{ExportKind, Unreadable};
use dlsoak_record::file::{Damage, Export};

/// `STB_GNU_UNIQUE`.
const UNIQUE: u8 = 10;
/// `STB_WEAK`.
const WEAK: u8 = 2;
/// `STB_GLOBAL`, `STB_WEAK`.
const VISIBLE: [u8; 3] = [1, 2, UNIQUE];
/// `STV_DEFAULT`, `STV_PROTECTED`.
const EXPORTED: [u8; 2] = [0, 3];
/// `STT_NOTYPE` (assembler), `STT_FUNC`, `STT_GNU_IFUNC`.
const CODE: [u8; 3] = [0, 2, 10];
/// `STT_SECTION`, `STT_FILE`.
const NO_SYMBOL: [u8; 2] = [3, 4];
/// `STT_TLS`.
const TLS: u8 = 6;

/// Functions whose use decides whether a library can go: thread-local destructors, and handles.
const OF_NOTE: [&str; 6] =
    ["__cxa_thread_atexit", "__cxa_thread_atexit_impl", "dlmopen", "dlopen", "sem_open", "shm_open"];

/// The dynamic symbols of a file.
#[derive(Default)]
pub(super) struct Symbols {
    /// Sorted by name, each name once.
    pub(super) exports: Vec<Export>,
    pub(super) unique: Vec<String>,
    pub(super) imports: usize,
    pub(super) imports_of_note: Vec<String>,
    /// Symbols that must be found for it to load, sorted by name.
    pub(super) required: Vec<Box<str>>,
    /// The languages that the names show.
    pub(super) marks: Marks,
}

impl Symbols {
    pub(super) fn read<'data, Elf>(image: &Image<'data, Elf>) -> Result<Self, Unreadable>
    where
        Elf: FileHeader<Endian = Endianness>,
    {
        let mut all = Self::default();
        let symbols = table(image)?;
        // Names share the bytes of the string table at most a few times; a damaged table might have each symbol
        // name the same 32 KiB.
        let mut budget = image.data.len();
        // The first symbol is always empty.
        for symbol in symbols.iter().skip(1) {
            let Some(start) = image.string_from(symbol.st_name(image.endian).into()) else { continue };
            all.marks.add_symbol(start, !symbol.is_undefined(image.endian));
            if symbol.is_undefined(image.endian) {
                all.imports += 1;
                if let Some(name) = OF_NOTE.iter().find(|name| is_name(start, name)) {
                    all.imports_of_note.push((*name).to_owned());
                }
                if symbol.st_info().0 >> 4 != WEAK
                    && let Some(name) = image.string(symbol.st_name(image.endian).into())
                {
                    budget = budget.checked_sub(name.len()).ok_or(damaged(Damage::SharedNames))?;
                    all.required.push(String::from_utf8_lossy(name).into());
                }
                continue;
            }
            if !is_exported(symbol, image.endian) {
                continue;
            }
            let Some(name) = image.string(symbol.st_name(image.endian).into()) else { continue };
            budget = budget.checked_sub(name.len()).ok_or(damaged(Damage::SharedNames))?;
            let name = String::from_utf8_lossy(name);
            if symbol.st_info().0 >> 4 == UNIQUE {
                all.unique.push(name.clone().into_owned());
            }
            let is_code = CODE.contains(&(symbol.st_info().0 & 0xf));
            let kind = if is_code { ExportKind::Function } else { ExportKind::Data };
            all.exports.push(Export { name: name.into(), kind });
        }
        // A symbol may be there in several versions.
        all.exports.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        all.required.sort_unstable();
        all.imports_of_note.sort_unstable();
        all.imports_of_note.dedup();
        all.exports.dedup_by(|one, other| one.name == other.name);
        Ok(all)
    }
}

/// The dynamic symbols of a file, the empty first one included; none where it has no table.
pub(super) fn table<'data, Elf>(image: &Image<'data, Elf>) -> Result<&'data [Elf::Sym], Unreadable>
where
    Elf: FileHeader<Endian = Endianness>,
{
    let Some(table) = image.value(elf::DT_SYMTAB).and_then(|address| image.at(address)) else {
        return Ok(&[]);
    };
    let count = count(image).unwrap_or(0).min(table.len() / size_of::<Elf::Sym>());
    let (symbols, _) =
        object::pod::slice_from_bytes::<Elf::Sym>(table, count).map_err(|()| damaged(Damage::SymbolTable))?;
    Ok(symbols)
}

/// Whether the loader's lookup would take this defined symbol.
pub(super) fn is_exported<S: Sym<Endian = Endianness>>(symbol: &S, endian: Endianness) -> bool {
    let info = symbol.st_info().0;
    let visible = VISIBLE.contains(&(info >> 4)) && EXPORTED.contains(&(symbol.st_other().0 & 3));
    // The names of version definitions are symbols of value 0; a thread-local one may be at 0.
    let placed = symbol.st_value(endian).into() != 0 || info & 0xf == TLS;
    visible && placed && !NO_SYMBOL.contains(&(info & 0xf))
}

/// Whether the string that starts here is this name.
fn is_name(start: &[u8], name: &str) -> bool {
    start.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
}

/// Number of dynamic symbols, undefined ones included.
fn count<Elf: FileHeader<Endian = Endianness>>(image: &Image<'_, Elf>) -> Option<usize> {
    let hash = image.value(elf::DT_HASH).and_then(|address| image.at(address));
    if let Some(table) = hash.and_then(|data| HashTable::<Elf>::parse(image.endian, data).ok()) {
        return usize::try_from(table.symbol_table_length()).ok();
    }
    let gnu = image.value(elf::DT_GNU_HASH).and_then(|address| image.at(address));
    let gnu = gnu.and_then(|data| GnuHashTable::<Elf>::parse(image.endian, data).ok());
    // A table without defined symbols says nothing about the undefined ones.
    match gnu.and_then(|table| table.symbol_table_length(image.endian)) {
        Some(length) => usize::try_from(length).ok(),
        None => image.symbols_by_section(),
    }
}
