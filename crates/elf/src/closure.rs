//! All libraries that one brings, as the loader of this machine would find them. Nothing is loaded.

use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};

use crate::Facts;
use crate::search::{Found, Search, rpath};

/// What each process has, on glibc and on musl, so that it never comes or goes with another library.
const ALWAYS: [&str; 5] = ["libc.so", "ld-linux", "ld64.so", "libc.musl-", "ld-musl-"];

/// Whether each process has the library of this name: the C library, or the loader.
pub fn is_everywhere(name: &str) -> bool {
    ALWAYS.iter().any(|always| name.starts_with(always))
}

/// A library that another one needs.
#[derive(Debug, Clone)]
pub struct Need {
    /// Its name, as `DT_NEEDED` has it.
    pub name: String,
    /// The first file that needs it.
    pub by: PathBuf,
    /// What the loader would find; `None` where it would find nothing.
    pub found: Option<Found>,
}

/// The libraries that one brings, each once, breadth first as the loader does. They are read as they are asked for.
#[derive(Debug)]
pub struct Closure {
    search: Search,
    seen: HashSet<String>,
    /// Objects whose needs are still to come: path, facts, and the `DT_RPATH` directories of those that brought them.
    row: VecDeque<(PathBuf, Facts, Vec<PathBuf>)>,
    /// How many needs of the first of the row were handed out.
    handed: usize,
}

impl Closure {
    /// What the library at this path with these facts brings.
    pub fn of(path: &Path, facts: &Facts) -> Self {
        Self {
            search: Search::of_this_machine(),
            seen: HashSet::new(),
            row: VecDeque::from([(path.to_path_buf(), facts.clone(), Vec::new())]),
            handed: 0,
        }
    }
}

impl Iterator for Closure {
    type Item = Need;

    fn next(&mut self) -> Option<Need> {
        loop {
            let (path, facts, above) = self.row.front()?;
            let Some(name) = facts.needed.get(self.handed) else {
                self.row.pop_front();
                self.handed = 0;
                continue;
            };
            self.handed += 1;
            if !self.seen.insert(name.clone()) {
                continue;
            }
            let found = self.search.find(name, path, facts, above);
            let need = Need { name: name.clone(), by: path.clone(), found };
            if let Some(found) = &need.found {
                let mut rpaths = rpath(path, facts);
                rpaths.extend(above.iter().cloned());
                self.row.push_back((found.path.clone(), found.facts.clone(), rpaths));
            }
            return Some(need);
        }
    }
}
