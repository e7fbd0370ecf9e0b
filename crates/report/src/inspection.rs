//! An inspection for a terminal: the two answers that people come for first, then what the file is, needs and offers.

use dlsoak_record::Certainty;
use dlsoak_record::Language;
use dlsoak_record::file::{Class, Content, Damage, Endian, Kind, Libc, Relro, Unreadable};
use dlsoak_record::inspection::{Answer, Inspection, Needed, PluginInterface, Problem};

use super::advice::Advice;
use super::summary::Mark;
use super::terminal::{painted, plain, wrap};
use super::words::{self, counted};
use super::{built, summary, units};

/// Exports that are listed where not all are asked for.
const FIRST: usize = 8;

/// Where values begin.
const INDENT: &str = "                ";

/// Bytes of static thread-local storage that glibc's tunable sets, by default.
const TLS_OPTIONAL: f64 = 512.0;

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
        let text = words::prediction(prediction);
        row("", &format!("- {certainty}{}: {}", prediction.cause.kind(), text.fact));
        for line in text.lines().skip(1) {
            row("", &format!("  {line}"));
        }
    }
    let (word, mark) = match found.problems.is_empty() {
        true => ("yes, as far as the files show", Mark::Pass),
        false => ("no", Mark::Fail),
    };
    row("will it load", &painted(word, mark, color));
    for found in &found.problems {
        let advice = problem(found);
        row("", &format!("- {}", advice.fact));
        if let Some(help) = advice.help {
            row("", &format!("help: {help}"));
        }
    }
    let file = &found.file;
    row("machine", &format!("{}, {} (this machine has {})", file.machine, libc(&file.libc), found.host_libc));
    row("language", &language(found));
    row("built with", &built::told(&file.toolchain));
    row("build-id", file.build_id.as_deref().unwrap_or("none"));
    if let Some(soname) = &file.soname {
        row("soname", soname);
    }
    row("runs", &runs(found));
    for (index, line) in thread_local(found).iter().enumerate() {
        row(if index == 0 { "thread-local" } else { "" }, line);
    }
    for (index, line) in hardening(found).iter().enumerate() {
        row(if index == 0 { "hardening" } else { "" }, line);
    }
    row("versions", &versions(found));
    for (index, needed) in found.needed.iter().enumerate() {
        row(if index == 0 { "needs" } else { "" }, &needs(needed, &found.path));
    }
    if found.needed.is_empty() {
        row("needs", "nothing");
    }
    if file.relr {
        row("relocations", "packed (DT_RELR), so it needs glibc 2.36 or musl 1.2.4");
    }
    row("imports", &format!("{} from other libraries", counted(file.imports as u64, "symbol")));
    if let Some(interface) = &found.interface {
        let PluginInterface { title, symbol, driver, asked } = interface;
        let how = if *asked {
            format!("--as {driver} uses its driver")
        } else {
            "dlsoak run uses its driver".to_owned()
        };
        row("interface", &format!("{title} ({symbol}); {how}"));
    }
    row("exports", &counted(found.export_count as u64, "symbol"));
    let shown = if all { found.exports.len() } else { FIRST };
    for name in found.exports.iter().take(shown) {
        row("", name);
    }
    if found.exports.len() > shown {
        let more = units::count((found.exports.len() - shown) as u64);
        row("", &format!("and {more} more (-v lists all)"));
    }
    out
}

/// The answers for several libraries, one a row; ends with a newline.
pub fn table(all: &[Inspection], width: u16) -> String {
    let row = |found: &Inspection| {
        let loads = match found.problems.as_slice() {
            [] => "yes".to_owned(),
            [one] => format!("no, {}", problem(one).fact),
            [first, rest @ ..] => {
                let more = counted(rest.len() as u64, "more problem");
                format!("no, {}; {more}", problem(first).fact)
            }
        };
        vec![units::printable(&found.path), language_name(found), unloads(found).to_owned(), loads]
    };
    let mut out = String::new();
    let titles = ["library", "lang", "unloads", "loads here"];
    plain::table(&mut out, &titles, all.iter().map(row).collect(), 0..0, width);
    out
}

/// The answer whether a library unloads, in one or two words.
fn unloads(found: &Inspection) -> &'static str {
    match found.unload.answer {
        Answer::Unloads => "yes",
        Answer::MayStay => "may stay",
        Answer::Partial => "partly",
        Answer::ProbablyStays => "probably not",
        Answer::Stays => "no",
    }
}

/// Why a library will not load here, and what to do.
pub fn problem(problem: &Problem) -> Advice {
    match problem {
        Problem::WrongMachine { machine, host } => Advice::new(
            format!("it is built for {machine}, and this machine is {host}"),
            format!("build it for {host}"),
        ),
        Problem::WrongEndian { endian, machine } => {
            let (its, ours) = match endian {
                Endian::Little => ("little", "big"),
                Endian::Big => ("big", "little"),
            };
            Advice::new(
                format!("it is built for a {its}-endian {machine}, and this machine is {ours}-endian"),
                "build it for this machine",
            )
        }
        Problem::WrongClass { class, machine } => {
            let (its, ours) = match class {
                Class::Bits32 => (32, 64),
                Class::Bits64 => (64, 32),
            };
            Advice::new(
                format!(
                    "it is built for {machine} with {its}-bit addresses, and dlsoak has {ours}-bit addresses"
                ),
                format!("build it with {ours}-bit addresses"),
            )
        }
        Problem::NotShared { kind } => not_shared(*kind),
        Problem::NoOpen => {
            Advice::new("it is linked with -z nodlopen, so dlopen refuses it", "link it without -z nodlopen")
        }
        Problem::StaticTls { bytes, room } => Advice::new(
            format!(
                "it needs {} of static thread-local storage, and glibc leaves {} to libraries opened at run time",
                units::bytes(*bytes as f64),
                units::bytes(*room as f64)
            ),
            format!(
                "start the program with GLIBC_TUNABLES=glibc.rtld.optional_static_tls={bytes}, or with the library in \
                 LD_PRELOAD"
            ),
        ),
        Problem::InitialExecInMusl { language } => {
            let its = "it expects its thread-local storage at a fixed place of each thread (initial-exec)";
            let fact = format!("{its}, and musl refuses that of a library that is opened");
            match language {
                Language::Go => Advice::new(
                    format!("{fact}. Go builds every c-shared library this way"),
                    "build it for glibc, or build the host with it (-buildmode=c-archive)",
                ),
                _ => Advice::new(fact, "build it without -ftls-model=initial-exec"),
            }
        }
        Problem::PackedRelocations { libc } => Advice::new(
            format!("it has packed relative relocations (DT_RELR), and {libc} does not apply them"),
            "link it without -z pack-relative-relocs, or update the C library to glibc 2.36 or musl 1.2.4",
        ),
        Problem::MissingVersion { by, version, library, path, glibc } => {
            let have = match glibc {
                Some(glibc) => format!("this machine has {glibc}"),
                None => format!("{path} does not define it"),
            };
            let provider = if glibc.is_some() { "glibc" } else { library };
            Advice::new(
                format!("{by} needs {version} of {library}, and {have}"),
                format!("build {by} against an older {provider}, or update {provider}"),
            )
        }
        Problem::MissingSymbols { first, count } => {
            let (symbols, them) = match count {
                0 | 1 => (format!("`{first}`"), "it"),
                2 => (format!("`{first}` and 1 more symbol"), "them"),
                more => (format!("`{first}` and {} more symbols", units::count(more - 1)), "them"),
            };
            Advice::new(
                format!("it needs {symbols}, and no library that it links defines {them}"),
                format!(
                    "link it with the library that defines {them}, or load it as a plugin into a program that does"
                ),
            )
        }
        Problem::MissingLibrary { name, by } => Advice::new(
            format!("{name} is not found, and {by} needs it"),
            "install it, or add its directory to LD_LIBRARY_PATH",
        ),
    }
}

fn not_shared(kind: Kind) -> Advice {
    let link = "link it with cc -shared";
    match kind {
        Kind::SharedObject | Kind::Other => Advice::new("it is not a shared library", link),
        Kind::PositionIndependentExecutable | Kind::Executable => Advice::new(
            "it is an executable, not a shared library",
            format!("{link} (Rust: crate-type cdylib, Go: -buildmode=c-shared)"),
        ),
        Kind::Relocatable => Advice::new("it is an object file (.o), not a shared library", link),
        Kind::Core => Advice::fact("it is a core dump, not a shared library"),
        Kind::DebugInfo => {
            Advice::new("it holds only the debug information of a library", "name the library itself")
        }
    }
}

/// Why a file can't be read as ELF, and what to do.
pub fn unreadable(why: &Unreadable) -> Advice {
    let again = "build or download it again";
    match why {
        Unreadable::Empty => Advice::new("the file is empty", again),
        Unreadable::NotElf { content } => {
            let (what, help) = instead(content);
            Advice::new(format!("it is {what}, not an ELF file"), help)
        }
        Unreadable::CutShort { have, need } => Advice::new(
            format!(
                "the file is cut short to {} bytes, and its headers need {}",
                units::count(*have),
                units::count(*need)
            ),
            again,
        ),
        Unreadable::Damaged { part } => {
            let what = match part {
                Damage::Class => "its class is neither 32 nor 64 bits",
                Damage::Header => "its header is invalid",
                Damage::ByteOrder => "its byte order is neither little nor big",
                Damage::ProgramHeaders => "its program headers are invalid",
                Damage::Segment => "a segment ends beyond the last address",
                Damage::SymbolTable => "its symbol table is invalid",
                Damage::SharedNames => "its symbols share their names",
            };
            Advice::new(format!("the file is damaged, because {what}"), again)
        }
    }
}

/// What a file is that is no ELF file, and what to do.
fn instead(content: &Content) -> (String, String) {
    let (what, help) = match content {
        Content::LinkerScript { library: Some(path) } => {
            return ("a linker script".to_owned(), format!("name the library in it, {path}"));
        }
        Content::Packed { format } => {
            return (format!("a {} file", format.name()), "unpack it first".to_owned());
        }
        Content::Unknown { first: [a, b, c, d] } => {
            let what = format!("data of an unknown kind (first bytes {a:02x} {b:02x} {c:02x} {d:02x})");
            return (what, "check the path".to_owned());
        }
        Content::LinkerScript { library: None } => ("a linker script", "name the library in it"),
        Content::Archive => {
            ("a static library (ar archive)", "link it into a shared library with cc -shared")
        }
        Content::MachO => ("a macOS file (Mach-O)", "build it for Linux"),
        Content::Pe => ("a Windows file (PE)", "build it for Linux"),
        Content::Bitcode => ("LLVM bitcode", "link it into a shared library"),
        Content::Wasm => ("a WebAssembly module", "build it as a native library"),
        Content::LfsPointer => ("a Git LFS pointer", "fetch the file with git lfs pull"),
        Content::Script => ("a script", "name the library itself"),
        Content::Text => ("a text file", "name the library itself"),
    };
    (what.to_owned(), help.to_owned())
}

/// The C library that a file was linked against.
pub(crate) fn libc(libc: &Libc) -> String {
    match libc {
        Libc::Glibc { at_least: Some(version) } => format!("for glibc {version} or later"),
        Libc::Glibc { at_least: None } => "for glibc".to_owned(),
        Libc::Musl => "for musl".to_owned(),
        Libc::Bionic => "for Android (bionic)".to_owned(),
        Libc::None => "for any C library".to_owned(),
    }
}

fn outlook(answer: Answer) -> (&'static str, Mark) {
    match answer {
        Answer::Unloads => ("yes, because no file gives a reason to stay loaded", Mark::Pass),
        Answer::MayStay => ("yes, unless it is used in one of these ways", Mark::Pass),
        Answer::Partial => ("yes, but a library that it brings stays loaded", Mark::Undecided),
        Answer::ProbablyStays => ("probably not", Mark::Undecided),
        Answer::Stays => ("no", Mark::Fail),
    }
}

fn language(found: &Inspection) -> String {
    let name = language_name(found);
    match &found.file.producer {
        Some(producer) => format!("{name} ({producer})"),
        None => name,
    }
}

fn language_name(found: &Inspection) -> String {
    match found.file.language {
        Language::Unknown => "unknown",
        known => summary::language_word(known),
    }
    .to_owned()
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
            parts.push(counted(array, what));
        }
        if parts.is_empty() { "nothing".to_owned() } else { parts.join(" and ") }
    };
    format!(
        "at load {}, at unload {}",
        side(file.init, "DT_INIT", file.init_array, "constructor"),
        side(file.fini, "DT_FINI", file.fini_array, "destructor")
    )
}

fn thread_local(found: &Inspection) -> Vec<String> {
    let Some(tls) = found.file.tls else {
        return vec!["none".to_owned()];
    };
    let size = format!("{}, aligned to {}", units::bytes(tls.size as f64), tls.align);
    let Some(fixed) = found.static_tls else {
        return vec![format!("{size}, allocated when a thread first uses it")];
    };
    let most = match fixed.at_most {
        0 => "so not even one such library loads".to_owned(),
        1 => "so at most 1 such library loads".to_owned(),
        most => format!("so at most {} such libraries load", units::count(most)),
    };
    vec![
        format!("{size}, static"),
        format!("glibc leaves {} to libraries opened at run time, {most}", units::bytes(fixed.room as f64)),
        format!(
            "help: raise GLIBC_TUNABLES=glibc.rtld.optional_static_tls=N, whose default of {} is part of this",
            units::bytes(TLS_OPTIONAL)
        ),
    ]
}

fn hardening(found: &Inspection) -> [&'static str; 3] {
    let file = &found.file;
    [
        match file.relro {
            Relro::None => "no RELRO",
            Relro::Partial => "partial RELRO",
            Relro::Full => "full RELRO",
        },
        match file.executable_stack {
            true => "an executable stack, which dlopen gives to every thread of the host",
            false => "no executable stack",
        },
        match file.text_relocations {
            true => "text relocations, so each process has a private copy of its code",
            false => "no text relocations",
        },
    ]
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

#[cfg(test)]
mod tests {
    use dlsoak_record::file::{Facts, Machine, Packing, Tls, VersionNeed};
    use dlsoak_record::inspection::{Outlook, Place, SCHEMA, StaticTls};
    use dlsoak_record::{Cause, CauseFacts, Language, Prediction, Toolchain};

    use super::*;

    fn lines(all: impl IntoIterator<Item = Advice>) -> String {
        all.into_iter().map(|advice| format!("{advice}\n")).collect()
    }

    #[test]
    fn each_problem_has_its_words() {
        let (machine, host) = (Machine::AARCH64, Machine::X86_64);
        let missing = |count| Problem::MissingSymbols { first: "absent".to_owned(), count };
        let version = |glibc: Option<&str>| Problem::MissingVersion {
            by: "libplugin.so".to_owned(),
            version: if glibc.is_some() { "GLIBC_2.38" } else { "OPENSSL_3.2.0" }.to_owned(),
            library: if glibc.is_some() { "libc.so.6" } else { "libssl.so.3" }.to_owned(),
            path: "/usr/lib/libssl.so.3".to_owned(),
            glibc: glibc.map(str::to_owned),
        };
        let kinds = [Kind::Other, Kind::Executable, Kind::Relocatable, Kind::Core, Kind::DebugInfo];
        let problems = [
            Problem::WrongMachine { machine, host },
            Problem::WrongEndian { endian: Endian::Big, machine: host },
            Problem::WrongClass { class: Class::Bits32, machine: Machine::I386 },
            Problem::NoOpen,
            Problem::StaticTls { bytes: 3000, room: 1664 },
            version(Some("glibc 2.36")),
            version(None),
            missing(1),
            missing(2),
            missing(1201),
            Problem::MissingLibrary { name: "libfoo.so.1".to_owned(), by: "libplugin.so".to_owned() },
            Problem::InitialExecInMusl { language: Language::Go },
            Problem::InitialExecInMusl { language: Language::C },
            Problem::PackedRelocations { libc: "musl 1.2.3".to_owned() },
        ];
        let problems = problems.into_iter().chain(kinds.map(|kind| Problem::NotShared { kind }));
        insta::assert_snapshot!(lines(problems.map(|found| problem(&found))));
    }

    #[test]
    fn several_libraries_are_a_table() {
        let found = |path: &str, answer, problems: &[Problem]| Inspection {
            path: path.to_owned(),
            problems: problems.to_vec(),
            unload: Outlook { answer, causes: Vec::new() },
            ..sample()
        };
        let missing =
            |name: &str| Problem::MissingLibrary { name: name.to_owned(), by: "libplugin.so".to_owned() };
        let all = [
            found("build/libclean.so", Answer::Unloads, &[]),
            found("build/libmay.so", Answer::MayStay, &[]),
            found("build/with a\nbreak.so", Answer::Partial, &[missing("libfoo.so.1")]),
            found(
                "build/libunique.so",
                Answer::ProbablyStays,
                &[missing("libfoo.so.1"), missing("libbar.so")],
            ),
            found(&format!("build/{}.so", "long/".repeat(20)), Answer::Stays, &[]),
        ];
        insta::assert_snapshot!(format!("{}\n{}", table(&all, 120), table(&all, 60)));
    }

    #[test]
    fn each_file_that_is_no_elf_file_has_its_words() {
        let contents = [
            Content::LinkerScript { library: Some("/lib/libc\n.so.6".to_owned()) },
            Content::LinkerScript { library: None },
            Content::Archive,
            Content::MachO,
            Content::Pe,
            Content::Packed { format: Packing::Gzip },
            Content::Bitcode,
            Content::Wasm,
            Content::LfsPointer,
            Content::Script,
            Content::Text,
            Content::Unknown { first: [1, 2, 0xff, 0] },
        ];
        let parts = [
            Damage::Class,
            Damage::Header,
            Damage::ByteOrder,
            Damage::ProgramHeaders,
            Damage::Segment,
            Damage::SymbolTable,
            Damage::SharedNames,
        ];
        let first = [Unreadable::Empty, Unreadable::CutShort { have: 10, need: 2048 }];
        let all = first
            .into_iter()
            .chain(contents.map(|content| Unreadable::NotElf { content }))
            .chain(parts.map(|part| Unreadable::Damaged { part }));
        insta::assert_snapshot!(lines(all.map(|why| unreadable(&why))));
    }

    /// What inspect finds of a library that needs what is not there, and stays.
    fn sample() -> Inspection {
        let cause =
            |facts, object: Option<&str>| Cause { facts, object: object.map(str::to_owned), library: None };
        let unique = CauseFacts::Unique { symbol: Some("counter".to_owned()), count: 2 };
        let nodelete = CauseFacts::Nodelete { language: Language::C };
        let pinned = CauseFacts::DependencyPinned { cause: Box::new(nodelete), keeps: Vec::new() };
        let need = |library: &str, version: &str| VersionNeed {
            library: library.to_owned(),
            version: version.to_owned(),
        };
        let needed = |name: &str, by: &str, path: Option<&str>| Needed {
            name: name.to_owned(),
            by: by.to_owned(),
            path: path.map(str::to_owned),
            place: path.map(|_| Place::Cache),
        };
        Inspection {
            schema: SCHEMA.to_owned(),
            path: "./libplugin.so".to_owned(),
            problems: vec![Problem::MissingLibrary {
                name: "libfoo.so.1".to_owned(),
                by: "libplugin.so".to_owned(),
            }],
            unload: Outlook {
                answer: Answer::ProbablyStays,
                causes: vec![
                    Prediction { cause: cause(unique, None), certainty: Certainty::Likely },
                    Prediction {
                        cause: cause(CauseFacts::ExtraReference { handles: None, released: 0 }, None),
                        certainty: Certainty::Possible,
                    },
                    Prediction { cause: cause(pinned, Some("/lib/libx.so")), certainty: Certainty::Certain },
                ],
            },
            needed: vec![
                needed("libfoo.so.1", "libplugin.so", None),
                needed("libc.so.6", "libplugin.so", Some("/lib/libc.so.6")),
                needed("libz.so.1", "libfoo.so.1", Some("/lib/libz.so.1")),
            ],
            static_tls: Some(StaticTls { bytes: 256, room: 1664, at_most: 6 }),
            interface: None,
            export_count: 10,
            exports: (0..10).map(|n| format!("export_{n}")).collect(),
            host_libc: "glibc 2.36".to_owned(),
            file: Facts {
                class: Class::Bits64,
                endian: Endian::Little,
                machine: Machine::X86_64,
                kind: Kind::SharedObject,
                soname: Some("libplugin.so.1".to_owned()),
                needed: Vec::new(),
                rpath: None,
                runpath: None,
                interpreter: None,
                flags: 0x10,
                flags_1: 0,
                unique_symbols: vec!["kept".to_owned()],
                exports: Vec::new(),
                imports: 1234,
                imports_of_note: Vec::new(),
                required: Vec::new(),
                tls: Some(Tls { size: 200, align: 64 }),
                initial_exec: false,
                relr: false,
                init: true,
                fini: false,
                init_array: 3,
                fini_array: 0,
                build_id: None,
                libc: Libc::Glibc { at_least: Some("2.34".to_owned()) },
                versions: vec![
                    need("libc.so.6", "GLIBC_2.9"),
                    need("libc.so.6", "GLIBC_2.34"),
                    need("libz.so.1", "ZLIB_1.2"),
                ],
                language: Language::Cpp,
                producer: Some("GCC: (Debian) 12.2.0".to_owned()),
                toolchain: Toolchain::default(),
                text_relocations: true,
                executable_stack: true,
                relro: Relro::Partial,
                extent: 0,
            },
        }
    }

    #[test]
    fn an_inspection_is_a_page_of_rows() {
        let bad = sample();
        insta::assert_snapshot!(render(&bad, 100, false, false));
        let json = serde_json::to_string(&bad).unwrap();
        assert_eq!(serde_json::from_str::<Inspection>(&json).unwrap(), bad);
        let mut good = sample();
        good.problems.clear();
        good.unload = Outlook { answer: Answer::Unloads, causes: Vec::new() };
        good.needed.clear();
        good.static_tls = None;
        good.exports.truncate(2);
        good.export_count = 2;
        good.file.versions.clear();
        good.file.language = Language::Unknown;
        good.file.producer = None;
        (good.file.text_relocations, good.file.executable_stack) = (false, false);
        (good.file.init, good.file.init_array, good.file.fini_array) = (false, 0, 1);
        insta::assert_snapshot!(render(&good, 100, false, true));
        // Each answer has words of its own.
        let answers =
            [Answer::Unloads, Answer::MayStay, Answer::Partial, Answer::ProbablyStays, Answer::Stays];
        insta::assert_snapshot!(answers.map(|answer| outlook(answer).0).join("\n"));
    }
}
