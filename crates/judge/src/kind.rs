//! The kinds of series. A series is judged by its kind and not by its name, so a new column needs only a line in [`Kind::of`].

use dlsoak_record::{Measured, Metric, Unit};

/// Bytes of a page where the record does not say.
const USUAL_PAGE: u64 = 4096;

/// Bytes of a page of the process that was measured. Kernels have pages of 4, 16 or 64 KiB, and the record may come from another machine.
pub(super) fn page_of(soak: &Measured) -> u64 {
    Some(soak.worker.page_size).filter(|size| *size > 0).unwrap_or(USUAL_PAGE)
}

/// How the values of a series come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes that malloc counts: each block shows with its size.
    Bytes,
    /// Things that are counted one by one.
    Things,
    /// Memory in whole pages, most of which others than the library move, too.
    Pages {
        /// Bytes of a page.
        size: u64,
    },
}

impl Kind {
    /// The kind of a metric, where a page has this many bytes.
    pub(super) fn of(metric: Metric, page: u64) -> Self {
        match metric {
            Metric::Heap => Self::Bytes,
            _ if metric.unit() == Unit::Count => Self::Things,
            _ => Self::Pages { size: page },
        }
    }

    /// Whether the values are counts, in which each event shows alone.
    pub(super) fn is_exact(self) -> bool {
        !matches!(self, Self::Pages { .. })
    }

    /// The smallest range to assume when proving growth, because a few steps of the metric look like a line.
    pub(super) fn floor(self, threads: u32) -> f64 {
        match self {
            Self::Bytes => 64.0,
            Self::Things => 1.0,
            Self::Pages { size } => size as f64 * f64::from(threads.max(1)),
        }
    }

    /// The amount that one event of a rare leak is assumed to add.
    pub(super) fn event(self) -> f64 {
        match self {
            Self::Bytes => 1024.0,
            Self::Things => 1.0,
            Self::Pages { size } => size as f64,
        }
    }

    /// The amount that may always be hidden: the part of a page that each thread may have filled.
    pub(super) fn hidden(self, threads: u32) -> f64 {
        if let Self::Pages { size } = self { size as f64 * f64::from(threads) } else { 0.0 }
    }
}

/// Whether a collector frees the memory that this metric counts, where the library has one. It has nothing to do with malloc's.
pub(super) fn is_collected(metric: Metric) -> bool {
    metric != Metric::Heap && metric.unit() == Unit::Bytes
}
