//! Small settings of their own form: code of the user's, a variable, a reason, passes, the sandbox.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use dlsoak_wire::interface::Interface;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::call::check_symbol;
use crate::{Pass, UnitError};

/// Code of the user's own for one cycle: `int fn(void *handle)` in a library of theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
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

impl fmt::Display for Exercise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.driver.display(), self.symbol)
    }
}

/// What makes the calls of a cycle for a plugin of a known interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Driver {
    /// The driver of the interface that the library's exports name, if nothing else is to be called.
    #[default]
    Auto,
    /// None: the library is loaded and closed.
    None,
    /// That of this interface.
    Of(Interface),
}

impl FromStr for Driver {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        match text {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            name => {
                let found = Interface::ALL.iter().find(|interface| interface.facts().name == name);
                found.copied().map(Self::Of).ok_or_else(|| {
                    let all: Vec<&str> = Interface::ALL.iter().map(|known| known.facts().name).collect();
                    UnitError::new(format!(
                        "there is no driver of this name; use auto, none, {}",
                        all.join(", ")
                    ))
                })
            }
        }
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::None => "none",
            Self::Of(interface) => interface.facts().name,
        })
    }
}

/// A program: by its path, which has a slash in it, or by its name in `PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program(String);

impl Program {
    /// Its path, where it is given by one.
    pub fn path(&self) -> Option<&Path> {
        self.0.contains('/').then(|| Path::new(&self.0))
    }

    /// Its name, or its path, as it was given.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The same program, where a path of it is relative to this directory.
    #[must_use]
    pub fn in_directory(&self, directory: &Path) -> Self {
        let path = self.path().map(|path| directory.join(path).to_string_lossy().into_owned());
        Self(path.unwrap_or_else(|| self.0.clone()))
    }
}

impl FromStr for Program {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text.is_empty() || text.contains('\0') {
            Err(UnitError::new("expected a program: a path such as /usr/sbin/nginx, or a name in PATH"))
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One variable of the measured process's environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value; may be empty.
    pub value: String,
}

impl Variable {
    /// A variable that `execve` can pass on.
    ///
    /// # Errors
    /// [`UnitError`] where it can't.
    pub fn new(name: &str, value: &str) -> Result<Self, UnitError> {
        if name.is_empty() || name.contains(['=', '\0']) {
            Err(UnitError::new("the name of a variable can't be empty or contain `=` or NUL"))
        } else if value.contains('\0') {
            Err(UnitError::new("the value of a variable can't contain a NUL"))
        } else {
            Ok(Self { name: name.to_owned(), value: value.to_owned() })
        }
    }
}

impl FromStr for Variable {
    type Err = UnitError;

    /// Parses `NAME=VALUE`.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| UnitError::new("expected NAME=VALUE; write an empty value as `NAME=`"))?;
        Self::new(name, value)
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

/// Why something may pass that would fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// Where none was given.
    pub const NONE: &'static str = "allowed without a reason";
}

impl FromStr for Reason {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text.trim().is_empty() {
            Err(UnitError::new("a reason is required; say why this library may stay loaded"))
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The passes that may run, each where its condition holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passes {
    text: String,
    passes: Vec<Pass>,
}

impl Passes {
    /// Whether this pass may run.
    pub fn contains(&self, pass: Pass) -> bool {
        self.passes.contains(&pass)
    }
}

impl Default for Passes {
    fn default() -> Self {
        let usual = Pass::RUN.into_iter().filter(|pass| pass.is_usual());
        Self { text: String::new(), passes: usual.collect() }
    }
}

impl FromStr for Passes {
    type Err = UnitError;

    /// Parses a list of names, which are then the only passes; or names with `+` and `-` before them, which add to the usual passes
    /// and take away from them.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let text = text.trim();
        let words: Vec<&str> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
        let signed = words.iter().filter(|word| word.starts_with(['+', '-'])).count();
        if words.is_empty() {
            return Err(UnitError::new("expected passes such as +patterns or measure,without-calls"));
        }
        if signed > 0 && signed < words.len() {
            return Err(UnitError::new("give either names, or names that all have + or - before them"));
        }
        let mut passes = if signed > 0 { Self::default().passes } else { vec![Pass::Measure, Pass::Recheck] };
        for word in words {
            let name = word.trim_start_matches(['+', '-']);
            let Some(pass) = Pass::RUN.into_iter().find(|pass| pass.name() == name) else {
                let names = Pass::RUN.map(Pass::name);
                return Err(UnitError::new(match crate::nearest(name, names) {
                    Some(meant) => format!("unknown pass `{name}`; did you mean `{meant}`?"),
                    None => format!("unknown pass `{name}`: use {}", names.join(", ")),
                }));
            };
            if word.starts_with('-') {
                if matches!(pass, Pass::Measure | Pass::Recheck) {
                    return Err(UnitError::new(format!(
                        "`{name}` can't be left out, because all others depend on it"
                    )));
                }
                passes.retain(|other| *other != pass);
            } else if !passes.contains(&pass) {
                passes.push(pass);
            }
        }
        Ok(Self { text: text.to_owned(), passes })
    }
}

impl fmt::Display for Passes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether the measured process is kept from writing files and from the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sandboxing {
    /// It is not.
    #[default]
    Off,
    /// It is, or the soak does not begin.
    Required,
    /// It is as far as this kernel can.
    BestEffort,
}

impl FromStr for Sandboxing {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        match text {
            "false" => Ok(Self::Off),
            "true" => Ok(Self::Required),
            "best-effort" => Ok(Self::BestEffort),
            _ => Err(UnitError::new("expected true, false or best-effort")),
        }
    }
}

impl fmt::Display for Sandboxing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "false",
            Self::Required => "true",
            Self::BestEffort => "best-effort",
        })
    }
}

impl Serialize for Sandboxing {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => out.serialize_bool(false),
            Self::Required => out.serialize_bool(true),
            Self::BestEffort => out.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Sandboxing {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Sandboxing;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or \"best-effort\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Sandboxing, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Sandboxing, E> {
                Ok(if value { Sandboxing::Required } else { Sandboxing::Off })
            }
        }

        input.deserialize_any(Text)
    }
}

impl schemars::JsonSchema for Sandboxing {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sandboxing".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "enum": [true, false, "best-effort"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_added_to_the_usual_ones_or_listed() {
        let passes = |text: &str| text.parse::<Passes>().unwrap();
        assert!(Passes::default().contains(Pass::WithoutCalls) && !Passes::default().contains(Pass::Trace));
        let more = passes("+trace, -without-calls");
        assert!(more.contains(Pass::Trace) && more.contains(Pass::Measure));
        assert!(!more.contains(Pass::WithoutCalls));
        let listed = passes("without-calls");
        assert!(listed.contains(Pass::Measure) && !listed.contains(Pass::Diagnose));
        for (text, part) in [
            ("", "expected passes"),
            ("+trace,measure", "give either names"),
            ("-measure", "can't be left out"),
            ("+tracee", "did you mean `trace`?"),
            ("baseline", "unknown pass"),
        ] {
            let error = text.parse::<Passes>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_variable_has_a_name_and_a_driver_a_function() {
        let variable: Variable = "A=b=c".parse().unwrap();
        assert_eq!((variable.name.as_str(), variable.value.as_str()), ("A", "b=c"));
        for wrong in ["A", "=b", ""] {
            assert!(wrong.parse::<Variable>().is_err(), "{wrong}");
        }
        let exercise: Exercise = "a:b/drive.so:go".parse().unwrap();
        assert_eq!(exercise.to_string(), "a:b/drive.so:go");
        for wrong in ["drive.so", ":go", "drive.so:", "drive.so:g o"] {
            assert!(wrong.parse::<Exercise>().is_err(), "{wrong}");
        }
        assert!(" ".parse::<Reason>().is_err());
        let program = |text: &str| text.parse::<Program>().unwrap();
        assert_eq!(program("nginx").in_directory(Path::new("/a")), program("nginx"));
        assert_eq!(program("./nginx").in_directory(Path::new("/a")).path(), Some(Path::new("/a/./nginx")));
        assert!("".parse::<Program>().is_err());
    }
}
