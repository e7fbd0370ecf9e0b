//! The suite file `dlsoak.toml`, read into layers of settings. Every error names file, line, column and key,
//! because a suite is written by hand and read by a machine in the night.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::matrix::Matrix;
use super::names::check_name;
use super::suite_error::{Fault, SuiteError, unknown_key};
use crate::settings::{Companion, Hold, Limits, Settings};

/// A suite file as it was read: nothing merged, no defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct SuiteFile {
    /// `name` of `[suite]`.
    pub name: Option<String>,
    /// `[defaults]`, laid over `[gate]`.
    pub defaults: Settings,
    /// The libraries in the order of the file, those of a matrix, of a directory and of a pattern one by one; at least one.
    pub libraries: Vec<Library>,
    /// Where the keys of `[defaults]` and `[gate]` stand.
    keys: Keys,
}

/// One `[[library]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Library {
    /// Its name, as given.
    pub name: Option<String>,
    /// The library; relative paths are already relative to where the suite file is.
    pub path: PathBuf,
    /// Whether `path` is not what the file says, but one of those that it stands for: so nobody has named it.
    pub(super) found: bool,
    /// What it says about the soak.
    pub settings: Settings,
    /// What a matrix says about it, by key: this is one of the soaks that the matrix makes.
    pub(super) varied: Vec<(String, Settings)>,
    /// Where the `[[library]]` header stands.
    header: Range<usize>,
    keys: Keys,
}

/// Byte ranges of the values of one table, by key.
type Keys = BTreeMap<String, Range<usize>>;

/// Keys of the whole file.
const TABLES: [&str; 4] = ["suite", "defaults", "library", "gate"];

/// Keys of `[[library]]` that are not settings.
const LIBRARY: [&str; 3] = ["name", "path", "matrix"];

/// The files that a path of a suite stands for, without those that match a pattern of `exclude`; it is relative to a directory. Or why
/// there are none, in one line.
pub type Find<'a> = dyn Fn(&Path, &Path, &[String]) -> Result<Vec<PathBuf>, String> + 'a;

/// A [`Find`] that takes each path for that of a file, and reads no directory.
///
/// # Errors
/// Never.
pub fn as_written(directory: &Path, path: &Path, _exclude: &[String]) -> Result<Vec<PathBuf>, String> {
    Ok(vec![directory.join(path)])
}

/// Where a suite looks for its libraries.
pub(super) struct Source<'a> {
    /// The directory of the file.
    pub(super) directory: &'a Path,
    exclude: Vec<String>,
    find: &'a Find<'a>,
}

impl Source<'_> {
    /// The files of a path that stands at `span`, and whether they are others than it says.
    pub(super) fn files(&self, path: &str, span: &Range<usize>) -> Result<(Vec<PathBuf>, bool), Fault> {
        if path.is_empty() || path.contains('\0') {
            return Err(Fault::at(span.clone(), "a path can't be empty or contain a NUL"));
        }
        let found = (self.find)(self.directory, Path::new(path), &self.exclude);
        let found = found.map_err(|problem| Fault::at(span.clone(), problem))?;
        let others = !found.is_empty() && found != [self.directory.join(path)];
        Ok((found, others))
    }

    /// The libraries that these stand for, which a cycle opens after the one at `path`. That one is left out of a directory.
    fn companions(
        &self,
        named: &[Companion],
        path: Option<&PathBuf>,
        span: &Range<usize>,
    ) -> Result<Vec<Companion>, Fault> {
        let mut all = Vec::new();
        for one in named {
            let (found, others) = self.files(&one.to_string(), span)?;
            let kept = found.iter().filter(|file| !others || Some(*file) != path);
            let companions = kept.map(|file| {
                let problem = || format!("{}: the path is not valid UTF-8", file.display());
                Companion::new(file).ok_or_else(|| Fault::at(span.clone(), problem()))
            });
            all.extend(companions.collect::<Result<Vec<_>, _>>()?);
        }
        Ok(all)
    }
}

impl SuiteFile {
    /// Reads the text of a suite file. `file` is its path: shown in errors, and what relative paths in it are
    /// relative to. `find` looks for what the paths of libraries stand for.
    ///
    /// # Errors
    ///
    /// [`SuiteError`] for the first thing that is wrong.
    pub fn parse(text: &str, file: &Path, find: &Find<'_>) -> Result<Self, SuiteError> {
        let directory = file.parent().unwrap_or(Path::new(""));
        let source = Source { directory, exclude: Vec::new(), find };
        Self::read(text, source).map_err(|fault| fault.in_file(text, file))
    }

    fn read(text: &str, mut source: Source<'_>) -> Result<Self, Fault> {
        let mut root = DeTable::parse(text)?.into_inner();
        for key in root.keys() {
            if !TABLES.contains(&key.get_ref().as_ref()) {
                return Err(unknown_key(key.get_ref(), key.span(), TABLES));
            }
        }
        let mut name = None;
        if let Some(mut suite) = take_table(&mut root, "suite")? {
            name = take_name(&mut suite)?;
            source.exclude = take_patterns(&mut suite)?;
            if let Some(key) = suite.keys().next() {
                return Err(unknown_key(key.get_ref(), key.span(), ["name", "exclude"]));
            }
        }
        let mut keys = Keys::new();
        let mut layer = |table: &'static str, root: &mut DeTable<'_>| match take_table(root, table)? {
            None => Ok(Settings::default()),
            Some(table) => {
                keys.extend(spans(&table));
                settings(table, &[], &source, None)
            }
        };
        if let Some(gate) = root.get("gate").and_then(|gate| gate.get_ref().as_table()) {
            let known = Limits::keys();
            for key in gate.keys() {
                if !known.iter().any(|name| name == key.get_ref()) {
                    return Err(unknown_key(key.get_ref(), key.span(), known.iter().map(String::as_str)));
                }
            }
        }
        let gate = layer("gate", &mut root)?;
        let defaults = layer("defaults", &mut root)?.over(gate);
        let none = || Fault::at(0..0, "this suite has no [[library]], so there is nothing to soak");
        let mut libraries = match root.remove("library") {
            None => return Err(none()),
            Some(list) => {
                let span = list.span();
                let DeValue::Array(list) = list.into_inner() else {
                    return Err(Fault::at(span, "write a library as [[library]], with two brackets"));
                };
                if list.is_empty() {
                    return Err(none());
                }
                let mut libraries = Vec::new();
                for entry in list {
                    libraries.append(&mut Library::read(entry, &source)?);
                }
                libraries
            }
        };
        // Of a library with a table of its own, that table says how it is soaked.
        let named: HashSet<PathBuf> =
            libraries.iter().filter(|library| !library.found).map(|library| library.path.clone()).collect();
        libraries.retain(|library| !library.found || !named.contains(&library.path));
        if libraries.is_empty() {
            return Err(Fault::at(
                0..0,
                "each library of this suite is excluded, so there is nothing to soak",
            ));
        }
        Ok(Self { name, defaults, libraries, keys })
    }

    /// The error about `key` of `library`, at the place where the value in force was written.
    pub(super) fn error(&self, library: &Library, key: &str, problem: &str) -> Fault {
        let span = library.keys.get(key).or_else(|| self.keys.get(key)).unwrap_or(&library.header);
        Fault::at(span.clone(), problem)
    }
}

impl Library {
    /// The libraries of one `[[library]]`: of each file that its path stands for, those that its matrix makes of it.
    fn read(entry: Spanned<DeValue<'_>>, source: &Source<'_>) -> Result<Vec<Self>, Fault> {
        let header = entry.span();
        let DeValue::Table(mut table) = entry.into_inner() else {
            return Err(Fault::at(
                header,
                "a library must be a table: write [[library]], followed by its keys",
            ));
        };
        let keys: Keys = spans(&table).collect();
        let matrix = Matrix::take(&mut table, source)?;
        let name = take_name(&mut table)?;
        let (paths, found) = match take::<String>(&mut table, "path")? {
            Some(path) => source.files(path.get_ref(), &path.span())?,
            None if matrix.as_ref().is_some_and(Matrix::has_path) => (vec![PathBuf::new()], false),
            None => {
                // An unknown key here may be a mistyped `path`, and says more.
                settings(table, &LIBRARY, source, None)?;
                return Err(Fault::at(header, "this library has no `path`"));
            }
        };
        if let (Some(_), Some(span), 2..) = (&name, keys.get("name"), paths.len()) {
            let problem = format!(
                "`path` stands for {} libraries; remove `name`, and each is named after its file",
                paths.len()
            );
            return Err(Fault::at(span.clone(), problem));
        }
        let alone = Some(paths.as_slice()).filter(|paths| paths.len() == 1);
        let settings = settings(table, &LIBRARY, source, alone.and_then(<[_]>::first))?;
        let mut libraries = Vec::new();
        for path in paths {
            let (name, settings, keys) = (name.clone(), settings.clone(), keys.clone());
            let library =
                Self { name, path, found, settings, varied: Vec::new(), header: header.clone(), keys };
            match &matrix {
                Some(matrix) => libraries.append(&mut matrix.expand(&library)?),
                None => libraries.push(library),
            }
        }
        Ok(libraries)
    }

    /// Notes where the value of `key` that is in force stands.
    pub(super) fn set_place(&mut self, key: &str, span: Range<usize>) {
        self.keys.insert(key.to_owned(), span);
    }
}

/// Removes and reads one value.
pub(super) fn take<'de, T: Deserialize<'de>>(
    table: &mut DeTable<'de>,
    key: &str,
) -> Result<Option<Spanned<T>>, Fault> {
    let Some(value) = table.remove(key) else { return Ok(None) };
    let span = value.span();
    let value =
        T::deserialize(ValueDeserializer::from(value)).map_err(|error| Fault::from(error).or_at(&span))?;
    Ok(Some(Spanned::new(span, value)))
}

/// Removes and reads `name`.
fn take_name(table: &mut DeTable<'_>) -> Result<Option<String>, Fault> {
    let Some(name) = take::<String>(table, "name")? else { return Ok(None) };
    match check_name(name.get_ref()) {
        Ok(()) => Ok(Some(name.into_inner())),
        Err(problem) => Err(Fault::at(name.span(), problem)),
    }
}

/// Removes and reads `exclude`: one pattern, or a list of them.
fn take_patterns(table: &mut DeTable<'_>) -> Result<Vec<String>, Fault> {
    let Some(value) = table.remove("exclude") else { return Ok(Vec::new()) };
    let items = match value.get_ref() {
        DeValue::Array(items) => &items[..],
        _ => std::slice::from_ref(&value),
    };
    let pattern = |item: &Spanned<DeValue<'_>>| match item.get_ref().as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(Fault::at(item.span(), "expected a pattern such as \"*-test.so\"")),
    };
    items.iter().map(pattern).collect()
}

/// Removes one table.
fn take_table<'de>(root: &mut DeTable<'de>, key: &str) -> Result<Option<DeTable<'de>>, Fault> {
    let Some(value) = root.remove(key) else { return Ok(None) };
    let span = value.span();
    match value.into_inner() {
        DeValue::Table(table) => Ok(Some(table)),
        _ => Err(Fault::at(span, format!("write this table as [{key}], with one bracket"))),
    }
}

/// Reads the settings in `table`, of the library at `path` where they are of one; `more` are further keys that would be known here.
pub(super) fn settings(
    table: DeTable<'_>,
    more: &[&str],
    source: &Source<'_>,
    path: Option<&PathBuf>,
) -> Result<Settings, Fault> {
    let directory = source.directory;
    let beside = table.get("together").map_or(0..0, Spanned::span);
    let value = ValueDeserializer::from(Spanned::new(0..0, DeValue::Table(table)));
    let mut settings = Settings::deserialize(value).map_err(|error| Fault::from(error).suggesting(more))?;
    for hold in settings.hold.iter_mut().flatten() {
        // A name without a slash is for the loader to find.
        if let Hold::Library { library, .. } = hold
            && library.components().count() > 1
        {
            *library = directory.join(&*library);
        }
    }
    if let Some(together) = &mut settings.together {
        *together = source.companions(together, path, &beside)?;
    }
    if let Some(exercise) = &mut settings.exercise {
        exercise.driver = directory.join(&exercise.driver);
    }
    settings.host = settings.host.map(|host| host.in_directory(directory));
    settings.replace = settings.replace.map(|other| other.in_directory(directory));
    Ok(settings)
}

fn spans(table: &DeTable<'_>) -> impl Iterator<Item = (String, Range<usize>)> {
    table.iter().map(|(key, value)| (key.get_ref().to_string(), value.span()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> SuiteFile {
        SuiteFile::parse(text, Path::new("suites/dlsoak.toml"), &as_written).unwrap()
    }

    #[test]
    fn every_key_is_read() {
        let suite = parse(
            r#"
            [suite]
            name = "nightly"
            exclude = ["*-test.so", "build/old/*"]
            [defaults]
            cycles = "100k"
            env = { GOGC = 50, GODEBUG = "gctrace=1" }
            [gate]
            max-leak-rate = "0.03MB/s"
            allow-residue = "fds"
            [[library]]
            name = "fib"
            path = "build/libfib.so"
            call = ["fibonacci(20)", "init"]
            exercise = "drive.so:cycle"
            mode = "reopen"
            call-from = "short-lived"
            threads = 4
            share-path = true
            cycles = 20_000
            duration = "1h30m"
            warmup = 500
            checkpoints = 100
            flags = "lazy,global"
            stall-timeout = "30s"
            memory-limit = "2GiB"
            allow-pinned = "Go runtime"
            allow-residue = ["threads", "fds"]
            max-leak-rate = "16B/cycle"
            max-growth = "fds=0"
            max-leak-increase = "8B/cycle"
            max-p99-increase = "20%"
            until-decided = true
            max-cycles = "1M"
            [library.env]
            A = "b"
            [[library]]
            path = "/abs/libz.so.1"
            call = "zlibVersion"
            "#,
        );
        assert_eq!(suite.name.as_deref(), Some("nightly"));
        let shown = |settings: &Settings| serde_json::to_string(settings).unwrap();
        assert_eq!(
            shown(&suite.defaults),
            r#"{"cycles":100000,"env":{"GODEBUG":"gctrace=1","GOGC":"50"},"max-leak-rate":"0.03MB/s","allow-residue":["fds"]}"#
        );
        let [fib, z] = suite.libraries.as_slice() else { panic!("two libraries") };
        assert_eq!(fib.path, Path::new("suites/build/libfib.so"));
        assert_eq!(z.path, Path::new("/abs/libz.so.1"));
        assert_eq!(shown(&z.settings), r#"{"call":["zlibVersion"]}"#);
        insta::assert_snapshot!(serde_json::to_string_pretty(&fib.settings).unwrap());
    }

    #[test]
    fn errors_name_the_place_and_what_to_write() {
        let bad = [
            "",
            "[[library]]",
            "[library]\npath = 'a.so'",
            "[[library]]\npath = ''",
            "[[library]]\npath = 'a.so'\ncycle = 5",
            "[[library]]\npaht = 'a.so'",
            "[[library]]\npath = 'a.so'\nfoobar = 5",
            "[[librarys]]\npath = 'a.so'",
            "[defaults]\nname = 'x'\n[[library]]\npath = 'a.so'",
            "[[defaults]]\n[[library]]\npath = 'a.so'",
            "[suite]\nnmae = 'x'\n[[library]]\npath = 'a.so'",
            "[suite]\nexclude = ['a', 5]\n[[library]]\npath = 'a.so'",
            "[gate]\ncycles = 5\n[[library]]\npath = 'a.so'",
            "[[library]]\npath = 'a.so'\ncycles = 0",
            "[[library]]\npath = 'a.so'\ncycles = '10q'",
            "[[library]]\npath = 'a.so'\ncycles = -1",
            "[[library]]\npath = 'a.so'\ncycles = 1.5",
            "[[library]]\npath = 'a.so'\ncycles = 99999999999999999999999",
            "[[library]]\npath = 'a.so'\nthreads = 10_000",
            "[[library]]\npath = 'a.so'\nduration = 90",
            "[[library]]\npath = 'a.so'\nmode = 'copy'",
            "[[library]]\npath = 'a.so'\nmode = 'zzzzzzz'",
            "[[library]]\npath = 'a.so'\nflags = 'now,lazy'",
            "[[library]]\npath = 'a.so'\ncall = ['init()', 'fib(20']",
            "[[library]]\npath = 'a.so'\ncall = 5",
            "[[library]]\npath = 'a.so'\nexercise = 'drive.so'",
            "[[library]]\npath = 'a.so'\nallow-pinned = true",
            "[[library]]\npath = 'a.so'\nallow-pinned = ' '",
            "[[library]]\npath = 'a.so'\nmax-leak-rate = '3MB'",
            "[gate]\nmax-growth = 'fd=0'\n[[library]]\npath = 'a.so'",
            "[[library]]\npath = 'a.so'\n[[library.allow-pointer]]\nholder = 'libb.so'",
            "[[library]]\npath = 'a.so'\n[[library.allow-pointer]]\nholder = 'libb.so'\nresaon = 'x'",
            "[gate]\nallow-pointer = 'libb.so'\n[[library]]\npath = 'a.so'",
            "[[library]]\npath = 'a.so'\npointers = 1001",
            "[[library]]\npath = 'a.so'\nshare-path = 'yes'",
            "[[library]]\npath = 'a.so'\nenv = { A = 1.5 }",
            "[[library]]\npath = 'a.so'\nenv = { \"A=B\" = 'c' }",
            "[[library]]\npath = 'a.so'\npath = 'b.so'",
            "[[library]]\npath = a.so",
            "[[library]\npath = 'a.so'",
            "[[library]]\npath = 'größe.so', cycles = 5",
            "[[library]]\npath = 'a.so'\n  # é\n  call = \"log('é', ü)\"",
            "[[library]]\npath = \"a.so",
            "library = 5",
            "library = [5]",
        ];
        let mut all = String::new();
        for text in bad {
            let error = SuiteFile::parse(text, Path::new("dlsoak.toml"), &as_written).unwrap_err();
            all += &format!("{error}\n\n");
        }
        insta::assert_snapshot!(all);
    }

    #[test]
    fn a_suite_cut_anywhere_never_panics() {
        let text = "[suite]\nname='é'\n[defaults]\ncycles='100k'\nenv={A=1}\n[[library]]\npath='a.so'\ncall=['f(1)']\n";
        for end in (0..text.len()).filter(|&end| text.is_char_boundary(end)) {
            if let Err(error) = SuiteFile::parse(&text[..end], Path::new("x"), &as_written) {
                assert!(error.to_string().starts_with("x:"), "{error}");
            }
        }
    }
}
