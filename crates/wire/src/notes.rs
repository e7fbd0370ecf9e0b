//! The memory that the traced worker writes and the supervisor reads, defined once. All of it is atomics, all zero is its
//! valid beginning, and its size is fixed: what does not fit is counted as lost.

mod intern;
mod live;
mod ranges;

pub use live::Live;

use core::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, AtomicU64};

/// First word of the memory.
pub const MAGIC: u64 = 0x6563_6172_746c_7364;

/// Files that code was loaded from.
pub const MODULES: usize = 1 << 10;
/// Bytes of a file's name that are kept.
pub const NAME: usize = 496;
/// Places that resources come from, stacks included.
pub const PLACES: usize = 1 << 15;
/// Frames of all stacks together.
pub const FRAMES: usize = 1 << 20;
/// Resources that are alive at a time, in buckets of [`BUCKET`].
pub const LIVE: usize = 1 << 20;
/// Entries of a bucket.
pub const BUCKET: usize = 8;
/// Mappings that are alive at a time.
pub const RANGES: usize = 1 << 14;
/// Frames of one stack.
pub const DEPTH: usize = 64;

/// Where a module's number stands in a frame.
pub const MODULE_SHIFT: u32 = 48;
/// Number of the module where an address is in none.
pub const NO_MODULE: u64 = 0xffff;
/// The module that is the library under test, however many copies of it are open.
pub const LIBRARY: u64 = 0xfffe;

/// What is obtained and given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Memory from malloc.
    Heap = 0,
    /// A mapping.
    Mapping = 1,
    /// A file descriptor.
    Fd = 2,
    /// A thread.
    Thread = 3,
    /// A thread-specific key.
    Key = 4,
}

from_number! {
    Kind::from_bits(u64): Heap, Mapping, Fd, Thread, Key;
}

impl Kind {
    /// The key by which one resource of this kind is found again.
    pub fn key(self, value: u64) -> u64 {
        // Never 0, which is a free entry; addresses have less than 57 bits.
        value | ((self as u64 + 1) << 59)
    }

    /// Whether a key is of this kind.
    pub fn is_of(self, key: u64) -> bool {
        key >> 59 == self as u64 + 1
    }
}

/// All notes are taken.
pub const READY: u64 = 1;
/// Notes are taken, but not of memory from malloc, because the program has a malloc of its own.
pub const NO_HEAP: u64 = 2;

/// The phase of a thread that makes no cycles.
pub const OTHER_THREAD: u64 = 7;
/// Set by the supervisor: the stacks of what comes from this place are wanted.
pub const WANT_STACK: u32 = 1;

/// Entries of the table of few keys in [`Memory`], which fit into the first cache of a processor.
pub const FEW: usize = 1 << 13;

/// What a place has besides its frames: kind, phase, and how large, in powers of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta(pub u64);

impl Meta {
    /// Puts it together.
    pub fn new(kind: Kind, phase: u64, size: u64) -> Self {
        Self(kind as u64 | (phase & 7) << 8 | u64::from(64 - size.leading_zeros()) << 16)
    }

    /// What it is.
    pub fn kind(self) -> Option<Kind> {
        Kind::from_bits(self.0 & 0xff)
    }

    /// Number of the phase, as in the channel, or [`OTHER_THREAD`].
    pub fn phase(self) -> u64 {
        self.0 >> 8 & 7
    }
}

/// A file that code was loaded from.
#[repr(C)]
#[derive(Debug)]
pub struct Module {
    /// Hash of its name; 0 where the entry is free.
    pub hash: AtomicU64,
    /// Bytes of its name; written last.
    pub len: AtomicU32,
    _room: AtomicU32,
    /// Its name, as the loader has it; empty for the program.
    pub name: [AtomicU8; NAME],
}

/// A place that resources come from: one frame, or a stack.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Place {
    /// Hash of all that makes it; 0 where the entry is free.
    pub hash: AtomicU64,
    /// A [`Meta`].
    pub meta: AtomicU64,
    /// Where its frames begin.
    pub frames: AtomicU32,
    /// How many there are; written last.
    pub depth: AtomicU32,
    /// Number of the place of one frame that it belongs to, plus 1; 0 for such a place itself.
    pub site: AtomicU32,
    /// [`WANT_STACK`].
    pub wanted: AtomicU32,
    /// Resources that are alive.
    pub count: AtomicI64,
    /// Their bytes.
    pub bytes: AtomicI64,
}

/// One living resource.
#[repr(C)]
#[derive(Debug)]
pub struct Entry {
    /// Its [`Kind::key`]; 0 where the entry is free.
    pub key: AtomicU64,
    /// Bytes; 0 for what has none.
    pub size: AtomicU64,
    /// Number of the place it came from.
    pub place: AtomicU32,
    /// The [`Memory::stretch`] that it came in.
    pub stretch: AtomicU32,
}

/// One living mapping.
#[repr(C)]
#[derive(Debug)]
pub struct Range {
    /// First address; 0 where the entry is free.
    pub start: AtomicU64,
    /// Bytes.
    pub len: AtomicU64,
    /// Number of the place it came from.
    pub place: AtomicU32,
    /// The [`Memory::stretch`] that it came in.
    pub stretch: AtomicU32,
}

/// All of it.
#[repr(C)]
#[derive(Debug)]
pub struct Memory {
    /// [`MAGIC`], by the supervisor.
    pub magic: AtomicU64,
    /// Not 0 once the process takes notes: [`READY`] or [`NO_HEAP`].
    pub ready: AtomicU64,
    /// What was not noted for lack of room.
    pub lost: AtomicU64,
    /// Frames used.
    pub frames_len: AtomicU32,
    /// Ranges ever used.
    pub ranges_len: AtomicU32,
    /// Bytes of the directory whose files are all copies of the library; 0: there are none. By the supervisor.
    pub private_len: AtomicU32,
    /// For one thread at a time: the ranges.
    pub ranges_lock: AtomicU32,
    /// Number of the stretch of cycles under way, for what comes in it. By the supervisor.
    pub stretch: AtomicU32,
    /// Not 0: take note of memory from malloc only where code asks for it that was loaded later, or the C library or a language's own does
    /// for others. By the supervisor.
    pub only_groups: AtomicU32,
    /// The process that takes notes.
    pub process: AtomicU32,
    /// That directory's name.
    pub private: [AtomicU8; NAME],
    /// Files that code was loaded from, by hash.
    pub modules: [Module; MODULES],
    /// Places, by hash.
    pub places: [Place; PLACES],
    /// The frames of places: [`MODULE_SHIFT`], and below it the address in the module's file.
    pub frames: [AtomicU64; FRAMES],
    /// What is alive, by a hash of its key.
    pub entries: [Entry; LIVE],
    /// Mappings that are alive.
    pub ranges: [Range; RANGES],
    /// How far from its home a bucket's keys were ever put.
    pub spread: [AtomicU8; LIVE / BUCKET],
    /// Keys that are alive, by a part of their hash, where few are: most of what is freed was never noted then, and to find that out in the
    /// table takes two misses of the cache. A Python program that frees 1.2 million blocks took 0.33 s of CPU with it and 0.41 s without
    /// (0.24 s unwatched; medians of five).
    pub few: [AtomicU32; FEW],
}

/// The next step of a hash (the finaliser of splitmix64, on what came before and the next word).
pub fn mix(hash: u64, word: u64) -> u64 {
    let mut mixed = (hash ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
