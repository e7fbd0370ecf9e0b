//! The malloc family. It is called often, so at first only the caller's address is noted: each function is a few
//! instructions that put it into the register behind the last argument, and go on to the part that takes the note.
//!
//! All of a family comes from the object that is next in the loader's order: in a host that links jemalloc, memory of the C library's
//! would meet jemalloc's `malloc_usable_size`, which crashes.

use core::ffi::{c_int, c_void};
use core::ptr::null_mut;

use super::origin::{heap, memory};
use crate::c::{self, reals};
use dlsoak_wire::notes::Kind;

reals! {
    malloc(usize) -> *mut c_void;
    valloc(usize) -> *mut c_void;
    pvalloc(usize) -> *mut c_void;
    calloc(usize, usize) -> *mut c_void;
    realloc(*mut c_void, usize) -> *mut c_void;
    memalign(usize, usize) -> *mut c_void;
    free(*mut c_void) -> ();
    malloc_usable_size(*mut c_void) -> usize;
}

/// Whether the process allocates through these functions: an executable that has a malloc of its own comes first. The name `malloc` means that
/// one here, too, so what counts is whose code it is.
pub(super) fn is_used() -> bool {
    // SAFETY: the name ends in NUL; RTLD_DEFAULT is null.
    let first = unsafe { c::dlsym(null_mut(), c"malloc".as_ptr()) };
    super::objects::is_own(first as usize) || is_undefined(first)
}

/// Whether this is what a program without `-fPIE` has for the address of a function that it does not define: an entry of its PLT, with an
/// undefined symbol. Python of Debian 12 has one for malloc.
fn is_undefined(address: *mut c_void) -> bool {
    /// `Elf64_Sym` of `elf(5)`.
    #[repr(C)]
    struct Symbol {
        name: u32,
        info: u8,
        other: u8,
        section: u16,
        value: u64,
        size: u64,
    }
    /// See `dladdr1(3)`; the second argument is a `Dl_info`.
    type Dladdr1 = unsafe extern "C" fn(*mut c_void, *mut [usize; 4], *mut *const Symbol, c_int) -> c_int;
    const RTLD_DL_SYMENT: c_int = 1;
    const SHN_UNDEF: u16 = 0;
    // SAFETY: the name ends in NUL; RTLD_DEFAULT is null.
    let found = unsafe { c::dlsym(null_mut(), c"dladdr1".as_ptr()) };
    if found.is_null() {
        return false;
    }
    let (mut about, mut symbol) = ([0; 4], core::ptr::null());
    // SAFETY: the function has this prototype; what it writes to lives until it returns.
    let known = unsafe {
        let dladdr1 = core::mem::transmute::<*mut c_void, Dladdr1>(found);
        dladdr1(address, &raw mut about, &raw mut symbol, RTLD_DL_SYMENT) != 0
    };
    // SAFETY: null, or a symbol of an object that is loaded.
    known && unsafe { symbol.as_ref() }.is_some_and(|symbol| symbol.section == SHN_UNDEF)
}

c::with_caller! {
    malloc -> malloc_from, "rsi", "x1";
    valloc -> valloc_from, "rsi", "x1";
    pvalloc -> pvalloc_from, "rsi", "x1";
    calloc -> calloc_from, "rdx", "x2";
    realloc -> realloc_from, "rdx", "x2";
    memalign -> memalign_from, "rdx", "x2";
    aligned_alloc -> aligned_alloc_from, "rdx", "x2";
    reallocarray -> reallocarray_from, "rcx", "x3";
    posix_memalign -> posix_memalign_from, "rcx", "x3";
}

/// Bytes that malloc's books have for a chunk: those that can be used, and its header. Chunks of an arena are a multiple of
/// 16 less a header of 8 that is followed by the next chunk's; one that has a mapping of its own has a header of 16.
fn chunk(memory: *mut c_void) -> u64 {
    // SAFETY: the memory came from the same allocator and was not freed.
    let usable = real::malloc_usable_size().map_or(0, |real| unsafe { real(memory) }) as u64;
    usable + if usable % 16 == 8 { 8 } else { 16 }
}

fn noted(memory: *mut c_void, caller: usize) -> *mut c_void {
    if !memory.is_null() && super::origin::memory().is_some() {
        heap(memory as u64, chunk(memory), caller);
    }
    memory
}

extern "C" fn malloc_from(size: usize, caller: usize) -> *mut c_void {
    let Some(real) = real::malloc() else { return null_mut() };
    // SAFETY: no precondition.
    noted(unsafe { real(size) }, caller)
}

extern "C" fn valloc_from(size: usize, caller: usize) -> *mut c_void {
    let Some(real) = real::valloc() else { return null_mut() };
    // SAFETY: no precondition.
    noted(unsafe { real(size) }, caller)
}

extern "C" fn pvalloc_from(size: usize, caller: usize) -> *mut c_void {
    let Some(real) = real::pvalloc() else { return null_mut() };
    // SAFETY: no precondition.
    noted(unsafe { real(size) }, caller)
}

extern "C" fn calloc_from(count: usize, size: usize, caller: usize) -> *mut c_void {
    let Some(real) = real::calloc() else { return null_mut() };
    // SAFETY: no precondition.
    noted(unsafe { real(count, size) }, caller)
}

extern "C" fn memalign_from(align: usize, size: usize, caller: usize) -> *mut c_void {
    let Some(real) = real::memalign() else { return null_mut() };
    // SAFETY: no precondition.
    noted(unsafe { real(align, size) }, caller)
}

extern "C" fn aligned_alloc_from(align: usize, size: usize, caller: usize) -> *mut c_void {
    if !align.is_power_of_two() {
        c::set_errno(c::INVALID);
        return null_mut();
    }
    memalign_from(align, size, caller)
}

unsafe extern "C" fn posix_memalign_from(
    to: *mut *mut c_void,
    align: usize,
    size: usize,
    caller: usize,
) -> c_int {
    if !align.is_power_of_two() || !align.is_multiple_of(size_of::<*mut c_void>()) {
        return c::INVALID;
    }
    let got = memalign_from(align, size, caller);
    if got.is_null() {
        return c::NO_MEMORY;
    }
    // SAFETY: the caller's pointer is to a place for the address.
    unsafe { *to = got };
    0
}

unsafe extern "C" fn realloc_from(old: *mut c_void, size: usize, caller: usize) -> *mut c_void {
    let Some(real) = real::realloc() else { return null_mut() };
    // Forgotten before: once it is freed, another thread may be given the same address.
    let before = memory().and_then(|memory| memory.gone(Kind::Heap.key(old as u64)));
    // SAFETY: the caller's contract.
    let new = unsafe { real(old, size) };
    if new.is_null() && size != 0 {
        // Refused: the old memory is still there.
        if let (Some(memory), Some(before)) = (memory(), before) {
            memory.born(Kind::Heap.key(old as u64), before);
        }
        return new;
    }
    noted(new, caller)
}

unsafe extern "C" fn reallocarray_from(
    old: *mut c_void,
    count: usize,
    size: usize,
    caller: usize,
) -> *mut c_void {
    match count.checked_mul(size) {
        // SAFETY: the caller's contract.
        Some(bytes) => unsafe { realloc_from(old, bytes, caller) },
        None => {
            c::set_errno(c::NO_MEMORY);
            null_mut()
        }
    }
}

/// As the C library's.
///
/// # Safety
/// The C library's contract.
#[cfg_attr(dlsoak_program = "preload", unsafe(no_mangle))]
pub unsafe extern "C" fn free(old: *mut c_void) {
    if !old.is_null()
        && let Some(memory) = memory()
    {
        memory.gone(Kind::Heap.key(old as u64));
    }
    if let Some(real) = real::free() {
        // SAFETY: the caller's contract.
        unsafe { real(old) };
    }
}
