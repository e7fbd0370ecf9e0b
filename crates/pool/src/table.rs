//! Finds a library by its path without a lock. The hash table only grows, so a reader follows pointers that never change
//! once they are set.

use std::sync::OnceLock;

use super::entry::Entry;

/// Chains of the table. A host has tens of libraries, seldom thousands; a chain of several costs little.
const CHAINS: usize = 512;

/// One library in a chain.
#[derive(Debug)]
struct Node {
    hash: u64,
    entry: Entry,
    next: OnceLock<Box<Node>>,
}

/// All libraries of a pool.
#[derive(Debug)]
pub(super) struct Table([OnceLock<Box<Node>>; CHAINS]);

impl Table {
    pub(super) const fn new() -> Self {
        Self([const { OnceLock::new() }; CHAINS])
    }

    /// The library with this path.
    #[inline]
    pub(super) fn find(&self, path: &[u8]) -> Option<&Entry> {
        let hash = hash(path);
        let mut node = self.chain(hash).get();
        while let Some(here) = node {
            if here.hash == hash && here.entry.path().to_bytes() == path {
                return Some(&here.entry);
            }
            node = here.next.get();
        }
        None
    }

    /// Puts a library in, unless one with its path is there by now. Returns the one that is there, and the new one if it
    /// was too late.
    pub(super) fn insert(&self, entry: Entry) -> (&Entry, Option<Entry>) {
        let path = entry.path().to_bytes().to_vec();
        let hash = hash(&path);
        let mut link = self.chain(hash);
        let mut new = Some(Box::new(Node { hash, entry, next: OnceLock::new() }));
        loop {
            if let Some(here) = link.get() {
                if here.hash == hash && here.entry.path().to_bytes() == path {
                    return (&here.entry, new.map(|node| node.entry));
                }
                link = &here.next;
            } else if let Some(node) = new.take()
                && let Err(late) = link.set(node)
            {
                new = Some(late);
            }
        }
    }

    /// All libraries, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter().flat_map(|chain| {
            std::iter::successors(chain.get(), |node| node.next.get()).map(|node| &node.entry)
        })
    }

    fn chain(&self, hash: u64) -> &OnceLock<Box<Node>> {
        &self.0[hash as usize % CHAINS]
    }
}

/// Sixteen bytes a step. Speed alone matters, because an attacker who chooses paths to load needs no collisions.
#[inline]
fn hash(bytes: &[u8]) -> u64 {
    const K: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xe703_7ed1_a0b4_28db];
    let fold = |state: u64, part: u128| {
        let product = u128::from(part as u64 ^ state ^ K[0]) * u128::from((part >> 64) as u64 ^ K[1]);
        (product as u64) ^ (product >> 64) as u64
    };
    let (steps, rest) = bytes.as_chunks::<16>();
    let mut state = bytes.len() as u64;
    for step in steps {
        state = fold(state, u128::from_le_bytes(*step));
    }
    if rest.is_empty() {
        return state;
    }
    // The last sixteen bytes, some of them for the second time, or all bytes of a short path.
    let last = bytes.last_chunk().copied().unwrap_or_else(|| {
        let mut padded = [0; 16];
        padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        padded
    });
    fold(state, u128::from_le_bytes(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_spread_over_the_chains() {
        let mut used = [0_u32; CHAINS];
        for n in 0..5 * CHAINS {
            used[hash(format!("/usr/lib/plugins/lib{n}.so").as_bytes()) as usize % CHAINS] += 1;
        }
        assert!(used.iter().all(|n| *n < 25), "{:?}", used.iter().max());
        assert!(used.iter().filter(|n| **n > 0).count() > CHAINS * 9 / 10);
        assert_ne!(hash(b"a"), hash(b"a\0"));
        assert_ne!(hash(b"0123456789abcdefX"), hash(b"0123456789abcdefY"));
    }
}
