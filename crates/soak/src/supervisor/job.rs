//! Writes what the measured process is told to do: a plan's cycle as steps, with all names and arguments as they are in memory and
//! in registers, so that nothing is left to parse.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use dlsoak_wire::channel::Phase;
use dlsoak_wire::job::{self, Kind, Step};

use super::sandbox::Confinement;
use super::staging::Exchange;
use crate::calls::{Against, Float, Made, Sequence, Word};
use crate::fault::SET_UP;
use crate::record::{CallFrom, Mode};
use crate::settings::{Call, ChaosKind, Comparison, Order, Reading};
use crate::suite::plan::{Purpose, SoakPlan};

/// The job that a plan makes for threads that open these files: first the files of the first thread, of each library one.
///
/// # Errors
/// In one line, when a name can't be told to a C program.
pub(super) fn job(
    plan: &SoakPlan,
    files: &[PathBuf],
    confinement: Option<&Confinement>,
    exchange: Option<&Exchange>,
    trace: bool,
) -> Result<Vec<u8>, String> {
    let mut names = Names::default();
    let libraries = plan.together.len() + 1;
    let paths = files.iter().map(|path| names.path(path)).collect::<Result<Vec<_>, _>>()?;
    let mut different = paths.clone();
    different.dedup();
    let linked = plan.linked.iter().map(|path| (path, true));
    let holds = plan.held.iter().map(|path| (path, false)).chain(linked);
    let holds = holds.map(|(path, is_linked)| Ok(names.path(path)? << 1 | u64::from(is_linked)));
    let holds = holds.collect::<Result<Vec<_>, String>>()?;
    let sequence = Sequence::new(&plan.setup, &plan.calls, &plan.after, &plan.prototypes)
        .map_err(|error| error.to_string())?;
    let setup = setup(plan, &sequence, &mut names)?;
    let cycle = cycle(plan, &sequence, exchange, &mut names)?;
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
        threads: (paths.len() / libraries) as u64,
        files: different.len() as u64,
        holds: holds.len() as u64,
        steps: (setup.len() + cycle.len()) as u64,
        setups: setup.len() as u64,
        slots: sequence.slots as u64,
        original: names.path(&plan.path)?,
        libraries: libraries as u64,
        seed: match plan.order {
            Order::Given => 0,
            Order::Shuffle { seed } => seed.get(),
        },
    };
    let words = head.to_words().into_iter().chain(paths).chain(different).chain(holds);
    let words = words.chain(setup.iter().chain(&cycle).flat_map(Step::to_words));
    let mut bytes: Vec<u8> = words.flat_map(u64::to_ne_bytes).collect();
    bytes.extend_from_slice(&names.0);
    Ok(bytes)
}

/// What is done once.
fn setup(plan: &SoakPlan, sequence: &Sequence, names: &mut Names) -> Result<Vec<Step>, String> {
    let step = |kind| Step::new(kind, Phase::Between as u64);
    let mut steps = Vec::new();
    let driver = plan.exercise.as_ref().filter(|_| plan.driver_sets_up || !plan.setup.is_empty());
    if let Some(exercise) = driver {
        steps.push(Step { name: names.path(&exercise.driver)?, ..step(Kind::Driver) });
    }
    for (call, made) in plan.setup.iter().zip(&sequence.setup) {
        let symbol = names.text(call.symbol.as_bytes())?;
        steps.push(Step { symbol, ..exchange(call, made, step(Kind::Prepare), names)? });
    }
    if let Some(exercise) = driver.filter(|_| plan.driver_sets_up) {
        let (name, target) = (names.path(&exercise.driver)?, names.text(SET_UP.as_bytes())?);
        steps.push(Step { name, target, ..step(Kind::SetUp) });
    }
    Ok(steps)
}

/// One cycle.
fn cycle(
    plan: &SoakPlan,
    sequence: &Sequence,
    replaced: Option<&Exchange>,
    names: &mut Names,
) -> Result<Vec<Step>, String> {
    let step = |kind, phase| Step::new(kind, phase as u64);
    let mut steps = Vec::new();
    if let Some(other) = replaced {
        steps.push(Step { name: names.path(&other.file)?, ..step(Kind::Replace, Phase::Between) });
    }
    steps.push(step(Kind::Open, Phase::Open));
    if let Some(other) = replaced {
        steps.push(Step { target: other.difference.at, ..step(Kind::Build, Phase::Open) });
    }
    let first = steps.len() as u64;
    for call in &plan.calls {
        steps.push(Step { name: names.text(call.symbol.as_bytes())?, ..step(Kind::Find, Phase::Symbol) });
    }
    for (found, (call, made)) in (first..).zip(plan.calls.iter().zip(&sequence.calls)) {
        steps.push(Step { target: found, ..exchange(call, made, step(Kind::Call, Phase::Call), names)? });
    }
    let is_share = matches!(plan.purpose, Purpose::Share { .. });
    if let Some(exercise) = plan.exercise.as_ref().filter(|_| !is_share) {
        let (name, target) = (names.path(&exercise.driver)?, names.text(exercise.symbol.as_bytes())?);
        steps.push(Step { name, target, ..step(Kind::Drive, Phase::Call) });
    }
    let is_looking = plan.purpose == Purpose::Pointers;
    if is_looking {
        steps.push(step(Kind::Note, Phase::Close));
    }
    steps.push(step(Kind::Close, Phase::Close));
    if is_looking {
        steps.push(Step {
            target: plan.cycles * (plan.together.len() as u64 + 1),
            ..step(Kind::Scan, Phase::Close)
        });
    }
    for (call, made) in plan.after.iter().zip(&sequence.after) {
        let symbol = names.text(call.symbol.as_bytes())?;
        steps.push(Step { symbol, ..exchange(call, made, step(Kind::After, Phase::After), names)? });
    }
    Ok(steps)
}

/// A step with a call's arguments, and what becomes of its result. A call without slots and without a check stays a plain one.
fn exchange(call: &Call, made: &Made, step: Step, names: &mut Names) -> Result<Step, String> {
    let mut calling = step;
    let slots = &mut calling.slots;
    for (at, (to, word)) in calling.ints.iter_mut().zip(&made.ints).enumerate() {
        *to = match word {
            Word::Number(number) => *number,
            Word::Text(text) => {
                calling.names |= 1 << at;
                names.add(text)
            }
            Word::Slot(slot) => {
                slots.values |= 1 << at;
                *slot as u64
            }
            Word::Address { slot, fresh } => {
                slots.addresses |= 1 << at;
                slots.fresh |= u8::from(*fresh) << at;
                *slot as u64
            }
        };
    }
    for (at, (to, float)) in calling.floats.iter_mut().zip(&made.floats).enumerate() {
        *to = match float {
            Float::Bits(bits) => *bits,
            Float::Slot(slot) => {
                slots.floats |= 1 << at;
                *slot as u64
            }
        };
    }
    calling.keeps = made.keeps.map_or(0, |slot| slot as u64 + 1);
    calling.read = made.reading.map_or(job::Read::U64, read);
    if let (Some(check), Some(against)) = (&call.check, made.against) {
        calling.comparison = comparison(check.comparison);
        calling.against = match against {
            Against::Bits(bits) => bits,
            Against::Slot(slot) => {
                slots.against = true;
                slot as u64
            }
        };
    }
    if call.check.is_some() || slots.addresses != 0 {
        let check = call.check.as_ref().map_or("", |check| &check.text);
        calling.name = names.text(format!("{}\n{check}", call.called()).as_bytes())?;
    }
    let uses_slots = *slots != job::Slots::default() || calling.keeps != 0;
    if calling.kind == Kind::Call && (uses_slots || call.check.is_some()) {
        calling.kind = Kind::Exchange;
    }
    Ok(calling)
}

fn read(reading: Reading) -> job::Read {
    match reading {
        Reading::Integer { bytes: 1, signed: false } => job::Read::U8,
        Reading::Integer { bytes: 1, signed: true } => job::Read::I8,
        Reading::Integer { bytes: 2, signed: false } => job::Read::U16,
        Reading::Integer { bytes: 2, signed: true } => job::Read::I16,
        Reading::Integer { bytes: 4, signed: false } => job::Read::U32,
        Reading::Integer { bytes: 4, signed: true } => job::Read::I32,
        Reading::Integer { signed: false, .. } => job::Read::U64,
        Reading::Integer { signed: true, .. } => job::Read::I64,
        Reading::Pointer => job::Read::Pointer,
        Reading::Float => job::Read::Float,
        Reading::Double => job::Read::Double,
    }
}

fn comparison(comparison: Comparison) -> job::Comparison {
    match comparison {
        Comparison::Equal => job::Comparison::Equal,
        Comparison::NotEqual => job::Comparison::NotEqual,
        Comparison::Less => job::Comparison::Less,
        Comparison::LessOrEqual => job::Comparison::LessOrEqual,
        Comparison::Greater => job::Comparison::Greater,
        Comparison::GreaterOrEqual => job::Comparison::GreaterOrEqual,
    }
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
