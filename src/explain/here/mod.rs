//! What this machine has to do with an error of a log: which files it has under the names that the log gives, and whether they
//! fit. Files are read, nothing is run, and what is not there is said to be so.

mod libraries;
mod places;

use std::collections::BTreeMap;
use std::path::Path;

use super::rules::Look;
use crate::elf::{self, Facts, check_loadable};
use crate::files;
use crate::inspect;
use crate::sampling;
use crate::settings::units;
use crate::supervisor;
use crate::sys::glibc;
use libraries::Libraries;

/// This machine in a few words.
pub(super) fn host() -> String {
    let host = supervisor::host();
    format!("{}, {}, Linux {}", host.libc, host.machine, host.kernel)
}

/// This machine, as far as logs ask for it.
pub(super) struct Here {
    libraries: Libraries,
}

impl Here {
    /// Looks where libraries are, and which of them has one of `symbols`.
    pub(super) fn of_this_machine<'a>(symbols: impl Iterator<Item = &'a str>) -> Self {
        Self { libraries: Libraries::of_this_machine(symbols) }
    }

    /// What is to be said of what a line names.
    pub(super) fn look(&self, look: Look, found: &BTreeMap<String, String>) -> Vec<String> {
        let name = |key: &str| found.get(key).map(String::as_str).unwrap_or_default();
        let named = ["file", "library", "tool"].into_iter().map(name).find(|text| !text.is_empty());
        let file = named.unwrap_or_default();
        match look {
            Look::Library => self.libraries.to_link(name("library")),
            Look::SharedObject => self.libraries.to_load(name("library")),
            Look::Symbol => self.libraries.with_symbol(name("symbol")),
            Look::Libstdcxx => self.libraries.newest_of("libstdc++.so.6", name("version")),
            Look::Glibc => [of_glibc(name("version")), needs(file)].into_iter().flatten().collect(),
            Look::File => fits(file),
            Look::Header => places::header(name("header")),
            Look::Tool => places::tools(&[file]),
            Look::ToolGo => places::tools(&["go", "gcc", "clang"]),
            Look::Linker => places::tools(&["ld", "ld.gold", "ld.lld", "mold"]),
            Look::Package => places::package(name("package")),
            Look::StaticTls => static_tls(file),
            Look::Noexec => places::noexec(file),
            Look::Interpreter => interpreter(file),
            Look::StartFile => places::start_file(file),
            Look::Memory => memory(),
            Look::Threads => threads(),
            Look::RustTarget => places::rust_target(name("target")),
            Look::Kernel => vec![format!("this machine: {}", host())],
        }
    }
}

/// This host's glibc against the version that is asked for.
fn of_glibc(version: &str) -> Option<String> {
    let here = glibc::version();
    let (Some(wanted), Some(have)) =
        (numbers(version.strip_prefix("GLIBC_")?), numbers(here.strip_prefix("glibc ")?))
    else {
        return Some(format!("this host has {here}"));
    };
    Some(if have >= wanted {
        format!("this host has {here}, which has {version}: the log is of another machine or container")
    } else {
        format!("this host has {here}, which is older")
    })
}

/// The numbers of a version; `None` where it has other parts (`GLIBC_PRIVATE`).
fn numbers(version: &str) -> Option<Vec<u32>> {
    version.split('.').map(|part| part.parse().ok()).collect()
}

/// The facts of a file that a log names, where it is an ELF file on this machine.
fn facts(file: &str) -> Option<Facts> {
    Facts::parse(&files::read_library(Path::new(file)).ok()?).ok()
}

/// What a file needs of glibc.
fn needs(file: &str) -> Option<String> {
    match facts(file)?.libc {
        elf::Libc::Glibc { at_least: Some(version) } => {
            Some(format!("{file}, as it is here, needs glibc {version} or later"))
        }
        _ => None,
    }
}

/// Whether a file is there, what it is, and whether it can be loaded here.
pub(super) fn fits(file: &str) -> Vec<String> {
    let path = Path::new(file);
    // `libx.a(y.o)` is a member of an archive.
    let path = match file.split_once(".a(") {
        Some((archive, _)) => return there(Path::new(&format!("{archive}.a"))),
        None => path,
    };
    let bytes = match files::read_library(path) {
        Ok(bytes) => bytes,
        Err(_) => return there(path),
    };
    let facts = match Facts::parse(&bytes) {
        Ok(facts) => facts,
        Err(error) => return vec![format!("{file}: {error}")],
    };
    let kind = match facts.kind {
        elf::Kind::SharedObject => "a shared library",
        elf::Kind::PositionIndependentExecutable | elf::Kind::Executable => "a program",
        elf::Kind::Relocatable => "an object file",
        elf::Kind::Core => "a core file",
        elf::Kind::DebugInfo => "debug information",
        elf::Kind::Other => "an ELF file",
    };
    let width = if facts.class == elf::Class::Bits32 { "32" } else { "64" };
    let what = format!("{file} is {kind} for {}, {width}-bit", facts.machine);
    if facts.kind != elf::Kind::SharedObject {
        return vec![what];
    }
    match check_loadable(&facts, elf::Host::CURRENT) {
        Err(error) => vec![format!("{what}: {error}")],
        Ok(()) => {
            let mut lines = vec![what];
            if let Ok(inspection) = inspect::inspect(path) {
                lines.extend(inspection.problems.into_iter().take(3));
            }
            lines
        }
    }
}

/// Whether there is such a file, in a sentence.
fn there(path: &Path) -> Vec<String> {
    if path.as_os_str().is_empty() {
        return Vec::new();
    }
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {
            vec![format!("{} is here, of {}", path.display(), units::bytes(metadata.len() as f64))]
        }
        Ok(_) => vec![format!("{} is here, and no regular file", path.display())],
        Err(_) if path.is_absolute() => vec![format!("there is no {} on this machine", path.display())],
        // The log's directory is not known: silence is better than a wrong answer.
        Err(_) => Vec::new(),
    }
}

fn static_tls(file: &str) -> Vec<String> {
    let Ok(inspection) = inspect::inspect(Path::new(file)) else { return there(Path::new(file)) };
    match inspection.static_tls {
        Some(tls) => vec![format!(
            "{file} takes {} of it: at most {} such libraries fit in what {} leaves",
            units::bytes(tls.bytes as f64),
            units::count(tls.at_most),
            inspection.host_libc
        )],
        None => vec![format!("{file}, as it is here, asks for none")],
    }
}

fn interpreter(file: &str) -> Vec<String> {
    let Some(facts) = facts(file) else { return there(Path::new(file)) };
    let Some(interpreter) = facts.interpreter else { return vec![format!("{file} names no loader")] };
    let is = if Path::new(&interpreter).exists() { "is here" } else { "is not on this machine" };
    vec![format!("{file} asks for {interpreter}, which {is}")]
}

fn memory() -> Vec<String> {
    let free = sampling::available_memory();
    free.map(|free| format!("this machine has {} of memory free now", units::bytes(free as f64)))
        .into_iter()
        .collect()
}

fn threads() -> Vec<String> {
    let free = sampling::available_tasks();
    free.map(|free| format!("this machine has room for {} more threads now", units::count(free)))
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_glibc_are_compared_by_number() {
        assert!(of_glibc("GLIBC_2.2.5").unwrap().contains("another machine"));
        assert!(of_glibc("GLIBC_99.1").unwrap().contains("older"));
        assert!(of_glibc("GLIBC_PRIVATE").is_some());
        assert_eq!(of_glibc("OPENSSL_3"), None);
    }

    #[test]
    fn a_file_is_told_as_it_is() {
        let this = std::env::current_exe().unwrap();
        assert!(fits(this.to_str().unwrap())[0].contains("is a program for"));
        assert!(fits("/no/such/lib.so")[0].contains("there is no /no/such/lib.so"));
        assert!(fits("no/such/lib.so").is_empty() && fits("").is_empty());
        assert!(fits("/etc/passwd")[0].contains("not an ELF file"));
        let interpreter = interpreter(this.to_str().unwrap());
        assert!(interpreter[0].contains("which is here"), "{interpreter:?}");
    }
}
