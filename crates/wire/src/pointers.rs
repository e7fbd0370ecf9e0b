//! What the pass for stale pointers hands over: the ranges of what went with each load and of what holds a pointer, and the words that
//! still pointed into a range once it had gone; and what the pass for lost memory does: how much of the heap nothing points to. All zero is
//! its valid beginning.

use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

/// Ranges that there is room for.
pub const RANGES: usize = 2048;
/// Words that there is room for.
pub const WORDS: usize = 8192;
/// Bytes of an object's name that are kept, counted from its end.
pub const NAME: usize = 192;
/// In place of a load: an object that stays.
pub const STAYS: u32 = u32::MAX;
/// In place of the number of a range: none.
pub const NO_RANGE: u32 = u32::MAX;

/// Everything that is handed over.
#[repr(C)]
#[derive(Debug)]
pub struct Table {
    /// Loads whose close was looked at.
    pub loads: AtomicU32,
    /// Not 0 once the last close was looked at, and it is known which blocks can be reached.
    pub done: AtomicU32,
    /// The load, counted from 1, after whose close blocks are counted for the first time; the second time is after the last one. Nothing
    /// else is looked for then. 0: pointers are. By the supervisor.
    pub count_from: AtomicU32,
    _room: AtomicU32,
    /// What was alive each time.
    pub counts: [Count; 2],
    /// Ranges written.
    pub ranges_used: AtomicU32,
    /// Words written.
    pub words_used: AtomicU32,
    /// Ranges and words for which there was no room.
    pub dropped: AtomicU32,
    /// Ranges that could not be kept free.
    pub unguarded: AtomicU32,
    /// Address of the argument in an entry of glibc's list of exit functions, from which the others are told; 0: not found.
    pub exit_argument: AtomicU64,
    /// Ranges of what went, and of what stays and holds a pointer.
    pub ranges: [Range; RANGES],
    /// The words.
    pub words: [Word; WORDS],
}

/// Living blocks of the heap.
#[repr(C)]
#[derive(Debug)]
pub struct Count {
    /// Their number.
    pub blocks: AtomicU64,
    /// Bytes of them that may be used.
    pub bytes: AtomicU64,
    /// The number of those among them that nothing points to.
    pub lost_blocks: AtomicU64,
    /// Bytes of these.
    pub lost_bytes: AtomicU64,
}

/// Where an object is or was.
#[repr(C)]
#[derive(Debug)]
pub struct Range {
    /// The load it went with, counted from 0; [`STAYS`] for an object that did not go.
    pub load: AtomicU32,
    /// Bytes of the name.
    pub name_len: AtomicU32,
    /// What the addresses of its file are relative to.
    pub base: AtomicU64,
    /// Its first address.
    pub low: AtomicU64,
    /// The address behind its last.
    pub high: AtomicU64,
    /// The end of its name.
    pub name: [AtomicU8; NAME],
}

/// What kind of memory a word lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Memory {
    /// Data of an object.
    Data = 1,
    /// A block of the heap.
    Heap = 2,
    /// Thread-local memory of an object.
    ThreadLocal = 3,
    /// The stack of a thread.
    Stack = 4,
    /// A mapping without a file.
    Anonymous = 5,
}

from_number! {
    Memory::from_u32(u32): Data, Heap, ThreadLocal, Stack, Anonymous;
}

/// A word that pointed into a range that had gone.
#[repr(C)]
#[derive(Debug)]
pub struct Word {
    /// After which load's close it was seen, counted from 0.
    pub seen: AtomicU32,
    /// The [`Memory`] it lies in.
    pub memory: AtomicU32,
    /// The range that it points into.
    pub target: AtomicU32,
    /// The range of the object that it lies in, or whose code allocated the block; [`NO_RANGE`] where that is unknown.
    pub holder: AtomicU32,
    /// Its address.
    pub place: AtomicU64,
    /// Its value.
    pub value: AtomicU64,
    /// The three words before it, the nearest first.
    pub before: [AtomicU64; 3],
    /// The block's first byte; 0 where it is no block.
    pub block: AtomicU64,
    /// Bytes of the block.
    pub size: AtomicU64,
    /// The return address of the call that allocated the block.
    pub site: AtomicU64,
    /// Whether the block could be reached from anywhere when the last close was looked at; known of words that were seen then.
    pub reachable: AtomicU32,
}
