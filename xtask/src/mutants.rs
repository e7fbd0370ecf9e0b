//! Damaged copies of a library, the same ones each time: bytes of the file, of its headers, of its dynamic section and of
//! its tables become others, or the file ends too early.

/// A generator of numbers that is the same everywhere (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 to below `end`; 0 where that is 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % (end as u64).max(1)) as usize
    }
}

/// Bytes that are at an edge of something more often than others.
const EDGES: [u8; 6] = [0, 1, 0x7f, 0x80, 0xfe, 0xff];

/// Ways to damage a file.
const WAYS: u64 = 7;

/// The copy of this number: the same bytes for the same original and number.
pub fn mutant(original: &[u8], number: u64) -> Vec<u8> {
    let mut numbers = Numbers((number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    // The first numbers of neighbours are alike.
    for _ in 0..4 {
        numbers.next();
    }
    let mut copy = original.to_vec();
    let (headers, tables, dynamic) = places(original);
    match number % WAYS {
        0 => change(&mut copy, (0, original.len()), 1 + numbers.below(8), &mut numbers),
        1 => change(&mut copy, (4, 64), 1 + numbers.below(3), &mut numbers),
        2 => change(&mut copy, headers, 1 + numbers.below(4), &mut numbers),
        3 => change(&mut copy, dynamic, 1 + numbers.below(4), &mut numbers),
        4 => change(&mut copy, tables, 1 + numbers.below(16), &mut numbers),
        5 => copy.truncate(numbers.below(original.len())),
        _ => {
            let from = numbers.below(copy.len());
            let to = (from + 1 + numbers.below(512)).min(copy.len());
            let byte = EDGES[numbers.below(EDGES.len())];
            copy[from..to].fill(byte);
        }
    }
    copy
}

/// Changes some bytes in a range.
fn change(copy: &mut [u8], range: (usize, usize), count: usize, numbers: &mut Numbers) {
    let (from, to) = (range.0.min(copy.len()), range.1.min(copy.len()));
    for _ in 0..count {
        let at = from + numbers.below(to.saturating_sub(from));
        let byte = match numbers.below(3) {
            0 => EDGES[numbers.below(EDGES.len())],
            1 => copy.get(at).map_or(0, |old| old ^ 1 << numbers.below(8)),
            _ => numbers.next() as u8,
        };
        if let Some(old) = copy.get_mut(at) {
            *old = byte;
        }
    }
}

/// Where a 64-bit file has its program headers, the tables between them and its code, and its dynamic section; the whole
/// file where it does not say.
fn places(file: &[u8]) -> ((usize, usize), (usize, usize), (usize, usize)) {
    const HEADER: usize = 56;
    const DYNAMIC: u64 = 2;
    const CODE: (u64, u64) = (1, 5);
    let number = |at: usize, bytes: usize| {
        let bytes = file.get(at..at + bytes).unwrap_or_default();
        bytes.iter().rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte))
    };
    let whole = (0, file.len());
    let (start, count) = (number(32, 8) as usize, number(56, 2) as usize);
    let end = start.saturating_add(count * HEADER).min(file.len());
    let (mut code, mut dynamic) = (file.len(), whole);
    for at in (start..end).step_by(HEADER) {
        let (kind, flags, from, length) =
            (number(at, 4), number(at + 4, 4), number(at + 8, 8) as usize, number(at + 32, 8) as usize);
        if kind == DYNAMIC {
            dynamic = (from, from.saturating_add(length));
        }
        if (kind, flags) == CODE && from > end {
            code = code.min(from);
        }
    }
    ((start, end), (end, code), dynamic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_gives_the_same_copy_and_another_one_another() {
        let original: Vec<u8> = (0..4096_u32).map(|n| (n * 7) as u8).collect();
        let copies: Vec<_> = (0..70).map(|number| mutant(&original, number)).collect();
        assert_eq!(copies, (0..70).map(|number| mutant(&original, number)).collect::<Vec<_>>());
        let others = copies.iter().filter(|copy| **copy != original).count();
        let distinct: std::collections::BTreeSet<_> = copies.iter().collect();
        // A byte may become what it was, and what is no ELF file has no tables and no dynamic section to damage: two of the
        // seven ways do nothing to it.
        assert!(others >= 45 && distinct.len() >= 45, "{others} {}", distinct.len());
    }

    #[test]
    fn no_file_is_too_short_to_be_damaged() {
        for length in [0, 1, 4, 63, 64, 65, 120] {
            for number in 0..70 {
                assert!(mutant(&vec![0x7f; length], number).len() <= length);
            }
        }
    }
}
