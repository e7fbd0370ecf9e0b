//! Mappings that stay. Much of what is new in an address space is the C library's own: arenas of malloc, stacks kept
//! for the next thread, tables of locales. None of that is residue, and neither is what can't be
//! distinguished from it.

use super::snapshot::{Mapping, Snapshot};
use super::{Case, tally};
use crate::record::{Evidence, Mapped, Residue, Tally};

/// glibc's arenas for threads are reserved in pieces of this size, at multiples of it.
const ARENA: u64 = 64 << 20;
/// The largest guard of a stack that glibc makes by default: a page, and 64 KiB on AArch64.
const GUARD: u64 = 64 << 10;
/// Files that glibc keeps mapped for itself: locales, message catalogues, tables of converters, name service caches.
const OF_GLIBC: [&str; 6] =
    ["/locale/", "/locale-archive", "gconv-modules.cache", ".mo", "/nscd/", "/sss/mc/"];

/// Finds mappings that were not there before.
pub(super) fn find(case: &Case<'_>) -> Vec<Residue> {
    if case.context.is_held() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let files = named(case);
    if !files.is_empty() {
        found.push(Residue::new(
            Evidence::Mappings(Mapped::Files { left: files }),
            case.per_cycle(|s| s.mappings.iter().filter(|m| is_named(m)).count() as u64),
        ));
    }
    let Left { bytes, execute } = anonymous(case, case.after);
    // Less is not worth a word: what malloc maps one by one is rounded up to pages.
    if bytes < case.context.page {
        return found;
    }
    let per_cycle = case.per_cycle(|s| anonymous(case, s).bytes);
    let evidence = match per_cycle {
        Some(_) => Evidence::Allocator { bytes },
        None => Evidence::Mappings(Mapped::Anonymous { bytes, executable: execute }),
    };
    found.push(Residue::new(evidence, per_cycle));
    found
}

/// Whether a mapping has a name and is neither an object's, the kernel's nor the C library's.
fn is_named(mapping: &Mapping) -> bool {
    let ipc = ["/SYSV", "/dev/shm/", "/memfd:"].iter().any(|prefix| mapping.name.starts_with(prefix));
    mapping.name.starts_with('/')
        && !ipc
        && !OF_GLIBC.iter().any(|part| mapping.name.contains(part))
        && !mapping.name.contains(".so")
}

/// New mappings of files and of memory that is shared, by name.
fn named(case: &Case<'_>) -> Tally<String> {
    let mut old: Vec<&str> = case.before.mappings.iter().map(|m| m.name.as_str()).collect();
    let mut new = Vec::new();
    for mapping in case.after.mappings.iter().filter(|m| is_named(m)) {
        match old.iter().position(|name| *name == mapping.name) {
            Some(index) => {
                old.swap_remove(index);
            }
            None => new.push(mapping.name.clone()),
        }
    }
    tally(new)
}

/// Anonymous memory that was not there before and is not the C library's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Left {
    bytes: u64,
    execute: bool,
}

fn anonymous(case: &Case<'_>, now: &Snapshot) -> Left {
    let mut left = Left::default();
    for (index, mapping) in now.mappings.iter().enumerate().filter(|(_, m)| m.is_anonymous()) {
        let before =
            index.checked_sub(1).and_then(|i| now.mappings.get(i)).filter(|m| m.end == mapping.start);
        let after = now.mappings.get(index + 1).filter(|m| m.start == mapping.end);
        if is_of_libc(mapping, before, after, case) {
            continue;
        }
        let bytes = new_bytes(mapping, &case.before.mappings);
        left.bytes += bytes;
        left.execute |= bytes > 0 && mapping.execute;
    }
    // Blocks that malloc maps one by one look like any other mapping; their sum is known, each with up to a page
    // for its header and the rounding.
    let by_malloc = now.malloc_mapped.saturating_sub(case.before.malloc_mapped);
    left.bytes = left.bytes.saturating_sub(by_malloc);
    left
}

/// Whether an anonymous mapping has the shape of an arena, of a thread's stack, or of an object's zeroed data.
fn is_of_libc(mapping: &Mapping, before: Option<&Mapping>, after: Option<&Mapping>, case: &Case<'_>) -> bool {
    let arena = |m: &Mapping| m.end.is_multiple_of(ARENA) && m.len() < ARENA;
    let pair = if mapping.is_guard() {
        // The unused rest of an arena, or the guard below a stack.
        arena(mapping) && before.is_some_and(Mapping::is_anonymous)
            || after.is_some_and(|m| m.is_anonymous() && m.write)
    } else {
        // Whatever the library maps may come to lie behind an arena, whose unused rest looks like the guard of a stack but ends
        // where arenas do, and is larger. Neither a stack nor an arena is ever read-only.
        let guard = |m: &Mapping| m.is_guard() && (m.len() <= GUARD || !m.end.is_multiple_of(ARENA));
        mapping.write && (after.is_some_and(|m| m.is_guard() && arena(m)) || before.is_some_and(guard))
    };
    let zeroed = before.is_some_and(|m| case.is_of_what_stays(m));
    pair || zeroed
}

/// Bytes of a mapping that lie where nothing was mapped before.
fn new_bytes(mapping: &Mapping, old: &[Mapping]) -> u64 {
    let first = old.partition_point(|m| m.end <= mapping.start);
    let overlap: u64 = old[first..]
        .iter()
        .take_while(|m| m.start < mapping.end)
        .map(|m| m.end.min(mapping.end).saturating_sub(m.start.max(mapping.start)))
        .sum();
    mapping.len().saturating_sub(overlap)
}
