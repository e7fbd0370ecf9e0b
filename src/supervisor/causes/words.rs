//! Puts each cause into words: the evidence, then the mend. One place, so that a soak and a prediction from the file
//! say the same.

use super::diagnosis::Diagnosis;
use super::graph::Object;
use crate::elf::Facts;
use crate::record::{Cause, UnloadState};

fn cause(kind: &str, detail: String) -> Cause {
    Cause { kind: kind.to_owned(), detail, object: None }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// `` `name` ``, or what stands for a symbol that the log does not name.
fn quoted(symbol: Option<&str>) -> String {
    symbol.map_or_else(|| "one of its symbols".to_owned(), |symbol| format!("`{symbol}`"))
}

pub(super) fn already_loaded() -> Cause {
    let detail = "it was in the process before the first open: the worker itself needs it";
    cause("already-loaded", detail.to_owned())
}

pub(super) fn nodelete_by_caller() -> Cause {
    let detail =
        "this soak opens it with RTLD_NODELETE (--flags nodelete): dlclose never unloads it; open it without";
    cause("nodelete-runtime", detail.to_owned())
}

pub(super) fn nodelete_runtime() -> Cause {
    let detail = "the loader marked it NODELETE because a dlopen asked for RTLD_NODELETE, and it was not this soak's: \
                  the library, or one that it brings, opens it so; look for dlopen with RTLD_NODELETE and drop the flag";
    cause("nodelete-runtime", detail.to_owned())
}

pub(super) fn unique(symbol: Option<&str>, facts: Option<&Facts>) -> Cause {
    let count = facts.map_or(0, |facts| facts.unique_symbols.len());
    let of = if count > 1 { format!(", one of {count}") } else { String::new() };
    let detail = format!(
        "the loader looked up its STB_GNU_UNIQUE symbol {}{of}: of such a symbol there is one in the process, and who \
         defines the one that is used stays; compile with -fno-gnu-unique, or do not export it: \
         by a version script, or -fvisibility=hidden where it is not of the standard library's headers",
        quoted(symbol)
    );
    cause("unique", detail)
}

pub(super) fn tls_destructor(count: u64, threads: u64) -> Cause {
    let (destructors, were) = if count == 1 { ("destructor", "is") } else { ("destructors", "are") };
    let on = if threads == 1 {
        "a thread that still runs".to_owned()
    } else {
        format!("{threads} threads that still run")
    };
    let detail = format!(
        "{count} thread-local {destructors} of it {were} pending on {on}: it stays until they have run, when the \
         thread ends; use it on threads that end before the last dlclose, or keep thread-locals without a destructor \
         (Rust: no Drop in thread_local!; C++: a trivially destructible type)"
    );
    cause("tls-destructor", detail)
}

pub(super) fn main_program(symbol: Option<&str>) -> Cause {
    let detail = format!(
        "the program itself was bound to {} of it: an object that the program uses stays; open it with RTLD_LOCAL",
        quoted(symbol)
    );
    cause("relocation-dependency", detail)
}

pub(super) fn memory() -> Cause {
    cause("unknown", "the loader had no memory to note a dependency, and keeps it to be safe".to_owned())
}

pub(super) fn relocation_dependency(by: &str, symbol: Option<&str>, root: Option<&str>, why: &str) -> Cause {
    let detail = format!(
        "{} was bound to {} of it and stays{}: {why}; or do not export the symbol (a version script; for C++ \
         -fvisibility-inlines-hidden), so that {} binds to its own",
        file_name(by),
        quoted(symbol),
        kept_by(root),
        file_name(by),
    );
    Cause { object: Some(by.to_owned()), ..cause("relocation-dependency", detail) }
}

pub(super) fn needed_by(by: &str, root: Option<&str>, why: &str) -> Cause {
    let detail = format!("{} needs it (DT_NEEDED) and stays{}: {why}", file_name(by), kept_by(root));
    Cause { object: Some(by.to_owned()), ..cause("needed-by", detail) }
}

fn kept_by(root: Option<&str>) -> String {
    root.map_or_else(String::new, |root| format!(", since {} does", file_name(root)))
}

pub(super) fn extra_reference(count: u64, released: u32) -> Cause {
    let handles = if count == 1 { "1 handle was".to_owned() } else { format!("{count} handles were") };
    let proof = match released {
        0 => String::new(),
        1 => "; one dlclose more unloaded it".to_owned(),
        more => format!("; {more} dlclose more unloaded it"),
    };
    let detail = format!(
        "{handles} still open when this soak had closed its own{proof}: the library, or one that it brings, opens it \
         with dlopen and does not close it; have it call dlclose for each dlopen"
    );
    cause("extra-reference", detail)
}

pub(super) fn left_open() -> Cause {
    let detail = "it was opened with dlopen, by the library or one that it brings, and never closed; have it call \
                  dlclose for each dlopen";
    cause("extra-reference", detail.to_owned())
}

pub(super) fn dependency_pinned(name: &str, kind: &str, others: &[&str]) -> Cause {
    let others: Vec<_> = others.iter().map(|name| file_name(name)).collect();
    let with = match others.as_slice() {
        [] => String::new(),
        names => format!(" and keeps {}", names.join(", ")),
    };
    let detail = format!(
        "the library went, {} stays ({kind}){with}: a host that links it itself, or opens it first, has it once and \
         for all",
        file_name(name)
    );
    cause("dependency-pinned", detail)
}

/// The last resort: what was ruled out.
pub(super) fn unknown(state: UnloadState, diagnosis: &Diagnosis, objects: &[Object]) -> Cause {
    let cycles = diagnosis.cycles;
    let went = match state {
        UnloadState::Pinned => !objects.iter().any(|o| o.is_library) || diagnosis.left.is_empty(),
        _ => diagnosis.left.is_empty(),
    };
    let detail = match &diagnosis.problem {
        Some(problem) => format!("the diagnostic soak failed after {cycles} cycles: {problem}"),
        None if went => format!(
            "a diagnostic soak of {cycles} cycles left nothing behind: it stays only later, or now and then; soak it \
             with more or fewer cycles and threads to see when"
        ),
        None => format!(
            "ruled out by a diagnostic soak of {cycles} cycles: NODELETE in the file or at run time, a unique symbol, \
             a pending thread-local destructor, a handle left open, another object that was bound to it or needs it; \
             run it under LD_DEBUG=all and gdb"
        ),
    };
    cause("unknown", detail)
}
