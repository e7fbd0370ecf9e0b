//! A malloc that counts and forwards to the C library's: bytes and blocks in use, exactly, with the thread cache on.
//!
//! An executable's own malloc comes first in look-up, so libraries, the loader and glibc itself use it. What is counted is what
//! `mallinfo2(3)` counts: whole chunks with their headers (`uordblks` and `hblkhd`). Measured against `mallinfo2` with the thread
//! cache off, the two differ by a constant on 24 libraries; a pair of malloc and free costs 4 ns more, where turning the cache off
//! costs 25 ns. musl says of a block what it holds (`malloc_usable_size`), which is what was asked for.
//!
//! Each thread counts in a slot of its own. Its address is in thread-local memory of the program's, and each addition is one
//! instruction, so a signal handler's malloc can't come between. A new thread takes over the slot of one that is gone and goes on
//! adding: nothing has to be done when a thread ends.

use core::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, AtomicUsize, Ordering::AcqRel, Ordering::Relaxed};

use crate::c;

/// Threads that can count at a time.
pub const SLOTS: usize = 1024;

/// What one thread, and those before it that had the slot, have counted.
#[repr(C, align(64))]
struct Slot {
    bytes: AtomicI64,
    blocks: AtomicI64,
    /// Of these, what has mappings of its own.
    mapped_bytes: AtomicI64,
    mapped_blocks: AtomicI64,
    thread: AtomicI32,
}

impl Slot {
    const fn new() -> Self {
        let [bytes, blocks, mapped_bytes, mapped_blocks] = [const { AtomicI64::new(0) }; 4];
        Self { bytes, blocks, mapped_bytes, mapped_blocks, thread: AtomicI32::new(0) }
    }
}

static TABLE: [Slot; SLOTS] = [const { Slot::new() }; SLOTS];
/// Slots that were ever used are below this.
static USED: AtomicUsize = AtomicUsize::new(0);
/// The slot that was taken last.
static LAST: AtomicUsize = AtomicUsize::new(0);
/// Not 0 once a thread found all slots taken: from then on the counts are not exact.
static FULL: AtomicU32 = AtomicU32::new(0);

/// What is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InUse {
    /// Bytes of all chunks.
    pub bytes: i64,
    /// Number of chunks.
    pub blocks: i64,
    /// Bytes of those that have a mapping of their own.
    pub mapped_bytes: i64,
    /// Number of those.
    pub mapped_blocks: i64,
    /// False once more threads lived at a time than can count.
    pub exact: bool,
}

/// What is in use, all threads together. To be asked while none of them runs.
#[inline(never)]
pub fn in_use() -> InUse {
    let used = &TABLE[..USED.load(Relaxed).min(SLOTS)];
    let sum = |of: fn(&Slot) -> &AtomicI64| used.iter().map(|slot| of(slot).load(Relaxed)).sum();
    InUse {
        bytes: sum(|slot| &slot.bytes),
        blocks: sum(|slot| &slot.blocks),
        mapped_bytes: sum(|slot| &slot.mapped_bytes),
        mapped_blocks: sum(|slot| &slot.mapped_blocks),
        exact: FULL.load(Relaxed) == 0,
    }
}

/// Takes a slot for a thread that has none.
#[cold]
#[inline(never)]
fn take() -> &'static Slot {
    let errno = c::errno();
    let thread = c::thread_id();
    let mut taken = &TABLE[SLOTS - 1];
    if FULL.load(Relaxed) != 0 {
        // The counts are lost anyway, and the search asks the kernel about each slot.
        return taken;
    }
    let mut found = false;
    // Those in use first, from the one that was taken last: its thread is often gone, or else the one after it. Beginning at the first
    // slot would ask the kernel about each thread that lives.
    let (last, used) = (LAST.load(Relaxed), USED.load(Relaxed).min(SLOTS));
    for index in (last..used).chain(0..last.min(used)).chain(used..SLOTS) {
        let slot = &TABLE[index];
        let before = slot.thread.load(Relaxed);
        let is_free = before == 0 || before == thread || !c::lives(before);
        if is_free && slot.thread.compare_exchange(before, thread, AcqRel, Relaxed).is_ok() {
            USED.fetch_max(index + 1, Relaxed);
            LAST.store(index, Relaxed);
            (taken, found) = (slot, true);
            break;
        }
    }
    if !found {
        FULL.store(1, Relaxed);
    }
    c::set_errno(errno);
    taken
}

/// What malloc has for a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Chunk {
    bytes: i64,
    /// It has a mapping of its own. Not known of musl's.
    is_mapped: bool,
}

impl Chunk {
    /// # Safety
    /// The block came from musl's malloc and was not freed.
    #[cfg(dlsoak_musl)]
    #[inline(always)]
    unsafe fn of(block: *mut u8) -> Self {
        // SAFETY: the caller's contract.
        Self { bytes: unsafe { c::malloc_usable_size(block.cast()) as i64 }, is_mapped: false }
    }

    /// The size is in the word before the block, with three flags in the lowest bits; before a chunk that has a mapping of its own
    /// (flag 2) lies the unused beginning of that, and the mapping is whole pages (`malloc_chunk` in glibc's malloc.c).
    ///
    /// # Safety
    /// The block came from glibc's malloc and was not freed.
    #[cfg(not(dlsoak_musl))]
    #[inline(always)]
    unsafe fn of(block: *mut u8) -> Self {
        const MAPPED: usize = 2;
        const FLAGS: usize = 7;
        // SAFETY: the caller's block has this header.
        let word = unsafe { block.cast::<usize>().sub(1).read() };
        if word & MAPPED == 0 {
            return Self { bytes: (word & !FLAGS) as i64, is_mapped: false };
        }
        // SAFETY: so has one with a mapping.
        let before = unsafe { block.cast::<usize>().sub(2).read() };
        // Since 2.43 the size is 16 B less, and the beginning has a flag of its own.
        let mapped = ((word & !FLAGS) + (before & !FLAGS)).next_multiple_of(c::page());
        Self { bytes: mapped as i64, is_mapped: true }
    }
}

#[cfg(all(dlsoak_program, dlsoak_counting))]
mod interposed {
    //! The functions themselves. Only the counting host has them.

    use core::arch::{asm, global_asm};
    use core::ffi::{c_int, c_void};
    use core::ptr::null_mut;
    use core::sync::atomic::Ordering::Relaxed;

    use super::{Chunk, Slot, take};
    use crate::c;

    // A word of thread-local memory in the program's own block, which is there before any code runs. Rust has none without `std`.
    global_asm!(
        ".pushsection .tbss.dlsoak_slot,\"awT\",@nobits",
        ".p2align 3",
        ".hidden dlsoak_slot",
        ".globl dlsoak_slot",
        ".type dlsoak_slot,@object",
        ".size dlsoak_slot,8",
        "dlsoak_slot: .zero 8",
        ".popsection"
    );

    /// The calling thread's slot.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn slot() -> *const Slot {
        let slot: *const Slot;
        // SAFETY: reads the word above, whose distance from the thread pointer is known when the program is linked.
        unsafe {
            asm!("mov {0}, qword ptr fs:[dlsoak_slot@TPOFF]", out(reg) slot, options(readonly, nostack, preserves_flags));
        }
        if slot.is_null() { first() } else { slot }
    }

    #[cfg(target_arch = "x86_64")]
    #[cold]
    #[inline(never)]
    fn first() -> *const Slot {
        let slot: *const Slot = take();
        // SAFETY: writes the same word.
        unsafe {
            asm!("mov qword ptr fs:[dlsoak_slot@TPOFF], {0}", in(reg) slot, options(nostack, preserves_flags))
        };
        slot
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    fn slot() -> *const Slot {
        let at: *mut *const Slot;
        // SAFETY: gives the address of the word above.
        unsafe {
            asm!(
                "mrs {0}, tpidr_el0",
                "add {0}, {0}, #:tprel_hi12:dlsoak_slot",
                "add {0}, {0}, #:tprel_lo12_nc:dlsoak_slot",
                out(reg) at,
                options(pure, readonly, nostack, preserves_flags)
            );
        }
        // SAFETY: the word is this thread's own.
        unsafe {
            if (*at).is_null() {
                *at = take();
            }
            *at
        }
    }

    /// Counts a chunk, or takes it off where `sign` is -1.
    #[inline(always)]
    fn count(chunk: Chunk, sign: i64) {
        let (slot, bytes) = (slot(), sign * chunk.bytes);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the slot is the calling thread's alone, and lives as long as the program. One instruction each, so that a signal
        // handler's malloc can't come between reading and writing; no lock, since no other thread writes here.
        unsafe {
            asm!(
                "add qword ptr [{0}], {1}",
                "add qword ptr [{0} + 8], {2}",
                in(reg) slot,
                in(reg) bytes,
                in(reg) sign,
                options(nostack)
            );
        }
        #[cfg(not(target_arch = "x86_64"))]
        // SAFETY: the slot lives as long as the program.
        unsafe {
            (*slot).bytes.fetch_add(bytes, Relaxed);
            (*slot).blocks.fetch_add(sign, Relaxed);
        }
        if chunk.is_mapped {
            // SAFETY: as above. The kernel has just been called, so that a lock is nothing.
            unsafe {
                (*slot).mapped_bytes.fetch_add(bytes, Relaxed);
                (*slot).mapped_blocks.fetch_add(sign, Relaxed);
            }
        }
    }

    #[inline(always)]
    fn made(block: *mut c_void) -> *mut c_void {
        if !block.is_null() {
            // SAFETY: the C library has just given this block.
            count(unsafe { Chunk::of(block.cast()) }, 1);
        }
        block
    }

    macro_rules! as_libc {
        ($($name:ident($($argument:ident: $type:ty),*) = $real:ident;)*) => {$(
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name($($argument: $type),*) -> *mut c_void {
                // SAFETY: the caller's contract.
                made(unsafe { c::$real($($argument),*) })
            }
        )*};
    }

    as_libc! {
        malloc(size: usize) = __libc_malloc;
        calloc(count: usize, size: usize) = __libc_calloc;
        memalign(align: usize, size: usize) = __libc_memalign;
        valloc(size: usize) = __libc_valloc;
    }
    #[cfg(not(dlsoak_musl))]
    as_libc! {
        pvalloc(size: usize) = __libc_pvalloc;
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn free(block: *mut c_void) {
        if block.is_null() {
            return;
        }
        // SAFETY: the caller's contract: the block came from malloc.
        unsafe {
            count(Chunk::of(block.cast()), -1);
            c::__libc_free(block);
        }
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn realloc(old: *mut c_void, size: usize) -> *mut c_void {
        if old.is_null() {
            // SAFETY: malloc has no precondition.
            return unsafe { malloc(size) };
        }
        if size == 0 && cfg!(not(dlsoak_musl)) {
            // As glibc does. That of musl gives a block.
            // SAFETY: the caller's contract.
            unsafe { free(old) };
            return null_mut();
        }
        // SAFETY: the caller's contract: the block came from malloc. Where a new one is refused the old one stays.
        unsafe {
            let before = Chunk::of(old.cast());
            let new = c::__libc_realloc(old, size);
            if !new.is_null() {
                count(before, -1);
                count(Chunk::of(new.cast()), 1);
            }
            new
        }
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn reallocarray(old: *mut c_void, count: usize, size: usize) -> *mut c_void {
        match count.checked_mul(size) {
            // SAFETY: the caller's contract.
            Some(bytes) => unsafe { realloc(old, bytes) },
            None => {
                c::set_errno(c::NO_MEMORY);
                null_mut()
            }
        }
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
        // SAFETY: the caller's contract. glibc before 2.38 has the two as one.
        unsafe { memalign(align, size) }
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn posix_memalign(to: *mut *mut c_void, align: usize, size: usize) -> c_int {
        if !align.is_power_of_two() || !align.is_multiple_of(size_of::<*mut c_void>()) {
            return c::INVALID;
        }
        let errno = c::errno();
        // SAFETY: memalign has no precondition.
        let block = unsafe { memalign(align, size) };
        c::set_errno(errno);
        if block.is_null() {
            return c::NO_MEMORY;
        }
        // SAFETY: the caller's pointer is to a place for the address.
        unsafe { *to = block };
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(dlsoak_musl))]
    fn a_chunk_is_what_malloc_has_for_a_block() {
        for (size, expected) in [(1, 32), (24, 32), (25, 48), (1000, 1008)] {
            // SAFETY: the block is freed once and not used after that.
            unsafe {
                let block = c::__libc_malloc(size);
                assert_eq!(Chunk::of(block.cast()), Chunk { bytes: expected, is_mapped: false }, "{size}");
                c::__libc_free(block);
            }
        }
        // One that has a mapping of its own: whole pages.
        // SAFETY: as above.
        unsafe {
            let block = c::__libc_malloc(64 << 20);
            let bytes = (64 << 20) + c::page() as i64;
            assert_eq!(Chunk::of(block.cast()), Chunk { bytes, is_mapped: true });
            c::__libc_free(block);
        }
    }

    #[test]
    fn a_slot_is_handed_on_when_its_thread_is_gone() {
        let own = take();
        assert!(core::ptr::eq(own, take()), "a thread has one slot");
        let other = std::thread::spawn(|| {
            take().bytes.fetch_add(7, Relaxed);
            c::thread_id()
        })
        .join()
        .unwrap();
        // The kernel may take a moment to forget a thread that was joined.
        while c::lives(other) {
            c::sched_yield();
        }
        std::thread::spawn(|| take().bytes.fetch_add(-7, Relaxed)).join().unwrap();
        let none = InUse { bytes: 0, blocks: 0, mapped_bytes: 0, mapped_blocks: 0, exact: true };
        assert_eq!(in_use(), none);
    }
}
