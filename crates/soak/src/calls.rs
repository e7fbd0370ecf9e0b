//! Calls, made ready for registers: which function a name of C++ stands for, whether a call fits the function's prototype, and which
//! arguments are slots. Found out before the soak, so that a call that can't be meant is one line and nothing is soaked.

use std::collections::{BTreeMap, HashMap};
use std::ffi::CString;

use thiserror::Error;

use crate::elf::prototypes::{Floating, Kind, Prototype, Target, Type};
use crate::elf::{Facts, Overload, overloads};
use crate::settings::{Arg, Call, Check, MAX_FLOATS, MAX_INTEGERS, Reading};

/// Prototypes of functions, by their symbols.
pub type Prototypes = BTreeMap<String, Prototype>;

/// A call that can't be made, with its place.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{call}`: column {column}: {problem}")]
pub struct Mismatch {
    call: String,
    column: usize,
    problem: String,
}

/// What an integer register holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// A number.
    Number(u64),
    /// The address of a C string.
    Text(CString),
    /// What is in the slot of this number.
    Slot(usize),
    /// The address of a slot.
    Address {
        /// Its number.
        slot: usize,
        /// Whether the slot is 0 before the call.
        fresh: bool,
    },
}

/// What a floating-point register holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Float {
    /// These bits.
    Bits(u64),
    /// What is in the slot of this number.
    Slot(usize),
}

/// A call with its arguments in registers: System V x86-64 and AAPCS64 fill integer and floating-point registers each in order of
/// appearance.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// At most [`MAX_INTEGERS`].
    pub ints: Vec<Word>,
    /// At most [`MAX_FLOATS`].
    pub floats: Vec<Float>,
    /// The slot that keeps the result.
    pub keeps: Option<usize>,
    /// How the result is read, where it is kept or checked.
    pub reading: Option<Reading>,
    /// What it is compared with.
    pub against: Option<Against>,
}

/// What a result is compared with, in a register of the kind that the result is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// These bits.
    Bits(u64),
    /// What is in the slot of this number.
    Slot(usize),
}

/// All calls of a soak.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sequence {
    /// Those of the set-up.
    pub setup: Vec<Made>,
    /// Those of a cycle.
    pub calls: Vec<Made>,
    /// Those after the close.
    pub after: Vec<Made>,
    /// Number of slots.
    pub slots: usize,
}

/// A name that is set.
struct Slot {
    number: usize,
    /// How it is read; `None` where only its register is known: an integer's.
    reading: Option<Reading>,
}

impl Sequence {
    /// Makes calls ready whose names were checked before.
    ///
    /// # Errors
    /// [`Mismatch`] for the first call that does not fit.
    pub fn new(
        setup: &[Call],
        calls: &[Call],
        after: &[Call],
        prototypes: &Prototypes,
    ) -> Result<Self, Mismatch> {
        let mut names = HashMap::new();
        // What a set-up calls is not of the library, and so is what is called after the close.
        let none = Prototypes::new();
        let setup = setup.iter().map(|call| made(call, &none, &mut names)).collect::<Result<_, _>>()?;
        let calls = calls.iter().map(|call| made(call, prototypes, &mut names)).collect::<Result<_, _>>()?;
        let after = after.iter().map(|call| made(call, &none, &mut names)).collect::<Result<_, _>>()?;
        Ok(Self { setup, calls, after, slots: names.len() })
    }
}

fn made<'c>(
    call: &'c Call,
    prototypes: &Prototypes,
    names: &mut HashMap<&'c str, Slot>,
) -> Result<Made, Mismatch> {
    let prototype = prototypes.get(&call.symbol);
    let mut made = Made { ints: Vec::new(), floats: Vec::new(), keeps: None, reading: None, against: None };
    let site = Site { call, prototype };
    if let Some(prototype) = prototype {
        site.count(prototype)?;
        site.returned(prototype)?;
    }
    for (at, arg) in call.args.iter().enumerate() {
        let column = call.columns.get(at).copied().unwrap_or(1);
        let parameter = prototype.and_then(|prototype| prototype.parameters.as_ref()?.get(at));
        let is_further = prototype.is_some_and(|one| one.variadic) && parameter.is_none();
        let reading = match arg {
            Arg::Result(name) => names.get(name.text.as_str()).and_then(|slot| slot.reading),
            _ => None,
        };
        if let Some(parameter) = parameter {
            site.fits(arg, reading, parameter, at).map_err(|problem| site.error(column, problem))?;
        } else if is_further && (matches!(arg, Arg::Float(_)) || reading == Some(Reading::Float)) {
            return Err(
                site.error(column, format!("{} takes a double there; write 1.5 and not 1.5f", site.named()))
            );
        }
        match arg {
            Arg::Int(value) => made.ints.push(Word::Number(value.cast_unsigned())),
            Arg::Unsigned(value) => made.ints.push(Word::Number(*value)),
            Arg::Null => made.ints.push(Word::Number(0)),
            Arg::Text(text) => made.ints.push(Word::Text(text.clone())),
            Arg::Double(value) => made.floats.push(Float::Bits(value.to_bits())),
            // A C `float` is the low half of the register.
            Arg::Float(value) => made.floats.push(Float::Bits(u64::from(value.to_bits()))),
            Arg::Result(name) => {
                let slot = names.get(name.text.as_str()).map_or(0, |slot| slot.number);
                match reading {
                    Some(reading) if reading.is_floating() => made.floats.push(Float::Slot(slot)),
                    _ => made.ints.push(Word::Slot(slot)),
                }
            }
            Arg::Out(name) => {
                let (number, fresh) = (names.len(), !names.contains_key(name.text.as_str()));
                let slot = names.entry(&name.text).or_insert(Slot { number, reading: written(parameter) });
                made.ints.push(Word::Address { slot: slot.number, fresh });
            }
        }
        if made.ints.len() > MAX_INTEGERS || made.floats.len() > MAX_FLOATS {
            let problem = format!("a call takes at most {MAX_INTEGERS} integers and {MAX_FLOATS} floats");
            return Err(site.error(column, problem));
        }
    }
    let returns = prototype.and_then(|prototype| reading_of(&prototype.returns));
    if let Some(keeps) = &call.keeps {
        if let (Some(declared), Some(returns)) = (keeps.declared, returns)
            && declared != returns
        {
            let returns = prototype.map_or("", |prototype| &prototype.returns.name);
            let problem = format!("{} returns {returns}; remove the type before the name", site.named());
            return Err(site.error(keeps.name.column, problem));
        }
        let reading = returns.or(keeps.declared);
        let number = names.len();
        names.insert(&keeps.name.text, Slot { number, reading });
        made.keeps = Some(number);
        made.reading = reading;
    }
    if let Some(check) = &call.check {
        let (reading, against) = site.compared(check, returns.or(made.reading), names)?;
        made.reading = Some(reading);
        made.against = Some(against);
    }
    Ok(made)
}

/// What an out-parameter is read as.
fn written(parameter: Option<&Type>) -> Option<Reading> {
    match parameter?.kind {
        Kind::Pointer(Target::Value { floating: Some(Floating::Float) }) => Some(Reading::Float),
        Kind::Pointer(Target::Value { floating: Some(Floating::Double) }) => Some(Reading::Double),
        _ => None,
    }
}

/// How a result of this type is read.
fn reading_of(returns: &Type) -> Option<Reading> {
    match returns.kind {
        Kind::Integer { bytes, signed } => Some(Reading::Integer { bytes, signed }),
        Kind::Pointer(_) => Some(Reading::Pointer),
        Kind::Float => Some(Reading::Float),
        Kind::Double => Some(Reading::Double),
        Kind::Void | Kind::Whole { .. } | Kind::Unknown => None,
    }
}

/// A call and what is known of its function.
struct Site<'a> {
    call: &'a Call,
    prototype: Option<&'a Prototype>,
}

impl Site<'_> {
    fn error(&self, column: usize, problem: String) -> Mismatch {
        Mismatch { call: self.call.text.clone(), column, problem }
    }

    /// `go() at f.c:3`.
    fn named(&self) -> String {
        let called = self.call.called();
        let name = called.split('(').next().unwrap_or(called).trim();
        match self.prototype.and_then(|prototype| prototype.place.as_ref()) {
            Some((file, line)) => format!("{name}() at {file}:{line}"),
            None => format!("{name}()"),
        }
    }

    /// As many arguments as there are parameters.
    fn count(&self, prototype: &Prototype) -> Result<(), Mismatch> {
        let Some(parameters) = &prototype.parameters else { return Ok(()) };
        let (given, taken) = (self.call.args.len(), parameters.len());
        if given == taken || given > taken && prototype.variadic {
            return Ok(());
        }
        let arguments =
            |count: usize| if count == 1 { "1 argument".to_owned() } else { format!("{count} arguments") };
        let least = if prototype.variadic { "at least " } else { "" };
        let column = self.call.columns.get(taken.min(given.saturating_sub(1))).copied().unwrap_or(1);
        let (given, taken) = (arguments(given), arguments(taken));
        Err(self.error(column, format!("the call has {given}, and {} takes {least}{taken}", self.named())))
    }

    /// A result that fits into a register, or that nobody asks for.
    fn returned(&self, prototype: &Prototype) -> Result<(), Mismatch> {
        let asked = self.call.keeps.as_ref().map(|keeps| (keeps.name.column, "keep"));
        let checked = self.call.check.as_ref().map(|check| (check.column, "check"));
        let asked = asked.or(checked);
        match (&prototype.returns.kind, asked) {
            (Kind::Void, Some((column, verb))) => {
                let problem =
                    format!("{} returns nothing (void), so there is no result to {verb}", self.named());
                Err(self.error(column, problem))
            }
            (Kind::Whole { bytes, class }, asked) => {
                let is_small = bytes.is_some_and(|bytes| bytes <= 16) && !class;
                match asked {
                    None if is_small => Ok(()),
                    asked => {
                        let what = &prototype.returns.name;
                        let problem = format!("{} returns {what}, which {DRIVER}", self.named());
                        Err(self.error(asked.map_or(1, |(column, _)| column), problem))
                    }
                }
            }
            _ => Ok(()),
        }
    }

    /// What is wrong with an argument for this parameter.
    fn fits(&self, arg: &Arg, reading: Option<Reading>, parameter: &Type, at: usize) -> Result<(), String> {
        let what = match (arg, reading) {
            (Arg::Out(_), _) => "an address",
            (Arg::Text(_), _) => "a string",
            (Arg::Null, _) | (Arg::Result(_), Some(Reading::Pointer)) => "a pointer",
            (Arg::Double(_), _) | (Arg::Result(_), Some(Reading::Double)) => "a double",
            (Arg::Float(_), _) | (Arg::Result(_), Some(Reading::Float)) => "a float",
            (Arg::Int(_) | Arg::Unsigned(_), _) | (Arg::Result(_), Some(Reading::Integer { .. })) => {
                "an integer"
            }
            (Arg::Result(_), None) => "an integer or a pointer",
        };
        let is_wide = matches!(reading, None | Some(Reading::Integer { bytes: 8, .. }));
        let fits = match (&parameter.kind, what) {
            (Kind::Unknown | Kind::Void, _) => true,
            (Kind::Integer { .. }, "an integer" | "an integer or a pointer") => true,
            // A handle that is a number.
            (Kind::Integer { bytes: 8, .. }, "a pointer") => matches!(arg, Arg::Result(_)),
            (Kind::Float, "a float") | (Kind::Double, "a double") => true,
            (Kind::Pointer(_), "a pointer" | "an integer or a pointer") => true,
            (Kind::Pointer(_), "an integer") => {
                *arg == Arg::Int(0) || matches!(arg, Arg::Result(_)) && is_wide
            }
            (Kind::Pointer(target), "a string" | "an address") => {
                // What is known already may be the address of more.
                if *target == Target::Large {
                    return Err(format!(
                        "argument {} of {} is {}, and the call gives {}; {} {DRIVER}",
                        at + 1,
                        self.named(),
                        parameter.name,
                        if what == "a string" { what } else { "8 bytes" },
                        parameter.name,
                    ));
                }
                true
            }
            _ => false,
        };
        if fits {
            return Ok(());
        }
        let name = &parameter.name;
        let help = match (&parameter.kind, arg) {
            (Kind::Whole { .. }, _) => format!("; {name} {DRIVER}"),
            (Kind::Double, Arg::Int(value)) => format!("; write {value}.0"),
            (Kind::Float, Arg::Int(value)) => format!("; write {value}.0f"),
            (Kind::Double, Arg::Float(value)) => format!("; write {value:?}"),
            (Kind::Float, Arg::Double(value)) => format!("; write {value:?}f"),
            (Kind::Pointer(_), Arg::Int(_) | Arg::Unsigned(_)) => {
                "; write null, a string or the name of a result".to_owned()
            }
            _ => String::new(),
        };
        Err(format!("argument {} of {} is {name}, and the call gives {what}{help}", at + 1, self.named()))
    }

    /// How the result is read for a check, and what it is compared with. `known` is what is known of the result.
    fn compared(
        &self,
        check: &Check,
        known: Option<Reading>,
        names: &HashMap<&str, Slot>,
    ) -> Result<(Reading, Against), Mismatch> {
        let whole = Reading::Integer { bytes: 8, signed: true };
        if let Arg::Result(name) = &check.value {
            let slot = names.get(name.text.as_str());
            let other = slot.and_then(|slot| slot.reading);
            let reading = known.or(other).unwrap_or(whole);
            if other.is_some_and(|other| other.is_floating() != reading.is_floating()) {
                return Err(self.unlike(check, reading));
            }
            return Ok((reading, Against::Slot(slot.map_or(0, |slot| slot.number))));
        }
        let reading = known.or(check.reading).unwrap_or(whole);
        let bits = match (&check.value, reading) {
            (Arg::Double(value), Reading::Double) => value.to_bits(),
            (Arg::Double(value), Reading::Float) => u64::from((*value as f32).to_bits()),
            (Arg::Float(value), Reading::Float) => u64::from(value.to_bits()),
            (Arg::Float(value), Reading::Double) => f64::from(*value).to_bits(),
            (Arg::Int(value), Reading::Double) => (*value as f64).to_bits(),
            (Arg::Int(value), Reading::Float) => u64::from((*value as f32).to_bits()),
            (Arg::Null, Reading::Pointer) => 0,
            // `-1` is what mmap returns for a failure.
            (Arg::Int(value), Reading::Pointer) => value.cast_unsigned(),
            (Arg::Int(value), Reading::Integer { bytes, .. }) => {
                // Of an unsigned type the value may be meant, or the bits; -1 is both.
                let bits = u32::from(bytes) * 8;
                let (least, most) = (-(1_i128 << (bits - 1)), (1_i128 << bits) - 1);
                if !(least..=most).contains(&i128::from(*value)) {
                    let what = self.prototype.map_or("an integer", |prototype| &prototype.returns.name);
                    let problem = format!("{} returns {what}, which can't hold {value}", self.named());
                    return Err(self.error(check.column, problem));
                }
                value.cast_unsigned()
            }
            (Arg::Unsigned(value), Reading::Integer { bytes: 8, .. }) => *value,
            _ => return Err(self.unlike(check, reading)),
        };
        Ok((reading, Against::Bits(bits)))
    }

    fn unlike(&self, check: &Check, reading: Reading) -> Mismatch {
        let what = match reading {
            Reading::Integer { .. } => "an integer",
            Reading::Pointer => "a pointer",
            Reading::Float => "a float",
            Reading::Double => "a double",
        };
        let what = self.prototype.map_or(what, |prototype| &prototype.returns.name);
        self.error(
            check.column,
            format!("{} returns {what}, and `{}` compares it with another type", self.named(), check.text),
        )
    }
}

/// What a type needs that no call expresses.
const DRIVER: &str = "needs a driver of your own (--exercise, see docs/exercise.md)";

/// The mangled symbol that a call with a qualified name of C++ stands for; the name itself where nothing has it. `prototypes` are those
/// of all that might be meant.
///
/// # Errors
/// Where several are left, with all of them.
pub fn symbol(call: &Call, facts: &Facts, prototypes: &Prototypes) -> Result<String, Mismatch> {
    let all = candidates(call, facts);
    let fits = |one: &&Overload<'_>| match prototypes.get(one.symbol) {
        Some(prototype) => takes(call, prototype),
        // Of a member the object comes first, which the name does not say.
        None => one.parameters.is_none_or(|count| count == call.args.len() || count + 1 == call.args.len()),
    };
    let fitting: Vec<_> = all.iter().filter(fits).collect();
    let exact = |one: &&&Overload<'_>| one.parameters == Some(call.args.len());
    let chosen = match fitting.as_slice() {
        [] if all.len() == 1 => all.first(),
        [one] => Some(*one),
        several => {
            let mut exactly = several.iter().filter(exact);
            let first = exactly.next().copied();
            if exactly.next().is_some() { None } else { first }
        }
    };
    match (chosen, all.as_slice()) {
        (Some(one), _) => Ok(one.symbol.to_owned()),
        (None, []) => Ok(call.symbol.clone()),
        (None, all) => {
            let names: Vec<&str> = all.iter().map(|one| one.symbol).collect();
            let column = call.text.find(&call.symbol).map_or(1, |at| call.text[..at].chars().count() + 1);
            Err(Mismatch {
                call: call.text.clone(),
                column,
                problem: format!("several functions are called so; name one of {}", names.join(", ")),
            })
        }
    }
}

/// The functions that a call with a qualified name of C++ may stand for; none for any other name.
pub fn candidates<'f>(call: &Call, facts: &'f Facts) -> Vec<Overload<'f>> {
    if call.symbol.contains("::") { overloads(&facts.exports, &call.symbol) } else { Vec::new() }
}

/// Whether a function could be meant by its parameters.
fn takes(call: &Call, prototype: &Prototype) -> bool {
    let site = Site { call, prototype: Some(prototype) };
    let Some(parameters) = &prototype.parameters else { return true };
    let mut each = call.args.iter().zip(parameters).enumerate();
    site.count(prototype).is_ok()
        && each.all(|(at, (arg, parameter))| {
            matches!(arg, Arg::Result(_)) || site.fits(arg, None, parameter, at).is_ok()
        })
}

/// The calls that say more than a name, and of whose functions no prototype is known.
pub fn unchecked<'c>(calls: &'c [Call], prototypes: &Prototypes) -> Vec<&'c Call> {
    let says = |call: &&Call| !call.args.is_empty() || call.keeps.is_some() || call.check.is_some();
    calls.iter().filter(says).filter(|call| !prototypes.contains_key(&call.symbol)).collect()
}
