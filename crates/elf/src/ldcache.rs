//! Reads `/etc/ld.so.cache`, glibc's own list of libraries by name. Pure: bytes in, names and paths out; no bytes
//! make it panic.

/// What the part that is still in use begins with.
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
/// Bytes before the first entry, and of each entry.
const HEADER: usize = 48;
const ENTRY: usize = 24;
/// An entry for processors with more than the baseline, which only `glibc-hwcaps` directories have.
const EXTENSION: u64 = 1 << 62;
/// Most entries that are read; a large system has some ten thousand.
const MOST: usize = 1 << 20;

/// Paths by library name, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cache {
    entries: Vec<(String, String)>,
}

impl Cache {
    /// Reads the content of the file; an empty cache where it is none of this format.
    pub fn parse(data: &[u8]) -> Self {
        Self { entries: entries(data).unwrap_or_default() }
    }

    /// The paths known for a library, the baseline's before those for better processors.
    pub fn find(&self, name: &str) -> impl Iterator<Item = &str> {
        self.entries.iter().filter(move |(known, _)| known == name).map(|(_, path)| path.as_str())
    }

    /// All names with their paths, in the same order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(name, path)| (name.as_str(), path.as_str()))
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn entries(data: &[u8]) -> Option<Vec<(String, String)>> {
    // Older systems write a list of an older format before it.
    let start = memchr::memmem::find(data, MAGIC)?;
    let data = data.get(start..)?;
    let number = |at: usize| Some(u32::from_ne_bytes(data.get(at..at + 4)?.try_into().ok()?));
    let count = usize::try_from(number(20)?).ok()?.min(MOST);
    let mut found = Vec::new();
    for index in 0..count {
        let at = HEADER + index * ENTRY;
        let Some(hwcap) = data.get(at + 16..at + 24).and_then(|bytes| bytes.try_into().ok()) else { break };
        let special = u64::from_ne_bytes(hwcap) & EXTENSION != 0;
        let text = |offset: u32| {
            let from = data.get(usize::try_from(offset).ok()?..)?;
            let from = from.get(..4096).unwrap_or(from);
            let end = memchr::memchr(0, from)?;
            Some(String::from_utf8_lossy(from.get(..end)?).into_owned())
        };
        if let (Some(name), Some(path)) = (number(at + 4).and_then(text), number(at + 8).and_then(text)) {
            found.push((special, (name, path)));
        }
    }
    found.sort_by_key(|(special, _)| *special);
    Some(found.into_iter().map(|(_, entry)| entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(entries: &[(&str, &str, u64)]) -> Vec<u8> {
        let mut data = MAGIC.to_vec();
        data.extend((entries.len() as u32).to_ne_bytes());
        data.resize(HEADER, 0);
        let mut strings = Vec::new();
        let first = HEADER + entries.len() * ENTRY;
        for (name, path, hwcap) in entries {
            data.extend(0x303_u32.to_ne_bytes());
            for text in [name, path] {
                data.extend(((first + strings.len()) as u32).to_ne_bytes());
                strings.extend(text.as_bytes());
                strings.push(0);
            }
            data.extend(0_u32.to_ne_bytes());
            data.extend(hwcap.to_ne_bytes());
        }
        data.extend(strings);
        data
    }

    #[test]
    fn paths_are_found_by_name_the_baseline_first() {
        let data = cache(&[
            ("libz.so.1", "/opt/v3/libz.so.1", EXTENSION | 3),
            ("libz.so.1", "/lib/libz.so.1", 0),
            ("libm.so.6", "/lib/libm.so.6", 0),
        ]);
        let mut with_old = b"ld.so-1.7.0\0 something".to_vec();
        with_old.extend(&data);
        for data in [data, with_old] {
            let cache = Cache::parse(&data);
            assert_eq!(cache.find("libz.so.1").collect::<Vec<_>>(), ["/lib/libz.so.1", "/opt/v3/libz.so.1"]);
            assert_eq!((cache.find("libx.so").count(), cache.len()), (0, 3));
        }
    }

    #[test]
    fn nothing_is_read_beyond_the_end() {
        let data = cache(&[("a", "/a", 0), ("b", "/b", 0)]);
        for end in 0..data.len() {
            let _ = Cache::parse(&data[..end]);
        }
        let mut wild = data.clone();
        wild[20..24].copy_from_slice(&u32::MAX.to_ne_bytes());
        wild[HEADER + 4..HEADER + 8].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert!(Cache::parse(&wild).len() <= 8);
        assert!(Cache::parse(b"no cache").is_empty());
    }
}
