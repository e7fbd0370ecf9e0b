//! Names of soaks: derived from a path where nobody chose one, unique within a run, and always fit to become
//! part of a file name.

use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Longest name in characters.
const MAX_NAME: usize = 100;

/// Makes names unique by suffixes: `a`, `a-2`, `a-3`.
#[derive(Default)]
pub(super) struct Unique {
    taken: HashSet<String>,
    /// The last suffix tried for a name, so that 5,000 equal names don't cost 5,000 squared.
    last: HashMap<String, usize>,
}

impl Unique {
    /// Takes this name; false if it is taken.
    pub(super) fn take(&mut self, name: &str) -> bool {
        self.taken.insert(name.to_owned())
    }

    /// `name`, or `name` with the first suffix that is free.
    pub(super) fn next(&mut self, name: String) -> String {
        let suffix = self.last.entry(name.clone()).or_insert(0);
        loop {
            *suffix += 1;
            let candidate = if *suffix == 1 { name.clone() } else { format!("{name}-{suffix}") };
            if self.taken.insert(candidate.clone()) {
                return candidate;
            }
        }
    }
}

/// `libz.so.1.2` is `z`: what people call the library.
pub(super) fn default_name(path: &Path) -> String {
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = match file.find(".so.") {
        Some(end) => &file[..end],
        None => file.strip_suffix(".so").unwrap_or(&file),
    };
    let plain = stem.strip_prefix("lib").filter(|rest| !rest.is_empty()).unwrap_or(stem).trim();
    fit_name(if plain.is_empty() { "library" } else { plain })
}

/// What is wrong with a name that a person chose, if anything.
pub fn check_name(name: &str) -> Result<(), String> {
    if name.trim().is_empty() || name == "." || name == ".." {
        Err("a name can't be empty, `.` or `..`".to_owned())
    } else if name.chars().count() > MAX_NAME {
        Err(format!("a name has at most {MAX_NAME} characters"))
    } else if let Some(c) = name.chars().find(|&c| c.is_control() || c == '/') {
        Err(format!("a name can't contain `{}`, because it becomes part of a file name", c.escape_debug()))
    } else {
        Ok(())
    }
}

/// The name that passes [`check_name`] and is nearest to one that nobody chose.
pub(super) fn fit_name(name: &str) -> String {
    let fit: String =
        name.chars().map(|c| if c.is_control() || c == '/' { '_' } else { c }).take(MAX_NAME).collect();
    if check_name(&fit).is_ok() { fit } else { "library".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_called_what_people_call_it() {
        for (path, name) in [
            ("/usr/lib/libz.so.1.2.13", "z"),
            ("libstdc++.so.6", "stdc++"),
            ("plugin.so", "plugin"),
            ("lib.so", "lib"),
            ("x/leak", "leak"),
            ("lib plug.so", "plug"),
            (".so", "library"),
            ("..", "library"),
            ("a\nb.so", "a_b"),
        ] {
            assert_eq!(default_name(Path::new(path)), name, "{path}");
        }
        assert_eq!(default_name(Path::new(&"x".repeat(5000))), "x".repeat(MAX_NAME));
    }

    #[test]
    fn equal_names_get_suffixes_that_are_free() {
        let mut names = Unique::default();
        let given = ["a", "a", "a-2", "a", "b"].map(|name| names.next(name.to_owned()));
        assert_eq!(given, ["a", "a-2", "a-2-2", "a-3", "b"]);
        let last = (0..5000).map(|_| names.next("c".to_owned())).last();
        assert_eq!(last.as_deref(), Some("c-5000"));
    }

    #[test]
    fn chosen_names_must_be_fit_for_a_file() {
        assert_eq!(check_name("größe 1"), Ok(()));
        for wrong in ["", " ", ".", "..", "a/b", "a\nb", &"x".repeat(101)] {
            assert!(check_name(wrong).is_err(), "{wrong:?}");
        }
    }
}
