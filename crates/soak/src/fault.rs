//! Faults of the machine, and of what was asked for: a soak could not be made, which says nothing of the library.

use std::path::Path;

use crate::elf;
use crate::host;
use crate::record::{LoadCause, Measured, Why};
use crate::settings::Exercise;
use crate::settings::units::printable;
use crate::suite::plan::{Plan, SoakPlan};

/// Why a soak could not be made: what happened, to which file, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(String);

impl Fault {
    /// A fault in one line.
    pub fn new(problem: impl ToString) -> Self {
        Self(problem.to_string())
    }
}

/// Finds out before the first soak what can't work in any: a file that is not there, a `/proc` that is not mounted.
///
/// # Errors
/// The first fault.
pub fn check(plan: &Plan) -> Result<(), Fault> {
    if !Path::new("/proc/self/stat").exists() {
        return Err(Fault::new(
            "/proc is not mounted, and all figures come from there; mount it with `mount -t proc proc /proc`",
        ));
    }
    plan.soaks.iter().try_for_each(check_files)
}

fn check_files(plan: &SoakPlan) -> Result<(), Fault> {
    let there = |what: &str, path: &Path| match path.metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Fault(format!("{}: there is no such {what}; check the path", shown(path))))
        }
        // Whatever else is wrong with it, the loader says better.
        _ => Ok(()),
    };
    there("library", &plan.path)?;
    if plan.asked.hold.is_some() {
        host::resolve(plan)?;
    }
    let Some(Exercise { driver, symbol }) = &plan.exercise else { return Ok(()) };
    there("driver", driver)?;
    // What is no library is for the loader to refuse.
    let facts = elf::read_library(driver).ok().and_then(|bytes| elf::parse(&bytes).ok());
    match facts {
        Some(facts) if !facts.has_export(symbol) => {
            Err(Fault(format!("{}: the driver does not export `{symbol}`; check the name", shown(driver))))
        }
        _ => Ok(()),
    }
}

/// A path in one line.
fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// The fault in what was measured, where the soak could not begin for a reason that lies with the machine or the driver.
pub(crate) fn of(soak: &Measured) -> Option<Fault> {
    let Some(Why::LoadFailed(failure)) = &soak.outcome.why else { return None };
    matches!(
        failure.cause,
        LoadCause::ExerciseNotLoaded | LoadCause::SandboxRefused { .. } | LoadCause::SetupFailed { .. }
    )
    .then(|| Fault(dlsoak_report::words::outcome(&soak.outcome, 0).line()))
}
