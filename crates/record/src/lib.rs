//! The saved run, `dlsoak.run/2`: plain types that are the JSON format. `docs/record.md` documents each field for `jq` users.
//!
//! **Invariant:** only this crate crosses from measuring to judging and reporting. It has no logic but how a record is read and
//! what its names of files say, so that every judgement, report and comparison can be made again from a saved record.

mod cause;
pub mod checkup;
mod cohorts;
mod column;
mod exhausted;
pub mod explanation;
pub mod file;
mod finding;
#[cfg(test)]
mod free_text;
mod gate;
mod growth;
pub mod histogram;
mod host;
pub mod inspection;
mod language;
mod latency;
mod limits;
mod load_failure;
mod lost;
mod modes;
mod note;
mod outcome;
mod over_time;
mod phase;
mod read;
mod replaced;
mod residue;
mod runtimes;
#[cfg(any(test, feature = "sample"))]
pub mod sample;
mod stack;
mod surroundings;
#[cfg(test)]
mod tests;
mod together;
mod toolchain;
mod trace;
pub mod verification;
mod watch;
pub mod why;

use dlsoak_settings::named;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use cause::{Cause, CauseFacts, CauseKind, Certainty, Keeper, OpenedBy, Prediction, Undiagnosed};
pub use cohorts::{Alive, Cohorts, Stretch};
pub use column::{Column, OverTimeColumn};
pub use dlsoak_settings::{
    AllowedPointer, Blame, Call, CallFrom, CountLimits, HostKind, Increase, LeakRate, Limits, Metric, Mode,
    OpenFlags, Order, Pass, Per, ResidueKind, Settings, Unit, Variable, quantity, quoted, units,
};
pub use exhausted::{Allowance, Exhausted, Resource};
pub use finding::{
    Behaviour, Code, Collection, Dependency, Ended, Facts, Finding, HeldFree, LeakFacts, LimitFacts,
    LostGrowth, MetricRate, OddLimit, OpenGrowth, PatternVerdict, Problem, RanOut, Severity, Share, Sharer,
    SourcePlace, Survivors, Unsettled,
};
pub use gate::{Gate, Rule, RuleMeasured, RuleName};
pub use growth::{Fit, Growth, Leak, OneTime, Trend};
pub use host::{Host, Partition, SplitSoak, Tool};
pub use language::Language;
pub use latency::{Latencies, Latency};
pub use limits::{Excess, Limit, LimitName, LimitReached};
pub use load_failure::{Exports, FileProblem, LoadCause, LoadFailure, OpenFds, Provider, Shortage, Staying};
pub use lost::{Lost, Reached};
pub use modes::{InstanceCost, Instances, Pattern};
pub use note::{Doubt, Note, Witness, WitnessCount};
pub use outcome::{Fault, Outcome, OutcomeKind};
pub use over_time::OverTime;
pub use phase::Phase;
pub use read::{ReadError, is_record, read};
pub use replaced::{Build, Replaced};
pub use residue::{
    At, Child, Counted, CrashHow, DanglingPointer, EnvironmentChange, Evidence, FpChange, FpRegister,
    HolderMemory, LocaleChange, Mapped, Place, PointerHolder, PointerTarget, Proof, Residue, SharedMemory,
    SignalAction, SoftHard, Stream, StreamChange, Tally, ThreadCrash, Timer, Use, User,
};
pub use runtimes::{is_c_library, is_runtime};
pub use stack::{CodeOf, Frame, Stack, ThreadName};
pub use surroundings::{Disturbance, Lack, Missing, Refusal, Restriction, Sandbox};
pub use together::{Member, Part};
pub use toolchain::Toolchain;
pub use trace::{Explained, PlaceKind, PlaceTrend, Trace, TraceFrame, TracePlace, TraceStack};
use verification::Collections;
pub use watch::{
    AllowedLibrary, Attached, HeapNotes, HostEnd, LoadCounts, MappedLibrary, Watch, WatchAsked, WatchVerdict,
    WatchedHost, WatchedLibrary,
};
pub use why::{EndedEarly, FileChange, HostCall, Why};

/// The value of [`Run::schema`] that this version writes and reads.
pub const SCHEMA: &str = "dlsoak.run/2";

/// One saved run: one or more soaks on one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// What wrote this record.
    pub tool: Tool,
    /// When the run began, RFC 3339 in UTC.
    pub started_at: String,
    /// True when every soak passed its gate; an undecided soak makes it false.
    pub passed: bool,
    /// The machine the run was made on; of a merged run, that of its first part.
    pub host: Host,
    /// Which share of a suite this is, where it is not the whole.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub partition: Option<Partition>,
    /// One entry per soak, in the order of the suite.
    pub soaks: Vec<Soak>,
    /// The host that was watched (`dlsoak watch`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub watch: Option<Watch>,
}

/// One library: what was measured, and what was made of it. In JSON the fields of both stand side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default, JsonSchema)]
pub struct Soak {
    /// What was asked for and measured.
    #[serde(flatten)]
    pub measured: Measured,
    /// What `dlsoak-judge` made of it.
    #[serde(flatten)]
    pub judged: Judged,
}

/// What is measured is what most readers of a soak ask for, as in the JSON.
impl std::ops::Deref for Soak {
    type Target = Measured;

    fn deref(&self) -> &Measured {
        &self.measured
    }
}

impl std::ops::DerefMut for Soak {
    fn deref_mut(&mut self) -> &mut Measured {
        &mut self.measured
    }
}

/// What was made of a measurement, and can be made of it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default, JsonSchema)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// What was concluded, most important first.
    pub findings: Vec<Finding>,
    /// What the gate made of it.
    pub gate: Gate,
    /// The leak, where growth of memory is proven.
    pub leak: Option<Leak>,
    /// One entry per metric that could be measured.
    pub growth: Vec<Growth>,
    /// Resources that ran out, first those that ran out first. Growth is judged by the cycles before.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub exhausted: Vec<Exhausted>,
    /// What came of the short soaks of each calling pattern (`--patterns all`), in the order of `pattern_soaks`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub patterns: Vec<Pattern>,
}

/// What was asked of one library and what was measured. The default is a soak of which nothing is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default, JsonSchema)]
pub struct Measured {
    /// Name of the soak; unique within a run.
    pub name: String,
    /// The library, as given.
    pub path: String,
    /// GNU build-id in hexadecimal, where the file has one.
    pub build_id: Option<String>,
    /// Language the file was written in, as far as the file tells.
    pub language: Language,
    /// What the file was built with, as far as it tells.
    #[serde(skip_serializing_if = "Toolchain::is_empty", default)]
    pub toolchain: Toolchain,
    /// The plugin interface whose life each cycle made, where a driver of it was used.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub driver: Option<Driven>,
    /// The machine it was made on, where that is not the run's: in a run that was merged from several, or resumed on another.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub host: Option<Host>,
    /// What was asked for, as it was given: the settings that differ from the defaults, with the limits of the gate.
    #[serde(default)]
    pub asked: Settings,
    /// True when all threads open one path and so share one reference count (`--share-path`).
    #[serde(default)]
    pub share_path: bool,
    /// Other soaks that ran at the same time (`--jobs`), at most: where there were any, latencies and all rates per second
    /// are contended.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub beside: u32,
    /// Environment variables set for the worker, and those that it inherits and that the judgement depends on: `GOGC`, where the library
    /// contains Go.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// What the worker was kept from (`--sandbox`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sandbox: Option<Sandbox>,
    /// What the worker was disturbed with (`--chaos`).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub chaos: Vec<Disturbance>,
    /// How many cycles were asked for, completed, and spent on warm-up.
    pub cycles: Cycles,
    /// Active time of the measured cycles in seconds: parked time and warm-up are not in it.
    pub seconds: f64,
    /// How the soak ended.
    pub outcome: Outcome,
    /// True when the run was interrupted before all passes of this soak were over: some may be missing or cut short.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// True when checkpoints were left out after the verdict (`--no-report`): no other verdict can be made from those that are left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shortened: bool,
    /// The limits that were set, and the one that ended it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub limits: Vec<Limit>,
    /// How much the process could have of what can run out.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub allowances: Vec<Allowance>,
    /// Whether the library was really unloaded.
    pub unload: Unload,
    /// The libraries, in the order in which they were named, where a cycle opened several one after the other (`--together`). All else that
    /// is about "the library" is about all of them then, and `path` is the first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub together: Vec<Member>,
    /// Which build answered, where the library's file was replaced (`--replace`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub replaced: Option<Replaced>,
    /// What was kept by the end of the warm-up: before the first open against after the warm-up.
    #[serde(default)]
    pub one_time: Vec<OneTime>,
    /// The same library soaked shortly without its calls, where the calls may have a part in what grows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub without_calls: Option<Box<Measured>>,
    /// The same soak with a collector that runs often (`GOGC=10`), where memory that a collector frees grows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub collected: Option<Box<Measured>>,
    /// In the record of that soak: what Go's collector did in it, as its runtime reported (`GODEBUG=gctrace=1`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub collections: Option<Collections>,
    /// The same library soaked shortly by each calling pattern (`--patterns all`).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub pattern_soaks: Vec<Measured>,
    /// The same library soaked shortly in other hosts.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub other_hosts: Vec<OtherHost>,
    /// What instances cost that stay, in the modes `copies` and `namespace`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub instances: Option<Instances>,
    /// What is left of what each stretch of cycles allocated, where growth of the heap was undecided.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cohorts: Option<Cohorts>,
    /// What of the heap's growth nothing points to, where `--until-decided` saw a leak that something may point to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lost: Option<Lost>,
    /// Who left what behind (`dlsoak trace`, `--trace-on-leak`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trace: Option<Trace>,
    /// What else the process was left with.
    pub residue: Vec<Residue>,
    /// Latencies of the measured cycles in nanoseconds, all threads merged.
    pub latency_ns: Latencies,
    /// Latencies of the warm-up cycles, kept apart.
    #[serde(default)]
    pub warmup_latency_ns: Latencies,
    /// Latencies over the cycles: per interval and phase the median, the 99th percentile and the largest value, in
    /// nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub latency_over_time: Option<OverTime>,
    /// What a reader of the figures should know of how they were measured.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<Note>,
    /// The baseline that the soak is compared with, and what it has of this library.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub baseline: Option<Baseline>,
    /// The passes that were made, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub passes: Vec<PassMade>,
    /// A shell command that makes the same soak from any directory.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub replay: String,
    /// The measured series.
    pub checkpoints: Checkpoints,
    /// Resident memory in bytes by kind of mapping, at some of the checkpoints.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resident_by_kind: Option<OverTime>,
    /// What the worker itself did, so that its own cost can be told from the library's.
    #[serde(default)]
    pub worker: Worker,
}

impl Measured {
    /// What a cycle opens.
    pub fn mode(&self) -> Mode {
        self.asked.mode.unwrap_or_default()
    }

    /// Which thread a cycle runs on.
    pub fn call_from(&self) -> CallFrom {
        self.asked.call_from.unwrap_or_default()
    }

    /// Number of threads that cycle.
    pub fn threads(&self) -> u32 {
        self.asked.threads.map_or(1, |threads| u32::try_from(threads.get()).unwrap_or(u32::MAX))
    }

    /// Whether the run was interrupted or killed before all passes of this soak were over. Such a soak is never clean.
    pub fn is_cut_short(&self) -> bool {
        self.interrupted || self.outcome.kind == OutcomeKind::Interrupted
    }

    /// Wall time of its passes in seconds; of a record that does not list them, the active time of the measured cycles.
    pub fn cost(&self) -> f64 {
        let passes: f64 = self.passes.iter().map(|made| made.seconds).sum();
        if self.passes.is_empty() { self.seconds } else { passes }
    }

    /// Why nothing that the library does could get it unloaded, where that is so.
    pub fn never_unloads(&self) -> Option<CauseFacts> {
        if self.worker.never_unloads() {
            return Some(CauseFacts::LibcNeverUnloads);
        }
        self.driver.as_ref().filter(|driven| driven.keeps).map(|_| CauseFacts::InterfaceNeverUnloads)
    }

    /// Flags for `dlopen`.
    pub fn flags(&self) -> OpenFlags {
        self.asked.flags.unwrap_or_default()
    }

    /// The calls made in each cycle, as given.
    pub fn calls(&self) -> Vec<String> {
        self.asked.call.iter().flatten().map(ToString::to_string).collect()
    }
}

/// What a driver of a plugin interface made in each cycle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Driven {
    /// The interface, as people write it.
    pub interface: String,
    /// What the library exports that it is recognised by.
    pub symbol: String,
    /// Instances that lived at the same time.
    pub instances: u32,
    /// Whether hosts of the interface never unload a plugin, because the interface forbids it.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub keeps: bool,
}

/// A short soak in another host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OtherHost {
    /// What of it is other.
    #[serde(flatten)]
    pub change: HostChange,
    /// What was measured there.
    pub soak: Measured,
}

/// What another host is like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum HostChange {
    /// It is of the other kind.
    Kind {
        /// Its kind.
        kind: HostKind,
    },
    /// It links more.
    Links {
        /// The libraries that it links besides, by name.
        objects: Vec<String>,
    },
    /// It is the same, and opens and closes a dependency by itself.
    Alone {
        /// The dependency, by name.
        object: String,
    },
}

/// A pass that was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PassMade {
    /// Which one.
    pub pass: Pass,
    /// Its cycles.
    pub cycles: u64,
    /// Its wall time in seconds, with the start of its process.
    pub seconds: f64,
    /// The agent that it was made with.
    pub agent: Agent,
}

/// What a later judgement needs of the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default, JsonSchema)]
pub struct Baseline {
    /// Its name, as given.
    pub name: String,
    /// Its soak of the same name; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub soak: Option<BaselineSoak>,
}

/// One soak of a baseline, as far as rules on change look at it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default, JsonSchema)]
pub struct BaselineSoak {
    /// How malloc was counted.
    pub agent: Agent,
    /// Growth of each metric.
    pub growth: Vec<Growth>,
    /// Latencies of the measured cycles.
    pub latency_ns: Latencies,
}

/// Cycle counts, all threads together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default, JsonSchema)]
pub struct Cycles {
    /// Cycles asked for, warm-up not included.
    pub requested: u64,
    /// Cycles completed, warm-up not included.
    pub completed: u64,
    /// Warm-up cycles completed.
    pub warmup: u64,
}

/// Whether the library was really unloaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default, JsonSchema)]
pub struct Unload {
    /// The answer.
    pub state: UnloadState,
    /// Objects the loader added per measured cycle (`dlpi_adds`): the library and what it brings.
    pub loads_per_cycle: f64,
    /// Objects the loader removed per measured cycle (`dlpi_subs`).
    pub unloads_per_cycle: f64,
    /// Objects that one real load adds, measured on a cycle that ran alone; 0 when nothing is reloaded.
    #[serde(default)]
    pub objects_per_load: u64,
    /// Objects still loaded while every handle was closed, which were not there before the first open.
    pub objects_left: Vec<String>,
    /// Why it stays, where it stays.
    pub causes: Vec<Cause>,
}

named! {
    /// The answer to "was it unloaded".
    #[derive(Default)]
    pub enum UnloadState {
        /// Every handle closed took the library and all it brought out of the process.
        #[default]
        Unloaded = "unloaded",
        /// The library went, something it brought stayed.
        Partial = "partial",
        /// The library itself stayed.
        Pinned = "pinned",
    }
}

named! {
    /// The verdict on one soak.
    #[derive(Default)]
    pub enum Verdict {
        /// Unloaded every cycle, nothing grows.
        Clean = "clean",
        /// Growth is proven.
        Leak = "leak",
        /// It is not unloaded.
        Pinned = "pinned",
        /// No memory leak, but the process is not as it was.
        Residue = "residue",
        /// A signal ended the worker.
        Crashed = "crashed",
        /// No cycle finished within the stall timeout.
        Hung = "hung",
        /// The library ended the process, or its file became another.
        Exited = "exited",
        /// It called a function that only its real host has.
        NeedsHost = "needs-host",
        /// The code of `--exercise` returned another number than 0.
        CallFailed = "call-failed",
        /// A limit was hit.
        Limit = "limit",
        /// The loader refused it.
        LoadFailed = "load-failed",
        /// The interval still straddles the limit.
        #[default]
        Inconclusive = "inconclusive",
    }
}

/// The measured series, one row per checkpoint.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Checkpoints {
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows; the first one is after the warm-up, at cycle 0.
    pub rows: Vec<Vec<i64>>,
    /// One row before the first open, where it was reached.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before_first_open: Option<Vec<i64>>,
}

impl Checkpoints {
    /// Where a column is in a row.
    pub fn position(&self, column: impl Into<Column>) -> Option<usize> {
        let column = column.into();
        self.columns.iter().position(|own| *own == column)
    }
}

/// The worker's own account.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Worker {
    /// How malloc was counted, which decides what latencies can be compared with.
    #[serde(default)]
    pub agent: Agent,
    /// The C library that it ran on, with its version where that can be read: `glibc 2.36`, `musl 1.2.3`. It is that of the library under
    /// test, and not that of dlsoak.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub libc: String,
    /// Size of a page in bytes, in which resident memory moves; 0 where the process did not start.
    #[serde(default)]
    pub page_size: u64,
    /// The kind of host that it was.
    #[serde(default)]
    pub kind: HostKind,
    /// Libraries that it linked besides the C library.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub linked: Vec<String>,
    /// Libraries that it opened before the first cycle and kept.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub held: Vec<String>,
    /// Objects in the process before the first open: what the worker itself links.
    pub objects: Vec<String>,
    /// The clock that phases were timed by; absent where none was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clock: Option<Clock>,
    /// Last lines that the library wrote to standard output or standard error, where it wrote any.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub output_tail: String,
}

impl Worker {
    /// Whether its C library never unloads anything: musl's `dlclose` does nothing, by design.
    pub fn never_unloads(&self) -> bool {
        self.libc.starts_with("musl")
    }
}

/// The clocks that phases are timed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// The processor's time stamp counter.
    Tsc,
    /// `CLOCK_MONOTONIC`.
    Monotonic,
}

named! {
    /// How malloc is counted in the worker.
    #[derive(Default)]
    pub enum Agent {
        /// The host itself counts malloc, with the thread cache on.
        #[default]
        Counting = "counting",
        /// Nothing is interposed. The thread cache is off, so that `mallinfo2` is exact.
        Plain = "plain",
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}
