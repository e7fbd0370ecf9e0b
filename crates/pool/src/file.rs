//! Reads from a library's file what decides whether it unloads. It finds flags and symbols as the loader does, by the
//! program headers and the dynamic section, because section headers may be missing or wrong. No bytes make it panic.

use object::NativeEndian;
use object::elf;
use object::read::elf::{Dyn as _, FileHeader, GnuHashTable, HashTable, ProgramHeader as _, Sym as _};

/// The loader takes only files of this class and byte order.
#[cfg(target_pointer_width = "64")]
type Native = elf::FileHeader64<NativeEndian>;
#[cfg(target_pointer_width = "32")]
type Native = elf::FileHeader32<NativeEndian>;

/// `DF_STATIC_TLS` of `DT_FLAGS`, and `DF_1_NODELETE` of `DT_FLAGS_1`.
const STATIC_TLS: u64 = 0x10;
const NODELETE: u64 = 0x8;

/// `STB_GNU_UNIQUE`.
const UNIQUE: u8 = 10;

/// Go's build information begins with this, the size of a pointer, and flags, at a multiple of 16 in the file.
const GO_BUILD: &[u8] = b"\xff Go buildinf:";

/// Type of the note with Go's build-id.
const GO_BUILD_ID: u32 = 4;

/// What decides whether a library unloads.
#[derive(Debug)]
pub(super) struct File<'data> {
    pub(super) nodelete: bool,
    pub(super) static_tls: bool,
    pub(super) go: bool,
    /// The first symbol that it defines as `STB_GNU_UNIQUE`.
    pub(super) unique: Option<String>,
    /// For each symbol that it uses or defines, the string table from its name on.
    symbols: Vec<&'data [u8]>,
}

impl<'data> File<'data> {
    /// Reads a file; `None` if any part can't be read.
    pub(super) fn read(data: &'data [u8]) -> Option<Self> {
        Self::of::<Native>(data)
    }

    fn of<Elf: FileHeader<Endian = NativeEndian>>(data: &'data [u8]) -> Option<Self> {
        let header = Elf::parse(data).ok()?;
        let endian = header.endian().ok()?;
        let segments = header.program_headers(endian, data).ok()?;
        let dynamic = segments.iter().find_map(|segment| segment.dynamic(endian, data).ok()?)?;
        // Of several entries the last counts, as it does for the loader.
        let value = |tag| {
            let entries = dynamic.iter().take_while(|entry| entry.tag(endian) != elf::DT_NULL);
            entries.filter(|entry| entry.tag(endian) == tag).last().map(|entry| entry.val(endian))
        };
        // The bytes that lie at the entry's address after loading, up to the end of their segment.
        let table = |tag| {
            let address = value(tag)?;
            segments.iter().filter(|segment| segment.p_type(endian) == elf::PT_LOAD).find_map(|segment| {
                let offset = address.checked_sub(segment.p_vaddr(endian).into())?;
                segment.data(endian, data).ok()?.get(usize::try_from(offset).ok()?..)
            })
        };
        let names = table(elf::DT_STRTAB)?;
        let mut file = Self {
            nodelete: value(elf::DT_FLAGS_1).unwrap_or(0) & NODELETE != 0,
            static_tls: value(elf::DT_FLAGS).unwrap_or(0) & STATIC_TLS != 0,
            go: is_go(header, data),
            unique: None,
            symbols: Vec::new(),
        };
        // Only the hash tables have the number of symbols, and GNU's has it only if a symbol is defined.
        let count = if let Some(hash) = table(elf::DT_HASH) {
            HashTable::<Elf>::parse(endian, hash).ok()?.symbol_table_length() as usize
        } else {
            let hash = GnuHashTable::<Elf>::parse(endian, table(elf::DT_GNU_HASH)?).ok()?;
            match hash.symbol_table_length(endian) {
                Some(count) => count as usize,
                None => {
                    header.sections(endian, data).ok()?.symbols(endian, data, elf::SHT_DYNSYM).ok()?.len()
                }
            }
        };
        let (symbols, _) = object::pod::slice_from_bytes::<Elf::Sym>(table(elf::DT_SYMTAB)?, count).ok()?;
        // The first symbol is always empty.
        for symbol in symbols.iter().skip(1) {
            let name = names.get(symbol.st_name(endian) as usize..)?;
            if file.unique.is_none() && symbol.st_bind().0 == UNIQUE && !symbol.is_undefined(endian) {
                let end = name.iter().position(|byte| *byte == 0)?;
                file.unique = Some(String::from_utf8_lossy(name.get(..end)?).into_owned());
            }
            file.symbols.push(name);
        }
        Some(file)
    }

    /// Whether it uses or defines a symbol of this name.
    pub(super) fn names(&self, symbol: &str) -> bool {
        self.symbols
            .iter()
            .any(|name| name.strip_prefix(symbol.as_bytes()).is_some_and(|rest| rest.first() == Some(&0)))
    }
}

/// Whether it has Go's build-id, or the section with Go's build information. Without sections it searches for the
/// information as Go's own tools do.
fn is_go<Elf: FileHeader<Endian = NativeEndian>>(header: &Elf, data: &[u8]) -> bool {
    let segments = header.program_headers(NativeEndian, data).unwrap_or_default();
    let notes = segments.iter().filter_map(|segment| segment.notes(NativeEndian, data).ok()?);
    let mut notes = notes.flat_map(|notes| notes.map_while(Result::ok));
    let sections = header.sections(NativeEndian, data).unwrap_or_default();
    let mut blocks = data.as_chunks::<16>().0.iter();
    notes.any(|note| note.name() == b"Go" && note.n_type(NativeEndian).0 == GO_BUILD_ID)
        || sections.section_by_name(NativeEndian, b".go.buildinfo").is_some()
        || sections.is_empty()
            && blocks.any(|block| block.starts_with(GO_BUILD) && matches!(block[14..], [4 | 8, 0..=3]))
}

/// 64-bit files that are built here byte by byte, so the tests need no compiler.
#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;

    const NAMES: &[u8] = b"\0pthread_cond_signal\0kept\0";
    /// Offset in [`NAMES`], binding and type, section. Linkers store `signal` as the end of a longer name.
    const SYMBOLS: [(u32, u8, u16); 4] = [(0, 0, 0), (1, 0x12, 0), (14, 0x12, 0), (21, 0xa1, 1)];

    fn library(flags: u64, flags_1: u64, rest: &[u8]) -> Vec<u8> {
        const HEADERS: u64 = 64 + 2 * 56;
        const STRINGS: u64 = HEADERS + 9 * 16;
        let symbols = STRINGS + NAMES.len() as u64;
        let hash = symbols + 24 * SYMBOLS.len() as u64;
        let mut file = vec![0x7f, b'E', b'L', b'F', 2, if cfg!(target_endian = "big") { 2 } else { 1 }, 1];
        file.resize(16, 0);
        // Type, machine, version; start, program headers, section headers; flags, sizes and counts.
        file.extend([3_u16, 62, 1, 0].map(u16::to_ne_bytes).concat());
        file.extend([0, 64, 0].map(u64::to_ne_bytes).concat());
        file.extend([0_u16, 0, 64, 56, 2, 0, 0, 0].map(u16::to_ne_bytes).concat());
        let end = hash + 8 + 4 * SYMBOLS.len() as u64 + rest.len() as u64;
        for (kind, at, size) in [(1_u32, 0, end), (2, HEADERS, 9 * 16)] {
            file.extend([kind, 4].map(u32::to_ne_bytes).concat());
            file.extend([at, at, at, size, size, 8].map(u64::to_ne_bytes).concat());
        }
        let dynamic = [
            (5, STRINGS),
            (10, NAMES.len() as u64),
            (6, symbols),
            (4, hash),
            (30, 0),
            (30, flags),
            (0x6fff_fffb, flags_1),
            (0, 0),
            // Behind the end.
            (0x6fff_fffb, 0),
        ];
        file.extend(
            dynamic.map(|(tag, value): (u64, u64)| [tag, value].map(u64::to_ne_bytes).concat()).concat(),
        );
        file.extend(NAMES);
        for (name, info, section) in SYMBOLS {
            file.extend(name.to_ne_bytes());
            file.extend([info, 0]);
            file.extend(section.to_ne_bytes());
            file.extend([0x1000, 8].map(u64::to_ne_bytes).concat());
        }
        file.extend([0, SYMBOLS.len() as u32].map(u32::to_ne_bytes).concat());
        file.resize(file.len() + 4 * SYMBOLS.len(), 0);
        file.extend(rest);
        file
    }

    #[test]
    fn what_decides_is_read() {
        let flags = |file: &File| (file.static_tls, file.nodelete, file.go);
        let plain = library(0, 0, b"");
        let plain = File::read(&plain).unwrap();
        assert_eq!(flags(&plain), (false, false, false));
        assert_eq!(plain.unique.as_deref(), Some("kept"));
        assert!(plain.names("signal") && plain.names("pthread_cond_signal") && plain.names("kept"));
        assert!(!plain.names("cond_signal") && !plain.names("pthread_cond") && !plain.names("sigaction"));
        assert_eq!(flags(&File::read(&library(0x10, 0, b"")).unwrap()), (true, false, false));
        assert_eq!(flags(&File::read(&library(0, 8, b"")).unwrap()), (false, true, false));
    }

    #[test]
    fn go_is_seen_without_section_headers() {
        let places = |text: &[u8]| {
            let at = |padding: &usize| [vec![0; *padding], text.to_vec()].concat();
            (0..16).filter(|padding| File::read(&library(0, 0, &at(padding))).unwrap().go).count()
        };
        assert_eq!(places(b"\xff Go buildinf:\x08\x02"), 1, "at a multiple of 16");
        assert_eq!(places(b"\xff Go buildinf:, a text"), 0);
    }

    #[test]
    fn no_damage_panics() {
        let whole = library(0, 0, b"");
        for end in 0..whole.len() {
            assert!(File::read(&whole[..end]).is_none(), "{end}");
        }
        for at in 0..whole.len() {
            for value in 0..=u8::MAX {
                let mut damaged = whole.clone();
                damaged[at] = value;
                let _ = File::read(&damaged);
            }
        }
    }
}
