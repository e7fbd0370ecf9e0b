//! Reads saved records, for every verb that needs one.

use std::path::Path;

use anyhow::Context as _;

use crate::elf::read_at_most;
use crate::record::{self, Run};

/// Most bytes of a record: a soak with 10,000 checkpoints has about one million.
const LARGEST: u64 = 1 << 30;

/// Reads a saved record.
///
/// # Errors
/// When it can't be read or is not a record of dlsoak.
pub(super) fn read(path: &Path) -> anyhow::Result<Run> {
    let bytes =
        read_at_most(path, LARGEST).with_context(|| format!("cannot read the record {}", path.display()))?;
    record::read(&bytes).with_context(|| path.display().to_string())
}

/// Whether this file is a record of dlsoak, of any version.
pub(super) fn is_record(path: &Path) -> bool {
    path.is_file() && read_at_most(path, LARGEST).is_ok_and(|bytes| record::is_record(&bytes))
}

/// What distinguishes each of these files from the others, in as few words as that takes: the end of its path from where
/// all begin to differ.
pub(super) fn labels(paths: &[&Path]) -> Vec<String> {
    let parts: Vec<Vec<String>> = paths
        .iter()
        .map(|path| path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect())
        .collect();
    let common = |from_end: bool| {
        let least = parts.iter().map(Vec::len).min().unwrap_or(0);
        let at = |part: &'_ Vec<String>, index: usize| {
            part.get(if from_end { part.len() - 1 - index } else { index }).cloned()
        };
        (0..least)
            .take_while(|index| parts.windows(2).all(|pair| at(&pair[0], *index) == at(&pair[1], *index)))
            .count()
    };
    let (front, back) = (common(false), common(true));
    parts
        .iter()
        .map(|part| {
            let end = part.len().saturating_sub(back).max(front);
            let label = part.get(front..end).unwrap_or_default().join("/");
            let label = if label.is_empty() { part.join("/") } else { label };
            label.strip_suffix(".json").unwrap_or(&label).to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_what_differs() {
        let of = |paths: &[&str]| labels(&paths.iter().map(Path::new).collect::<Vec<_>>());
        assert_eq!(of(&["reports/a/record.json", "reports/b/record.json"]), ["a", "b"]);
        assert_eq!(of(&["old.json", "new.json"]), ["old", "new"]);
        assert_eq!(of(&["x/a.json", "y/z/b.json"]), ["x/a", "y/z/b"]);
        assert_eq!(of(&["a.json", "a.json"]), ["a", "a"]);
    }
}
