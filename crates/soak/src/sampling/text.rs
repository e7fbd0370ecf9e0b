//! Pure: the few fields of `maps`, `smaps`, `smaps_rollup` and `status` that each checkpoint needs, from the bytes that the
//! kernel gives. The `procfs` crate reads the same files into types that own all of what they say, which takes longer than
//! the kernel takes to write them; it is the oracle of the tests here, and reads all that is read once.

/// A line of `maps`, or the head of an entry of `smaps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mapping<'a> {
    /// Where it begins, and the first byte after it.
    pub(super) range: (u64, u64),
    /// Whether code can run there.
    pub(super) is_code: bool,
    /// Device of the file, major and minor.
    pub(super) device: (u32, u32),
    /// Inode of the file; 0 where there is none.
    pub(super) inode: u64,
    /// The file's path, a name of the kernel's in brackets, or nothing.
    pub(super) name: &'a [u8],
}

impl<'a> Mapping<'a> {
    /// Reads `start-end perms offset major:minor inode   name`; see `proc_pid_maps(5)`.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut rest = line;
        let start = number(until(&mut rest, b'-')?, 16)?;
        let end = number(until(&mut rest, b' ')?, 16)?;
        let permissions = until(&mut rest, b' ')?;
        until(&mut rest, b' ')?;
        let major = number(until(&mut rest, b':')?, 16)?;
        let minor = number(until(&mut rest, b' ')?, 16)?;
        // Without a name some kernels end the line here.
        let inode = until(&mut rest, b' ').unwrap_or_else(|| std::mem::take(&mut rest));
        Some(Self {
            range: (start, end),
            is_code: permissions.get(2) == Some(&b'x'),
            device: (u32::try_from(major).ok()?, u32::try_from(minor).ok()?),
            inode: number(inode, 10)?,
            name: rest.trim_ascii_start(),
        })
    }

    /// Whether it is of a file that has a path.
    pub(super) fn path(&self) -> Option<&'a [u8]> {
        self.name.starts_with(b"/").then_some(self.name)
    }
}

/// All mappings, each with its resident bytes where the text is that of `smaps`.
pub(super) fn mappings(text: &[u8]) -> impl Iterator<Item = (Mapping<'_>, u64)> {
    let mut lines = lines(text).peekable();
    std::iter::from_fn(move || {
        let mapping = lines.by_ref().find_map(Mapping::parse)?;
        let mut resident = 0;
        // The fields begin with a capital letter, addresses with a digit or a small one.
        while let Some(line) = lines.next_if(|line| line.first().is_some_and(u8::is_ascii_uppercase)) {
            if line.starts_with(b"Rss:") {
                resident = bytes(&line[4..]);
            }
        }
        Some((mapping, resident))
    })
}

/// Fields of `status` or `smaps_rollup` by name, as they are written: for those in kB the number of bytes. 0 for one that
/// is not there.
pub(super) fn fields<const N: usize>(text: &[u8], names: [&str; N]) -> [u64; N] {
    let mut values = [0; N];
    for line in lines(text) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        if let Some(at) = names.iter().position(|name| name.as_bytes() == &line[..colon]) {
            values[at] = bytes(&line[colon + 1..]);
        }
    }
    values
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(line)
    })
}

/// What comes before the next `byte`, which is skipped.
fn until<'a>(rest: &mut &'a [u8], byte: u8) -> Option<&'a [u8]> {
    let end = rest.iter().position(|b| *b == byte)?;
    let before = &rest[..end];
    *rest = &rest[end + 1..];
    Some(before)
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        number.checked_mul(u64::from(radix))?.checked_add(u64::from((*digit as char).to_digit(radix)?))
    })
}

/// `   123 kB` as bytes, and `  7` as it is.
fn bytes(value: &[u8]) -> u64 {
    let value = value.trim_ascii();
    let (digits, unit) = value.strip_suffix(b" kB").map_or((value, 1), |digits| (digits, 1024));
    number(digits.trim_ascii(), 10).unwrap_or(0).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use procfs::FromRead as _;
    use procfs::process::{MMPermissions, MMapPath, MemoryMap, MemoryMaps};
    use proptest::prelude::*;

    use super::*;

    /// What procfs makes of it, in our words.
    fn as_ours(map: &MemoryMap) -> (Mapping<'_>, u64) {
        let path = match &map.pathname {
            MMapPath::Path(path) => path.as_os_str().as_encoded_bytes(),
            _ => b"",
        };
        let mapping = Mapping {
            range: map.address,
            is_code: map.perms.contains(MMPermissions::EXECUTE),
            device: (map.dev.0 as u32, map.dev.1 as u32),
            inode: map.inode,
            name: path,
        };
        (mapping, map.extension.map.get("Rss").copied().unwrap_or(0))
    }

    fn agree(text: &str) {
        let theirs = MemoryMaps::from_read(Cursor::new(text)).unwrap();
        let ours: Vec<_> = mappings(text.as_bytes()).collect();
        // Of names that are no paths procfs makes kinds of its own.
        let ours = ours
            .iter()
            .map(|(map, resident)| (Mapping { name: map.path().unwrap_or_default(), ..*map }, *resident));
        assert_eq!(ours.collect::<Vec<_>>(), theirs.iter().map(as_ours).collect::<Vec<_>>());
    }

    #[test]
    fn what_this_process_has_reads_as_procfs_reads_it() {
        for file in ["/proc/self/maps", "/proc/self/smaps"] {
            agree(&std::fs::read_to_string(file).unwrap());
        }
        let text = std::fs::read("/proc/self/status").unwrap();
        let status = procfs::process::Status::from_read(Cursor::new(&text)).unwrap();
        let [size, tables, threads, none] = fields(&text, ["VmSize", "VmPTE", "Threads", "NoSuchField"]);
        assert_eq!((size, tables), (status.vmsize.unwrap() * 1024, status.vmpte.unwrap() * 1024));
        assert_eq!((threads, none), (status.threads, 0));
    }

    prop_compose! {
        fn entry()(
            start in 0_u64..1 << 47,
            pages in 1_u64..1 << 20,
            permissions in "[r-][w-][x-][ps]",
            offset in any::<u32>(),
            device in (0_u32..0xfff, 0_u32..0xfffff),
            inode in any::<u64>(),
            name in prop_oneof![
                Just(String::new()),
                Just("[heap]".to_owned()),
                Just("[stack]".to_owned()),
                Just("[anon:glibc: malloc]".to_owned()),
                Just("/memfd:dlsoak-channel (deleted)".to_owned()),
                "/[a-z./ é()-]{0,40}[a-z]",
            ],
            resident in proptest::option::of(0_u64..1 << 40),
        ) -> String {
            let (major, minor) = device;
            let end = start + pages * 4096;
            let mut text =
                format!("{start:08x}-{end:08x} {permissions} {offset:08x} {major:02x}:{minor:02x} {inode} ");
            if !name.is_empty() {
                // The kernel pads to column 73.
                text = format!("{text:<73}{name}");
            }
            text.push('\n');
            if let Some(resident) = resident {
                text += &format!("Size: {:14} kB\nRss:  {resident:15} kB\nPss: {:15} kB\nVmFlags: rd ex mr \n", 4, 1);
            }
            text
        }
    }

    proptest! {
        #[test]
        fn any_mappings_read_as_procfs_reads_them(entries in proptest::collection::vec(entry(), 0..20)) {
            agree(&entries.concat());
        }

        #[test]
        fn anything_is_read_without_a_panic(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = mappings(&text).count();
            let _ = fields(&text, ["Rss", ""]);
        }
    }

    #[test]
    fn absurd_numbers_are_nothing() {
        assert_eq!(
            fields(
                b"Rss: 99999999999999999999 kB\nPss: 18446744073709551615 kB\nAnonymous:\n",
                ["Rss", "Pss"]
            ),
            [0, u64::MAX]
        );
        assert_eq!(mappings(b"not a mapping\n7f-8 r-xp 0 1:2\n").count(), 0);
    }
}
