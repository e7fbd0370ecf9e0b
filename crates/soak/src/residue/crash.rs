//! Distinguishes a thread that will crash from one that only waits: its code, or a function it returns to, lies in
//! memory that is no longer mapped.

use super::Case;
use super::snapshot::{Snapshot, Thread};
use crate::record::is_runtime;
use crate::record::{At, Place};

/// Words on a stack that can be a return address of a frame that waits: the innermost kilobytes.
const DEEP: usize = 1024;

/// What a thread that waits will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is in code that is not mapped.
    InGoneCode(u64),
    /// It returns into code of the library, which is not mapped.
    ReturnsToGoneCode(u64),
    /// It belongs to an object that is still loaded.
    Alive,
    /// It was started with code of an object that the host had before: an address in that.
    OfHost(u64),
    /// Nothing speaks against it.
    Unknown,
}

/// What becomes of a thread when it goes on.
pub(super) fn fate(thread: &Thread, case: &Case<'_>) -> Fate {
    let snapshot = case.after;
    let Some(wait) = &thread.waits else { return Fate::Unknown };
    if wait.at != 0 && snapshot.mapping_at(wait.at).is_none() {
        return Fate::InGoneCode(wait.at);
    }
    let words = || wait.stack.iter().take(DEEP).copied();
    let in_library =
        |word: u64| case.context.library.iter().any(|(start, end)| (*start..*end).contains(&word));
    if let Some(word) = words().find(|word| in_library(*word) && snapshot.mapping_at(*word).is_none()) {
        return Fate::ReturnsToGoneCode(word);
    }
    // What it was started with is the outermost code that is not the C library's or a runtime's, which start threads for others.
    let is_code = |word: &u64| {
        snapshot.mapping_at(*word).is_some_and(|mapping| mapping.execute && !is_runtime(&mapping.name))
    };
    let started = words().rev().find(is_code);
    if let Some(word) = started
        && snapshot.mapping_at(word).is_some_and(|mapping| case.is_of_host(mapping))
    {
        return Fate::OfHost(word);
    }
    let stayed = |address: u64| {
        let mapping = snapshot.mapping_at(address).filter(|mapping| mapping.execute);
        mapping.is_some_and(|mapping| case.is_of_what_stays(mapping))
    };
    if stayed(wait.at) || words().any(stayed) { Fate::Alive } else { Fate::Unknown }
}

/// An address with what is mapped there; of a handler or a function that stays registered.
pub(super) fn at(address: u64, snapshot: &Snapshot) -> At {
    let place = match snapshot.mapping_at(address) {
        None => Place::Unmapped,
        Some(mapping) if mapping.name.is_empty() => Place::Anonymous,
        Some(mapping) => Place::File(mapping.name.clone()),
    };
    At { address: format!("{address:#x}"), place }
}
