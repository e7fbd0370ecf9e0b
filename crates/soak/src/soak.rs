//! Soaks from a program, such as a test, without the `dlsoak` binary.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use dlsoak_report::{json, terminal};

use crate::conduct;
use crate::files::write_atomic;
use crate::record::{self, CallFrom, Mode, Run, Verdict};
use crate::settings::ResidueKind as Kind;
use crate::suite::chaos::Chaos;
use crate::suite::plan::{Plan, PlanError};
use crate::suite::settings::Settings;
use crate::supervisor::Context;

/// Columns of a report in a test's output.
const WIDTH: u16 = 110;

/// A soak to be run: the library, and what to do with it. What is not said is as on the command line.
///
/// Loading a library executes its code: soak only what you would run. It is loaded by a process of its own, a plain C host, and
/// not by the program that soaks. `docs/library.md` tells what a test should know.
///
/// ```no_run
/// # fn main() -> Result<(), dlsoak_soak::SoakError> {
/// let soaked = dlsoak_soak::Soak::new("target/libplugin.so").cycles(10_000).call("f(3)").run()?;
/// soaked.assert_clean();
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a soak does nothing until `run`"]
pub struct Soak {
    path: PathBuf,
    settings: Settings,
    /// The first setting that could not be read.
    fault: Option<(&'static str, String)>,
}

/// Why a soak could not be run. What a library does in a soak is never an error: it is in the record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SoakError {
    /// A setting could not be read.
    #[error("{setting}: {problem}")]
    Setting {
        /// The setting, as the method is called.
        setting: &'static str,
        /// What is wrong and what to write.
        problem: String,
    },
    /// The settings don't go together.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The record could not be written.
    #[error("cannot write {path}: {problem}")]
    Record {
        /// The file.
        path: String,
        /// What the file system says.
        problem: String,
    },
}

/// Methods that take their value as it is.
macro_rules! plain {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)*) => {$(
        $(#[$doc])*
        pub fn $name(mut self, $name: $type) -> Self {
            self.settings.$name = Some($name);
            self
        }
    )*};
}

/// Methods that take text, as the flag of the same name does.
macro_rules! parsed {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        pub fn $name(mut self, $name: &str) -> Self {
            self.settings.$name = self.read(stringify!($name), $name);
            self
        }
    )*};
}

impl Soak {
    /// A soak of the library at `path`.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_owned(), settings: Settings::default(), fault: None }
    }

    plain! {
        /// Cycles, all threads together, warm-up not included \[100,000\].
        cycles: u64;
        /// Ends the soak after this time, even if cycles are left.
        duration: Duration;
        /// Cycles before the measurement \[500, at most the cycles\].
        warmup: u64;
        /// Threads that cycle at the same time \[1\].
        threads: u32;
        /// Whether all threads open the one path, instead of a copy each.
        share_path: bool;
        /// What a cycle opens.
        mode: Mode;
        /// Which thread a cycle runs on.
        call_from: CallFrom;
        /// Checkpoints over the run \[one per 8 cycles, at least 125, at most 200\].
        checkpoints: u32;
        /// Whether to stop as soon as the verdict is certain, and to go on while it is not.
        until_decided: bool;
        /// Most cycles with [`Soak::until_decided`] \[8 times the cycles\].
        max_cycles: u64;
        /// Time without a finished cycle after which the worker counts as hung \[10 s\].
        stall_timeout: Duration;
        /// Wall time after which the soak ends as one that hit a limit.
        timeout: Duration;
        /// Resident memory of the worker in bytes above which the soak ends.
        memory_limit: u64;
        /// Whether the worker is kept from writing files and from the network (`docs/security.md`).
        sandbox: bool;
        /// Open descriptors of the worker above which the soak ends.
        fd_limit: u64;
        /// Threads of the worker and processes that descend from it above which the soak ends.
        process_limit: u64;
        /// Bytes written to standard output and standard error, or to any one file, above which the soak ends.
        output_limit: u64;
    }

    parsed! {
        /// The caller's own code for one cycle: `driver.so:function`, `int function(void *handle)`.
        exercise;
        /// Flags for `dlopen`, such as `lazy,global`.
        flags;
        /// Most growth of memory that passes, such as `16B/cycle`.
        max_leak_rate;
        /// Most growth of counts that passes, such as `fds=0`.
        max_growth;
    }

    /// A call to make in each cycle, such as `fibonacci(20)`; may be said several times.
    pub fn call(mut self, call: &str) -> Self {
        let call = self.read("call", call);
        self.settings.call.get_or_insert_default().extend(call);
        self
    }

    /// An environment variable for the worker.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.settings.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A library that is not unloaded passes all the same, for this reason.
    pub fn allow_pinned(mut self, reason: &str) -> Self {
        self.settings.allow_pinned = Some(reason.to_owned());
        self
    }

    /// A kind of residue that passes.
    pub fn allow_residue(mut self, kind: Kind) -> Self {
        self.settings.allow_residue.get_or_insert_default().push(kind);
        self
    }

    /// Reads a setting, or keeps why it can't be read.
    fn read<T: FromStr<Err: fmt::Display>>(&mut self, setting: &'static str, text: &str) -> Option<T> {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault.get_or_insert((setting, format!("`{text}`: {error}")));
                None
            }
        }
    }

    /// Something to disturb the worker with, such as `signal:SIGUSR1@100Hz`; may be said several times.
    pub fn chaos(mut self, chaos: &str) -> Self {
        let chaos = self.read::<Chaos>("chaos", chaos);
        self.settings.chaos.get_or_insert_default().extend(chaos);
        self
    }

    /// Runs the soak, as `dlsoak run` does.
    ///
    /// # Errors
    /// When a setting is wrong. A library that leaks, crashes or can't be
    /// loaded is no error.
    pub fn run(self) -> Result<Soaked, SoakError> {
        if let Some((setting, problem)) = self.fault {
            return Err(SoakError::Setting { setting, problem });
        }
        let plan = Plan::from_paths(&[self.path], &self.settings)?;
        let mut run = conduct::begin(jiff::Timestamp::now());
        let context = Context { interrupted: &AtomicBool::new(false), progress: &|_| {} };
        let soak = plan.soaks.first().ok_or(PlanError::NoLibrary)?;
        let soak = conduct::soak(soak, &context);
        run.passed = soak.judged.gate.passed == Some(true);
        run.soaks.push(soak.clone());
        Ok(Soaked { run, soak })
    }
}

/// A soak that was run: its record, and what a test asks of it. Shown as the table and the reasons that `dlsoak run`
/// prints.
#[derive(Debug, Clone)]
pub struct Soaked {
    run: Run,
    soak: record::Soak,
}

impl Soaked {
    /// The record of the run, with the one soak in it.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The record of the soak.
    pub fn soak(&self) -> &record::Soak {
        &self.soak
    }

    /// The verdict.
    pub fn verdict(&self) -> Verdict {
        self.soak.judged.verdict
    }

    /// What the gate made of it: passed, failed, or `None` for undecided.
    pub fn passed(&self) -> Option<bool> {
        self.soak.judged.gate.passed
    }

    /// Fails the test unless the library was unloaded in every cycle and left nothing behind, and that is certain.
    ///
    /// # Panics
    /// With the table and the reasons where the verdict is any but `clean`.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(self.soak.judged.verdict == Verdict::Clean, "{} is not clean\n{self}", self.soak.path);
    }

    /// Fails the test unless the soak passes what it is held against: limits, and what is allowed.
    ///
    /// # Panics
    /// With the table and the reasons where the gate failed or is undecided.
    #[track_caller]
    pub fn assert_passed(&self) {
        assert!(self.soak.judged.gate.passed == Some(true), "{} does not pass\n{self}", self.soak.path);
    }

    /// Writes the record, whole or not at all, to `record.json` in a directory that exists. `dlsoak report` makes pages and charts
    /// of it.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write(&self, directory: &Path) -> Result<PathBuf, SoakError> {
        let path = directory.join("record.json");
        let written = json::render(&self.run)
            .map_err(|error| error.to_string())
            .and_then(|contents| write_atomic(&path, &contents).map_err(|error| error.to_string()));
        match written {
            Ok(()) => Ok(path),
            Err(problem) => Err(SoakError::Record { path: path.display().to_string(), problem }),
        }
    }
}

impl fmt::Display for Soaked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&terminal::render(&self.run, WIDTH, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_named_and_nothing_runs() {
        for (soak, part) in [
            (Soak::new("a.so").call("f(").call("g("), "call: `f(`"),
            (Soak::new("a.so").flags("now,lazy"), "flags: `now,lazy`"),
            (Soak::new("a.so").max_leak_rate("3"), "max_leak_rate: `3`"),
            (Soak::new("a.so").chaos("stop@0Hz"), "chaos: `stop@0Hz`"),
            (Soak::new("a.so").threads(0), "threads: at least one"),
            (Soak::new("a.so").cycles(1).threads(2), "cycles: 1 cycles are too few"),
        ] {
            let error = soak.run().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_library_that_is_not_there_is_a_verdict() {
        let soaked = Soak::new("no/such/lib.so").run().unwrap();
        assert_eq!((soaked.verdict(), soaked.passed()), (Verdict::LoadFailed, Some(false)));
        assert!(soaked.to_string().contains("no/such/lib.so"));
    }
}
