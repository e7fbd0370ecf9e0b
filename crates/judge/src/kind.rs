//! The kinds of series. A series is judged by its kind and not by its name, so a new column needs only a line in [`Kind::of`].

use dlsoak_record::{Metric, Unit};

/// Bytes of a page.
const PAGE: f64 = 4096.0;

/// How the values of a series come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes that malloc counts: each block shows with its size.
    Bytes,
    /// Things that are counted one by one.
    Things,
    /// Memory in whole pages, most of which others than the library move, too.
    Pages,
}

impl Kind {
    pub(super) fn of(metric: Metric) -> Self {
        match metric {
            Metric::Heap => Self::Bytes,
            _ if metric.unit() == Unit::Count => Self::Things,
            _ => Self::Pages,
        }
    }

    /// Whether the values are counts, in which each event shows alone.
    pub(super) fn is_exact(self) -> bool {
        self != Self::Pages
    }

    /// The smallest range to assume when proving growth, because a few steps of the metric look like a line.
    pub(super) fn floor(self, threads: u32) -> f64 {
        match self {
            Self::Bytes => 64.0,
            Self::Things => 1.0,
            Self::Pages => PAGE * f64::from(threads.max(1)),
        }
    }

    /// The amount that one event of a rare leak is assumed to add.
    pub(super) fn event(self) -> f64 {
        match self {
            Self::Bytes => 1024.0,
            Self::Things => 1.0,
            Self::Pages => PAGE,
        }
    }

    /// The amount that may always be hidden: the part of a page that each thread may have filled.
    pub(super) fn hidden(self, threads: u32) -> f64 {
        if self == Self::Pages { PAGE * f64::from(threads) } else { 0.0 }
    }
}

/// Whether a collector frees the memory that this metric counts, where the library has one. It has nothing to do with malloc's.
pub(super) fn is_collected(metric: Metric) -> bool {
    Kind::of(metric) == Kind::Pages
}
