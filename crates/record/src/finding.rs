//! Findings: what `dlsoak-judge` concludes from a measurement, each with a stable code, a severity and typed facts.
//!
//! `docs/findings.md` has a page for each code, and `dlsoak explain CODE` prints it. `dlsoak-report` turns a finding into sentences.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use dlsoak_settings::{CallFrom, HostKind, LeakRate, Metric, Pass, Reason, ResidueKind, named};

use super::verification::Collections;
use super::{
    Cause, CauseKind, Disturbance, Exhausted, Growth, Note, OneTime, Outcome, OutcomeKind, Part, Phase,
    PlaceKind, Replaced, Residue, Rule, RuleName, Sandbox, TraceFrame, UnloadState, Verdict,
};

/// One conclusion about a soak.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Its stable code, which `docs/findings.md` explains.
    pub code: Code,
    /// What it does to the gate.
    pub severity: Severity,
    /// The pass that it comes from.
    pub pass: Pass,
    /// The object that it is about, where that is not the library itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub object: Option<String>,
    /// The place in the source that it comes from, where one is known.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none", default)]
    pub place: Option<SourcePlace>,
    /// The reason for which it may be, where an exception for it was given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub allowed: Option<Reason>,
    /// What was measured.
    pub facts: Facts,
}

impl Finding {
    /// A finding of the measuring pass.
    pub fn new(severity: Severity, facts: Facts) -> Self {
        let pass = Pass::Measure;
        Self { code: facts.code(), severity, pass, object: None, place: None, allowed: None, facts }
    }

    /// The same, of another pass.
    #[must_use]
    pub fn of_pass(self, pass: Pass) -> Self {
        Self { pass, ..self }
    }
}

/// What a finding does to the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The soak does not pass.
    Fail,
    /// The soak neither passes nor fails.
    Undecided,
    /// The soak may pass: something to know.
    Note,
}

/// A place in a source file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourcePlace {
    /// The function.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub function: Option<String>,
    /// Its source file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file: Option<String>,
    /// Line in it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub line: Option<u32>,
}

/// What was measured, by the kind of conclusion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Facts {
    /// Growth is proven.
    Leak(LeakFacts),
    /// A resource ran out.
    Exhausted(RanOut),
    /// What part of the growth is left without the calls.
    Share(Share),
    /// A metric is neither proven to grow nor excluded from growing.
    Unsettled(Unsettled),
    /// There is no checkpoint.
    NothingMeasured {},
    /// Nothing could count the heap of the library, which has a C library of its own.
    HeapNotMeasured {},
    /// Growth is proven, and a limit allows it.
    WithinLimit {
        /// What grows, and by how much.
        growth: Growth,
        /// The limit per cycle, in the metric's unit.
        limit: f64,
    },
    /// Nothing grows.
    NoGrowth {
        /// Measured cycles.
        cycles: u64,
        /// Bytes per cycle of memory that this run would have detected.
        detectable: f64,
    },
    /// What old cycles allocated survives, or does not.
    Survivors(Survivors),
    /// Nothing points to the memory that grows.
    Lost(LostGrowth),
    /// How memory grows that a collector frees where that runs often.
    Collected(Collection),
    /// Memory that the first loads kept and no later one did.
    KeptOnce(Vec<OneTime>),
    /// What malloc holds free has grown, which is no leak.
    MallocHoldsFree(HeldFree),
    /// The library was unloaded, and objects that it brought were not.
    DependenciesStay {
        /// The objects.
        objects: Vec<String>,
    },
    /// The library's file was replaced by another build, and which one answered.
    Replaced(Replaced),
    /// What each of two builds leaks, where they replace each other.
    BuildsLeak(Replaced),
    /// Why an object stays.
    Stays(Cause),
    /// A host has more handles of the library than it closed.
    Held {
        /// Handles that it opened; 0 where the C library opened it for the host.
        opens: u64,
        /// Handles that it closed.
        closes: u64,
        /// The code that opened it most often.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        by: Option<TraceFrame>,
    },
    /// A host opened the library several times, and it was loaded once, because it was opened again before it was closed.
    NeverReloaded {
        /// Handles that it opened.
        opens: u64,
        /// Handles that it closed.
        closes: u64,
    },
    /// Something that the process was left with.
    Left(Residue),
    /// The soak did not complete.
    Ended(Box<Ended>),
    /// A limit by time allows more, or less, than it seems to.
    Limit(LimitFacts),
    /// Something that a reader of the figures should know.
    Note(Note),
    /// The process was disturbed on purpose (`--chaos`).
    Disturbed(Vec<Disturbance>),
    /// A disturbance could not be done.
    DisturbanceRefused(Disturbance),
    /// What `--sandbox` kept the process from.
    Sandboxed(Sandbox),
    /// What `--sandbox` could not keep the process from.
    SandboxIncomplete(Sandbox),
    /// Fewer cycles were measured than asked for.
    FewerCycles {
        /// Cycles measured.
        completed: u64,
        /// Cycles asked for.
        requested: u64,
    },
    /// The latencies were measured with malloc's thread cache off.
    LatenciesUncached {},
    /// What a library does depends on the kind of its host.
    HostsDiffer {
        /// The host that was asked for.
        here: Box<Behaviour>,
        /// The other one.
        there: Box<Behaviour>,
    },
    /// What was found is a dependency's.
    DependencyAtFault(Dependency),
    /// What a library does depends on the thread that calls it.
    PatternsDiffer(Vec<PatternVerdict>),
    /// The soak is worse than a baseline, or not clearly as good.
    Baseline {
        /// Name of the baseline.
        baseline: String,
        /// The rule on change that is not met.
        rule: Rule,
    },
    /// The baseline has no soak of this name.
    NotInBaseline {
        /// Name of the baseline.
        baseline: String,
    },
    /// The place that most of a leak comes from.
    Leaker {
        /// What is left.
        kind: PlaceKind,
        /// The phase of the cycle.
        phase: Phase,
        /// Bytes per cycle that come from there.
        bytes_per_cycle: f64,
        /// Things per cycle that come from there.
        count_per_cycle: f64,
        /// File that the code was loaded from.
        module: String,
        /// Address of the call in that file.
        offset: u64,
    },
}

impl Facts {
    /// The code of a finding with these facts.
    pub fn code(&self) -> Code {
        match self {
            Self::Leak(leak) => leak_code(leak.growth.metric),
            Self::Exhausted(_) => Code::Exhausted,
            Self::Share(share) => match share.by {
                Sharer::Load => Code::ShareLoad,
                Sharer::Call => Code::ShareCall,
                Sharer::Both => Code::ShareBoth,
                Sharer::Undecided => Code::ShareUndecided,
            },
            Self::Unsettled(open) => match open.why {
                OpenGrowth::Late => Code::GrowthLate,
                OpenGrowth::Fading => Code::GrowthFading,
                OpenGrowth::Doubling => Code::GrowthDoubles,
                OpenGrowth::Collected => Code::GrowthUncollected,
                OpenGrowth::Straddles => Code::GrowthUndecided,
                OpenGrowth::TooFewCheckpoints => Code::TooFewCheckpoints,
            },
            Self::NothingMeasured {} => Code::NothingMeasured,
            Self::HeapNotMeasured {} => Code::HeapNotMeasured,
            Self::WithinLimit { .. } => Code::GrowthWithinLimit,
            Self::NoGrowth { .. } => Code::NoGrowth,
            Self::Survivors(_) => Code::Survivors,
            Self::Lost(_) => Code::Lost,
            Self::Collected(_) => Code::Collected,
            Self::KeptOnce(_) => Code::KeptOnce,
            Self::MallocHoldsFree(_) => Code::MallocHoldsFree,
            Self::DependenciesStay { .. } => Code::DependenciesStay,
            Self::Replaced(replaced) if replaced.stale > 0 => Code::OldBuildAnswers,
            Self::Replaced(_) => Code::BuildsAlternate,
            Self::BuildsLeak(_) => Code::BuildAtFault,
            Self::Stays(cause) => cause_code(cause.kind()),
            Self::Held { .. } => Code::Held,
            Self::NeverReloaded { .. } => Code::NeverReloaded,
            Self::Left(residue) => residue_code(residue.kind()),
            Self::Ended(ended) => ended.outcome.code(),
            Self::Limit(limit) => match limit.why {
                OddLimit::Untimed => Code::LimitUntimed,
                OddLimit::TooSmall => Code::LimitTooSmall,
                OddLimit::AllowsChunk => Code::LimitAllowsChunk,
            },
            Self::Note(note) => note.code(),
            Self::Disturbed(_) => Code::Disturbed,
            Self::DisturbanceRefused(_) => Code::DisturbanceRefused,
            Self::Sandboxed(_) => Code::Sandboxed,
            Self::SandboxIncomplete(_) => Code::SandboxIncomplete,
            Self::FewerCycles { .. } => Code::FewerCycles,
            Self::LatenciesUncached {} => Code::LatenciesUncached,
            Self::HostsDiffer { .. } => Code::HostsDiffer,
            Self::DependencyAtFault(_) => Code::DependencyAtFault,
            Self::PatternsDiffer(_) => Code::PatternsDiffer,
            Self::Baseline { rule, .. } => match rule.name {
                RuleName::MaxP99Increase => Code::BaselineP99Increase,
                _ => Code::BaselineLeakIncrease,
            },
            Self::NotInBaseline { .. } => Code::BaselineMissing,
            Self::Leaker { .. } => Code::Leaker,
        }
    }
}

fn leak_code(metric: Metric) -> Code {
    match metric {
        Metric::Heap => Code::LeakHeap,
        Metric::Anon => Code::LeakAnon,
        Metric::Rss | Metric::PrivateDirty | Metric::Pss => Code::LeakRss,
        Metric::Virtual => Code::LeakVirtual,
        Metric::PageTables => Code::LeakPageTables,
        Metric::Mappings => Code::LeakMappings,
        Metric::Threads => Code::LeakThreads,
        Metric::Fds => Code::LeakFds,
    }
}

fn cause_code(kind: CauseKind) -> Code {
    match kind {
        CauseKind::Nodelete => Code::PinnedNodelete,
        CauseKind::NodeleteRuntime => Code::PinnedNodeleteRuntime,
        CauseKind::Unique => Code::PinnedUnique,
        CauseKind::TlsDestructor => Code::PinnedTlsDestructor,
        CauseKind::RelocationDependency => Code::PinnedRelocationDependency,
        CauseKind::NeededBy => Code::PinnedNeededBy,
        CauseKind::ExtraReference => Code::PinnedExtraReference,
        CauseKind::DependencyPinned => Code::PinnedDependency,
        CauseKind::AlreadyLoaded => Code::PinnedAlreadyLoaded,
        CauseKind::LibcNeverUnloads => Code::PinnedLibcNeverUnloads,
        CauseKind::InterfaceNeverUnloads => Code::PinnedInterfaceNeverUnloads,
        CauseKind::Unknown => Code::PinnedUnknown,
    }
}

fn residue_code(kind: ResidueKind) -> Code {
    match kind {
        ResidueKind::Threads => Code::ResidueThreads,
        ResidueKind::Fds => Code::ResidueFds,
        ResidueKind::Mappings => Code::ResidueMappings,
        ResidueKind::TlsKeys => Code::ResidueTlsKeys,
        ResidueKind::StaticTls => Code::ResidueStaticTls,
        ResidueKind::SignalHandler => Code::ResidueSignalHandler,
        ResidueKind::SignalMask => Code::ResidueSignalMask,
        ResidueKind::FpMode => Code::ResidueFpMode,
        ResidueKind::Environment => Code::ResidueEnvironment,
        ResidueKind::Locale => Code::ResidueLocale,
        ResidueKind::Cwd => Code::ResidueCwd,
        ResidueKind::Umask => Code::ResidueUmask,
        ResidueKind::Rlimits => Code::ResidueRlimits,
        ResidueKind::Timers => Code::ResidueTimers,
        ResidueKind::Children => Code::ResidueChildren,
        ResidueKind::Ipc => Code::ResidueIpc,
        ResidueKind::Atexit => Code::ResidueAtexit,
        ResidueKind::Allocator => Code::ResidueAllocator,
        ResidueKind::ThreadName => Code::ResidueThreadName,
        ResidueKind::OomScore => Code::ResidueOomScore,
        ResidueKind::Stdio => Code::ResidueStdio,
        ResidueKind::DanglingPointer => Code::ResidueDanglingPointer,
    }
}

/// Growth that is proven.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LeakFacts {
    /// What grows, and by how much.
    #[serde(flatten)]
    pub growth: Growth,
    /// Other metrics in which it shows.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub also: Vec<MetricRate>,
    /// Whether threads are proven to grow in number as well, so that the memory is theirs.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub with_threads: bool,
    /// Measured cycles.
    pub cycles: u64,
    /// The libraries that grow it, where several were soaked together: those with a tenth of it or more.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub by: Vec<Part>,
}

/// A resource that ran out, and what may have come of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RanOut {
    /// The resource, and when.
    #[serde(flatten)]
    pub what: Exhausted,
    /// How the soak ended after that, where it did not complete.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended: Option<OutcomeKind>,
}

/// A metric and its rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricRate {
    /// What grows.
    pub metric: Metric,
    /// By how much per cycle, in its unit.
    pub per_cycle: f64,
}

/// How much of the growth is left when the calls are left out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Share {
    /// Who grows it.
    pub by: Sharer,
    /// Whether growth with the calls is proven.
    pub proven: bool,
    /// What is compared: the metric that the leak is stated in, or the heap where none is proven.
    pub metric: Metric,
    /// Growth per cycle with the calls.
    pub with: f64,
    /// Growth per cycle without them.
    pub without: f64,
    /// Lower bound of the 95 % interval of `without`; `null` where nothing bounds it.
    pub low: Option<f64>,
    /// Upper bound of the 95 % interval of `without`; `null` where nothing bounds it.
    pub high: Option<f64>,
    /// Instances of a plugin in each cycle, where a driver made the calls.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub instances: Option<u32>,
}

/// Whether loading grows a metric, or calling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sharer {
    /// Loading alone grows it as much.
    Load,
    /// Without calls it does not grow.
    Call,
    /// Both have a part in it.
    Both,
    /// The short soak could not say.
    Undecided,
}

/// Why a metric is neither proven to grow nor excluded from growing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Unsettled {
    /// Which of the ways it is open.
    pub why: OpenGrowth,
    /// The metric, and its best estimate.
    #[serde(flatten)]
    pub growth: Growth,
    /// Growth per cycle in the last octaves of the run, oldest first.
    pub rates: Vec<f64>,
    /// Growth per cycle below which it would have been excluded.
    pub clean_below: f64,
    /// About how many cycles would decide it, where that can be said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cycles_needed: Option<u64>,
    /// Other metrics that are open in the same way.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub also: Vec<Metric>,
}

/// The ways in which growth may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OpenGrowth {
    /// It grows in the last half of the run only.
    Late,
    /// It slows down.
    Fading,
    /// It grows in jumps that become rarer, as a container that doubles does.
    Doubling,
    /// It is memory that a collector frees, and less than the garbage that may pile up.
    Collected,
    /// The interval straddles the limit.
    Straddles,
    /// There are too few checkpoints.
    TooFewCheckpoints,
}

/// How a soak ended that did not complete: what of its [`Outcome`] a reader needs, without the stacks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ended {
    /// The outcome, without stacks.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Measured cycles that it is judged by.
    pub measured: u64,
}

/// A limit per second beside what it means per cycle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LimitFacts {
    /// What is odd about it.
    pub why: OddLimit,
    /// The limit, as given.
    pub limit: LeakRate,
    /// The limit in bytes per cycle, at the measured speed.
    pub per_cycle: f64,
    /// Seconds that a cycle takes.
    pub seconds_per_cycle: f64,
    /// Bytes per cycle that this run can distinguish from none.
    pub distinguishable: f64,
    /// Measured cycles.
    pub cycles: u64,
}

/// What is odd about a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OddLimit {
    /// No cycle was timed, so that a limit per second has no meaning.
    Untimed,
    /// It is below what this run can distinguish from no growth.
    TooSmall,
    /// It allows a whole malloc chunk per cycle.
    AllowsChunk,
}

/// How a library behaves in a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Behaviour {
    /// The kind of the host.
    pub host: HostKind,
    /// How the soak ended.
    pub end: OutcomeKind,
    /// Whether the library was unloaded.
    pub state: UnloadState,
    /// Why it stays, where it stays.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub causes: Vec<Cause>,
    /// Metrics that are proven to grow.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub grows: Vec<MetricRate>,
    /// Kinds of residue.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub residue: Vec<ResidueKind>,
}

/// A fault that a dependency has: it is gone in a host that keeps the dependency loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Dependency {
    /// What is gone there.
    pub problem: Problem,
    /// Libraries that the host linked in which it is gone: the dependency alone, or where no single one is at fault, all that the library
    /// brings.
    pub objects: Vec<String>,
    /// Of growth: by how much per cycle, with the dependency loaded anew.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub per_cycle: Option<f64>,
    /// Of growth: by how much per cycle where the one dependency is loaded and unloaded by itself. 0 says that it leaks only what the library
    /// has it keep.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub alone: Option<f64>,
    /// Measured cycles in the other host.
    pub cycles: u64,
}

/// What is left of the blocks that cycles allocated long before the end of a soak.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Survivors {
    /// Cycles of the soak.
    pub cycles: u64,
    /// First of the cycles that allocated them, after the warm-up.
    pub from: u64,
    /// The cycle after the last of them.
    pub to: u64,
    /// Blocks of theirs that are alive at the end.
    pub blocks: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Bytes per cycle that survive.
    pub per_cycle: f64,
    /// Lower bound of the 95 % interval.
    pub low: f64,
    /// Upper bound; where nothing grows, what is excluded.
    pub high: f64,
    /// Whether they are a leak; otherwise growth is excluded.
    pub leak: bool,
}

/// Memory that grows and that nothing points to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LostGrowth {
    /// Cycles of the soak in which it was looked for.
    pub cycles: u64,
    /// The cycle from which on growth was counted.
    pub from: u64,
    /// By how many blocks the heap grew.
    pub blocks: i64,
    /// By how many of those that nothing points to.
    pub lost_blocks: i64,
    /// Whether something stayed loaded.
    pub stays: bool,
}

/// What malloc has from the kernel beyond the blocks in use, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeldFree {
    /// Half-way through the soak.
    pub halfway: u64,
    /// At its end.
    pub end: u64,
    /// The least at any checkpoint of the first half.
    pub least_before: u64,
    /// The least at any checkpoint of the second half.
    pub least_after: u64,
}

/// Memory that a collector frees, in the soak and in one in which the collector runs often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Collection {
    /// The metric that was judged.
    pub metric: Metric,
    /// Its growth per cycle in the soak.
    pub without: f64,
    /// Its growth where the collector runs often.
    pub with: Growth,
    /// What the collector did there, where its runtime reported that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub collections: Option<Collections>,
}

/// Something that is wrong with a soak and may be a dependency's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "problem", rename_all = "kebab-case")]
pub enum Problem {
    /// A metric grows.
    Grows {
        /// Which.
        metric: Metric,
    },
    /// Something is left.
    Left {
        /// What kind of thing.
        residue: ResidueKind,
    },
    /// The library is not unloaded.
    Stays,
    /// The process crashes.
    Crashes,
}

/// The verdict on one calling pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PatternVerdict {
    /// Which thread its cycles ran on.
    pub call_from: CallFrom,
    /// Its verdict.
    pub verdict: Verdict,
}

named! {
    /// The stable code of a finding, in the order of `docs/findings.md`.
    pub enum Code {
        /// The C heap grows.
        LeakHeap = "leak-heap",
        /// Anonymous memory grows that the heap does not account for.
        LeakAnon = "leak-anon",
        /// Resident memory grows that is neither heap nor anonymous.
        LeakRss = "leak-rss",
        /// Address space grows that is not touched.
        LeakVirtual = "leak-virtual",
        /// Page tables grow.
        LeakPageTables = "leak-page-tables",
        /// The number of mappings grows.
        LeakMappings = "leak-mappings",
        /// The number of threads grows.
        LeakThreads = "leak-threads",
        /// The number of open descriptors grows.
        LeakFds = "leak-fds",
        /// A resource ran out.
        Exhausted = "exhausted",
        /// Loading leaks, calling does not.
        ShareLoad = "share-load",
        /// Calling leaks, loading does not.
        ShareCall = "share-call",
        /// Loading and calling leak.
        ShareBoth = "share-both",
        /// Whether loading or calling leaks is open.
        ShareUndecided = "share-undecided",
        /// The place that most of a leak comes from.
        Leaker = "leaker",
        /// Growth began in the last half of the run.
        GrowthLate = "growth-late",
        /// Growth slows down.
        GrowthFading = "growth-fading",
        /// Growth in jumps that become rarer, as of a container that doubles.
        GrowthDoubles = "growth-doubles",
        /// Memory of a collected heap grows by less than the garbage that may pile up in it.
        GrowthUncollected = "growth-uncollected",
        /// The interval straddles the limit.
        GrowthUndecided = "growth-undecided",
        /// There are too few checkpoints to say anything.
        TooFewCheckpoints = "too-few-checkpoints",
        /// There is no checkpoint.
        NothingMeasured = "nothing-measured",
        /// The heap could not be counted.
        HeapNotMeasured = "heap-not-measured",
        /// Growth that a limit allows.
        GrowthWithinLimit = "growth-within-limit",
        /// Nothing grows.
        NoGrowth = "no-growth",
        /// Memory that the first loads kept.
        KeptOnce = "kept-once",
        /// Memory that malloc has from the kernel and nobody uses.
        MallocHoldsFree = "malloc-holds-free",
        /// The library goes, and something that it brought stays.
        DependenciesStay = "dependencies-stay",
        /// The library's file was replaced, and the old build answered.
        OldBuildAnswers = "old-build-answers",
        /// Linked with `-z nodelete`.
        PinnedNodelete = "pinned-nodelete",
        /// Opened with `RTLD_NODELETE`.
        PinnedNodeleteRuntime = "pinned-nodelete-runtime",
        /// The loader bound a `STB_GNU_UNIQUE` symbol.
        PinnedUnique = "pinned-unique",
        /// A thread-local destructor is pending.
        PinnedTlsDestructor = "pinned-tls-destructor",
        /// An object that stays was bound to it.
        PinnedRelocationDependency = "pinned-relocation-dependency",
        /// An object that stays needs it.
        PinnedNeededBy = "pinned-needed-by",
        /// A handle stays open.
        PinnedExtraReference = "pinned-extra-reference",
        /// A dependency stays by itself.
        PinnedDependency = "pinned-dependency",
        /// It was in the process before the first open.
        PinnedAlreadyLoaded = "pinned-already-loaded",
        /// The C library never unloads anything.
        PinnedLibcNeverUnloads = "pinned-libc-never-unloads",
        /// Hosts of its plugin interface never unload a plugin.
        PinnedInterfaceNeverUnloads = "pinned-interface-never-unloads",
        /// Why it stays is not known.
        PinnedUnknown = "pinned-unknown",
        /// A host keeps a handle of it.
        Held = "held",
        /// A host opens it again before it closes it.
        NeverReloaded = "never-reloaded",
        /// Threads are left.
        ResidueThreads = "residue-threads",
        /// Descriptors are left open.
        ResidueFds = "residue-fds",
        /// Mappings are left.
        ResidueMappings = "residue-mappings",
        /// Thread-specific keys are left.
        ResidueTlsKeys = "residue-tls-keys",
        /// Static thread-local storage is used up.
        ResidueStaticTls = "residue-static-tls",
        /// A signal does something else than before.
        ResidueSignalHandler = "residue-signal-handler",
        /// Signals are blocked that were not.
        ResidueSignalMask = "residue-signal-mask",
        /// The floating-point unit has other modes.
        ResidueFpMode = "residue-fp-mode",
        /// The environment differs.
        ResidueEnvironment = "residue-environment",
        /// The locale differs.
        ResidueLocale = "residue-locale",
        /// The working directory differs.
        ResidueCwd = "residue-cwd",
        /// The umask differs.
        ResidueUmask = "residue-umask",
        /// Resource limits differ.
        ResidueRlimits = "residue-rlimits",
        /// Timers are armed.
        ResidueTimers = "residue-timers",
        /// Child processes are left.
        ResidueChildren = "residue-children",
        /// Shared memory is left.
        ResidueIpc = "residue-ipc",
        /// A function that is called at exit is gone.
        ResidueAtexit = "residue-atexit",
        /// Address space grows beside the C heap.
        ResidueAllocator = "residue-allocator",
        /// The thread that ran the library has another name.
        ResidueThreadName = "residue-thread-name",
        /// The kernel chooses otherwise whom to kill.
        ResidueOomScore = "residue-oom-score",
        /// Streams are left open, or lie in memory that is gone.
        ResidueStdio = "residue-stdio",
        /// Memory that stays points into the library.
        ResidueDanglingPointer = "residue-dangling-pointer",
        /// The loader refused the library.
        LoadFailed = "load-failed",
        /// The file can't be read, or is no library for this machine.
        LoadFailedBadFile = "load-failed-bad-file",
        /// A library that it needs is missing.
        LoadFailedMissingLibrary = "load-failed-missing-library",
        /// A symbol is missing, or is no function.
        LoadFailedMissingSymbol = "load-failed-missing-symbol",
        /// A version of a symbol is missing.
        LoadFailedMissingVersion = "load-failed-missing-version",
        /// Static thread-local storage is used up.
        LoadFailedStaticTls = "load-failed-static-tls",
        /// Namespaces are used up.
        LoadFailedNamespaces = "load-failed-namespaces",
        /// Descriptors are used up.
        LoadFailedFds = "load-failed-fds",
        /// Memory, address space or mappings are used up.
        LoadFailedMemory = "load-failed-memory",
        /// The library's file was changed or removed during the soak.
        LoadFailedFileChanged = "load-failed-file-changed",
        /// The library called a function that only its real host has.
        NeedsHost = "needs-host",
        /// A check of a call failed, or the exercise returned another number than 0.
        CallFailed = "call-failed",
        /// A signal ended the process.
        Crashed = "crashed",
        /// A null pointer was followed.
        CrashedNullPointer = "crashed-null-pointer",
        /// A stack has overflowed.
        CrashedStackOverflow = "crashed-stack-overflow",
        /// Code of a library was run that is gone.
        CrashedUnloadedCode = "crashed-unloaded-code",
        /// Memory of a library was accessed that is gone.
        CrashedUnloadedData = "crashed-unloaded-data",
        /// glibc found the heap corrupt.
        CrashedHeapCorrupt = "crashed-heap-corrupt",
        /// Nothing caught a C++ exception.
        CrashedException = "crashed-exception",
        /// A panic of Rust or Go.
        CrashedPanic = "crashed-panic",
        /// Keys for thread-specific data are used up.
        CrashedTlsKeys = "crashed-tls-keys",
        /// The process aborted itself.
        CrashedAbort = "crashed-abort",
        /// No cycle finished in time.
        Hung = "hung",
        /// A thread waits for a mutex that can't become free.
        HungDeadlock = "hung-deadlock",
        /// A signal stopped the process.
        HungStopped = "hung-stopped",
        /// The library ended the process.
        Exited = "exited",
        /// The library's file became another during the soak.
        FileChanged = "file-changed",
        /// The library ended the thread that called it.
        ExitedThread = "exited-thread",
        /// The process can't end by itself after the last cycle.
        BrokenAtExit = "broken-at-exit",
        /// A limit ended the soak.
        LimitReached = "limit-reached",
        /// It used more memory than the limit.
        LimitMemory = "limit-memory",
        /// It had more descriptors open than the limit.
        LimitFds = "limit-fds",
        /// It had more threads and processes than the limit.
        LimitProcesses = "limit-processes",
        /// It wrote more than the limit.
        LimitOutput = "limit-output",
        /// It took more time than the limit.
        LimitTimeout = "limit-timeout",
        /// A person ended the run.
        Interrupted = "interrupted",
        /// A limit per second has no meaning.
        LimitUntimed = "limit-untimed",
        /// A limit is below what the run can distinguish.
        LimitTooSmall = "limit-too-small",
        /// A limit allows a whole chunk per cycle.
        LimitAllowsChunk = "limit-allows-chunk",
        /// It leaks more than the baseline.
        BaselineLeakIncrease = "baseline-leak-increase",
        /// It takes longer than the baseline.
        BaselineP99Increase = "baseline-p99-increase",
        /// The baseline has no such soak.
        BaselineMissing = "baseline-missing",
        /// Of two builds that replace each other, which one leaks.
        BuildAtFault = "build-at-fault",
        /// Two builds replaced each other, and each answered in its turn.
        BuildsAlternate = "builds-alternate",
        /// A dependency is at fault, and not the library.
        DependencyAtFault = "dependency-at-fault",
        /// It depends on the kind of the host.
        HostsDiffer = "hosts-differ",
        /// Threads belong to a library that the host holds.
        ThreadsOfHost = "threads-of-host",
        /// It could not be soaked in another host.
        OtherHostNotMade = "other-host-not-made",
        /// Blocks of old cycles survive, or do not.
        Survivors = "survivors",
        /// Nothing points to the memory that grows.
        Lost = "lost",
        /// Memory was judged where its collector runs often.
        Collected = "collected",
        /// No notes could be taken of allocations.
        CohortsNotMade = "cohorts-not-made",
        /// It depends on the thread that calls.
        PatternsDiffer = "patterns-differ",
        /// Fewer cycles than asked for.
        FewerCycles = "fewer-cycles",
        /// Latencies without malloc's thread cache.
        LatenciesUncached = "latencies-uncached",
        /// The soak was made again with the plain agent.
        MeasuredAgain = "measured-again",
        /// Calls could not be compared with a prototype.
        CallsUnchecked = "calls-unchecked",
        /// Copies share unique symbols.
        CopiesShareUnique = "copies-share-unique",
        /// All threads open one path.
        OnePath = "one-path",
        /// Threads can't be watched with ptrace.
        Unwatched = "threads-unwatched",
        /// Processes that the library had started were killed.
        ProcessesKilled = "processes-killed",
        /// It is not certain whether the library was loaded.
        WitnessesDiffer = "witnesses-differ",
        /// glibc loaded libgcc_s for itself.
        UnwinderLoaded = "unwinder-loaded",
        /// An object was left now and then.
        SometimesLeft = "sometimes-left",
        /// The loader counts objects that its list does not show.
        HiddenObjects = "hidden-objects",
        /// Mappings of the file are left that hold no code.
        FileMapped = "file-mapped",
        /// Other soaks ran at the same time.
        Contended = "contended",
        /// The process was disturbed on purpose.
        Disturbed = "disturbed",
        /// A disturbance could not be done.
        DisturbanceRefused = "disturbance-refused",
        /// What the sandbox kept the process from.
        Sandboxed = "sandboxed",
        /// What the sandbox could not keep the process from.
        SandboxIncomplete = "sandbox-incomplete",
        /// A leak could not be traced.
        NotTraced = "not-traced",
        /// Stale pointers could not be looked for.
        PointersNotSought = "pointers-not-sought",
        /// What the library needs would have stale pointers into it, in a host that keeps it loaded.
        PointersIfHeld = "pointers-if-held",
        /// Not all stale pointers could be looked at.
        PointersInPart = "pointers-in-part",
    }
}
