//! The kinds of residue by name, so that `--allow-residue`, the suite file, the record and the documentation mean
//! the same by a word.

use std::fmt;
use std::str::FromStr;

use crate::{named, nearest};

named! {
    /// Kinds of things that a library can leave behind in a process, besides memory.
    pub enum ResidueKind {
        /// Threads that were not there before.
        Threads = "threads",
        /// Open file descriptors.
        Fds = "fds",
        /// Mappings of memory.
        Mappings = "mappings",
        /// Thread-specific keys (`pthread_key_create`).
        TlsKeys = "tls-keys",
        /// Static thread-local storage that no later library gets.
        StaticTls = "static-tls",
        /// What a signal does.
        SignalHandler = "signal-handler",
        /// Signals blocked on the thread that ran the library.
        SignalMask = "signal-mask",
        /// Modes of the floating-point unit of the thread that ran the library.
        FpMode = "fp-mode",
        /// Environment variables.
        Environment = "environment",
        /// The locale.
        Locale = "locale",
        /// The working directory.
        Cwd = "cwd",
        /// The file mode creation mask.
        Umask = "umask",
        /// Resource limits.
        Rlimits = "rlimits",
        /// Timers that are armed.
        Timers = "timers",
        /// Child processes.
        Children = "children",
        /// Shared memory: SysV, POSIX, memfds that are mapped.
        Ipc = "ipc",
        /// Functions to be called at exit whose code is gone.
        Atexit = "atexit",
        /// Address space that grows while the C heap does not.
        Allocator = "allocator",
        /// The name of the thread that ran the library.
        ThreadName = "thread-name",
        /// The score by which the kernel chooses whom to kill.
        OomScore = "oom-score",
        /// Open stdio streams, or buffers of streams in memory that is gone.
        Stdio = "stdio",
        /// Pointers into the library, in memory that stays.
        DanglingPointer = "dangling-pointer",
    }
}

/// A word that names no kind of residue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKind(String);

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = ResidueKind::ALL.map(ResidueKind::name);
        write!(f, "`{}` is not a kind of residue", self.0)?;
        if let Some(meant) = nearest(&self.0, names) {
            write!(f, "; did you mean `{meant}`?")?;
        }
        write!(f, "; the kinds are {}", names.join(", "))
    }
}

impl std::error::Error for UnknownKind {}

impl FromStr for ResidueKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::from_name(text).ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_by_its_name() {
        for kind in ResidueKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
    }

    #[test]
    fn an_unknown_kind_is_told_with_all_that_are_known() {
        let error = "signal-handlers".parse::<ResidueKind>().unwrap_err().to_string();
        assert!(
            error.contains("did you mean `signal-handler`?") && error.contains("stdio, dangling-pointer"),
            "{error}"
        );
        assert!("x".parse::<ResidueKind>().unwrap_err().to_string().contains("the kinds are threads, fds"));
    }
}
