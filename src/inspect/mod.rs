//! Inspects a library's file and the files that it needs: will it unload, will it load here. dlsoak only reads them.

use std::path::Path;

use crate::driver;
use crate::elf::search::Found;
use crate::elf::{
    self, Closure, Facts, Host, Libc, Need, Unreadable, check_loadable, check_relocations, predictions,
};
use crate::record::inspection::{
    Answer, Inspection, Needed, Outlook, PluginInterface, Problem, SCHEMA, StaticTls,
};
use crate::record::{Cause, CauseFacts, Certainty, Prediction};
use crate::supervisor;
use crate::sys::glibc;

/// Most libraries that are followed; the largest programs have some hundred.
const MOST: usize = 2000;

/// Bytes for thread-local storage that glibc 2.34 and later keep free at start-up: for the namespaces, and, by the
/// tunable `glibc.rtld.optional_static_tls`, for the rest. Measured on 2.36: 26 libraries of 64 bytes load.
const TLS_NAMESPACES: u64 = 1152;
const TLS_OPTIONAL: u64 = 512;

/// Inspects the library at `path`.
///
/// # Errors
/// When the file can't be read, or is no ELF file.
pub fn inspect(path: &Path) -> Result<Inspection, InspectError> {
    let bytes = elf::read_library(path).map_err(InspectError::Read)?;
    let file = elf::parse(&bytes).map_err(InspectError::Elf)?;
    let mut problems: Vec<Problem> = check_loadable(&file, Host::CURRENT).err().into_iter().collect();
    let foreign = !problems.is_empty();
    let libc = supervisor::libc_for(&file);
    if !foreign {
        problems.extend(libc.as_ref().and_then(|libc| check_relocations(&file, libc).err()));
    }
    let static_tls = static_tls(&file);
    if let Some(tls) = static_tls.filter(|tls| tls.at_most == 0) {
        problems.push(Problem::StaticTls { bytes: tls.bytes, room: tls.room });
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
                problems.push(Problem::MissingLibrary { name: entry.name.clone(), by: entry.by.clone() });
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
        schema: SCHEMA.to_owned(),
        path: path.to_string_lossy().into_owned(),
        problems,
        unload: Outlook { answer: answer(&causes), causes },
        needed,
        static_tls,
        interface: interface(&file),
        export_count: exports.len(),
        exports,
        host_libc: libc.unwrap_or_else(glibc::version),
        file,
    })
}

/// The plugin interface that the file's exports name, and the driver that a soak would use.
fn interface(file: &Facts) -> Option<PluginInterface> {
    let (interface, symbol) = driver::interface_of(file)?;
    let known = interface.facts();
    let [title, symbol, driver] = [known.title, symbol, known.name].map(str::to_owned);
    Some(PluginInterface { title, symbol, driver, asked: known.keeps })
}

/// Why a file can't be inspected.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// It can't be read.
    #[error("{0}")]
    Read(std::io::Error),
    /// It can't be read as ELF.
    #[error("{}", crate::report::inspection::unreadable(.0))]
    Elf(Unreadable),
}

/// All libraries that it brings, each once, breadth first as the loader does.
fn closure(path: &Path, file: &Facts) -> Vec<(Needed, Option<Found>)> {
    let entry = |need: Need| {
        let found = need.found;
        let entry = Needed {
            name: need.name,
            by: need.by.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            path: found.as_ref().map(|found| found.path.to_string_lossy().into_owned()),
            place: found.as_ref().map(|found| found.place),
        };
        (entry, found)
    };
    Closure::of(path, file).take(MOST).map(entry).collect()
}

/// Symbol versions that a library needs and the file found for it has not. A version that is defined is a text in the file, or the end of
/// one: linkers keep `OMP_1.0` of libgomp as the end of `GOMP_1.0`.
fn missing_versions(path: &Path, file: &Facts, all: &[(Needed, Option<Found>)], problems: &mut Vec<Problem>) {
    let file_name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let itself = (file_name(path), file);
    let others = all.iter().filter_map(|(_, found)| found.as_ref()).map(|f| (file_name(&f.path), &f.facts));
    let users: Vec<(String, &Facts)> = std::iter::once(itself).chain(others).collect();
    // Each file is read once, and one at a time: some have 100 MB.
    for (entry, found) in all {
        let needs = users.iter().flat_map(|(by, facts)| facts.versions.iter().map(move |need| (by, need)));
        let needs: Vec<_> = needs.filter(|(_, need)| need.library == entry.name).collect();
        let Some(found) = found.as_ref().filter(|_| !needs.is_empty()) else { continue };
        let Ok(bytes) = elf::read_library(&found.path) else { continue };
        for (by, need) in needs {
            let text = [need.version.as_bytes(), b"\0"].concat();
            if memchr::memmem::find(&bytes, &text).is_some() {
                continue;
            }
            problems.push(Problem::MissingVersion {
                by: by.clone(),
                version: need.version.clone(),
                library: entry.name.clone(),
                path: found.path.to_string_lossy().into_owned(),
                glibc: need.version.starts_with("GLIBC_").then(glibc::version),
            });
        }
    }
    problems.dedup();
}

/// Symbols that neither the library nor one that it brings has. `None` where one of those is not found, because that would
/// explain all of them.
fn missing_symbols(file: &Facts, all: &[(Needed, Option<Found>)]) -> Option<Problem> {
    let brought: Option<Vec<&Facts>> =
        all.iter().map(|(_, found)| found.as_ref().map(|found| &found.facts)).collect();
    let brought = brought?;
    let has = |name: &&str| brought.iter().any(|facts| facts.has_export(name)) || file.has_export(name);
    let mut missing = file.required().filter(|name| !has(name));
    let first = missing.next()?;
    Some(Problem::MissingSymbols { first: first.to_owned(), count: 1 + missing.count() as u64 })
}

/// What a library that is brought adds to the outlook: only what keeps it loaded for sure or probably.
fn of_dependency(found: &Found) -> Vec<Prediction> {
    let path = found.path.to_string_lossy().into_owned();
    let name = found.facts.soname.clone().unwrap_or_else(|| path.clone());
    if elf::is_everywhere(&name) {
        return Vec::new();
    }
    let stays = predictions(&found.facts).into_iter().find(|p| p.certainty >= Certainty::Likely);
    let Some(stays) = stays else { return Vec::new() };
    let evidence = CauseFacts::DependencyPinned { cause: Box::new(stays.cause.facts), keeps: Vec::new() };
    let cause = Cause::of_object(evidence, path);
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
    // musl has no room for libraries that are opened.
    let tls = file.tls.filter(|_| file.static_tls() && file.libc != Libc::Musl)?;
    let bytes = tls.size.checked_next_multiple_of(tls.align.max(1)).unwrap_or(tls.size);
    // x86-64 and its kind; other machines keep a little more or less for themselves.
    let room = TLS_NAMESPACES + TLS_OPTIONAL;
    Some(StaticTls { bytes, room, at_most: room.checked_div(bytes).unwrap_or(0) })
}
