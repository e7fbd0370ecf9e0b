//! What this machine has for building, loading and soaking libraries, what it lacks, and how to mend that. Each look is
//! bounded: files are small ones or read within limits, and programs that are asked for their version are given seconds.

mod go;
mod headers;
mod library;
mod limits;
pub(crate) mod process;
mod rust;
mod system;
pub(crate) mod tools;

use std::path::Path;

use serde::Serialize;

pub use crate::inspect::InspectError;

/// The value of [`Checkup::schema`].
pub const SCHEMA: &str = "dlsoak.doctor/1";

/// How it stands with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// As it should be.
    Ok,
    /// To be known, and no trouble by itself: a tool that is not there and that not everyone needs.
    Note,
    /// Trouble for some of what people do here.
    Warn,
    /// `dlsoak` can't do its work with it, or what is set contradicts itself so that nothing can.
    Fail,
}

/// What a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Compilers, linkers and pkg-config.
    Tools,
    /// The Go tools.
    Go,
    /// rustc.
    Rust,
    /// C library and kernel.
    System,
    /// What processes may use.
    Limits,
    /// The library that was named.
    Library,
}

impl Group {
    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Go => "go",
            Self::Rust => "rust",
            Self::System => "system",
            Self::Limits => "limits",
            Self::Library => "library",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What it belongs to.
    pub group: Group,
    /// What it is called.
    pub name: String,
    /// How it stands.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What to do, a command where that is possible; for what is not as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

/// Everything that was looked at.
#[derive(Debug, Serialize)]
pub struct Checkup {
    /// Always [`SCHEMA`].
    pub schema: &'static str,
    /// The worst of all.
    pub status: Status,
    /// Each thing, in groups.
    pub checks: Vec<Check>,
}

/// Gathers the checks of one group.
struct Checks {
    group: Group,
    all: Vec<Check>,
}

impl Checks {
    fn new(group: Group) -> Self {
        Self { group, all: Vec::new() }
    }

    fn add(&mut self, status: Status, name: &str, found: impl Into<String>, mend: Option<String>) {
        let (group, name) = (self.group, name.to_owned());
        self.all.push(Check { group, name, status, found: found.into(), mend });
    }

    fn ok(&mut self, name: &str, found: impl Into<String>) {
        self.add(Status::Ok, name, found, None);
    }

    fn note(&mut self, name: &str, found: impl Into<String>) {
        self.add(Status::Note, name, found, None);
    }

    fn warn(&mut self, name: &str, found: impl Into<String>, mend: impl Into<String>) {
        self.add(Status::Warn, name, found, Some(mend.into()));
    }

    fn fail(&mut self, name: &str, found: impl Into<String>, mend: impl Into<String>) {
        self.add(Status::Fail, name, found, Some(mend.into()));
    }
}

/// Looks at this machine, and at a library where one is named.
///
/// # Errors
/// When the library can't be read or is no ELF file.
pub fn examine(library: Option<&Path>) -> Result<Checkup, InspectError> {
    let mut checks = Vec::new();
    if let Some(path) = library {
        checks.extend(library::checks(path)?);
    }
    checks.extend(tools::checks());
    checks.extend(go::checks());
    checks.extend(rust::checks());
    checks.extend(system::checks());
    checks.extend(limits::checks());
    let status = checks.iter().map(|check| check.status).max().unwrap_or(Status::Ok);
    Ok(Checkup { schema: SCHEMA, status, checks })
}

/// An environment variable that is set to something, as text.
fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()).filter(|value| !value.is_empty())
}
