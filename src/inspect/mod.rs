//! What a library's file tells, and the files that it needs: will it unload, will it load here. Nothing of them is
//! executed; only files are read.

pub mod ldcache;
pub mod search;

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::elf::{Certainty, ElfError, Facts, Host, Libc, Machine, Prediction, check_loadable, predictions};
use crate::files;
use crate::record::Cause;
use crate::sys::glibc;
use search::{Found, Place, Search};

/// The value of [`Inspection::schema`].
pub const SCHEMA: &str = "dlsoak.inspect/1";

/// Most libraries that are followed; the largest programs have some hundred.
const MOST: usize = 2000;

/// Libraries that every process on glibc has, so that they never come or go with another.
const ALWAYS: [&str; 3] = ["libc.so.6", "ld-linux", "ld64.so"];

/// Bytes for thread-local storage that glibc 2.34 and later keep free at start-up: for the namespaces, and, by the
/// tunable `glibc.rtld.optional_static_tls`, for the rest. Measured on 2.36: 26 libraries of 64 bytes load.
const TLS_NAMESPACES: u64 = 1152;
const TLS_OPTIONAL: u64 = 512;

/// Everything that can be said of a library without loading it.
#[derive(Debug, Serialize)]
pub struct Inspection {
    /// Always [`SCHEMA`].
    pub schema: &'static str,
    /// The file, as given.
    pub path: String,
    /// Why it will not load here; empty when it should.
    pub problems: Vec<String>,
    /// Whether it will be unloaded.
    pub unload: Outlook,
    /// Libraries that it brings, each once, nearest first.
    pub needed: Vec<Needed>,
    /// How it uses static thread-local storage, where it does.
    pub static_tls: Option<StaticTls>,
    /// Number of exported symbols.
    pub export_count: usize,
    /// Their names.
    pub exports: Vec<String>,
    /// C library of this machine.
    pub host_libc: String,
    /// What the file says of itself.
    pub file: Facts,
}

/// Whether a library will be unloaded, as far as files tell.
#[derive(Debug, Serialize)]
pub struct Outlook {
    /// In a word.
    pub answer: Answer,
    /// Why it may stay: its own causes and those of what it brings.
    pub causes: Vec<Prediction>,
}

/// Will it be unloaded?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Nothing in the files speaks against it.
    Unloads,
    /// It depends on what is called.
    MayStay,
    /// It goes, something that it brings stays.
    Partial,
    /// It probably stays.
    ProbablyStays,
    /// It stays.
    Stays,
}

/// A library that is needed, directly or not.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Needed {
    /// Its name.
    pub name: String,
    /// File name of who needs it.
    pub by: String,
    /// Its file; `None` when it is not found.
    pub path: Option<String>,
    /// By what it was found.
    pub place: Option<Place>,
}

/// Static thread-local storage of a library that is opened at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StaticTls {
    /// Bytes, alignment included.
    pub bytes: u64,
    /// How many such libraries a process can hold, if nothing else takes of the room.
    pub at_most: u64,
}

/// Inspects the library at `path`.
///
/// # Errors
/// When the file can't be read, or is no ELF file.
pub fn inspect(path: &Path) -> Result<Inspection, InspectError> {
    let bytes = files::read_library(path).map_err(InspectError::Read)?;
    let file = Facts::parse(&bytes)?;
    let mut problems = Vec::new();
    if let Err(error) = check_loadable(&file, Host::CURRENT) {
        problems.push(error.to_string());
    }
    let foreign = !problems.is_empty();
    let static_tls = static_tls(&file);
    if let Some(tls) = static_tls.filter(|tls| tls.at_most == 0) {
        problems.push(format!(
            "it needs {} bytes of static thread-local storage and glibc leaves {} to libraries that are opened later: \
             start the program with it (LD_PRELOAD), or with GLIBC_TUNABLES=glibc.rtld.optional_static_tls={}",
            tls.bytes,
            TLS_NAMESPACES + TLS_OPTIONAL,
            tls.bytes
        ));
    }
    let mut causes = predictions(&file);
    let mut needed = Vec::new();
    // For another machine nothing would be found here, and that says nothing.
    if !foreign {
        let all = closure(path, &file);
        missing_versions(path, &file, &all, &mut problems);
        problems.extend(missing_symbols(&file, &all));
        for (entry, found) in all {
            if entry.path.is_none() {
                problems.push(format!(
                    "{} is not found (needed by {}): install it, or name its directory in LD_LIBRARY_PATH",
                    entry.name, entry.by
                ));
            }
            causes.extend(found.as_ref().into_iter().flat_map(of_dependency));
            needed.push(entry);
        }
    }
    causes.sort_by_key(|prediction| {
        (prediction.cause.object.is_some(), std::cmp::Reverse(prediction.certainty))
    });
    let exports: Vec<String> = file.exports().map(str::to_owned).collect();
    Ok(Inspection {
        schema: SCHEMA,
        path: path.to_string_lossy().into_owned(),
        problems,
        unload: Outlook { answer: answer(&causes), causes },
        needed,
        static_tls,
        export_count: exports.len(),
        exports,
        host_libc: glibc::version(),
        file,
    })
}

/// Why a file can't be inspected.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// It can't be read.
    #[error("{0}")]
    Read(std::io::Error),
    /// It is no ELF file.
    #[error("{0}")]
    Elf(#[from] ElfError),
}

/// All libraries that it brings, each once, breadth first as the loader does.
fn closure(path: &Path, file: &Facts) -> Vec<(Needed, Option<Found>)> {
    let search = Search::of_this_machine();
    let mut all: Vec<(Needed, Option<Found>)> = Vec::new();
    let mut seen: HashMap<String, ()> = HashMap::new();
    let mut row: VecDeque<(PathBuf, Facts, Vec<PathBuf>)> = VecDeque::new();
    row.push_back((path.to_path_buf(), file.clone(), Vec::new()));
    while let Some((path, facts, above)) = row.pop_front() {
        for name in &facts.needed {
            if all.len() == MOST || seen.insert(name.clone(), ()).is_some() {
                continue;
            }
            let found = search.find(name, &path, &facts, &above);
            let entry = Needed {
                name: name.clone(),
                by: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                path: found.as_ref().map(|found| found.path.to_string_lossy().into_owned()),
                place: found.as_ref().map(|found| found.place),
            };
            if let Some(found) = &found {
                let mut rpaths = search::rpath(&path, &facts);
                rpaths.extend(above.iter().cloned());
                row.push_back((found.path.clone(), found.facts.clone(), rpaths));
            }
            all.push((entry, found));
        }
    }
    all
}

/// Symbol versions that a library needs and the file found for it has not. A version that is defined is a text of its
/// own in the file.
fn missing_versions(path: &Path, file: &Facts, all: &[(Needed, Option<Found>)], problems: &mut Vec<String>) {
    let file_name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let itself = (file_name(path), file);
    let others = all.iter().filter_map(|(_, found)| found.as_ref()).map(|f| (file_name(&f.path), &f.facts));
    for (by, facts) in std::iter::once(itself).chain(others) {
        for need in &facts.versions {
            let provider = all.iter().find(|(entry, _)| entry.name == need.library);
            let Some((entry, Some(found))) = provider else { continue };
            let text = [b"\0", need.version.as_bytes(), b"\0"].concat();
            if memchr::memmem::find(&found.bytes, &text).is_some() {
                continue;
            }
            let here = match need.version.starts_with("GLIBC_") {
                true => format!("this host has {}", glibc::version()),
                false => format!("{} has not", found.path.display()),
            };
            problems.push(format!(
                "{by} needs {} of {}, {here}: build it against an older one, or update {0}",
                need.version, entry.name
            ));
        }
    }
    problems.dedup();
}

/// Symbols that neither the library nor one that it brings has; not told where one of those is not found, which would
/// explain all of them.
fn missing_symbols(file: &Facts, all: &[(Needed, Option<Found>)]) -> Option<String> {
    let brought: Option<Vec<&Facts>> =
        all.iter().map(|(_, found)| found.as_ref().map(|found| &found.facts)).collect();
    let brought = brought?;
    let has = |name: &&str| brought.iter().any(|facts| facts.has_export(name)) || file.has_export(name);
    let mut missing = file.required().filter(|name| !has(name));
    let first = missing.next()?;
    let and = match missing.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!(
        "it needs `{first}`{and}, which no library that it names has: it loads only into a program that has them, as a \
         plugin; or link it with the library they come from"
    ))
}

/// What a library that is brought adds to the outlook: only what keeps it loaded for sure or probably.
fn of_dependency(found: &Found) -> Vec<Prediction> {
    let path = found.path.to_string_lossy().into_owned();
    let name = found.facts.soname.clone().unwrap_or_else(|| path.clone());
    if ALWAYS.iter().any(|always| name.starts_with(always)) {
        return Vec::new();
    }
    let stays = predictions(&found.facts).into_iter().find(|p| p.certainty >= Certainty::Likely);
    let Some(stays) = stays else { return Vec::new() };
    let cause = Cause {
        kind: "dependency-pinned".to_owned(),
        detail: format!("{name} stays when this library goes ({}): {}", stays.cause.kind, stays.cause.detail),
        object: Some(path),
    };
    vec![Prediction { cause, certainty: stays.certainty }]
}

fn answer(causes: &[Prediction]) -> Answer {
    let own = causes.iter().filter(|p| p.cause.object.is_none()).map(|p| p.certainty).max();
    match own {
        Some(Certainty::Certain) => Answer::Stays,
        Some(Certainty::Likely) => Answer::ProbablyStays,
        _ if causes.iter().any(|p| p.cause.object.is_some()) => Answer::Partial,
        Some(Certainty::Possible) => Answer::MayStay,
        None => Answer::Unloads,
    }
}

fn static_tls(file: &Facts) -> Option<StaticTls> {
    let tls = file.tls.filter(|_| file.static_tls())?;
    let bytes = tls.size.checked_next_multiple_of(tls.align.max(1)).unwrap_or(tls.size);
    // x86-64 and its kind; other machines keep a little more or less for themselves.
    let room = TLS_NAMESPACES + TLS_OPTIONAL;
    Some(StaticTls { bytes, at_most: room.checked_div(bytes).unwrap_or(0) })
}

impl Inspection {
    /// The machine, as people know it.
    pub fn machine(&self) -> Machine {
        self.file.machine
    }

    /// The C library that it was linked against, in words.
    pub fn libc(&self) -> String {
        match &self.file.libc {
            Libc::Glibc { at_least: Some(version) } => format!("built for glibc {version} or later"),
            Libc::Glibc { at_least: None } => "built for glibc".to_owned(),
            Libc::Musl => "built for musl".to_owned(),
            Libc::Bionic => "built for Android (bionic)".to_owned(),
            Libc::None => "for any C library".to_owned(),
        }
    }
}
