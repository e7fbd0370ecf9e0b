//! Why a worker's thread can't go on, in the words that the record will have.

use std::ffi::{CString, c_int};
use std::fmt;

use nix::errno::Errno;

/// Why a thread can't go on.
#[derive(Debug)]
pub(super) enum Failure {
    Open(libloading::Error),
    /// `dlmopen` refused; its words.
    Namespace(String),
    /// The copy of the library at this path could not be made.
    Copy(CString, Errno),
    /// The thread that a cycle was to run on could not be started.
    Thread(Errno),
    /// The thread that a cycle ran on has ended before the cycle had.
    Ended,
    Symbol(libloading::Error),
    Driver(c_int),
    Close(libloading::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The loader's own words, which name the file and the reason.
            Self::Open(libloading::Error::DlOpen { source })
            | Self::Symbol(libloading::Error::DlSym { source })
            | Self::Close(libloading::Error::DlClose { source }) => write!(f, "{source}"),
            Self::Open(other) | Self::Symbol(other) | Self::Close(other) => write!(f, "{other}"),
            Self::Namespace(words) => f.write_str(words),
            Self::Copy(path, error) => write!(
                f,
                "no copy at {}: {}; set TMPDIR to a place that is writable and has room",
                path.to_string_lossy(),
                error.desc()
            ),
            Self::Thread(error) => write!(f, "no thread for a cycle: {}", error.desc()),
            Self::Ended => f.write_str(
                "the library ended the thread that called it (pthread_exit, pthread_cancel), and the handle stays open",
            ),
            Self::Driver(code) => write!(f, "the exercise returned {code}; 0 means that its cycle went well"),
        }
    }
}
