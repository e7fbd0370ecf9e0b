//! Do the headers that a compiler would find belong to this library? A linker follows `libNAME.so` and pkg-config `NAME.pc`;
//! both may be of another version, or of another copy, than the library that is then loaded.

use std::path::{Path, PathBuf};

use super::{Checks, text, variable};
use crate::elf::{self, Facts};
use crate::record::checkup::{Found, HeadersFit, Name, Status};

/// Files of pkg-config that are read, and bytes of each.
const PACKAGES: usize = 2000;
const LARGEST: u64 = 64 * 1024;

/// A package whose `Libs` name the library.
struct Package {
    /// Its file.
    path: PathBuf,
    version: String,
    /// Directory of its libraries.
    libdir: PathBuf,
}

/// Compares what is compiled and linked with to the library at `path`.
pub(super) fn check(checks: &mut Checks, path: &Path, facts: &Facts) {
    let Some(soname) = facts.soname.as_deref() else { return };
    let Some(name) = soname.strip_prefix("lib").and_then(|rest| rest.split_once(".so")).map(|(name, _)| name)
    else {
        return;
    };
    let Some(package) = directories().iter().find_map(|directory| package(directory, name)) else { return };
    let link = package.libdir.join(format!("lib{name}.so"));
    let (status, fit) = fit(path, facts, soname, &link);
    let found =
        Found::Headers { package: text(&package.path), version: package.version, library: text(&link), fit };
    checks.add(status, Name::Headers, found);
}

/// Whether the library that is linked with is the one at `path`.
fn fit(path: &Path, facts: &Facts, soname: &str, link: &Path) -> (Status, HeadersFit) {
    let Some(other) = crate::elf::facts_of(link) else { return (Status::Note, HeadersFit::NoLibrary) };
    let same = std::fs::canonicalize(link).ok() == std::fs::canonicalize(path).ok();
    if other.soname.as_deref() != Some(soname) {
        (Status::Warn, HeadersFit::OtherSoname { theirs: other.soname, ours: soname.to_owned() })
    } else if other.machine != facts.machine {
        (Status::Note, HeadersFit::OtherMachine { machine: other.machine })
    } else if same || other.build_id.is_some() && other.build_id == facts.build_id {
        (Status::Ok, HeadersFit::Same)
    } else {
        (Status::Warn, HeadersFit::OtherCopy { soname: soname.to_owned() })
    }
}

/// Where pkg-config searches, in its order.
pub(crate) fn directories() -> Vec<PathBuf> {
    let given = variable("PKG_CONFIG_PATH").unwrap_or_default();
    let arch = std::env::consts::ARCH;
    let own = variable("PKG_CONFIG_LIBDIR").unwrap_or_else(|| {
        format!(
            "/usr/local/lib/{arch}-linux-gnu/pkgconfig:/usr/local/lib/pkgconfig:/usr/local/share/pkgconfig:\
             /usr/lib/{arch}-linux-gnu/pkgconfig:/usr/lib64/pkgconfig:/usr/lib/pkgconfig:/usr/share/pkgconfig"
        )
    });
    let entries = given.split(':').chain(own.split(':')).filter(|entry| !entry.is_empty());
    entries.map(PathBuf::from).collect()
}

/// The first package of a directory that links with `-lNAME`; one of that very name before others.
fn package(directory: &Path, name: &str) -> Option<Package> {
    let entries = std::fs::read_dir(directory).ok()?.flatten().take(PACKAGES).map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "pc")).collect();
    files.sort_by_key(|path| (path.file_stem().is_none_or(|stem| stem != name), path.clone()));
    files.into_iter().find_map(|path| {
        let bytes = elf::read_at_most(&path, LARGEST).ok()?;
        read(&String::from_utf8_lossy(&bytes), name, &path)
    })
}

/// Reads a package's file; `None` where it does not link with `-lNAME`.
fn read(text: &str, name: &str, path: &Path) -> Option<Package> {
    let mut variables: Vec<(String, String)> =
        vec![("pcfiledir".to_owned(), path.parent().unwrap_or(Path::new("/")).display().to_string())];
    let (mut version, mut libs) = (String::new(), String::new());
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let Some(at) = line.find(['=', ':']) else { continue };
        let (key, rest) = line.split_at(at);
        let value = filled(rest.get(1..).unwrap_or_default().trim(), &variables);
        match (rest.starts_with('='), key.trim()) {
            (true, key) => variables.push((key.to_owned(), value)),
            (false, "Version") => version = value,
            (false, "Libs") => libs = value,
            _ => {}
        }
    }
    let wanted = format!("-l{name}");
    libs.split_whitespace().find(|word| **word == wanted)?;
    let of = |name: &str| {
        variables.iter().rev().find(|(key, _)| key == name).map(|(_, value)| PathBuf::from(value))
    };
    let given = libs.split_whitespace().find_map(|word| word.strip_prefix("-L")).map(PathBuf::from);
    Some(Package { path: path.to_path_buf(), version, libdir: given.or_else(|| of("libdir"))? })
}

/// A value with the variables before it put in.
fn filled(value: &str, variables: &[(String, String)]) -> String {
    let mut value = value.to_owned();
    for (name, text) in variables.iter().rev() {
        // What is put in has been filled already, so that this ends; and a file that doubles itself is cut.
        if value.len() < 4096 {
            value = value.replace(&format!("${{{name}}}"), text);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_read_with_its_variables() {
        let text = "prefix=/opt/x\nexec_prefix=${prefix}\nlibdir=${exec_prefix}/lib\n# Libs: -lno\nName: x\nVersion: 1.2.3\n\
            Libs: -L${libdir} -lx\n";
        let package = read(text, "x", Path::new("/opt/x/lib/pkgconfig/x.pc")).unwrap();
        assert_eq!((package.version.as_str(), package.libdir), ("1.2.3", PathBuf::from("/opt/x/lib")));
        assert!(read(text, "no", Path::new("/x.pc")).is_none());
        assert!(read("a=${a}${a}\nLibs: -lx\nlibdir", "x", Path::new("/x.pc")).is_none());
    }
}
