//! Return addresses of a standing thread, by the unwind tables that its objects have in memory: so a file that was
//! deleted or replaced since does no harm. Where there are no tables, frame pointers are followed, as Go keeps them.

use framehop::{
    CacheNative, ExplicitModuleSectionInfo, FrameAddress, MayAllocateDuringUnwind, Module, UnwindRegsNative,
    Unwinder as _, UnwinderNative,
};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use object::{Endianness, elf};

use super::memory::{Backing, Mapping, Memory};
use crate::sys::ptrace::Registers;

/// Most frames of a thread.
const FRAMES: usize = 64;
/// Most bytes of unwind tables of one object.
const TABLES: u64 = 64 << 20;
/// Bytes at the beginning of an object that hold its headers.
const HEADERS: usize = 4096;

type Header = elf::FileHeader64<Endianness>;

/// Unwinds the threads of one process.
pub(super) struct Unwinder<'a> {
    memory: &'a Memory,
    mappings: &'a [Mapping],
    native: UnwinderNative<Vec<u8>, MayAllocateDuringUnwind>,
    cache: CacheNative<MayAllocateDuringUnwind>,
    /// Where the objects begin that were looked at.
    known: Vec<u64>,
}

impl<'a> Unwinder<'a> {
    pub(super) fn new(memory: &'a Memory, mappings: &'a [Mapping]) -> Self {
        Self { memory, mappings, native: UnwinderNative::new(), cache: CacheNative::new(), known: Vec::new() }
    }

    /// The frames of a thread, innermost first; each an address inside the instruction that is under way. The flag
    /// says whether there are more.
    pub(super) fn frames(&mut self, registers: &Registers) -> (Vec<u64>, bool) {
        let mut frames = vec![registers.pc];
        let Some((mut at, mut unwound)) = self.begin(registers, &mut frames) else { return (frames, false) };
        let memory = self.memory;
        let mut read = |address| memory.word(address).ok_or(());
        while frames.len() < FRAMES {
            self.learn(at.address_for_lookup());
            let next = self.native.unwind_frame(at, &mut unwound, &mut self.cache, &mut read);
            let Ok(Some(next)) = next else { return (frames, false) };
            let Some(next) = FrameAddress::from_return_address(next) else { return (frames, false) };
            if !self.is_code(next.address_for_lookup()) {
                return (frames, false);
            }
            frames.push(next.address_for_lookup());
            at = next;
        }
        (frames, true)
    }

    /// Where to begin. A jump to where no code is has left the way back on the stack, or in the link register.
    fn begin(
        &self,
        registers: &Registers,
        frames: &mut Vec<u64>,
    ) -> Option<(FrameAddress, UnwindRegsNative)> {
        if self.is_code(registers.pc) {
            return Some((
                FrameAddress::from_instruction_pointer(registers.pc),
                unwind_registers(registers, registers.sp),
            ));
        }
        let (back, sp) = if cfg!(target_arch = "x86_64") {
            (self.memory.word(registers.sp)?, registers.sp.wrapping_add(8))
        } else {
            (registers.lr, registers.sp)
        };
        let back = FrameAddress::from_return_address(back)?;
        if !self.is_code(back.address_for_lookup()) {
            return None;
        }
        frames.push(back.address_for_lookup());
        Some((back, unwind_registers(registers, sp)))
    }

    fn is_code(&self, address: u64) -> bool {
        self.mappings.iter().any(|mapping| mapping.contains(address) && mapping.is_code())
    }

    /// Adds the tables of the object at this address.
    fn learn(&mut self, address: u64) {
        let Some((base, end)) = extent(self.mappings, address) else { return };
        if self.known.contains(&base) {
            return;
        }
        self.known.push(base);
        if let Some(module) = self.module(base, end) {
            self.native.add_module(module);
        }
    }

    fn module(&self, base: u64, end: u64) -> Option<Module<Vec<u8>>> {
        let headers = self.memory.bytes(base, HEADERS)?;
        let header = Header::parse(headers.as_slice()).ok()?;
        let endian = header.endian().ok()?;
        let segments = header.program_headers(endian, headers.as_slice()).ok()?;
        let loaded = |s: &&elf::ProgramHeader64<Endianness>| s.p_type(endian) == elf::PT_LOAD;
        let first = segments.iter().find(loaded)?;
        // What has to be added to an address in the file's own count.
        let bias = base.wrapping_sub(first.p_vaddr(endian).wrapping_sub(first.p_offset(endian)));
        let index = segments.iter().find(|s| s.p_type(endian) == elf::PT_GNU_EH_FRAME)?;
        let (hdr, hdr_len) = (index.p_vaddr(endian), index.p_memsz(endian));
        let hdr_bytes =
            self.memory.bytes(bias.wrapping_add(hdr), usize::try_from(hdr_len.min(TABLES)).ok()?)?;
        // Linux Standard Base, "The .eh_frame_hdr section": with the encoding that all linkers use, a signed distance.
        const RELATIVE_SIGNED_4: u8 = 0x1b;
        let [1, RELATIVE_SIGNED_4, _, _, a, b, c, d, ..] = *hdr_bytes.as_slice() else { return None };
        let distance = i64::from(i32::from_le_bytes([a, b, c, d]));
        let table = hdr.wrapping_add(4).wrapping_add_signed(distance);
        let within = segments.iter().filter(loaded).find(|s| {
            (s.p_vaddr(endian)..s.p_vaddr(endian).saturating_add(s.p_filesz(endian))).contains(&table)
        })?;
        let table_end = within.p_vaddr(endian).saturating_add(within.p_filesz(endian));
        let len = table_end.saturating_sub(table).min(TABLES);
        let table_bytes = self.memory.bytes(bias.wrapping_add(table), usize::try_from(len).ok()?)?;
        let info = ExplicitModuleSectionInfo {
            base_svma: 0,
            eh_frame_svma: Some(table..table.saturating_add(len)),
            eh_frame: Some(table_bytes),
            eh_frame_hdr_svma: Some(hdr..hdr.saturating_add(hdr_len)),
            eh_frame_hdr: Some(hdr_bytes),
            ..Default::default()
        };
        Some(Module::new(String::new(), base..end, bias, info))
    }
}

/// Where the object begins and ends that an address belongs to.
pub(super) fn extent(mappings: &[Mapping], address: u64) -> Option<(u64, u64)> {
    let at = mappings.iter().position(|mapping| mapping.contains(address))?;
    let of = &mappings[at].of;
    if *of == Backing::Other || *of == Backing::Stack {
        return None;
    }
    // Back to where its headers are. What lies between is its own memory without a file, or a hole.
    let first = mappings[..=at].iter().rposition(|mapping| mapping.of == *of && mapping.offset == 0)?;
    let rest = mappings.get(at + 1..).unwrap_or_default();
    let last = rest.iter().take_while(|mapping| mapping.of == *of && mapping.offset != 0).last();
    Some((mappings[first].start, last.map_or(mappings[at].end, |mapping| mapping.end)))
}

#[cfg(target_arch = "x86_64")]
fn unwind_registers(registers: &Registers, sp: u64) -> UnwindRegsNative {
    UnwindRegsNative::new(registers.pc, sp, registers.fp)
}

#[cfg(target_arch = "aarch64")]
fn unwind_registers(registers: &Registers, sp: u64) -> UnwindRegsNative {
    // Addresses of user space have 48 bits, or 52 where asked for; above are pointer authentication codes.
    let mask = framehop::aarch64::PtrAuthMask::from_max_known_address((1 << 52) - 1);
    UnwindRegsNative::new_with_ptr_auth_mask(mask, registers.lr, sp, registers.fp)
}
