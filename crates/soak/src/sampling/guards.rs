//! Guards that lie inside of mappings. Since Linux 6.13 a process can take pages out of a mapping that stays whole (`MADV_GUARD_INSTALL`),
//! and since 2.42 glibc does so at the end of each thread's stack. Stacks that lie side by side are one mapping then, and look like memory
//! that a library maps itself. The page table tells where the guards are.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use procfs::sys::kernel::Version;

use super::memory::Memory;
use crate::residue::snapshot::Mapping;

/// Bits of an entry of `/proc/PID/pagemap`: the page is a guard; it is in swap space, as the kernel also says of guards.
const GUARD: u64 = 1 << 58;
const SWAPPED: u64 = 1 << 62;
/// Most pages that are looked at: 16 GiB of the usual ones. Each takes 8 bytes and 3 ns, and sanitizers reserve terabytes.
const MOST: u64 = 1 << 22;

/// The mappings of a process, in which each guard is a mapping of its own. Where the kernel does not say, they are what they were.
pub(super) fn split(mappings: Vec<Mapping>, pid: i32, memory: Option<&Memory>) -> Vec<Mapping> {
    let Ok(table) = File::open(format!("/proc/{pid}/pagemap")) else { return mappings };
    // Since this version the kernel sets the first bit.
    let is_reported = Version::current().is_ok_and(|kernel| kernel >= Version::new(6, 15, 0));
    let page = procfs::page_size();
    let mut left = MOST;
    let mut all = Vec::with_capacity(mappings.len());
    for mapping in mappings {
        let pages = mapping.len() / page;
        if !mapping.is_anonymous() || !mapping.write || pages > left {
            all.push(mapping);
            continue;
        }
        left -= pages;
        let mut entries = vec![0; pages as usize * size_of::<u64>()];
        let read = table.read_at(&mut entries, mapping.start / page * size_of::<u64>() as u64).unwrap_or(0);
        let is_unreadable = |address: u64| memory.is_some_and(|memory| memory.word(address).is_none());
        let is_guard = |(index, entry): (u64, &[u8])| {
            let entry = u64::from_ne_bytes(entry.try_into().unwrap_or_default());
            let unreported = !is_reported && entry & SWAPPED != 0;
            entry & GUARD != 0 || unreported && is_unreadable(mapping.start + index * page)
        };
        let guards: Vec<bool> =
            (0..).zip(entries[..read].chunks_exact(size_of::<u64>())).map(is_guard).collect();
        all.extend(parts(&mapping, &guards, page));
    }
    all
}

/// A mapping in parts: what can be used, and guards.
fn parts(mapping: &Mapping, guards: &[bool], page: u64) -> Vec<Mapping> {
    if !guards.contains(&true) {
        return vec![mapping.clone()];
    }
    let mut parts: Vec<Mapping> = Vec::new();
    let mut start = mapping.start;
    for run in guards.chunk_by(|one, next| one == next) {
        let end = start + run.len() as u64 * page;
        let part = Mapping { start, end, ..mapping.clone() };
        parts.push(if run[0] { Mapping { read: false, write: false, execute: false, ..part } } else { part });
        start = end;
    }
    // What was not looked at is like the part before it.
    parts.iter_mut().rev().take(1).for_each(|last| last.end = mapping.end);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 0x4000;

    fn mapping(pages: std::ops::Range<u64>, usable: bool) -> Mapping {
        let (start, end) = (0x10_0000 + pages.start * PAGE, 0x10_0000 + pages.end * PAGE);
        Mapping { start, end, read: usable, write: usable, ..Mapping::default() }
    }

    #[test]
    fn stacks_in_one_mapping_are_told_apart_by_their_guards() {
        let stacks = mapping(0..7, true);
        let guards = [true, false, false, true, true, false, false];
        let expected = [mapping(0..1, false), mapping(1..3, true), mapping(3..5, false), mapping(5..7, true)];
        assert_eq!(parts(&stacks, &guards, PAGE), expected);
        assert!(expected[0].is_guard() && !expected[1].is_guard());
        // Memory of the library's own below a stack.
        let expected = [mapping(0..2, true), mapping(2..3, false), mapping(3..7, true)];
        assert_eq!(parts(&stacks, &[false, false, true, false], PAGE), expected);
        assert_eq!(parts(&stacks, &[false; 7], PAGE), std::slice::from_ref(&stacks));
        assert_eq!(parts(&stacks, &[], PAGE), std::slice::from_ref(&stacks));
    }

    #[test]
    fn nothing_is_lost_of_what_is_mapped_here() {
        let own = std::process::id().cast_signed();
        let whole = vec![mapping(0..1, true), mapping(2..3, false)];
        assert_eq!(split(whole.clone(), own, None), whole);
        assert_eq!(split(whole.clone(), i32::MAX, None), whole);
    }
}
