//! Where a call comes from: which thread, cycle and phase, and which code, as a file and an address in it.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::ptr::{null, null_mut};
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize};

use super::c;
use super::layout::{DEPTH, Kind, MODULE_SHIFT, Memory, Meta, NO_MODULE, OTHER_THREAD, WANT_STACK};
use super::live::Live;

/// The memory that notes go to; null while none are taken, and in a child of `fork`.
static MEMORY: AtomicPtr<Memory> = AtomicPtr::new(null_mut());
/// The process that takes notes.
static PROCESS: AtomicU32 = AtomicU32::new(0);
/// The key under which each thread has its [`Thread`].
static KEY: AtomicU32 = AtomicU32::new(0);
/// Where in what a cycling thread announces its count of cycles and its phase are.
static CYCLES_AT: AtomicUsize = AtomicUsize::new(0);
static PHASE_AT: AtomicUsize = AtomicUsize::new(0);
/// `_dl_find_object`; null before glibc 2.35.
static FIND_OBJECT: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
/// Objects that are there from the beginning to the end: first and last address, and base and number of the module.
static LASTING: [Lasting; 8] = [const { Lasting::new() }; 8];
/// Our own code.
static OWN: Lasting = Lasting::new();

struct Lasting {
    start: AtomicUsize,
    end: AtomicUsize,
    base: AtomicUsize,
    module: AtomicU64,
}

impl Lasting {
    const fn new() -> Self {
        Self {
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            base: AtomicUsize::new(0),
            module: AtomicU64::new(0),
        }
    }
}

/// What a thread keeps: the address that it announced, or the number of the thread's own record, and whether it is inside
/// of us.
#[derive(Clone, Copy)]
pub(super) struct Thread(usize);

impl Thread {
    const INSIDE: usize = 2;
    const RECORD: usize = 1;

    pub(super) fn this() -> Self {
        // SAFETY: the key was made before notes are taken.
        Self(unsafe { c::pthread_getspecific(KEY.load(Relaxed)) } as usize)
    }

    fn set(self) {
        // SAFETY: as above; one of the first 32 keys needs no memory.
        unsafe { c::pthread_setspecific(KEY.load(Relaxed), core::ptr::without_provenance(self.0)) };
    }

    /// Makes this thread known as the one with this record.
    pub(super) fn adopt(record: usize) {
        Self(record << 2 | Self::RECORD).set();
    }

    /// The record, from the value that a key's destructor is handed.
    pub(super) fn record(value: *mut c_void) -> Option<usize> {
        let value = value as usize;
        (value & Self::RECORD != 0).then_some(value >> 2)
    }

    /// Phase and cycle.
    fn position(self) -> (u64, u32) {
        let at = self.0 & !3;
        if at == 0 || self.0 & Self::RECORD != 0 {
            return (OTHER_THREAD, 0);
        }
        // SAFETY: the thread announced an address at which these two words are until it announces another one.
        unsafe {
            let phase = &*core::ptr::with_exposed_provenance::<AtomicU32>(at + PHASE_AT.load(Relaxed));
            let cycles = &*core::ptr::with_exposed_provenance::<AtomicU64>(at + CYCLES_AT.load(Relaxed));
            (u64::from(phase.load(Relaxed)), cycles.load(Relaxed) as u32)
        }
    }
}

/// The worker's thread says where its position is to be read: `at` a pointer to its slot, or null when it makes no more
/// cycles; then the offsets in it.
///
/// # Safety
/// What lies there is what the worker's slots are, and stays until the thread says otherwise.
#[cfg_attr(dlsoak_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn dlsoak_trace_thread(at: *const c_void, cycles_at: usize, phase_at: usize) {
    CYCLES_AT.store(cycles_at, Relaxed);
    PHASE_AT.store(phase_at, Relaxed);
    Thread(at.expose_provenance()).set();
}

/// From now on notes are taken.
pub(super) fn begin(memory: *mut Memory, key: c_uint) {
    KEY.store(key, Relaxed);
    // SAFETY: getpid has no precondition; the name ends in NUL.
    unsafe {
        PROCESS.store(c::getpid().cast_unsigned(), Relaxed);
        FIND_OBJECT.store(c::dlsym(null_mut(), c"_dl_find_object".as_ptr()), Relaxed);
        // SAFETY: the memory is mapped for as long as the process lives.
        c::dl_iterate_phdr(note_lasting, memory.cast());
    }
    MEMORY.store(memory, Relaxed);
}

/// From now on none are taken: the child of a `fork` shares the memory, and is not what is traced.
pub(super) extern "C" fn end() {
    MEMORY.store(null_mut(), Relaxed);
}

/// The memory, while notes are taken.
pub(super) fn memory() -> Option<&'static Memory> {
    // SAFETY: null, or mapped for as long as the process lives.
    unsafe { MEMORY.load(Relaxed).as_ref() }
}

/// The memory, unless this is the child of a `vfork`: it shares all memory, but not descriptors nor threads.
pub(super) fn memory_of_process() -> Option<&'static Memory> {
    // SAFETY: getpid has no precondition.
    let process = unsafe { c::getpid() }.cast_unsigned();
    memory().filter(|_| process == PROCESS.load(Relaxed))
}

/// Takes note of heap memory, for the caller alone unless more is wanted of it.
pub(super) fn heap(address: u64, size: u64, caller: usize) {
    let Some(memory) = memory() else { return };
    let thread = Thread::this();
    if thread.0 & Thread::INSIDE != 0 {
        return;
    }
    let (phase, cycle) = thread.position();
    let meta = Meta::new(Kind::Heap, phase, size);
    // The call itself is what is before the address that it returns to.
    let Some(site) = memory.place(meta, 0, &[frame(memory, caller - 1)]) else {
        memory.lost.fetch_add(1, Relaxed);
        return;
    };
    let wanted = memory.places.get(site as usize).is_some_and(|p| p.wanted.load(Relaxed) & WANT_STACK != 0);
    let place = if wanted { stack(memory, thread, meta, site + 1).unwrap_or(site) } else { site };
    memory.born(Kind::Heap.key(address), Live { place, cycle, size });
}

/// Where a call comes from that is not frequent: always with its stack.
pub(super) fn place(memory: &Memory, kind: Kind) -> Option<Live> {
    let thread = Thread::this();
    if thread.0 & Thread::INSIDE != 0 {
        return None;
    }
    let (phase, cycle) = thread.position();
    let place = stack(memory, thread, Meta::new(kind, phase, 0), 0);
    if place.is_none() {
        memory.lost.fetch_add(1, Relaxed);
    }
    Some(Live { place: place?, cycle, size: 0 })
}

/// A walk under way.
struct Walk<'a> {
    memory: &'a Memory,
    frames: [u64; DEPTH],
    len: usize,
    /// The frame pointer, as the last frame's caller left it.
    pointer: usize,
}

impl Walk<'_> {
    /// False when it is to end.
    fn add(&mut self, address: usize) -> bool {
        let own = OWN.start.load(Relaxed)..OWN.end.load(Relaxed);
        if self.len == 0 && own.contains(&address) {
            return true;
        }
        let Some(cell) = self.frames.get_mut(self.len) else { return false };
        *cell = frame(self.memory, address);
        self.len += 1;
        self.len < DEPTH
    }
}

/// The place that this call's stack is. No lock of ours is held: with a libgcc older than 12 the unwinder takes one of the
/// loader's.
fn stack(memory: &Memory, thread: Thread, meta: Meta, site: u32) -> Option<u32> {
    extern "C" fn visit(context: *mut c_void, walk: *mut c_void) -> c_int {
        /// DWARF's number of the register that is used as frame pointer.
        const FRAME_POINTER: c_int = if cfg!(target_arch = "aarch64") { 29 } else { 6 };
        /// `_URC_NO_REASON` and `_URC_END_OF_STACK`.
        const ON: c_int = 0;
        const END: c_int = 5;
        // SAFETY: the unwinder hands on what it was given, below, and a context that is valid during the call.
        unsafe {
            let walk = &mut *walk.cast::<Walk<'_>>();
            let mut before = 0;
            let address = c::_Unwind_GetIPInfo(context, &raw mut before);
            walk.pointer = c::_Unwind_GetGR(context, FRAME_POINTER);
            if address == 0 {
                return END;
            }
            if walk.add(address - usize::from(before == 0)) { ON } else { END }
        }
    }
    Thread(thread.0 | Thread::INSIDE).set();
    let mut walk = Walk { memory, frames: [0; DEPTH], len: 0, pointer: 0 };
    // SAFETY: the walk outlives the call, and visit has the prototype that is asked for.
    unsafe { c::_Unwind_Backtrace(visit, (&raw mut walk).cast()) };
    follow_frame_pointers(&mut walk);
    let place = memory.place(meta, site, &walk.frames[..walk.len]);
    thread.set();
    place
}

/// Goes on where there is no unwind information: Go's code has none that the unwinder knows, but keeps frame pointers. The
/// last frame that was found is then `runtime.asmcgocall`, with the frame pointer of the goroutine that called it.
fn follow_frame_pointers(walk: &mut Walk<'_>) {
    let mut pointer = walk.pointer;
    let mut last = 0;
    while pointer != 0 && pointer.is_multiple_of(8) && pointer > last {
        let Some([next, address]) = read(pointer) else { return };
        if address == 0 || module(walk.memory, address - 1).is_none() || !walk.add(address - 1) {
            return;
        }
        (last, pointer) = (pointer, next);
    }
}

/// Two words at an address that may be anything. The kernel reads them, which refuses where we would crash.
fn read(address: usize) -> Option<[usize; 2]> {
    /// `struct iovec`.
    #[repr(C)]
    struct Part {
        base: *mut c_void,
        len: usize,
    }
    /// `process_vm_readv`.
    const READ: i64 = if cfg!(target_arch = "aarch64") { 270 } else { 310 };
    const LEN: usize = size_of::<[usize; 2]>();
    let mut words = [0_usize; 2];
    let to = Part { base: words.as_mut_ptr().cast(), len: LEN };
    let from = Part { base: core::ptr::with_exposed_provenance_mut(address), len: LEN };
    // SAFETY: what is written to is on this stack and large enough; what is read from is checked by the kernel.
    let count = unsafe {
        c::syscall(READ, i64::from(c::getpid()), &raw const to, 1_i64, &raw const from, 1_i64, 0_i64)
    };
    (usize::try_from(count) == Ok(LEN)).then_some(words)
}

/// The frame of an address.
fn frame(memory: &Memory, address: usize) -> u64 {
    match module(memory, address) {
        Some((number, offset)) => number << MODULE_SHIFT | offset as u64 & ((1 << MODULE_SHIFT) - 1),
        // Code that was made at run time is elsewhere each time.
        None => NO_MODULE << MODULE_SHIFT,
    }
}

/// The file that an address is code of, and the address in it.
fn module(memory: &Memory, address: usize) -> Option<(u64, usize)> {
    for lasting in &LASTING {
        if (lasting.start.load(Relaxed)..lasting.end.load(Relaxed)).contains(&address) {
            return Some((lasting.module.load(Relaxed), address - lasting.base.load(Relaxed)));
        }
    }
    let (base, name) = object(address)?;
    // SAFETY: the object's code is being executed, so it is loaded, and so is its name.
    let name = unsafe { if name.is_null() { c"" } else { CStr::from_ptr(name) } };
    Some((memory.module(name.to_bytes())?, address - base))
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
        }
    }
    0
}
