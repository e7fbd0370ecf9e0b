//! Threads and thread-specific keys. A thread is gone when it has ended and nobody can join it any more: until then its
//! stack stays.

use core::ffi::{c_int, c_uint, c_void};
use core::ptr::null_mut;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};

use super::origin::{Thread, memory_of_process, place};
use crate::c::{self, Destructor, reals};
use dlsoak_wire::notes::Kind;

type Any = *mut c_void;
type Start = extern "C" fn(Any) -> Any;

reals! {
    pthread_create(*mut u64, *const c_void, Option<Start>, Any) -> c_int;
    pthread_join(u64, *mut Any) -> c_int;
    pthread_tryjoin_np(u64, *mut Any) -> c_int;
    pthread_timedjoin_np(u64, *mut Any, *const c_void) -> c_int;
    pthread_clockjoin_np(u64, *mut Any, c_int, *const c_void) -> c_int;
    pthread_detach(u64) -> c_int;
    pthread_key_create(*mut c_uint, Destructor) -> c_int;
    pthread_key_delete(c_uint) -> c_int;
}

/// Threads whose end is watched, at a time.
const WATCHED: usize = 1 << 12;

/// A thread whose end is watched.
struct Watched {
    state: AtomicU32,
    id: AtomicU64,
    start: AtomicPtr<c_void>,
    argument: AtomicPtr<c_void>,
}

const FREE: u32 = 0;
const TAKEN: u32 = 1;
/// It can't be joined.
const DETACHED: u32 = 2;
/// It has ended.
const ENDED: u32 = 4;
/// It was taken note of.
const NOTED: u32 = 8;
/// All that must be true of a thread that is gone without being joined.
const GONE: u32 = DETACHED | ENDED | NOTED;

static THREADS: [Watched; WATCHED] = [const {
    Watched {
        state: AtomicU32::new(FREE),
        id: AtomicU64::new(0),
        start: AtomicPtr::new(null_mut()),
        argument: AtomicPtr::new(null_mut()),
    }
}; WATCHED];

fn forget(id: u64) {
    if let Some(memory) = memory_of_process() {
        memory.gone(Kind::Thread.key(id));
    }
}

/// The watched thread with this name.
fn watched(id: u64) -> Option<&'static Watched> {
    THREADS.iter().find(|thread| thread.state.load(Acquire) != FREE && thread.id.load(Relaxed) == id)
}

/// Something became true of a thread, which may be the last that was missing.
fn now(thread: &Watched, what: u32) {
    let state = thread.state.fetch_or(what, AcqRel) | what;
    if state & GONE == GONE {
        forget(thread.id.load(Relaxed));
        thread.state.store(FREE, Release);
    }
}

/// What a watched thread begins with.
extern "C" fn begin(record: Any) -> Any {
    let record = record as usize;
    let Some(thread) = THREADS.get(record) else { return null_mut() };
    Thread::adopt(record);
    // The thread may detach itself before the one that made it knows its name.
    // SAFETY: pthread_self has no precondition.
    thread.id.store(unsafe { c::pthread_self() }, Relaxed);
    // SAFETY: the address of a function of this type was put there by pthread_create.
    let start: Start = unsafe { core::mem::transmute(thread.start.load(Acquire)) };
    start(thread.argument.load(Relaxed))
}

/// Destructor of the key that a watched thread has its record under.
pub(super) unsafe extern "C" fn ended(value: Any) {
    if let Some(thread) = Thread::record(value).and_then(|record| THREADS.get(record)) {
        now(thread, ENDED);
    }
}

/// As the C library's.
///
/// # Safety
/// The C library's contract.
#[cfg_attr(dlsoak_program = "preload", unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_create(
    id: *mut u64,
    attributes: *const c_void,
    start: Option<Start>,
    argument: Any,
) -> c_int {
    /// `EAGAIN`, which a host must expect.
    const AGAIN: c_int = 11;
    /// `PTHREAD_CREATE_DETACHED`.
    const CREATE_DETACHED: c_int = 1;
    let Some(real) = real::pthread_create() else { return AGAIN };
    let noted = memory_of_process().and_then(|memory| Some((memory, place(memory, Kind::Thread)?)));
    let free = THREADS.iter().position(|thread| {
        thread.state.load(Relaxed) == FREE
            && thread.state.compare_exchange(FREE, TAKEN, AcqRel, Relaxed).is_ok()
    });
    let (Some((memory, live)), Some(record), Some(function)) = (noted, free, start) else {
        if let Some(thread) = free.and_then(|record| THREADS.get(record)) {
            thread.state.store(FREE, Release);
        }
        if let Some(memory) = memory_of_process() {
            memory.lost.fetch_add(1, Relaxed);
        }
        // SAFETY: the caller's contract.
        return unsafe { real(id, attributes, start, argument) };
    };
    let mut detached = 0;
    if !attributes.is_null() {
        // SAFETY: the caller's attributes are initialised.
        unsafe { c::pthread_attr_getdetachstate(attributes, &raw mut detached) };
    }
    let thread = &THREADS[record];
    thread.id.store(0, Relaxed);
    thread.argument.store(argument, Relaxed);
    thread.start.store(function as *mut c_void, Release);
    let mut made = 0;
    // SAFETY: the caller's contract; the thread's function takes the number of its record.
    let result = unsafe {
        real(&raw mut made, attributes, Some(begin as Start), core::ptr::without_provenance_mut(record))
    };
    if result != 0 {
        thread.state.store(FREE, Release);
        return result;
    }
    thread.id.store(made, Relaxed);
    memory.born(Kind::Thread.key(made), live);
    now(thread, if detached == CREATE_DETACHED { NOTED | DETACHED } else { NOTED });
    // SAFETY: the caller's pointer is to a place for the thread's name.
    unsafe { *id = made };
    result
}

/// Forgets a thread that was joined.
fn joined(result: c_int, id: u64) -> c_int {
    if result == 0 {
        forget(id);
        if let Some(thread) = watched(id) {
            thread.state.store(FREE, Release);
        }
    }
    result
}

/// Defines the functions that join a thread.
macro_rules! joins {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {$(
        /// As the C library's.
        ///
        /// # Safety
        /// The C library's contract.
        #[cfg_attr(dlsoak_program = "preload", unsafe(no_mangle))]
        pub unsafe extern "C" fn $name(id: u64, $($arg: $type),*) -> c_int {
            // SAFETY: the caller's contract.
            real::$name().map_or(c::INVALID, |real| joined(unsafe { real(id, $($arg),*) }, id))
        }
    )*};
}

joins! {
    pthread_join(result: *mut Any);
    pthread_tryjoin_np(result: *mut Any);
    pthread_timedjoin_np(result: *mut Any, until: *const c_void);
    pthread_clockjoin_np(result: *mut Any, clock: c_int, until: *const c_void);
}

/// As the C library's.
///
/// # Safety
/// The C library's contract.
#[cfg_attr(dlsoak_program = "preload", unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_detach(id: u64) -> c_int {
    let thread = watched(id);
    // SAFETY: the caller's contract.
    let result = real::pthread_detach().map_or(c::INVALID, |real| unsafe { real(id) });
    if let Some(thread) = thread.filter(|_| result == 0) {
        now(thread, DETACHED);
    }
    result
}

/// As the C library's.
///
/// # Safety
/// The C library's contract.
#[cfg_attr(dlsoak_program = "preload", unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_key_create(key: *mut c_uint, destructor: Destructor) -> c_int {
    // SAFETY: the caller's contract.
    let result = real::pthread_key_create().map_or(c::NO_MEMORY, |real| unsafe { real(key, destructor) });
    if result == 0
        && let Some(memory) = memory_of_process()
        && let Some(live) = place(memory, Kind::Key)
    {
        // SAFETY: the call succeeded, so that it has written the key.
        memory.born(Kind::Key.key(u64::from(unsafe { *key })), live);
    }
    result
}

/// As the C library's.
///
/// # Safety
/// The C library's contract.
#[cfg_attr(dlsoak_program = "preload", unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_key_delete(key: c_uint) -> c_int {
    if let Some(memory) = memory_of_process() {
        memory.gone(Kind::Key.key(u64::from(key)));
    }
    // SAFETY: the caller's contract.
    real::pthread_key_delete().map_or(c::INVALID, |real| unsafe { real(key) })
}
