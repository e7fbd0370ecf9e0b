//! Why a host can't be watched: what happened, to which program, and what to do.

use std::path::PathBuf;

/// A watch that can't be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum WatchError {
    #[error("watching a host needs glibc, on x86-64 or AArch64; read a process that runs already with --pid")]
    NotHere,
    #[error("{}: the loader can't be given a path with a colon or a space; set TMPDIR to a directory without", .0.display())]
    Unnameable(PathBuf),
    #[error(
        "{0}: the loader of this program reports nothing, because the program is static or setuid, or its C library is not glibc; watch it with --pid"
    )]
    Unseen(String),
    #[error(
        "under an auditor {0} makes each call of a library's function slow (BZ#15533); watch with --force, or a process that runs already with --pid"
    )]
    SlowCalls(String),
    #[error("no program was named; name it after `--`")]
    NoProgram,
    #[error(
        "process {0} belongs to another user; reading /proc/{0}/maps needs that user, root, or CAP_SYS_PTRACE"
    )]
    NotOurs(i32),
    #[error("there is no process {0}")]
    NoProcess(i32),
    #[error(
        "process {0} is hidden from this user by the option hidepid of /proc; run as its user or as root"
    )]
    Hidden(i32),
    #[error(
        "--until-loads counts loads with perf events, and the kernel refuses them: {0}; use --for, or run as root or with CAP_PERFMON"
    )]
    NotCounted(String),
}

impl From<WatchError> for std::io::Error {
    fn from(error: WatchError) -> Self {
        Self::other(error)
    }
}
