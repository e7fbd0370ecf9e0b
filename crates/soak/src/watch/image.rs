//! Notices when the host becomes another program (`exec`), whether or not that one reports to us: the kernel lays out each program anew.

use crate::sys::glibc;

/// The program that the host is.
#[derive(Debug, Default)]
pub(super) struct Image {
    /// What the kernel told the program when it began, with addresses of its own.
    auxiliary: Vec<u8>,
    /// `CLOCK_MONOTONIC` in nanoseconds: when this was last looked at.
    looked_ns: u64,
    /// When it was still the program before, at the latest; 0 as long as it is the first one that was seen.
    pub became_ns: u64,
}

impl Image {
    /// Looks at the process.
    pub(super) fn look(&mut self, process: i32) {
        let now = glibc::monotonic_ns();
        let auxiliary = std::fs::read(format!("/proc/{process}/auxv")).unwrap_or_default();
        // Nothing can be read of a process that has ended, or that is another user's.
        if auxiliary.is_empty() {
            return;
        }
        if !self.auxiliary.is_empty() && self.auxiliary != auxiliary {
            self.became_ns = self.looked_ns;
        }
        (self.auxiliary, self.looked_ns) = (auxiliary, now);
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_program_that_becomes_another_is_noticed() {
        let mut child =
            Command::new("sh").args(["-c", "read line; exec cat"]).stdin(Stdio::piped()).spawn().unwrap();
        let pid = child.id().cast_signed();
        let mut image = Image::default();
        image.look(pid);
        let looked = image.looked_ns;
        image.look(pid);
        assert!(image.became_ns == 0 && image.looked_ns > looked, "{image:?}");
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"\n").unwrap();
        let begin = std::time::Instant::now();
        while image.became_ns == 0 {
            assert!(begin.elapsed() < std::time::Duration::from_secs(600), "{image:?}");
            image.look(pid);
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
