//! Soaks from a program, such as a test, without the `dlsoak` binary.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use dlsoak_report::{json, terminal};

use crate::analysis::compare;
use crate::cdylib::{self, CdylibError};
use crate::conduct;
use crate::fault::{self, Fault};
use crate::files::write_atomic;
use crate::record::{self, Run, Verdict};
use crate::settings::{Field, Given, Settings};
use crate::suite::plan::{Plan, PlanError};
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
/// let soaked = dlsoak_soak::Soak::cdylib("plugin").cycles(10_000).call("f(3)").run()?;
/// soaked.assert_clean();
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a soak does nothing until `run`"]
pub struct Soak {
    library: Library,
    settings: Settings,
    baseline: Option<Run>,
    /// The first setting that could not be read.
    fault: Option<(&'static str, String)>,
}

/// The library to be soaked.
#[derive(Debug, Clone)]
enum Library {
    /// The one in this file.
    File(PathBuf),
    /// The one that cargo builds of this package.
    Cdylib(String),
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
    /// The cdylib could not be built.
    #[error(transparent)]
    Cdylib(#[from] CdylibError),
    /// The settings don't go together.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The machine, or a file that is not there, does not allow it.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The record could not be written.
    #[error("cannot write {path}: {problem}")]
    Record {
        /// The file.
        path: String,
        /// What the file system says.
        problem: String,
    },
}

/// The methods that give settings, one for each of the list.
macro_rules! methods {
    (
        soak { $($(#[doc = $doc:expr])* ($($arg:tt)*) ($($serde:tt)*) $name:ident: $type:ty;)* }
        gate { $($(#[doc = $gdoc:expr])* ($($garg:tt)*) ($($gserde:tt)*) $gname:ident: $gtype:ty;)* }
    ) => {
        impl Soak {
            $(
                $(#[doc = $doc])*
                pub fn $name(mut self, value: impl Given<<$type as Field>::One>) -> Self {
                    self.settings.$name = self.given(stringify!($name), value, |settings| settings.$name.take());
                    self
                }
            )*
            $(
                $(#[doc = $gdoc])*
                pub fn $gname(mut self, value: impl Given<<$gtype as Field>::One>) -> Self {
                    self.settings.$gname = self.given(stringify!($gname), value, |settings| settings.$gname.take());
                    self
                }
            )*
        }
    };
}

dlsoak_settings::each_setting!(methods);

impl Soak {
    /// A soak of the library at `path`.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self::of(Library::File(path.as_ref().to_owned()))
    }

    /// A soak of a cdylib of the workspace whose test this is, by the name of its package or of its `[lib]`. `run` has cargo build it first,
    /// with the package's default features, in the profile, for the target and into the target directory of the test.
    pub fn cdylib(name: impl Into<String>) -> Self {
        Self::of(Library::Cdylib(name.into()))
    }

    fn of(library: Library) -> Self {
        Self { library, settings: Settings::default(), baseline: None, fault: None }
    }

    /// Compares with this run, as `--baseline` does: `max_leak_increase` and `max_p99_increase` are limits on what changed since.
    pub fn baseline(mut self, run: &Run) -> Self {
        self.baseline = Some(run.clone());
        self
    }

    /// A field with one more value in it; as it was, where the value can't be read, and then why is kept.
    fn given<F: Field>(
        &mut self,
        setting: &'static str,
        value: impl Given<F::One>,
        field: impl FnOnce(&mut Settings) -> F,
    ) -> F {
        let field = field(&mut self.settings);
        match value.given() {
            Ok(value) => field.with(value),
            Err(problem) => {
                self.fault.get_or_insert((setting, problem));
                field
            }
        }
    }

    /// Runs the soak, as `dlsoak run` does.
    ///
    /// # Errors
    /// When a setting is wrong, a file is not there, or the machine lacks what a soak needs. A library that leaks, crashes or can't
    /// be loaded is no error.
    pub fn run(self) -> Result<Soaked, SoakError> {
        if let Some((setting, problem)) = self.fault {
            return Err(SoakError::Setting { setting, problem });
        }
        let path = match self.library {
            Library::File(path) => path,
            Library::Cdylib(name) => cdylib::build(&name)?,
        };
        let mut plan = Plan::from_paths(&[path], &self.settings)?;
        fault::check(&mut plan)?;
        let mut run = conduct::begin(jiff::Timestamp::now(), plan.soaks.first());
        let context = Context { interrupted: &AtomicBool::new(false), progress: &|_| {} };
        let mut soak = plan.soaks.first().ok_or(PlanError::NoLibrary)?.clone();
        soak.baseline = self.baseline.map(|run| compare::baseline_of(&run, &soak.name, &run.started_at));
        let soak = conduct::soak(&soak, &context)?;
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
        let written = json::render(&self.run, json::Lines::Rows)
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
            (Soak::new("a.so").threads(0), "threads: 0 is out of range"),
            (Soak::new("a.so").cycles(1).threads(2), "cycles: 1 cycles are too few"),
        ] {
            let error = soak.run().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error() {
        let error = Soak::new("no/such/lib.so").run().unwrap_err().to_string();
        assert_eq!(error, "no/such/lib.so: there is no such library; check the path");
        let error = Soak::new("/proc/self/exe").exercise("no/driver.so:f").run().unwrap_err().to_string();
        assert_eq!(error, "no/driver.so: there is no such driver; check the path");
    }
}
