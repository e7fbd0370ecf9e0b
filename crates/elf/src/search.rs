//! Where the loader would find a library that another one needs: glibc's own order of places. Nothing is loaded.

use std::path::{Path, PathBuf};

use crate::{Cache, Facts, Host, Libc, check_loadable, facts_of};
use dlsoak_record::inspection::Place;

/// Where glibc writes down what `ldconfig` found.
const CACHE: &str = "/etc/ld.so.cache";

/// Directories that glibc searches last, as distributions build it; those that are not there cost nothing.
pub const DEFAULTS: [&str; 10] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib/riscv64-linux-gnu",
    "/usr/lib/riscv64-linux-gnu",
    "/lib",
    "/usr/lib",
];

/// A library that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its file.
    pub path: PathBuf,
    /// By what it was found.
    pub place: Place,
    /// What its file says.
    pub facts: Facts,
}

/// Searches as the loader of this machine does.
#[derive(Debug, Default)]
pub struct Search {
    cache: Cache,
    environment: Vec<PathBuf>,
}

impl Search {
    /// What this machine's `ldconfig` found.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// A search with this machine's cache and this process's `LD_LIBRARY_PATH`.
    pub fn of_this_machine() -> Self {
        let cache = std::fs::read(CACHE).map(|data| Cache::parse(&data)).unwrap_or_default();
        let list = std::env::var("LD_LIBRARY_PATH").unwrap_or_default();
        // glibc takes a semicolon too, and an empty entry for the current directory.
        let entries = list.split([':', ';']).map(|entry| if entry.is_empty() { "." } else { entry });
        let environment = if list.is_empty() { Vec::new() } else { entries.map(PathBuf::from).collect() };
        Self { cache, environment }
    }

    /// Finds `name` for the object at `path` with these facts. `above` are the `DT_RPATH` directories of the objects
    /// that brought it, nearest first.
    pub fn find(&self, name: &str, path: &Path, facts: &Facts, above: &[PathBuf]) -> Option<Found> {
        if name.contains('/') {
            return open(Path::new(name), Place::Path);
        }
        if facts.libc == Libc::Musl && is_musl(name) {
            let loader = format!("/lib/ld-musl-{}.so.1", std::env::consts::ARCH);
            return open(Path::new(&loader), Place::Default);
        }
        let in_list = |list: &[PathBuf], place| list.iter().find_map(|dir| open(&dir.join(name), place));
        // An object that has a RUNPATH ignores all RPATHs, its own and those above.
        let rpath = if facts.runpath.is_some() { Vec::new() } else { rpath(path, facts) };
        let above = if facts.runpath.is_some() { &[] } else { above };
        in_list(&rpath, Place::Rpath)
            .or_else(|| in_list(above, Place::Rpath))
            .or_else(|| in_list(&self.environment, Place::Environment))
            .or_else(|| in_list(&directories(facts.runpath.as_deref(), path), Place::Runpath))
            .or_else(|| self.of_the_machine(name))
    }

    /// Finds `name` for a program that has no directories of its own.
    pub fn by_name(&self, name: &str) -> Option<Found> {
        let in_environment =
            || self.environment.iter().find_map(|dir| open(&dir.join(name), Place::Environment));
        in_environment().or_else(|| self.of_the_machine(name))
    }

    fn of_the_machine(&self, name: &str) -> Option<Found> {
        let in_defaults = || DEFAULTS.iter().find_map(|dir| open(&Path::new(dir).join(name), Place::Default));
        self.cache.find(name).find_map(|path| open(Path::new(path), Place::Cache)).or_else(in_defaults)
    }
}

/// Whether musl's loader takes this name for itself, whatever follows the first dot (`load_library` in ldso/dynlink.c).
fn is_musl(name: &str) -> bool {
    const PARTS: [&str; 7] = ["c", "pthread", "rt", "m", "dl", "util", "xnet"];
    let part = name.strip_prefix("lib").and_then(|name| name.split_once('.'));
    part.is_some_and(|(part, _)| PARTS.contains(&part))
}

/// The directories of an object's `DT_RPATH`, which hold for what it brings too.
pub fn rpath(path: &Path, facts: &Facts) -> Vec<PathBuf> {
    if facts.runpath.is_some() { Vec::new() } else { directories(facts.rpath.as_deref(), path) }
}

/// The directories of a list, with the loader's own variables filled in.
fn directories(list: Option<&str>, path: &Path) -> Vec<PathBuf> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let origin = absolute.parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
    let entries = list.unwrap_or_default().split(':').filter(|entry| !entry.is_empty());
    // $LIB is a matter of the distribution: both that are in use are tried.
    let libs = [format!("lib/{}-linux-gnu", std::env::consts::ARCH), "lib64".to_owned()];
    entries
        .flat_map(|entry| {
            let entry = variable(entry, "ORIGIN", &origin);
            let entry = variable(&entry, "PLATFORM", std::env::consts::ARCH);
            let one = variable(&entry, "LIB", &libs[0]);
            let other = variable(&entry, "LIB", &libs[1]);
            if one == other { vec![one] } else { vec![one, other] }
        })
        .map(PathBuf::from)
        .collect()
}

fn variable(text: &str, name: &str, value: &str) -> String {
    text.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value)
}

/// The file, if it is a library that can be loaded here: others the loader passes over.
fn open(path: &Path, place: Place) -> Option<Found> {
    let facts = facts_of(path)?;
    check_loadable(&facts, Host::CURRENT).ok()?;
    Some(Found { path: path.to_path_buf(), place, facts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn musl_is_its_own_loader() {
        for name in ["libc.so", "libc.musl-x86_64.so.1", "libm.so", "libpthread.so.0"] {
            assert!(is_musl(name), "{name}");
        }
        for name in ["libz.so.1", "libcrypt.so.1", "libc", "ld-musl-x86_64.so.1"] {
            assert!(!is_musl(name), "{name}");
        }
    }

    #[test]
    fn the_loaders_variables_are_filled_in() {
        let list = Some("$ORIGIN/../lib:/x:${ORIGIN}:");
        let found = directories(list, Path::new("/a/b/liba.so"));
        assert_eq!(found, ["/a/b/../lib", "/x", "/a/b"].map(PathBuf::from));
        assert_eq!(directories(Some("/p/$LIB"), Path::new("/a/b")).len(), 2);
        assert!(directories(None, Path::new("/a")).is_empty());
    }

    #[test]
    fn the_c_library_is_found_on_this_machine() {
        let this = std::env::current_exe().unwrap();
        let facts = facts_of(&this).unwrap();
        let search = Search::of_this_machine();
        let found = search.find("libc.so.6", &this, &facts, &[]).unwrap();
        assert_eq!(found.facts.soname.as_deref(), Some("libc.so.6"));
        assert!(search.find("libno-such-library.so.9", &this, &facts, &[]).is_none());
        let by_path = search.find(found.path.to_str().unwrap(), &this, &facts, &[]).unwrap();
        assert_eq!(by_path.place, Place::Path);
    }
}
