//! Which file an address is code of. Objects that are there from the beginning to the end are known; the others are asked
//! for each time, for another may be at the same address later.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::{null, null_mut};
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize};

use crate::c;
use dlsoak_wire::notes::{MODULE_SHIFT, Memory, NO_MODULE};

/// `_dl_find_object`; null before glibc 2.35.
static FIND_OBJECT: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
/// Objects that are there from the beginning to the end: first and last address, and base and number of the module.
static LASTING: [Lasting; 64] = [const { Lasting::new() }; 64];
/// Our own code.
static OWN: Lasting = Lasting::new();

/// How the names of files begin whose code allocates for others: the C library and the loader, and the languages' own libraries.
const FOR_OTHERS: [&[u8]; 5] = [b"libc.so", b"ld-linux", b"libstdc++", b"libc++", b"libgcc_s"];

struct Lasting {
    start: AtomicUsize,
    end: AtomicUsize,
    base: AtomicUsize,
    module: AtomicU64,
    /// Not 0 where its code allocates for others.
    for_others: AtomicU64,
}

impl Lasting {
    const fn new() -> Self {
        Self {
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            base: AtomicUsize::new(0),
            module: AtomicU64::new(0),
            for_others: AtomicU64::new(0),
        }
    }

    fn has(&self, address: usize) -> bool {
        (self.start.load(Relaxed)..self.end.load(Relaxed)).contains(&address)
    }
}

/// Finds what is needed to find objects, and notes those that are there.
pub(super) fn begin(memory: &Memory) {
    // SAFETY: the name ends in NUL; the visitor is handed this memory, which it takes for nothing else.
    unsafe {
        FIND_OBJECT.store(c::dlsym(null_mut(), c"_dl_find_object".as_ptr()), Relaxed);
        c::dl_iterate_phdr(note_lasting, (&raw const *memory).cast_mut().cast());
    }
}

/// Whether it is code of the program, which the loader has first.
pub(super) fn is_program(address: usize) -> bool {
    LASTING[0].has(address)
}

/// Whether it is code that the host came with, and that allocates for itself.
pub(super) fn is_of_the_host(address: usize) -> bool {
    lasting(address).is_some_and(|lasting| lasting.for_others.load(Relaxed) == 0)
}

/// Whether it is our own code.
pub(super) fn is_own(address: usize) -> bool {
    OWN.has(address)
}

/// Whether it is code of an object that is never unloaded.
pub(super) fn stays(address: usize) -> bool {
    lasting(address).is_some()
}

/// The frame of an address.
pub(super) fn frame(memory: &Memory, address: usize) -> u64 {
    match module(memory, address) {
        Some((number, offset)) => number << MODULE_SHIFT | offset as u64 & ((1 << MODULE_SHIFT) - 1),
        // Code that was made at run time is elsewhere each time.
        None => NO_MODULE << MODULE_SHIFT,
    }
}

/// The file that an address is code of, and the address in it.
pub(super) fn module(memory: &Memory, address: usize) -> Option<(u64, usize)> {
    if let Some(lasting) = lasting(address) {
        return Some((lasting.module.load(Relaxed), address - lasting.base.load(Relaxed)));
    }
    let (base, name) = object(address)?;
    // SAFETY: the object's code is being executed, so it is loaded, and so is its name.
    let name = unsafe { if name.is_null() { c"" } else { CStr::from_ptr(name) } };
    Some((memory.module(name.to_bytes())?, address - base))
}

/// The object that is there from the beginning to the end and has this address.
fn lasting(address: usize) -> Option<&'static Lasting> {
    LASTING.iter().find(|lasting| lasting.has(address))
}

/// Base and name of the object that has an address, as the loader knows it.
fn object(address: usize) -> Option<(usize, *const c_char)> {
    /// `struct dl_find_object`, with room for what later versions add.
    #[repr(C)]
    struct Found {
        flags: u64,
        start: *mut c_void,
        end: *mut c_void,
        map: *const LinkMap,
        room: [u64; 28],
    }
    /// `struct link_map`, the documented part.
    #[repr(C)]
    struct LinkMap {
        base: usize,
        name: *const c_char,
    }
    type Find = unsafe extern "C" fn(*mut c_void, *mut Found) -> c_int;
    let find = FIND_OBJECT.load(Relaxed);
    if find.is_null() {
        return object_by_list(address);
    }
    let mut found = Found { flags: 0, start: null_mut(), end: null_mut(), map: null(), room: [0; 28] };
    // SAFETY: the prototype is that of glibc's manual; the structure is at least as large as glibc's; the map of an object
    // whose code is being executed stays.
    unsafe {
        let find: Find = core::mem::transmute(find);
        if find(core::ptr::without_provenance_mut(address), &raw mut found) != 0 {
            return None;
        }
        found.map.as_ref().map(|map| (map.base, map.name))
    }
}

/// The same for a glibc older than 2.35. The list is behind a lock of the loader's that is held while the list changes and
/// never while code of a library runs.
fn object_by_list(address: usize) -> Option<(usize, *const c_char)> {
    struct Search {
        address: usize,
        found: Option<(usize, *const c_char)>,
    }
    unsafe extern "C" fn visit(info: *const c::ObjectInfo, _: usize, search: *mut c_void) -> c_int {
        // SAFETY: the loader hands on what it was given, below, and an object that is valid during the call.
        unsafe {
            let (info, search) = (&*info, &mut *search.cast::<Search>());
            let (start, end) = extent(info);
            if (start..end).contains(&search.address) {
                search.found = Some((info.base, info.name));
            }
            c_int::from(search.found.is_some())
        }
    }
    let mut search = Search { address, found: None };
    // SAFETY: the search outlives the call, and visit has the prototype that is asked for.
    unsafe { c::dl_iterate_phdr(visit, (&raw mut search).cast()) };
    search.found
}

/// First address of an object, and the one behind its last.
unsafe fn extent(info: &c::ObjectInfo) -> (usize, usize) {
    /// `PT_LOAD`.
    const LOADED: u32 = 1;
    let (mut start, mut end) = (usize::MAX, 0);
    // SAFETY: an object has as many headers as it says.
    let headers = unsafe { core::slice::from_raw_parts(info.headers, usize::from(info.count)) };
    for header in headers.iter().filter(|header| header.kind == LOADED) {
        let from = info.base.wrapping_add(header.address);
        start = start.min(from);
        end = end.max(from.wrapping_add(header.in_memory));
    }
    (start, end)
}

/// Takes note of an object that was there when the process began.
unsafe extern "C" fn note_lasting(info: *const c::ObjectInfo, _: usize, memory: *mut c_void) -> c_int {
    // SAFETY: the loader hands on the memory that it was given, and an object that is valid during the call.
    unsafe {
        let (info, memory) = (&*info, &*memory.cast::<Memory>());
        let (start, end) = extent(info);
        let name = if info.name.is_null() { c"" } else { CStr::from_ptr(info.name) };
        let Some(module) = memory.module(name.to_bytes()) else { return 0 };
        let is_own = (start..end).contains(&(note_lasting as *const () as usize));
        let free = LASTING.iter().find(|lasting| lasting.end.load(Relaxed) == 0);
        for lasting in free.into_iter().chain(is_own.then_some(&OWN)) {
            lasting.start.store(start, Relaxed);
            lasting.end.store(end, Relaxed);
            lasting.base.store(info.base, Relaxed);
            lasting.module.store(module, Relaxed);
            let file = name.to_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            let for_others = FOR_OTHERS.iter().any(|begin| file.starts_with(begin));
            lasting.for_others.store(for_others.into(), Relaxed);
        }
    }
    0
}
