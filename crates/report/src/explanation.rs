//! An explained log for a terminal: each error with its line, what it means, what this machine has to do with it, and commands
//! on lines of their own, to be copied.

use dlsoak_record::explanation::{Explained, Explanation, Here};
use dlsoak_record::file::{Class, Kind};

use super::summary::Mark;
use super::terminal::{painted, wrap};
use super::words::file_name;
use super::{inspection, units};

/// Errors of one kind that are printed in full; of the others only the line, what is here, and the first command.
const FULL: usize = 1;
/// Errors of one kind that are printed at all, unless all are asked for.
const SHOWN: usize = 4;

/// The whole text; ends with a newline. `all` prints every error.
pub fn render(found: &Explanation, width: u16, color: bool, all: bool) -> String {
    let log = units::printable(&found.log);
    let lines = units::count(found.lines);
    if found.errors.is_empty() {
        return format!("{log}: no known error in {lines} lines\n");
    }
    let mut out = String::new();
    let mut printed: Vec<(&str, usize)> = Vec::new();
    for error in &found.errors {
        let before = match printed.iter_mut().find(|(rule, _)| *rule == error.rule) {
            Some((_, count)) => {
                *count += 1;
                *count - 1
            }
            None => {
                printed.push((&error.rule, 1));
                0
            }
        };
        if all || before < SHOWN {
            one(&mut out, &log, error, (width, color), all || before < FULL);
            out.push('\n');
        }
    }
    for (rule, count) in printed.iter().filter(|(_, count)| !all && *count > SHOWN) {
        let more = units::count((count - SHOWN) as u64);
        out.push_str(&format!("and {more} more of {rule} (-v prints all)\n"));
    }
    if found.left_out > 0 {
        out.push_str(&format!("and {} lines with further errors\n", units::count(found.left_out)));
    }
    let count = units::count(found.errors.len() as u64);
    let what = if found.errors.len() == 1 { "error" } else { "different errors" };
    out.push_str(&format!("{log}: {count} {what} in {lines} lines\n"));
    if let Some(host) = &found.host {
        let machine = format!("{}, {}, Linux {}", host.libc, host.machine, host.kernel);
        out.push_str(&format!("\"here\" means this machine ({})\n", units::printable(&machine)));
    }
    out
}

fn one(out: &mut String, log: &str, error: &Explained, (width, color): (u16, bool), full: bool) {
    let head = format!("{log}:{}: {}", error.line, error.title);
    out.push_str(&painted(&head, Mark::Fail, color));
    out.push_str(&format!(" [{}]\n", error.stage.name()));
    // Unbroken, so that it is found again in the log.
    out.push_str(&format!("  | {}\n", error.text));
    if error.count > 1 {
        let (count, last) = (units::count(error.count), units::count(error.last_line));
        wrap(out, "  ", "  ", &format!("{count} times, last in line {last}"), width);
    }
    if full {
        wrap(out, "  means: ", "         ", &error.means, width);
    }
    for fact in &error.here {
        wrap(out, "  here:  ", "         ", &here(fact), width);
    }
    // The first command has the names of this one in it.
    for run in error.run.iter().take(if full { usize::MAX } else { 1 }) {
        out.push_str(&format!("  run:   {run}\n"));
    }
    for echo in error.repeated_by.iter().filter(|_| full) {
        out.push_str(&format!("  with:  line {}: {}\n", echo.line, units::elide(&echo.text, 100)));
    }
}

/// A fact about this machine.
fn here(fact: &Here) -> String {
    match fact {
        Here::Machine { libc, machine, kernel } => {
            format!("this machine runs Linux {kernel} on {machine} with {libc}")
        }
        Here::Glibc { libc, version, has } => match has {
            Some(true) => {
                format!(
                    "this machine has {libc}, which has {version}, so the log is of another machine or container"
                )
            }
            Some(false) => format!("this machine has {libc}, which is older"),
            None => format!("this machine has {libc}"),
        },
        Here::NeedsGlibc { file, version } => format!("{file} needs glibc {version} or later"),
        Here::Exists { file, bytes: Some(bytes) } => {
            format!("{file} is here and has {}", units::bytes(*bytes as f64))
        }
        Here::Exists { file, bytes: None } => format!("{file} is here, but is not a regular file"),
        Here::Missing { file } => format!("{file} is not on this machine"),
        Here::MissingFromHere { file } => format!("{file} is not here, seen from the current directory"),
        Here::Unreadable { file, why } => {
            format!("{file} can't be read, because {}", inspection::unreadable(why))
        }
        Here::Elf { file, kind, machine, class } => {
            let kind = match kind {
                Kind::SharedObject => "a shared library",
                Kind::PositionIndependentExecutable | Kind::Executable => "an executable",
                Kind::Relocatable => "an object file",
                Kind::Core => "a core dump",
                Kind::DebugInfo => "debug information",
                Kind::Other => "an ELF file",
            };
            let width = match class {
                Class::Bits32 => 32,
                Class::Bits64 => 64,
            };
            format!("{file} is {kind} for {machine}, {width}-bit")
        }
        Here::DoesNotLoad { problem, .. } => {
            format!("it does not load, because {}", inspection::problem(problem))
        }
        Here::StaticTls { file, bytes, room, at_most } => format!(
            "{file} takes {} of the {} that glibc leaves, so at most {} such libraries load",
            units::bytes(*bytes as f64),
            units::bytes(*room as f64),
            units::count(*at_most)
        ),
        Here::NoStaticTls { file } => format!("{file}, as it is here, uses no static thread-local storage"),
        Here::Interpreter { file, interpreter: None, .. } => format!("{file} asks for no loader"),
        Here::Interpreter { file, interpreter: Some(loader), exists: true } => {
            format!("{file} asks for the loader {loader}, which is here")
        }
        Here::Interpreter { file, interpreter: Some(loader), exists: false } => {
            format!("{file} asks for the loader {loader}, which is not on this machine")
        }
        Here::Memory { free } => {
            format!("this machine has {} of memory free now", units::bytes(*free as f64))
        }
        Here::Threads { free } => {
            format!("this machine has room for {} more threads now", units::count(*free))
        }
        Here::Tool { name, path: Some(path) } => format!("{name} is here ({path})"),
        Here::Tool { name, path: None } => format!("{name} is not in PATH here"),
        Here::Header { path, .. } => format!(
            "{path} is here, so it came after the log was written, or the compiler was for another machine"
        ),
        Here::HeaderBelow { name, directory } => {
            format!("{directory}/{name} is here, and the compiler finds it with -I{directory}")
        }
        Here::NoHeader { name } => format!(
            "this machine has no {name} in /usr/include, in /usr/local/include, or in a directory below them"
        ),
        Here::Package { path: Some(path), .. } => format!("{path} is here"),
        Here::Package { name, path: None } => {
            format!("this machine has no {name} in PKG_CONFIG_PATH or pkg-config's own directories")
        }
        Here::Mount { path, noexec: true } => format!("{path} is mounted noexec on this machine"),
        Here::Mount { path, noexec: false } => format!("{path} is not mounted noexec on this machine"),
        Here::StartFile { path: Some(path) } => format!("{path} is here, for programs of this machine only"),
        Here::StartFile { path: None } => {
            "this machine lacks the C library's start files, which come with its development package"
                .to_owned()
        }
        Here::NoRustup => "this user has no toolchains of rustup".to_owned(),
        Here::RustTarget { target, toolchains } if toolchains.is_empty() => {
            format!("no toolchain of this user has {target}")
        }
        Here::RustTarget { target, toolchains } => {
            format!("{target} is installed here for {}", toolchains.join(", "))
        }
        Here::Linkable { path } => format!(
            "{path} is here, so it came after the log was written, is for another machine, or the linker needs -L for \
             its directory"
        ),
        Here::NotLinkable { name, path } => format!(
            "{path} is here for running programs, without the lib{name}.so that the linker needs, so install the \
             development package, or try -l:{}",
            file_name(path)
        ),
        Here::NoLibrary { name } => format!(
            "this machine has no lib{name}.so, lib{name}.so.* or lib{name}.a in the linker's directories"
        ),
        Here::Loadable { path, place } => format!("the loader finds {path} here ({})", place.name()),
        Here::OtherVersion { name, path } => {
            format!("this machine has another version, {name} ({path}), which is no substitute")
        }
        Here::NotLoadable { name } => format!("the loader does not find {name} on this machine either"),
        Here::Symbol { symbol, path } => symbol_in(symbol, path),
        Here::NoSymbol { symbol } => format!("no library that this machine's loader knows has `{symbol}`"),
        Here::NewestVersion { path, version } => format!("{path} here has versions up to {version}"),
    }
}

/// Where a symbol is, and how to link with it.
fn symbol_in(symbol: &str, path: &str) -> String {
    let name = file_name(path).strip_prefix("lib").and_then(|rest| rest.split_once(".so"));
    let advice = match name.map(|(name, _)| name) {
        Some("c") => "so the program was linked without it (-nostdlib), or with another C library".to_owned(),
        Some("stdc++") => "so link with g++, or add -lstdc++".to_owned(),
        Some(name) => format!("so add -l{name} after the objects that use it"),
        None => "so name that on the command line".to_owned(),
    };
    format!("`{symbol}` is in {path}, {advice}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use dlsoak_record::Host;
    use dlsoak_record::explanation::{EchoLine, SCHEMA, Stage};
    use dlsoak_record::file::{Machine, Unreadable};
    use dlsoak_record::inspection::{Place, Problem};

    use super::*;

    fn error(rule: &str, line: u64) -> Explained {
        Explained {
            rule: rule.to_owned(),
            title: format!("`absent{line}` is defined nowhere"),
            stage: Stage::Link,
            line,
            last_line: line,
            count: 1,
            text: format!("a.c: undefined reference to `absent{line}'"),
            names: BTreeMap::new(),
            means: "None of the objects and libraries given to the linker defines it, most often because its library is \
                    missing."
                .to_owned(),
            here: vec![Here::NoSymbol { symbol: format!("absent{line}") }],
            run: vec![format!("nm -AC *.o | grep -w absent{line}"), "another command".to_owned()],
            repeated_by: vec![EchoLine { line: line + 1, text: "collect2: error: ld returned 1".to_owned() }],
        }
    }

    #[test]
    fn a_log_is_read_as_errors_with_their_meaning() {
        let host = Host {
            kernel: "6.18.44".to_owned(),
            libc: "glibc 2.36".to_owned(),
            machine: "x86_64".to_owned(),
            cpus: 2,
            page_size: 4096,
            thp: "madvise".to_owned(),
        };
        let mut found = Explanation {
            schema: SCHEMA.to_owned(),
            log: "build.log".to_owned(),
            lines: 5000,
            host: Some(host),
            errors: (1..=7).map(|line| error("undefined-reference", 10 * line)).collect(),
            left_out: 3,
        };
        found.errors[0].count = 1200;
        found.errors[0].last_line = 4999;
        insta::assert_snapshot!(render(&found, 100, false, false));
        let all = render(&found, 100, false, true);
        assert!(all.matches("  means: ").count() == 7 && !all.contains("more of"), "{all}");
        found.errors.clear();
        assert_eq!(render(&found, 100, false, false), "build.log: no known error in 5,000 lines\n");
    }

    #[test]
    fn each_fact_has_its_words() {
        let text = str::to_owned;
        let file = || text("./libx.so");
        let elf = |kind| Here::Elf { file: file(), kind, machine: Machine::AARCH64, class: Class::Bits64 };
        let glibc = |has| Here::Glibc { libc: text("glibc 2.36"), version: text("GLIBC_2.38"), has };
        let loader = |interpreter: Option<&str>, exists| Here::Interpreter {
            file: file(),
            interpreter: interpreter.map(text),
            exists,
        };
        let tool = |path: Option<&str>| Here::Tool { name: text("go"), path: path.map(text) };
        let symbol = |path: &str| Here::Symbol { symbol: text("cos"), path: text(path) };
        let toolchains = |all: &[&str]| Here::RustTarget {
            target: text("aarch64-unknown-linux-gnu"),
            toolchains: all.iter().map(|name| text(name)).collect(),
        };
        let wrong = Problem::WrongMachine { machine: Machine::AARCH64, host: Machine::X86_64 };
        let facts = [
            Here::Machine { libc: text("glibc 2.36"), machine: text("x86_64"), kernel: text("6.18.44") },
            glibc(Some(true)),
            glibc(Some(false)),
            glibc(None),
            Here::NeedsGlibc { file: file(), version: text("2.38") },
            Here::Exists { file: file(), bytes: Some(12_345) },
            Here::Exists { file: file(), bytes: None },
            Here::Missing { file: file() },
            Here::MissingFromHere { file: file() },
            Here::Unreadable { file: file(), why: Unreadable::Empty },
            elf(Kind::SharedObject),
            elf(Kind::Executable),
            elf(Kind::Relocatable),
            elf(Kind::Core),
            elf(Kind::DebugInfo),
            elf(Kind::Other),
            Here::DoesNotLoad { file: file(), problem: wrong },
            Here::StaticTls { file: file(), bytes: 256, room: 1664, at_most: 6 },
            Here::NoStaticTls { file: file() },
            loader(None, false),
            loader(Some("/lib/ld-musl-x86_64.so.1"), true),
            loader(Some("/lib/ld-musl-x86_64.so.1"), false),
            Here::Memory { free: 8 << 30 },
            Here::Threads { free: 32_000 },
            tool(Some("/usr/bin/go")),
            tool(None),
            Here::Header { name: text("zlib.h"), path: text("/usr/include/zlib.h") },
            Here::HeaderBelow { name: text("x.h"), directory: text("/usr/include/x11") },
            Here::NoHeader { name: text("x.h") },
            Here::Package { name: text("zlib.pc"), path: Some(text("/usr/lib/pkgconfig/zlib.pc")) },
            Here::Package { name: text("zlib.pc"), path: None },
            Here::Mount { path: text("/tmp"), noexec: true },
            Here::Mount { path: text("/tmp"), noexec: false },
            Here::StartFile { path: Some(text("/usr/lib/crt1.o")) },
            Here::StartFile { path: None },
            Here::NoRustup,
            toolchains(&[]),
            toolchains(&["stable", "nightly"]),
            Here::Linkable { path: text("/usr/lib/libz.so") },
            Here::NotLinkable { name: text("z"), path: text("/usr/lib/libz.so.1") },
            Here::NoLibrary { name: text("z") },
            Here::Loadable { path: text("/usr/lib/libz.so.1"), place: Place::Cache },
            Here::OtherVersion { name: text("libz.so.2"), path: text("/usr/lib/libz.so.2") },
            Here::NotLoadable { name: text("libz.so.1") },
            symbol("/lib/libm.so.6"),
            symbol("/lib/libc.so.6"),
            symbol("/lib/libstdc++.so.6"),
            symbol("/lib/ld.so"),
            Here::NoSymbol { symbol: text("absent") },
            Here::NewestVersion { path: text("/lib/libstdc++.so.6"), version: text("GLIBCXX_3.4.30") },
        ];
        let lines: String = facts.iter().map(|fact| here(fact) + "\n").collect();
        insta::assert_snapshot!(lines);
        let json = serde_json::to_string(facts.as_slice()).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Here>>(&json).unwrap(), facts);
    }
}
