//! One layer of settings: what `[defaults]`, a `[[library]]` or the command line says about a soak. All are
//! optional; the layers are laid over each other before anything is validated.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::de::value::StrDeserializer;
use serde::de::{self, Deserializer, IntoDeserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::call::{Call, check_symbol};
use super::chaos::Chaos;
use super::flags::OpenFlags;
use crate::record::{CallFrom, Mode};
use crate::settings::ResidueKind as Kind;
use crate::settings::quantity::{self as units, UnitError};
use crate::settings::{CountLimits, Increase, LeakRate, Limits};

/// What one layer says about a soak; `None` leaves it to the layer below.
///
/// Its serde form is the keys of `[defaults]` and `[[library]]`; unknown keys are an error.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Symbols to call in each cycle, in this order.
    #[serde(deserialize_with = "one_or_many")]
    pub call: Option<Vec<Call>>,
    /// Code of the user's own for one cycle.
    pub exercise: Option<Exercise>,
    /// What a cycle opens.
    pub mode: Option<Mode>,
    /// Which thread a cycle runs on.
    pub call_from: Option<CallFrom>,
    /// Number of threads that cycle.
    #[serde(deserialize_with = "threads")]
    pub threads: Option<u32>,
    /// Whether all threads open the one path.
    pub share_path: Option<bool>,
    /// Cycles, all threads together, warm-up not included. Belongs with `duration`: see [`Settings::over`].
    #[serde(deserialize_with = "cycles")]
    pub cycles: Option<u64>,
    /// Active time after which the soak ends.
    #[serde(deserialize_with = "duration")]
    pub duration: Option<Duration>,
    /// Warm-up cycles.
    #[serde(deserialize_with = "warmup")]
    pub warmup: Option<u64>,
    /// Number of checkpoints.
    #[serde(deserialize_with = "checkpoints")]
    pub checkpoints: Option<u32>,
    /// Flags for `dlopen`.
    pub flags: Option<OpenFlags>,
    /// Environment variables for the worker; merged by name with the layer below.
    #[serde(deserialize_with = "env")]
    pub env: BTreeMap<String, String>,
    /// Time without a finished cycle after which the soak counts as hung.
    #[serde(deserialize_with = "duration")]
    pub stall_timeout: Option<Duration>,
    /// Memory of the worker, in bytes, above which the soak ends.
    #[serde(deserialize_with = "size")]
    pub memory_limit: Option<u64>,
    /// What the worker is disturbed with.
    #[serde(deserialize_with = "one_or_many")]
    pub chaos: Option<Vec<Chaos>>,
    /// Whether the worker is kept from writing files and from the network.
    pub sandbox: Option<bool>,
    /// Wall time after which the soak ends, as one that did not complete.
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
    /// Open descriptors of the worker above which the soak ends.
    #[serde(deserialize_with = "limit")]
    pub fd_limit: Option<u64>,
    /// Threads and child processes of the worker above which the soak ends.
    #[serde(deserialize_with = "limit")]
    pub process_limit: Option<u64>,
    /// Bytes of output, or of one file, above which the soak ends.
    #[serde(deserialize_with = "size")]
    pub output_limit: Option<u64>,
    /// Why a library that is not unloaded may pass.
    #[serde(deserialize_with = "reason")]
    pub allow_pinned: Option<String>,
    /// Kinds of residue that may stay.
    #[serde(deserialize_with = "one_or_many")]
    pub allow_residue: Option<Vec<Kind>>,
    /// Growth of memory up to which a soak passes.
    pub max_leak_rate: Option<LeakRate>,
    /// Growth of threads, descriptors and mappings up to which a soak passes.
    pub max_growth: Option<CountLimits>,
    /// How much more memory may grow than in the baseline.
    pub max_leak_increase: Option<LeakRate>,
    /// How much longer the 99th percentile of a phase may take than in the baseline.
    pub max_p99_increase: Option<Increase>,
    /// Whether to go on after the last cycle until the verdict is decided.
    pub until_decided: Option<bool>,
    /// Cycles after which `until_decided` gives up.
    #[serde(deserialize_with = "cycles")]
    pub max_cycles: Option<u64>,
}

impl Settings {
    /// Lays these settings over `lower`: what is said here wins.
    ///
    /// `cycles` and `duration` together say when a soak ends, so that a layer that gives one of them replaces
    /// both: `--duration 90m` over `cycles = "100k"` means 90 minutes. `env` is merged by name.
    #[must_use]
    pub fn over(self, lower: Self) -> Self {
        let (cycles, duration) = if self.cycles.is_some() || self.duration.is_some() {
            (self.cycles, self.duration)
        } else {
            (lower.cycles, lower.duration)
        };
        let mut env = lower.env;
        env.extend(self.env);
        Self {
            call: self.call.or(lower.call),
            exercise: self.exercise.or(lower.exercise),
            mode: self.mode.or(lower.mode),
            call_from: self.call_from.or(lower.call_from),
            threads: self.threads.or(lower.threads),
            share_path: self.share_path.or(lower.share_path),
            cycles,
            duration,
            warmup: self.warmup.or(lower.warmup),
            checkpoints: self.checkpoints.or(lower.checkpoints),
            flags: self.flags.or(lower.flags),
            env,
            stall_timeout: self.stall_timeout.or(lower.stall_timeout),
            memory_limit: self.memory_limit.or(lower.memory_limit),
            chaos: self.chaos.or(lower.chaos),
            sandbox: self.sandbox.or(lower.sandbox),
            timeout: self.timeout.or(lower.timeout),
            fd_limit: self.fd_limit.or(lower.fd_limit),
            process_limit: self.process_limit.or(lower.process_limit),
            output_limit: self.output_limit.or(lower.output_limit),
            allow_pinned: self.allow_pinned.or(lower.allow_pinned),
            allow_residue: self.allow_residue.or(lower.allow_residue),
            max_leak_rate: self.max_leak_rate.or(lower.max_leak_rate),
            max_growth: self.max_growth.or(lower.max_growth),
            max_leak_increase: self.max_leak_increase.or(lower.max_leak_increase),
            max_p99_increase: self.max_p99_increase.or(lower.max_p99_increase),
            until_decided: self.until_decided.or(lower.until_decided),
            max_cycles: self.max_cycles.or(lower.max_cycles),
        }
    }

    /// The part that the gate is about.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            max_leak_rate: self.max_leak_rate.clone(),
            max_growth: self.max_growth.clone().unwrap_or_default(),
            max_leak_increase: self.max_leak_increase.clone(),
            max_p99_increase: self.max_p99_increase.clone(),
            allow_pinned: self.allow_pinned.clone(),
            allow_residue: self.allow_residue.iter().flatten().copied().collect(),
        }
    }
}

/// Code of the user's own for one cycle: `int fn(void *handle)` in a library of theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Exercise {
    /// The library that holds the function; stays loaded during the whole soak.
    pub driver: PathBuf,
    /// Name of the function.
    pub symbol: String,
}

impl FromStr for Exercise {
    type Err = UnitError;

    /// Parses `driver.so:function`; the last colon counts.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (driver, symbol) = text
            .rsplit_once(':')
            .filter(|(driver, _)| !driver.is_empty() && !driver.contains('\0'))
            .ok_or_else(|| UnitError::new("expected driver.so:function"))?;
        check_symbol(symbol).map_err(|error| UnitError::new(format!("in the function's name, {error}")))?;
        Ok(Self { driver: PathBuf::from(driver), symbol: symbol.to_owned() })
    }
}

impl TryFrom<String> for Exercise {
    type Error = UnitError;

    fn try_from(text: String) -> Result<Self, UnitError> {
        text.parse()
    }
}

impl From<Exercise> for String {
    fn from(exercise: Exercise) -> Self {
        format!("{}:{}", exercise.driver.display(), exercise.symbol)
    }
}

/// Parses the name of a mode, as the suite file and the record spell it.
///
/// # Errors
///
/// [`UnitError`] when there is no mode of that name.
pub fn parse_mode(text: &str) -> Result<Mode, UnitError> {
    let text: StrDeserializer<'_, de::value::Error> = text.into_deserializer();
    Mode::deserialize(text).map_err(|error| UnitError::new(error.to_string()))
}

/// Parses `NAME=VALUE`, one variable for the worker's environment.
///
/// # Errors
///
/// [`UnitError`] when there is no `=`, no name, or a NUL in it.
pub fn parse_env(text: &str) -> Result<(String, String), UnitError> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| UnitError::new("expected NAME=VALUE; write an empty value as `NAME=`"))?;
    check_variable(name, value)?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Refuses what `execve` could not pass on.
pub(super) fn check_variable(name: &str, value: &str) -> Result<(), UnitError> {
    if name.is_empty() || name.contains(['=', '\0']) {
        Err(UnitError::new("the name of a variable can't be empty or contain `=` or NUL"))
    } else if value.contains('\0') {
        Err(UnitError::new("the value of a variable can't contain a NUL"))
    } else {
        Ok(())
    }
}

/// Reads a value that is a number in TOML, or text with a suffix.
struct Value<T> {
    expecting: &'static str,
    number: Option<fn(u64) -> Result<T, UnitError>>,
    text: fn(&str) -> Result<T, UnitError>,
}

impl<T> Visitor<'_> for Value<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.text)(text).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        match self.number {
            Some(number) => number(value).map_err(E::custom),
            None => Err(E::invalid_type(de::Unexpected::Unsigned(value), &self)),
        }
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        match u64::try_from(value) {
            Ok(value) => self.visit_u64(value),
            Err(_) if self.number.is_some() => Err(E::custom("this can't be negative")),
            Err(_) => Err(E::invalid_type(de::Unexpected::Signed(value), &self)),
        }
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<T, E> {
        Err(E::custom(format_args!("`{value}` is not accepted here; expected {}", self.expecting)))
    }
}

const COUNT: &str = "a count such as 20000 or \"100k\"";

fn cycles<'de, D: Deserializer<'de>>(input: D) -> Result<Option<u64>, D::Error> {
    let value = Value { expecting: COUNT, number: Some(units::cycles), text: units::parse_cycles };
    input.deserialize_any(value).map(Some)
}

fn warmup<'de, D: Deserializer<'de>>(input: D) -> Result<Option<u64>, D::Error> {
    let value = Value { expecting: COUNT, number: Some(units::warmup), text: units::parse_warmup };
    input.deserialize_any(value).map(Some)
}

fn threads<'de, D: Deserializer<'de>>(input: D) -> Result<Option<u32>, D::Error> {
    let value = Value { expecting: COUNT, number: Some(units::threads), text: units::parse_threads };
    input.deserialize_any(value).map(Some)
}

fn checkpoints<'de, D: Deserializer<'de>>(input: D) -> Result<Option<u32>, D::Error> {
    let value = Value { expecting: COUNT, number: Some(units::checkpoints), text: units::parse_checkpoints };
    input.deserialize_any(value).map(Some)
}

fn limit<'de, D: Deserializer<'de>>(input: D) -> Result<Option<u64>, D::Error> {
    let value = Value { expecting: COUNT, number: Some(units::limit), text: units::parse_limit };
    input.deserialize_any(value).map(Some)
}

fn duration<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Duration>, D::Error> {
    let expecting = "a duration with a unit, such as \"90m\" or \"10s\"";
    input.deserialize_any(Value { expecting, number: None, text: units::parse_duration }).map(Some)
}

fn size<'de, D: Deserializer<'de>>(input: D) -> Result<Option<u64>, D::Error> {
    let expecting = "a size with a unit, such as \"2GiB\" or \"500MB\"";
    input.deserialize_any(Value { expecting, number: None, text: units::parse_size }).map(Some)
}

fn reason<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    let expecting = "the reason why it may stay loaded, such as \"Go runtime, golang/go#11100\"";
    input.deserialize_any(Value { expecting, number: None, text: check_reason }).map(Some)
}

/// Refuses a reason that says nothing.
fn check_reason(text: &str) -> Result<String, UnitError> {
    if text.trim().is_empty() {
        Err(UnitError::new("a reason is required; say why this library may stay loaded"))
    } else {
        Ok(text.to_owned())
    }
}

/// Reads text, or an array of texts.
fn one_or_many<'de, T, D>(input: D) -> Result<Option<Vec<T>>, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    struct OneOrMany<T>(PhantomData<T>);

    impl<'de, T: FromStr<Err: fmt::Display>> Visitor<'de> for OneOrMany<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string or an array of strings")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
            text.parse().map(|one| vec![one]).map_err(E::custom)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut all = Vec::new();
            while let Some(item) = items.next_element::<String>()? {
                // The TOML library knows the place of the array only, so the text itself is the place.
                let parsed = item.parse();
                all.push(parsed.map_err(|error| de::Error::custom(format_args!("{item:?}: {error}")))?);
            }
            Ok(all)
        }
    }

    input.deserialize_any(OneOrMany(PhantomData)).map(Some)
}

/// Reads the `env` table; a whole number stands for its digits.
fn env<'de, D: Deserializer<'de>>(input: D) -> Result<BTreeMap<String, String>, D::Error> {
    struct Variable(String);

    impl<'de> Deserialize<'de> for Variable {
        fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
            struct Text;

            impl Visitor<'_> for Text {
                type Value = String;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a string or a whole number; quote anything else")
                }

                fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
                    Ok(text.to_owned())
                }

                fn visit_i64<E: de::Error>(self, value: i64) -> Result<String, E> {
                    Ok(value.to_string())
                }

                fn visit_u64<E: de::Error>(self, value: u64) -> Result<String, E> {
                    Ok(value.to_string())
                }
            }

            input.deserialize_any(Text).map(Self)
        }
    }

    let variables = BTreeMap::<String, Variable>::deserialize(input)?;
    variables
        .into_iter()
        .map(|(name, Variable(value))| match check_variable(&name, &value) {
            Ok(()) => Ok((name, value)),
            Err(error) => Err(de::Error::custom(format_args!("{name:?}: {error}"))),
        })
        .collect()
}
