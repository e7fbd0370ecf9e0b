//! Compilers, linkers and pkg-config: what is in PATH, of which version, and whether the variables that name them name
//! something.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{Checks, process, text, variable};
use crate::record::checkup::{Check, Found, Group, Name, Status};

/// The oldest gcc that the build of this program and of its fixtures is tested with.
const OLDEST_GCC: u32 = 9;

/// The program that a name stands for: itself where it is a path, else the first of that name in `path` that may be
/// executed, as `execvp(3)` finds it.
pub(crate) fn in_path(name: &str, path: &OsStr) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|file| executable(file));
    }
    std::env::split_paths(path).map(|directory| directory.join(name)).find(|file| executable(file))
}

fn executable(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// A program in this process's `PATH`.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    in_path(name, &std::env::var_os("PATH").unwrap_or_default())
}

/// The first version number in what a program says of itself.
pub(super) fn version(text: &str) -> Option<Vec<u32>> {
    let word = |word: &str| -> Option<Vec<u32>> {
        let word = word.trim_start_matches(|c: char| !c.is_ascii_digit());
        let word = word.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
        let numbers: Vec<u32> = word.split('.').map_while(|part| part.parse().ok()).collect();
        (numbers.len() > 1).then_some(numbers)
    };
    text.lines().take(3).flat_map(str::split_whitespace).find_map(word)
}

/// The numbers of a version as text.
fn dotted(version: &[u32]) -> String {
    version.iter().map(ToString::to_string).collect::<Vec<_>>().join(".")
}

/// What stands for a program that is not in `PATH`.
const ABSENT: Found = Found::NotInPath { elsewhere: None };

/// A program that is there, whatever its version.
fn program(path: &Path) -> Found {
    Found::Program { path: text(path), version: None }
}

/// Compilers, linkers, pkg-config and their variables.
pub(super) fn checks() -> Vec<Check> {
    let mut checks = Checks::new(Group::Tools);
    let gcc = compiler(&mut checks, Name::Gcc);
    let clang = compiler(&mut checks, Name::Clang);
    if !gcc && !clang && find("cc").is_none() {
        checks.warn(Name::CCompiler, ABSENT);
    }
    if (gcc || clang) && find("g++").is_none() && find("clang++").is_none() && find("c++").is_none() {
        checks.note(Name::CppCompiler, ABSENT);
    }
    if gcc && find("ld").is_none() {
        checks.warn(Name::Ld, ABSENT);
    }
    for name in [Name::Cc, Name::Cxx] {
        named_compiler(&mut checks, name);
    }
    optional(&mut checks, Name::PkgConfig, find("pkg-config").or_else(|| find("pkgconf")));
    for name in [Name::PkgConfigPath, Name::PkgConfigLibdir] {
        directories(&mut checks, name);
    }
    loader_variables(&mut checks);
    for name in [Name::Valgrind, Name::Gdb] {
        optional(&mut checks, name, find(name.name()));
    }
    checks.all
}

/// A program that not everyone needs.
fn optional(checks: &mut Checks, name: Name, path: Option<PathBuf>) {
    match path {
        Some(path) => checks.ok(name, program(&path)),
        None => checks.note(name, ABSENT),
    }
}

/// One compiler by its own name; whether it is there.
fn compiler(checks: &mut Checks, name: Name) -> bool {
    let Some(path) = find(name.name()) else {
        checks.note(name, ABSENT);
        return false;
    };
    let answer = match process::output(&path, &["--version"]) {
        Ok(answer) => answer,
        Err(failure) => {
            checks.warn(name, Found::Broken { path: text(&path), failure, variable: None });
            return true;
        }
    };
    match version(&answer) {
        None => checks.note(name, program(&path)),
        // On some systems clang is called gcc.
        Some(numbers)
            if name == Name::Gcc
                && !answer.contains("clang")
                && numbers.first().is_some_and(|major| *major < OLDEST_GCC) =>
        {
            let (path, version) = (text(&path), dotted(&numbers));
            checks.warn(name, Found::OldProgram { path, version, oldest: OLDEST_GCC });
        }
        Some(numbers) => {
            checks.ok(name, Found::Program { path: text(&path), version: Some(dotted(&numbers)) });
        }
    }
    true
}

/// `CC` or `CXX`, where it is set: it must name a compiler, and one for this machine.
fn named_compiler(checks: &mut Checks, name: Name) {
    let Some(value) = variable(name.name()) else { return };
    // It may be a command with flags, or `ccache gcc`.
    let first = value.split_whitespace().next().unwrap_or_default().to_owned();
    let Some(path) = find(&first) else {
        checks.fail(name, Found::NamesNoProgram { value, program: first });
        return;
    };
    let target = process::output(&path, &["-dumpmachine"]).ok().map(|text| text.trim().to_owned());
    let arch = target.as_deref().and_then(|target| target.split('-').next()).unwrap_or_default();
    let foreign = same_machine(arch) == Some(false);
    match target {
        Some(target) if foreign || target.contains("musl") => {
            checks.warn(name, Found::CompilesFor { value, target, host: std::env::consts::ARCH.to_owned() });
        }
        _ => checks.ok(name, Found::Set { value }),
    }
}

/// Whether the first part of a compiler's target is this machine; `None` where it is no machine's name.
pub(super) fn same_machine(arch: &str) -> Option<bool> {
    let here = std::env::consts::ARCH;
    let known = [
        "x86_64",
        "aarch64",
        "i386",
        "i486",
        "i586",
        "i686",
        "arm",
        "armv7l",
        "riscv64",
        "powerpc64le",
        "s390x",
    ];
    (known.contains(&arch) || arch == here).then_some(arch == here)
}

/// A variable that lists directories, where it is set.
fn directories(checks: &mut Checks, name: Name) {
    let Some(value) = variable(name.name()) else { return };
    let missing = missing(value.split(':').filter(|entry| !entry.is_empty()));
    match missing.is_empty() {
        true => checks.ok(name, Found::Set { value }),
        false => checks.warn(name, Found::MissingDirectories { value, missing }),
    }
}

/// Those of a list that are no directories.
fn missing<'a>(list: impl Iterator<Item = &'a str>) -> Vec<String> {
    list.filter(|entry| !Path::new(entry).is_dir()).map(str::to_owned).collect()
}

/// Variables that change what every program here loads, the worker of a soak included.
fn loader_variables(checks: &mut Checks) {
    if let Some(value) = variable("LD_LIBRARY_PATH") {
        let missing = missing(value.split([':', ';']));
        let (status, found) = if missing.is_empty() {
            (Status::Note, Found::Set { value })
        } else if missing.iter().any(String::is_empty) {
            (Status::Warn, Found::EmptyEntry { value })
        } else {
            (Status::Warn, Found::MissingDirectories { value, missing })
        };
        checks.add(status, Name::LdLibraryPath, found);
    }
    if let Some(value) = variable("LD_PRELOAD") {
        checks.warn(Name::LdPreload, Found::Set { value });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        let gcc = "gcc (Debian 12.2.0-14+deb12u1) 12.2.0\nCopyright (C) 2022 Free Software Foundation";
        assert_eq!(version(gcc), Some(vec![12, 2, 0]));
        assert_eq!(version("Debian clang version 14.0.6"), Some(vec![14, 0, 6]));
        assert_eq!(version("rustc 1.95.0 (59807616e 2026-04-14)"), Some(vec![1, 95, 0]));
        assert_eq!(version("no\nnumbers 12 here"), None);
        assert_eq!(version("99999999999999999999.1"), None);
    }

    #[test]
    fn machines_are_told_apart() {
        assert_eq!(same_machine(std::env::consts::ARCH), Some(true));
        assert_eq!(same_machine("s390x"), Some(std::env::consts::ARCH == "s390x"));
        assert_eq!(same_machine("gcc"), None);
    }
}
