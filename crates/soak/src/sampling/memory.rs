//! Reads another process's memory through `/proc/PID/mem`. An address that leads nowhere is an answer here, and no
//! crash, as it would be in the process itself.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// Longest text that is read.
const TEXT: usize = 64 * 1024;
/// Bytes read at once, the smallest page: what can be read ends with a page. An environment of 50 variables lies in one or two of
/// these, where reading each pointer and each text by itself takes 100 system calls.
const BLOCK: usize = 4096;

/// Blocks that are kept at a time.
const MOST: usize = 1024;

/// What was read of a block; `None` where nothing is mapped.
type Block = Option<Box<[u8; BLOCK]>>;

/// The memory of a process that stands still: what was read once is not read again.
#[derive(Debug)]
pub(super) struct Memory {
    file: File,
    blocks: RefCell<HashMap<u64, Block>>,
}

impl Memory {
    /// Opens the memory of a process; `None` where the kernel does not allow that.
    pub(super) fn open(pid: i32) -> Option<Self> {
        let file = File::open(format!("/proc/{pid}/mem")).ok()?;
        Some(Self { file, blocks: RefCell::default() })
    }

    /// Fills `to` from `address`; `None` when a part of it is not mapped.
    fn read(&self, address: u64, to: &mut [u8]) -> Option<()> {
        let mut done = 0;
        while done < to.len() {
            let at = address.checked_add(done as u64)?;
            let within = (at % BLOCK as u64) as usize;
            let first = at - within as u64;
            let mut blocks = self.blocks.borrow_mut();
            // Chains that were overwritten may lead anywhere.
            if blocks.len() >= MOST {
                blocks.clear();
            }
            let block = blocks.entry(first).or_insert_with(|| {
                let mut block = Box::new([0; BLOCK]);
                self.file.read_exact_at(block.as_mut_slice(), first).ok().map(|()| block)
            });
            let from = &block.as_ref()?[within..];
            let count = from.len().min(to.len() - done);
            to[done..done + count].copy_from_slice(&from[..count]);
            done += count;
        }
        Some(())
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
            // Up to the end of the block, so that no read goes on into one that is not mapped.
            let mut step = vec![0; BLOCK - (at % BLOCK as u64) as usize];
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
