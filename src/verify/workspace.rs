//! The private directory of a verification: the loop, which an instrument such as valgrind starts by its path, and the reports of the
//! instruments.

use std::fs::{OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use crate::supervisor::PrivateDirectory;
use crate::sys::c_library;

/// File name of the loop, and so its name in lists of processes and in stacks.
pub(super) const LOOP: &str = "dlsoak-loop";
/// Only this user may start it.
const MODE: u32 = 0o700;

/// Why a verification can't begin.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// The build has no loop for this machine.
    #[error("verify does not support this machine; it needs glibc on x86-64 or AArch64")]
    Unsupported,
    /// The directory can't be made.
    #[error("cannot make a private directory: {0}. help: set TMPDIR to a writable directory")]
    Directory(std::io::Error),
    /// The loop can't be written.
    #[error("cannot write {}: {error}. help: set TMPDIR to a writable directory with free space", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        error: std::io::Error,
    },
    /// The kernel refuses to start programs from there.
    #[error(
        "cannot start a program from {}: {}. help: set TMPDIR to a directory that allows it, because verify starts its loop from there",
        directory.display(),
        if *errno == Errno::EACCES { "it is mounted noexec" } else { errno.desc() }
    )]
    NoExec {
        /// The directory.
        directory: PathBuf,
        /// The kernel's error.
        errno: Errno,
    },
}

/// A private directory with the loop in it.
#[derive(Debug)]
pub struct Workspace {
    directory: PrivateDirectory,
    program: PathBuf,
}

impl Workspace {
    /// Makes it in `$TMPDIR`.
    ///
    /// # Errors
    /// When nothing can be written there, or no program started from there.
    pub fn new() -> Result<Self, WorkspaceError> {
        if dlsoak_agent::GLIBC.cycles.is_empty() {
            return Err(WorkspaceError::Unsupported);
        }
        let directory = PrivateDirectory::new().map_err(WorkspaceError::Directory)?;
        let program = directory.path().join(LOOP);
        write(&program).map_err(|error| WorkspaceError::Write { path: program.clone(), error })?;
        check(access(&program, AccessFlags::X_OK))?;
        Ok(Self { directory, program })
    }

    /// The loop.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// A path for a new file.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        self.directory.path().join(format!("{name}-{}", COUNT.fetch_add(1, Relaxed)))
    }
}

fn write(program: &Path) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(program)?;
    // Independent of the umask.
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.write_all(&c_library::fitting(dlsoak_agent::GLIBC.cycles))
}

/// Turns a refusal to start the loop into an error. The owner may start the file, so the refusal is about the directory.
fn check(access: Result<(), Errno>) -> Result<(), WorkspaceError> {
    access.map_err(|errno| WorkspaceError::NoExec { directory: std::env::temp_dir(), errno })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_can_be_started_and_goes_with_the_workspace() {
        let workspace = Workspace::new().unwrap();
        let program = workspace.program().to_path_buf();
        // Without orders it reports that they are broken.
        let output = std::process::Command::new(&program).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2));
        assert!(said.starts_with(dlsoak_agent::bare::FAILED), "{said}");
        assert_ne!(workspace.file("a"), workspace.file("a"));
        drop(workspace);
        assert!(!program.exists());
    }

    #[test]
    fn a_directory_that_starts_nothing_is_named() {
        let refused = check(Err(Errno::EACCES)).unwrap_err().to_string();
        assert!(refused.contains("noexec") && refused.contains("TMPDIR"), "{refused}");
    }
}
