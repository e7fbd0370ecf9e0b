//! The memory that a watched host and its supervisor share: a ring of what the loader did. It is a file with a name, so that it
//! outlives an `exec` and a host that closes every descriptor.
//!
//! Any thread of the host writes, and one supervisor reads. A full ring loses what comes next, and counts it. The supervisor trusts
//! nothing it reads here, because the host can write over all of it.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

/// First word of the memory; the rest of it changes with every change of the layout.
pub const MAGIC: u64 = 0x646c_736b_0000_0004;
/// Events that the ring holds: at 20,000 loads per second, with six events each, 130 ms.
pub const EVENTS: usize = 1 << 14;
/// Bytes of a name; a longer one loses its beginning.
pub const NAME: usize = 448;
/// Name of the variable that has the path of this memory.
pub const VARIABLE: &core::ffi::CStr = c"DLSOAK_WATCH";

/// Nanoseconds without a sign of the supervisor after which it is gone: it reads the ring every 20 ms.
pub const GONE_AFTER: u64 = 30_000_000_000;

/// What of ours runs in the host's program, in the order in which it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Inside {
    /// Nothing has begun yet.
    Nothing = 0,
    /// The auditor alone: no handles are reported, and no notes are taken.
    Auditor = 1,
    /// The auditor, and the library that takes notes.
    Both = 2,
    /// The library that takes notes, but no auditor: loads are not seen.
    NoAuditor = 3,
}

from_number! {
    Inside::from_u32(u32): Nothing, Auditor, Both, NoAuditor;
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// The auditor begins in a process: at its start, or after an `exec`.
    Begin = 1,
    /// The loader begins to add objects to a namespace.
    Add = 2,
    /// It has added an object, which has this name.
    Open = 3,
    /// It removes the object with this number.
    Close = 4,
    /// It has added all.
    Consistent = 5,
    /// `dlopen` was called with this name.
    Opening = 6,
    /// `dlclose` was called with the handle in [`Event::map`].
    Closing = 7,
}

from_number! {
    Kind::from_u32(u32): Begin, Add, Open, Close, Consistent, Opening, Closing;
}

/// An event as it is said and heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: Kind,
    /// `CLOCK_MONOTONIC` in nanoseconds; 0 for what belongs to the event before.
    pub time_ns: u64,
    /// The process.
    pub process: u32,
    /// A number that no two living threads of a process have in common.
    pub thread: u64,
    /// Number of the object, counted from 1; 0 where the event is about none.
    pub object: u64,
    /// Address of its `struct link_map`, which is also the handle that `dlopen` returns. With [`Kind::Opening`], the address that the
    /// call returns to.
    pub map: u64,
}

/// An event in memory.
#[repr(C)]
#[derive(Debug)]
struct Slot {
    /// Number of the event plus 1, once it is whole.
    whole: AtomicU64,
    time_ns: AtomicU64,
    thread: AtomicU64,
    process: AtomicU32,
    kind: AtomicU32,
    len: AtomicU32,
    object: AtomicU64,
    map: AtomicU64,
    name: [AtomicU8; NAME],
}

/// All of it. All zero but for the first word is its valid beginning.
#[repr(C)]
#[derive(Debug)]
pub struct Ring {
    /// [`MAGIC`], by the supervisor.
    pub magic: AtomicU64,
    /// The process that is watched; 0 until its auditor begins. By itself, and by the supervisor where the host goes into the background.
    pub host: AtomicU32,
    /// Processes that the host started and that are not watched.
    pub others: AtomicU32,
    /// Events that found no room.
    pub lost: AtomicU64,
    /// Objects numbered so far.
    pub objects: AtomicU64,
    /// [`Inside`] the program that the host is now.
    pub inside: AtomicU32,
    /// Not 0 once the host has given up, because nobody had read for [`GONE_AFTER`].
    pub given_up: AtomicU32,
    /// When the supervisor last read, `CLOCK_MONOTONIC` in nanoseconds.
    pub read_ns: AtomicU64,
    /// Events ever begun.
    head: AtomicU64,
    /// Events ever read.
    tail: AtomicU64,
    slots: [Slot; EVENTS],
}

impl Ring {
    /// The library that takes notes has begun: the auditor of the same program has begun before it.
    pub fn preload_begins(&self) {
        let both =
            self.inside.compare_exchange(Inside::Auditor as u32, Inside::Both as u32, Relaxed, Relaxed);
        if both.is_err() {
            self.inside.store(Inside::NoAuditor as u32, Relaxed);
        }
    }

    /// Whether the supervisor is gone, so that nothing need be reported any more.
    pub fn is_abandoned(&self, now_ns: u64) -> bool {
        let abandoned = now_ns.saturating_sub(self.read_ns.load(Relaxed)) > GONE_AFTER;
        if abandoned {
            self.given_up.store(1, Relaxed);
        }
        abandoned
    }

    /// Writes an event; counts it as lost where there is no room.
    pub fn put(&self, event: Event, name: &[u8]) {
        let room = |head: u64| {
            (head.wrapping_sub(self.tail.load(Acquire)) < EVENTS as u64).then_some(head.wrapping_add(1))
        };
        let Ok(number) = self.head.fetch_update(AcqRel, Relaxed, room) else {
            self.lost.fetch_add(1, Relaxed);
            return;
        };
        let slot = &self.slots[number as usize % EVENTS];
        slot.time_ns.store(event.time_ns, Relaxed);
        slot.process.store(event.process, Relaxed);
        slot.thread.store(event.thread, Relaxed);
        slot.kind.store(event.kind as u32, Relaxed);
        slot.object.store(event.object, Relaxed);
        slot.map.store(event.map, Relaxed);
        let name = &name[name.len().saturating_sub(NAME)..];
        for (cell, byte) in slot.name.iter().zip(name) {
            cell.store(*byte, Relaxed);
        }
        slot.len.store(name.len() as u32, Relaxed);
        slot.whole.store(number.wrapping_add(1), Release);
    }

    /// Reads the next event and its name into `name`, of which it says how many bytes; `None` where there is none yet. What can't be an
    /// event, because someone wrote over it, counts as lost.
    pub fn take(&self, name: &mut [u8; NAME]) -> Option<(Event, usize)> {
        loop {
            let number = self.tail.load(Relaxed);
            let slot = &self.slots[number as usize % EVENTS];
            if slot.whole.load(Acquire) != number.wrapping_add(1) {
                return None;
            }
            let len = (slot.len.load(Relaxed) as usize).min(NAME);
            for (byte, cell) in name.iter_mut().zip(&slot.name[..len]) {
                *byte = cell.load(Relaxed);
            }
            let event = Kind::from_u32(slot.kind.load(Relaxed)).map(|kind| Event {
                kind,
                time_ns: slot.time_ns.load(Relaxed),
                process: slot.process.load(Relaxed),
                thread: slot.thread.load(Relaxed),
                object: slot.object.load(Relaxed),
                map: slot.map.load(Relaxed),
            });
            self.tail.store(number.wrapping_add(1), Release);
            match event {
                Some(event) => return Some((event, len)),
                None => self.lost.fetch_add(1, Relaxed),
            };
        }
    }

    /// Whether an event is begun that can't be read yet.
    pub fn is_unfinished(&self) -> bool {
        self.head.load(Acquire) != self.tail.load(Relaxed)
    }

    /// Gives up the next event, which a thread began to write and never completed: the thread was killed in between. False where
    /// nothing was begun.
    pub fn skip(&self) -> bool {
        let number = self.tail.load(Relaxed);
        let begun = self.head.load(Acquire).wrapping_sub(number);
        if begun == 0 || begun > EVENTS as u64 {
            return false;
        }
        self.tail.store(number.wrapping_add(1), Release);
        self.lost.fetch_add(1, Relaxed);
        true
    }
}
