//! Compilers, linkers and pkg-config: what is in PATH, of which version, and whether the variables that name them name
//! something.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{Check, Checks, Group, process, variable};

/// The oldest gcc that the build of this program and of its fixtures is tried with.
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

/// Compilers, linkers, pkg-config and their variables.
pub(super) fn checks() -> Vec<Check> {
    let mut checks = Checks::new(Group::Tools);
    let gcc = compiler(&mut checks, "gcc");
    let clang = compiler(&mut checks, "clang");
    if !gcc && !clang && find("cc").is_none() {
        checks.warn(
            "C compiler",
            "neither gcc, clang nor cc is in PATH; soaking needs none, building libraries does",
            "apt-get install build-essential",
        );
    }
    if (gcc || clang) && find("g++").is_none() && find("clang++").is_none() && find("c++").is_none() {
        checks.note("C++ compiler", "none in PATH; only needed for C++");
    }
    if gcc && find("ld").is_none() {
        checks.warn("ld", "gcc is here and no linker is in PATH", "apt-get install binutils");
    }
    for name in ["CC", "CXX"] {
        named_compiler(&mut checks, name);
    }
    pkg_config(&mut checks);
    loader_variables(&mut checks);
    for (name, what) in
        [("valgrind", "a second look at leaks of the C heap"), ("gdb", "looking into a crash yourself")]
    {
        match find(name) {
            Some(path) => checks.ok(name, path.display().to_string()),
            None => checks.note(name, format!("not in PATH; only needed for {what}")),
        }
    }
    checks.all
}

/// One compiler by its own name; whether it is there.
fn compiler(checks: &mut Checks, name: &str) -> bool {
    let Some(path) = find(name) else {
        checks.note(name, "not in PATH");
        return false;
    };
    match process::output(&path, &["--version"]) {
        Err(error) => {
            checks.warn(name, format!("{}: {error}", path.display()), format!("{name} --version"));
        }
        Ok(text) => match version(&text) {
            None => checks.note(name, format!("{}: of no version that it tells", path.display())),
            Some(numbers) => {
                let found = format!("{} ({})", dotted(&numbers), path.display());
                // On some systems clang is called gcc.
                if name == "gcc"
                    && !text.contains("clang")
                    && numbers.first().is_some_and(|major| *major < OLDEST_GCC)
                {
                    let mend = format!("install gcc {OLDEST_GCC} or later, and name it in CC");
                    checks.warn(
                        name,
                        format!("{found}, older than {OLDEST_GCC}, which nothing here was tried with"),
                        mend,
                    );
                } else {
                    checks.ok(name, found);
                }
            }
        },
    }
    true
}

/// `CC` or `CXX`, where it is set: it must name a compiler, and one for this machine.
fn named_compiler(checks: &mut Checks, name: &str) {
    let Some(value) = variable(name) else { return };
    // It may be a command with flags, or `ccache gcc`.
    let first = value.split_whitespace().next().unwrap_or_default();
    let Some(path) = find(first) else {
        let found = format!("{value}: {first} is not there, so builds that honour {name} fail");
        checks.fail(name, found, format!("unset {name}, or install {first}"));
        return;
    };
    let target = process::output(&path, &["-dumpmachine"]).ok().map(|text| text.trim().to_owned());
    let arch = target.as_deref().and_then(|target| target.split('-').next()).unwrap_or_default();
    match target.as_deref() {
        Some(target) if same_machine(arch) == Some(false) => checks.warn(
            name,
            format!(
                "{value} compiles for {target}; what it builds does not load on {}",
                std::env::consts::ARCH
            ),
            format!("unset {name} to build for this machine"),
        ),
        Some(target) if target.contains("musl") => checks.warn(
            name,
            format!(
                "{value} builds for musl, and this program runs on glibc: such libraries do not load into it"
            ),
            format!("unset {name}"),
        ),
        _ => checks.ok(name, value),
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

fn pkg_config(checks: &mut Checks) {
    match find("pkg-config").or_else(|| find("pkgconf")) {
        Some(path) => checks.ok("pkg-config", path.display().to_string()),
        None => checks.note("pkg-config", "not in PATH; only needed where a build asks it for libraries"),
    }
    for name in ["PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR"] {
        let Some(value) = variable(name) else { continue };
        let directories = value.split(':').filter(|entry| !entry.is_empty());
        let missing: Vec<&str> = directories.filter(|entry| !Path::new(entry).is_dir()).collect();
        if missing.is_empty() {
            checks.ok(name, value);
        } else {
            let list = missing.join(", ");
            checks.warn(
                name,
                format!("{value}: no directory: {list}"),
                format!("take it out of {name}, or install what is to be there"),
            );
        }
    }
}

/// Variables that change what every program here loads, the worker of a soak included.
fn loader_variables(checks: &mut Checks) {
    if let Some(value) = variable("LD_LIBRARY_PATH") {
        let odd: Vec<&str> =
            value.split([':', ';']).filter(|entry| entry.is_empty() || !Path::new(entry).is_dir()).collect();
        if odd.is_empty() {
            checks.note(
                "LD_LIBRARY_PATH",
                format!("{value}: searched before the system's own libraries, by soaks too"),
            );
        } else if odd.contains(&"") {
            checks.warn(
                "LD_LIBRARY_PATH",
                format!(
                    "{value}: an empty entry stands for the current directory, wherever a program is started"
                ),
                "take leading, trailing and double colons out of it",
            );
        } else {
            checks.warn(
                "LD_LIBRARY_PATH",
                format!("{value}: no directory: {}", odd.join(", ")),
                "unset LD_LIBRARY_PATH",
            );
        }
    }
    if let Some(value) = variable("LD_PRELOAD") {
        checks.warn(
            "LD_PRELOAD",
            format!("{value}: loaded into every program, and into the worker that is measured"),
            "unset LD_PRELOAD",
        );
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
