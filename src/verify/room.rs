//! Where a verification has its files: the loop, which an instrument such as valgrind starts by its path, and what the instruments
//! write.

use std::fs::{OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use crate::supervisor::PrivateDirectory;

/// File name of the loop, and so its name in lists of processes and in stacks.
pub(super) const LOOP: &str = "dlsoak-loop";
/// Only this user may start it.
const MODE: u32 = 0o700;

/// A private directory with the loop in it.
#[derive(Debug)]
pub struct Room {
    directory: PrivateDirectory,
    program: PathBuf,
}

impl Room {
    /// Makes it in `$TMPDIR`.
    ///
    /// # Errors
    /// In one line, when nothing can be written there, or no program started from there.
    pub fn new() -> Result<Self, String> {
        if dlsoak_agent::LOOP.is_empty() {
            return Err(
                "verify has no loop for this machine, only for glibc on x86-64 and AArch64".to_owned()
            );
        }
        let directory = PrivateDirectory::new()
            .map_err(|e| format!("no private directory: {e}; set TMPDIR to a place that is writable"))?;
        let program = directory.path().join(LOOP);
        write(&program).map_err(|e| {
            format!(
                "cannot write {}: {e}; set TMPDIR to a place that is writable and has room",
                program.display()
            )
        })?;
        check(access(&program, AccessFlags::X_OK))?;
        Ok(Self { directory, program })
    }

    /// The loop.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// A path for a file that nobody else uses.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        self.directory.path().join(format!("{name}-{}", COUNT.fetch_add(1, Relaxed)))
    }
}

fn write(program: &Path) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(program)?;
    // Whatever the umask is.
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.write_all(dlsoak_agent::LOOP)
}

/// What the kernel says of starting it: it is the owner's to start, so a refusal is about the place.
fn check(access: Result<(), Errno>) -> Result<(), String> {
    access.map_err(|errno| {
        let place = std::env::temp_dir();
        let why = if errno == Errno::EACCES { "it is mounted noexec" } else { errno.desc() };
        format!(
            "no program can be started from {}: {why}; set TMPDIR to a place that allows it, because verify starts its loop \
             from there",
            place.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_can_be_started_and_goes_with_the_room() {
        let room = Room::new().unwrap();
        let program = room.program().to_path_buf();
        // Without orders it says that they are broken.
        let output = std::process::Command::new(&program).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2));
        assert!(said.starts_with(dlsoak_agent::bare::FAILED), "{said}");
        assert_ne!(room.file("a"), room.file("a"));
        drop(room);
        assert!(!program.exists());
    }

    #[test]
    fn a_place_that_starts_nothing_is_named() {
        let refused = check(Err(Errno::EACCES)).unwrap_err();
        assert!(refused.contains("noexec") && refused.contains("TMPDIR"), "{refused}");
    }
}
