//! Faults of the machine, and of what was asked for: a soak could not be made, which says nothing of the library.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;

use crate::calls::{self, Prototypes, Sequence};
use crate::elf;
use crate::host;
use crate::record::{LoadCause, Measured, Why};
use crate::replace;
use crate::settings::units::printable;
use crate::settings::{Call, Exercise};
use crate::suite::plan::{Plan, SoakPlan};
use crate::supervisor::same_file;

/// Why a soak could not be made: what happened, to which file, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct Fault {
    problem: String,
    is_of_library: bool,
}

impl Fault {
    /// A fault in one line.
    pub fn new(problem: impl ToString) -> Self {
        Self { problem: problem.to_string(), is_of_library: false }
    }

    /// The same where the host that was asked for can't serve this library, as it may serve others.
    pub fn of_library(problem: impl ToString) -> Self {
        Self { is_of_library: true, ..Self::new(problem) }
    }

    /// Whether soaks of other libraries can be made all the same.
    pub fn is_of_library(&self) -> bool {
        self.is_of_library
    }
}

/// Finds out before the first soak what can't work in any: a file that is not there, a `/proc` that is not mounted, a call that the
/// function's prototype does not allow. Adds to the plan what the files say of its calls.
///
/// # Errors
/// The first fault; of several soaks, the first that is not of one library alone.
pub fn check(plan: &mut Plan) -> Result<(), Fault> {
    if !Path::new("/proc/self/stat").exists() {
        return Err(Fault::new(
            "/proc is not mounted, and all figures come from there; mount it with `mount -t proc proc /proc`",
        ));
    }
    let several = plan.soaks.len() > 1;
    plan.soaks.iter_mut().try_for_each(|soak| {
        let checked = check_files(soak).and_then(|()| check_calls(soak)).and_then(|()| replace::check(soak));
        // It is refused when its turn comes, and the others are soaked.
        checked.or_else(|fault| if several && fault.is_of_library { Ok(()) } else { Err(fault) })
    })
}

/// The fault of a file that is not there, and which one may be meant; `None` for others, of which the loader says better what is wrong.
pub fn missing(what: &str, path: &Path) -> Option<Fault> {
    let error = path.metadata().err()?;
    if error.kind() != std::io::ErrorKind::NotFound {
        return None;
    }
    let name = path.to_str().filter(|name| !name.contains('/'));
    let problem = if let Ok(target) = path.read_link() {
        format!("this link leads to {}, which is not there", shown(&target))
    } else if let Some(found) = name.and_then(|name| elf::Search::of_this_machine().by_name(name)) {
        let found = shown(&found.path);
        format!("there is no such file here; the loader would take {found}, so name that path")
    } else {
        format!("there is no such {what}; check the path")
    };
    Some(Fault::new(format!("{}: {problem}", shown(path))))
}

fn check_files(plan: &mut SoakPlan) -> Result<(), Fault> {
    let there = |what: &str, path: &Path| missing(what, path).map_or(Ok(()), Err);
    for path in plan.libraries() {
        there("library", path)?;
    }
    check_together(plan)?;
    if plan.host.is_some() || plan.asked.hold.is_some() || plan.asked.r#as.is_some() {
        host::resolve(plan)?;
    } else {
        host::c_library(plan)?;
    }
    let Some(Exercise { driver, symbol }) = &plan.exercise else { return Ok(()) };
    there("driver", driver)?;
    // What is no library is for the loader to refuse.
    let facts = elf::facts_of(driver);
    match facts {
        Some(facts) if !facts.has_export(symbol) => Err(Fault::new(format!(
            "{}: the driver does not export `{symbol}`; check the name",
            shown(driver)
        ))),
        facts => {
            plan.driver_sets_up = facts.is_some_and(|facts| facts.has_export(SET_UP));
            Ok(())
        }
    }
}

/// Whether several libraries can be distinguished in one process: the loader takes two of one name for the same.
fn check_together(plan: &SoakPlan) -> Result<(), Fault> {
    if plan.together.is_empty() {
        return Ok(());
    }
    let mut names: HashMap<OsString, &Path> = HashMap::new();
    let libraries: Vec<&Path> = plan.libraries().collect();
    for (index, path) in libraries.iter().copied().enumerate() {
        if path.is_dir() {
            return Err(Fault::new(format!(
                "{}: this is a directory; name the libraries in it",
                shown(path)
            )));
        }
        if let Some(other) = libraries[..index].iter().find(|other| same_file(other, path)) {
            return Err(Fault::new(format!(
                "{} and {} are one file; name each library once",
                shown(other),
                shown(path)
            )));
        }
        // A link to a library has a name of its own, and the library has that of its file.
        let soname = elf::facts_of(path).and_then(|facts| facts.soname).map(OsString::from);
        let own = path.file_name().map(OsString::from);
        for name in own.into_iter().chain(soname) {
            match names.insert(name.clone(), path) {
                Some(other) if other != path => {
                    let name = printable(&name.to_string_lossy());
                    return Err(Fault::new(format!(
                        "{} and {} are both called {name}, so the loader takes one for the other; soak them one by one",
                        shown(other),
                        shown(path),
                    )));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// The function of a driver that is called once, before the first cycle: `int setup(void)`.
pub(crate) const SET_UP: &str = "setup";

/// Finds the functions of C++ names, and compares all calls with the prototypes of their functions.
fn check_calls(plan: &mut SoakPlan) -> Result<(), Fault> {
    let (calls, prototypes) = calls_of(plan, &plan.path)?;
    for path in plan.libraries().filter(|_| !plan.together.is_empty()) {
        // Each library has each function, and under the same name.
        let (others, _) = calls_of(plan, path)?;
        let facts = elf::facts_of(path);
        for (call, other) in calls.iter().zip(others) {
            if call.symbol != other.symbol
                || facts.as_ref().is_some_and(|facts| !facts.has_export(&call.symbol))
            {
                return Err(Fault::new(format!(
                    "{}: the library does not export `{}`, and with together each call is made in each library",
                    shown(path),
                    printable(&call.symbol)
                )));
            }
        }
    }
    (plan.calls, plan.prototypes) = (calls, prototypes);
    Ok(())
}

/// The calls of a plan as they are made in one library, and the prototypes of its functions.
fn calls_of(plan: &SoakPlan, path: &Path) -> Result<(Vec<Call>, Prototypes), Fault> {
    // What is no library is for the loader to refuse.
    let facts = (!plan.calls.is_empty()).then(|| elf::facts_of(path)).flatten();
    let fault =
        |error: calls::Mismatch| Fault::new(format!("{}: {}", shown(path), printable(&error.to_string())));
    let mut calls = plan.calls.clone();
    let mut prototypes = Prototypes::new();
    if let Some(facts) = &facts {
        let meant = calls.iter().flat_map(|call| calls::candidates(call, facts)).map(|one| one.symbol);
        let symbols: Vec<&str> = calls.iter().map(|call| call.symbol.as_str()).chain(meant).collect();
        prototypes = elf::prototypes::prototypes(path, &symbols).unwrap_or_default();
        let found: Result<Vec<String>, _> =
            calls.iter().map(|call| calls::symbol(call, facts, &prototypes)).collect();
        for (call, symbol) in calls.iter_mut().zip(found.map_err(fault)?) {
            call.symbol = symbol;
        }
    }
    Sequence::new(&plan.setup, &calls, &plan.after, &prototypes).map_err(fault)?;
    Ok((calls, prototypes))
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
    .then(|| Fault::new(dlsoak_report::words::outcome(&soak.outcome, 0).line()))
}
