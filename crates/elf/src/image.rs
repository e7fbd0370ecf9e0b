//! The file as the loader sees it: program headers and the dynamic section. Section headers are read only for
//! what the loader does not need (compiler, Go's build information), because a library may have none.

use object::elf;
use object::read::elf::{Dyn, FileHeader, NoteIterator, ProgramHeader, Rela, SectionHeader, Sym};
use object::{Endianness, Pod};

use super::symbols::Symbols;
use super::{Class, Endian, Facts, Kind, Libc, Machine, Relro, Tls, Unreadable, VersionNeed};
use super::{content, sources, toolchain};
use dlsoak_record::Language;
use dlsoak_record::file::Damage;

/// The bits of `DT_FLAGS_1` that matter to a load, and those of `DT_FLAGS`.
const DF_1_NOW: u64 = 0x1;
const DF_1_PIE: u64 = 0x0800_0000;
const DF_TEXTREL: u64 = 0x4;
const DF_BIND_NOW: u64 = 0x8;

/// Longest name that is read, in bytes; C++ templates reach some ten thousand.
pub(super) const MAX_NAME: usize = 32 * 1024;

/// Section headers that are looked at; libraries have fewer than a hundred.
const MAX_SECTIONS: usize = 4096;

/// Bytes of notes per segment, and segments of notes, that are looked at.
const MAX_NOTES: (usize, usize) = (64 * 1024, 64);

/// Version requirements that are kept; the largest libraries have a few dozen.
const MAX_VERSIONS: usize = 4096;

/// Libraries that are kept as needed.
const MAX_NEEDED: usize = 4096;

/// The header, the segments and the dynamic section of one file.
pub(super) struct Image<'data, Elf: FileHeader<Endian = Endianness>> {
    pub(super) data: &'data [u8],
    pub(super) endian: Endianness,
    header: &'data Elf,
    segments: &'data [Elf::ProgramHeader],
    /// Tag and value of each entry, up to the end mark.
    dynamic: Vec<(elf::DynamicTag, u64)>,
    /// The string table that names are offsets into.
    strings: &'data [u8],
}

/// A file whose headers contradict themselves.
pub(super) fn damaged(part: Damage) -> Unreadable {
    Unreadable::Damaged { part }
}

/// Reads the facts of a file of either class.
pub(super) fn parse(data: &[u8]) -> Result<Facts, Unreadable> {
    let need = size_of::<elf::FileHeader32<Endianness>>() as u64;
    let have = data.len() as u64;
    if data.is_empty() {
        return Err(Unreadable::Empty);
    }
    if !data.starts_with(&elf::ELFMAG) {
        return Err(if elf::ELFMAG.starts_with(data) {
            Unreadable::CutShort { have, need }
        } else {
            Unreadable::NotElf { content: content::of(data) }
        });
    }
    match data.get(4) {
        None => Err(Unreadable::CutShort { have, need }),
        Some(1) => Image::<elf::FileHeader32<Endianness>>::open(data)?.facts(Class::Bits32),
        Some(2) => Image::<elf::FileHeader64<Endianness>>::open(data)?.facts(Class::Bits64),
        Some(_) => Err(damaged(Damage::Class)),
    }
}

impl<'data, Elf: FileHeader<Endian = Endianness>> Image<'data, Elf> {
    pub(super) fn open(data: &'data [u8]) -> Result<Self, Unreadable> {
        let have = data.len() as u64;
        let need = size_of::<Elf>() as u64;
        if have < need {
            return Err(Unreadable::CutShort { have, need });
        }
        let header = Elf::parse(data).map_err(|_| damaged(Damage::Header))?;
        let endian = header.endian().map_err(|_| damaged(Damage::ByteOrder))?;
        let mut image = Self { data, endian, header, segments: &[], dynamic: Vec::new(), strings: &[] };
        let table = header.e_phoff(endian).into();
        let count = u64::from(header.e_phnum(endian));
        if table != 0 && count != 0 {
            let need = table.saturating_add(count * size_of::<Elf::ProgramHeader>() as u64);
            if have < need {
                return Err(Unreadable::CutShort { have, need });
            }
        }
        image.segments = header.program_headers(endian, data).map_err(|_| damaged(Damage::ProgramHeaders))?;
        // A file of debug information keeps the headers of segments that it does not hold.
        if image.kind_by_header() != Kind::DebugInfo {
            for segment in image.loads() {
                let (start, size) = segment.file_range(endian);
                let need = start.checked_add(size).ok_or(damaged(Damage::Segment))?;
                if size != 0 && have < need {
                    return Err(Unreadable::CutShort { have, need });
                }
            }
            image.read_dynamic();
        }
        Ok(image)
    }

    pub(super) fn loads(&self) -> impl Iterator<Item = &'data Elf::ProgramHeader> {
        self.of_type(elf::PT_LOAD)
    }

    fn of_type(&self, wanted: elf::ProgramType) -> impl Iterator<Item = &'data Elf::ProgramHeader> {
        let endian = self.endian;
        self.segments.iter().filter(move |segment| segment.p_type(endian) == wanted)
    }

    fn read_dynamic(&mut self) {
        let Some(segment) = self.of_type(elf::PT_DYNAMIC).next() else { return };
        let Ok(Some(entries)) = segment.dynamic(self.endian, self.data) else { return };
        let endian = self.endian;
        let entries = entries.iter().map(|entry| (entry.tag(endian), entry.val(endian)));
        self.dynamic = entries.take_while(|(tag, _)| *tag != elf::DT_NULL).collect();
        let table = self.value(elf::DT_STRTAB).and_then(|address| self.at(address)).unwrap_or_default();
        let size = self.value(elf::DT_STRSZ).and_then(|size| usize::try_from(size).ok());
        self.strings = size.and_then(|size| table.get(..size)).unwrap_or(table);
    }

    /// The bytes that will lie at `address`, up to the end of their segment.
    pub(super) fn at(&self, address: u64) -> Option<&'data [u8]> {
        self.loads().find_map(|segment| {
            let offset = address.checked_sub(segment.p_vaddr(self.endian).into())?;
            let bytes = segment.data(self.endian, self.data).ok()?;
            bytes.get(usize::try_from(offset).ok()?..).filter(|rest| !rest.is_empty())
        })
    }

    /// Bytes of address space that it takes, from its first address on.
    pub(super) fn extent(&self) -> u64 {
        let end = |segment: &Elf::ProgramHeader| {
            segment.p_vaddr(self.endian).into().saturating_add(segment.p_memsz(self.endian).into())
        };
        self.loads().map(end).max().unwrap_or(0)
    }

    /// Whether what will lie at `address` can be run.
    pub(super) fn is_code(&self, address: u64) -> bool {
        self.loads().any(|segment| {
            let offset = address.checked_sub(segment.p_vaddr(self.endian).into());
            offset.is_some_and(|offset| offset < segment.p_memsz(self.endian).into())
                && segment.p_flags(self.endian).0 & elf::PF_X.0 != 0
        })
    }

    /// A number of two bytes.
    pub(super) fn half(&self, bytes: [u8; 2]) -> u16 {
        match self.endian {
            Endianness::Little => u16::from_le_bytes(bytes),
            Endianness::Big => u16::from_be_bytes(bytes),
        }
    }

    /// The value of a tag of the dynamic section. Of several the last counts, as it does for the loader.
    pub(super) fn value(&self, tag: elf::DynamicTag) -> Option<u64> {
        self.values(tag).last()
    }

    fn values(&self, wanted: elf::DynamicTag) -> impl Iterator<Item = u64> {
        self.dynamic.iter().filter(move |(tag, _)| *tag == wanted).map(|(_, value)| *value)
    }

    /// The bytes of the string table from `offset` on.
    pub(super) fn string_from(&self, offset: u64) -> Option<&'data [u8]> {
        self.strings.get(usize::try_from(offset).ok()?..)
    }

    /// The string at `offset` of the string table.
    pub(super) fn string(&self, offset: u64) -> Option<&'data [u8]> {
        let rest = self.string_from(offset)?;
        let rest = rest.get(..MAX_NAME).unwrap_or(rest);
        rest.get(..memchr::memchr(0, rest)?)
    }

    pub(super) fn text(&self, offset: u64) -> Option<String> {
        self.string(offset).map(|text| String::from_utf8_lossy(text).into_owned())
    }

    /// The section headers, each with the section's name and what follows it in the table of names.
    fn sections(&self) -> impl Iterator<Item = (&'data Elf::SectionHeader, &'data [u8])> {
        let (endian, data) = (self.endian, self.data);
        let headers = self.header.section_headers(endian, data).unwrap_or_default();
        let names = self
            .header
            .section_strings_index(endian, data)
            .ok()
            .and_then(|index| headers.get(index.0)?.data(endian, data).ok())
            .unwrap_or_default();
        headers.iter().take(MAX_SECTIONS).map(move |header| {
            let name = names.get(header.sh_name(endian) as usize..).unwrap_or_default();
            (header, name)
        })
    }

    /// The content of the section `name`; `name` ends with its NUL.
    pub(super) fn section(&self, name: &[u8]) -> Option<&'data [u8]> {
        let (header, _) = self.sections().find(|(_, found)| found.starts_with(name))?;
        header.data(self.endian, self.data).ok()
    }

    /// Number of dynamic symbols by the section headers, which a stripped file may lack.
    pub(super) fn symbols_by_section(&self) -> Option<usize> {
        let (header, _) =
            self.sections().find(|(header, _)| header.sh_type(self.endian) == elf::SHT_DYNSYM)?;
        usize::try_from(header.sh_size(self.endian).into() / size_of::<Elf::Sym>() as u64).ok()
    }

    fn kind_by_header(&self) -> Kind {
        match self.header.e_type(self.endian) {
            elf::ET_REL => Kind::Relocatable,
            elf::ET_CORE => Kind::Core,
            elf::ET_EXEC => Kind::Executable,
            elf::ET_DYN => {
                let code = self.sections().find(|(_, name)| name.starts_with(b".text\0"));
                match code {
                    Some((text, _)) if text.sh_type(self.endian) == elf::SHT_NOBITS => Kind::DebugInfo,
                    _ => Kind::SharedObject,
                }
            }
            _ => Kind::Other,
        }
    }

    fn kind(&self, flags_1: u64, interpreter: bool) -> Kind {
        match self.kind_by_header() {
            Kind::SharedObject if self.dynamic.is_empty() => Kind::Other,
            // Linkers give DT_DEBUG to executables only; old ones did not set the flag.
            Kind::SharedObject
                if flags_1 & DF_1_PIE != 0 || interpreter && self.value(elf::DT_DEBUG).is_some() =>
            {
                Kind::PositionIndependentExecutable
            }
            kind => kind,
        }
    }

    fn facts(&self, class: Class) -> Result<Facts, Unreadable> {
        let flags = self.value(elf::DT_FLAGS).unwrap_or(0);
        let flags_1 = self.value(elf::DT_FLAGS_1).unwrap_or(0);
        let needed: Vec<String> =
            self.values(elf::DT_NEEDED).take(MAX_NEEDED).filter_map(|name| self.text(name)).collect();
        let versions = self.versions();
        let symbols = Symbols::read(self)?;
        let interpreter = self.of_type(elf::PT_INTERP).next().and_then(|segment| {
            let path = segment.interpreter(self.endian, self.data).ok()??;
            Some(String::from_utf8_lossy(path.get(..MAX_NAME).unwrap_or(path)).into_owned())
        });
        let compilers = self.section(b".comment\0").map(toolchain::compilers).unwrap_or_default();
        let go_section = self.section(b".go.buildinfo\0");
        let go_build = match go_section {
            Some(section) => toolchain::go_build(section, |address| self.at(address)),
            // One that is not there is known to be missing where there are others.
            None if self.sections().next().is_some() => None,
            None => toolchain::go_build_in(self.data),
        };
        let mut marks = symbols.marks;
        if go_build.is_some() || go_section.is_some() || self.note(b"Go", 4).is_some() {
            marks.add(Language::Go);
        }
        self.sections().for_each(|(_, name)| marks.add_section(name));
        sources::add(self.data, &mut marks);
        let (language, producer) = marks.conclude(self.data, &compilers, go_build.as_ref());
        let libc = libc(&needed, &versions);
        let initial_exec = self.has_initial_exec();
        let machine = Machine(self.header.e_machine(self.endian).0);
        let now =
            flags & DF_BIND_NOW != 0 || flags_1 & DF_1_NOW != 0 || self.value(elf::DT_BIND_NOW).is_some();
        let relro = match self.of_type(elf::PT_GNU_RELRO).next() {
            None => Relro::None,
            Some(_) if now => Relro::Full,
            Some(_) => Relro::Partial,
        };
        let word = size_of::<Elf::Word>() as u64;
        Ok(Facts {
            extent: self.extent(),
            class,
            endian: match self.endian {
                Endianness::Little => Endian::Little,
                Endianness::Big => Endian::Big,
            },
            machine,
            kind: self.kind(flags_1, interpreter.is_some()),
            soname: self.value(elf::DT_SONAME).and_then(|name| self.text(name)),
            rpath: self.value(elf::DT_RPATH).and_then(|path| self.text(path)),
            runpath: self.value(elf::DT_RUNPATH).and_then(|path| self.text(path)),
            interpreter,
            flags,
            flags_1,
            unique_symbols: symbols.unique,
            exports: symbols.exports,
            imports: symbols.imports,
            imports_of_note: symbols.imports_of_note,
            required: symbols.required,
            tls: self.of_type(elf::PT_TLS).next().map(|segment| Tls {
                size: segment.p_memsz(self.endian).into(),
                align: segment.p_align(self.endian).into(),
            }),
            initial_exec,
            relr: self.value(elf::DT_RELR).is_some(),
            init: self.value(elf::DT_INIT).is_some(),
            fini: self.value(elf::DT_FINI).is_some(),
            init_array: self.value(elf::DT_INIT_ARRAYSZ).unwrap_or(0) / word,
            fini_array: self.value(elf::DT_FINI_ARRAYSZ).unwrap_or(0) / word,
            build_id: self.note(b"GNU", elf::NT_GNU_BUILD_ID.0).map(|id| {
                // A build-id is 20 bytes; a damaged one may claim any size.
                id.iter().take(64).map(|byte| format!("{byte:02x}")).collect()
            }),
            toolchain: toolchain::toolchain(go_build.as_ref(), &compilers, &libc),
            libc,
            needed,
            versions,
            language,
            producer,
            text_relocations: flags & DF_TEXTREL != 0 || self.value(elf::DT_TEXTREL).is_some(),
            executable_stack: match self.of_type(elf::PT_GNU_STACK).next() {
                Some(stack) => stack.p_flags(self.endian).0 & elf::PF_X.0 != 0,
                // Without the header the kernel's old default counts, which x86 alone made executable.
                None => matches!(machine, Machine::X86_64 | Machine::I386),
            },
            relro,
        })
    }

    /// Whether it has code that finds its own thread-local storage at a fixed place of each thread (the initial-exec model).
    fn has_initial_exec(&self) -> bool {
        let place = match Machine(self.header.e_machine(self.endian).0) {
            Machine::X86_64 => elf::R_X86_64_TPOFF64,
            Machine::AARCH64 => elf::R_AARCH64_TLS_TPREL,
            _ => return false,
        };
        let table =
            |tag: elf::DynamicTag| self.value(tag).and_then(|address| self.at(address)).unwrap_or_default();
        let size = self.value(elf::DT_RELASZ).and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
        let relocations = table(elf::DT_RELA);
        let count = size.min(relocations.len()) / size_of::<Elf::Rela>();
        let relocations = object::pod::slice_from_bytes::<Elf::Rela>(relocations, count);
        let relocations = relocations.map_or::<&[Elf::Rela], _>(&[], |(relocations, _)| relocations);
        let symbols = table(elf::DT_SYMTAB);
        let is_own = |relocation: &&Elf::Rela| {
            let Some(index) = relocation.symbol(self.endian, false) else { return true };
            let at = index.0.saturating_mul(size_of::<Elf::Sym>());
            let symbol = symbols.get(at..).and_then(head::<Elf::Sym>);
            symbol.is_some_and(|symbol| symbol.st_shndx(self.endian) != elf::SHN_UNDEF)
        };
        relocations.iter().filter(|one| one.r_type(self.endian, false).0 == place.0).any(|one| is_own(&one))
    }

    /// The content of the first note of this name and type.
    fn note(&self, name: &[u8], kind: u32) -> Option<&'data [u8]> {
        let segments = self.of_type(elf::PT_NOTE).take(MAX_NOTES.1).filter_map(|segment| {
            let data = segment.data(self.endian, self.data).ok()?;
            Some((data, segment.p_align(self.endian)))
        });
        // Go's own linker leaves the build-id out of the segment. Alignment 0 stands for the usual 4.
        let section = self.section(b".note.gnu.build-id\0").map(|data| (data, Elf::Word::default()));
        segments.chain(section).find_map(|(data, align)| {
            let data = data.get(..MAX_NOTES.0).unwrap_or(data);
            let mut notes = NoteIterator::<Elf>::new(self.endian, align, data).ok()?;
            while let Ok(Some(note)) = notes.next() {
                if note.name() == name && note.n_type(self.endian).0 == kind {
                    return Some(note.desc());
                }
            }
            None
        })
    }

    /// What `DT_VERNEED` asks for.
    fn versions(&self) -> Vec<VersionNeed> {
        let mut all = Vec::new();
        let mut rest = self.value(elf::DT_VERNEED).and_then(|address| self.at(address)).unwrap_or_default();
        while let Some(need) = head::<elf::Verneed<Endianness>>(rest) {
            let library = self.text(need.vn_file.get(self.endian).into()).unwrap_or_default();
            let mut aux = rest.get(need.vn_aux.get(self.endian) as usize..).unwrap_or_default();
            for _ in 0..need.vn_cnt.get(self.endian) {
                let Some(entry) = head::<elf::Vernaux<Endianness>>(aux) else { break };
                if all.len() == MAX_VERSIONS {
                    return all;
                }
                if let Some(version) = self.text(entry.vna_name.get(self.endian).into()) {
                    all.push(VersionNeed { library: library.clone(), version });
                }
                let next = entry.vna_next.get(self.endian) as usize;
                if next == 0 {
                    break;
                }
                aux = aux.get(next..).unwrap_or_default();
            }
            let next = need.vn_next.get(self.endian) as usize;
            if next == 0 || all.len() == MAX_VERSIONS {
                break;
            }
            rest = rest.get(next..).unwrap_or_default();
        }
        all
    }
}

/// The value that `bytes` begins with.
pub(super) fn head<T: Pod>(bytes: &[u8]) -> Option<&T> {
    object::pod::from_bytes(bytes).ok().map(|(value, _)| value)
}

fn libc(needed: &[String], versions: &[VersionNeed]) -> Libc {
    let highest = versions
        .iter()
        .filter_map(|need| {
            let text = need.version.strip_prefix("GLIBC_")?;
            let numbers: Vec<u32> = text.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
            Some((numbers, text))
        })
        .max();
    let has = |name: &str| needed.iter().any(|library| library == name);
    if highest.is_some() || has("libc.so.6") || has("libc.so.6.1") {
        Libc::Glibc { at_least: highest.map(|(_, text)| text.to_owned()) }
    } else if versions.iter().any(|need| need.version == "LIBC") {
        Libc::Bionic
    } else if has("libc.so") || needed.iter().any(|library| library.starts_with("libc.musl-")) {
        Libc::Musl
    } else {
        Libc::None
    }
}
