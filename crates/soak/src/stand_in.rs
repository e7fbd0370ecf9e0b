//! Stands in for the program that loads a library in reality (`--host`): finds what the program links, and writes the stubs of what it
//! exports to the library. The program itself is read and never run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use dlsoak_agent::NEEDS_HOST;

use crate::elf::search::Found;
use crate::elf::{self, Closure, ExportKind, Facts, Host, Kind, Need, Offer, Problem, Refused, stubs};
use crate::fault::{Fault, shown};
use crate::settings::Program;

/// Directories of programs that an administrator runs, which the `PATH` of other people leaves out.
const SBIN: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Directories in which programs are found by their names.
pub(crate) fn programs() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(SBIN.map(PathBuf::from)).collect()
}

/// What a soak links in place of a program.
#[derive(Debug)]
pub(crate) struct StandIn {
    /// A library of stubs; `None` where nothing needs anything of the program itself.
    pub(crate) stubs: Option<Vec<u8>>,
    /// The libraries that the program brings, in the order in which symbols are looked up in them.
    pub(crate) linked: Vec<PathBuf>,
    /// Whether one of those has an allocator of its own.
    pub(crate) allocates: bool,
}

impl StandIn {
    /// What stands in for this program while the library is soaked in a process that has these other libraries as well.
    ///
    /// # Errors
    /// When the program can't be read or is none, when it links what is not found, or when a library needs of it what no stub can
    /// stand in for.
    pub(crate) fn new(host: &Program, library: &Path, others: &[PathBuf]) -> Result<Self, Fault> {
        let path = found(host)?;
        let fault = |problem: &dyn std::fmt::Display| fault(&path, problem);
        let unreadable = |why| fault(&dlsoak_report::inspection::unreadable(&why).fact);
        let bytes = read(&path)?;
        let facts = elf::parse(&bytes).map_err(|why| {
            // Version managers have scripts in PATH in the place of programs.
            fault(&NoHost::Unreadable(dlsoak_report::inspection::unreadable(&why).fact))
        })?;
        check(&facts).map_err(|problem| fault(&problem))?;
        let mut needs = Needs { offers: elf::offers(&bytes).map_err(unreadable)?, ..Needs::default() };
        let mut linked = Vec::new();
        let mut allocates = false;
        for Need { name, by, found } in Closure::of(&path, &facts) {
            let Some(found) = found else {
                let by = by.file_name().unwrap_or_default().to_string_lossy().into_owned();
                return Err(fault(&NoHost::Needs { by, name }));
            };
            needs.add_found(&name, &found);
            if !elf::is_everywhere(&name) {
                allocates |= found.facts.export("malloc") == Some(ExportKind::Function);
                linked.push(found.path);
            }
        }
        for file in others.iter().map(PathBuf::as_path).chain([library]) {
            // What is wrong with it is said when it is soaked.
            let Some(bytes) = elf::read_library(file).ok() else { continue };
            let Some(facts) = elf::parse(&bytes).ok() else { continue };
            needs.add("", &facts, &bytes);
            for Need { name, found, .. } in Closure::of(file, &facts) {
                if let Some(found) = found {
                    needs.add_found(&name, &found);
                }
            }
        }
        let Needs { offers, wanted, had } = needs;
        let stubs = elf::stubs_for(offers, &wanted, |name| had.contains(name)).map_err(|why| match why {
            // No library can be soaked in this host.
            Refused::Allocator(_) => fault(&why),
            Refused::ThreadLocal(_) | Refused::Indirect(_) => {
                Fault::of_library(Unserved { library: shown(library), program: shown(&path), why })
            }
        })?;
        let written =
            (!stubs.is_empty()).then(|| stubs::library(&stubs, NEEDS_HOST, facts.machine)).transpose();
        Ok(Self { stubs: written.map_err(|why| fault(&why))?, linked, allocates })
    }
}

/// What the libraries of a process need of a program.
#[derive(Default)]
struct Needs {
    /// What the program offers.
    offers: Vec<Offer>,
    /// What they take from others.
    wanted: BTreeSet<String>,
    /// What of the offers one of them has as well.
    had: BTreeSet<String>,
}

impl Needs {
    /// Adds what a library that was found takes and has; one that is gone by now takes nothing.
    fn add_found(&mut self, name: &str, found: &Found) {
        self.add(name, &found.facts, &elf::read_library(&found.path).unwrap_or_default());
    }

    /// Adds what the library of this name takes and has.
    fn add(&mut self, name: &str, facts: &Facts, bytes: &[u8]) {
        // The C library takes nothing from a program that no program has.
        if !elf::is_everywhere(name) {
            self.wanted.extend(elf::wants(bytes).unwrap_or_default());
        }
        let had = self.offers.iter().filter(|offer| facts.has_export(&offer.name));
        self.had.extend(had.map(|offer| offer.name.clone()));
    }
}

/// Why a program can't be stood in for.
#[derive(Debug, thiserror::Error)]
enum NoHost {
    #[error("there is no such program; check the path given to --host")]
    Missing,
    #[error("no such program in PATH; give --host the path of the program")]
    NotInPath,
    #[error("this is a directory; name the program that loads the library")]
    Directory,
    #[error("this is a shared library; name the program that loads it")]
    Library,
    #[error("this is not a program; name the program that loads the library")]
    Other,
    #[error("{0}; give --host the path of the program that loads the library")]
    Unreadable(String),
    #[error("this program is linked statically, so it loads no libraries")]
    Static,
    #[error("{by} needs {name}, which is not found")]
    Needs { by: String, name: String },
    #[error("{}", dlsoak_report::inspection::problem(.0).fact)]
    Machine(Problem),
}

/// What a host that is stood in for can't do for a library.
#[derive(Debug, thiserror::Error)]
#[error("{library}: nothing can stand in for {program}: {why}")]
struct Unserved {
    library: String,
    program: String,
    why: Refused,
}

/// What keeps a file from being a host.
fn check(facts: &Facts) -> Result<(), NoHost> {
    elf::check_machine(facts, Host::CURRENT).map_err(NoHost::Machine)?;
    match facts.kind {
        Kind::Executable | Kind::PositionIndependentExecutable if facts.interpreter.is_none() => {
            Err(NoHost::Static)
        }
        Kind::Executable | Kind::PositionIndependentExecutable => Ok(()),
        Kind::SharedObject => Err(NoHost::Library),
        _ => Err(NoHost::Other),
    }
}

/// The file of a program.
fn found(host: &Program) -> Result<PathBuf, Fault> {
    if let Some(path) = host.path() {
        return Ok(path.to_path_buf());
    }
    let name = Path::new(host.name());
    let found =
        programs().into_iter().find_map(|directory| Some(directory.join(name)).filter(|path| path.is_file()));
    found.ok_or_else(|| fault(name, &NoHost::NotInPath))
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    let metadata = path.metadata().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => fault(path, &NoHost::Missing),
        _ => fault(path, &error),
    })?;
    if metadata.is_dir() {
        return Err(fault(path, &NoHost::Directory));
    }
    elf::read_library(path).map_err(|error| fault(path, &error))
}

fn fault(path: &Path, problem: &dyn std::fmt::Display) -> Fault {
    Fault::new(format!("{}: {problem}", shown(path)))
}
