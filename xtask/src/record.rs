//! The few fields of a saved run, `dlsoak.run/2`, that the repository's commands read. They are read by name from
//! the JSON, as any user of the format does, so that a field that is renamed shows here.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

/// A saved run.
#[derive(Debug, Clone, Deserialize)]
pub struct Run {
    /// The machine.
    pub host: Host,
    /// One entry per soak.
    pub soaks: Vec<Soak>,
}

/// The machine of a run.
#[derive(Debug, Clone, Deserialize)]
pub struct Host {
    /// Machine, as `uname -m` prints it.
    pub machine: String,
}

/// One soak of a run.
#[derive(Debug, Clone, Deserialize)]
pub struct Soak {
    /// Name; that of the fixture.
    pub name: String,
    /// Language that its file shows.
    #[serde(default)]
    pub language: String,
    /// What was asked for.
    #[serde(default)]
    pub asked: Asked,
    /// The measured process.
    #[serde(default)]
    pub worker: Worker,
    /// The machine of its run, where it comes from one.
    #[serde(skip)]
    pub machine: Option<String>,
    /// Whether the threads shared one path.
    #[serde(default)]
    pub share_path: bool,
    /// A command that makes the same soak again.
    #[serde(default)]
    pub replay: String,
    /// Its cycles.
    #[serde(default)]
    pub cycles: Cycles,
    /// Active seconds.
    pub seconds: f64,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether it was unloaded.
    pub unload: Unload,
    /// Growth by metric.
    pub growth: Vec<Growth>,
    /// What else was left behind.
    #[serde(default)]
    pub residue: Vec<Residue>,
    /// The verdict.
    pub verdict: String,
    /// What was concluded.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// The survivors of old cycles, where growth of the heap was undecided.
    #[serde(default)]
    pub cohorts: serde_json::Value,
    /// The soak in which a collector runs often, where memory that it frees grew or was undecided.
    #[serde(default)]
    pub collected: serde_json::Value,
}

/// How many cycles.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Cycles {
    /// Those that were measured.
    pub completed: u64,
}

/// The measured process.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Worker {
    /// Its C library and its version; empty where it did not start.
    #[serde(default)]
    pub libc: String,
}

impl Worker {
    /// Its C library with its version. A process that did not start has none, and then glibc's truths hold.
    pub fn libc(&self) -> &str {
        if self.libc.is_empty() { "glibc" } else { &self.libc }
    }
}

/// One conclusion.
#[derive(Debug, Clone, Deserialize)]
pub struct Finding {
    /// Its code.
    pub code: String,
    /// What it does to the gate: `fail`, `undecided` or `note`.
    pub severity: String,
}

/// What was asked for, where it differs from the defaults.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Asked {
    /// What a cycle opened.
    pub mode: String,
    /// Which thread its cycles ran on.
    pub call_from: String,
    /// Number of threads.
    pub threads: u32,
}

impl Default for Asked {
    fn default() -> Self {
        Self { mode: "reopen".to_owned(), call_from: "main".to_owned(), threads: 1 }
    }
}

/// How a soak ended.
#[derive(Debug, Clone, Deserialize)]
pub struct Outcome {
    /// Kind of end.
    pub kind: String,
    /// Signal, by name.
    pub signal: Option<String>,
    /// Phase.
    pub phase: Option<String>,
    /// Cycle.
    pub cycle: Option<u64>,
    /// What brought it about.
    #[serde(default)]
    pub why: serde_json::Value,
    /// The memory fault.
    pub fault: Option<Fault>,
    /// Stacks of the threads.
    pub stacks: Option<Vec<Stack>>,
}

/// The stack of a thread.
#[derive(Debug, Clone, Deserialize)]
pub struct Stack {
    /// Its frames, innermost first.
    pub frames: Vec<Frame>,
}

/// A function on a stack.
#[derive(Debug, Clone, Deserialize)]
pub struct Frame {
    /// Its name.
    pub function: Option<String>,
}

/// A memory fault.
#[derive(Debug, Clone, Deserialize)]
pub struct Fault {
    /// What is at its address, or was.
    #[serde(default)]
    pub place: serde_json::Value,
}

/// Whether the library was unloaded.
#[derive(Debug, Clone, Deserialize)]
pub struct Unload {
    /// `unloaded`, `partial` or `pinned`.
    pub state: String,
    /// Objects loaded per cycle.
    pub loads_per_cycle: f64,
    /// Objects unloaded per cycle.
    pub unloads_per_cycle: f64,
    /// Objects that stayed.
    #[serde(default)]
    pub objects_left: Vec<String>,
    /// Why.
    #[serde(default)]
    pub causes: Vec<Cause>,
}

/// One cause for which an object stays.
#[derive(Debug, Clone, Deserialize)]
pub struct Cause {
    /// Its short name.
    pub kind: String,
}

/// Growth of one metric.
#[derive(Debug, Clone, Deserialize)]
pub struct Growth {
    /// What grew.
    pub metric: String,
    /// Growth per cycle.
    pub per_cycle: f64,
    /// Lower bound of the 95 % interval.
    pub low: f64,
    /// Upper bound of the 95 % interval.
    pub high: f64,
    /// Growth per real load, where it differs.
    pub per_load: Option<f64>,
    /// Whether it is a count and not an estimate.
    #[serde(default)]
    pub exact: bool,
}

/// Something that was left behind.
#[derive(Debug, Clone, Deserialize)]
pub struct Residue {
    /// Its kind.
    pub kind: String,
    /// How many per cycle, where it grows.
    pub per_cycle: Option<f64>,
}

/// The output directory of a run that is about to start: without the record of the last one, so that a run which
/// writes none is not judged by it.
pub fn fresh(directory: PathBuf) -> Result<PathBuf> {
    let old = directory.join("record.json");
    match std::fs::remove_file(&old) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", old.display()))
        }
        _ => Ok(directory),
    }
}

/// Whether a soak with this exit code left a record: 0 passed, 1 did not pass, 3 undecided. All else is a failure of the run.
pub fn is_left_by(code: Option<i32>) -> bool {
    matches!(code, Some(0 | 1 | 3))
}

/// Reads the record in an output directory of `dlsoak run`.
pub fn read(directory: &Path) -> Result<Run> {
    let path = directory.join("record.json");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut run: Run =
        serde_json::from_str(&text).with_context(|| format!("{} is not a record", path.display()))?;
    for soak in &mut run.soaks {
        soak.machine = Some(run.host.machine.clone());
    }
    Ok(run)
}
