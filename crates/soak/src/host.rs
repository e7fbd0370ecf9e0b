//! The host that a library is soaked in: what it links and holds, by the files that the loader of this machine would find.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::driver;
use crate::elf::{self, Closure, ExportKind, Facts, Need, Search, is_everywhere};
use crate::fault::Fault;
use crate::record::Mode;
use crate::settings::units::printable;
use crate::settings::{Hold, HostKind, Libc, Program};
use crate::stand_in::StandIn;
use crate::suite::plan::SoakPlan;
use crate::sys::c_library;

/// Parts of the C library and of the compiler's, which a leak, a residue or a pin is never the fault of.
const OF_C: [&str; 8] = [
    "libm.so.6",
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
    "libutil.so.1",
    "libresolv.so.2",
    "libanl.so.1",
    "libgcc_s.so.1",
];

/// The runtime of C++.
const CXX: &str = "libstdc++.so.6";

/// Whether it can be at fault for what a library leaves behind.
fn may_be_at_fault(name: &str) -> bool {
    !is_everywhere(name) && !OF_C.iter().any(|part| name.starts_with(part))
}

/// The plan with the host that its settings ask for.
///
/// # Errors
/// When a library that the host is to hold or link is not there, or none of them has a function that is to be called.
pub fn resolve(plan: &SoakPlan) -> Result<SoakPlan, Fault> {
    let mut plan = plan.clone();
    let all: Vec<(PathBuf, Facts)> = readable(&plan).map(|(path, facts)| (path.to_owned(), facts)).collect();
    plan.libc = c_library_of(&plan, &all)?;
    let holds = plan.asked.hold.clone().unwrap_or_default();
    plan.kind = HostKind::C;
    // In a namespace of its own a library finds nothing that the host has.
    if plan.mode != Mode::Namespace && !all.is_empty() {
        plan.needs_cxx = all.iter().any(|(path, facts)| needs_cxx(path, facts));
        let needed = all.iter().flat_map(|(_, facts)| &facts.needed);
        plan.needed = needed.filter(|name| may_be_at_fault(name)).cloned().collect();
        plan.kind = match plan.asked.host_kind.unwrap_or_default() {
            HostKind::Auto if plan.needs_cxx => HostKind::Cxx,
            HostKind::Auto => HostKind::C,
            kind => kind,
        };
    }
    if !plan.together.is_empty() {
        // In another host each library would be another one; one alone shows there what is its dependency's.
        (plan.needs_cxx, plan.needed) = (false, Vec::new());
    }
    for hold in &holds {
        match hold {
            Hold::Library { library, linked } => {
                let file = found(library, &plan)?;
                if *linked { plan.linked.push(file) } else { plan.held.push(file) }
            }
            Hold::Dependencies => {
                plan.linked.extend(needed(&plan).into_iter().map(|(_, file)| file));
            }
        }
    }
    plan.plain |= plan.linked.iter().any(|file| defines_malloc(file));
    driver::choose(&mut plan, all.first().map(|(_, facts)| facts))?;
    match plan.host.clone() {
        None => link_kind(&mut plan),
        Some(program) => stand_in(&mut plan, &program)?,
    }
    has_functions(&plan)?;
    Ok(plan)
}

/// The C library that a plan's libraries need: that of the first one which needs one.
///
/// # Errors
/// Where this machine does not have it, or it has not what the mode needs.
pub fn c_library(plan: &SoakPlan) -> Result<Libc, Fault> {
    let all: Vec<(PathBuf, Facts)> = readable(plan).map(|(path, facts)| (path.to_owned(), facts)).collect();
    c_library_of(plan, &all)
}

fn c_library_of(plan: &SoakPlan, all: &[(PathBuf, Facts)]) -> Result<Libc, Fault> {
    let needed = all.iter().find_map(|(path, facts)| match facts.libc {
        elf::Libc::Glibc { .. } => Some((path, Libc::Glibc)),
        elf::Libc::Musl => Some((path, Libc::Musl)),
        elf::Libc::Bionic | elf::Libc::None => None,
    });
    let libc = plan.asked.libc.or(needed.as_ref().map(|(_, libc)| *libc));
    let libc = libc.unwrap_or_else(c_library::of_this_machine);
    if !c_library::is_here(libc) {
        return Err(missing(needed.map_or(plan.path.as_path(), |(path, _)| path.as_path()), libc));
    }
    if libc == Libc::Musl && plan.mode == Mode::Namespace {
        return Err(Fault::new("musl has no namespaces for mode `namespace`; remove mode, or soak on glibc"));
    }
    Ok(libc)
}

/// Why a library can't be soaked on a C library that this machine does not have.
fn missing(path: &Path, libc: Libc) -> Fault {
    let install = match libc {
        Libc::Glibc => "glibc (Debian, Ubuntu: apt install libc6)",
        Libc::Musl => "musl (Debian, Ubuntu: apt install musl)",
    };
    Fault::new(format!(
        "{}: a soak on {libc} needs its loader {}, which is not on this machine; install {install}",
        printable(&path.to_string_lossy()),
        c_library::loader(libc)
    ))
}

/// Links what this program links, ahead of all else, and what stands in for the program.
fn stand_in(plan: &mut SoakPlan, program: &Program) -> Result<(), Fault> {
    let others = plan.held.iter().chain(&plan.linked).map(PathBuf::as_path).chain(plan.files().skip(1));
    let others: Vec<PathBuf> = others.map(Path::to_owned).collect();
    let StandIn { stubs, linked, allocates } = StandIn::new(program, &plan.path, &others)?;
    let is_cxx = |file: &PathBuf| file.file_name().is_some_and(|name| name == CXX);
    plan.kind = if linked.iter().any(is_cxx) { HostKind::Cxx } else { HostKind::C };
    // The host is what it is: how the library is in another kind does not matter.
    plan.needs_cxx = false;
    plan.stubs = stubs.map(Arc::new);
    plan.plain |= allocates;
    plan.linked.splice(..0, linked);
    Ok(())
}

/// Links what a host of the plan's kind links: behind all else, as a compiler does.
fn link_kind(plan: &mut SoakPlan) {
    let is_there = |file: &PathBuf| file.file_name().is_some_and(|name| name == CXX);
    if plan.kind == HostKind::Cxx && !plan.linked.iter().any(is_there) {
        plan.linked.push(PathBuf::from(CXX));
    }
}

/// The same plan for a host of the other kind.
pub(crate) fn of_other_kind(plan: &SoakPlan) -> SoakPlan {
    let mut other = plan.clone();
    other.kind = if plan.kind == HostKind::Cxx { HostKind::C } else { HostKind::Cxx };
    other.asked.host_kind = Some(other.kind);
    if other.kind == HostKind::C {
        other.linked.retain(|file| file.as_path() != Path::new(CXX));
    }
    link_kind(&mut other);
    other
}

/// The same plan for a host that links these libraries, too; `plain` where one of them may define malloc.
pub(crate) fn linking(plan: &SoakPlan, files: &[PathBuf], plain: bool) -> SoakPlan {
    let mut other = plan.clone();
    let new = files.iter().filter(|file| !plan.linked.contains(file)).cloned();
    other.linked = new.chain(plan.linked.iter().cloned()).collect();
    other.plain |= plain;
    other
}

fn needs_cxx(path: &Path, facts: &Facts) -> bool {
    let is_cxx = |name: &str| name.starts_with("libstdc++.so");
    if facts.needed.iter().any(|name| is_cxx(name)) {
        return true;
    }
    // The C library needs nothing of the kind, so no file is read for what needs the C library alone.
    facts.needed.iter().any(|name| may_be_at_fault(name))
        && Closure::of(path, facts).any(|need| is_cxx(&need.name))
}

/// What a library needs, as files, in its order.
fn directly_needed(path: &Path, facts: &Facts) -> Vec<(String, PathBuf)> {
    let direct = Closure::of(path, facts).take(facts.needed.len());
    let direct = direct.filter(|need| need.by == path && !is_everywhere(&need.name));
    direct.filter_map(|need| Some((need.name, need.found?.path))).collect()
}

/// The files that a cycle of a plan may open, with what they say. What can't be read the loader refuses, and says why.
fn readable(plan: &SoakPlan) -> impl Iterator<Item = (&Path, Facts)> {
    plan.files().filter_map(|path| Some((path, elf::facts_of(path)?)))
}

/// What a library needs itself, as files with their names; nothing where it can't be read.
pub(crate) fn needed(plan: &SoakPlan) -> Vec<(String, PathBuf)> {
    let mut all: Vec<(String, PathBuf)> = Vec::new();
    for need in readable(plan).flat_map(|(path, facts)| directly_needed(path, &facts)) {
        if !all.contains(&need) {
            all.push(need);
        }
    }
    all
}

/// All that a library brings and that may be at fault, as files with their names: each after all that it needs itself. And whether any of
/// them defines malloc.
pub(crate) fn brought(plan: &SoakPlan) -> (Vec<(String, PathBuf)>, bool) {
    let mut has_malloc = false;
    let mut all: Vec<(String, PathBuf, Vec<String>)> = Vec::new();
    for (path, facts) in readable(plan) {
        for Need { name, found, .. } in Closure::of(path, &facts) {
            let Some(found) = found.filter(|found| all.iter().all(|(_, known, _)| *known != found.path))
            else {
                continue;
            };
            has_malloc |= !is_everywhere(&name) && found.facts.export("malloc") == Some(ExportKind::Function);
            all.push((name, found.path, found.facts.needed));
        }
    }
    let mut sorted: Vec<usize> = Vec::new();
    let mut seen = vec![false; all.len()];
    for first in 0..all.len() {
        // Depth first, without recursion: a closure may be hundreds deep.
        let mut stack = vec![(first, false)];
        while let Some((index, needs_are_done)) = stack.pop() {
            if needs_are_done {
                sorted.push(index);
            } else if !std::mem::replace(&mut seen[index], true) {
                stack.push((index, true));
                let (_, _, needed) = &all[index];
                let of_name = |name: &String| all.iter().position(|(other, ..)| other == name);
                stack.extend(
                    needed.iter().filter_map(of_name).filter(|need| !seen[*need]).map(|need| (need, false)),
                );
            }
        }
    }
    let files = sorted.into_iter().map(|index| (all[index].0.clone(), all[index].1.clone()));
    (files.filter(|(name, _)| may_be_at_fault(name)).collect(), has_malloc)
}

/// The file that the loader takes for a library to hold, or its name where only the measured process's environment says where it is.
fn found(library: &Path, plan: &SoakPlan) -> Result<PathBuf, Fault> {
    let shown = printable(&library.to_string_lossy());
    let is_path = library.as_os_str().as_encoded_bytes().contains(&b'/');
    if is_path {
        let absolute =
            std::path::absolute(library).map_err(|error| Fault::new(format!("{shown}: {error}")))?;
        return if absolute.is_file() {
            Ok(absolute)
        } else {
            Err(Fault::new(format!("{shown}: there is no such library to hold; check the path")))
        };
    }
    if plan.env.contains_key("LD_LIBRARY_PATH") {
        // The loader of the measured process knows better.
        return Ok(library.to_owned());
    }
    match Search::of_this_machine().by_name(&library.to_string_lossy()) {
        Some(found) => Ok(found.path),
        None if library.is_file() => Err(Fault::new(format!(
            "{shown}: the loader finds no library of this name to hold; write ./{shown} for the file in this directory"
        ))),
        None => Err(Fault::new(format!(
            "{shown}: the loader finds no library of this name to hold; check the name, or give the path of the file"
        ))),
    }
}

/// A library and all that it brings; nothing where it can't be read.
fn with_needs(file: &Path) -> impl Iterator<Item = Facts> {
    let facts = elf::facts_of(file);
    let needs = facts.clone().into_iter().flat_map({
        let file = file.to_owned();
        move |facts| Closure::of(&file, &facts)
    });
    facts
        .into_iter()
        .chain(needs.filter(|need| !is_everywhere(&need.name)).filter_map(|need| Some(need.found?.facts)))
}

/// Whether the process's allocator is another one once this is linked.
pub(crate) fn defines_malloc(file: &Path) -> bool {
    let own = |facts: &Facts| facts.soname.as_deref().is_some_and(is_everywhere);
    with_needs(file).any(|facts| !own(&facts) && facts.export("malloc") == Some(ExportKind::Function))
}

/// Whether what is held has the functions that are called after each close. Where a file can't be read, the loader says so.
fn has_functions(plan: &SoakPlan) -> Result<(), Fault> {
    let files: Vec<&PathBuf> = plan.held.iter().chain(&plan.linked).collect();
    if plan.after.is_empty() || files.iter().any(|file| !file.is_file()) {
        return Ok(());
    }
    for call in &plan.after {
        let name = &call.symbol;
        let kind = files.iter().find_map(|file| with_needs(file).find_map(|facts| facts.export(name)));
        match kind {
            Some(ExportKind::Data) => {
                return Err(Fault::new(format!(
                    "after: `{name}` is data, not a function, so it can't be called"
                )));
            }
            Some(_) => {}
            None => return Err(no_function(name)),
        }
    }
    Ok(())
}

/// What is wrong where nothing that is held has a function.
pub(crate) fn no_function(name: &str) -> Fault {
    Fault::new(format!(
        "after: no library that the host holds exports `{name}`; check the name, or hold the library that has it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use crate::suite::plan::Plan;

    fn plan(settings: serde_json::Value) -> SoakPlan {
        let settings: Settings = serde_json::from_value(settings).unwrap();
        // A file that needs the C library, and no C++.
        let own = std::env::current_exe().unwrap();
        Plan::from_paths(&[own], &settings).unwrap().soaks.remove(0)
    }

    #[test]
    fn the_c_library_is_the_one_that_is_asked_for_or_needed() {
        let plan = |path: &str, settings: serde_json::Value| {
            let settings: Settings = serde_json::from_value(settings).unwrap();
            Plan::from_paths(&[path.into()], &settings).unwrap().soaks.remove(0)
        };
        // What can't be read needs nothing.
        assert_eq!(c_library(&plan("/no/such.so", serde_json::json!({}))), Ok(c_library::of_this_machine()));
        let needing = |libc| Facts { libc, ..elf::facts_of(&std::env::current_exe().unwrap()).unwrap() };
        let chosen = |libcs: &[elf::Libc], settings| {
            let all: Vec<_> =
                libcs.iter().map(|libc| (PathBuf::from("a.so"), needing(libc.clone()))).collect();
            let (asked, found) =
                (plan("a.so", settings), c_library_of(&plan("a.so", serde_json::json!({})), &all));
            (found, c_library_of(&asked, &all))
        };
        let glibc = elf::Libc::Glibc { at_least: None };
        let on_glibc = serde_json::json!({ "libc": "glibc" });
        if c_library::is_here(Libc::Musl) {
            let found = chosen(&[elf::Libc::None, elf::Libc::Musl, glibc.clone()], on_glibc.clone());
            assert_eq!(found, (Ok(Libc::Musl), Ok(Libc::Glibc)));
        } else {
            let (found, asked) = chosen(&[elf::Libc::Musl], on_glibc.clone());
            assert_eq!((found, asked), (Err(missing(Path::new("a.so"), Libc::Musl)), Ok(Libc::Glibc)));
        }
        assert_eq!(chosen(&[glibc], on_glibc), (Ok(Libc::Glibc), Ok(Libc::Glibc)));
        let said = missing(Path::new("/l/a.so"), Libc::Musl).to_string();
        assert!(
            said.starts_with("/l/a.so: ") && said.contains("ld-musl-") && said.contains("apt install musl")
        );
    }

    #[test]
    fn a_host_of_either_kind_links_what_that_kind_links() {
        let c = resolve(&plan(serde_json::json!({}))).unwrap();
        assert_eq!((c.kind, c.linked.len(), c.needs_cxx), (HostKind::C, 0, false));
        let cxx = resolve(&plan(serde_json::json!({ "host-kind": "c++" }))).unwrap();
        assert_eq!((cxx.kind, &cxx.linked[..]), (HostKind::Cxx, &[PathBuf::from(CXX)][..]));
        assert_eq!(of_other_kind(&cxx).linked, c.linked);
        assert_eq!(of_other_kind(&c).linked, cxx.linked);
        let both = linking(&cxx, &["/l/liba.so".into(), CXX.into()], false);
        assert_eq!(both.linked, ["/l/liba.so", CXX].map(PathBuf::from));
    }

    #[test]
    fn what_is_held_is_found_or_named() {
        let held = |hold: &str| resolve(&plan(serde_json::json!({ "hold": [hold] })));
        let libc = held("libc.so.6").unwrap();
        assert!(libc.held[0].is_absolute() && libc.linked.is_empty(), "{:?}", libc.held);
        assert!(held("libc.so.6:link").unwrap().held.is_empty());
        for (hold, part) in [
            ("./no/such.so", "./no/such.so: there is no such library to hold"),
            ("libno-such.so.9", "finds no library of this name to hold; check the name"),
            ("Cargo.toml", "write ./Cargo.toml"),
        ] {
            let fault = held(hold).unwrap_err().to_string();
            assert!(fault.contains(part), "{fault}");
        }
        let after =
            |call: &str| resolve(&plan(serde_json::json!({ "hold": ["libc.so.6"], "after": [call] })));
        assert!(after("abs(-1)").is_ok());
        for (call, part) in [("no_such()", "exports `no_such`"), ("environ()", "is data")] {
            let fault = after(call).unwrap_err().to_string();
            assert!(fault.contains(part), "{fault}");
        }
    }

    #[test]
    fn what_is_brought_comes_after_what_it_needs() {
        let search = Search::of_this_machine();
        let own = std::env::current_exe().unwrap();
        let facts = elf::parse(&std::fs::read(&own).unwrap()).unwrap();
        let cxx = search.find(CXX, &own, &facts, &[]).unwrap();
        // It needs parts of C alone, which are at no fault.
        let of_cxx = SoakPlan { path: cxx.path.clone(), ..plan(serde_json::json!({})) };
        assert_eq!(brought(&of_cxx), (Vec::new(), false));
        assert!(directly_needed(&cxx.path, &cxx.facts).iter().any(|(name, _)| name == "libgcc_s.so.1"));
    }
}
