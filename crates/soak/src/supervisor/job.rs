//! Writes what the measured process is told to do: a plan's cycle as steps, with all names and arguments as they are in memory and
//! in registers, so that nothing is left to parse.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use dlsoak_wire::channel::Phase;
use dlsoak_wire::job::{self, Kind, Step};

use super::sandbox::Confinement;
use crate::record::{CallFrom, Mode};
use crate::settings::{Call, ChaosKind, Int, Registers};
use crate::suite::plan::{Purpose, SoakPlan};

/// The job that a plan makes for threads that open these files.
///
/// # Errors
/// In one line, when a name can't be told to a C program.
pub(super) fn job(
    plan: &SoakPlan,
    files: &[PathBuf],
    confinement: Option<&Confinement>,
    trace: bool,
) -> Result<Vec<u8>, String> {
    let mut names = Names::default();
    let paths = files.iter().map(|path| names.path(path)).collect::<Result<Vec<_>, _>>()?;
    let mut different = paths.clone();
    different.dedup();
    let linked = plan.linked.iter().map(|path| (path, true));
    let holds = plan.held.iter().map(|path| (path, false)).chain(linked);
    let holds = holds.map(|(path, is_linked)| Ok(names.path(path)? << 1 | u64::from(is_linked)));
    let holds = holds.collect::<Result<Vec<_>, String>>()?;
    let steps = steps(plan, &mut names)?;
    let head = job::Job {
        mode: match plan.mode {
            Mode::Reopen => job::Mode::Reopen,
            Mode::Copies => job::Mode::Copies,
            Mode::Namespace => job::Mode::Namespace,
        },
        call_from: match plan.call_from {
            CallFrom::Main => job::CallFrom::Main,
            CallFrom::Worker => job::CallFrom::Worker,
            CallFrom::ShortLived => job::CallFrom::ShortLived,
        },
        flags: u64::from(plan.flags.bits().cast_unsigned()),
        trace: u64::from(trace),
        signals: signals(plan),
        ruleset: confinement.and_then(Confinement::ruleset).map_or(0, |fd| u64::from(fd.cast_unsigned()) + 1),
        own_proc: confinement.map_or(0, Confinement::own_proc),
        no_network: u64::from(confinement.is_some()),
        threads: paths.len() as u64,
        files: different.len() as u64,
        holds: holds.len() as u64,
        steps: steps.len() as u64,
        original: names.path(&plan.path)?,
    };
    let words = head.to_words().into_iter().chain(paths).chain(different).chain(holds);
    let words = words.chain(steps.iter().flat_map(Step::to_words));
    let mut bytes: Vec<u8> = words.flat_map(u64::to_ne_bytes).collect();
    bytes.extend_from_slice(&names.0);
    Ok(bytes)
}

/// One cycle.
fn steps(plan: &SoakPlan, names: &mut Names) -> Result<Vec<Step>, String> {
    let step = |kind, phase| Step::new(kind, phase as u64);
    let mut steps = vec![step(Kind::Open, Phase::Open)];
    for call in &plan.calls {
        steps.push(Step { name: names.text(call.symbol.as_bytes())?, ..step(Kind::Find, Phase::Symbol) });
    }
    for (found, call) in (1..).zip(&plan.calls) {
        steps.push(arguments(call, names, Step { target: found, ..step(Kind::Call, Phase::Call) }));
    }
    if let Some(exercise) = &plan.exercise {
        let (name, target) = (names.path(&exercise.driver)?, names.text(exercise.symbol.as_bytes())?);
        steps.push(Step { name, target, ..step(Kind::Drive, Phase::Call) });
    }
    let is_looking = plan.purpose == Purpose::Pointers;
    if is_looking {
        steps.push(step(Kind::Note, Phase::Close));
    }
    steps.push(step(Kind::Close, Phase::Close));
    if is_looking {
        steps.push(Step { target: plan.cycles, ..step(Kind::Scan, Phase::Close) });
    }
    for call in &plan.after {
        let mut calling = arguments(call, names, step(Kind::After, Phase::After));
        calling.name = names.text(call.symbol.as_bytes())?;
        steps.push(calling);
    }
    Ok(steps)
}

/// The step with the arguments of a call.
fn arguments(call: &Call, names: &mut Names, step: Step) -> Step {
    let Registers { ints, floats } = call.registers();
    let mut calling = Step { floats, ..step };
    for (bit, (to, int)) in calling.ints.iter_mut().zip(ints).enumerate() {
        *to = match int {
            Int::Number(number) => number,
            Int::Text(text) => {
                calling.names |= 1 << bit;
                names.add(&text)
            }
        };
    }
    calling
}

/// Signals that will be sent to the worker, as bits.
fn signals(plan: &SoakPlan) -> u64 {
    let bit = |chaos: &crate::settings::Chaos| match chaos.kind {
        ChaosKind::Signal(signal) => 1_u64 << (signal as i32 - 1),
        ChaosKind::Stop | ChaosKind::MemoryPressure | ChaosKind::ColdCache => 0,
    };
    plan.chaos.iter().map(bit).fold(0, |all, one| all | one)
}

/// Names, each ended by a NUL byte; a name is referred to by where it begins.
#[derive(Default)]
struct Names(Vec<u8>);

impl Names {
    fn add(&mut self, name: &CString) -> u64 {
        let at = self.0.len() as u64;
        self.0.extend_from_slice(name.as_bytes_with_nul());
        at
    }

    fn text(&mut self, name: &[u8]) -> Result<u64, String> {
        let name = CString::new(name)
            .map_err(|_| format!("{}: a name with a NUL byte", OsStr::from_bytes(name).display()))?;
        Ok(self.add(&name))
    }

    fn path(&mut self, path: &Path) -> Result<u64, String> {
        self.text(path.as_os_str().as_bytes())
    }
}
