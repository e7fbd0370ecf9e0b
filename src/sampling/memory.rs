//! Reads another process's memory through `/proc/PID/mem`. An address that leads nowhere is an answer here, and no
//! crash, as it would be in the process itself.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// Longest text that is read.
const TEXT: usize = 64 * 1024;
/// Bytes read at once: text is short as a rule, and pages end what can be read.
const STEP: u64 = 256;

/// The memory of a process.
#[derive(Debug)]
pub(super) struct Memory {
    file: File,
}

impl Memory {
    /// Opens the memory of a process; `None` where the kernel does not allow that.
    pub(super) fn open(pid: i32) -> Option<Self> {
        Some(Self { file: File::open(format!("/proc/{pid}/mem")).ok()? })
    }

    /// Fills `to` from `address`; `None` when a part of it is not mapped.
    fn read(&self, address: u64, to: &mut [u8]) -> Option<()> {
        self.file.read_exact_at(to, address).ok()
    }

    /// One word; `None` where nothing is mapped.
    pub(super) fn word(&self, address: u64) -> Option<u64> {
        let mut word = [0; 8];
        self.read(address, &mut word)?;
        Some(u64::from_ne_bytes(word))
    }

    /// Half a word, with its sign.
    pub(super) fn int(&self, address: u64) -> Option<i32> {
        let mut int = [0; 4];
        self.read(address, &mut int)?;
        Some(i32::from_ne_bytes(int))
    }

    /// As many of `count` words as can be read.
    pub(super) fn words(&self, address: u64, count: usize) -> Vec<u64> {
        let mut bytes = vec![0; count * 8];
        let read = self.file.read_at(&mut bytes, address).unwrap_or(0);
        let words = bytes[..read].chunks_exact(8);
        words.map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default())).collect()
    }

    /// The text that begins at `address`, up to its NUL; `None` when a part of it is not mapped.
    pub(super) fn text(&self, address: u64) -> Option<String> {
        let mut text = Vec::new();
        while text.len() < TEXT {
            let at = address.checked_add(text.len() as u64)?;
            // Up to the next multiple, so that no read crosses the end of a page.
            let mut step = vec![0; usize::try_from(STEP - at % STEP).ok()?];
            self.read(at, &mut step)?;
            if let Some(end) = step.iter().position(|byte| *byte == 0) {
                text.extend_from_slice(&step[..end]);
                break;
            }
            text.extend_from_slice(&step);
        }
        Some(String::from_utf8_lossy(&text).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mapped_is_read_and_what_is_not_is_an_answer() {
        let memory = Memory::open(i32::try_from(std::process::id()).unwrap()).unwrap();
        let text = c"a text of this process";
        assert_eq!(memory.text(text.as_ptr() as u64).unwrap(), "a text of this process");
        let words = [7_u64, u64::MAX];
        assert_eq!(memory.words(words.as_ptr() as u64, 2), words);
        assert_eq!(memory.word(words.as_ptr() as u64), Some(7));
        assert_eq!(memory.int(words.as_ptr() as u64 + 8), Some(-1));
        assert_eq!((memory.word(16), memory.text(16), memory.words(16, 4)), (None, None, Vec::new()));
    }
}
