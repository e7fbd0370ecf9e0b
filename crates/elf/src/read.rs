//! Reads what people name without waiting on what is not a file, or taking in more than there is room for.

use std::fs::{File, Metadata, OpenOptions};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use object::Endianness;
use object::elf::{FileHeader64, SHF_EXECINSTR, SectionHeader64};
use object::read::elf::{FileHeader as _, SectionHeader as _};

use crate::{Facts, language};

/// Most bytes that are read of a library; the largest ones, with their debug information, have some gigabytes.
const LARGEST_LIBRARY: u64 = 4 << 30;

/// A file of more bytes than this is not read whole. A C library has fewer, and what it says of its version before 2.33 is among its constants.
const LARGE: u64 = 8 << 20;

/// Sections of a large file that are left out, beside what executes.
const SAY_NOTHING: [&[u8]; 11] = [
    b".data.rel.ro",
    b".debug_aranges",
    b".debug_line",
    b".debug_loc",
    b".debug_loclists",
    b".debug_ranges",
    b".debug_rnglists",
    b".eh_frame",
    b".eh_frame_hdr",
    b".gcc_except_table",
    b".rodata",
];

/// Bytes of a file that show what it is if it is not a library.
const HEAD: u64 = 64 * 1024;

/// What an ELF file begins with.
const ELF: &[u8] = b"\x7fELF";

/// What a library's file says; `None` where it can't be read, or is no ELF file.
pub fn facts_of(path: &Path) -> Option<Facts> {
    crate::parse(&read_library(path).ok()?).ok()
}

/// Reads a library, as far as facts, symbols and notes go. Of a file that does not begin as one only the beginning is read, which shows what it
/// is; what is not a regular file is not opened for long, because a FIFO would keep its reader waiting and a device would never end.
///
/// What a file of more than 8 MiB executes, its constants and its tables for unwinding are left out: they are zeros, which take no memory.
/// libLLVM 15 has 117 MB, and without them 14.
///
/// # Errors
/// Whatever the file system says; that it is not a regular file; that it is larger than any library.
pub fn read_library(path: &Path) -> io::Result<Vec<u8>> {
    if path.as_os_str().is_empty() {
        return Err(io::Error::other("the path is empty; name a shared library (.so)"));
    }
    let (mut file, metadata) = open(path)?;
    let mut bytes = Vec::new();
    Read::by_ref(&mut file).take(HEAD).read_to_end(&mut bytes)?;
    if !bytes.starts_with(ELF) {
        return Ok(bytes);
    }
    if metadata.len() > LARGEST_LIBRARY {
        return Err(io::Error::other(format!(
            "the file has {} bytes, but dlsoak reads libraries of at most {LARGEST_LIBRARY} bytes",
            metadata.len()
        )));
    }
    // At once: growing by doubling would take up to three times as much. A length that is too large for memory fails later.
    let length = usize::try_from(metadata.len()).unwrap_or(0);
    let has_room = bytes.try_reserve_exact((length + 1).saturating_sub(bytes.len())).is_ok();
    if metadata.len() > LARGE && has_room {
        drop(bytes);
        return outline(&file, length);
    }
    rest(file, LARGEST_LIBRARY, bytes)
}

/// A file of this many bytes, with zeros in place of what is left out.
fn outline(file: &File, length: usize) -> io::Result<Vec<u8>> {
    // The kernel gives no memory for zeros that nobody writes to.
    let mut bytes = vec![0; length];
    let mut at = 0;
    let left_out = left_out(file, &mut bytes).unwrap_or_default();
    for part in left_out.iter().cloned().chain(std::iter::once(length..length)) {
        if let Some(wanted) = bytes.get_mut(at..part.start.min(length)) {
            let had = read_at(file, wanted, at)?;
            if had < wanted.len() {
                // It has become shorter since.
                bytes.truncate(at + had);
                break;
            }
        }
        at = at.max(part.end.min(length));
    }
    for part in left_out {
        show_language(file, bytes.get_mut(part.clone()).unwrap_or_default(), part.start)?;
    }
    Ok(bytes)
}

/// Reads as much of what is left out as shows that Rust is in it; nothing where it is not.
fn show_language(file: &File, left_out: &mut [u8], from: usize) -> io::Result<()> {
    let mut part = vec![0; HEAD as usize];
    // They overlap, since what shows it may lie across two.
    for at in (0..left_out.len()).step_by(part.len() / 2) {
        let had = read_at(file, &mut part, from + at)?.min(left_out.len() - at);
        if language::names_rust(&part[..had]) {
            left_out[at..at + had].copy_from_slice(&part[..had]);
            break;
        }
    }
    Ok(())
}

/// What of this file says nothing of itself, in ascending order and apart; `None` where its sections can't be read. Reads their headers and names
/// into `bytes`.
fn left_out(file: &File, bytes: &mut [u8]) -> Option<Vec<Range<usize>>> {
    let range = |(from, size): (u64, u64)| {
        Some(usize::try_from(from).ok()?..usize::try_from(from.checked_add(size)?).ok()?)
    };
    let read = |bytes: &mut [u8], part: Range<usize>| {
        let from = part.start;
        read_at(file, bytes.get_mut(part)?, from).ok()
    };
    read(bytes, 0..size_of::<FileHeader64<Endianness>>())?;
    let header = *FileHeader64::<Endianness>::parse(&*bytes).ok()?;
    let endian = header.endian().ok()?;
    let size = u64::from(header.e_shnum(endian)) * u64::from(header.e_shentsize(endian));
    read(bytes, range((header.e_shoff(endian), size))?)?;
    let names = header.section_strings_index(endian, &*bytes).ok()?;
    let names = header.section_headers(endian, &*bytes).ok()?.get(names.0)?.file_range(endian)?;
    read(bytes, range(names)?)?;
    let sections = header.sections(endian, &*bytes).ok()?;
    let is_go = sections.section_by_name(endian, b".go.buildinfo").is_some();
    let says_nothing = |section: &&SectionHeader64<Endianness>| {
        let executes = section.sh_flags(endian).0 & SHF_EXECINSTR.0 != 0;
        // Where Go's build information is, older versions point to texts.
        let name = sections.section_name(endian, section).unwrap_or_default();
        executes || !is_go && SAY_NOTHING.contains(&name)
    };
    let left_out = sections.iter().filter(says_nothing);
    let mut ranges: Vec<_> = left_out.filter_map(|section| range(section.file_range(endian)?)).collect();
    ranges.sort_by_key(|range| range.start);
    // A damaged file may have thousands of sections that are all of it.
    ranges.dedup_by(|next, range| {
        let touches = next.start <= range.end;
        range.end = if touches { range.end.max(next.end) } else { range.end };
        touches
    });
    Some(ranges)
}

/// Reads what the file has from this place on; how many bytes there were.
fn read_at(file: &File, bytes: &mut [u8], from: usize) -> io::Result<usize> {
    let mut had = 0;
    while had < bytes.len() {
        match file.read_at(&mut bytes[had..], (from + had) as u64) {
            Ok(0) => break,
            Ok(more) => had += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(had)
}

/// A number for the whole content of a library's file: another content has another one, but for chance.
///
/// # Errors
/// Whatever the file system says; that it is not a regular file.
pub fn digest(path: &Path) -> io::Result<u64> {
    let (mut file, _) = open(path)?;
    let mut hasher = DefaultHasher::new();
    let mut part = vec![0; HEAD as usize];
    loop {
        match file.read(&mut part) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(length) => hasher.write(&part[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Opens a regular file.
///
/// # Errors
/// Whatever the file system says; that it is not a regular file.
pub(crate) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    // Before it is opened, since opening may already do something; and after, since it may be another file by then.
    regular(&std::fs::metadata(path)?)?;
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let metadata = file.metadata()?;
    regular(&metadata)?;
    Ok((file, metadata))
}

/// Reads a file of text or JSON, which may as well be a pipe; at most `most` bytes.
///
/// # Errors
/// Whatever the file system says; that there are more bytes than that.
pub fn read_at_most(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    rest(File::open(path)?, most, Vec::new())
}

fn regular(metadata: &std::fs::Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    Err(io::Error::other("not a regular file; name a shared library (.so)"))
}

/// What is left of a file after what was read of it.
fn rest(file: File, most: u64, mut bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    // The length that a file states is where reading ends at the latest: it may grow meanwhile.
    let room = most.saturating_sub(bytes.len() as u64);
    file.take(room.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!(
            "the file has more than {most} bytes, the most that dlsoak reads"
        )));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_library_is_told_from_its_beginning_and_what_is_no_file_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sparse.so");
        File::create(&path).unwrap().set_len(100 << 30).unwrap();
        assert_eq!(read_library(&path).unwrap(), vec![0; HEAD as usize]);
        std::fs::write(&path, [ELF, &[2, 1, 1]].concat()).unwrap();
        assert_eq!(read_library(&path).unwrap().len(), 7);
        OpenOptions::new().write(true).open(&path).unwrap().set_len(100 << 30).unwrap();
        assert!(read_library(&path).unwrap_err().to_string().contains("107374182400 bytes"));
        for odd in [Path::new("/dev/zero"), dir.path()] {
            assert!(read_library(odd).unwrap_err().to_string().contains("not a regular file"), "{odd:?}");
        }
    }

    #[test]
    fn what_is_left_out_of_a_large_file_changes_no_fact() {
        let path = std::env::current_exe().unwrap();
        let whole = std::fs::read(&path).unwrap();
        let part = outline(&File::open(&path).unwrap(), whole.len()).unwrap();
        assert_eq!(part.len(), whole.len());
        let count = |bytes: &[u8]| bytes.iter().filter(|byte| **byte != 0).count();
        assert!(count(&part) < count(&whole));
        assert_eq!(crate::parse(&part), crate::parse(&whole));

        // A section that is beyond the end leaves out nothing else.
        let sections = u64::from_le_bytes(*whole[40..].first_chunk().unwrap()) as usize;
        let mut damaged = whole.clone();
        let text = sections + 64 * usize::from(u16::from_le_bytes(*whole[60..].first_chunk().unwrap()) - 4);
        damaged[text + 8] |= 4;
        damaged[text + 24..text + 32].copy_from_slice(&(1_u64 << 40).to_le_bytes());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("damaged.so");
        std::fs::write(&path, &damaged).unwrap();
        let part = outline(&File::open(&path).unwrap(), damaged.len()).unwrap();
        assert_eq!(part[part.len() - 64..], damaged[damaged.len() - 64..]);
        assert_eq!(crate::parse(&part), crate::parse(&damaged));

        // What is shorter than it was, and what has no sections that can be read.
        let path = dir.path().join("short.so");
        std::fs::write(&path, &whole[..5000]).unwrap();
        assert_eq!(outline(&File::open(&path).unwrap(), whole.len()).unwrap(), whole[..5000]);
        std::fs::write(&path, [ELF, &[2, 1, 1, 0xff]].concat()).unwrap();
        assert_eq!(outline(&File::open(&path).unwrap(), 8).unwrap(), std::fs::read(&path).unwrap());
    }

    #[test]
    fn another_content_has_another_digest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let of = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            digest(&path).unwrap()
        };
        let long = vec![1; 3 * HEAD as usize];
        let all = [of(b""), of(b"a"), of(b"b"), of(&long), of(&long[1..])];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
        assert_eq!(of(b"a"), all[1]);
        assert!(digest(dir.path()).is_err());
    }

    #[test]
    fn no_more_is_read_than_there_is_room_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, b"12345").unwrap();
        assert_eq!(read_at_most(&path, 5).unwrap(), b"12345");
        assert!(read_at_most(&path, 4).unwrap_err().to_string().contains("more than 4 bytes"));
        assert!(read_at_most(Path::new("/dev/zero"), 4096).is_err());
    }
}
