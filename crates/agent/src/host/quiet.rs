//! What only the process itself can see, written to the channel at quiet points: heap, objects, pending destructors, signal actions,
//! modes, keys. Addresses are handed out and never followed here. Whatever lives in the C library and may be needed is looked up
//! before the first library is loaded.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::sync::atomic::Ordering::Relaxed;

use dlsoak_wire::channel::{Header, Look, Parts, Slot, State, UNKNOWN, write_bytes};

use super::{cache, exit_handlers, state, tls_destructors};
use crate::{c, heap};

/// `struct mallinfo2`.
#[repr(C)]
struct MallInfo([usize; 10]);
type MallInfo2 = unsafe extern "C" fn() -> MallInfo;

/// `struct mallinfo`.
#[repr(C)]
struct OldMallInfo([c_int; 10]);
type MallInfo1 = unsafe extern "C" fn() -> OldMallInfo;

/// Since glibc 2.33.
static MALLINFO2: c::Real = c::Real::new(c"mallinfo2");
/// Before that, and as long as nothing reaches 2 GiB. musl has neither.
static MALLINFO: c::Real = c::Real::new(c"mallinfo");

/// Looks up what is needed later.
pub(super) fn prepare() {
    if MALLINFO2.address().is_null() {
        MALLINFO.address();
    }
    cache::find();
    state::make_own_keys();
    ask_for_randomness();
}

/// Has the C library map what it needs for random numbers, which it does once and for all threads. Since glibc 2.41 the first caller of
/// `getrandom` leaves 8 KiB mapped (`vgetrandom_alloc`, getrandom.c), which would be taken for the library's.
fn ask_for_randomness() {
    type GetRandom = unsafe extern "C" fn(*mut u8, usize, c_uint) -> isize;
    static GETRANDOM: c::Real = c::Real::new(c"getrandom");
    const NONBLOCK: c_uint = 1;
    let function = GETRANDOM.address();
    if !function.is_null() {
        let mut byte = 0_u8;
        // SAFETY: this is its type in each C library that has it, and the byte is on this stack.
        unsafe { core::mem::transmute::<*mut c_void, GetRandom>(function)(&raw mut byte, 1, NONBLOCK) };
    }
}

/// Most references that are given back in search of the one too many.
const MOST_RELEASED: u32 = 64;

/// Writes down what the process has once. All other threads are parked.
pub(super) fn observe(channel: &Parts) {
    let header = channel.header();
    objects(channel);
    tls_destructors::write_down(&header.pending);
    observe_heap(channel);
    // Before keys are made to count them, which might take the place of one that was deleted.
    let is_loaded = channel.slots().iter().any(|slot| slot.completed.load(Relaxed) > 0);
    header.state.keys_deleted.store(state::own_keys_deleted(is_loaded), Relaxed);
    header.state.keys_in_use.store(state::keys_in_use(), Relaxed);
    header.state.keys_most.store(state::keys_most(), Relaxed);
    if header.observe.load(Relaxed) != 0 {
        observe_state(&header.state);
    }
}

/// Objects that the loader has added and removed, by its own counts. musl counts calls of `dlopen` in place of objects, those that load
/// nothing included, and removes nothing: there, those that it lists are those that it has added.
fn added_and_removed(counts: (u64, u64), listed: u64, is_musl: bool) -> (u64, u64) {
    if is_musl { (listed, 0) } else { counts }
}

/// The list of loaded objects, with what the loader has added and removed.
fn objects(channel: &Parts) {
    struct Visit<'a> {
        channel: &'a Parts,
        listed: u64,
        used: usize,
        truncated: u32,
    }
    unsafe extern "C" fn each(info: *const c::ObjectInfo, _size: usize, data: *mut c_void) -> c_int {
        // SAFETY: `data` is the Visit below, which is not shared; the loader hands a valid structure with a valid name.
        let (visit, info, name) = unsafe {
            let info = &*info;
            let visit = &mut *data.cast::<Visit<'_>>();
            // The first one is the program, which has no name in glibc.
            let unnamed = info.name.is_null() || visit.listed == 0;
            (visit, info, if unnamed { c"" } else { CStr::from_ptr(info.name) }.to_bytes_with_nul())
        };
        visit.listed += 1;
        let (adds, subs) = added_and_removed((info.adds, info.subs), visit.listed, c::IS_MUSL);
        let header = visit.channel.header();
        header.adds.store(adds, Relaxed);
        header.subs.store(subs, Relaxed);
        let room = visit.channel.objects();
        if room.len() - visit.used < name.len() {
            visit.truncated = 1;
        } else {
            visit.used += write_bytes(&room[visit.used..], name);
        }
        0
    }
    let mut visit = Visit { channel, listed: 0, used: 0, truncated: 0 };
    // SAFETY: the callback has the declared type and the visit outlives the call.
    unsafe { c::dl_iterate_phdr(each, (&raw mut visit).cast()) };
    channel.header().objects_len.store(visit.used as u32, Relaxed);
    channel.header().objects_truncated.store(visit.truncated, Relaxed);
}

/// How many objects the loader has added and removed so far.
#[inline(never)]
pub(super) fn loads() -> (u64, u64) {
    type Seen = ((u64, u64), u64);
    unsafe extern "C" fn each(info: *const c::ObjectInfo, _size: usize, data: *mut c_void) -> c_int {
        // SAFETY: `data` is the pair below, which is not shared; the loader hands a valid structure.
        let (counts, listed) = unsafe { &mut *data.cast::<Seen>() };
        // SAFETY: as above.
        *counts = unsafe { ((*info).adds, (*info).subs) };
        *listed += 1;
        // Where the loader counts, the first object says it all.
        c_int::from(!c::IS_MUSL)
    }
    let mut seen: Seen = ((0, 0), 0);
    // SAFETY: the callback has the declared type and the pair outlives the call.
    unsafe { c::dl_iterate_phdr(each, (&raw mut seen).cast()) };
    added_and_removed(seen.0, seen.1, c::IS_MUSL)
}

/// What malloc says.
struct Account {
    /// Bytes in arenas, and of them in use.
    arenas: u64,
    in_arenas: u64,
    /// Blocks with mappings of their own, and their bytes.
    mapped_blocks: u64,
    mapped_bytes: u64,
}

impl Account {
    fn read() -> Option<Self> {
        const FIELDS: [usize; 4] = [0, 7, 3, 4];
        let real = MALLINFO2.address();
        let fields = if !real.is_null() {
            // SAFETY: that symbol is a function of this type; it locks each arena itself.
            let info = unsafe { core::mem::transmute::<*mut c_void, MallInfo2>(real)() }.0;
            FIELDS.map(|field| info[field] as u64)
        } else {
            let real = MALLINFO.address();
            if real.is_null() {
                return None;
            }
            // SAFETY: as above.
            let info = unsafe { core::mem::transmute::<*mut c_void, MallInfo1>(real)() }.0;
            FIELDS.map(|field| u64::try_from(info[field]).unwrap_or(UNKNOWN))
        };
        let [arenas, in_arenas, mapped_blocks, mapped_bytes] = fields;
        (!fields.contains(&UNKNOWN)).then_some(Self { arenas, in_arenas, mapped_blocks, mapped_bytes })
    }
}

fn observe_heap(channel: &Parts) {
    let header = channel.header();
    let account = Account::read();
    let of = |field: fn(&Account) -> u64| account.as_ref().map_or(UNKNOWN, field);
    header.malloc_arenas.store(of(|account| account.arenas), Relaxed);
    header.state.malloc_mapped.store(account.as_ref().map_or(0, |account| account.mapped_bytes), Relaxed);
    header.beyond.store(UNKNOWN, Relaxed);
    if !cfg!(dlsoak_counting) {
        header.heap.store(of(|account| account.in_arenas.saturating_add(account.mapped_bytes)), Relaxed);
        header.blocks.store(UNKNOWN, Relaxed);
        return;
    }
    let counted = heap::in_use();
    // What was there before the first count is not known, and constant: below zero it is nothing.
    header.heap.store(counted.bytes.max(0).cast_unsigned(), Relaxed);
    header.blocks.store(counted.blocks.max(0).cast_unsigned(), Relaxed);
    header.uncounted.store(u32::from(!counted.exact), Relaxed);
    let Some(account) = account else { return };
    // The thread that runs `main` makes cycles itself, or has done with its heap.
    let main_cycles = channel.slots().iter().any(|slot| slot.thread.load(Relaxed) == process());
    let slots = channel.slots().iter().map(|slot| slot.cached.load(Relaxed));
    let main = if main_cycles { 0 } else { cache::of_main() };
    let cached =
        slots.chain([main]).try_fold(0, |sum, bytes| (bytes != UNKNOWN).then(|| sum + bytes)).unwrap_or(0);
    // Of blocks with mappings of their own the number is compared: glibc 2.43 takes each for 16 B larger whenever `mremap` changed it
    // (bytes that grow by 48 in each cycle of a library that loses none). Since commit 614cfd0f8a the size of such a chunk leaves out 16 B
    // at the end of its mapping, and `mremap_chunk` in malloc.c still takes it for all of the mapping. A block is a page, at least.
    let in_arenas = account.in_arenas.cast_signed() - (counted.bytes - counted.mapped_bytes);
    let mapped = account.mapped_blocks.cast_signed() - counted.mapped_blocks;
    let beyond = in_arenas - cached.cast_signed() + mapped * c::page() as i64;
    header.beyond.store(beyond.cast_unsigned(), Relaxed);
}

fn process() -> u32 {
    // SAFETY: getpid has no precondition.
    unsafe { c::getpid() }.cast_unsigned()
}

/// Writes the state that each thread has of its own.
pub(super) fn observe_thread(slot: &Slot) {
    slot.thread.store(c::thread_id().cast_unsigned(), Relaxed);
    slot.float_control.store(state::float_control(), Relaxed);
    slot.x87_control.store(state::x87_control(), Relaxed);
    slot.locale.store(state::thread_locale(), Relaxed);
    if cfg!(dlsoak_counting) {
        slot.cached.store(cache::of_this_thread(), Relaxed);
    }
}

/// Writes the state that the process has once.
fn observe_state(to: &State) {
    for (number, signal) in to.signals.iter().enumerate() {
        let action = state::signal_action(number + 1);
        signal.handler.store(action.handler, Relaxed);
        signal.flags.store(action.flags, Relaxed);
    }
    for (timer, left) in to.interval_timers.iter().zip(state::interval_timers()) {
        timer.store(left, Relaxed);
    }
    let places = state::places();
    to.environ.store(places.environ, Relaxed);
    to.locale.store(places.locale, Relaxed);
    to.streams.store(places.streams, Relaxed);
    for (stream, address) in to.standard_streams.iter().zip(places.standard_streams) {
        stream.store(address, Relaxed);
    }
    to.exit_handlers_count.store(exit_handlers::write_down(&to.exit_handlers), Relaxed);
    to.written.store(1, Relaxed);
}

/// Asks the loader whether the files are there, as the supervisor wants it with the order under way: `dlopen` with `RTLD_NOLOAD`,
/// and gives the reference back that the answer takes.
pub(super) fn look<'a>(header: &Header, mut files: impl Iterator<Item = &'a CStr> + Clone) {
    let look = Look::from_u32(header.look.load(Relaxed));
    if look == Look::None {
        return;
    }
    let there = files.clone().filter(|path| is_there(path)).count();
    header.there.store(there as u32, Relaxed);
    if look == Look::Release && there > 0 {
        header.released.store(files.next().map_or(0, release), Relaxed);
    }
}

/// A handle on the library if it is loaded, else null. Its reference is the caller's.
fn handle(path: *const c_char) -> *mut c_void {
    // SAFETY: with RTLD_NOLOAD nothing is loaded, so no code runs; the path ends in NUL.
    unsafe { c::dlopen(path, c::RTLD_NOLOAD | c::RTLD_LAZY) }
}

/// Whether the loader has the library: a reference taken and given back, at which the loader looks again whether anybody needs it.
pub(super) fn is_there(path: &CStr) -> bool {
    let handle = handle(path.as_ptr());
    // SAFETY: the handle is the one just given.
    !handle.is_null() && unsafe { c::dlclose(handle) } == 0
}

/// Closes the library more often than it was opened until it is gone: how often that took, 0 where it stays.
fn release(path: &CStr) -> u32 {
    for released in 1..=MOST_RELEASED {
        let handle = handle(path.as_ptr());
        if handle.is_null() {
            return 0;
        }
        // SAFETY: the handle is the one just given.
        unsafe { c::dlclose(handle) };
        if !is_there(path) {
            // It went with the next close of anything: nobody holds it.
            return 0;
        }
        // SAFETY: someone holds one reference more than this process has use for: it is there for a diagnosis, and ends after
        // this, and the loader checks the handle.
        unsafe { c::dlclose(handle) };
        if !is_there(path) {
            return released;
        }
    }
    0
}

/// Where an open library was loaded, one read: in glibc the handle of `dlopen` is the address of the object's `link_map`
/// (elf/dl-open.c), whose first field this is (`l_addr`, public in <link.h>).
///
/// # Safety
/// The handle is one that `dlopen` gave and that is still open.
#[inline]
pub(super) unsafe fn base_of(handle: *mut c_void) -> u64 {
    // SAFETY: the caller's handle is open, so the structure is there.
    unsafe { handle.cast::<u64>().read() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handle_leads_to_where_an_object_is() {
        unsafe extern "C" fn has(info: *const c::ObjectInfo, _: usize, base: *mut c_void) -> c_int {
            // SAFETY: the loader hands a valid structure, and the address is that of the number below.
            unsafe { c_int::from((*info).base as u64 == *base.cast::<u64>()) }
        }
        let handle = handle(c"libc.so.6".as_ptr());
        assert!(!handle.is_null());
        // SAFETY: the C library stays open.
        let mut base = unsafe { base_of(handle) };
        assert_ne!(base, 0);
        // SAFETY: the callback has the declared type and the number outlives the call.
        assert_eq!(unsafe { c::dl_iterate_phdr(has, (&raw mut base).cast()) }, 1);
        // SAFETY: the handle was opened above.
        unsafe { c::dlclose(handle) };
    }

    #[test]
    fn objects_are_counted_where_the_loader_counts_calls() {
        // After 500 opens of one library in musl.
        assert_eq!(added_and_removed((501, 0), 4, true), (4, 0));
        assert_eq!(added_and_removed((501, 497), 4, false), (501, 497));
        assert_eq!(loads(), loads());
    }

    #[test]
    fn what_is_loaded_is_there() {
        assert!(is_there(c"libc.so.6") && !is_there(c"libno-such-library.so"));
        assert_eq!(release(c"libno-such-library.so"), 0);
    }
}
