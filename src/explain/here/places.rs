//! Where this machine has headers, programs, packages of pkg-config, and targets of rustc.

use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};

/// Entries of a directory that are looked at.
const ENTRIES: usize = 4000;

/// Programs in `PATH`, each where it is.
pub(super) fn tools(names: &[&str]) -> Vec<String> {
    names.iter().filter(|name| !name.is_empty()).map(|name| tool(name)).collect()
}

fn tool(name: &str) -> String {
    match in_path(name) {
        Some(path) => format!("{name} is here: {}", path.display()),
        None => format!("{name} is not in PATH here"),
    }
}

/// The program that a name in `PATH` stands for.
fn in_path(name: &str) -> Option<PathBuf> {
    // In a log it may be the whole of a command.
    let name = name.split_whitespace().next()?;
    crate::doctor::tools::in_path(name, &std::env::var_os("PATH")?)
}

/// Where a header is that a compiler did not find.
pub(super) fn header(name: &str) -> Vec<String> {
    let path = Path::new(name);
    if name.is_empty() || path.is_absolute() || path.components().any(|part| part.as_os_str() == "..") {
        return Vec::new();
    }
    let triplet = format!("/usr/include/{}-linux-gnu", std::env::consts::ARCH);
    let roots = ["/usr/include", triplet.as_str(), "/usr/local/include"].map(PathBuf::from);
    for root in &roots {
        if root.join(path).is_file() {
            return vec![format!(
                "{} is here: it was not when the log was written, or the compiler was for another machine",
                root.join(path).display()
            )];
        }
    }
    for root in &roots {
        for directory in directories(root) {
            if directory.join(path).is_file() {
                let place = directory.display();
                return vec![format!(
                    "{place}/{name} is here, in a directory that has to be named: -I{place}"
                )];
            }
        }
    }
    vec![format!("this machine has no {name} in /usr/include, /usr/local/include or a directory below them")]
}

/// Directories directly below, in the order of their names.
fn directories(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten().take(ENTRIES);
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

/// Where a package's `.pc` file is.
pub(super) fn package(name: &str) -> Vec<String> {
    if name.is_empty() || name.contains('/') {
        return Vec::new();
    }
    let file = format!("{name}.pc");
    let given = std::env::var_os("PKG_CONFIG_PATH").unwrap_or_default();
    let arch = std::env::consts::ARCH;
    let own = [
        format!("/usr/local/lib/{arch}-linux-gnu/pkgconfig"),
        "/usr/local/lib/pkgconfig".to_owned(),
        "/usr/local/share/pkgconfig".to_owned(),
        format!("/usr/lib/{arch}-linux-gnu/pkgconfig"),
        "/usr/lib64/pkgconfig".to_owned(),
        "/usr/lib/pkgconfig".to_owned(),
        "/usr/share/pkgconfig".to_owned(),
    ];
    let mut all = std::env::split_paths(&given)
        .chain(own.into_iter().map(PathBuf::from))
        .filter(|dir| !dir.as_os_str().is_empty());
    match all.find(|directory| directory.join(&file).is_file()) {
        Some(directory) => vec![format!("{} is here", directory.join(&file).display())],
        None => {
            vec![format!("this machine has no {file} in pkg-config's own directories or PKG_CONFIG_PATH")]
        }
    }
}

/// Whether the file system of a file, or of the directory that it was in, forbids execution.
pub(super) fn noexec(file: &str) -> Vec<String> {
    let path = Path::new(file);
    let Some(existing) = path.ancestors().find(|path| !path.as_os_str().is_empty() && path.exists()) else {
        return Vec::new();
    };
    match statvfs(existing) {
        Ok(state) if state.flags().contains(FsFlags::ST_NOEXEC) => {
            vec![format!("{} is mounted noexec on this machine", existing.display())]
        }
        Ok(_) if path.is_absolute() => {
            vec![format!("{} is not mounted noexec on this machine", existing.display())]
        }
        _ => Vec::new(),
    }
}

/// Whether the C library's start files are here, for this machine.
pub(super) fn start_file(file: &str) -> Vec<String> {
    let name = Path::new(file).file_name().unwrap_or_default();
    let arch = std::env::consts::ARCH;
    let places = [format!("/usr/lib/{arch}-linux-gnu"), "/usr/lib64".to_owned(), "/usr/lib".to_owned()];
    match places.iter().map(|place| Path::new(place).join(name)).find(|path| path.is_file()) {
        Some(path) => vec![format!("{} is here, for programs of this machine only", path.display())],
        None => vec![format!(
            "this machine has none for its own programs: the C library's development files are missing"
        )],
    }
}

/// Toolchains of rustup that have a target.
pub(super) fn rust_target(target: &str) -> Vec<String> {
    let home = std::env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".rustup")));
    let Some(toolchains) = home.map(|home| home.join("toolchains")).filter(|path| path.is_dir()) else {
        return vec!["this user has no toolchains of rustup".to_owned()];
    };
    if target.is_empty() || target.contains('/') {
        return Vec::new();
    }
    let have: Vec<String> = directories(&toolchains)
        .iter()
        .filter(|toolchain| toolchain.join("lib/rustlib").join(target).join("lib").is_dir())
        .map(|toolchain| toolchain.file_name().unwrap_or_default().to_string_lossy().into_owned())
        .collect();
    if have.is_empty() {
        vec![format!("no toolchain of this user has {target}")]
    } else {
        vec![format!("it is installed here for {}", have.join(", "))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_every_machine_is_found_and_what_is_on_none_is_not() {
        assert!(tools(&["sh", "no-such-tool"])[0].contains("sh is here"));
        assert!(tools(&["no-such-tool", ""]) == ["no-such-tool is not in PATH here"]);
        assert!(header("no/such.h")[0].contains("has no no/such.h"));
        assert!(header("../../etc/passwd").is_empty() && header("/etc/passwd").is_empty());
        assert!(package("no-such-package")[0].contains("has no no-such-package.pc"));
        assert!(rust_target("no-such-target").len() == 1 && package("../x").is_empty());
        assert!(noexec("/proc/no-such").len() == 1);
    }
}
