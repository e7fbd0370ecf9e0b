//! This machine's libraries by name and by symbol: what a linker would take, what the loader would, and who has a symbol that
//! a log misses.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::elf::{Facts, Host, check_loadable};
use crate::files;
use crate::inspect::search::{DEFAULTS, Search};

/// Symbols that are looked for.
const SYMBOLS: usize = 200;
/// Libraries larger than this are not searched for symbols.
const LARGEST: u64 = 32 << 20;
/// Time after which no more libraries are searched.
const PATIENCE: Duration = Duration::from_secs(2);
/// Those that come first: what is most often forgotten.
const USUAL: [&str; 9] = [
    "libc.so.6",
    "libm.so.6",
    "libstdc++.so.6",
    "libgcc_s.so.1",
    "libdl.so.2",
    "libpthread.so.0",
    "librt.so.1",
    "libz.so.1",
    "libatomic.so.1",
];

/// Libraries of this machine.
pub(super) struct Libraries {
    search: Search,
    /// Libraries that have a symbol, nearest first.
    having: HashMap<String, Vec<PathBuf>>,
    /// Whether all libraries were searched.
    all: bool,
}

impl Libraries {
    /// Searches this machine's libraries for `symbols`, as far as time allows.
    pub(super) fn of_this_machine<'a>(symbols: impl Iterator<Item = &'a str>) -> Self {
        let search = Search::of_this_machine();
        let mut having: HashMap<String, Vec<PathBuf>> =
            symbols.take(SYMBOLS).map(|symbol| (plain(symbol).to_owned(), Vec::new())).collect();
        let mut all = true;
        if !having.is_empty() {
            let began = Instant::now();
            for path in paths(&search) {
                if began.elapsed() > PATIENCE {
                    all = false;
                    break;
                }
                let Some(facts) = loadable(&path) else { continue };
                for (_, found) in having.iter_mut().filter(|(symbol, _)| facts.has_export(symbol)) {
                    found.push(path.clone());
                }
            }
        }
        Self { search, having, all }
    }

    /// What a linker would find for `-lNAME`.
    pub(super) fn to_link(&self, name: &str) -> Vec<String> {
        if name.is_empty() || name.contains('/') {
            return Vec::new();
        }
        let file = format!("lib{name}.so");
        let numbered = format!("{file}.");
        let mut with_number = BTreeMap::new();
        for directory in link_directories() {
            for ending in ["so", "a"] {
                let path = directory.join(format!("lib{name}.{ending}"));
                if path.exists() {
                    return vec![format!(
                        "{} is here: it was not when the log was written, or was for another machine, or the linker was not \
                         shown its directory",
                        path.display()
                    )];
                }
            }
            for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
                let found = entry.file_name().to_string_lossy().into_owned();
                if found.starts_with(&numbered) {
                    with_number.entry(found).or_insert_with(|| entry.path());
                }
            }
        }
        for (found, path) in self.search.cache().entries() {
            if found.starts_with(&numbered) {
                with_number.entry(found.to_owned()).or_insert_with(|| PathBuf::from(path));
            }
        }
        match with_number.pop_first() {
            Some((found, path)) => vec![format!(
                "{} is here, which programs run with; {file}, which the linker wants, is not beside it: install its development \
                 package, or for a trial link with -l:{found}",
                path.display()
            )],
            None => vec![format!(
                "this machine has no {file}, lib{name}.a or {file}.* in the linker's directories"
            )],
        }
    }

    /// What the loader would find for a library's name or path.
    pub(super) fn to_load(&self, name: &str) -> Vec<String> {
        let path = Path::new(name);
        if name.contains('/') {
            // glibc reports a library of another machine as one that is not there.
            let told = super::fits(name);
            return if told.is_empty() {
                vec![format!("{name} is not here, seen from this directory")]
            } else {
                told
            };
        }
        let own = std::env::current_exe().unwrap_or_default();
        let Some(facts) = loadable(&own) else { return Vec::new() };
        if let Some(found) = self.search.find(name, path, &facts, &[]) {
            let where_ = found.path.display();
            return vec![format!("it is found here: {where_} ({})", found.place.name())];
        }
        let base = name.split_once(".so").map_or(name, |(base, _)| base);
        let others: BTreeMap<&str, &str> = self
            .search
            .cache()
            .entries()
            .filter(|(known, _)| known.split_once(".so").map(|(b, _)| b) == Some(base))
            .collect();
        let mut lines: Vec<String> = others
            .iter()
            .take(3)
            .map(|(known, path)| {
                format!("this machine has {known} ({path}), which is another version: no substitute")
            })
            .collect();
        if lines.is_empty() {
            let foreign = DEFAULTS.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.exists());
            lines = match foreign {
                Some(path) => super::fits(&path.to_string_lossy()),
                None => vec![format!("the loader finds no {name} on this machine either")],
            };
        }
        lines
    }

    /// Which library has a symbol.
    pub(super) fn with_symbol(&self, symbol: &str) -> Vec<String> {
        let symbol = plain(symbol);
        // What was demangled for people can't be looked up.
        if symbol.is_empty() || symbol.contains([' ', '(', ':', '<']) {
            return Vec::new();
        }
        let Some(found) = self.having.get(symbol) else { return Vec::new() };
        let Some(first) = found.first() else {
            return if self.all {
                vec![format!("none of the libraries that this machine's loader knows has `{symbol}`")]
            } else {
                Vec::new()
            };
        };
        let file = first.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = file.strip_prefix("lib").and_then(|rest| rest.split_once(".so")).map(|(name, _)| name);
        let advice = match name {
            Some("c") => {
                "libc itself, so it was linked without it (-nostdlib), or with another C library".to_owned()
            }
            Some("stdc++") => "link with g++, or add -lstdc++".to_owned(),
            Some(name) => format!("add -l{name} after the objects that use it"),
            None => "name it on the command line".to_owned(),
        };
        vec![format!("`{symbol}` is in {}: {advice}", first.display())]
    }

    /// The newest version of a family that a library of this machine has, against the one asked for.
    pub(super) fn newest_of(&self, library: &str, version: &str) -> Vec<String> {
        let Some((family, _)) = version.split_once('_') else { return Vec::new() };
        let Some(path) = self.search.cache().find(library).next() else {
            return vec![format!("this machine has no {library}")];
        };
        let Ok(bytes) = files::read_library(Path::new(path)) else { return Vec::new() };
        let prefix = format!("{family}_");
        let newest = memchr::memmem::find_iter(&bytes, prefix.as_bytes())
            .filter_map(|at| {
                let text = bytes.get(at + prefix.len()..)?;
                let text = text.get(..32).unwrap_or(text);
                super::numbers(std::str::from_utf8(text.get(..memchr::memchr(0, text)?)?).ok()?)
            })
            .max();
        let Some(newest) = newest else { return Vec::new() };
        let text: Vec<String> = newest.iter().map(ToString::to_string).collect();
        vec![format!("{path} here goes up to {prefix}{}", text.join("."))]
    }
}

/// Directories that linkers search by themselves.
fn link_directories() -> impl Iterator<Item = PathBuf> {
    let local = ["/usr/local/lib".to_owned(), format!("/usr/local/lib/{}-linux-gnu", std::env::consts::ARCH)];
    local.into_iter().map(PathBuf::from).chain(DEFAULTS.iter().map(PathBuf::from))
}

/// The libraries that the loader knows: the usual ones, then the others.
fn paths(search: &Search) -> Vec<PathBuf> {
    let cache = search.cache();
    let usual = USUAL.iter().filter_map(|name| cache.find(name).next());
    let mut paths: Vec<PathBuf> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for path in usual.chain(cache.entries().map(|(_, path)| path)) {
        // One file has several names.
        let file = std::fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
        if seen.insert(file) {
            paths.push(PathBuf::from(path));
        }
    }
    paths
}

fn loadable(path: &Path) -> Option<Facts> {
    if std::fs::metadata(path).ok()?.len() > LARGEST {
        // The program itself may be larger, with its debug information.
        return (Some(path) == std::env::current_exe().ok().as_deref())
            .then(|| super::facts(&path.to_string_lossy()))?;
    }
    let facts = super::facts(&path.to_string_lossy())?;
    let program = Some(path) == std::env::current_exe().ok().as_deref();
    (program || check_loadable(&facts, Host::CURRENT).is_ok()).then_some(facts)
}

/// A symbol without its version.
fn plain(symbol: &str) -> &str {
    symbol.split('@').next().unwrap_or(symbol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_of_a_symbol_is_named_and_one_that_nobody_has_is_not() {
        let libraries = Libraries::of_this_machine(
            ["cos", "cos@@GLIBC_2.2.5", "strlen", "no_such_symbol_here"].into_iter(),
        );
        let told = libraries.with_symbol("cos@@GLIBC_2.2.5");
        assert!(told[0].contains("libm.so.6") && told[0].contains("-lm"), "{told:?}");
        assert!(libraries.with_symbol("strlen")[0].contains("libc itself"));
        assert!(!libraries.with_symbol("no_such_symbol_here").iter().any(|text| text.contains("is in")));
        assert!(libraries.with_symbol("std::vector<int>::x()").is_empty());
    }

    #[test]
    fn what_is_linked_with_and_loaded_is_told_apart() {
        let libraries = Libraries::of_this_machine(std::iter::empty());
        assert!(libraries.to_link("no-such-library")[0].contains("has no libno-such-library.so"));
        assert!(libraries.to_load("libc.so.6")[0].contains("found here"));
        assert!(libraries.to_load("libc.so.7")[0].contains("another version"));
        assert!(libraries.to_load("libno-such.so.7")[0].contains("either"));
        assert!(libraries.to_load("./no/such.so")[0].contains("not here"));
    }
}
