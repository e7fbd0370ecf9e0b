//! Writes a library of stubs, as an ELF file: it stands in for the symbols that a program offers to the libraries that it loads. A
//! function hands its name to a handler and never returns; data is memory that is zero.
//!
//! It has the sections that the writer asks for. The loader reads none.

use std::collections::BTreeMap;

use object::Endianness;
use object::elf;
use object::write::elf::{FileHeader, ProgramHeader, Rel, Sym, Verdef, Writer};
use object::write::{Error, StringId};

use super::Machine;

/// The name of the library.
pub const NAME: &str = "dlsoak-stubs.so";

/// The largest page of a machine that this is written for.
const PAGE: u64 = 0x1_0000;

/// One symbol to stand in for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stub {
    /// Its name.
    pub name: String,
    /// Its version, where the program gives it one.
    pub version: Option<String>,
    /// What it is.
    pub kind: StubKind,
}

/// What a stub is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StubKind {
    /// A function that does not return.
    Function,
    /// Memory that is zero.
    Data {
        /// Its size in bytes.
        size: u64,
        /// What its address is a multiple of, a power of two.
        align: u64,
    },
}

/// Why no library of stubs can be written.
#[derive(Debug, thiserror::Error)]
pub enum StubsError {
    /// There are no stubs for this machine.
    #[error("dlsoak writes stubs for x86-64 and AArch64 alone")]
    Machine,
    /// There are more than a library can hold, or they are too large.
    #[error("the library needs more of it than a file of stubs can hold")]
    TooMany,
    /// The file would be too large.
    #[error("the stubs can't be written: {0}")]
    File(#[from] Error),
}

/// Machines that stubs are written for.
#[derive(Debug, Clone, Copy)]
enum Code {
    X86,
    Arm,
}

impl Code {
    /// What the loader is to do for the cell that the stubs jump through: put the handler's address there.
    fn relocation(self) -> elf::RelocationType {
        match self {
            Self::X86 => elf::R_X86_64_GLOB_DAT,
            Self::Arm => elf::R_AARCH64_GLOB_DAT,
        }
    }

    /// The stub at an address: the first argument becomes the address of its name, and it goes on at what the cell holds. It leaves the
    /// return address as it is, so that the handler seems to be called by who called the stub.
    fn stub(self, at: u64, name: u64, cell: u64) -> [u8; STRIDE as usize] {
        let mut bytes = [0; STRIDE as usize];
        match self {
            Self::X86 => {
                // The machine counts from the next instruction. All of it lies within 2 GiB.
                let from = |next: u64, to: u64| (to.wrapping_sub(at + next) as u32).to_le_bytes();
                // lea name(%rip), %rdi; jmp *cell(%rip); int3...
                bytes.fill(0xcc);
                bytes[..3].copy_from_slice(&[0x48, 0x8d, 0x3d]);
                bytes[3..7].copy_from_slice(&from(7, name));
                bytes[7..9].copy_from_slice(&[0xff, 0x25]);
                bytes[9..13].copy_from_slice(&from(13, cell));
            }
            Self::Arm => {
                // adrp x0, name; add x0, x0, :lo12:name; adrp x16, cell; ldr x16, [x16, :lo12:cell]; br x16; brk #0...
                let page = |to: u64, address: u64| {
                    let pages = (to >> 12).wrapping_sub(address >> 12) as u32;
                    0x9000_0000 | (pages & 3) << 29 | (pages >> 2 & 0x7_ffff) << 5
                };
                let low = |to: u64| (to & 0xfff) as u32;
                let words = [
                    page(name, at),
                    0x9100_0000 | low(name) << 10,
                    page(cell, at + 8) | 16,
                    0xf940_0000 | (low(cell) / 8) << 10 | 16 << 5 | 16,
                    0xd61f_0000 | 16 << 5,
                    0xd420_0000,
                    0xd420_0000,
                    0xd420_0000,
                ];
                for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
                    to.copy_from_slice(&u32::to_le_bytes(word));
                }
            }
        }
        bytes
    }
}

/// Address space that no library takes.
const MOST_BYTES: u64 = 1 << 40;

/// Bytes of the code of each function.
const STRIDE: u64 = 32;

/// Writes a library with these stubs, whose functions hand their names to `handler`, a function that somebody else in the process
/// exports: `void handler(const char *)`.
///
/// # Errors
/// [`StubsError`].
pub fn library(stubs: &[Stub], handler: &str, machine: Machine) -> Result<Vec<u8>, StubsError> {
    let code = match machine {
        Machine::X86_64 => Code::X86,
        Machine::AARCH64 => Code::Arm,
        _ => return Err(StubsError::Machine),
    };
    let mut bytes = Vec::new();
    write(&mut bytes, stubs, handler, machine, code)?;
    Ok(bytes)
}

fn write(
    bytes: &mut Vec<u8>,
    stubs: &[Stub],
    handler: &str,
    machine: Machine,
    code: Code,
) -> Result<(), StubsError> {
    // Version 0 is for what is local, 1 for what has none.
    let mut versions: BTreeMap<&str, u16> = BTreeMap::new();
    for version in stubs.iter().filter_map(|stub| stub.version.as_deref()) {
        let next = u16::try_from(versions.len() + 2).map_err(|_| StubsError::TooMany)?;
        versions.entry(version).or_insert(next);
    }
    let mut versions: Vec<(&str, u16)> = versions.into_iter().collect();
    versions.sort_unstable_by_key(|(_, index)| *index);

    let mut out = Writer::new(Endianness::Little, true, bytes);
    let soname = out.add_dynamic_string(NAME.as_bytes());
    let handler_name = out.add_dynamic_string(handler.as_bytes());
    let names: Vec<StringId> =
        stubs.iter().map(|stub| out.add_dynamic_string(stub.name.as_bytes())).collect();
    let version_names: Vec<StringId> =
        versions.iter().map(|(version, _)| out.add_dynamic_string(version.as_bytes())).collect();
    let functions = stubs.iter().filter(|stub| stub.kind == StubKind::Function).count() as u64;

    out.reserve_hash_section_index();
    out.reserve_dynsym_section_index();
    out.reserve_dynstr_section_index();
    let definitions = if versions.is_empty() { 0 } else { 1 + versions.len() };
    if definitions > 0 {
        out.reserve_gnu_versym_section_index();
        out.reserve_gnu_verdef_section_index();
    }
    out.reserve_dynamic_section_index();
    out.reserve_shstrtab_section_index();

    // Where all of it is: the address of a byte is its place in the file.
    out.reserve_file_header();
    out.reserve_program_headers(SEGMENTS);
    for _ in 0..=stubs.len() {
        out.reserve_dynamic_symbol_index();
    }
    let count = out.dynamic_symbol_count();
    let hash = out.reserve_hash(count, count);
    let dynsym = out.reserve_dynsym();
    let dynstr = out.reserve_dynstr()?;
    let versym = if definitions > 0 { out.reserve_gnu_versym() } else { 0 };
    let verdef = out.reserve_gnu_verdef(definitions as u16, definitions);
    let relocations = out.reserve_relocations(1, true);
    let text = out.reserve(functions * STRIDE, STRIDE);
    let read = out.reserved_len();
    let cell = out.reserve(8, PAGE);
    let entries = [
        (elf::DT_HASH, hash),
        (elf::DT_STRTAB, dynstr),
        (elf::DT_STRSZ, out.dynstr_len().into()),
        (elf::DT_SYMTAB, dynsym),
        (elf::DT_SYMENT, 24),
        (elf::DT_RELA, relocations),
        (elf::DT_RELASZ, 24),
        (elf::DT_RELAENT, 24),
        (elf::DT_SONAME, out.dynamic_string_offset(Some(soname)).into()),
    ];
    let of_versions =
        [(elf::DT_VERSYM, versym), (elf::DT_VERDEF, verdef), (elf::DT_VERDEFNUM, definitions as u64)];
    let of_versions = if definitions > 0 { &of_versions[..] } else { &[] };
    let end_mark = (elf::DT_NULL, 0);
    let entries: Vec<_> = entries.iter().chain(of_versions).chain([&end_mark]).copied().collect();
    let dynamic = out.reserve_dynamic(entries.len());
    let end = out.reserved_len();
    out.reserve_shstrtab()?;
    out.reserve_section_headers();
    let mut zero = end;
    let mut next = text;
    let mut addresses = Vec::with_capacity(stubs.len());
    for stub in stubs {
        addresses.push(match stub.kind {
            StubKind::Function => {
                next += STRIDE;
                next - STRIDE
            }
            StubKind::Data { size, align } => {
                let at = zero.checked_next_multiple_of(align.max(1));
                // A variable of no bytes has an address of its own, too.
                let after = at.and_then(|at| at.checked_add(size.max(1)));
                zero = after.filter(|end| *end < MOST_BYTES).ok_or(StubsError::TooMany)?;
                zero - size.max(1)
            }
        });
    }

    out.write_file_header(&FileHeader {
        e_type: elf::ET_DYN,
        e_machine: elf::Machine(machine.0),
        ..FileHeader::default()
    })?;
    out.write_align_program_headers();
    let segment = |p_type, p_flags, at: u64, filled: u64, size: u64, p_align| ProgramHeader {
        p_type,
        p_flags,
        p_offset: at,
        p_vaddr: at,
        p_paddr: at,
        p_filesz: filled,
        p_memsz: size,
        p_align,
    };
    let writable = elf::PF_R | elf::PF_W;
    let segments: [ProgramHeader; SEGMENTS as usize] = [
        segment(elf::PT_LOAD, elf::PF_R | elf::PF_X, 0, read, read, PAGE),
        segment(elf::PT_LOAD, writable, cell, end - cell, zero - cell, PAGE),
        segment(elf::PT_DYNAMIC, writable, dynamic, end - dynamic, end - dynamic, 8),
        segment(elf::PT_GNU_STACK, writable, 0, 0, 0, 16),
    ];
    for header in &segments {
        out.write_program_header(header);
    }
    let hashes: Vec<u32> = std::iter::once(handler)
        .chain(stubs.iter().map(|stub| stub.name.as_str()))
        .map(|name| elf::hash(name.as_bytes()))
        .collect();
    // The handler is the first symbol after the empty one, and nobody looks it up here.
    out.write_hash(count, count, |index| {
        let index = index.checked_sub(1)? as usize;
        (index > 0).then(|| hashes.get(index).copied()).flatten()
    });
    out.write_null_dynamic_symbol();
    let symbol = |name: u32, kind, address, size, section: u16| Sym {
        section: None,
        st_name: name,
        st_info: elf::SymbolInfo::new(elf::STB_GLOBAL, kind),
        st_other: elf::SymbolOther(0),
        st_shndx: elf::SymbolSection(section),
        st_value: address,
        st_size: size,
    };
    let handler_name = out.dynamic_string_offset(Some(handler_name));
    out.write_dynamic_symbol(&symbol(handler_name, elf::STT_NOTYPE, 0, 0, 0));
    for ((stub, name), address) in stubs.iter().zip(&names).zip(&addresses) {
        let (kind, size) = match stub.kind {
            StubKind::Function => (elf::STT_FUNC, STRIDE),
            StubKind::Data { size, .. } => (elf::STT_OBJECT, size),
        };
        let name = out.dynamic_string_offset(Some(*name));
        // Any section will do that is one: the loader asks only whether there is one.
        out.write_dynamic_symbol(&symbol(name, kind, *address, size, 1));
    }
    out.write_dynstr();
    if definitions > 0 {
        out.write_null_gnu_versym();
        out.write_gnu_versym(elf::VER_NDX_GLOBAL.into());
        for stub in stubs {
            let index =
                |version: &str| versions.iter().find(|(own, _)| *own == version).map(|(_, index)| *index);
            let index = stub.version.as_deref().and_then(index).unwrap_or(elf::VER_NDX_GLOBAL.0);
            out.write_gnu_versym(elf::VersionIndex(index).into());
        }
        out.write_align_gnu_verdef();
        let base = (NAME, elf::VER_NDX_GLOBAL.0);
        let all = std::iter::once((base, soname)).chain(versions.iter().copied().zip(version_names));
        for ((version, index), name) in all {
            let flags = if index == elf::VER_NDX_GLOBAL.0 { elf::VER_FLG_BASE } else { elf::VersionFlags(0) };
            let name = out.dynamic_string_offset(Some(name));
            out.write_gnu_verdef(&Verdef {
                version: 1,
                flags,
                index: elf::VersionIndex(index),
                aux_count: 1,
                name,
                hash: elf::hash(version.as_bytes()),
            });
        }
    }
    out.write_align_relocation();
    out.write_relocation(true, &Rel { r_offset: cell, r_sym: 1, r_type: code.relocation(), r_addend: 0 });
    out.pad_until(text);
    for ((stub, name), address) in stubs.iter().zip(&names).zip(&addresses) {
        if stub.kind == StubKind::Function {
            let name = dynstr + u64::from(out.dynamic_string_offset(Some(*name)));
            out.write(&code.stub(*address, name, cell));
        }
    }
    out.pad_until(cell + 8);
    out.write_align_dynamic();
    for (tag, value) in entries {
        out.write_dynamic(tag, value)?;
    }
    out.write_shstrtab();
    out.write_null_section_header();
    out.write_hash_section_header(hash);
    out.write_dynsym_section_header(dynsym, 1);
    out.write_dynstr_section_header(dynstr);
    out.write_gnu_versym_section_header(versym);
    out.write_gnu_verdef_section_header(verdef);
    out.write_dynamic_section_header(dynamic);
    out.write_shstrtab_section_header();
    Ok(())
}

/// Segments of the file: what is read and run, what is written, the dynamic section, and that the stack is not run.
const SEGMENTS: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Offer, OfferKind, offers, parse, wants};

    fn stub(name: &str, version: Option<&str>, kind: StubKind) -> Stub {
        Stub { name: name.to_owned(), version: version.map(str::to_owned), kind }
    }

    #[test]
    fn a_library_of_stubs_offers_what_a_program_does() {
        let data = |size, align| StubKind::Data { size, align };
        let unversioned = [
            stub("f", None, StubKind::Function),
            stub("table", None, data(100, 64)),
            stub("none", None, data(0, 1)),
            stub("g", None, StubKind::Function),
        ];
        let mut versioned = unversioned.clone();
        versioned[0].version = Some("V_1".to_owned());
        versioned[1].version = Some("V_2".to_owned());
        versioned[3].version = Some("V_1".to_owned());
        for machine in [Machine::X86_64, Machine::AARCH64] {
            for stubs in [&unversioned, &versioned] {
                let bytes = library(stubs, "handler", machine).unwrap();
                let facts = parse(&bytes).unwrap();
                assert_eq!((facts.kind, facts.machine), (Kind::SharedObject, machine));
                assert_eq!((facts.soname.as_deref(), facts.needed.len()), (Some(NAME), 0));
                assert!(!facts.executable_stack && facts.extent < 0x3_0000, "{:#x}", facts.extent);
                assert_eq!(wants(&bytes).unwrap(), ["handler"]);
                let same = |(stub, offer): (&Stub, &Offer)| {
                    let kind = match (stub.kind, offer.kind) {
                        (StubKind::Function, OfferKind::Function) => true,
                        (StubKind::Data { size, align }, OfferKind::Data { size: other, align: at }) => {
                            size == other && at >= align
                        }
                        _ => false,
                    };
                    kind && (&stub.name, &stub.version) == (&offer.name, &offer.version)
                };
                let offers = offers(&bytes).unwrap();
                assert_eq!(offers.len(), stubs.len());
                assert!(stubs.iter().zip(&offers).all(same), "{offers:?}");
            }
        }
        assert!(matches!(library(&unversioned, "h", Machine::RISCV), Err(StubsError::Machine)));
        let large = [stub("a", None, data(u64::MAX, 4096)), stub("b", None, data(1, 4096))];
        assert!(matches!(library(&large, "h", Machine::X86_64), Err(StubsError::TooMany)));
    }

    #[test]
    fn a_stub_is_the_code_that_its_comment_says() {
        // Assembled by GNU as, and read back by objdump.
        let x86 = Code::X86.stub(0x1000, 0x0240, 0x1_0000);
        assert_eq!(x86[..13], [0x48, 0x8d, 0x3d, 0x39, 0xf2, 0xff, 0xff, 0xff, 0x25, 0xf3, 0xef, 0, 0]);
        let arm = Code::Arm.stub(0x1000, 0x0248, 0x1_0010);
        let words: Vec<u32> = arm.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
        // adrp x0, -1 page; add x0, x0, #0x248; adrp x16, +15 pages; ldr x16, [x16, #0x10]; br x16; brk #0
        assert_eq!(
            words[..6],
            [0xf0ff_ffe0, 0x9109_2000, 0xf000_0070, 0xf940_0a10, 0xd61f_0200, 0xd420_0000]
        );
    }
}
