//! The libraries that people mean: a path stands for a file, for each shared library below a directory, or for the files that match a
//! pattern, and `@LIST` for the paths in a file.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use glob::Pattern;
use walkdir::WalkDir;

use super::note;
use crate::elf::{Kind, facts_of, read_at_most};
use crate::settings::units::{elide, printable};

/// Columns of a path in a remark.
const SHOWN: usize = 200;

/// Most bytes of a list of libraries.
const LARGEST_LIST: u64 = 16 << 20;

/// The libraries of these arguments, in their order. A library that an argument names by its path is taken as often as it is named; what
/// a directory or a pattern stands for is taken once.
///
/// # Errors
/// In one line, when a list can't be read, or when one of the paths stands for nothing.
pub(super) fn named(arguments: &[PathBuf], exclude: &[Pattern]) -> anyhow::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for argument in arguments {
        match argument.as_os_str().as_bytes().strip_prefix(b"@") {
            Some(list) => paths.append(&mut listed(Path::new(OsStr::from_bytes(list)))?),
            None => paths.push(argument.clone()),
        }
    }
    let (mut all, mut seen) = (Vec::new(), HashSet::new());
    for path in &paths {
        for library in find(Path::new(""), path, exclude).map_err(anyhow::Error::msg)? {
            if seen.insert(identity(&library)) || library == *path {
                all.push(library);
            }
        }
    }
    if all.is_empty() && !paths.is_empty() {
        bail!("--exclude leaves no library");
    }
    Ok(all)
}

/// The libraries that a path stands for, without those that are excluded. A relative path is relative to this directory.
///
/// # Errors
/// In one line, when a directory has no library or a pattern matches no file.
pub(super) fn find(directory: &Path, path: &Path, exclude: &[Pattern]) -> Result<Vec<PathBuf>, String> {
    let whole = directory.join(path);
    let shown = || printable(&whole.to_string_lossy());
    let mut found = if whole.is_dir() {
        let found = libraries_in(&whole);
        if found.is_empty() {
            return Err(format!("{}: no shared library is in this directory or below it", shown()));
        }
        found
    } else if let Some(pattern) = pattern(directory, path) {
        let found = matching(&whole, &pattern);
        if found.is_empty() {
            return Err(format!("{}: no file matches this pattern", shown()));
        }
        found
    } else {
        vec![whole]
    };
    let is = |pattern: &Pattern, path: &Path| path.to_str().is_some_and(|path| pattern.matches(path));
    found.retain(|file| {
        let name = file.file_name().map_or(file.as_path(), Path::new);
        let below = file.strip_prefix(directory).unwrap_or(file);
        !exclude.iter().any(|pattern| [name, file, below].into_iter().any(|path| is(pattern, path)))
    });
    Ok(found)
}

/// The shared libraries in a directory and below, by what the files are and not by their names.
pub(super) fn libraries_in(directory: &Path) -> Vec<PathBuf> {
    let (mut files, mut unread) = (Vec::new(), Vec::new());
    for entry in WalkDir::new(directory) {
        match entry {
            // A link to a directory may lead round in a circle, so it is not followed. What is neither a file nor a link to one may block.
            Ok(entry) if entry.path().is_file() => files.push(entry.into_path()),
            Ok(_) => {}
            Err(error) => {
                let why = error.io_error().map(ToString::to_string).unwrap_or_default();
                unread.push((error.path().unwrap_or(directory).to_owned(), why));
            }
        }
    }
    report_unread(directory, &unread);
    let is_library = |file: &PathBuf| facts_of(file).is_some_and(|facts| facts.kind == Kind::SharedObject);
    distinct(files.into_iter().filter(is_library).map(|file| match file.strip_prefix(".") {
        Ok(file) => file.to_owned(),
        Err(_) => file,
    }))
}

/// The files that match a pattern, whatever is in them.
fn matching(whole: &Path, pattern: &str) -> Vec<PathBuf> {
    let (mut files, mut unread) = (Vec::new(), Vec::new());
    for found in glob::glob(pattern).into_iter().flatten() {
        match found {
            Ok(path) if path.is_file() => files.push(path),
            Ok(_) => {}
            Err(error) => unread.push((error.path().to_owned(), error.error().to_string())),
        }
    }
    report_unread(whole, &unread);
    distinct(files)
}

/// The path as a pattern below a directory whose own name is none. `None` where it is no pattern, or there is a file of that name.
fn pattern(directory: &Path, path: &Path) -> Option<String> {
    let text = path.to_str().filter(|text| text.contains(['*', '?', '[']))?;
    if directory.join(path).symlink_metadata().is_ok() || Pattern::new(text).is_err() {
        return None;
    }
    let below = Path::new(&Pattern::escape(directory.to_str()?)).join(text);
    below.to_str().map(str::to_owned)
}

/// Each file once, in the order of the paths: of several names of one file the shortest, which is what a build links.
fn distinct(files: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = files.into_iter().collect();
    files.sort_by_key(|file| (file.as_os_str().len(), file.clone()));
    let mut seen = HashSet::new();
    files.retain(|file| seen.insert(identity(file)));
    files.sort();
    files
}

/// Device and inode of a file, or its path.
pub(super) fn identity(file: &Path) -> Result<(u64, u64), PathBuf> {
    std::fs::metadata(file).map(|metadata| (metadata.dev(), metadata.ino())).map_err(|_| file.to_owned())
}

/// Reports in one line what can't be read: the first place, why, and how many others there are.
fn report_unread(place: &Path, unread: &[(PathBuf, String)]) {
    let Some(((first, why), others)) = unread.split_first() else { return };
    let shown = |path: &Path| elide(&printable(&path.to_string_lossy()), SHOWN);
    let others = match others.len() {
        0 => String::new(),
        count => format!("; the same holds for {count} more"),
    };
    note(&format!("{}: skipped {}, because dlsoak can't read it: {why}{others}", shown(place), shown(first)));
}

/// The paths in a list, one a line. `-` is standard input.
fn listed(list: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let shown = format!("@{}", printable(&list.to_string_lossy()));
    let text = if list == Path::new("-") {
        let mut text = Vec::new();
        let read = std::io::stdin().lock().take(LARGEST_LIST).read_to_end(&mut text);
        read.map(|_| text)
    } else {
        read_at_most(list, LARGEST_LIST)
    };
    let text = text.with_context(|| format!("{shown}: cannot read this list of libraries"))?;
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let paths: Vec<PathBuf> = lines
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
        .map(|line| PathBuf::from(OsStr::from_bytes(line)))
        .collect();
    if paths.is_empty() {
        bail!("{shown}: no path is in this list; write one path on each line");
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A directory with a library under several names, one that is named like nothing, and files that are no libraries.
    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let library = libc();
        fs::create_dir_all(at("sub/.libs")).unwrap();
        fs::copy(&library, at("libz.so.1.3")).unwrap();
        symlink("libz.so.1.3", at("libz.so.1")).unwrap();
        symlink("libz.so.1", at("libz.so")).unwrap();
        symlink("../libz.so.1.3", at("sub/libz-again.so")).unwrap();
        fs::copy(&library, at("sub/.libs/plugin")).unwrap();
        fs::write(at("sub/libscript.so"), "INPUT(libz.so)").unwrap();
        fs::copy("/bin/true", at("sub/program.so")).unwrap();
        symlink("libgone.so.1", at("libgone.so")).unwrap();
        symlink("..", at("sub/up")).unwrap();
        nix::unistd::mkfifo(&at("sub/fifo.so"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        dir
    }

    /// The C library, which is a library although it can be started.
    fn libc() -> PathBuf {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let mut paths = maps.lines().filter_map(|line| line.find('/').map(|at| &line[at..]));
        paths.find(|path| path.contains("/libc.so")).unwrap().into()
    }

    fn patterns(all: &[&str]) -> Vec<Pattern> {
        all.iter().map(|pattern| Pattern::new(pattern).unwrap()).collect()
    }

    /// What is found below the directory, with paths relative to it.
    fn found(dir: &Path, path: &str, exclude: &[&str]) -> Vec<String> {
        let all = find(dir, Path::new(path), &patterns(exclude)).unwrap();
        all.iter().map(|file| file.strip_prefix(dir).unwrap().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_directory_stands_for_each_library_below_it_once() {
        let dir = tree();
        assert_eq!(found(dir.path(), "", &[]), ["libz.so", "sub/.libs/plugin"]);
        assert_eq!(found(dir.path(), "sub", &[]), ["sub/.libs/plugin", "sub/libz-again.so"]);
        let empty = dir.path().join("sub/empty");
        fs::create_dir(&empty).unwrap();
        let refused = find(dir.path(), Path::new("sub/empty"), &[]).unwrap_err();
        assert_eq!(
            refused,
            format!("{}: no shared library is in this directory or below it", empty.display())
        );
    }

    #[test]
    fn a_pattern_stands_for_the_files_that_match_it() {
        let dir = tree();
        assert_eq!(found(dir.path(), "libz.so*", &[]), ["libz.so"]);
        assert_eq!(found(dir.path(), "libz.so.?", &[]), ["libz.so.1"]);
        // What is no library is for the loader to refuse, and is not passed over.
        assert_eq!(
            found(dir.path(), "sub/*.so", &[]),
            ["sub/libscript.so", "sub/libz-again.so", "sub/program.so"]
        );
        assert_eq!(found(dir.path(), "**/plugin", &[]), ["sub/.libs/plugin"]);
        let refused = find(dir.path(), Path::new("*.dylib"), &[]).unwrap_err();
        assert!(refused.ends_with("/*.dylib: no file matches this pattern"), "{refused}");
    }

    #[test]
    fn a_file_that_is_there_is_no_pattern_and_neither_is_the_directory_of_a_suite() {
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join("[a]*");
        fs::create_dir(&odd).unwrap();
        for name in ["lib[1].so", "lib1.so"] {
            fs::write(odd.join(name), "").unwrap();
        }
        assert_eq!(found(&odd, "lib[1].so", &[]), ["lib[1].so"]);
        assert_eq!(found(&odd, "lib[0-9].so", &[]), ["lib1.so"]);
        // Neither a pattern nor a file: it stands for itself, and the plan says that it is not there.
        assert_eq!(found(&odd, "lib[2.so", &[]), ["lib[2.so"]);
        assert_eq!(found(&odd, "none.so", &[]), ["none.so"]);
    }

    #[test]
    fn what_is_excluded_is_compared_by_name_and_by_path() {
        let dir = tree();
        assert_eq!(found(dir.path(), "", &["libz*"]), ["sub/.libs/plugin"]);
        assert_eq!(found(dir.path(), "", &["sub/*"]), ["libz.so"]);
        assert_eq!(found(dir.path(), "", &["*/.libs/*"]), ["libz.so"]);
        assert_eq!(found(dir.path(), "libz.so.1", &["libz.so.*"]), [""; 0]);
        assert_eq!(found(dir.path(), "", &["plug", "sub"]), ["libz.so", "sub/.libs/plugin"]);
        let (root, all) = (dir.path().to_owned(), patterns(&["*"]));
        let refused = named(&[root], &all).unwrap_err().to_string();
        assert_eq!(refused, "--exclude leaves no library");
    }

    #[test]
    fn what_is_named_twice_is_taken_twice_and_what_is_found_twice_is_not() {
        let dir = tree();
        let (root, file) = (dir.path().to_owned(), dir.path().join("libz.so.1"));
        let plugin = dir.path().join("sub/.libs/plugin");
        let both = [file.clone(), file.clone(), root.clone(), dir.path().join("sub")];
        assert_eq!(named(&both, &[]).unwrap(), [file.clone(), file, plugin]);
        assert_eq!(named(&[], &[]).unwrap(), [] as [PathBuf; 0]);
    }

    #[test]
    fn a_list_has_a_path_on_each_line() {
        let dir = tree();
        let list = dir.path().join("list");
        let (z, sub) = (dir.path().join("libz.so"), dir.path().join("sub/.libs"));
        let text = format!("# ours\n\n  {}\r\n#{}\n{}", z.display(), z.display(), sub.display());
        fs::write(&list, text).unwrap();
        let argument = [PathBuf::from(format!("@{}", list.display()))];
        assert_eq!(named(&argument, &[]).unwrap(), [z, sub.join("plugin")]);
        for (text, says) in [("# none\n\n", "no path is in this list"), ("none*.so\n", "no file matches")] {
            fs::write(&list, text).unwrap();
            let refused = named(&argument, &[]).unwrap_err().to_string();
            assert!(refused.contains(says), "{refused}");
        }
        fs::remove_file(&list).unwrap();
        let refused = format!("{:#}", named(&argument, &[]).unwrap_err());
        let expected = "cannot read this list of libraries: No such file or directory (os error 2)";
        assert_eq!(refused, format!("{}: {expected}", argument[0].display()));
    }
}
