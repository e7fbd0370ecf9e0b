//! The memory that supervisor and worker share: one definition of its layout, used by both. It is a `memfd`, or a file without a name
//! where memfd is refused, so it outlives whatever the library under test does to files and descriptors.
//!
//! The worker's threads write the duration of each phase into a ring of their own and park when they have reached
//! their target; the supervisor empties the rings while they are parked. So the worker needs no memory of its own
//! for measurements, and when it dies, nothing measured is lost. The supervisor trusts nothing it reads here.

use core::ptr::NonNull;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64};

use crate::pointers::Table;

/// Signals that Linux has, numbered from 1.
pub const SIGNALS: usize = 64;

/// First word of the memory; tells a worker that it was handed the right descriptor.
pub const MAGIC: u32 = 0x646c_736b;
/// Changes with every change of the layout. The two sides are of the same build, unless someone mixes them.
pub const VERSION: u32 = 11;
/// Bytes that an error message may take.
pub const ERROR_LEN: usize = 2048;
/// Bytes for the list of loaded objects.
pub const OBJECTS_LEN: usize = 512 * 1024;
/// Entries for pending thread-local destructors, one per object and thread.
pub const TLS_ENTRIES: usize = 64;

/// Functions registered with `on_exit` that are listed.
pub const EXIT_HANDLERS: usize = 32;

/// What both sides read and write by name. All zero is its valid beginning.
#[repr(C)]
#[derive(Debug)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: AtomicU32,
    /// [`VERSION`].
    pub version: AtomicU32,
    /// Number of threads.
    pub threads: AtomicU32,
    /// Entries in each thread's ring.
    pub capacity: AtomicU32,
    /// The clock that phases are timed by, a [`Clock`]. Written by the supervisor.
    pub clock: AtomicU32,
    /// Bytes of the job.
    pub job_len: AtomicU64,
    /// Not 0 where there is a table for stale pointers.
    pub has_pointers: AtomicU32,
    /// Number of the order to carry out; the worker's threads wait on it. Written by the supervisor.
    pub order: AtomicU32,
    /// Not 0: end the worker in an orderly way.
    pub exit: AtomicU32,
    /// Cycles of the order under way that belong to no thread yet: each that has reached its target takes some of them.
    pub shared: AtomicU64,
    /// Not 0: park after the cycle under way, wherever the target is.
    pub stop: AtomicU32,
    /// Number of the last order that was carried out; the supervisor waits on it. Written by the worker.
    pub done: AtomicU32,
    /// Threads that have parked for the order under way.
    pub arrived: AtomicU32,
    /// Threads that ended on an error.
    pub failed: AtomicU32,
    /// Active nanoseconds of all orders so far: from the first thread that starts to the last that parks.
    pub active_ns: AtomicU64,
    /// When the order under way was taken up, `CLOCK_MONOTONIC` in nanoseconds.
    pub started_ns: AtomicU64,
    /// Bytes of the C heap in use at the last quiet point; [`UNKNOWN`] where nothing can tell.
    pub heap: AtomicU64,
    /// Blocks of the C heap in use, where the process counts them; else [`UNKNOWN`].
    pub blocks: AtomicU64,
    /// What glibc's own account, `mallinfo2(3)`, has in use beyond what the process counts: bytes with a sign, a multiple of 8, where
    /// each block with a mapping of its own is one page; [`UNKNOWN`] where there is no account, or no count.
    pub beyond: AtomicU64,
    /// Bytes that malloc has from the kernel for its arenas, by the same account; else [`UNKNOWN`].
    pub malloc_arenas: AtomicU64,
    /// Not 0 once a thread found no room to count in.
    pub uncounted: AtomicU32,
    /// Objects the loader had added at the last quiet point.
    pub adds: AtomicU64,
    /// Objects the loader had removed at the last quiet point.
    pub subs: AtomicU64,
    /// Bytes used in the list of objects.
    pub objects_len: AtomicU32,
    /// Not 0 when the list of objects did not fit.
    pub objects_truncated: AtomicU32,
    /// Nanoseconds of the order under way that threads spent beside their cycles, making copies and starting
    /// threads; summed over the threads.
    pub beside_ns: AtomicU64,
    /// The [`Look`] to take at the quiet point of the order under way. Written by the supervisor.
    pub look: AtomicU32,
    /// Not 0: write down the [`State`] at the quiet point of the order under way. It takes about 70 system calls, which is as long as
    /// two cycles of a small library. Written by the supervisor.
    pub observe: AtomicU32,
    /// How many of the job's files the loader had at the last look.
    pub there: AtomicU32,
    /// How many references the last look gave back before the first file was gone; 0 when it stayed or was not there.
    pub released: AtomicU32,
    /// What the worker is kept from, as bits of [`confined`].
    pub confined: AtomicU32,
    /// Why it has no network namespace, as an error number; 0 where none was asked for.
    pub network_refused: AtomicU32,
    /// Thread-local destructors that were pending at the last quiet point.
    pub pending: [Pending; TLS_ENTRIES],
    /// What else only the worker can see of its process.
    pub state: State,
    /// Libraries that a cycle opens. Written by the supervisor.
    pub libraries: AtomicU32,
    /// Number of the library, counted from 1, that the first thread opens and closes before the cycles of the order under way, and which
    /// counts as none of them; 0: none. Written by the supervisor.
    pub visit: AtomicU32,
    /// Not 0: the next order follows in a moment, and the one thread looks for it for a while before it sleeps. Written by the supervisor.
    pub awake: AtomicU32,
}

impl Header {
    /// Takes cycles from those that are shared, at most `room`; 0 where none are left. A part of them each time, so that
    /// all threads come to their end at once: guided self-scheduling (Polychronopoulos and Kuck, 1987).
    #[inline]
    pub fn take_shared(&self, room: u64) -> u64 {
        if self.shared.load(Relaxed) == 0 {
            return 0;
        }
        let parts = u64::from(self.threads.load(Relaxed)).max(1) * 2;
        let share = |left: u64| left.div_ceil(parts).min(room);
        self.shared.fetch_update(Relaxed, Relaxed, |left| Some(left - share(left))).map_or(0, share)
    }
}

/// Bits of [`Header::confined`].
pub mod confined {
    /// Files can't be written, made or removed.
    pub const NO_WRITING: u32 = 1;
    /// Files can't be truncated.
    pub const NO_TRUNCATING: u32 = 2;
    /// There is no network.
    pub const NO_NETWORK: u32 = 4;
    /// TCP can't be used.
    pub const NO_TCP: u32 = 8;
    /// Processes outside can't be sent signals.
    pub const NO_SIGNALS: u32 = 16;
}

/// Thread-local destructors of one object that one thread has pending.
#[repr(C)]
#[derive(Debug)]
pub struct Pending {
    /// An address inside the object; 0 where the entry is free.
    pub object: AtomicU64,
    /// The thread, as the kernel numbers it.
    pub thread: AtomicU32,
    /// How many it has registered.
    pub count: AtomicU32,
}

/// A figure that can't be had.
pub const UNKNOWN: u64 = u64::MAX;

/// A source of time for phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u32)]
pub enum Clock {
    /// `CLOCK_MONOTONIC`, in nanoseconds.
    #[default]
    Monotonic = 0,
    /// The time stamp counter of x86-64, invariant over frequencies and idle states (Intel SDM vol. 3, 18.17.1).
    Tsc = 1,
}

impl Clock {
    /// The clock with this number; anything unknown is taken for [`Clock::Monotonic`].
    pub fn from_u32(value: u32) -> Self {
        if value == Self::Tsc as u32 && cfg!(target_arch = "x86_64") { Self::Tsc } else { Self::Monotonic }
    }
}

/// Why a thread can't go on. What the loader said, or the name of a file, is in the thread's error message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Failure {
    /// `dlopen` refused.
    Open = 1,
    /// `dlmopen` refused.
    Namespace = 2,
    /// The copy of the library at this path could not be made: an error number.
    Copy = 3,
    /// The thread that a cycle was to run on could not be started: an error number.
    Thread = 4,
    /// The thread that a cycle ran on has ended before the cycle had.
    Ended = 5,
    /// `dlsym` found nothing.
    Symbol = 6,
    /// The driver returned this number.
    Driver = 7,
    /// `dlclose` refused.
    Close = 8,
    /// A check of a call failed: how its result was read, a [`Read`](crate::job::Read). The message is what the step is called.
    Check = 9,
    /// A function wrote beyond the 8 bytes of an out-parameter. The message is what the step is called.
    Overrun = 10,
    /// Before the first cycle: the driver could not be opened, or lacks its function.
    DriverOpen = 11,
    /// Before the first cycle: the library could not be read to make copies of it: an error number.
    Original = 12,
    /// Before the first cycle: the library that takes notes was not preloaded.
    Tracer = 13,
    /// Before the first cycle: the sandbox could not be entered at all: an error number.
    Sandbox = 14,
    /// Before the first cycle: there is no memory for the job: an error number.
    Memory = 15,
    /// Before the first cycle: a cycling thread could not be started: an error number.
    Start = 16,
    /// In the set-up: a function was not found. The message is its name.
    SetUpSymbol = 17,
    /// In the set-up: a check failed, as in [`Failure::Check`].
    SetUpCheck = 18,
    /// In the set-up: the driver's own returned this number.
    SetUpDriver = 19,
    /// Before the first cycle: a library that the host holds could not be opened.
    Hold = 20,
    /// Before the first cycle: the library of this name is not there, which the loader was to have before `main`.
    Linked = 21,
    /// Before the first cycle: no library that is held has the function to call after each close.
    After = 22,
    /// A function was called that only the real host has; its name is the message. The process has ended at once.
    NeedsHost = 23,
}

from_number! {
    Failure::from_u32(u32): Open, Namespace, Copy, Thread, Ended, Symbol, Driver, Close, Check, Overrun, DriverOpen, Original, Tracer,
        Sandbox, Memory, Start, SetUpSymbol, SetUpCheck, SetUpDriver, Hold, Linked, After, NeedsHost;
}

impl Failure {
    /// Whether it happened before anything was opened, so that the process has ended at once.
    pub fn is_before_the_first_cycle(self) -> bool {
        (Self::DriverOpen as u32..=Self::After as u32).contains(&(self as u32))
    }
}

/// What the worker asks the loader about the files of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Look {
    /// Nothing.
    None = 0,
    /// Whether they are there.
    Presence = 1,
    /// The same, and then closes the first one until it is gone.
    Release = 2,
}

impl Look {
    /// The look with this number; anything unknown is taken for [`Look::None`].
    pub fn from_u32(value: u32) -> Self {
        match value {
            1 => Self::Presence,
            2 => Self::Release,
            _ => Self::None,
        }
    }
}

/// State of the worker's process at the last quiet point, as far as only the process itself can see it. Addresses
/// are the worker's; the supervisor reads what they point to from outside.
#[repr(C)]
#[derive(Debug)]
pub struct State {
    /// The action of each signal, from signal 1 on.
    pub signals: [SignalAction; SIGNALS],
    /// Microseconds until each of the three interval timers fires; 0: not armed.
    pub interval_timers: [AtomicU64; 3],
    /// Thread-specific keys in use.
    pub keys_in_use: AtomicU32,
    /// Thread-specific keys that a process can have.
    pub keys_most: AtomicU32,
    /// Keys of the worker's own that somebody else has deleted: a bit for each, by its number.
    pub keys_deleted: AtomicU32,
    /// Not 0 once all this was written.
    pub written: AtomicU32,
    /// The array `environ`.
    pub environ: AtomicU64,
    /// The text of `setlocale(LC_ALL, NULL)`.
    pub locale: AtomicU64,
    /// The first of all stdio streams.
    pub streams: AtomicU64,
    /// The streams `stdin`, `stdout` and `stderr`.
    pub standard_streams: [AtomicU64; 3],
    /// Functions that `on_exit` will call, the first ones.
    pub exit_handlers: [AtomicU64; EXIT_HANDLERS],
    /// How many there are.
    pub exit_handlers_count: AtomicU64,
    /// Bytes that malloc has mapped one by one, besides its arenas.
    pub malloc_mapped: AtomicU64,
}

/// What a signal does.
#[repr(C)]
#[derive(Debug)]
pub struct SignalAction {
    /// Address of the handler; 0 is `SIG_DFL`, 1 is `SIG_IGN`.
    pub handler: AtomicU64,
    /// `SA_*` flags.
    pub flags: AtomicU64,
}

/// What one thread reports; on cache lines of its own.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Slot {
    /// Cycles to have completed before taking from those that are shared. Written by the supervisor.
    pub target: AtomicU64,
    /// Cycles completed, warm-up included.
    pub completed: AtomicU64,
    /// The [`Phase`] it is in.
    pub phase: AtomicU32,
    /// Bytes of its error message.
    pub error_len: AtomicU32,
    /// Why it can't go on, a [`Failure`]; 0 while it can. Written after the message and the number.
    pub failure: AtomicU32,
    /// The number that goes with the failure.
    pub failure_number: AtomicI32,
    /// The register with the result that failed its check.
    pub returned: AtomicU64,
    /// Bytes that lie in its thread cache, when it parked; [`UNKNOWN`] where that can't be read.
    pub cached: AtomicU64,
    /// Where the library was loaded in the first cycle of the last order.
    pub load_address: AtomicU64,
    /// Where the library was loaded in the last cycle that opened it.
    pub base: AtomicU64,
    /// Number of the thread, as `/proc/PID/task` names it.
    pub thread: AtomicU32,
    /// Modes of its floating-point unit (MXCSR, FPCR) when it parked.
    pub float_control: AtomicU32,
    /// Control word of its x87 unit when it parked.
    pub x87_control: AtomicU32,
    /// A locale of its own when it parked; 0: that of the process.
    pub locale: AtomicU64,
    /// Number of the library that it opened last, counted from 0.
    pub library: AtomicU32,
}

/// What became of one library on one thread, where a cycle opens several.
#[repr(C)]
#[derive(Debug)]
pub struct Visit {
    /// Where it was loaded last.
    pub base: AtomicU64,
    /// The cycle in which that was, and how many libraries the thread had opened by then.
    pub cycle: AtomicU64,
    /// See `cycle`.
    pub number: AtomicU64,
    /// Bytes of the C heap that all its visits have left, a number that may be negative. Where only one thread makes cycles, and the process
    /// counts its heap.
    pub heap: AtomicU64,
    /// Objects that the loader has added in its visits, where only one thread makes cycles.
    pub adds: AtomicU64,
    /// Objects that the loader has removed in them.
    pub subs: AtomicU64,
}

/// Durations of one cycle's phases, in ticks of the header's clock, and where it took place.
#[repr(C)]
#[derive(Debug)]
pub struct Entry {
    /// `dlopen`.
    pub open: AtomicU64,
    /// `dlsym`, all symbols.
    pub symbol: AtomicU64,
    /// The calls.
    pub call: AtomicU64,
    /// `dlclose`.
    pub close: AtomicU64,
    /// The calls after it.
    pub after: AtomicU64,
    /// Where the library was loaded.
    pub base: AtomicU64,
    /// Where builds replace each other: the word that the one has that was opened, [`Kind::Build`](crate::job::Kind::Build).
    pub build: AtomicU64,
}

impl Entry {
    /// The duration of the phase with this number; those of the first one for any that has none.
    #[inline]
    pub fn of(&self, phase: u32) -> &AtomicU64 {
        match Phase::from_u32(phase) {
            Phase::Between | Phase::Open => &self.open,
            Phase::Symbol => &self.symbol,
            Phase::Call => &self.call,
            Phase::Close => &self.close,
            Phase::After => &self.after,
        }
    }
}

/// Where in a cycle a thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Phase {
    /// Parked, or between two cycles.
    Between = 0,
    /// In `dlopen`.
    Open = 1,
    /// In `dlsym`.
    Symbol = 2,
    /// In a call.
    Call = 3,
    /// In `dlclose`.
    Close = 4,
    /// In a call of a library that is held, after `dlclose`.
    After = 5,
}

impl Phase {
    /// The phase with this number; anything unknown is taken for [`Phase::Between`].
    pub fn from_u32(value: u32) -> Self {
        match value {
            1 => Self::Open,
            2 => Self::Symbol,
            3 => Self::Call,
            4 => Self::Close,
            5 => Self::After,
            _ => Self::Between,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Between => "between",
            Self::Open => "open",
            Self::Symbol => "symbol",
            Self::Call => "call",
            Self::Close => "close",
            Self::After => "after",
        }
    }
}

/// Entries in each thread's ring: at most 1 MiB for all of them together, so that a soak with many threads does
/// not carry a large mapping of ours.
pub fn ring_capacity(threads: u32) -> u32 {
    (32_768 / threads.max(1)).clamp(128, 4096)
}

/// Most threads that a channel serves; also what the measured process believes at most.
const MAX_THREADS: usize = 1 << 16;
/// Most libraries that a cycle opens.
const MAX_LIBRARIES: usize = 4096;
/// Largest job in bytes.
const MAX_JOB: usize = 16 << 20;
/// What each part begins at a multiple of, so that no two share a page where pages have the usual size.
const ALIGN: usize = 4096;

/// Offsets of the parts, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Number of threads.
    pub threads: usize,
    /// Entries in each thread's ring.
    pub capacity: usize,
    /// Libraries that a cycle opens.
    pub libraries: usize,
    slots: usize,
    errors: usize,
    rings: usize,
    objects: usize,
    visits: usize,
    /// `None` where stale pointers are not looked for.
    pointers: Option<usize>,
    job: usize,
    /// Bytes of the job.
    pub job_len: usize,
    /// All bytes.
    pub len: usize,
}

impl Layout {
    /// The layout for this many threads and libraries; `None` where that is none, or more than there can be.
    pub fn new(
        (threads, libraries): (usize, usize),
        capacity: usize,
        job_len: usize,
        has_pointers: bool,
    ) -> Option<Self> {
        let possible = (1..=MAX_THREADS).contains(&threads) && (1..=MAX_LIBRARIES).contains(&libraries);
        if !possible || capacity > 1 << 20 || job_len > MAX_JOB {
            return None;
        }
        let aligned = |offset: usize| offset.next_multiple_of(ALIGN);
        let slots = aligned(size_of::<Header>());
        let errors = aligned(slots + threads * size_of::<Slot>());
        let rings = aligned(errors + threads * ERROR_LEN);
        let objects = aligned(rings + threads * capacity * size_of::<Entry>());
        let visits = aligned(objects + OBJECTS_LEN);
        let after_visits = aligned(visits + threads * libraries * size_of::<Visit>());
        let pointers = has_pointers.then_some(after_visits);
        let job = pointers.map_or(after_visits, |at| aligned(at + size_of::<Table>()));
        let len = aligned(job + job_len);
        Some(Self {
            threads,
            capacity,
            libraries,
            slots,
            errors,
            rings,
            objects,
            visits,
            pointers,
            job,
            job_len,
            len,
        })
    }

    /// The layout that a header states; `None` where it is not that of such memory.
    pub fn of(header: &Header) -> Option<Self> {
        if header.magic.load(Relaxed) != MAGIC || header.version.load(Relaxed) != VERSION {
            return None;
        }
        let job_len = usize::try_from(header.job_len.load(Relaxed)).ok()?;
        let of = |word: &AtomicU32| word.load(Relaxed) as usize;
        let counts = (of(&header.threads), of(&header.libraries));
        Self::new(counts, of(&header.capacity), job_len, header.has_pointers.load(Relaxed) != 0)
    }
}

/// The parts of memory that is mapped, as atomics, so that neither side needs `unsafe` to use them.
#[derive(Debug, Clone, Copy)]
pub struct Parts {
    base: NonNull<u8>,
    layout: Layout,
}

// SAFETY: all parts are handed out as atomics only.
unsafe impl Send for Parts {}
// SAFETY: as above.
unsafe impl Sync for Parts {}

impl Parts {
    /// The parts of the memory at `base`.
    ///
    /// # Safety
    /// `layout.len` bytes are mapped there for reading and writing, at the beginning of a page, as long as this value or a copy
    /// of it is used.
    pub unsafe fn new(base: NonNull<u8>, layout: Layout) -> Self {
        Self { base, layout }
    }

    /// Where they are, and how many bytes.
    pub fn extent(&self) -> (NonNull<u8>, usize) {
        (self.base, self.layout.len)
    }

    /// The words that both sides know by name.
    pub fn header(&self) -> &Header {
        // SAFETY: the memory is at least as large, and begins on a page; all of Header's fields are atomics that are valid for
        // any bytes.
        unsafe { self.base.cast::<Header>().as_ref() }
    }

    /// One slot per thread.
    pub fn slots(&self) -> &[Slot] {
        // SAFETY: the layout has `threads` slots at this aligned offset; Slot is made of atomics.
        unsafe { core::slice::from_raw_parts(self.at(self.layout.slots).cast(), self.layout.threads) }
    }

    /// The ring of one thread; empty for a thread that is not there.
    pub fn ring(&self, thread: usize) -> &[Entry] {
        if thread >= self.layout.threads {
            return &[];
        }
        let offset = self.layout.rings + thread * self.layout.capacity * size_of::<Entry>();
        // SAFETY: the layout has `capacity` entries for this thread at this aligned offset; Entry is made of atomics.
        unsafe { core::slice::from_raw_parts(self.at(offset).cast(), self.layout.capacity) }
    }

    /// The room for one thread's error message; empty for a thread that is not there.
    pub fn error(&self, thread: usize) -> &[AtomicU8] {
        if thread >= self.layout.threads {
            return &[];
        }
        self.part(self.layout.errors + thread * ERROR_LEN, ERROR_LEN)
    }

    /// The room for the list of loaded objects.
    pub fn objects(&self) -> &[AtomicU8] {
        self.part(self.layout.objects, OBJECTS_LEN)
    }

    /// What became of each library on each thread: first those of the first thread.
    pub fn visits(&self) -> &[Visit] {
        let count = self.layout.threads * self.layout.libraries;
        // SAFETY: the layout has as many at this aligned offset; Visit is made of atomics.
        unsafe { core::slice::from_raw_parts(self.at(self.layout.visits).cast(), count) }
    }

    /// What is found of stale pointers, where they are looked for.
    pub fn pointers(&self) -> Option<&Table> {
        // SAFETY: the layout has a table at this offset, which begins on a page; it is made of atomics.
        self.layout.pointers.map(|offset| unsafe { &*self.at(offset).cast() })
    }

    /// The job, as the supervisor wrote it.
    pub fn job(&self) -> &[AtomicU8] {
        self.part(self.layout.job, self.layout.job_len)
    }

    /// All that the measured process writes to.
    pub fn writable(&self) -> &[AtomicU8] {
        self.part(0, self.layout.job)
    }

    fn at(&self, offset: usize) -> *const u8 {
        self.base.as_ptr().wrapping_add(offset)
    }

    fn part(&self, offset: usize, len: usize) -> &[AtomicU8] {
        // SAFETY: callers pass parts of the layout, which lie within the memory; AtomicU8 has no alignment.
        unsafe { core::slice::from_raw_parts(self.at(offset).cast(), len) }
    }
}

/// Copies `bytes` into shared memory, as much as fits; returns how much that was.
pub fn write_bytes(to: &[AtomicU8], bytes: &[u8]) -> usize {
    for (cell, byte) in to.iter().zip(bytes) {
        cell.store(*byte, Relaxed);
    }
    bytes.len().min(to.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_round_trip() {
        for phase in [Phase::Between, Phase::Open, Phase::Symbol, Phase::Call, Phase::Close, Phase::After] {
            assert_eq!(Phase::from_u32(phase as u32), phase);
        }
        assert_eq!(Phase::from_u32(77), Phase::Between);
    }

    #[test]
    fn failures_round_trip() {
        assert!((1..=23).all(|number| Failure::from_u32(number).is_some_and(|known| known as u32 == number)));
        assert_eq!((Failure::from_u32(0), Failure::from_u32(24)), (None, None));
        assert!(Failure::Original.is_before_the_first_cycle() && !Failure::Close.is_before_the_first_cycle());
    }

    #[test]
    fn parts_do_not_overlap() {
        let layout = Layout::new((3, 5), 128, 77, true).unwrap();
        let ends = [
            (0, size_of::<Header>()),
            (layout.slots, 3 * size_of::<Slot>()),
            (layout.errors, 3 * ERROR_LEN),
            (layout.rings, 3 * 128 * size_of::<Entry>()),
            (layout.objects, OBJECTS_LEN),
            (layout.visits, 15 * size_of::<Visit>()),
            (layout.pointers.unwrap(), size_of::<Table>()),
            (layout.job, 77),
            (layout.len, 0),
        ];
        assert!(ends.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "{ends:?}");
        assert!(Layout::new((0, 1), 1, 0, false).is_none() && Layout::new((1, 0), 1, 0, false).is_none());
        assert!(Layout::new((1, 1), 1, MAX_JOB + 1, false).is_none());
    }

    #[test]
    fn shared_cycles_are_taken_by_parts_until_none_is_left() {
        // SAFETY: all zero is the header's valid beginning.
        let header: Header = unsafe { core::mem::zeroed() };
        header.threads.store(2, Relaxed);
        assert_eq!(header.take_shared(128), 0);
        header.shared.store(101, Relaxed);
        assert_eq!((header.take_shared(5), header.take_shared(128)), (5, 24));
        let rest: u64 =
            core::iter::repeat_with(|| header.take_shared(128)).take_while(|taken| *taken > 0).sum();
        assert_eq!(rest, 72);
    }

    #[test]
    fn rings_stay_small() {
        assert_eq!(ring_capacity(1), 4096);
        assert_eq!(ring_capacity(0), 4096);
        assert_eq!(ring_capacity(64), 512);
        assert_eq!(ring_capacity(1024), 128);
    }
}
