//! Where this machine has headers, programs, packages of pkg-config, and targets of rustc.

use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};

use crate::record::explanation::Here;

/// Entries of a directory that are looked at.
const ENTRIES: usize = 4000;

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Programs in `PATH`, each where it is.
pub(super) fn tools(names: &[&str]) -> Vec<Here> {
    let names = names.iter().filter(|name| !name.is_empty());
    let tool = |name: &str| Here::Tool { name: name.to_owned(), path: in_path(name).map(|path| text(&path)) };
    names.map(|name| tool(name)).collect()
}

/// The program that a name in `PATH` stands for.
fn in_path(name: &str) -> Option<PathBuf> {
    // In a log it may be the whole of a command.
    let name = name.split_whitespace().next()?;
    crate::doctor::tools::in_path(name, &std::env::var_os("PATH")?)
}

/// Where a header is that a compiler did not find.
pub(super) fn header(name: &str) -> Option<Here> {
    let path = Path::new(name);
    if name.is_empty() || path.is_absolute() || path.components().any(|part| part.as_os_str() == "..") {
        return None;
    }
    let name = name.to_owned();
    let triplet = format!("/usr/include/{}-linux-gnu", std::env::consts::ARCH);
    let roots = ["/usr/include", triplet.as_str(), "/usr/local/include"].map(PathBuf::from);
    let has = |directory: &PathBuf| directory.join(path).is_file();
    if let Some(root) = roots.iter().find(|root| has(root)) {
        return Some(Here::Header { name, path: text(&root.join(path)) });
    }
    let below = roots.iter().flat_map(|root| directories(root)).find(has);
    Some(match below {
        Some(directory) => Here::HeaderBelow { name, directory: text(&directory) },
        None => Here::NoHeader { name },
    })
}

/// Directories directly below, in the order of their names.
fn directories(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten().take(ENTRIES);
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

/// Where a package's `.pc` file is.
pub(super) fn package(name: &str) -> Option<Here> {
    if name.is_empty() || name.contains('/') {
        return None;
    }
    let file = format!("{name}.pc");
    let found = crate::doctor::headers::directories()
        .into_iter()
        .map(|directory| directory.join(&file))
        .find(|path| path.is_file());
    Some(Here::Package { name: file, path: found.map(|path| text(&path)) })
}

/// Whether the file system of a file, or of the directory that it was in, forbids execution.
pub(super) fn noexec(file: &str) -> Option<Here> {
    let path = Path::new(file);
    let existing = path.ancestors().find(|path| !path.as_os_str().is_empty() && path.exists())?;
    let noexec = statvfs(existing).ok()?.flags().contains(FsFlags::ST_NOEXEC);
    (noexec || path.is_absolute()).then(|| Here::Mount { path: text(existing), noexec })
}

/// Whether the C library's start files are here, for this machine.
pub(super) fn start_file(file: &str) -> Here {
    let name = Path::new(file).file_name().unwrap_or_default();
    let arch = std::env::consts::ARCH;
    let places = [format!("/usr/lib/{arch}-linux-gnu"), "/usr/lib64".to_owned(), "/usr/lib".to_owned()];
    let found = places.iter().map(|place| Path::new(place).join(name)).find(|path| path.is_file());
    Here::StartFile { path: found.map(|path| text(&path)) }
}

/// Toolchains of rustup that have a target.
pub(super) fn rust_target(target: &str) -> Option<Here> {
    let home = std::env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".rustup")));
    let Some(toolchains) = home.map(|home| home.join("toolchains")).filter(|path| path.is_dir()) else {
        return Some(Here::NoRustup);
    };
    if target.is_empty() || target.contains('/') {
        return None;
    }
    let toolchains = directories(&toolchains)
        .iter()
        .filter(|toolchain| toolchain.join("lib/rustlib").join(target).join("lib").is_dir())
        .map(|toolchain| toolchain.file_name().unwrap_or_default().to_string_lossy().into_owned())
        .collect();
    Some(Here::RustTarget { target: target.to_owned(), toolchains })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_every_machine_is_found_and_what_is_on_none_is_not() {
        let found = tools(&["sh", "no-such-tool", ""]);
        let missing = Here::Tool { name: "no-such-tool".to_owned(), path: None };
        assert!(matches!(found.first(), Some(Here::Tool { path: Some(_), .. })), "{found:?}");
        assert_eq!(found.get(1..), Some([missing].as_slice()));
        assert_eq!(header("no/such.h"), Some(Here::NoHeader { name: "no/such.h".to_owned() }));
        assert_eq!((header("../../etc/passwd"), header("/etc/passwd")), (None, None));
        assert!(matches!(package("no-such-package"), Some(Here::Package { path: None, .. })));
        assert!(rust_target("no-such-target").is_some() && package("../x").is_none());
        assert!(matches!(noexec("/proc/no-such"), Some(Here::Mount { .. })));
    }
}
