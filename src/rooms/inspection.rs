//! An inspection for a terminal: the two answers that people come for first, then what the file is, needs and offers.

use crate::elf::{Certainty, Relro};
use crate::inspect::{Answer, Inspection, Needed};
use crate::record::Language;
use dlsoak_report::summary::Mark;
use dlsoak_report::terminal::{paint, wrap};
use dlsoak_report::{built, units};

/// Exports that are listed where not all are asked for.
const FIRST: usize = 8;

/// Where values begin.
const INDENT: &str = "                ";

/// The whole text; ends with a newline. `all` lists all exports.
pub fn render(found: &Inspection, width: u16, color: bool, all: bool) -> String {
    let mut out = format!("{}\n\n", units::printable(&found.path));
    let mut row = |name: &str, value: &str| {
        wrap(&mut out, &format!("{name:<16}"), INDENT, value, width);
    };
    let (word, mark) = outlook(found.unload.answer);
    row("will it unload", &painted(word, mark, color));
    for prediction in &found.unload.causes {
        let certainty = match prediction.certainty {
            Certainty::Certain => "",
            Certainty::Likely => "likely, ",
            Certainty::Possible => "possible, ",
        };
        row("", &format!("- {certainty}{}: {}", prediction.cause.kind, prediction.cause.detail));
    }
    let loads = found.problems.is_empty();
    let answer = if loads { "yes, as far as files tell" } else { "no" };
    row("will it load", &painted(answer, if loads { Mark::Pass } else { Mark::Fail }, color));
    for problem in &found.problems {
        row("", &format!("- {problem}"));
    }
    let file = &found.file;
    row("machine", &format!("{}, {}; this host has {}", found.machine(), found.libc(), found.host_libc));
    row("language", &language(found));
    row("built with", &built::told(&file.toolchain));
    row("build-id", file.build_id.as_deref().unwrap_or("none"));
    if let Some(soname) = &file.soname {
        row("soname", soname);
    }
    row("runs", &runs(found));
    row("thread-local", &thread_local(found));
    row("hardening", &hardening(found));
    row("versions", &versions(found));
    for (index, needed) in found.needed.iter().enumerate() {
        row(if index == 0 { "needs" } else { "" }, &needs(needed, &found.path));
    }
    if found.needed.is_empty() {
        row("needs", "nothing");
    }
    row("takes", &format!("{} from other libraries", symbols(file.imports)));
    row("exports", &symbols(found.export_count));
    let shown = if all { found.exports.len() } else { FIRST };
    for name in found.exports.iter().take(shown) {
        row("", name);
    }
    if found.exports.len() > shown {
        row("", &format!("and {} more: -v lists all", units::count((found.exports.len() - shown) as u64)));
    }
    out
}

fn symbols(count: usize) -> String {
    format!("{} symbol{}", units::count(count as u64), if count == 1 { "" } else { "s" })
}

fn painted(text: &str, mark: Mark, color: bool) -> String {
    if color { paint(text, mark, true) } else { text.to_owned() }
}

fn outlook(answer: Answer) -> (&'static str, Mark) {
    match answer {
        Answer::Unloads => ("yes: nothing in the files speaks against it", Mark::Pass),
        Answer::MayStay => ("yes, unless it is used in one of these ways", Mark::Pass),
        Answer::Partial => ("yes, but something that it brings stays", Mark::Undecided),
        Answer::ProbablyStays => ("probably not", Mark::Undecided),
        Answer::Stays => ("no", Mark::Fail),
    }
}

fn language(found: &Inspection) -> String {
    let name = match found.file.language {
        Language::C => "C",
        Language::Cpp => "C++",
        Language::Rust => "Rust",
        Language::Go => "Go",
        Language::Unknown => "the file does not tell",
    };
    match &found.file.producer {
        Some(producer) => format!("{name} ({producer})"),
        None => name.to_owned(),
    }
}

/// What runs when it is loaded and unloaded.
fn runs(found: &Inspection) -> String {
    let file = &found.file;
    let side = |function: bool, name: &str, array: u64, what: &str| {
        let mut parts = Vec::new();
        if function {
            parts.push(name.to_owned());
        }
        if array > 0 {
            parts.push(format!("{array} {what}{}", if array == 1 { "" } else { "s" }));
        }
        if parts.is_empty() { "nothing".to_owned() } else { parts.join(" and ") }
    };
    format!(
        "at load {}, at unload {}",
        side(file.init, "DT_INIT", file.init_array, "constructor"),
        side(file.fini, "DT_FINI", file.fini_array, "destructor")
    )
}

fn thread_local(found: &Inspection) -> String {
    let Some(tls) = found.file.tls else {
        return "none".to_owned();
    };
    let size = format!("{}, aligned to {}", units::bytes(tls.size as f64), tls.align);
    match found.static_tls {
        None => format!("{size}, allocated when a thread touches it"),
        Some(fixed) => format!(
            "{size}, static: it must lie in the block that each thread has from its start, of which glibc leaves \
             1,664 B to libraries that are opened later: at most {} such libraries \
             (GLIBC_TUNABLES=glibc.rtld.optional_static_tls=N gives N instead of 512 B of it)",
            units::count(fixed.at_most)
        ),
    }
}

fn hardening(found: &Inspection) -> String {
    let file = &found.file;
    let relro = match file.relro {
        Relro::None => "no RELRO",
        Relro::Partial => "partial RELRO",
        Relro::Full => "full RELRO",
    };
    let stack = if file.executable_stack {
        "an executable stack, which every thread of the host then has"
    } else {
        "no executable stack"
    };
    let text = if file.text_relocations {
        "text relocations: the loader rewrites its code, so each process has it in memory of its own"
    } else {
        "no text relocations"
    };
    format!("{relro}, {stack}, {text}")
}

/// The newest version required of each library: it includes those before it.
fn versions(found: &Inspection) -> String {
    let mut newest: Vec<(&str, &str, &str)> = Vec::new();
    for need in &found.file.versions {
        let (family, _) = need.version.rsplit_once('_').unwrap_or((&need.version, ""));
        match newest.iter_mut().find(|(library, known, _)| *library == need.library && *known == family) {
            Some((_, _, version)) => {
                if number(&need.version) > number(version) {
                    *version = &need.version;
                }
            }
            None => newest.push((&need.library, family, &need.version)),
        }
    }
    if newest.is_empty() {
        return "none required".to_owned();
    }
    let texts: Vec<_> =
        newest.iter().map(|(library, _, version)| format!("{version} of {library}")).collect();
    texts.join(", ")
}

/// The numbers in a version's name, to compare by.
fn number(version: &str) -> Vec<u32> {
    let (_, numbers) = version.rsplit_once('_').unwrap_or(("", version));
    numbers.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

fn needs(needed: &Needed, path: &str) -> String {
    let by = if path.ends_with(&needed.by) { String::new() } else { format!(", for {}", needed.by) };
    match (&needed.path, needed.place) {
        (Some(path), Some(place)) => format!("{} => {path} ({}){by}", needed.name, place.name()),
        _ => format!("{} => not found{by}", needed.name),
    }
}
