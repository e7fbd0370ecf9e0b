//! Builds the fixtures. Each library has a stamp, the commands and the contents it was made from, so that a second
//! build does nothing and a changed flag, compiler or header does not go unseen.

mod c;
mod go;
pub(crate) mod others;
mod rust;

use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use xtask::fixtures::{self, Fixture, Language, Table};

/// What to build.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Build the Go fixtures with these versions of Go, as libNAME-goVERSION.so
    #[arg(long, value_name = "VERSION", value_delimiter = ',')]
    go: Vec<String>,
    /// Build only this fixture and what it needs; repeatable
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Print nothing when all is up to date
    #[arg(long, short)]
    quiet: bool,
}

impl Options {
    /// All fixtures, without a word unless something is built.
    pub(crate) fn all_quietly() -> Self {
        Self { quiet: true, ..Self::default() }
    }

    /// Whether this fixture is asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    /// A Go fixture, built with this version of Go.
    pub(crate) fn go(name: &str, version: &str) -> Self {
        Self { go: vec![version.to_owned()], ..Self::only(&[name.to_owned()]) }
    }

    /// These fixtures, or all where none is named.
    pub(crate) fn only(names: &[String]) -> Self {
        Self { only: names.to_vec(), ..Self::all_quietly() }
    }
}

/// The directories that a build reads and writes.
struct Places {
    /// The root of the repository.
    root: PathBuf,
    /// `cdylib-fixtures`.
    sources: PathBuf,
    /// `target/fixtures`.
    out: PathBuf,
}

/// The versions of Go that can be fetched here, the oldest first.
pub(crate) fn versions_of_go() -> impl Iterator<Item = &'static str> {
    go::versions()
}

/// A `PATH` on which `go` is of this version, which is fetched where it is not here.
pub(crate) fn path_with_go(version: &str) -> Result<OsString> {
    let go = go::of_version(&Places::here(), version)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = go.parent().filter(|parent| parent.is_absolute()).map(Path::to_owned);
    let directories = directories.into_iter().chain(std::env::split_paths(&path));
    std::env::join_paths(directories).with_context(|| format!("no directory of PATH: {}", go.display()))
}

/// Builds what is asked for and is not up to date.
pub(crate) fn run(options: &Options) -> Result<()> {
    let places = Places::here();
    fs::create_dir_all(places.out.join(".stamps"))
        .with_context(|| format!("cannot create {}", places.out.display()))?;
    let table = Table::load(&places.root)?;
    let chosen = choose(&table, &options.only)?;
    let of = |languages: &[Language]| -> Vec<&Fixture> {
        chosen.iter().copied().filter(|fixture| languages.contains(&fixture.language)).collect()
    };
    let mut built = rust::build(&places, &of(&[Language::Rust]))?;
    let go = of(&[Language::Go]);
    if !go.is_empty() {
        if options.go.is_empty() {
            built += go::build(&places, &go, None)?;
        }
        for version in &options.go {
            built += go::build(&places, &go, Some(version))?;
        }
    }
    // Last, since C may link an archive of Go's.
    built += c::build(&places, &of(&[Language::C, Language::Cpp]))?;
    if built > 0 || !options.quiet {
        let found = if built == 0 { "all up to date".to_owned() } else { format!("{built} built") };
        eprintln!("fixtures: {found}, in {}", places.out.display());
    }
    Ok(())
}

/// The fixtures of these names after those they need; all where no name is given.
fn choose<'a>(table: &'a Table, names: &[String]) -> Result<Vec<&'a Fixture>> {
    fn add<'a>(table: &'a Table, name: &str, chosen: &mut Vec<&'a Fixture>) -> Result<()> {
        let fixture = table.get(name)?;
        if chosen.iter().any(|other| other.name == name) {
            return Ok(());
        }
        for other in &fixture.needs {
            add(table, other, chosen)?;
        }
        chosen.push(fixture);
        Ok(())
    }
    let mut chosen = Vec::new();
    if names.is_empty() {
        for fixture in &table.fixtures {
            add(table, &fixture.name, &mut chosen)?;
        }
    }
    for name in names {
        add(table, name, &mut chosen)?;
    }
    Ok(chosen)
}

impl Places {
    fn here() -> Self {
        let root = fixtures::root();
        Self { sources: root.join("cdylib-fixtures"), out: fixtures::directory(&root), root }
    }

    /// Builds `file` by `make` unless its stamp says that this was done before; true when it was built.
    fn make(&self, file: &str, stamp: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<bool> {
        let library = self.out.join(file);
        let stamp_path = self.out.join(".stamps").join(file);
        if library.exists() && fs::read_to_string(&stamp_path).is_ok_and(|old| old == stamp) {
            return Ok(false);
        }
        eprintln!("building {file}");
        // Built beside and moved: a soak that has the old file mapped keeps it, and a failed build leaves nothing.
        let fresh = self.out.join(format!(".{file}.new"));
        make(&fresh)?;
        fs::rename(&fresh, &library).with_context(|| format!("cannot write {}", library.display()))?;
        fs::write(&stamp_path, stamp).with_context(|| format!("cannot write {}", stamp_path.display()))?;
        Ok(true)
    }
}

/// A stamp of files and directories: their names and contents.
fn contents(paths: &[PathBuf]) -> Result<String> {
    fn visit(path: &Path, hasher: &mut DefaultHasher) -> Result<()> {
        let unreadable = || format!("cannot read {}", path.display());
        if path.is_dir() {
            let mut entries = fs::read_dir(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .with_context(unreadable)?;
            entries.sort_by_key(fs::DirEntry::file_name);
            for entry in entries {
                visit(&entry.path(), hasher)?;
            }
        } else {
            path.hash(hasher);
            fs::read(path).with_context(unreadable)?.hash(hasher);
        }
        Ok(())
    }
    let mut hasher = DefaultHasher::new();
    for path in paths {
        visit(path, &mut hasher)?;
    }
    Ok(format!("{:016x}", hasher.finish()))
}
