//! A malloc that can say what is alive: for the pass that looks for stale pointers, where each live block is searched, and nothing else
//! may be taken for one.
//!
//! All blocks lie in one reservation, one behind the other, each behind a header with its size and the return address of the call
//! that allocated it. What is freed is wiped at once, so that no pointer survives in a dead block or in the unused end of its
//! successor: with glibc's, `glibc.malloc.perturb` leaves what lies in thread caches as it was. Blocks of one size class are used
//! again. What does not fit into the reservation comes from glibc, and is not searched.

use core::ffi::{c_int, c_void};
use core::ops::Range;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use crate::c;

/// What is reserved at most, and at least: address space alone, which costs nothing until it is touched.
const MOST: usize = 64 << 30;
const LEAST: usize = 64 << 20;
/// Bytes of a header: the size with two flags, and the site.
pub const HEADER: usize = 16;
/// Flags in the lowest bits of the size, of which multiples of 16 have no use.
const LIVE: usize = 1;
const REACHED: usize = 2;
const FLAGS: usize = 15;
/// Up to here each multiple of 16 bytes is a class of its own; above, each power of two has four.
const SMALL: usize = 1024;
const CLASSES: usize = SMALL / 16 + 4 * 40;
/// Freed blocks from this size on give their memory back to the kernel, which is quicker than to wipe it.
const LARGE: usize = 256 << 10;

/// Where the reservation begins, where it ends, and where the first unused byte is.
static BASE: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);
static USED: AtomicUsize = AtomicUsize::new(0);
/// Bits of an offset within a stretch of the reservation.
const STRETCH: u32 = 20;
/// The first header in each stretch, so that the block around an address is found without a walk over all before; 0 where none begins there.
static FIRST: [AtomicUsize; MOST >> STRETCH] = [const { AtomicUsize::new(0) }; MOST >> STRETCH];
/// The first free block of each class; the next one is in the block's first word.
static FREE: [AtomicUsize; CLASSES] = [const { AtomicUsize::new(0) }; CLASSES];
/// Not 0 while a thread holds the lock.
static LOCK: AtomicU32 = AtomicU32::new(0);
/// Tries after which a lock counts as lost: in a child that was forked while another thread held it, nobody will give it back.
const LOST: u32 = 100_000;

/// A live block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Its first byte.
    pub start: usize,
    /// Bytes that may be used.
    pub size: usize,
    /// The return address of the call that allocated it.
    pub site: usize,
    header: usize,
}

/// While this lives, no other thread changes anything here.
struct Locked;

impl Locked {
    fn take() -> Self {
        for _ in 0..LOST {
            if LOCK.swap(1, Acquire) == 0 {
                break;
            }
            c::sched_yield();
        }
        Self
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        LOCK.store(0, Release);
    }
}

/// A word of a header or of a block.
///
/// # Safety
/// The address is that of a word in the used part of the reservation.
unsafe fn word(at: usize) -> *mut usize {
    core::ptr::with_exposed_provenance_mut(at)
}

/// The class of a block of this many bytes, header included, that holds at least as many; and how many each of the class has.
fn class(bytes: usize) -> (usize, usize) {
    let bytes = bytes.next_multiple_of(16);
    if bytes <= SMALL {
        return (bytes / 16 - 1, bytes);
    }
    // The power of two below, in four steps.
    let power = (bytes - 1).ilog2() as usize;
    let step = 1 << (power - 2);
    let steps = (bytes - (1 << power)).div_ceil(step);
    (SMALL / 16 + (power - 10) * 4 + steps - 1, (1 << power) + steps * step)
}

/// The class whose blocks a block of this many bytes can serve as.
fn class_below(bytes: usize) -> Option<usize> {
    let (number, size) = class(bytes.max(16));
    if size == bytes { Some(number) } else { number.checked_sub(1) }
}

fn reserve() -> bool {
    if BASE.load(Relaxed) != 0 {
        return true;
    }
    let mut len = MOST;
    while len >= LEAST {
        let access = c::PROT_READ | c::PROT_WRITE;
        let flags = c::MAP_PRIVATE | c::MAP_ANONYMOUS | c::MAP_NORESERVE;
        // SAFETY: a new mapping at an address that the kernel chooses touches nothing that exists.
        let at = unsafe { c::mmap(core::ptr::null_mut(), len, access, flags, -1, 0) };
        if at as isize != -1 {
            let at = at.expose_provenance();
            USED.store(at, Relaxed);
            END.store(at + len, Relaxed);
            BASE.store(at, Relaxed);
            return true;
        }
        len /= 2;
    }
    false
}

/// Allocates; null where there is no room. All bytes are 0.
pub fn allocate(size: usize, align: usize, site: usize) -> *mut c_void {
    let Some(bytes) = size.max(1).checked_add(HEADER).filter(|bytes| *bytes < MOST) else {
        return core::ptr::null_mut();
    };
    let _locked = Locked::take();
    if !reserve() {
        return core::ptr::null_mut();
    }
    let (number, bytes) = class(bytes);
    let header = if align <= 16 { reuse(number) } else { 0 };
    let header = if header == 0 { extend(bytes, align) } else { header };
    if header == 0 {
        return core::ptr::null_mut();
    }
    // SAFETY: both lie in the used part of the reservation; the second is where the next free block was noted.
    unsafe {
        if word(header).read() == 0 {
            word(header).write(bytes);
        }
        word(header).write(word(header).read() & !FLAGS | LIVE);
        word(header + 8).write(site);
        word(header + HEADER).write(0);
    }
    core::ptr::with_exposed_provenance_mut(header + HEADER)
}

/// Takes a free block of this class; 0 where there is none.
fn reuse(number: usize) -> usize {
    let header = FREE[number].load(Relaxed);
    if header != 0 {
        // SAFETY: a free block's first word is the next one.
        FREE[number].store(unsafe { word(header + HEADER).read() }, Relaxed);
    }
    header
}

/// Takes new memory for a block whose first byte is aligned; 0 where there is none.
fn extend(bytes: usize, align: usize) -> usize {
    let used = USED.load(Relaxed);
    let Some(first) = (used + HEADER).checked_next_multiple_of(align.max(16)) else { return 0 };
    let header = first - HEADER;
    let Some(end) = header.checked_add(bytes).filter(|end| *end <= END.load(Relaxed)) else { return 0 };
    // SAFETY: the memory up to `end` is the reservation's, and unused.
    unsafe {
        if header > used {
            // What lies before is a block that is not alive.
            word(used).write(header - used);
        }
        word(header).write(bytes);
    }
    let first = FIRST.get((header - BASE.load(Relaxed)) >> STRETCH);
    if let Some(first) = first.filter(|first| first.load(Relaxed) == 0) {
        first.store(header, Relaxed);
    }
    USED.store(end, Relaxed);
    header
}

/// Whether an address is in the used part of the reservation.
#[inline(always)]
pub fn is_inside(address: usize) -> bool {
    let base = BASE.load(Relaxed);
    base != 0 && address >= base && address < USED.load(Relaxed)
}

/// The used part of the reservation.
pub fn used() -> Range<usize> {
    BASE.load(Relaxed)..USED.load(Relaxed)
}

/// The reservation; `(0, 0)` where there is none.
pub fn extent() -> (usize, usize) {
    (BASE.load(Relaxed), END.load(Relaxed))
}

/// Bytes that may be used of a block that [`allocate`] gave.
///
/// # Safety
/// The block is alive.
pub unsafe fn usable(block: *mut c_void) -> usize {
    // SAFETY: the caller's block has a header.
    unsafe { (word(block.expose_provenance() - HEADER).read() & !FLAGS) - HEADER }
}

/// Frees a block and wipes it.
///
/// # Safety
/// The block came from [`allocate`].
pub unsafe fn free(block: *mut c_void) {
    let start = block.expose_provenance();
    let header = start - HEADER;
    let _locked = Locked::take();
    // SAFETY: the caller's block has a header, and its bytes are the reservation's.
    unsafe {
        let state = word(header).read();
        if state & LIVE == 0 {
            // Freed twice: glibc ends the process.
            c::give_up();
        }
        let bytes = state & !FLAGS;
        let page = c::page();
        let (low, high) = (start.next_multiple_of(page), (header + bytes) & !(page - 1));
        if bytes >= LARGE && c::madvise(word(low).cast(), high - low, c::MADV_DONTNEED) == 0 {
            core::ptr::write_bytes(block.cast::<u8>(), 0, low - start);
            core::ptr::write_bytes(word(high).cast::<u8>(), 0, header + bytes - high);
        } else {
            core::ptr::write_bytes(block.cast::<u8>(), 0, bytes - HEADER);
        }
        word(header).write(bytes);
        word(header + 8).write(0);
        if let Some(number) = class_below(bytes).filter(|_| bytes > HEADER) {
            word(start).write(FREE[number].load(Relaxed));
            FREE[number].store(header, Relaxed);
        }
    }
}

/// The live blocks in order of address. Nothing may be allocated meanwhile.
pub struct Blocks {
    header: usize,
    used: usize,
}

/// All live blocks.
pub fn blocks() -> Blocks {
    Blocks { header: BASE.load(Relaxed), used: USED.load(Relaxed) }
}

impl Blocks {
    /// The live block around an address in the used part. Each is asked for in order of address, so that nothing is walked over twice.
    pub fn around(&mut self, address: usize) -> Option<Block> {
        let stretches = &FIRST[..=((address - BASE.load(Relaxed)) >> STRETCH).min(FIRST.len() - 1)];
        let before = |header: &usize| *header != 0 && *header <= address;
        let near = stretches.iter().rev().map(|first| first.load(Relaxed)).find(before);
        self.header = self.header.max(near.unwrap_or(0));
        loop {
            let header = self.header;
            let block = self.next()?;
            if address < block.start + block.size {
                // It may be asked for again.
                self.header = header;
                return (block.start <= address).then_some(block);
            }
        }
    }
}

impl Iterator for Blocks {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        while self.header != 0 && self.header < self.used {
            let header = self.header;
            // SAFETY: blocks lie one behind the other in the used part.
            let (state, site) = unsafe { (word(header).read(), word(header + 8).read()) };
            let bytes = state & !FLAGS;
            if bytes == 0 {
                // Somebody wrote over it.
                return None;
            }
            self.header += bytes;
            if state & LIVE != 0 {
                return Some(Block { start: header + HEADER, size: bytes - HEADER, site, header });
            }
        }
        None
    }
}

impl Block {
    /// Notes that it can be reached; false where that was noted before.
    pub fn reach(&self) -> bool {
        // SAFETY: the block is alive, so its header is there.
        unsafe {
            let state = word(self.header).read();
            word(self.header).write(state | REACHED);
            state & REACHED == 0
        }
    }

    /// Takes back that it can be reached.
    pub fn forget(&self) {
        // SAFETY: as above.
        unsafe { word(self.header).write(word(self.header).read() & !REACHED) }
    }

    /// Whether that was noted.
    pub fn is_reached(&self) -> bool {
        // SAFETY: as above.
        unsafe { word(self.header).read() & REACHED != 0 }
    }
}

/// Where blocks begin, so that the block around an address can be found: a bit for each 16 bytes of the used part.
pub struct Starts {
    bits: &'static mut [u8],
    base: usize,
}

impl Starts {
    /// Looks at all live blocks.
    ///
    /// # Errors
    /// When there is no memory: an error number.
    pub fn new() -> Result<Self, c_int> {
        let base = BASE.load(Relaxed);
        let bits = c::map(((USED.load(Relaxed) - base) / 128 + 1).next_multiple_of(c::page()))?;
        for block in blocks() {
            let bit = (block.header - base) / 16;
            bits[bit / 8] |= 1 << (bit % 8);
        }
        Ok(Self { bits, base })
    }

    /// The live block around an address.
    pub fn block(&self, address: usize) -> Option<Block> {
        if !is_inside(address) {
            return None;
        }
        let bit = (address - self.base) / 16;
        let mut at = bit / 8;
        let mut byte = *self.bits.get(at)? & (0xff_u8 >> (7 - bit % 8));
        while byte == 0 {
            at = at.checked_sub(1)?;
            byte = self.bits[at];
        }
        let header = self.base + (at * 8 + 7 - byte.leading_zeros() as usize) * 16;
        // SAFETY: a live block begins there.
        let (state, site) = unsafe { (word(header).read(), word(header + 8).read()) };
        let block = Block { start: header + HEADER, size: (state & !FLAGS) - HEADER, site, header };
        (address >= block.start && address < block.start + block.size).then_some(block)
    }
}

#[cfg(all(dlsoak_program, dlsoak_pointers))]
mod interposed {
    //! The functions themselves, each with the return address of its caller handed on.

    use core::ffi::{c_int, c_void};
    use core::ptr::null_mut;

    use super::{allocate, free as give_back, is_inside, usable};
    use crate::c;

    c::with_caller! {
        malloc -> malloc_from, "rsi", "x1";
        calloc -> calloc_from, "rdx", "x2";
        realloc -> realloc_from, "rdx", "x2";
        reallocarray -> reallocarray_from, "rcx", "x3";
        memalign -> memalign_from, "rdx", "x2";
        aligned_alloc -> memalign_from, "rdx", "x2";
        posix_memalign -> posix_memalign_from, "rcx", "x3";
        valloc -> valloc_from, "rsi", "x1";
        pvalloc -> valloc_from, "rsi", "x1";
    }

    unsafe extern "C" fn malloc_from(size: usize, site: usize) -> *mut c_void {
        let block = allocate(size, 16, site);
        if block.is_null() {
            // SAFETY: malloc has no precondition.
            return unsafe { c::__libc_malloc(size) };
        }
        block
    }

    unsafe extern "C" fn calloc_from(count: usize, size: usize, site: usize) -> *mut c_void {
        let block = count.checked_mul(size).map_or(null_mut(), |bytes| allocate(bytes, 16, site));
        if block.is_null() {
            // SAFETY: calloc has no precondition.
            return unsafe { c::__libc_calloc(count, size) };
        }
        block
    }

    unsafe extern "C" fn realloc_from(old: *mut c_void, size: usize, site: usize) -> *mut c_void {
        // SAFETY: the caller's contract: the block came from malloc.
        unsafe {
            if old.is_null() {
                return malloc_from(size, site);
            }
            if !is_inside(old.expose_provenance()) {
                return c::__libc_realloc(old, size);
            }
            if size == 0 {
                free(old);
                return null_mut();
            }
            let new = malloc_from(size, site);
            if !new.is_null() {
                core::ptr::copy_nonoverlapping(old.cast::<u8>(), new.cast(), usable(old).min(size));
                give_back(old);
            }
            new
        }
    }

    unsafe extern "C" fn reallocarray_from(
        old: *mut c_void,
        count: usize,
        size: usize,
        site: usize,
    ) -> *mut c_void {
        match count.checked_mul(size) {
            // SAFETY: the caller's contract.
            Some(bytes) => unsafe { realloc_from(old, bytes, site) },
            None => {
                c::set_errno(c::NO_MEMORY);
                null_mut()
            }
        }
    }

    unsafe extern "C" fn memalign_from(align: usize, size: usize, site: usize) -> *mut c_void {
        let aligned = align.is_power_of_two();
        let block = if aligned { allocate(size, align, site) } else { null_mut() };
        if block.is_null() {
            // SAFETY: memalign has no precondition.
            return unsafe { c::__libc_memalign(align, size) };
        }
        block
    }

    unsafe extern "C" fn valloc_from(size: usize, site: usize) -> *mut c_void {
        // SAFETY: memalign has no precondition.
        unsafe { memalign_from(c::page(), size.next_multiple_of(c::page()), site) }
    }

    unsafe extern "C" fn posix_memalign_from(
        to: *mut *mut c_void,
        align: usize,
        size: usize,
        site: usize,
    ) -> c_int {
        if !align.is_power_of_two() || !align.is_multiple_of(size_of::<*mut c_void>()) {
            return c::INVALID;
        }
        // SAFETY: memalign has no precondition; the caller's pointer is to a place for the address.
        unsafe {
            let block = memalign_from(align, size, site);
            if block.is_null() {
                return c::NO_MEMORY;
            }
            *to = block;
        }
        0
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn free(block: *mut c_void) {
        // SAFETY: the caller's contract: the block came from malloc.
        unsafe {
            if is_inside(block.expose_provenance()) {
                give_back(block);
            } else if !block.is_null() {
                c::__libc_free(block);
            }
        }
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn malloc_usable_size(block: *mut c_void) -> usize {
        static REAL: c::Real = c::Real::new(c"malloc_usable_size");
        if block.is_null() {
            return 0;
        }
        // SAFETY: the caller's contract; that symbol is a function of this type in every glibc.
        unsafe {
            if is_inside(block.expose_provenance()) {
                return usable(block);
            }
            core::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void) -> usize>(REAL.address())(
                block,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_what_is_asked_for_and_are_in_order() {
        let mut before = (0, 0);
        for bytes in (16..200_000).step_by(16) {
            let (number, size) = class(bytes);
            assert!(size >= bytes && size.is_multiple_of(16) && number < CLASSES, "{bytes}");
            assert!((size, number) == (before.1, before.0) || size > before.1 && number >= before.0);
            assert!(size <= bytes + bytes / 4 + 16, "{bytes}: {size}");
            assert_eq!(class(size), (number, size));
            assert_eq!(class_below(size), Some(number));
            before = (number, size);
        }
        assert!(class(MOST).0 < CLASSES);
        assert_eq!(class_below(SMALL + 16), Some(SMALL / 16 - 1));
    }

    /// One test for all, since what is allocated is the process's.
    #[test]
    fn what_is_alive_is_known_and_what_is_dead_is_wiped() {
        let first = allocate(100, 16, 7);
        // SAFETY: the block has at least 100 bytes.
        unsafe { first.cast::<u8>().write_bytes(0xff, 100) };
        let aligned = allocate(5000, 4096, 8);
        let large = allocate(LARGE + 5, 16, 9);
        assert!(aligned.expose_provenance().is_multiple_of(4096));
        let live = || blocks().map(|block| (block.start, block.site)).collect::<std::vec::Vec<_>>();
        let at = |block: *mut c_void| block.expose_provenance();
        assert_eq!(live(), [(at(first), 7), (at(aligned), 8), (at(large), 9)]);
        let mut around = blocks();
        for (address, start) in [
            (at(first) - 1, None),
            (at(first), Some(first)),
            (at(first) + 99, Some(first)),
            (at(aligned) - 1, None),
            (at(aligned) + 4999, Some(aligned)),
            (at(large) + LARGE, Some(large)),
        ] {
            assert_eq!(around.around(address).map(|block| block.start), start.map(at));
            assert_eq!(blocks().around(address).map(|block| block.start), start.map(at));
        }
        let starts = Starts::new().unwrap();
        assert_eq!(starts.block(at(aligned) + 4999).map(|block| block.start), Some(at(aligned)));
        assert_eq!(starts.block(at(large) + LARGE).map(|block| block.site), Some(9));
        assert_eq!(starts.block(at(first) - 1), None);
        let found = starts.block(at(first)).unwrap();
        assert!(!found.is_reached() && found.reach() && !found.reach() && found.is_reached());
        found.forget();
        assert!(!found.is_reached());
        // SAFETY: each block is freed once; what was written is the reservation's.
        unsafe {
            large.cast::<u8>().write_bytes(0xff, LARGE + 5);
            free(large);
            free(first);
            assert_eq!(live(), [(at(aligned), 8)]);
            let again = allocate(98, 16, 1);
            assert_eq!(again, first);
            assert!((0..usable(again)).all(|byte| *again.cast::<u8>().add(byte) == 0));
            let again = allocate(LARGE + 5, 16, 1);
            assert_eq!(again, large);
            assert!((0..usable(again)).all(|byte| *again.cast::<u8>().add(byte) == 0));
        }
    }
}
