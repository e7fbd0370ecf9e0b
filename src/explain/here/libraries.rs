//! This machine's libraries by name and by symbol: what a linker would take, what the loader would, and who has a symbol that
//! a log misses.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::elf::search::{DEFAULTS, Search};
use crate::elf::{self, Facts, Host, check_loadable};
use crate::record::explanation::Here;

/// Symbols that are looked for.
const SYMBOLS: usize = 200;
/// Libraries larger than this are not searched for symbols.
const LARGEST: u64 = 32 << 20;
/// Time after which no more libraries are searched.
const PATIENCE: Duration = Duration::from_secs(2);
/// Other versions of a library that are listed.
const OTHERS: usize = 3;
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
    pub(super) fn to_link(&self, name: &str) -> Option<Here> {
        if name.is_empty() || name.contains('/') {
            return None;
        }
        let numbered = format!("lib{name}.so.");
        let mut with_number = BTreeMap::new();
        for directory in link_directories() {
            for ending in ["so", "a"] {
                let path = directory.join(format!("lib{name}.{ending}"));
                if path.exists() {
                    return Some(Here::Linkable { path: path.display().to_string() });
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
        let name = name.to_owned();
        Some(match with_number.pop_first() {
            Some((_, path)) => Here::NotLinkable { name, path: path.display().to_string() },
            None => Here::NoLibrary { name },
        })
    }

    /// What the loader would find for a library's name or path.
    pub(super) fn to_load(&self, name: &str) -> Vec<Here> {
        if name.contains('/') {
            // glibc reports a library of another machine as one that is not there.
            let found = super::fits(name);
            return match found.is_empty() {
                true => vec![Here::MissingFromHere { file: name.to_owned() }],
                false => found,
            };
        }
        let own = std::env::current_exe().unwrap_or_default();
        let Some(facts) = loadable(&own) else { return Vec::new() };
        if let Some(found) = self.search.find(name, Path::new(name), &facts, &[]) {
            return vec![Here::Loadable { path: found.path.display().to_string(), place: found.place }];
        }
        let base = name.split_once(".so").map_or(name, |(base, _)| base);
        let others: BTreeMap<&str, &str> = self
            .search
            .cache()
            .entries()
            .filter(|(known, _)| known.split_once(".so").map(|(b, _)| b) == Some(base))
            .collect();
        if !others.is_empty() {
            let other = |(name, path): (&&str, &&str)| Here::OtherVersion {
                name: (*name).to_owned(),
                path: (*path).to_owned(),
            };
            return others.iter().take(OTHERS).map(other).collect();
        }
        match DEFAULTS.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.exists()) {
            Some(foreign) => super::fits(&foreign.to_string_lossy()),
            None => vec![Here::NotLoadable { name: name.to_owned() }],
        }
    }

    /// Which library has a symbol.
    pub(super) fn with_symbol(&self, symbol: &str) -> Option<Here> {
        let symbol = plain(symbol);
        // What was demangled for people can't be looked up.
        if symbol.is_empty() || symbol.contains([' ', '(', ':', '<']) {
            return None;
        }
        let found = self.having.get(symbol)?.first();
        let symbol = symbol.to_owned();
        match found {
            Some(path) => Some(Here::Symbol { symbol, path: path.display().to_string() }),
            None => self.all.then_some(Here::NoSymbol { symbol }),
        }
    }

    /// The newest version of a family that a library of this machine has, against the one asked for.
    pub(super) fn newest_of(&self, library: &str, version: &str) -> Option<Here> {
        let (family, _) = version.split_once('_')?;
        let Some(path) = self.search.cache().find(library).next() else {
            return Some(Here::NotLoadable { name: library.to_owned() });
        };
        let bytes = elf::read_library(Path::new(path)).ok()?;
        let prefix = format!("{family}_");
        let newest = memchr::memmem::find_iter(&bytes, prefix.as_bytes())
            .filter_map(|at| {
                let text = bytes.get(at + prefix.len()..)?;
                let text = text.get(..32).unwrap_or(text);
                super::numbers(std::str::from_utf8(text.get(..memchr::memchr(0, text)?)?).ok()?)
            })
            .max()?;
        let numbers: Vec<String> = newest.iter().map(ToString::to_string).collect();
        Some(Here::NewestVersion { path: path.to_owned(), version: prefix + &numbers.join(".") })
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
    fn the_library_of_a_symbol_is_found_and_that_of_no_symbol_is_not() {
        let libraries = Libraries::of_this_machine(
            ["cos", "cos@@GLIBC_2.2.5", "strlen", "no_such_symbol_here"].into_iter(),
        );
        let library = |symbol: &str| match libraries.with_symbol(symbol) {
            Some(Here::Symbol { path, .. }) => Some(path.rsplit('/').next().unwrap().to_owned()),
            _ => None,
        };
        assert_eq!(library("cos@@GLIBC_2.2.5").as_deref(), Some("libm.so.6"));
        assert_eq!(library("strlen").as_deref(), Some("libc.so.6"));
        assert_eq!((library("no_such_symbol_here"), library("std::vector<int>::x()")), (None, None));
    }

    #[test]
    fn linking_and_loading_are_different_questions() {
        let libraries = Libraries::of_this_machine(std::iter::empty());
        let name = || "no-such-library".to_owned();
        assert_eq!(libraries.to_link(&name()), Some(Here::NoLibrary { name: name() }));
        assert!(matches!(libraries.to_load("libc.so.6").as_slice(), [Here::Loadable { .. }]));
        assert!(matches!(libraries.to_load("libc.so.7").as_slice(), [Here::OtherVersion { .. }, ..]));
        assert!(matches!(libraries.to_load("libno-such.so.7").as_slice(), [Here::NotLoadable { .. }]));
        assert!(matches!(libraries.to_load("./no/such.so").as_slice(), [Here::MissingFromHere { .. }]));
    }
}
