//! The memory that supervisor and worker share: one definition of its layout, used by both. It is a `memfd`, so it
//! outlives whatever the library under test does to files and descriptors.
//!
//! The worker's threads write the duration of each phase into a ring of their own and park when they have reached
//! their target; the supervisor empties the rings while they are parked. So the worker needs no memory of its own
//! for measurements, and when it dies, nothing measured is lost. The supervisor trusts nothing it reads here.

mod map;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};

pub use map::{Channel, ChannelError, read_bytes, write_bytes};

use crate::sys::state::SIGNALS;

/// First word of the memory; tells a worker that it was handed the right descriptor.
pub const MAGIC: u32 = 0x646c_736b;
/// Changes with every change of the layout. The two sides are the same program, unless someone mixes builds.
pub const VERSION: u32 = 4;
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
    /// The clock that phases are timed by, a [`Clock`](crate::sys::clock::Clock). Written by the supervisor.
    pub clock: AtomicU32,
    /// Bytes of the job.
    pub job_len: AtomicU64,
    /// Number of the order to carry out; the worker's threads wait on it. Written by the supervisor.
    pub order: AtomicU32,
    /// Not 0: end the worker in an orderly way.
    pub exit: AtomicU32,
    /// Cycles of the order under way that belong to no thread yet: whoever has reached its target takes some of them.
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
    /// C heap in use at the last quiet point, in bytes.
    pub heap: AtomicU64,
    /// Objects the loader had added at the last quiet point.
    pub adds: AtomicU64,
    /// Objects the loader had removed at the last quiet point.
    pub subs: AtomicU64,
    /// Allocations that the worker's own code had made at the last quiet point.
    pub allocations: AtomicU64,
    /// Bytes used in the list of objects.
    pub objects_len: AtomicU32,
    /// Not 0 when the list of objects did not fit.
    pub objects_truncated: AtomicU32,
    /// Nanoseconds of the order under way that threads spent beside their cycles, making copies and starting
    /// threads; summed over the threads.
    pub beside_ns: AtomicU64,
    /// The [`Look`] to take at the quiet point of the order under way. Written by the supervisor.
    pub look: AtomicU32,
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
    /// Bytes of its error message; 0 while it has none.
    pub error_len: AtomicU32,
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
    /// Where the library was loaded.
    pub base: AtomicU64,
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
}

impl Phase {
    /// The phase with this number; anything unknown is taken for [`Phase::Between`].
    pub fn from_u32(value: u32) -> Self {
        match value {
            1 => Self::Open,
            2 => Self::Symbol,
            3 => Self::Call,
            4 => Self::Close,
            _ => Self::Between,
        }
    }

    /// Name as the record has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Between => "between",
            Self::Open => "open",
            Self::Symbol => "symbol",
            Self::Call => "call",
            Self::Close => "close",
        }
    }
}

/// Entries in each thread's ring: at most 1 MiB for all of them together, so that a soak with many threads does
/// not carry a large mapping of ours.
pub fn ring_capacity(threads: u32) -> u32 {
    (32_768 / threads.max(1)).clamp(128, 4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_round_trip() {
        for phase in [Phase::Between, Phase::Open, Phase::Symbol, Phase::Call, Phase::Close] {
            assert_eq!(Phase::from_u32(phase as u32), phase);
        }
        assert_eq!(Phase::from_u32(77), Phase::Between);
    }

    #[test]
    fn shared_cycles_are_taken_by_parts_until_none_is_left() {
        let channel = Channel::create(2, 128, b"{}").unwrap();
        let header = channel.header();
        assert_eq!(header.take_shared(128), 0);
        header.shared.store(101, Relaxed);
        assert_eq!((header.take_shared(5), header.take_shared(128)), (5, 24));
        let rest: u64 =
            std::iter::repeat_with(|| header.take_shared(128)).take_while(|taken| *taken > 0).sum();
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
