//! What was seen of a real host that loads its own libraries (`dlsoak watch`).

use dlsoak_settings::{Reason, UnitError, named};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Cause, Checkpoints, Cycles, Finding, Growth, Judged, Leak, LeakRate, Measured, OverTime, Prediction,
    Soak, TraceFrame, TracePlace,
};

/// A host that was watched.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Watch {
    /// The host.
    pub host: WatchedHost,
    /// What was asked for.
    pub asked: WatchAsked,
    /// How long the host was watched, in seconds.
    pub seconds: f64,
    /// Steps that were completed (`--every`, `--do`).
    pub steps: u64,
    /// Events of the loader that found no room to be reported; 0 in a sound watch.
    pub lost: u64,
    /// Allocations that could not be noted for lack of room; 0 in a sound watch.
    pub lost_notes: u64,
    /// Processes that the host started, which are not watched.
    pub others: u64,
    /// How often the host became another program (`exec`); what it did before is not in here.
    pub execs: u64,
    /// Processes that the host forked and that loaded or unloaded something themselves, which is not in here.
    #[serde(default)]
    pub children: u64,
    /// Their loads.
    #[serde(default)]
    pub child_loads: u64,
    /// Whether the host became a program in the end that does not report its loads: it is static or setuid, or was started without our
    /// variables.
    #[serde(default)]
    pub unseen: bool,
    /// Libraries that were loaded while the host ran, by path.
    pub libraries: Vec<WatchedLibrary>,
    /// The host's own figures at the end of each step. The column `cycle` counts steps.
    pub checkpoints: Checkpoints,
    /// Growth of the host's process per step, whatever causes it.
    pub growth: Vec<Growth>,
}

impl Watch {
    /// Whether all that the host loaded was seen, and anything was. Otherwise no watch passes, whatever its libraries have.
    pub fn is_whole(&self) -> bool {
        let seen = !self.libraries.is_empty() && !self.checkpoints.rows.is_empty();
        seen && !self.unseen && self.lost == 0 && self.lost_notes == 0
    }

    /// Each library as a soak, see [`Self::soak_of`].
    pub fn soaks(&self) -> Vec<Soak> {
        self.libraries.iter().map(|library| self.soak_of(library)).collect()
    }

    /// A library of this watch as a soak whose cycles are its loads, for what draws and compares series.
    pub fn soak_of(&self, library: &WatchedLibrary) -> Soak {
        let judged = Judged {
            growth: library.growth.clone(),
            leak: library.leak.clone(),
            findings: library.findings.clone(),
            ..Judged::default()
        };
        Soak { judged, ..self.soak(library.name(), &library.path, &library.checkpoints) }
    }

    /// The host as a soak whose cycles are the steps.
    pub fn host_soak(&self) -> Soak {
        let program = self.host.command.first().map_or("", String::as_str);
        let judged = Judged { growth: self.growth.clone(), ..Judged::default() };
        Soak { judged, ..self.soak("host", program, &self.checkpoints) }
    }

    fn soak(&self, name: &str, path: &str, checkpoints: &Checkpoints) -> Soak {
        let last = checkpoints.rows.last().and_then(|row| row.first()).copied().unwrap_or(0);
        let cycles = u64::try_from(last).unwrap_or(0);
        let measured = Measured {
            name: name.to_owned(),
            path: path.to_owned(),
            cycles: Cycles { requested: cycles, completed: cycles, warmup: 0 },
            seconds: self.seconds,
            checkpoints: checkpoints.clone(),
            ..Measured::default()
        };
        Soak { measured, ..Soak::default() }
    }
}

/// The process that was watched.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct WatchedHost {
    /// Its command line.
    pub command: Vec<String>,
    /// Its process ID; where it went into the background, that of the process there.
    pub pid: u32,
    /// How it ended.
    pub end: HostEnd,
}

/// How a watched host ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum HostEnd {
    /// dlsoak ended it when the watch was over.
    #[default]
    Stopped,
    /// It exited by itself.
    Exited {
        /// Its exit status.
        code: i32,
    },
    /// A signal killed it.
    Killed {
        /// The signal's number.
        signal: i32,
    },
    /// Somebody else waited for it.
    Lost,
}

named! {
    /// Which allocations of a watched host are noted.
    #[derive(Default)]
    pub enum HeapNotes {
        /// None.
        Off = "off",
        /// Those that a library makes which was loaded while the host ran.
        #[default]
        Groups = "groups",
        /// All.
        All = "all",
    }
}

/// What a watch was asked for, as far as its judgement depends on it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct WatchAsked {
    /// Which allocations were noted.
    pub heap: HeapNotes,
    /// Growth per load that passes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_leak_rate: Option<LeakRate>,
    /// Libraries that may leak.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub allow: Vec<AllowedLibrary>,
    /// Names of libraries that must be unloaded.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub require_unload: Vec<String>,
}

/// A library that may leak.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AllowedLibrary {
    /// The name of its file, or its path.
    pub name: String,
    /// Why it may.
    pub reason: Reason,
}

impl std::str::FromStr for AllowedLibrary {
    type Err = UnitError;

    /// `NAME` or `NAME=REASON`.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (name, reason) = text.split_once('=').unwrap_or((text, Reason::NONE));
        Ok(Self { name: name.to_owned(), reason: reason.parse()? })
    }
}

/// A library of a watched host: what was seen of it, and what was made of that.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct WatchedLibrary {
    /// Its file.
    pub path: String,
    /// How often `dlopen` named it.
    pub opens: u64,
    /// How often a handle of it was closed.
    pub closes: u64,
    /// How often it was opened while a handle of it was open.
    #[serde(default)]
    pub overlaps: u64,
    /// How often the loader really loaded it.
    pub loads: u64,
    /// How often the loader really unloaded it.
    pub unloads: u64,
    /// Objects that its loads brought and that were still there at the end.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub left: Vec<String>,
    /// Why it can't be unloaded, by what its file says.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub stays: Vec<Prediction>,
    /// What else keeps it: what is loaded beside it, and what a diagnosis found.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub causes: Vec<Cause>,
    /// The code that opened it most often.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub opened_by: Option<TraceFrame>,
    /// What its code had allocated and not freed at the end of each step. The column `cycle` counts its loads.
    pub checkpoints: Checkpoints,
    /// Where what grows comes from.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub places: Vec<TracePlace>,
    /// The verdict.
    #[serde(default)]
    pub verdict: WatchVerdict,
    /// The leak, where growth of memory is proven. "Cycle" is a load here.
    #[serde(default)]
    pub leak: Option<Leak>,
    /// Growth per load.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub growth: Vec<Growth>,
    /// What was concluded, most important first.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

impl WatchedLibrary {
    /// The name of its file.
    pub fn name(&self) -> &str {
        file_name(&self.path)
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

named! {
    /// The verdict on a library of a watched host.
    #[derive(Default)]
    pub enum WatchVerdict {
        /// What its code allocates grows with its loads.
        Leak = "leak",
        /// The host opened it more often than it closed it.
        Held = "held",
        /// The host opened it again before it closed it, so it was loaded once.
        NeverReloaded = "never-reloaded",
        /// It was closed and stays.
        Pinned = "pinned",
        /// Neither proven nor excluded.
        #[default]
        Inconclusive = "inconclusive",
        /// It was unloaded each time, and nothing grows.
        Clean = "clean",
    }
}

/// A process that ran already, as `/proc` shows it (`dlsoak watch --pid`).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Attached {
    /// Its process ID.
    pub pid: u32,
    /// Its command line.
    pub command: Vec<String>,
    /// How long it was watched, in seconds.
    pub seconds: f64,
    /// How loads and unloads were counted.
    pub counted: LoadCounts,
    /// Reports of the kernel that were lost, and mappings that the count has and `/proc/PID/maps` has not, or the reverse; 0 in a sound watch.
    pub lost: u64,
    /// How often it became another program (`exec`); what it loaded before is not in here.
    pub execs: u64,
    /// Processes that it forked meanwhile; 0 where loads are not counted.
    pub children: u64,
    /// Loads of libraries in these processes.
    pub child_loads: u64,
    /// The files that it has mapped as code, and those that it had meanwhile.
    pub mapped: Vec<MappedLibrary>,
    /// Its own figures over time. The column `cycle` counts points.
    pub checkpoints: Checkpoints,
    /// Its resident memory in bytes by kind of mapping, at the same points.
    pub resident_by_kind: OverTime,
}

/// A file that a process has mapped as code.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct MappedLibrary {
    /// The file.
    pub path: String,
    /// How often it was loaded while it was watched.
    pub loads: u64,
    /// How often it was unloaded.
    pub unloads: u64,
    /// How often its code is mapped at the end; more than 1 where it was loaded from several files of this name, or into several namespaces.
    pub copies: u64,
    /// How many of them are of a file that was removed or replaced.
    pub deleted: u64,
    /// Why it can never be unloaded, by what its file says.
    pub stays: Vec<Prediction>,
}

impl MappedLibrary {
    /// The name of its file.
    pub fn name(&self) -> &str {
        file_name(&self.path)
    }
}

/// How loads and unloads of a process that ran already were counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum LoadCounts {
    /// By the kernel's reports (perf events) of each mapping of code and each unmapping.
    Events {},
    /// Loads by the kernel's reports, unloads by what is mapped at the end, because this user can't read the kernel's tracepoints.
    Mappings {},
    /// Not at all.
    None {
        /// Why the kernel refused (`perf_event_open`).
        error: String,
        /// `kernel.perf_event_paranoid`, where there is one.
        paranoid: Option<i32>,
    },
}

impl Default for LoadCounts {
    fn default() -> Self {
        Self::None { error: String::new(), paranoid: None }
    }
}
