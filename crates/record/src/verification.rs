//! What `dlsoak verify` found, `dlsoak.verify/2`: the same cycles seen by dlsoak and by other leak detectors. Plain types that are the
//! JSON format.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Language, Metric, Outcome, Tool, Trend, Unit, Verdict};

/// The value of [`Verification::schema`] that this version writes.
pub const SCHEMA: &str = "dlsoak.verify/2";

/// What each instrument observed of one library, and what follows from all of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The program that wrote this.
    pub tool: Tool,
    /// When the verification began, RFC 3339 in UTC.
    pub started_at: String,
    /// The library, as given.
    pub path: String,
    /// Language that the library was written in, read from its file.
    pub language: Language,
    /// The calls made in each cycle, as given.
    pub calls: Vec<String>,
    /// The verdict of dlsoak's own soak.
    pub verdict: Verdict,
    /// What each instrument observed, dlsoak first.
    pub observations: Vec<Observation>,
    /// Where something grows.
    pub places: Vec<Place>,
    /// Pairs of instruments that see the same thing.
    pub cross_checks: Vec<CrossCheck>,
    /// Why the answer is `undecided`; empty with every other answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<Doubt>,
    /// The result in one word.
    pub answer: Answer,
}

/// The result in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// dlsoak's soak, or Go's collector, proves growth.
    Grows,
    /// No instrument found growth.
    NothingGrows,
    /// Instruments contradict each other, or dlsoak's soak could not decide.
    Undecided,
    /// The library ended dlsoak's soak early.
    EndedEarly,
    /// The user interrupted the verification.
    Interrupted,
}

/// A leak detector, or another program that reports memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Instrument {
    /// dlsoak's own soak.
    Dlsoak,
    /// valgrind's memcheck.
    Memcheck,
    /// LeakSanitizer.
    Lsan,
    /// Go's trace of its collector, `GODEBUG=gctrace=1`.
    Gctrace,
    /// `/proc/PID/status` and `/proc/PID/maps`.
    Status,
}

/// Whether an instrument observed the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It did.
    Observed,
    /// It is not installed on this machine.
    Missing,
    /// It failed on this library.
    Failed,
}

/// What one instrument observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Observation {
    /// The instrument.
    pub instrument: Instrument,
    /// Whether it observed the library.
    pub state: State,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Where it failed: the last line that the process wrote to standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// The cycles that its figures are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycles: Option<Span>,
    /// How much each quantity grows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<Figure>,
    /// Stack that requested most of what grows, from the allocator's caller outwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<Frame>,
    /// gctrace: the collections that it reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collections: Option<Collections>,
    /// valgrind: other errors that it reported, such as `InvalidRead`, each with the number of places.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<String, u64>,
}

impl Observation {
    /// One of its figures.
    pub fn figure(&self, quantity: Quantity) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.quantity == quantity)
    }
}

/// A range of cycles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// Cycles completed before the range.
    pub after: u64,
    /// The last cycle of the range.
    pub to: u64,
}

/// Collections of Go's collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Collections {
    /// The `GOGC` that the process ran with.
    pub gogc: u64,
    /// Collections in all.
    pub total: u64,
    /// Of these, collections during the cycles that the figures are about.
    pub measured: u64,
    /// Live heap before these cycles, in bytes.
    pub live_before: u64,
    /// Live heap after the last collection in the first half of these cycles, in bytes.
    pub live_halfway: u64,
    /// Live heap after the last collection, in bytes.
    pub live_after: u64,
}

/// Why an instrument failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "code")]
pub enum Failure {
    /// The library ended dlsoak's soak before its last cycle.
    EndedEarly {
        /// How the soak ended.
        outcome: Box<Outcome>,
    },
    /// The user interrupted the verification.
    Interrupted,
    /// A program could not be started.
    CannotStart {
        /// The program.
        program: String,
        /// The kernel's message.
        error: String,
    },
    /// A directory could not be made.
    CannotMake {
        /// The directory.
        path: String,
        /// The kernel's message.
        error: String,
    },
    /// The kernel refused to wait for the process.
    CannotWait {
        /// The kernel's message.
        error: String,
    },
    /// The process exited with an error.
    Exited {
        /// Its exit code.
        exit_code: i32,
    },
    /// A signal ended the process.
    Killed {
        /// Name of the signal.
        signal: String,
    },
    /// dlsoak ended the process because it took too long.
    TimedOut {
        /// The limit.
        seconds: f64,
    },
    /// The library stopped the process.
    Stopped,
    /// The process stopped at fewer or more points than dlsoak asked for.
    UnexpectedStops {
        /// Stops that dlsoak asked for.
        expected: u64,
        /// Stops that it saw.
        seen: u64,
    },
    /// The process exited with success before its last cycle.
    Incomplete,
    /// The process did not report its progress.
    NoProgress,
    /// No cycle lies between the first and the last point.
    NoCycles,
    /// A file could not be read.
    CannotRead {
        /// The file.
        path: String,
        /// The kernel's message.
        error: String,
    },
    /// A file of `/proc/PID` lacks a field.
    NoField {
        /// The field.
        field: String,
    },
    /// A line of a file or report has an unknown form.
    UnknownLine {
        /// The line.
        line: String,
    },
    /// The instrument wrote no report.
    NoReport,
    /// More than one process wrote a report, because the library starts others.
    SeveralReports {
        /// Number of reports.
        reports: u64,
    },
    /// The report is cut off.
    ReportCut,
    /// The report can't be parsed.
    ReportBroken {
        /// The parser's message.
        error: String,
    },
    /// The report is another tool's.
    ReportForeign,
    /// A leak in the report lacks its bytes or its blocks.
    ReportWithoutFigures,
    /// The report has more leaks than dlsoak reads.
    ReportTooLong {
        /// Leaks that dlsoak reads.
        most: u64,
    },
    /// The report lacks the blocks that dlsoak leaks on purpose.
    ReportWithoutControls,
    /// The instrument refused to run.
    Refused {
        /// Its own message.
        reason: String,
    },
    /// Go's runtime wrote no line of gctrace.
    NoCollections,
    /// Too many lines of gctrace have an unknown form.
    UnreadableTrace {
        /// Lines that can't be parsed.
        unreadable: u64,
        /// Lines that can.
        readable: u64,
    },
    /// A thread of dlsoak's own ended.
    Internal,
}

/// How much one quantity grows, as one instrument reports it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figure {
    /// What grows.
    pub quantity: Quantity,
    /// Bytes or a count.
    pub unit: Unit,
    /// Growth per cycle.
    pub per_cycle: f64,
    /// Lower bound of `per_cycle`.
    pub low: f64,
    /// Upper bound of `per_cycle`.
    pub high: f64,
    /// Whether it grows.
    pub trend: Trend,
    /// The smallest steady growth per cycle that the instrument would have detected.
    pub detectable: f64,
    /// Blocks per cycle, where the instrument counts blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks_per_cycle: Option<f64>,
    /// Bytes per cycle with malloc's headers and rounding, where the instrument counts the bytes that were requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunks: Option<Chunks>,
}

/// Bytes per cycle that malloc reserves for blocks of which only the sum of the requested bytes is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Chunks {
    /// If all blocks of a stack have one size.
    pub likely: f64,
    /// The least that malloc can have reserved.
    pub least: f64,
    /// The most.
    pub most: f64,
}

/// What an instrument reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// valgrind: blocks that are not freed at the end.
    NotFreed,
    /// valgrind and LeakSanitizer: blocks that nothing points to at the end. Of valgrind's, definitely, indirectly and possibly lost.
    Lost,
    /// valgrind: nothing points to the block.
    DefinitelyLost,
    /// valgrind: only lost blocks point to the block.
    IndirectlyLost,
    /// valgrind: pointers into the block exist, but none to its beginning.
    PossiblyLost,
    /// valgrind: a pointer to the block exists.
    StillReachable,
    /// gctrace: the live heap of Go's collector.
    GoHeap,
    /// /proc status: `VmRSS`.
    VmRss,
    /// /proc status: `RssAnon`.
    RssAnon,
    /// /proc status: `VmSize`.
    VmSize,
    /// /proc maps: length of the `[heap]` mapping.
    Brk,
    /// dlsoak: a metric of the soak.
    #[serde(untagged)]
    Metric(Metric),
}

/// A frame of a stack, as far as the instrument can name it. All fields are absent for code that was unloaded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
pub struct Frame {
    /// Function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// File that the code was loaded from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Source file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// Something that grows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// Where it grows.
    pub kind: PlaceKind,
    /// What it is, as far as the figures show.
    pub content: Content,
    /// Growth per cycle.
    pub per_cycle: f64,
    /// Bytes or a count.
    pub unit: Unit,
    /// Instruments that saw it grow.
    pub seen_by: Vec<Instrument>,
}

/// Where something grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PlaceKind {
    /// Blocks from malloc.
    CHeap,
    /// Go's own heap.
    GoHeap,
    /// Address space beyond both heaps.
    Mappings,
    /// Descriptors, threads, page tables.
    KernelSide,
    /// Memory that no allocator reports in use, and that no new mapping explains.
    Unattributed,
}

/// What grows in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// Blocks from malloc, with their headers.
    MallocBlocks,
    /// Freed blocks in malloc's heap that no later request fits in.
    Fragmentation,
    /// Objects that Go's collector keeps alive.
    GoObjects,
    /// Memory of Go's runtime beside its heap, or memory mapped earlier that is now touched.
    GoRuntime,
    /// Go's heap, or memory mapped earlier that is now touched: gctrace failed, so the two can't be distinguished.
    GoUnobserved,
    /// Mappings with anonymous memory.
    AnonymousMappings,
    /// Mappings that are mostly not resident, or that hold files or shared memory.
    OtherMappings,
    /// Address space that includes the stacks of threads that stay.
    ThreadStacks,
    /// Anonymous memory mapped earlier that is now touched.
    TouchedMemory,
    /// Pages of files or shared memory mapped earlier that are now touched.
    TouchedFiles,
    /// Threads.
    Threads,
    /// File descriptors.
    Descriptors,
    /// Page tables.
    PageTables,
}

/// Two instruments that see the same thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CrossCheck {
    /// What both see.
    pub subject: Subject,
    /// The instruments, each with the figure that was compared.
    pub between: [Source; 2],
    /// Whether they agree.
    pub agreement: Agreement,
    /// Difference of the two figures as a share of the larger one, where both instruments found growth. For the C heap, valgrind's
    /// figure is `chunks.likely`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<f64>,
}

/// A figure of an instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// The instrument.
    pub instrument: Instrument,
    /// Which of its figures.
    pub quantity: Quantity,
}

/// What two instruments both see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// The C heap in use.
    CHeap,
    /// Blocks that nothing points to.
    LostBlocks,
    /// Resident memory.
    ResidentMemory,
    /// Resident anonymous memory.
    AnonymousMemory,
    /// Address space.
    AddressSpace,
}

/// Whether two instruments agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Agreement {
    /// Their figures differ by at most 1 %, or by less than the instruments can detect.
    Agree,
    /// Their figures differ, and both instruments would have seen it.
    Disagree,
    /// One of them could not have seen it, or its figure is not certain.
    Inconclusive,
}

/// A reason not to answer `nothing-grows`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "code")]
pub enum Doubt {
    /// The verdict of dlsoak's soak is `inconclusive`.
    SoakInconclusive,
    /// An instrument can't exclude growth.
    NotExcluded {
        /// The instrument and its figure.
        #[serde(flatten)]
        source: Source,
        /// Upper bound of the growth, in bytes per cycle.
        high: f64,
    },
    /// Another instrument found growth that dlsoak's soak did not.
    SeenElsewhere {
        /// The instrument and its figure.
        #[serde(flatten)]
        source: Source,
        /// Growth in bytes per cycle.
        per_cycle: f64,
    },
    /// Two instruments disagree.
    Disagreement,
}
