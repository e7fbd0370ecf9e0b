//! The repository's rules as tests: files that say why they exist, `unsafe` in few places, and nothing that
//! only one machine knows.

use std::path::{Path, PathBuf};

/// Files that may hold `unsafe`. A new one is a decision, to be made here.
const UNSAFE: &[&str] = &[
    "benches/",
    "crates/agent/",
    "crates/pool/src/c.rs",
    "crates/pool/src/entry.rs",
    "crates/pool/src/gate.rs",
    "crates/pool/src/lib.rs",
    "crates/wire/src/channel.rs",
    "crates/wire/src/notes/ranges.rs",
    "crates/soak/src/channel.rs",
    "crates/soak/src/supervisor/image.rs",
    "crates/soak/src/supervisor/process.rs",
    "crates/soak/src/sys/clock.rs",
    "crates/soak/src/sys/futex.rs",
    "crates/soak/src/sys/glibc.rs",
    "crates/soak/src/sys/mapped.rs",
    "crates/soak/src/sys/perf.rs",
    "crates/soak/src/sys/pressure.rs",
    "crates/soak/src/sys/ptrace.rs",
    "cdylib-fixtures/",
];

fn root() -> PathBuf {
    xtask::fixtures::root()
}

/// Files that git tracks, relative to the root.
fn tracked() -> Vec<String> {
    let output = std::process::Command::new("git").args(["ls-files"]).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "git ls-files failed");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_default()
}

fn sources() -> Vec<String> {
    let rust = |path: &String| Path::new(path).extension().is_some_and(|e| e == "rs");
    let sources: Vec<String> = tracked().into_iter().filter(rust).collect();
    assert!(sources.len() > 50);
    sources
}

#[test]
fn every_file_says_why_it_exists() {
    for path in sources() {
        assert!(text(&path).starts_with("//!"), "{path} does not open with a line on why it exists");
    }
}

#[test]
fn unsafe_lives_in_few_files() {
    // In two parts, so that this file does not trip over itself.
    let word = concat!("uns", "afe ");
    for path in sources() {
        let allowed = UNSAFE.iter().any(|place| path.starts_with(place)) || path.starts_with("tests/");
        assert!(allowed || !text(&path).contains(word), "{path} has an {word}block");
    }
}

#[test]
fn what_only_prints_prints() {
    for path in sources().iter().filter(|p| p.starts_with("src/") || p.starts_with("crates/")) {
        // A build script speaks to Cargo through its standard output.
        let allowed = path.starts_with("src/commands/") || path.ends_with("build.rs");
        let prints = ["println!", "eprintln!", "io::stdout()", "io::stderr()"];
        let text = text(path);
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let found = prints.iter().find(|p| code.contains(*p));
        // The command line asks whether stdout is a terminal; it writes nothing there.
        let asks = path == "src/cli.rs" && found == Some(&"io::stdout()");
        assert!(allowed || asks || found.is_none(), "{path} has {found:?}");
    }
}

#[test]
fn pure_modules_do_no_input_or_output() {
    for path in sources() {
        let pure = [
            "crates/settings/",
            "crates/record/",
            "crates/judge/",
            "crates/report/",
            "crates/elf/",
            "crates/soak/src/residue/",
            "crates/soak/src/suite/",
        ]
        .iter()
        .any(|p| path.starts_with(p));
        // The part of the crate whose purpose is to open files.
        let opens = ["crates/elf/src/read.rs", "crates/elf/src/search.rs", "crates/elf/src/lines/"];
        let pure = pure && !opens.iter().any(|p| path.starts_with(p));
        let text = text(&path);
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let found =
            ["std::fs::", "File::open", "std::net", "std::process::"].iter().find(|p| code.contains(**p));
        assert!(!pure || path.ends_with("tests.rs") || found.is_none(), "{path} has {found:?}");
    }
}

#[test]
fn no_file_names_a_place_on_one_machine() {
    let places = [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("../sha", "red")];
    for path in tracked() {
        let found = places.iter().find(|place| text(&path).contains(**place));
        assert!(found.is_none(), "{path} names {found:?}");
    }
}

/// What a crate brings into a program that links it, one name each.
fn dependencies(package: &str) -> Vec<String> {
    let mut cargo = std::process::Command::new(env!("CARGO"));
    cargo.args(["tree", "--locked", "--offline", "-p", package, "-e", "normal", "--prefix", "none"]);
    let output = cargo.current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut names: Vec<String> =
        text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn a_test_that_soaks_builds_neither_the_command_line_nor_pictures() {
    let soak = dependencies("dlsoak-soak");
    for name in ["clap", "plotters", "resvg", "inferno", "askama", "png", "quick-xml"] {
        assert!(!soak.iter().any(|other| other == name), "dlsoak-soak brings {name}");
    }
    assert!(soak.len() <= 90, "dlsoak-soak brings {}: {soak:?}", soak.len());
}

#[test]
fn a_host_that_keeps_libraries_builds_little() {
    let pool = dependencies("dlsoak-pool");
    assert_eq!(pool, ["cfg-if", "dlsoak-pool", "libc", "libloading", "memchr", "object"]);
}
