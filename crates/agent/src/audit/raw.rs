//! The auditor's system calls, and what the compiler takes from a C library: there is none.

use core::ffi::{CStr, c_int};
use core::ptr::null_mut;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicPtr, AtomicUsize};

use dlsoak_wire::watch::Ring;

use crate::raw::{MMAP, MUNMAP, PROT_READ, PROT_WRITE, call, good, memory, of};

/// Bytes of the environment that are looked at, as much as the kernel allows all of it at its default limit of stacks.
const ENVIRONMENT: usize = 2 << 20;
const MAP_SHARED: usize = 1;
const AT_FDCWD: usize = -100_isize as usize;
/// `O_RDWR | O_CLOEXEC` and `O_RDONLY | O_CLOEXEC`.
const READ_WRITE: usize = 0o2_000_002;
const READ: usize = 0o2_000_000;
const CLOCK_MONOTONIC: usize = 1;
const OPENAT: usize = of(257, 56);
const GET: usize = of(0, 63);
const CLOSE: usize = of(3, 57);
const CLOCK_GETTIME: usize = of(228, 113);
/// What the vDSO calls it.
const CLOCK_NAME: &CStr =
    if cfg!(target_arch = "aarch64") { c"__kernel_clock_gettime" } else { c"__vdso_clock_gettime" };

/// `clock_gettime` of the vDSO; null where there is none.
static CLOCK: AtomicPtr<()> = AtomicPtr::new(null_mut());

/// `CLOCK_MONOTONIC` in nanoseconds.
pub(super) fn monotonic_ns() -> u64 {
    let mut now = [0_u64; 2];
    let clock = CLOCK.load(Relaxed);
    // SAFETY: what is written to is a structure on this stack; null or a function with this prototype, which stays for as long as the
    // process lives.
    unsafe {
        let clock = core::mem::transmute::<
            *mut (),
            Option<unsafe extern "C" fn(usize, *mut [u64; 2]) -> c_int>,
        >(clock);
        if clock.is_none_or(|clock| clock(CLOCK_MONOTONIC, &raw mut now) != 0) {
            call(CLOCK_GETTIME, [CLOCK_MONOTONIC, (&raw mut now) as usize, 0, 0, 0, 0]);
        }
    }
    now[0].wrapping_mul(1_000_000_000).wrapping_add(now[1])
}

/// From now on the time is asked for without a system call, which takes ten times as long (`vdso(7)`).
pub(super) fn find_clock() {
    const AT_SYSINFO_EHDR: u64 = 33;
    let mut auxiliary = [[0_u64; 2]; 64];
    // SAFETY: what is read to is as large as said; any bytes are words.
    unsafe { read(c"/proc/self/auxv", auxiliary.as_mut_ptr() as usize, size_of_val(&auxiliary)) };
    if let Some([_, vdso]) = auxiliary.iter().find(|[kind, _]| *kind == AT_SYSINFO_EHDR) {
        // SAFETY: the kernel mapped a whole ELF file there.
        let found = unsafe { function(*vdso as usize, CLOCK_NAME) };
        CLOCK.store(core::ptr::with_exposed_provenance_mut(found.unwrap_or(0)), Relaxed);
    }
}

/// The address of a function of an ELF file that is in memory as a whole (`elf(5)`). Its names follow its symbols, as the kernel lays a vDSO out.
///
/// # Safety
/// Such a file is at this address.
unsafe fn function(file: usize, name: &CStr) -> Option<usize> {
    const PT_LOAD: u32 = 1;
    const PT_DYNAMIC: u32 = 2;
    const DT_STRTAB: u64 = 5;
    const DT_SYMTAB: u64 = 6;
    const SYMBOL: usize = 24;
    /// # Safety
    /// A value of this type is there.
    unsafe fn at<T: Copy>(address: usize) -> T {
        // SAFETY: the caller's contract.
        unsafe { core::ptr::with_exposed_provenance::<T>(address).read_unaligned() }
    }
    // SAFETY: what is read is in the file, by its own words.
    unsafe {
        let headers = file + at::<u64>(file + 32) as usize;
        let (size, count) = (usize::from(at::<u16>(file + 54)), usize::from(at::<u16>(file + 56)));
        let header = |kind| (0..count).map(|n| headers + n * size).find(|&header| at::<u32>(header) == kind);
        let offset = |header: usize| file.wrapping_add(at::<u64>(header + 8) as usize);
        let load = header(PT_LOAD)?;
        let bias = offset(load).wrapping_sub(at::<u64>(load + 16) as usize);
        let (mut dynamic, mut names, mut symbols) = (offset(header(PT_DYNAMIC)?), 0, 0);
        while at::<u64>(dynamic) != 0 {
            let value = bias.wrapping_add(at::<u64>(dynamic + 8) as usize);
            match at::<u64>(dynamic) {
                DT_STRTAB => names = value,
                DT_SYMTAB => symbols = value,
                _ => (),
            }
            dynamic += 16;
        }
        let text =
            |symbol| CStr::from_ptr(core::ptr::with_exposed_provenance(names + at::<u32>(symbol) as usize));
        let symbol = (symbols..names).step_by(SYMBOL).find(|&symbol| text(symbol) == name)?;
        Some(bias.wrapping_add(at::<u64>(symbol + 8) as usize))
    }
}

/// Reads a file to this address; how many bytes.
///
/// # Safety
/// There is room for that many.
unsafe fn read(path: &CStr, to: usize, room: usize) -> Option<usize> {
    let mut len = 0;
    // SAFETY: the caller's contract; the path ends in NUL.
    unsafe {
        let fd = good(call(OPENAT, [AT_FDCWD, path.as_ptr() as usize, READ, 0, 0, 0]))?;
        while let Some(more @ 1..) = good(call(GET, [fd, to + len, room - len, 0, 0, 0])) {
            len += more;
        }
        call(CLOSE, [fd, 0, 0, 0, 0, 0]);
    }
    Some(len)
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

fn map() -> Option<usize> {
    let room = memory(ENVIRONMENT)?;
    // SAFETY: new mappings at addresses that the kernel chooses; what is read to is as large as said; paths end in NUL.
    unsafe {
        let len = read(c"/proc/self/environ", room, ENVIRONMENT)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_the_vdso_is_that_of_the_system_call() {
        let before = monotonic_ns();
        find_clock();
        assert!(!CLOCK.load(Relaxed).is_null());
        let between = monotonic_ns();
        CLOCK.store(null_mut(), Relaxed);
        assert!((before..=monotonic_ns()).contains(&between));
    }
}
