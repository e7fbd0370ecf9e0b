//! Two builds of one library: a place by which the one that is loaded is recognised, without a look at its file.

use object::Endianness;
use object::elf::{FileHeader64, PF_W};
use object::read::elf::ProgramHeader as _;

use crate::image::Image;

/// Bytes of a word.
const WORD: u64 = 8;

/// A place where two builds have different words once they are loaded, and neither is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// Bytes from where the library is loaded; a multiple of 8.
    pub at: u64,
    /// What the first and the second build have there, as this machine reads it.
    pub words: [u64; 2],
}

/// The first place in which these two files differ in what both load read-only at their beginning, where headers and notes are. A build id
/// is there; without one, the sizes of what follows mostly differ. `None` where there is no such place, or where one of them is no library
/// of 64 bits.
pub fn difference(first: &[u8], second: &[u8]) -> Option<Difference> {
    let images = [Image::open(first).ok()?, Image::open(second).ok()?];
    let [(from, one), (other_from, other)] = [beginning(&images[0])?, beginning(&images[1])?];
    let end = |from: u64, bytes: &[u8]| from.saturating_add(bytes.len() as u64);
    let begin = from.max(other_from).checked_next_multiple_of(WORD)?;
    let end = end(from, one).min(end(other_from, other));
    let word = |from: u64, bytes: &[u8], at: u64| {
        let bytes = bytes.get(usize::try_from(at - from).ok()?..)?;
        bytes.first_chunk().map(|word| u64::from_ne_bytes(*word))
    };
    let places = (begin..end).step_by(WORD as usize);
    let words = places.map_while(|at| Some((at, [word(from, one, at)?, word(other_from, other, at)?])));
    let mut differ = words.filter(|(_, [one, other])| one != other);
    differ.next().map(|(at, words)| Difference { at, words })
}

/// The segment that is loaded first: its address and its bytes in the file; `None` where it may be written to.
fn beginning<'data>(image: &Image<'data, FileHeader64<Endianness>>) -> Option<(u64, &'data [u8])> {
    let segment = image.loads().next().filter(|segment| segment.p_flags(image.endian).0 & PF_W.0 == 0)?;
    Some((segment.p_vaddr(image.endian), segment.data(image.endian, image.data).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A library of one segment, which holds all of it, with these flags.
    fn library(flags: u32, rest: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 120];
        file[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
        for (at, value) in [(16, 3_u16), (18, 62), (20, 1), (52, 64), (54, 56), (56, 1)] {
            file[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        file[32..40].copy_from_slice(&64_u64.to_le_bytes());
        file[64..68].copy_from_slice(&1_u32.to_le_bytes());
        file[68..72].copy_from_slice(&flags.to_le_bytes());
        let size = (120 + rest.len() as u64).to_le_bytes();
        file[96..104].copy_from_slice(&size);
        file[104..112].copy_from_slice(&size);
        file.extend_from_slice(rest);
        file
    }

    #[test]
    fn the_first_word_that_differs_is_found() {
        let [one, other] = [library(4, b"aaaaaaaabbbbbbbb"), library(4, b"aaaaaaaacbbbbbbb")];
        let found = difference(&one, &other).unwrap();
        assert_eq!(found.at, 128);
        assert_eq!(found.words, [*b"bbbbbbbb", *b"cbbbbbbb"].map(u64::from_ne_bytes));
        // The size of the segment differs.
        assert_eq!(difference(&one, &library(4, b"")).unwrap().at, 96);
    }

    #[test]
    fn what_is_alike_or_written_to_or_no_library_shows_nothing() {
        let one = library(4, b"aaaaaaaa");
        assert_eq!(difference(&one, &one), None);
        assert_eq!(difference(&library(6, b"aaaaaaaa"), &library(6, b"bbbbbbbb")), None);
        assert_eq!(difference(&one, b"no library"), None);
        for end in 0..one.len() {
            difference(&one, &one[..end]);
            difference(&one[..end], &one);
        }
    }
}
