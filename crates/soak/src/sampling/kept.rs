//! A file of `/proc` that is read again and again: opened once, and read into a buffer that stays.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

/// Bytes of the buffer at first: most of these files are shorter.
const FIRST: usize = 16 * 1024;
/// Longest that is believed: 300,000 mappings take 200 MB of `smaps`.
const MOST: usize = 1 << 30;

/// The file and what it held when it was last read.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    /// Open from the first read on.
    file: Option<File>,
    buffer: Vec<u8>,
}

impl Kept {
    /// The file with this name of a process.
    pub(super) fn of(pid: i32, name: &str) -> Self {
        Self { path: PathBuf::from(format!("/proc/{pid}/{name}")), file: None, buffer: Vec::new() }
    }

    /// Reads all of it anew.
    ///
    /// # Errors
    /// When the process is gone or can't be read, with the path.
    pub(super) fn read(&mut self) -> procfs::ProcResult<&[u8]> {
        let failed = |error: io::Error| procfs::ProcError::Io(error, Some(self.path.clone()));
        if self.file.is_none() {
            self.file = Some(File::open(&self.path).map_err(failed)?);
        }
        let Some(file) = &self.file else { return Ok(&[]) };
        if self.buffer.is_empty() {
            self.buffer.resize(FIRST, 0);
        }
        let mut len = 0;
        loop {
            if len == self.buffer.len() {
                if len >= MOST {
                    return Err(procfs::ProcError::Other(format!("{} has no end", self.path.display())));
                }
                self.buffer.resize(len * 2, 0);
            }
            match file.read_at(&mut self.buffer[len..], len as u64) {
                Ok(0) => break,
                Ok(read) => len += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        if len == 0 {
            // What the kernel gives for a process that is gone: no error, and nothing.
            return Err(procfs::ProcError::NotFound(Some(self.path.clone())));
        }
        Ok(&self.buffer[..len])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_anew_each_time_and_ends_with_its_process() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let (mut status, mut maps) = (Kept::of(pid, "status"), Kept::of(pid, "maps"));
        for _ in 0..3 {
            let text = String::from_utf8_lossy(status.read().unwrap()).into_owned();
            assert!(text.contains(&format!("\nPid:\t{pid}\n")) && text.ends_with('\n'), "{text}");
        }
        assert!(maps.read().unwrap().len() > 100);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(status.read().is_err() && maps.read().is_err());
        assert!(Kept::of(pid, "no-such-file").read().unwrap_err().to_string().contains("no-such-file"));
    }

    #[test]
    fn a_file_longer_than_the_buffer_is_read_whole() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let mut smaps = Kept::of(pid, "smaps");
        let text = smaps.read().unwrap();
        assert!(text.len() > FIRST && text.ends_with(b"\n"));
    }
}
