//! What bounds a session, and why one went no further.

use std::time::{Duration, Instant};

use crate::record::{EndedEarly, FileChange, LimitReached, LoadCause, LoadFailure};
use crate::supervisor::limits::Limits;
use crate::supervisor::process::signal_name;

/// Why a session went no further.
#[derive(Debug)]
pub(in crate::supervisor) enum End {
    /// A thread reported an error.
    Failed { thread: usize, failure: Box<LoadFailure> },
    /// A function was called that only the real host has; the process has ended.
    NeedsHost { thread: usize, called: String },
    /// The process ended.
    Died(std::process::ExitStatus),
    /// No cycle finished within the stall timeout.
    Hung,
    /// The person interrupted; the flag says whether the worker reached a quiet point.
    Interrupted { quiet: bool },
    /// The time given to the soak is over; the worker is at a quiet point.
    TimeUp,
    /// More was used than allowed; the flag says whether the worker is at a quiet point. If not, it was killed.
    Limit { reached: LimitReached, quiet: bool },
    /// The library's file is another; what is measured from now on is not what it was.
    FileChanged(FileChange),
    /// What the worker says of itself can't be: something has written over the channel.
    Scribbled,
}

impl End {
    /// A failure that is not that of one thread.
    pub(in crate::supervisor) fn of(cause: LoadCause) -> Self {
        Self::Failed { thread: 0, failure: Box::new(LoadFailure::new(cause)) }
    }

    /// Whether the worker is parked with every handle closed, or with what a failed cycle left open.
    pub(in crate::supervisor) fn is_quiet(&self) -> bool {
        match self {
            Self::TimeUp | Self::Failed { .. } => true,
            Self::Interrupted { quiet } | Self::Limit { quiet, .. } => *quiet,
            // A checkpoint would be that of another file.
            Self::FileChanged(_) => false,
            Self::NeedsHost { .. } | Self::Died(_) | Self::Hung | Self::Scribbled => false,
        }
    }

    /// What the record says of it where it is not the end of the measured soak.
    pub(in crate::supervisor) fn early(&self) -> EndedEarly {
        match self {
            Self::Failed { failure, .. } => EndedEarly::LoadFailed(failure.clone()),
            Self::NeedsHost { called, .. } => EndedEarly::NeedsHost { called: called.clone() },
            Self::Died(status) => EndedEarly::Died { signal: signal_name(*status), status: status.code() },
            Self::Hung => EndedEarly::Hung,
            Self::Interrupted { .. } => EndedEarly::Interrupted,
            Self::TimeUp => EndedEarly::Duration,
            Self::Limit { reached, .. } => EndedEarly::Limit(*reached),
            Self::FileChanged(change) => EndedEarly::FileChanged(change.clone()),
            Self::Scribbled => EndedEarly::SharedMemoryCorrupt,
        }
    }
}

/// What bounds a session.
#[derive(Debug, Clone, Copy)]
pub(in crate::supervisor) struct Bounds {
    /// No cycle finished for this long: hung.
    pub(in crate::supervisor) stall: Duration,
    /// What may be used.
    pub(in crate::supervisor) limits: Limits,
    /// When to stop, completed or not.
    pub(in crate::supervisor) deadline: Option<Instant>,
    /// Most cycles of a thread between two quiet points.
    pub(in crate::supervisor) stride: u64,
}
