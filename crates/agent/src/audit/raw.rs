//! The auditor's system calls, and what the compiler takes from a C library: there is none.

use core::ptr::null_mut;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize};

use dlsoak_wire::watch::Ring;

/// Bytes of the environment that are looked at, as much as the kernel allows all of it at its default limit of stacks.
const ENVIRONMENT: usize = 2 << 20;
const PROT_READ: usize = 1;
const PROT_WRITE: usize = 2;
const MAP_SHARED: usize = 1;
const MAP_PRIVATE: usize = 2;
const MAP_ANONYMOUS: usize = 0x20;
const AT_FDCWD: usize = -100_isize as usize;
/// `O_RDWR | O_CLOEXEC` and `O_RDONLY | O_CLOEXEC`.
const READ_WRITE: usize = 0o2_000_002;
const READ: usize = 0o2_000_000;
const CLOCK_MONOTONIC: usize = 1;
/// Bytes of a page at least: the kernel rounds lengths up to whole pages, of whatever size.
const PAGE: usize = 4096;
/// Since Linux 4.14; see `madvise(2)`.
const MADV_WIPEONFORK: usize = 18;

const fn of(x86: usize, arm: usize) -> usize {
    if cfg!(target_arch = "aarch64") { arm } else { x86 }
}
const OPENAT: usize = of(257, 56);
const GET: usize = of(0, 63);
const CLOSE: usize = of(3, 57);
const MMAP: usize = of(9, 222);
const MUNMAP: usize = of(11, 215);
const MADVISE: usize = of(28, 233);
const GETPID: usize = of(39, 172);
const CLOCK_GETTIME: usize = of(228, 113);

/// A system call; an error is a small negative number.
///
/// # Safety
/// The kernel's contract for that call.
unsafe fn call(number: usize, arguments: [usize; 6]) -> isize {
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
fn good(result: isize) -> Option<usize> {
    usize::try_from(result).ok()
}

/// Has the number of the process, in a page that a child of `fork` finds empty; null where the kernel has no such pages.
static KNOWN: AtomicPtr<AtomicU32> = AtomicPtr::new(null_mut());

/// The process. A child of `fork` is another one.
pub(super) fn process() -> u32 {
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
pub(super) fn remember_process() {
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

/// `CLOCK_MONOTONIC` in nanoseconds; by a system call, because the vDSO is not known here.
pub(super) fn monotonic_ns() -> u64 {
    let mut now = [0_u64; 2];
    // SAFETY: what is written to is a structure on this stack.
    unsafe { call(CLOCK_GETTIME, [CLOCK_MONOTONIC, (&raw mut now) as usize, 0, 0, 0, 0]) };
    now[0].wrapping_mul(1_000_000_000).wrapping_add(now[1])
}

/// The ring whose file is named in the environment that the process was started with. An address is kept, so that a loader that asks
/// again gets the same.
pub(super) fn mapped() -> Option<&'static Ring> {
    static AT: AtomicUsize = AtomicUsize::new(0);
    if AT.load(Relaxed) == 0 {
        AT.store(map()?, Relaxed);
    }
    // SAFETY: the mapping is as large as a ring, made of atomics, and stays for as long as the process lives.
    unsafe { core::ptr::with_exposed_provenance::<Ring>(AT.load(Relaxed)).as_ref() }
}

/// The address of new memory of this many bytes, all zero.
fn memory(bytes: usize) -> Option<usize> {
    let private = [0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, usize::MAX, 0];
    // SAFETY: a new mapping at an address that the kernel chooses.
    good(unsafe { call(MMAP, private) })
}

fn map() -> Option<usize> {
    let room = memory(ENVIRONMENT)?;
    // SAFETY: new mappings at addresses that the kernel chooses; what is read to is as large as said; paths end in NUL.
    unsafe {
        let fd = good(call(OPENAT, [AT_FDCWD, c"/proc/self/environ".as_ptr() as usize, READ, 0, 0, 0]))?;
        let mut len = 0;
        while let Some(more @ 1..) = good(call(GET, [fd, room + len, ENVIRONMENT - len, 0, 0, 0])) {
            len += more;
        }
        call(CLOSE, [fd, 0, 0, 0, 0, 0]);
        let environment = core::slice::from_raw_parts(core::ptr::with_exposed_provenance(room), len);
        let at = super::path_in(environment).and_then(|path| {
            let fd = good(call(OPENAT, [AT_FDCWD, path.as_ptr() as usize, READ_WRITE, 0, 0, 0]))?;
            let shared = [0, size_of::<Ring>(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0];
            let at = good(call(MMAP, shared));
            call(CLOSE, [fd, 0, 0, 0, 0, 0]);
            at
        });
        call(MUNMAP, [room, ENVIRONMENT, 0, 0, 0, 0]);
        at
    }
}

/// What the compiler calls to copy, to set and to compare memory, and expects to find.
#[cfg(dlsoak_program = "audit")]
mod expected {
    use core::ffi::c_int;

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
        for at in 0..len {
            // SAFETY: the caller's contract: both are that long. Volatile, so that this does not become a call of itself.
            unsafe { to.add(at).write_volatile(from.add(at).read_volatile()) };
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memset(to: *mut u8, value: c_int, len: usize) -> *mut u8 {
        for at in 0..len {
            // SAFETY: as above.
            unsafe { to.add(at).write_volatile(value as u8) };
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, len: usize) -> c_int {
        for at in 0..len {
            // SAFETY: as above.
            let (one, other) = unsafe { (one.add(at).read_volatile(), other.add(at).read_volatile()) };
            if one != other {
                return c_int::from(one) - c_int::from(other);
            }
        }
        0
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, len: usize) -> c_int {
        // SAFETY: the caller's contract is the same.
        unsafe { memcmp(one, other, len) }
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn strlen(text: *const u8) -> usize {
        let mut len = 0;
        // SAFETY: the caller's contract: it ends in NUL.
        while unsafe { text.add(len).read_volatile() } != 0 {
            len += 1;
        }
        len
    }
}

/// Ends the process.
pub(crate) fn give_up() -> ! {
    loop {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the instruction exists to end a process.
        unsafe {
            core::arch::asm!("ud2", options(nomem, nostack))
        };
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        unsafe {
            core::arch::asm!("udf #0", options(nomem, nostack))
        };
    }
}
