//! Finds what this machine has to do with an error of a log: which files it has under the names that the log gives, and whether
//! they fit. It reads files and runs nothing, and reports what is not there.

mod libraries;
mod places;

use std::collections::BTreeMap;
use std::path::Path;

use super::rules::Look;
use crate::elf::{self, Facts};
use crate::inspect::{self, InspectError};
use crate::record::explanation::Here;
use crate::sampling;
use crate::supervisor;
use crate::sys::{c_library, glibc};
use libraries::Libraries;

/// Problems of a library that are listed.
const PROBLEMS: usize = 3;

/// This machine, as far as logs ask for it.
pub(super) struct Machine {
    libraries: Libraries,
}

impl Machine {
    /// Looks where libraries are, and which of them has one of `symbols`.
    pub(super) fn with_symbols<'a>(symbols: impl Iterator<Item = &'a str>) -> Self {
        Self { libraries: Libraries::of_this_machine(symbols) }
    }

    /// What there is to know of what a line names.
    pub(super) fn look(&self, look: Look, found: &BTreeMap<String, String>) -> Vec<Here> {
        let name = |key: &str| found.get(key).map(String::as_str).unwrap_or_default();
        let named = ["file", "library", "tool"].into_iter().map(name).find(|text| !text.is_empty());
        let file = named.unwrap_or_default();
        let one = |fact: Option<Here>| fact.into_iter().collect();
        match look {
            Look::Library => one(self.libraries.to_link(name("library"))),
            Look::SharedObject => self.libraries.to_load(name("library")),
            Look::Symbol => one(self.libraries.with_symbol(name("symbol"))),
            Look::Libstdcxx => one(self.libraries.newest_of("libstdc++.so.6", name("version"))),
            Look::Glibc => of_glibc(name("version")).into_iter().chain(needs(file)).collect(),
            Look::File => fits(file),
            Look::Header => one(places::header(name("header"))),
            Look::Tool => places::tools(&[file]),
            Look::ToolGo => places::tools(&["go", "gcc", "clang"]),
            Look::Linker => places::tools(&["ld", "ld.gold", "ld.lld", "mold"]),
            Look::Package => one(places::package(name("package"))),
            Look::StaticTls => one(static_tls(file)),
            Look::Noexec => one(places::noexec(file)),
            Look::Interpreter => one(interpreter(file)),
            Look::StartFile => vec![places::start_file(file)],
            Look::Memory => one(sampling::available_memory().map(|free| Here::Memory { free })),
            Look::Threads => one(sampling::available_tasks().map(|free| Here::Threads { free })),
            Look::RustTarget => one(places::rust_target(name("target"))),
            Look::Kernel => {
                let host = supervisor::host(c_library::of_this_machine());
                vec![Here::Machine { libc: host.libc, machine: host.machine, kernel: host.kernel }]
            }
        }
    }
}

/// This machine's glibc against the version that is asked for.
fn of_glibc(version: &str) -> Option<Here> {
    let libc = glibc::version();
    let wanted = numbers(version.strip_prefix("GLIBC_")?);
    let have = numbers(libc.strip_prefix("glibc ")?);
    let has = wanted.zip(have).map(|(wanted, have)| have >= wanted);
    Some(Here::Glibc { libc, version: version.to_owned(), has })
}

/// The numbers of a version; `None` where it has other parts (`GLIBC_PRIVATE`).
fn numbers(version: &str) -> Option<Vec<u32>> {
    version.split('.').map(|part| part.parse().ok()).collect()
}

/// The facts of a file that a log names, where it is an ELF file on this machine.
fn facts(file: &str) -> Option<Facts> {
    elf::parse(&elf::read_library(Path::new(file)).ok()?).ok()
}

/// What a file needs of glibc.
fn needs(file: &str) -> Option<Here> {
    match facts(file)?.libc {
        elf::Libc::Glibc { at_least: Some(version) } => {
            Some(Here::NeedsGlibc { file: file.to_owned(), version })
        }
        _ => None,
    }
}

/// Whether a file is there, what it is, and whether it can be loaded here.
pub(super) fn fits(file: &str) -> Vec<Here> {
    let there = |path: &str| there(path).into_iter().collect();
    // `libx.a(y.o)` is a member of an archive.
    if let Some((archive, _)) = file.split_once(".a(") {
        return there(&format!("{archive}.a"));
    }
    let name = || file.to_owned();
    let found = match inspect::inspect(Path::new(file)) {
        Ok(found) => found,
        Err(InspectError::Read(_)) => return there(file),
        Err(InspectError::Elf(why)) => return vec![Here::Unreadable { file: name(), why }],
    };
    let (kind, machine, class) = (found.file.kind, found.file.machine, found.file.class);
    let mut facts = vec![Here::Elf { file: name(), kind, machine, class }];
    if kind == elf::Kind::SharedObject {
        let problems = found.problems.into_iter().take(PROBLEMS);
        facts.extend(problems.map(|problem| Here::DoesNotLoad { file: name(), problem }));
    }
    facts
}

/// Whether there is such a file.
fn there(file: &str) -> Option<Here> {
    if file.is_empty() {
        return None;
    }
    let path = Path::new(file);
    let file = file.to_owned();
    match std::fs::metadata(path) {
        Ok(metadata) => Some(Here::Exists { file, bytes: metadata.is_file().then_some(metadata.len()) }),
        Err(_) if path.is_absolute() => Some(Here::Missing { file }),
        // The log's directory is not known: silence is better than a wrong answer.
        Err(_) => None,
    }
}

fn static_tls(file: &str) -> Option<Here> {
    let Ok(inspection) = inspect::inspect(Path::new(file)) else { return there(file) };
    let file = file.to_owned();
    Some(match inspection.static_tls {
        Some(tls) => Here::StaticTls { file, bytes: tls.bytes, room: tls.room, at_most: tls.at_most },
        None => Here::NoStaticTls { file },
    })
}

fn interpreter(file: &str) -> Option<Here> {
    let Some(facts) = facts(file) else { return there(file) };
    let exists = facts.interpreter.as_ref().is_some_and(|loader| Path::new(loader).exists());
    Some(Here::Interpreter { file: file.to_owned(), interpreter: facts.interpreter, exists })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_glibc_are_compared_by_number() {
        let has = |version: &str| match of_glibc(version) {
            Some(Here::Glibc { has, .. }) => Some(has),
            _ => None,
        };
        assert_eq!(has("GLIBC_2.2.5"), Some(Some(true)));
        assert_eq!(has("GLIBC_99.1"), Some(Some(false)));
        assert_eq!(has("GLIBC_PRIVATE"), Some(None));
        assert_eq!(has("OPENSSL_3"), None);
    }

    #[test]
    fn a_file_is_what_it_is() {
        let this = std::env::current_exe().unwrap();
        let this = this.to_str().unwrap();
        let found = fits(this);
        let [Here::Elf { kind, .. }] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(*kind, elf::Kind::PositionIndependentExecutable);
        assert_eq!(fits("/no/such/lib.so"), [Here::Missing { file: "/no/such/lib.so".to_owned() }]);
        assert!(fits("no/such/lib.so").is_empty() && fits("").is_empty());
        assert!(matches!(fits("/etc/passwd").as_slice(), [Here::Unreadable { .. }]));
        assert!(matches!(interpreter(this), Some(Here::Interpreter { exists: true, .. })));
    }
}
