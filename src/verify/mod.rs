//! The same library and cycles seen by other eyes: valgrind, LeakSanitizer, Go's own trace and a plain reader of `/proc`, each on a
//! process that only cycles, and what all of them say together. What they write is read by pure functions (`memcheck`,
//! `lsan`, `gctrace`, `status`), and so are their answers brought together (`reconcile`); `looks` runs them.

mod blocks;
pub mod gctrace;
mod looks;
pub mod lsan;
pub mod memcheck;
mod peer;
mod reconcile;
mod room;
pub mod status;
#[cfg(test)]
mod tests;
pub mod trend;
mod words;

use std::fmt;

use serde::Serialize;

use crate::record::{Language, Tool, Unit, Verdict};

pub use looks::{Asked, verify};
pub use room::Room;
pub use trend::Trend;

/// The value of [`Verification::schema`].
pub const SCHEMA: &str = "dlsoak.verify/1";

/// All looks at one library and what they say together.
#[derive(Debug, Clone, Serialize)]
pub struct Verification {
    /// Always [`SCHEMA`].
    pub schema: &'static str,
    /// What wrote this.
    pub tool: Tool,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// The library, as given.
    pub path: String,
    /// Language it was written in, as far as the file tells.
    pub language: Language,
    /// The calls made in each cycle, as given.
    pub calls: Vec<String>,
    /// The verdict of our own soak.
    pub verdict: Verdict,
    /// Each instrument, our own first.
    pub looks: Vec<Look>,
    /// Where something grows.
    pub places: Vec<Place>,
    /// What instruments that see the same thing say of each other.
    pub agreements: Vec<Agreement>,
    /// The whole in one word.
    pub answer: Answer,
    /// The whole in a sentence or two.
    pub conclusion: Vec<String>,
}

/// The whole in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Our own soak proves growth.
    Grows,
    /// Nothing grows, and no instrument says otherwise.
    NothingGrows,
    /// Instruments contradict each other, or our own soak could not decide.
    Undecided,
    /// The library ended our own soak early.
    EndedEarly,
    /// Somebody wanted it to end.
    Interrupted,
}

/// Who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Instrument {
    /// Our own soak.
    Dlsoak,
    /// valgrind's memcheck.
    Memcheck,
    /// LeakSanitizer.
    Lsan,
    /// `GODEBUG=gctrace=1`.
    Gctrace,
    /// `/proc/PID/status`.
    Status,
}

impl Instrument {
    /// Its name in a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dlsoak => "dlsoak",
            Self::Memcheck => "valgrind",
            Self::Lsan => "LeakSanitizer",
            Self::Gctrace => "gctrace",
            Self::Status => "/proc status",
        }
    }

    /// What it sees.
    pub fn sees(self) -> &'static str {
        match self {
            Self::Dlsoak => {
                "the C heap in use, memory and address space by kind, threads, descriptors, page tables"
            }
            Self::Memcheck => "each block from malloc that is not freed at the end, and who asked for it",
            Self::Lsan => "blocks from malloc that nothing points to at the end",
            Self::Gctrace => "the live heap of Go's own collector, after each collection",
            Self::Status => "what the kernel counts as resident and as mapped, whoever asked for it",
        }
    }

    /// What it can't see.
    pub fn blind_to(self) -> &'static str {
        match self {
            Self::Dlsoak => {
                "what Go or another allocator holds inside of its own mappings; memory of the kernel itself"
            }
            Self::Memcheck => {
                "mmap and brk, Go's heap, threads, descriptors; what a cache does after its few cycles"
            }
            Self::Lsan => {
                "what is still pointed to, even by a cache that only grows; mmap, Go's heap; it takes what only Go's memory \
                points to for lost"
            }
            Self::Gctrace => "C.malloc and C.CString, mmap, stacks of threads; less than 1 MiB in all",
            Self::Status => {
                "what a page holds: less than the kernel's counters are off by, and memory that is used again"
            }
        }
    }
}

/// How a look went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It looked.
    Looked,
    /// It is not on this machine.
    Missing,
    /// It could not look at this library.
    Failed,
}

/// One instrument's look.
#[derive(Debug, Clone, Serialize)]
pub struct Look {
    /// Who looked.
    pub instrument: Instrument,
    /// How that went.
    pub state: State,
    /// The cycles that its figures are about: after the first number, up to the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cycles: Option<(u64, u64)>,
    /// What it found.
    pub figures: Vec<Figure>,
    /// Who asked for most of what grows, from the allocator's caller outwards.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<Frame>,
    /// Why it did not look, and what to install.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What else is to be said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What it sees.
    pub sees: &'static str,
    /// What it can't see.
    pub blind_to: &'static str,
}

impl Look {
    fn looked(instrument: Instrument, cycles: (u64, u64), figures: Vec<Figure>) -> Self {
        Self { cycles: Some(cycles), figures, ..Self::without(instrument, State::Looked, None) }
    }

    fn without(instrument: Instrument, state: State, detail: Option<String>) -> Self {
        Self {
            instrument,
            state,
            cycles: None,
            figures: Vec::new(),
            stack: Vec::new(),
            detail,
            notes: Vec::new(),
            sees: instrument.sees(),
            blind_to: instrument.blind_to(),
        }
    }

    /// One of its figures.
    pub fn figure(&self, what: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.what == what)
    }
}

/// How much one thing grows, by one instrument.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// What.
    pub what: &'static str,
    /// Bytes or a count.
    pub unit: Unit,
    /// Growth per cycle.
    pub per_cycle: f64,
    /// What it is at least.
    pub low: f64,
    /// What it is at most.
    pub high: f64,
    /// Which way it goes.
    pub trend: Trend,
    /// Steady growth per cycle that would have been called.
    pub smallest: f64,
    /// Blocks per cycle, of an instrument that counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocks_per_cycle: Option<f64>,
    /// Bytes per cycle with malloc's header and rounding, of an instrument that counts what was asked for: as if all blocks of a
    /// record had one size, at least, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_chunks: Option<(f64, f64, f64)>,
}

/// Blocks that were asked for in one place and are still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaked {
    /// Bytes as they were asked for.
    pub bytes: u64,
    /// Number of blocks.
    pub blocks: u64,
    /// Who asked for them, from the allocator outwards.
    pub stack: Vec<Frame>,
}

/// A place in a stack, as far as the instrument could tell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
pub struct Frame {
    /// Function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// File of code that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Source file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.function.as_deref().unwrap_or("???"))?;
        match (&self.file, self.line, &self.object) {
            (Some(file), Some(line), _) => write!(f, " ({file}:{line})"),
            (Some(file), None, _) => write!(f, " ({file})"),
            (None, _, Some(object)) => write!(f, " in {}", object.rsplit('/').next().unwrap_or(object)),
            (None, _, None) if self.function.is_none() => f.write_str(" (code that was unloaded)"),
            (None, _, None) => Ok(()),
        }
    }
}

/// Where something grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlaceKind {
    /// Blocks from malloc.
    CHeap,
    /// Go's own heap.
    GoHeap,
    /// Mappings beyond both.
    Mappings,
    /// Descriptors, threads, page tables.
    KernelSide,
    /// Memory that no allocator says is in use and that no new mapping explains.
    NoBooks,
}

impl PlaceKind {
    /// Its name in a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Self::CHeap => "C heap",
            Self::GoHeap => "Go heap",
            Self::Mappings => "mappings",
            Self::KernelSide => "kernel-side",
            Self::NoBooks => "in no one's books",
        }
    }
}

/// Something that grows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Place {
    /// Where.
    pub place: PlaceKind,
    /// How much per cycle.
    pub per_cycle: f64,
    /// Bytes or a count.
    pub unit: Unit,
    /// Who saw it grow.
    pub seen_by: Vec<Instrument>,
    /// What is known of it.
    pub detail: String,
}

/// What two instruments say of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accord {
    /// The same: within 1 %, or within what they can see.
    Agree,
    /// Not the same, and neither can be blind to it.
    Disagree,
    /// One of them could not have seen it.
    CannotTell,
}

/// Two instruments on one thing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agreement {
    /// What both see.
    pub about: &'static str,
    /// Who.
    pub between: [Instrument; 2],
    /// Whether they agree.
    pub accord: Accord,
    /// Their figures.
    pub detail: String,
}
