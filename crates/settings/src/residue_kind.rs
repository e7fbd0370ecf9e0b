//! The kinds of residue by name, so that `--allow-residue`, the suite file, the record and the documentation mean
//! the same by a word.

use std::fmt;
use std::str::FromStr;

use crate::nearest;

/// Kinds of things that a library can leave behind in a process, besides memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ResidueKind {
    /// Threads that were not there before.
    Threads,
    /// Open file descriptors.
    Fds,
    /// Mappings of memory.
    Mappings,
    /// Thread-specific keys (`pthread_key_create`).
    TlsKeys,
    /// Static thread-local storage that no later library gets.
    StaticTls,
    /// What a signal does.
    SignalHandler,
    /// Signals blocked on the thread that ran the library.
    SignalMask,
    /// Modes of the floating-point unit of the thread that ran the library.
    FpMode,
    /// Environment variables.
    Environment,
    /// The locale.
    Locale,
    /// The working directory.
    Cwd,
    /// The file mode creation mask.
    Umask,
    /// Resource limits.
    Rlimits,
    /// Timers that are armed.
    Timers,
    /// Child processes.
    Children,
    /// Shared memory: SysV, POSIX, memfds that are mapped.
    Ipc,
    /// Functions to be called at exit whose code is gone.
    Atexit,
    /// Address space that grows while the C heap does not.
    Allocator,
    /// The name of the thread that ran the library.
    ThreadName,
    /// The score by which the kernel chooses whom to kill.
    OomScore,
    /// Open stdio streams, or buffers of streams in memory that is gone.
    Stdio,
}

impl ResidueKind {
    /// All kinds, in the order in which they are documented.
    pub const ALL: [Self; 21] = [
        Self::Threads,
        Self::Fds,
        Self::Mappings,
        Self::TlsKeys,
        Self::StaticTls,
        Self::SignalHandler,
        Self::SignalMask,
        Self::FpMode,
        Self::Environment,
        Self::Locale,
        Self::Cwd,
        Self::Umask,
        Self::Rlimits,
        Self::Timers,
        Self::Children,
        Self::Ipc,
        Self::Atexit,
        Self::Allocator,
        Self::ThreadName,
        Self::OomScore,
        Self::Stdio,
    ];

    /// Its name, as `--allow-residue` and the record spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Threads => "threads",
            Self::Fds => "fds",
            Self::Mappings => "mappings",
            Self::TlsKeys => "tls-keys",
            Self::StaticTls => "static-tls",
            Self::SignalHandler => "signal-handler",
            Self::SignalMask => "signal-mask",
            Self::FpMode => "fp-mode",
            Self::Environment => "environment",
            Self::Locale => "locale",
            Self::Cwd => "cwd",
            Self::Umask => "umask",
            Self::Rlimits => "rlimits",
            Self::Timers => "timers",
            Self::Children => "children",
            Self::Ipc => "ipc",
            Self::Atexit => "atexit",
            Self::Allocator => "allocator",
            Self::ThreadName => "thread-name",
            Self::OomScore => "oom-score",
            Self::Stdio => "stdio",
        }
    }
}

impl fmt::Display for ResidueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
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
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| UnknownKind(text.to_owned()))
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
            error.contains("did you mean `signal-handler`?") && error.contains("oom-score, stdio"),
            "{error}"
        );
        assert!("x".parse::<ResidueKind>().unwrap_err().to_string().contains("the kinds are threads, fds"));
    }
}
