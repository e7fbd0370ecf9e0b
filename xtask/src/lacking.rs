//! What this machine can't give to a test: each test that needs it adds a line to a file, and `cargo xtask test` ends with the list.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The file, beside the fixtures. Tests in several processes append to it.
fn file(root: &Path) -> PathBuf {
    root.join("target/lacking.txt")
}

/// Forgets what earlier runs noted.
///
/// # Errors
/// When the file is there and can't be removed.
pub fn clear(root: &Path) -> Result<()> {
    let file = file(root);
    match fs::remove_file(&file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

/// Notes something that is not tested here, and why.
///
/// # Errors
/// When the file can't be written.
pub fn note(root: &Path, what: &str, why: &str) -> Result<()> {
    let file = file(root);
    let line = format!("{what} ({})\n", why.split_whitespace().collect::<Vec<_>>().join(" "));
    let appended = File::options()
        .create(true)
        .append(true)
        .open(&file)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    appended.with_context(|| format!("cannot write {}", file.display()))
}

/// One line about everything that was noted, each thing once.
pub fn summary(root: &Path) -> String {
    let text = fs::read_to_string(file(root)).unwrap_or_default();
    let noted: BTreeSet<&str> = text.lines().collect();
    if noted.is_empty() {
        return "not tested here: nothing".to_owned();
    }
    let list: Vec<&str> = noted.iter().copied().collect();
    format!("not tested here: {}: {}", list.len(), list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_counted_once() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir(root.join("target")).unwrap();
        clear(root).unwrap();
        assert_eq!(summary(root), "not tested here: nothing");
        for (what, why) in
            [("stacks", "ptrace is\ndenied"), ("files", "root reads all"), ("stacks", "ptrace is denied")]
        {
            note(root, what, why).unwrap();
        }
        assert_eq!(summary(root), "not tested here: 2: files (root reads all), stacks (ptrace is denied)");
        clear(root).unwrap();
        assert_eq!(summary(root), "not tested here: nothing");
    }
}
