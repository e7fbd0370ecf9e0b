//! Checks what this machine has for building, loading and soaking libraries. Each check is bounded: files are small or read within
//! limits, and a program that is asked for its version has seconds.

mod go;
pub(crate) mod headers;
mod host;
mod library;
mod limits;
pub(crate) mod process;
mod rust;
mod system;
pub(crate) mod tools;

use std::path::Path;

use crate::record::checkup::{Check, Checkup, Found, Group, Name, SCHEMA, Status};

pub use crate::inspect::InspectError;

/// Gathers the checks of one group.
struct Checks {
    group: Group,
    all: Vec<Check>,
}

impl Checks {
    fn new(group: Group) -> Self {
        Self { group, all: Vec::new() }
    }

    fn add(&mut self, status: Status, name: Name, found: Found) {
        self.all.push(Check { group: self.group, name, status, found });
    }

    fn ok(&mut self, name: Name, found: Found) {
        self.add(Status::Ok, name, found);
    }

    fn note(&mut self, name: Name, found: Found) {
        self.add(Status::Note, name, found);
    }

    fn warn(&mut self, name: Name, found: Found) {
        self.add(Status::Warn, name, found);
    }

    fn fail(&mut self, name: Name, found: Found) {
        self.add(Status::Fail, name, found);
    }
}

/// Looks at this machine, and at a library and at a host where they are named.
///
/// # Errors
/// When the library or the host can't be read or is no ELF file.
pub fn examine(library: Option<&Path>, host: Option<&Path>) -> Result<Checkup, InspectError> {
    let mut checks = Vec::new();
    if let Some(path) = host {
        checks.extend(host::checks(path)?);
    }
    if let Some(path) = library {
        checks.extend(library::checks(path)?);
    }
    checks.extend(tools::checks());
    checks.extend(go::checks());
    checks.extend(rust::checks());
    checks.extend(system::checks());
    checks.extend(limits::checks());
    let status = checks.iter().map(|check| check.status).max().unwrap_or(Status::Ok);
    Ok(Checkup { schema: SCHEMA.to_owned(), status, checks })
}

/// An environment variable that is set to something, as text.
fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()).filter(|value| !value.is_empty())
}

/// A path as text.
fn text(path: &Path) -> String {
    path.display().to_string()
}
