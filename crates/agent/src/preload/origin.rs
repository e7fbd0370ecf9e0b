//! Where a call comes from: which thread and phase, and which code, as a file and an address in it.

use core::ffi::{c_int, c_uint, c_void};
use core::ptr::null_mut;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};

use super::objects;
use crate::c;
use dlsoak_wire::notes::Live;
use dlsoak_wire::notes::{DEPTH, Kind, Memory, Meta, OTHER_THREAD, PLACES, WANT_STACK, mix};

/// The memory that notes go to; null while none are taken, and in a child of `fork`.
static MEMORY: AtomicPtr<Memory> = AtomicPtr::new(null_mut());
/// The same in a child of `fork`, which may become the host.
static LATER: AtomicPtr<Memory> = AtomicPtr::new(null_mut());
/// The process that takes notes.
static PROCESS: AtomicU32 = AtomicU32::new(0);
/// The key under which each thread has its [`Thread`].
static KEY: AtomicU32 = AtomicU32::new(0);
/// Numbers of places, plus 1, that calls from objects which stay come from, by a hash of the call: the loader's are the same
/// in each cycle. The rest of each word is the hash.
static SITES: [AtomicU64; 256] = [const { AtomicU64::new(0) }; 256];
const SITE: u64 = 0xffff;
const _: () = assert!((PLACES as u64) < SITE);

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

    /// The phase that it is in.
    fn phase(self) -> u64 {
        let at = self.0 & !3;
        if at == 0 || self.0 & Self::RECORD != 0 {
            return OTHER_THREAD;
        }
        // SAFETY: the thread announced an address at which this word is until it announces another one.
        u64::from(unsafe { &*core::ptr::with_exposed_provenance::<AtomicU32>(at) }.load(Relaxed))
    }
}

/// The worker's thread says where its phase is to be read, or null when it makes no more cycles.
///
/// # Safety
/// What lies there is an aligned word that stays until the thread says otherwise.
#[cfg_attr(dlsoak_program = "preload", unsafe(no_mangle))]
pub unsafe extern "C" fn dlsoak_trace_thread(phase: *const c_void) {
    Thread(phase.expose_provenance()).set();
}

/// From now on notes are taken.
pub(super) fn begin(memory: *mut Memory, key: c_uint) {
    KEY.store(key, Relaxed);
    // SAFETY: getpid has no precondition; the name ends in NUL.
    unsafe {
        PROCESS.store(c::getpid().cast_unsigned(), Relaxed);
        // SAFETY: the memory is mapped for as long as the process lives.
        objects::begin(&*memory);
        (*memory).process.store(PROCESS.load(Relaxed), Relaxed);
    }
    MEMORY.store(memory, Relaxed);
}

/// From now on none are taken: the child of a `fork` shares the memory, and is not what is traced.
pub(super) extern "C" fn end() {
    let before = MEMORY.swap(null_mut(), Relaxed);
    if !before.is_null() {
        LATER.store(before, Relaxed);
    }
}

/// From now on none are taken, and no child of `fork` goes on: nobody reads them.
pub(super) fn stop() {
    MEMORY.store(null_mut(), Relaxed);
    LATER.store(null_mut(), Relaxed);
}

/// The child of a `fork` is the host now: it takes notes from here on.
pub(super) fn resume(process: u32) {
    // SAFETY: null, or mapped for as long as the process lives.
    if let Some(memory) = unsafe { LATER.swap(null_mut(), Relaxed).as_ref() } {
        PROCESS.store(process, Relaxed);
        memory.process.store(process, Relaxed);
        MEMORY.store(core::ptr::from_ref(memory).cast_mut(), Relaxed);
    }
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
    if memory.only_groups.load(Relaxed) != 0 && objects::is_of_the_host(caller) {
        return;
    }
    let thread = Thread::this();
    if thread.0 & Thread::INSIDE != 0 {
        return;
    }
    let meta = Meta::new(Kind::Heap, thread.phase(), size);
    let Some(site) = site(memory, meta, caller) else {
        memory.lost.fetch_add(1, Relaxed);
        return;
    };
    let wanted = memory.places.get(site as usize).is_some_and(|p| p.wanted.load(Relaxed) & WANT_STACK != 0);
    let place = if wanted { stack(memory, thread, meta, site + 1).unwrap_or(site) } else { site };
    let stretch = memory.stretch.load(Relaxed);
    memory.born(Kind::Heap.key(address), Live { place, stretch, size });
}

/// The place of one frame that a call for heap memory comes from.
fn site(memory: &Memory, meta: Meta, caller: usize) -> Option<u32> {
    let hash = mix(meta.0 >> 8 << 48, caller as u64);
    let known = &SITES[hash as usize % SITES.len()];
    let found = known.load(Relaxed);
    if (found ^ hash) & !SITE == 0 && found & SITE != 0 {
        return u32::try_from((found & SITE) - 1).ok();
    }
    // The call itself is what is before the address that it returns to.
    let address = caller - 1;
    let site = memory.place(meta, 0, &[objects::frame(memory, address)])?;
    if objects::stays(address) {
        known.store(hash & !SITE | u64::from(site + 1), Relaxed);
    }
    Some(site)
}

/// Where a call comes from that is not frequent: always with its stack.
pub(super) fn place(memory: &Memory, kind: Kind) -> Option<Live> {
    let thread = Thread::this();
    if thread.0 & Thread::INSIDE != 0 {
        return None;
    }
    let place = stack(memory, thread, Meta::new(kind, thread.phase(), 0), 0);
    if place.is_none() {
        memory.lost.fetch_add(1, Relaxed);
    }
    Some(Live { place: place?, stretch: memory.stretch.load(Relaxed), size: 0 })
}

/// A walk under way.
struct Walk<'a> {
    memory: &'a Memory,
    frames: [u64; DEPTH],
    len: usize,
    /// The frame pointer, as the last frame's caller left it.
    pointer: usize,
    /// Whether code of a library was on the stack.
    outside: bool,
    /// Whether the library's caller was reached: what is below is the worker, the same each time.
    done: bool,
}

impl Walk<'_> {
    /// False when it is to end.
    fn add(&mut self, address: usize) -> bool {
        if self.len == 0 && objects::is_own(address) {
            return true;
        }
        let Some(cell) = self.frames.get_mut(self.len) else { return false };
        *cell = objects::frame(self.memory, address);
        self.len += 1;
        let is_program = objects::is_program(address);
        self.done = self.outside && is_program;
        self.outside |= !is_program;
        self.len < DEPTH && !self.done
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
    let mut walk = Walk { memory, frames: [0; DEPTH], len: 0, pointer: 0, outside: false, done: false };
    // SAFETY: the walk outlives the call, and visit has the prototype that is asked for.
    unsafe { c::_Unwind_Backtrace(visit, (&raw mut walk).cast()) };
    if !walk.done {
        follow_frame_pointers(&mut walk);
    }
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
        let Some([next, address]) = c::peek(pointer) else { return };
        if address == 0 || objects::module(walk.memory, address - 1).is_none() || !walk.add(address - 1) {
            return;
        }
        (last, pointer) = (pointer, next);
    }
}
