//! The process's own memory without a file, as `/proc/self/maps` lists it, and reading it word by word.

use core::ffi::c_int;
use core::ops::Range;

use dlsoak_wire::pointers::Memory;

use crate::c;
use crate::text::{Text, each_number_in};

/// Bytes of a list that are read at a time. A line of it may have a name of 4,096 bytes, each of which may be spelt by four.
const PART: usize = 32 << 10;
/// Mappings that are searched, at most.
const MAPPINGS: usize = 4096;
/// Threads besides the calling one that are known, at most.
const THREADS: usize = 512;
/// Bytes that are copied at a time where memory may go while it is read.
const CHUNK: usize = 64 << 10;

/// Memory to be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) low: usize,
    pub(super) high: usize,
    pub(super) memory: Memory,
    /// It stays while it is read, so that it need not be copied.
    pub(super) is_sure: bool,
}

impl Area {
    /// Calls `each` with the address and the value of every aligned word whose value lies in `wanted`. That is asked first and here,
    /// because it is false of nearly all.
    #[inline]
    pub(super) fn words(&self, wanted: &Range<usize>, each: &mut dyn FnMut(usize, usize)) {
        let (low, high) = (self.low.next_multiple_of(8), self.high & !7);
        let (from, len) = (wanted.start, wanted.end.saturating_sub(wanted.start));
        let is_wanted = |value: usize| value.wrapping_sub(from) < len;
        if self.is_sure {
            // SAFETY: the area is there while it is read, by who made it.
            let read = |place| unsafe { core::ptr::with_exposed_provenance::<usize>(place).read_volatile() };
            let mut place = low;
            while place < high {
                // Eight at a time, which takes three quarters of the time that one at a time takes.
                let end = (place + 64).min(high);
                let none = end - place == 64
                    && !(0..8).fold(false, |any, word| any | is_wanted(read(place + word * 8)));
                while !none && place < end {
                    let value = read(place);
                    if is_wanted(value) {
                        each(place, value);
                    }
                    place += 8;
                }
                place = end;
            }
            return;
        }
        let mut copy = [0_u8; CHUNK];
        let mut at = low;
        while at < high {
            let wanted = CHUNK.min(high - at);
            let copied = c::peek_bytes(at, &mut copy[..wanted]);
            for (index, word) in copy[..copied].chunks_exact(8).enumerate() {
                let Some(word) = word.first_chunk() else { break };
                let value = usize::from_ne_bytes(*word);
                if is_wanted(value) {
                    each(at + index * 8, value);
                }
            }
            at += wanted;
        }
    }

    /// Calls `each` with the parts that are in memory and whose pages are not `taken`, which says up to which address they are.
    pub(super) fn free_of(&self, taken: &dyn Fn(usize) -> Option<usize>, each: &mut dyn FnMut(Self)) {
        const PAGES: usize = 1024;
        let size = c::page();
        let mut present = [0_u8; PAGES];
        let mut part = Self { high: self.low, ..*self };
        let mut at = self.low & !(size - 1);
        while at < self.high {
            if let Some(end) = taken(at) {
                // A reservation may be large, so the kernel is not asked about its pages.
                if part.low < part.high {
                    each(part);
                }
                at = end.max(at + size).min(self.high);
                (part.low, part.high) = (at, at);
                continue;
            }
            let pages = PAGES.min((self.high - at).div_ceil(size));
            let address = core::ptr::with_exposed_provenance_mut(at);
            // SAFETY: the vector has a byte for each page; the kernel checks the address.
            if unsafe { c::mincore(address, pages * size, present.as_mut_ptr()) } != 0 {
                present[..pages].fill(1);
            }
            for (index, here) in present[..pages].iter().enumerate() {
                let page = at + index * size;
                let end = (page + size).min(self.high);
                if here & 1 == 0 || taken(page).is_some() {
                    if part.low < part.high {
                        each(part);
                    }
                    (part.low, part.high) = (end, end);
                } else {
                    part.high = end;
                }
            }
            at += pages * size;
        }
        if part.low < part.high {
            each(part);
        }
    }
}

/// The mappings to be searched.
pub(super) struct Maps {
    areas: [(usize, usize, u32); MAPPINGS],
    used: usize,
    threads: [usize; THREADS],
    threads_used: usize,
    /// There was room for all of it.
    pub(super) is_whole: bool,
}

impl Maps {
    /// Reads the list anew. `stack_from` is the first address of the stack of the thread that runs `main` that is to be searched. Wants
    /// `all` memory that may be written, or else that which is the process's own and in use.
    pub(super) fn read(&mut self, stack_from: usize, all: bool) {
        self.find_threads();
        self.used = 0;
        let mut guard_end = 0;
        let mut lines = Lines::of(c"/proc/self/maps");
        self.is_whole = lines.file.0 >= 0;
        let pages = PageTable::of_this_process();
        while let Some(line) = lines.next() {
            let Some(mapping) = parse(line, all) else { continue };
            pages.parts(&mapping, &mut |low, high, is_guard| {
                if !is_guard {
                    self.add(low, high, &mapping, guard_end == low, stack_from, all);
                }
                guard_end = if is_guard { high } else { 0 };
            });
        }
    }

    /// Adds what is wanted of a mapping, or of a part of it.
    fn add(
        &mut self,
        low: usize,
        high: usize,
        mapping: &Mapping<'_>,
        is_above_guard: bool,
        stack_from: usize,
        all: bool,
    ) {
        let (mut from, mut memory) = (low, Memory::Anonymous);
        let mut is_wanted = mapping.is_data;
        if mapping.name == b"[stack]" {
            (from, memory) = (low.max(stack_from), Memory::Stack);
        } else if mapping.is_data && is_above_guard {
            // The stack of a thread, or of one that has ended, which glibc keeps for the next.
            let pointers = &self.threads[..self.threads_used];
            let pointer = pointers.iter().find(|pointer| low <= **pointer && **pointer < high);
            (from, memory) = (pointer.copied().unwrap_or(low), Memory::Stack);
            // A thread that runs does not say how much of it is in use.
            is_wanted = all || pointer.is_some();
        }
        if is_wanted && from < high {
            self.is_whole &= self.used < MAPPINGS;
            if let Some(area) = self.areas.get_mut(self.used) {
                *area = (from, high, memory as u32);
                self.used += 1;
            }
        }
    }

    pub(super) fn areas(&self, each: &mut dyn FnMut(Area)) {
        for (low, high, memory) in &self.areas[..self.used] {
            let memory = Memory::from_u32(*memory).unwrap_or(Memory::Anonymous);
            each(Area { low: *low, high: *high, memory, is_sure: false });
        }
    }

    /// Stack pointers of all other threads that wait in the kernel.
    fn find_threads(&mut self) {
        self.threads_used = 0;
        let own = c::thread_id();
        each_number_in(c"/proc/self/task", |thread| {
            if thread != own
                && let Some(pointer) = stack_pointer(thread)
                && let Some(room) = self.threads.get_mut(self.threads_used)
            {
                *room = pointer;
                self.threads_used += 1;
            }
        });
    }
}

/// The stack pointer of a thread that waits, from `/proc/self/task/TID/syscall`: the last but one number.
fn stack_pointer(thread: c_int) -> Option<usize> {
    let path = Text::EMPTY.with(b"/proc/self/task/").with_number(thread).with(b"/syscall");
    let mut text = [0_u8; 256];
    let len = read_file(path.as_c_str(), &mut text);
    let mut numbers = text[..len].trim_ascii().rsplit(|byte| *byte == b' ');
    let _program_counter = numbers.next()?;
    hexadecimal(numbers.next()?.strip_prefix(b"0x")?)
}

/// A line of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mapping<'a> {
    low: usize,
    high: usize,
    /// It is private data without a file, or, where `all` is wanted, may be written.
    is_data: bool,
    /// Nothing may be done with it.
    is_guard: bool,
    /// Empty for memory without a file.
    name: &'a [u8],
}

fn parse(line: &[u8], all: bool) -> Option<Mapping<'_>> {
    let mut rest = line;
    let low = hexadecimal(word(&mut rest, b'-'))?;
    let high = hexadecimal(word(&mut rest, b' '))?;
    let [access, _offset, _device, inode] = core::array::from_fn(|_| word(&mut rest, b' '));
    let name = word(&mut rest, b' ');
    let without_file = inode == b"0" && (name.is_empty() || name == b"[heap]" || name.starts_with(b"[anon"));
    let is_own = (without_file || name == b"[stack]") && access.ends_with(b"p");
    let is_data = (is_own || all) && access.starts_with(b"rw");
    Some(Mapping { low, high, is_data, is_guard: access.starts_with(b"---"), name })
}

/// Takes the next word, which ends before `end` or with the line. Seven copies of it in [`parse`] take 1,000 bytes.
#[inline(never)]
fn word<'a>(rest: &mut &'a [u8], end: u8) -> &'a [u8] {
    let line = rest.trim_ascii_start();
    let mut parts = line.splitn(2, |byte| *byte == end);
    let word = parts.next().unwrap_or(line);
    *rest = parts.next().unwrap_or(&[]);
    word
}

/// `/proc/self/pagemap`, which has an entry of 64 bits for each page.
struct PageTable(Opened);

impl PageTable {
    /// Bits of an entry: the page is a guard, since Linux 6.15; it is in swap space, as the kernel also says of guards, since 6.13.
    const GUARD: u64 = 1 << 58;
    const SWAPPED: u64 = 1 << 62;
    /// Pages that are looked at in one mapping, at most: 4 GiB of the usual ones.
    const MOST: usize = 1 << 20;

    fn of_this_process() -> Self {
        Self(Opened::at(c"/proc/self/pagemap"))
    }

    /// Calls `each` with the parts of a mapping: low and high address, and whether it is a guard. Since glibc 2.42 the guard of a thread's stack
    /// lies inside of the mapping that the stack is part of (`MADV_GUARD_INSTALL`), and stacks side by side are one mapping. With the tunable
    /// `glibc.mem.decorate_maps` such a mapping has a name.
    fn parts(&self, mapping: &Mapping<'_>, each: &mut dyn FnMut(usize, usize, bool)) {
        const ENTRIES: usize = 512;
        let size = c::page();
        let (mut from, mut was_guard) = (mapping.low, mapping.is_guard);
        let mut at = mapping.low;
        let pages = (mapping.high - mapping.low) / size;
        let has_parts = mapping.is_data && pages <= Self::MOST;
        while has_parts && at < mapping.high {
            let mut entries = [0_u64; ENTRIES];
            let wanted = ENTRIES.min((mapping.high - at) / size);
            let read = self.read(at / size, &mut entries[..wanted]);
            for (index, entry) in entries[..read].iter().enumerate() {
                let here = at + index * size;
                let may_be = entry & (Self::GUARD | Self::SWAPPED) != 0;
                let is_guard = may_be && c::peek_bytes(here, &mut [0]) == 0;
                if is_guard != was_guard && from < here {
                    each(from, here, was_guard);
                    from = here;
                }
                was_guard = is_guard;
            }
            at += wanted * size;
        }
        each(from, mapping.high, was_guard);
    }

    /// Reads entries from that of this page on; how many.
    fn read(&self, page: usize, entries: &mut [u64]) -> usize {
        const BEGIN: c_int = 0;
        // SAFETY: the words are the caller's, and any bytes make a word.
        let room =
            unsafe { core::slice::from_raw_parts_mut(entries.as_mut_ptr().cast(), size_of_val(entries)) };
        // SAFETY: this takes numbers.
        unsafe { c::lseek(self.0.0, (page * size_of::<u64>()) as i64, BEGIN) };
        self.0.read(room) / size_of::<u64>()
    }
}

fn hexadecimal(digits: &[u8]) -> Option<usize> {
    let with = |number: usize, digit: &u8| Some(number << 4 | char::from(*digit).to_digit(16)? as usize);
    digits.first().and_then(|_| digits.iter().try_fold(0, with))
}

/// A file that is open for reading, or was not to be opened.
struct Opened(c_int);

impl Opened {
    fn at(path: &core::ffi::CStr) -> Self {
        // SAFETY: the path ends in NUL.
        Self(unsafe { c::open(path.as_ptr(), c::O_RDONLY | c::O_CLOEXEC) })
    }

    /// Reads as far as there is room; how many bytes, 0 at the end.
    fn read(&self, room: &mut [u8]) -> usize {
        // SAFETY: the room is the caller's.
        usize::try_from(unsafe { c::read(self.0, room.as_mut_ptr().cast(), room.len()) }).unwrap_or(0)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if self.0 >= 0 {
            // SAFETY: it was opened here, and nobody else has it.
            unsafe { c::close(self.0) };
        }
    }
}

/// The lines of a file, which is read a part at a time: the whole list of a large process takes a megabyte.
struct Lines {
    file: Opened,
    part: [u8; PART],
    /// Where the next line begins, and where the part ends.
    from: usize,
    to: usize,
}

impl Lines {
    fn of(path: &core::ffi::CStr) -> Self {
        Self { file: Opened::at(path), part: [0; PART], from: 0, to: 0 }
    }

    /// The next line, without its end.
    fn next(&mut self) -> Option<&[u8]> {
        loop {
            let rest = self.from..self.to;
            if let Some(len) = self.part[rest.clone()].iter().position(|byte| *byte == b'\n') {
                self.from += len + 1;
                return Some(&self.part[rest.start..rest.start + len]);
            }
            self.part.copy_within(rest, 0);
            (self.from, self.to) = (0, self.to - self.from);
            let read = self.file.read(&mut self.part[self.to..]);
            if read == 0 {
                return None;
            }
            self.to += read;
        }
    }
}

/// Reads a file as far as there is room; how many bytes.
fn read_file(path: &core::ffi::CStr, to: &mut [u8]) -> usize {
    let file = Opened::at(path);
    let mut len = 0;
    while len < to.len() {
        match file.read(&mut to[len..]) {
            0 => break,
            count => len += count,
        }
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_told_apart() {
        let heap = b"55d4-55e5 rw-p 00000000 00:00 0                          [heap]";
        let mapping = Mapping { low: 0x55d4, high: 0x55e5, is_data: true, is_guard: false, name: b"[heap]" };
        assert_eq!(parse(heap, false), Some(mapping));
        let guard = b"7f00-7f10 ---p 00000000 00:00 0 ";
        let mapping = Mapping { low: 0x7f00, high: 0x7f10, is_data: false, is_guard: true, name: b"" };
        assert_eq!(parse(guard, true), Some(mapping));
        let file = b"7f00-7f10 rw-p 00002000 fe:00 1234   /usr/lib/libc.so.6";
        let shared = b"7f00-7f10 rw-s 00000000 00:01 7      /memfd:pool";
        let code = b"7f00-7f10 r-xp 00002000 fe:00 1234   /usr/lib/libc.so.6";
        for (line, own, all) in [(&file[..], false, true), (shared, false, true), (code, false, false)] {
            assert_eq!([false, true].map(|all| parse(line, all).unwrap().is_data), [own, all]);
        }
        assert_eq!(parse(b"", false), None);
    }

    #[test]
    fn a_guard_inside_of_a_mapping_parts_it() {
        /// Since Linux 6.13.
        const MADV_GUARD_INSTALL: c_int = 102;
        let size = c::page();
        let memory = c::map(8 * size).unwrap();
        let low = memory.as_ptr() as usize;
        let parts = |name: &[u8]| {
            let mapping = Mapping { low, high: low + 8 * size, is_data: true, is_guard: false, name };
            let mut parts = std::vec::Vec::new();
            PageTable::of_this_process().parts(&mapping, &mut |from, to, is_guard| {
                parts.push(((from - low) / size, (to - low) / size, is_guard))
            });
            parts
        };
        assert_eq!(parts(b""), [(0, 8, false)]);
        // SAFETY: these pages are this test's.
        let mut install = |page: usize, pages: usize| unsafe {
            c::madvise(memory.as_mut_ptr().add(page * size).cast(), pages * size, MADV_GUARD_INSTALL)
        };
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut numbers = release.split(['.', '-']).map(|number| number.trim().parse::<u32>().unwrap_or(0));
        let has_guards = (numbers.next(), numbers.next()) >= (Some(6), Some(13));
        assert_eq!([install(0, 1), install(4, 2)].map(|result| result == 0), [has_guards; 2]);
        let all = [(0, 1, true), (1, 4, false), (4, 6, true), (6, 8, false)];
        for name in [&b""[..], b"[anon:"] {
            assert_eq!(parts(name), if has_guards { &all[..] } else { &[(0, 8, false)] });
        }
    }

    #[test]
    fn lines_are_whole_where_the_parts_of_a_file_are_not() {
        let path = std::env::temp_dir().join(format!("dlsoak-lines-{}", std::process::id()));
        let written: std::vec::Vec<std::string::String> =
            (0..5000).map(|line| "x".repeat(line % 97)).collect();
        std::fs::write(&path, written.join("\n") + "\n").unwrap();
        let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        let mut lines = Lines::of(&name);
        for line in &written {
            assert_eq!(lines.next(), Some(line.as_bytes()));
        }
        assert_eq!(lines.next(), None);
        std::fs::remove_file(path).unwrap();
        assert_eq!(Lines::of(&name).next(), None);
    }

    #[test]
    fn parts_that_are_taken_or_absent_are_left_out() {
        let size = c::page();
        let memory = c::map(8 * size).unwrap();
        let low = memory.as_ptr() as usize;
        memory[3 * size + 8] = 1;
        let area = Area { low: low + 16, high: low + 8 * size, memory: Memory::Anonymous, is_sure: false };
        let mut parts = std::vec::Vec::new();
        area.free_of(&|page| (page == low + 2 * size).then_some(page + size), &mut |part| {
            parts.push((part.low - low, part.high - low))
        });
        assert_eq!(parts, [(16, 2 * size), (3 * size, 8 * size)]);
        let mut found = std::vec::Vec::new();
        area.words(&(1..usize::MAX), &mut |place, value| found.push((place - low, value)));
        assert_eq!(found, [(3 * size + 8, 1)]);
    }

    #[test]
    fn a_thread_that_waits_has_a_stack_pointer() {
        let (send, receive) = std::sync::mpsc::channel::<()>();
        let (id, ids) = std::sync::mpsc::channel();
        let waiting = std::thread::spawn(move || {
            let local = 0_usize;
            id.send((c::thread_id(), &raw const local as usize)).unwrap();
            let _ = receive.recv();
        });
        let (thread, local) = ids.recv().unwrap();
        let pointer = loop {
            if let Some(pointer) = stack_pointer(thread) {
                break pointer;
            }
            c::sched_yield();
        };
        assert!(pointer < local && local - pointer < 64 << 10, "{pointer:#x} {local:#x}");
        drop(send);
        waiting.join().unwrap();
    }
}
