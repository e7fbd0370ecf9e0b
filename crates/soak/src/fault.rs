//! Faults of the machine, and of what was asked for: a soak could not be made, which says nothing of the library.

use std::path::Path;

use crate::calls::{self, Prototypes, Sequence};
use crate::elf;
use crate::host;
use crate::record::{LoadCause, Measured, Why};
use crate::replace;
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

/// Finds out before the first soak what can't work in any: a file that is not there, a `/proc` that is not mounted, a call that the
/// function's prototype does not allow. Adds to the plan what the files say of its calls.
///
/// # Errors
/// The first fault.
pub fn check(plan: &mut Plan) -> Result<(), Fault> {
    if !Path::new("/proc/self/stat").exists() {
        return Err(Fault::new(
            "/proc is not mounted, and all figures come from there; mount it with `mount -t proc proc /proc`",
        ));
    }
    plan.soaks.iter_mut().try_for_each(|soak| {
        check_files(soak)?;
        check_calls(soak)?;
        replace::check(soak)
    })
}

fn check_files(plan: &mut SoakPlan) -> Result<(), Fault> {
    let there = |what: &str, path: &Path| match path.metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Fault(format!("{}: there is no such {what}; check the path", shown(path))))
        }
        // Whatever else is wrong with it, the loader says better.
        _ => Ok(()),
    };
    there("library", &plan.path)?;
    if plan.host.is_some() || plan.asked.hold.is_some() {
        host::resolve(plan)?;
    }
    let Some(Exercise { driver, symbol }) = &plan.exercise else { return Ok(()) };
    there("driver", driver)?;
    // What is no library is for the loader to refuse.
    let facts = elf::facts_of(driver);
    match facts {
        Some(facts) if !facts.has_export(symbol) => {
            Err(Fault(format!("{}: the driver does not export `{symbol}`; check the name", shown(driver))))
        }
        facts => {
            plan.driver_sets_up = facts.is_some_and(|facts| facts.has_export(SET_UP));
            Ok(())
        }
    }
}

/// The function of a driver that is called once, before the first cycle: `int setup(void)`.
pub(crate) const SET_UP: &str = "setup";

/// Finds the functions of C++ names, and compares all calls with the prototypes of their functions.
fn check_calls(plan: &mut SoakPlan) -> Result<(), Fault> {
    // What is no library is for the loader to refuse.
    let facts = (!plan.calls.is_empty()).then(|| elf::facts_of(&plan.path)).flatten();
    let fault =
        |error: calls::Mismatch| Fault(format!("{}: {}", shown(&plan.path), printable(&error.to_string())));
    let mut calls = plan.calls.clone();
    let mut prototypes = Prototypes::new();
    if let Some(facts) = &facts {
        let meant = calls.iter().flat_map(|call| calls::candidates(call, facts)).map(|one| one.symbol);
        let symbols: Vec<&str> = calls.iter().map(|call| call.symbol.as_str()).chain(meant).collect();
        prototypes = elf::prototypes::prototypes(&plan.path, &symbols).unwrap_or_default();
        let found: Result<Vec<String>, _> =
            calls.iter().map(|call| calls::symbol(call, facts, &prototypes)).collect();
        for (call, symbol) in calls.iter_mut().zip(found.map_err(fault)?) {
            call.symbol = symbol;
        }
    }
    Sequence::new(&plan.setup, &calls, &plan.after, &prototypes).map_err(fault)?;
    (plan.calls, plan.prototypes) = (calls, prototypes);
    Ok(())
}

/// A path in one line.
pub(crate) fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// The fault in what was measured, where the soak could not begin for a reason that lies with the machine or the driver.
pub(crate) fn of(soak: &Measured) -> Option<Fault> {
    let Some(Why::LoadFailed(failure)) = &soak.outcome.why else { return None };
    matches!(
        failure.cause,
        LoadCause::ExerciseNotLoaded
            | LoadCause::SandboxRefused { .. }
            | LoadCause::SetupFailed { .. }
            | LoadCause::SetupNotFound { .. }
            | LoadCause::OutTooSmall { .. }
    )
    .then(|| Fault(dlsoak_report::words::outcome(&soak.outcome, 0).line()))
}
