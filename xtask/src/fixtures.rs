//! The table `cdylib-fixtures/fixtures.toml`, typed: which fixtures there are and what is true of each. Tests and
//! the demo take their expectations from here, so that a truth is written down once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The whole table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The fixtures, in the order of the file.
    #[serde(rename = "fixture")]
    pub fixtures: Vec<Fixture>,
    /// What is true of each fixture that is soaked by itself, where its own truths say nothing.
    #[serde(default)]
    otherwise: Vec<Truth>,
}

/// One library that is built for tests.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Fixture {
    /// Unique name; the library is `lib<name>.so`.
    pub name: String,
    /// Language it is written in, which says how it is built.
    pub language: Language,
    /// What it does, in a line.
    pub summary: String,
    /// C, C++: the files to compile. Rust: the example's file. Go: the package's directory.
    pub sources: Vec<PathBuf>,
    /// Further compiler or linker flags; `{out}` stands for the directory that libraries are built into.
    #[serde(default)]
    pub flags: Vec<String>,
    /// Fixtures that must be built first.
    #[serde(default)]
    pub needs: Vec<String>,
    /// The calls of one cycle.
    #[serde(default = "default_calls")]
    pub calls: Vec<String>,
    /// Environment of the soak.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// True when it is part of the demo's suite.
    #[serde(default)]
    pub demo: bool,
    /// The fixture that differs in the one thing that matters, and must not trip.
    pub twin: Option<String>,
    /// True when it does harm to the process it is in: `cargo xtask hostile` soaks it, `truth` and `--check` do not.
    #[serde(default)]
    pub hostile: bool,
    /// Further settings of its soak, by the keys of a suite's `[[library]]`; `{out}` stands for the directory that libraries
    /// are built into.
    #[serde(default)]
    pub settings: toml::Table,
    /// What is true of it; empty for a helper that is not soaked by itself.
    #[serde(default, rename = "truth")]
    pub truths: Vec<Truth>,
}

/// Language of a fixture, spelt as in the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// C.
    C,
    /// C++.
    #[serde(rename = "c++")]
    Cpp,
    /// Rust.
    Rust,
    /// Go.
    Go,
    /// D.
    D,
    /// Nim.
    Nim,
    /// OCaml.
    OCaml,
    /// Zig.
    Zig,
}

/// What is true of a fixture in some situations.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Truth {
    /// The situations it is true in.
    #[serde(default)]
    pub when: When,
    /// The verdict, spelt as in the record.
    pub verdict: String,
    /// Codes of all findings of severity `fail` or `undecided`, in any order.
    pub findings: Vec<String>,
    /// Verdicts that are less sharp and not wrong either.
    #[serde(default)]
    pub accept: Vec<String>,
    /// `unloaded`, `partial` or `pinned`; absent where a soak does not get that far.
    pub state: Option<String>,
    /// Kinds that `unload.causes` names.
    #[serde(default)]
    pub causes: Vec<String>,
    /// File names among `unload.objects_left`.
    #[serde(default)]
    pub objects_left: Vec<String>,
    /// Growth by metric; heap, fds and threads that are not listed do not grow.
    #[serde(default)]
    pub growth: BTreeMap<String, Rate>,
    /// Metrics that grow as a consequence, at a rate that is not part of the truth.
    #[serde(default)]
    pub also: Vec<String>,
    /// What `growth` counts by.
    #[serde(default)]
    pub per: Per,
    /// What else the process is left with.
    #[serde(default)]
    pub residue: Vec<Residue>,
    /// How many cycles it takes to see all this.
    pub cycles: u64,
    /// How many cycles are possible before a limit of the system is hit.
    pub max_cycles: Option<u64>,
    /// How the soak ends, where it does not complete.
    pub end: Option<End>,
}

/// Situations that a truth is limited to; what is absent fits always.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct When {
    /// One thread or many.
    pub threads: Option<Threads>,
    /// Modes, spelt as in the record.
    pub mode: Option<Vec<String>>,
    /// Threads that calls come from: `main`, `worker`, `short-lived`.
    pub call_from: Option<Vec<String>>,
    /// Whether the threads share one path.
    pub share_path: Option<bool>,
    /// The C library: `glibc`, also where it is absent, or `musl`, or one version, as `glibc 2.31`. What a truth says of unloading and of malloc's
    /// chunks is one C library's.
    pub libc: Option<String>,
    /// The C library that it was built against, where that is older than the one that it is soaked on: a version, as `glibc 2.31`.
    pub built: Option<String>,
    /// Machine, as `uname -m` prints it.
    pub machine: Option<String>,
}

/// One thread or many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Threads {
    /// Exactly one.
    One,
    /// More than one.
    Many,
}

/// What growth counts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// A real load.
    #[default]
    Load,
    /// A call; with one call per cycle, a cycle.
    Call,
}

/// A rate of growth, in the metric's unit.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Rate {
    /// True of every stretch of the run.
    Exact(f64),
    /// True in the long run, with steps or chance in between.
    About {
        /// The rate.
        about: f64,
    },
}

impl Rate {
    /// The rate itself.
    pub fn value(self) -> f64 {
        match self {
            Rate::Exact(value) | Rate::About { about: value } => value,
        }
    }
}

/// Something that the process is left with.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Residue {
    /// Kind, as `--allow-residue` names it.
    pub kind: String,
    /// How many per cycle, where it grows.
    pub per_cycle: Option<f64>,
}

/// How a soak ends that does not complete.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct End {
    /// Kind of outcome, spelt as in the record.
    pub kind: String,
    /// Cycle it ends in, where that is certain.
    pub cycle: Option<u64>,
    /// Phase it ends in.
    pub phase: Option<String>,
    /// Signal, by name.
    pub signal: Option<String>,
    /// What of `outcome.why` is true, by its names in the record; `line` and `said` are parts of those texts.
    pub why: Option<serde_json::Value>,
    /// A function of the first stack, without its arguments.
    pub stack: Option<String>,
    /// What of `outcome.fault.place` is true, by its names in the record.
    pub place: Option<serde_json::Value>,
}

/// The circumstances of one soak, to find the truth that holds in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation<'a> {
    /// Number of threads that cycle.
    pub threads: u32,
    /// Mode, spelt as in the record.
    pub mode: &'a str,
    /// Thread that calls come from.
    pub call_from: &'a str,
    /// Whether the threads share one path.
    pub share_path: bool,
    /// The C library, without its version.
    pub libc: &'a str,
    /// The C library that it was built against.
    pub built: &'a str,
    /// Machine, as `uname -m` prints it.
    pub machine: &'a str,
}

/// The C library of a truth that names none.
const GLIBC: &str = "glibc";

/// One thread on the machine that the libraries are built for.
impl Default for Situation<'_> {
    fn default() -> Self {
        let machine = machine();
        Self {
            threads: 1,
            mode: "reopen",
            call_from: "main",
            share_path: false,
            libc: GLIBC,
            built: GLIBC,
            machine,
        }
    }
}

impl When {
    fn fits(&self, situation: &Situation<'_>) -> bool {
        let threads = match self.threads {
            None => true,
            Some(Threads::One) => situation.threads == 1,
            Some(Threads::Many) => situation.threads > 1,
        };
        let among = |list: &Option<Vec<String>>, value: &str| {
            list.as_ref().is_none_or(|l| l.iter().any(|v| v == value))
        };
        threads
            && among(&self.mode, situation.mode)
            && among(&self.call_from, situation.call_from)
            && self.share_path.is_none_or(|share| share == situation.share_path)
            && situation.libc.starts_with(self.libc.as_deref().unwrap_or(GLIBC))
            && self.built.as_ref().is_none_or(|built| situation.built.starts_with(built))
            && self.machine.as_ref().is_none_or(|machine| machine == situation.machine)
    }
}

impl Fixture {
    /// Its settings as arguments of `dlsoak run`.
    pub fn arguments(&self) -> Vec<String> {
        let argument = |(key, value): (&String, &toml::Value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let value = value.replace("{out}", &directory(&root()).to_string_lossy());
            [format!("--{key}"), value]
        };
        self.settings.iter().flat_map(argument).collect()
    }

    /// The truth that holds in this situation.
    pub fn truth(&self, situation: &Situation<'_>) -> Option<&Truth> {
        self.truths.iter().find(|truth| truth.when.fits(situation))
    }

    /// File name of the built library, or archive.
    pub fn file_name(&self) -> String {
        let is_archive = self.flags.iter().any(|flag| flag == "-buildmode=c-archive");
        format!("lib{}.{}", self.name, if is_archive { "a" } else { "so" })
    }

    /// The built library; an error that says how to build it where it is not there.
    pub fn library(&self, root: &Path) -> Result<PathBuf> {
        let path = directory(root).join(self.file_name());
        if !path.exists() {
            bail!("{} is not built: run `cargo xtask fixtures`", path.display());
        }
        Ok(path)
    }
}

impl Table {
    /// Fixtures that are soaked by themselves, and of which no truth holds in this situation. Whoever leaves them out says so.
    pub fn left_out(&self, situation: &Situation<'_>) -> Vec<&Fixture> {
        let is_left_out =
            |fixture: &&Fixture| !fixture.truths.is_empty() && fixture.truth(situation).is_none();
        self.fixtures.iter().filter(is_left_out).collect()
    }

    /// Reads and checks the table of the repository at `root`.
    pub fn load(root: &Path) -> Result<Self> {
        Self::read(&root.join("cdylib-fixtures/fixtures.toml"))
    }

    /// The same of the fixtures whose compilers a machine may lack.
    pub fn languages(root: &Path) -> Result<Self> {
        Self::read(&root.join("cdylib-fixtures/languages.toml"))
    }

    fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is not a table of fixtures", path.display()))
    }

    /// The fixture of this name.
    pub fn get(&self, name: &str) -> Result<&Fixture> {
        self.fixtures
            .iter()
            .find(|fixture| fixture.name == name)
            .with_context(|| format!("no fixture is called `{name}`; fixtures.toml lists them"))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut table: Self = toml::from_str(text)?;
        let otherwise = std::mem::take(&mut table.otherwise);
        for fixture in table.fixtures.iter_mut().filter(|fixture| !fixture.truths.is_empty()) {
            // What it can't do often it can't do often anywhere.
            let max_cycles = fixture.truths[0].max_cycles;
            let more = otherwise
                .iter()
                .map(|truth| Truth { max_cycles: truth.max_cycles.or(max_cycles), ..truth.clone() });
            fixture.truths.extend(more);
        }
        for (i, fixture) in table.fixtures.iter().enumerate() {
            if table.fixtures[..i].iter().any(|other| other.name == fixture.name) {
                bail!("fixture `{}` is there twice", fixture.name);
            }
            for other in fixture.needs.iter().chain(&fixture.twin) {
                table.get(other).with_context(|| format!("fixture `{}` names another", fixture.name))?;
            }
        }
        Ok(table)
    }
}

/// The root of the repository that this program was built from.
pub fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_path_buf()
}

/// Names another directory than `target/fixtures`, for libraries that are built for another system.
pub const DIRECTORY: &str = "DLSOAK_FIXTURES";

/// Where the libraries are built: `target/fixtures`, which suite files name.
pub fn directory(root: &Path) -> PathBuf {
    std::env::var_os(DIRECTORY).map_or_else(|| root.join("target/fixtures"), PathBuf::from)
}

/// Names another machine than this one, for libraries that run there.
pub const MACHINE: &str = "DLSOAK_FIXTURES_MACHINE";

/// The machine that the libraries are built for, as `uname -m` prints it.
pub fn machine() -> &'static str {
    static CHOSEN: LazyLock<String> =
        LazyLock::new(|| std::env::var(MACHINE).unwrap_or_else(|_| std::env::consts::ARCH.to_owned()));
    &CHOSEN
}

/// That machine, where it is not this one.
pub fn foreign() -> Option<&'static str> {
    Some(machine()).filter(|machine| *machine != std::env::consts::ARCH)
}

fn default_calls() -> Vec<String> {
    vec!["fibonacci(20)".to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repositorys_table_is_sound() {
        let tables = [Table::load(&root()).unwrap(), Table::languages(&root()).unwrap()];
        for fixture in tables.iter().flat_map(|table| &table.fixtures) {
            for source in &fixture.sources {
                assert!(root().join("cdylib-fixtures").join(source).exists(), "{}: {source:?}", fixture.name);
            }
            assert!(!fixture.sources.is_empty(), "{} has no sources", fixture.name);
        }
    }

    #[test]
    fn the_demo_soaks_the_fixtures_marked_for_it() {
        let table = Table::load(&root()).unwrap();
        let marked: Vec<_> = table.fixtures.iter().filter(|f| f.demo).map(|f| f.name.clone()).collect();
        let suite = std::fs::read_to_string(root().join("cdylib-fixtures/dlsoak.toml")).unwrap();
        let suite: toml::Table = toml::from_str(&suite).unwrap();
        let named: Vec<_> = suite["library"]
            .as_array()
            .unwrap()
            .iter()
            .map(|library| library["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(marked, named);
    }

    #[test]
    fn the_first_truth_that_fits_holds() {
        let table = Table::load(&root()).unwrap();
        let fixture = table.get("rust-tls-destructor").unwrap();
        let lives = fixture.truth(&Situation::default()).unwrap();
        let ends = fixture.truth(&Situation { call_from: "short-lived", ..Situation::default() }).unwrap();
        assert_eq!((lives.verdict.as_str(), ends.verdict.as_str()), ("pinned", "clean"));
    }

    #[test]
    fn truths_differ_by_c_library_and_machine() {
        let table = Table::parse(
            r#"
            [[fixture]]
            name = "divided"
            language = "c"
            summary = ""
            sources = ["c/clean.c"]
            [[fixture.truth]]
            when = { machine = "x86_64" }
            verdict = "crashed"
            findings = ["crashed"]
            cycles = 1
            [[fixture.truth]]
            when = { libc = "musl", machine = "aarch64" }
            verdict = "pinned"
            findings = []
            cycles = 1
            [[fixture]]
            name = "helper"
            language = "c"
            summary = ""
            sources = ["c/clean.c"]
            "#,
        )
        .unwrap();
        let verdict = |libc, machine| {
            let situation = Situation { libc, machine, ..Situation::default() };
            let truth = table.get("divided").unwrap().truth(&situation);
            let left_out: Vec<&str> =
                table.left_out(&situation).iter().map(|fixture| fixture.name.as_str()).collect();
            (truth.map(|truth| truth.verdict.as_str()), left_out)
        };
        assert_eq!(verdict("glibc", "x86_64"), (Some("crashed"), vec![]));
        assert_eq!(verdict("musl", "aarch64"), (Some("pinned"), vec![]));
        // What a truth says without a C library is glibc's. A helper is never soaked, so it is not left out.
        assert_eq!(verdict("musl", "x86_64"), (None, vec!["divided"]));
        assert_eq!(verdict("glibc", "aarch64"), (None, vec!["divided"]));
    }

    #[test]
    fn a_name_given_twice_is_refused() {
        let one = "[[fixture]]\nname = \"a\"\nlanguage = \"c\"\nsummary = \"\"\nsources = [\"c/clean.c\"]\n";
        let error = Table::parse(&format!("{one}{one}")).unwrap_err();
        assert!(error.to_string().contains("twice"), "{error}");
    }
}
