//! Hot reload: the other build of a library, which replaces its file between two opens. What of it can't be used is said before anything
//! is soaked.

use std::path::PathBuf;

use crate::calls::{self, Sequence};
use crate::elf::{self, Difference, ExportKind, Facts};
use crate::fault::{Fault, shown};
use crate::settings::units::printable;
use crate::suite::plan::SoakPlan;
use crate::supervisor::same_file;

/// The other build.
#[derive(Debug)]
pub(crate) struct Other {
    /// Its file.
    pub(crate) path: PathBuf,
    facts: Facts,
    /// How it is distinguished from the library.
    pub(crate) difference: Difference,
}

impl Other {
    /// The other build that a plan asks for; `library` is what the library's file says.
    ///
    /// # Errors
    /// When it is no library, or the same build.
    pub(crate) fn of(plan: &SoakPlan, library: &Facts) -> Result<Option<Self>, Fault> {
        let Some(other) = &plan.replace else { return Ok(None) };
        let path = other.path().to_owned();
        let fault = |problem: String| Fault::new(format!("{}: {problem}", shown(&path)));
        if same_file(&plan.path, &path) {
            return Err(fault("this is the library itself; give --replace another build of it".to_owned()));
        }
        let bytes = elf::read_library(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                fault("there is no such library to replace it with; check the path".to_owned())
            }
            _ => fault(error.to_string()),
        })?;
        let facts =
            elf::parse(&bytes).map_err(|why| fault(dlsoak_report::inspection::unreadable(&why).fact))?;
        elf::check_loadable(&facts, elf::Host::CURRENT)
            .map_err(|problem| fault(dlsoak_report::inspection::problem(&problem).fact))?;
        if let Some(id) = facts.build_id.as_ref().filter(|id| library.build_id.as_ref() == Some(id)) {
            return Err(fault(format!(
                "this is the same build as the library, {id}; give --replace another one"
            )));
        }
        let library = elf::read_library(&plan.path)
            .map_err(|error| Fault::new(format!("{}: {error}", shown(&plan.path))))?;
        let difference = elf::difference(&library, &bytes).ok_or_else(|| {
            fault(
                "nothing in memory shows which of the two builds it is; link both with -Wl,--build-id"
                    .to_owned(),
            )
        })?;
        Ok(Some(Self { path, facts, difference }))
    }

    /// Whether it has the functions that are called, with prototypes that allow the calls.
    fn check_calls(&self, plan: &SoakPlan) -> Result<(), Fault> {
        let fault = |problem: String| Fault::new(format!("{}: {}", shown(&self.path), printable(&problem)));
        let symbols: Vec<&str> = plan.calls.iter().map(|call| call.symbol.as_str()).collect();
        for (call, symbol) in plan.calls.iter().zip(&symbols) {
            let problem = match self.facts.export(symbol) {
                Some(ExportKind::Data) => "is data in this build, not a function",
                None => "is not exported by this build",
                Some(_) => continue,
            };
            return Err(fault(format!("`{}` {problem}, so it can't be called in each cycle", call.called())));
        }
        let prototypes = elf::prototypes::prototypes(&self.path, &symbols).unwrap_or_default();
        let sequence = Sequence::new(&plan.setup, &plan.calls, &plan.after, &prototypes);
        sequence.map(drop).map_err(|error: calls::Mismatch| fault(error.to_string()))
    }
}

/// Finds out before the first soak whether the other build of a plan can be used. A library that can't be read is for its soak to report.
///
/// # Errors
/// What is wrong with the other build.
pub(crate) fn check(plan: &SoakPlan) -> Result<(), Fault> {
    let Some(facts) = plan.replace.as_ref().and_then(|_| elf::facts_of(&plan.path)) else { return Ok(()) };
    let other = Other::of(plan, &facts)?;
    other.map_or(Ok(()), |other| other.check_calls(plan))
}
