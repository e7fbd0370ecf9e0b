//! Is a library known to unload, and to leave nothing that calls into it? If its file does not show that, the pool keeps
//! the library, because a host must not crash for a little memory.

use std::fmt;
use std::path::Path;

use super::file::File;

/// Why a library stays in the pool for good.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kept {
    /// Linked with `-z nodelete`.
    NoDelete,
    /// Defines `STB_GNU_UNIQUE` symbols, this one among them.
    Unique(String),
    /// Uses static thread-local storage, which glibc reuses only after the library that was loaded last.
    StaticTls,
    /// Written in Go. The threads and signal handlers of its runtime outlive any close.
    Go,
    /// Names this function, which may leave the process a pointer into the library. Its author may allow the unload.
    Uses(&'static str),
    /// The pool can't read its file, or the path names another file by now.
    Unreadable(String),
    /// It stayed after a close, because something holds it that the pool does not know.
    Stayed,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDelete => f.write_str("linked with -z nodelete, so it never unloads"),
            Self::Unique(symbol) => write!(f, "defines the STB_GNU_UNIQUE symbol `{symbol}`, which pins it"),
            Self::StaticTls => f.write_str(
                "uses static thread-local storage, which glibc loses if libraries close in another order",
            ),
            Self::Go => f.write_str("written in Go, and the runtime keeps running after a close"),
            Self::Uses(symbol) => {
                write!(f, "names `{symbol}`, so something may still point into it after the unload")
            }
            Self::Unreadable(why) => write!(f, "its file can't be read: {why}"),
            Self::Stayed => f.write_str("it stayed loaded after a close, because something else holds it"),
        }
    }
}

impl Kept {
    /// True if the host may allow the unload all the same.
    pub(super) fn may_be_overruled(&self) -> bool {
        matches!(self, Self::StaticTls | Self::Uses(_) | Self::Unreadable(_))
    }
}

/// Functions that may leave the process a pointer into the library that calls them. If a file has such a name for another
/// reason, the pool keeps a library that could go. That is the harmless one of the two mistakes.
const LEAVING: [&str; 11] = [
    "__cxa_thread_atexit_impl",
    "__cxa_thread_atexit",
    "pthread_create",
    "thrd_create",
    "pthread_key_create",
    "pthread_atfork",
    "sigaction",
    "signal",
    "timer_create",
    "on_exit",
    "putenv",
];

/// The first reason in the file to keep the library; `None` if it is known to unload.
pub(super) fn by_file(path: &Path) -> Option<Kept> {
    match std::fs::read(path) {
        Ok(data) => reasons(&data).into_iter().next(),
        Err(error) => Some(Kept::Unreadable(error.to_string())),
    }
}

/// All reasons in the content of a file to keep the library, first those that the host can't overrule. Public for tests
/// that compare them with what another reader finds in the same file.
#[doc(hidden)]
pub fn reasons(data: &[u8]) -> Vec<Kept> {
    let Some(file) = File::read(data) else {
        return vec![Kept::Unreadable("it is damaged, or not a library of this machine".to_owned())];
    };
    // A library gets a function as a symbol, or as a text that it passes to dlsym. The symbol need not be a text of its
    // own, because linkers store `signal` as the end of `pthread_cond_signal`.
    let mut texts = data.split(|byte| *byte == 0);
    let leaving = LEAVING.iter().find(|name| file.names(name));
    let leaving =
        leaving.or_else(|| texts.find_map(|text| LEAVING.iter().find(|name| name.as_bytes() == text)));
    let reasons = [
        file.nodelete.then_some(Kept::NoDelete),
        file.unique.map(Kept::Unique),
        file.go.then_some(Kept::Go),
        file.static_tls.then_some(Kept::StaticTls),
        leaving.map(|name| Kept::Uses(name)),
    ];
    reasons.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_kept_for_what_its_file_says() {
        let own = std::env::current_exe().unwrap();
        // A Rust program has thread-local destructors and starts threads.
        assert!(matches!(by_file(&own), Some(Kept::Uses(_))), "{:?}", by_file(&own));
        assert!(matches!(by_file(Path::new("/no/such.so")), Some(Kept::Unreadable(_))));
        let libc = std::fs::read_to_string("/proc/self/maps").unwrap();
        let libc = libc.lines().find_map(|line| line.find('/').map(|at| &line[at..])).unwrap();
        assert!(by_file(Path::new(libc)).is_some_and(|kept| kept.may_be_overruled()));
        assert!(!Kept::NoDelete.may_be_overruled());
    }
}
