//! A load that fails for want of a symbol: who on this machine has it. A plugin lacks what its host exports, or what another plugin of
//! the same host does.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::elf::{self, Image};
use crate::record::Provider;
use crate::stand_in::programs;

/// How long it is looked for, and in how many files.
const WITHIN: Duration = Duration::from_secs(2);
const MOST: usize = 6_000;
/// Directories in which packages keep programs that people don't run by name, each there or below the directory of a package.
const LIBRARIES: [&str; 2] = ["/usr/lib", "/usr/libexec"];

/// Who has the symbol that this library lacks: a library in the same directory, or a program.
pub(super) fn provider(symbol: &str, library: &Path) -> Option<Provider> {
    let library = std::path::absolute(library).ok()?;
    let mut search =
        Search { symbol, until: Instant::now() + WITHIN, seen: HashSet::from([library.clone()]) };
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let beside = library.parent().map(entries).unwrap_or_default();
    let is_library = |path: &PathBuf| path.to_string_lossy().contains(".so");
    if let Some(path) = search.first(beside.into_iter().filter(is_library), Image::Library) {
        return Some(Provider::Sibling { path: text(path) });
    }
    search
        .first(likely(&library).into_iter().chain(all()), Image::Program)
        .map(|path| Provider::Program { path: text(path) })
}

/// Programs that the place of the library speaks of: `/usr/lib/apache2/modules` of `apache2`, `/usr/lib/postgresql/15/lib` of those in
/// `/usr/lib/postgresql/15/bin`.
fn likely(library: &Path) -> Vec<PathBuf> {
    let above: Vec<&Path> = library.ancestors().skip(1).filter(|path| path.parent().is_some()).collect();
    let names = above.iter().filter_map(|path| path.file_name());
    let by_name = names.flat_map(|name| programs().into_iter().map(move |directory| directory.join(name)));
    // Not those of the whole system, which come last.
    let own = above.iter().take_while(|path| **path != Path::new("/usr"));
    let beside = own.flat_map(|path| ["bin", "sbin", "libexec"].map(|name| path.join(name)));
    by_name.chain(beside.flat_map(|directory| entries(&directory))).collect()
}

/// All programs, one directory after the other.
fn all() -> impl Iterator<Item = PathBuf> {
    let of_packages = LIBRARIES.iter().flat_map(|directory| entries(Path::new(directory)));
    let of_packages = of_packages.flat_map(|package| [package.join("bin"), package]);
    programs()
        .into_iter()
        .chain(LIBRARIES.map(PathBuf::from))
        .chain(of_packages)
        .flat_map(|directory| entries(&directory))
}

/// What is in a directory, in the order of names; nothing where it is none.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

struct Search<'a> {
    symbol: &'a str,
    until: Instant,
    seen: HashSet<PathBuf>,
}

impl Search<'_> {
    /// The first file of this kind that has the symbol.
    fn first(&mut self, files: impl Iterator<Item = PathBuf>, kind: Image) -> Option<PathBuf> {
        for path in files {
            if Instant::now() >= self.until || self.seen.len() >= MOST {
                return None;
            }
            if self.seen.insert(path.clone()) && elf::exporter(&path, self.symbol) == Some(kind) {
                return Some(path);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_library_speaks_of_its_host() {
        let has = |library: &str, program: &str| {
            assert!(likely(Path::new(library)).contains(&PathBuf::from(program)), "{library}");
        };
        has("/usr/lib/apache2/modules/mod_ssl.so", "/usr/sbin/apache2");
        has("/usr/lib/nginx/modules/ngx_mail_module.so", "/usr/sbin/nginx");
        assert!(
            !likely(Path::new("/usr/lib/x/y.so"))
                .iter()
                .any(|path| path.starts_with("/usr/bin/") && path.ends_with("env"))
        );
    }
}
