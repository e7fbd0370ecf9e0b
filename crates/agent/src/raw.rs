//! System calls without a C library, and what is known with them for as long as the process lives: its number, which a child of `fork` must
//! not take for its own.

use core::ptr::null_mut;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicPtr, AtomicU32};

pub(crate) const PROT_READ: usize = 1;
pub(crate) const PROT_WRITE: usize = 2;
const MAP_PRIVATE: usize = 2;
const MAP_ANONYMOUS: usize = 0x20;
/// Bytes of a page at least: the kernel rounds lengths up to whole pages, of whatever size.
const PAGE: usize = 4096;
/// Since Linux 4.14; see `madvise(2)`.
const MADV_WIPEONFORK: usize = 18;

pub(crate) const fn of(x86: usize, arm: usize) -> usize {
    if cfg!(target_arch = "aarch64") { arm } else { x86 }
}
pub(crate) const MMAP: usize = of(9, 222);
pub(crate) const MUNMAP: usize = of(11, 215);
const MADVISE: usize = of(28, 233);
const GETPID: usize = of(39, 172);

/// A system call; an error is a small negative number.
///
/// # Safety
/// The kernel's contract for that call.
pub(crate) unsafe fn call(number: usize, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result: isize;
    // SAFETY: the caller's contract. The kernel keeps all registers but those that are named.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        core::arch::asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
        #[cfg(target_arch = "aarch64")]
        core::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack),
        );
    }
    result
}

/// What a call gave, unless it is an error.
pub(crate) fn good(result: isize) -> Option<usize> {
    usize::try_from(result).ok()
}

/// Has the number of the process, in a page that a child of `fork` finds empty; null where the kernel has no such pages.
static KNOWN: AtomicPtr<AtomicU32> = AtomicPtr::new(null_mut());

/// The process. A child of `fork` is another one.
pub(crate) fn process() -> u32 {
    // SAFETY: null, or a word that stays for as long as the process lives.
    let known = unsafe { KNOWN.load(Relaxed).as_ref() };
    if let Some(known) = known.map(|known| known.load(Relaxed)).filter(|known| *known != 0) {
        return known;
    }
    // SAFETY: getpid takes nothing and cannot fail.
    let process = unsafe { call(GETPID, [0; 6]) as u32 };
    if let Some(known) = known {
        known.store(process, Relaxed);
    }
    process
}

/// From now on the number of the process is asked for once.
pub(crate) fn remember_process() {
    let Some(page) = memory(PAGE) else { return };
    // SAFETY: the mapping is new, and unmapped again before anything is in it.
    unsafe {
        if good(call(MADVISE, [page, PAGE, MADV_WIPEONFORK, 0, 0, 0])).is_some() {
            KNOWN.store(core::ptr::with_exposed_provenance_mut(page), Relaxed);
        } else {
            call(MUNMAP, [page, PAGE, 0, 0, 0, 0]);
        }
    }
}

/// The address of new memory of this many bytes, all zero.
pub(crate) fn memory(bytes: usize) -> Option<usize> {
    let private = [0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, usize::MAX, 0];
    // SAFETY: a new mapping at an address that the kernel chooses.
    good(unsafe { call(MMAP, private) })
}
