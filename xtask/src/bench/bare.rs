//! The bare loop, `benches/bare-loop.c`: built two ways, and run alone or by another program.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::fixtures::{self, Table};

use super::process::{self, Ran};
use super::soak;
use crate::{build, command, demo};

const INSTALL: &str = "install a C compiler (Debian, Ubuntu: apt install gcc)";

/// The function that each of the libraries has, and the call of it that a cycle makes.
pub(super) const FUNCTION: &str = "fibonacci";
/// The same for dlsoak.
pub(super) const CALL: &str = "fibonacci(20)";

/// Turns malloc's thread cache off, as the plain agent does: `dlsoak trace` measures with that.
pub(super) const CACHE_OFF: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");

/// Gives the loop mappings.
pub(super) const PADDING: &str = "BARE_LOOP_MAPPINGS";

/// Loads that are enough to find out how many mappings a program has.
pub(super) const FEW: u64 = 10;

/// How the loop is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Build {
    /// With what C needs.
    Plain,
    /// With gcc's LeakSanitizer.
    LeakSanitizer,
}

/// All that the turns need.
pub(super) struct Bench {
    /// The root of the repository.
    pub(super) root: PathBuf,
    /// The program, as its users get it.
    pub(super) dlsoak: PathBuf,
    /// A directory that goes with this value, where dlsoak's own copies would be, so that both open files of the same file system.
    pub(super) scratch: TempDir,
    /// Whether a small C library makes as many cycles as `dlsoak run` does by default, and not a fifth of them.
    pub(super) by_default: bool,
    /// Mappings that the loop gets, by the number of its threads, so that it has as many as the agent.
    pub(super) padding: BTreeMap<u32, u64>,
}

/// A library, and how many cycles of it make a turn.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Cycles of a turn, for peers that are about as fast as the bare loop.
    pub(super) cycles: u64,
    /// Cycles of a turn for those that are much slower.
    pub(super) few: u64,
}

/// What the bare loop says of itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Told {
    /// Cycles per second, all threads together, by its own clock.
    pub(super) rate: f64,
    /// The median cycle of its first thread in nanoseconds, where it was asked to time each; else 0.
    pub(super) median_ns: f64,
    /// Memory that no other process has a part in when it is done, in kB.
    pub(super) private_kb: f64,
    /// Its mappings while no library is open.
    pub(super) mappings: f64,
}

/// Mappings of both sides while the library is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mappings {
    pub(super) threads: u32,
    /// Those of the agent.
    pub(super) agent: usize,
    /// Those of the loop, without padding and with it.
    pub(super) bare: usize,
    pub(super) padded: usize,
}

impl Mappings {
    pub(super) fn to_json(self) -> Value {
        json!({ "threads": self.threads, "agent": self.agent, "bare": self.bare, "padded": self.padded })
    }

    /// In words, for the text above a table.
    pub(super) fn words(self) -> String {
        let Self { threads, agent, bare, padded } = self;
        let reached =
            if padded == agent { "as many" } else { "NOT as many: ratios may be off by up to 28 %" };
        format!(
            "With the library closed and {threads} thread(s), the agent has {agent} mappings. The bare loop has {bare}, and {padded} with padding: {reached}."
        )
    }
}

impl Bench {
    /// Builds the program, the loops and these fixtures.
    pub(super) fn new(libraries: &[String]) -> Result<Self> {
        let root = fixtures::root();
        let dlsoak = demo::release(&root)?;
        build::run(&build::Options::only(libraries))?;
        let scratch = tempfile::Builder::new().prefix("dlsoak-bench-").tempdir()?;
        let bench = Self { root, dlsoak, scratch, by_default: false, padding: BTreeMap::new() };
        bench.compile(Build::Plain)?;
        Ok(bench)
    }

    /// Gives the loop as many mappings as the agent has while both have the library closed, for each of these numbers of threads, because
    /// the time of a cycle depends on their number by up to 28 % at some numbers.
    pub(super) fn pad(&mut self, library: &Path, threads: &[u32]) -> Result<Vec<Mappings>> {
        let pad = |threads: &u32| {
            let soaked =
                soak::soak(self, "run", library, &["-n", "2000", "-t", &threads.to_string()], false)?;
            let (padding, mappings) = self.padding_to(library, *threads, soaked.mappings()?)?;
            Ok(((*threads, padding), mappings))
        };
        let padded = threads.iter().map(pad).collect::<Result<Vec<_>>>()?;
        let (paddings, mappings) = padded.into_iter().unzip();
        self.padding = paddings;
        Ok(mappings)
    }

    /// How much padding gives the loop as many mappings as the agent has, and how many it then has: fewer where 100 do not suffice.
    pub(super) fn padding_to(&self, library: &Path, threads: u32, agent: usize) -> Result<(u64, Mappings)> {
        let bare = self.mappings(library, threads, 0)?;
        let (mut padding, mut padded) = (0, bare);
        // The kernel joins the first ones with neighbours that have the same rights, so their number is found by trying.
        while padded < agent && padding < 100 {
            padding += 1;
            padded = self.mappings(library, threads, padding)?;
        }
        Ok((padding, Mappings { threads, agent, bare, padded }))
    }

    fn mappings(&self, library: &Path, threads: u32, padding: u64) -> Result<usize> {
        let cycles = FEW * u64::from(threads);
        let mut command = self.command(Build::Plain, &[], library, cycles, "none", threads)?;
        command.env(PADDING, padding.to_string());
        let ran = process::run(&mut command)?.context("the bare loop is gone")?;
        Ok(told(&ran)?.mappings as usize)
    }

    /// A fixture, with the cycles that take a few tenths of a second.
    pub(super) fn subject(&self, name: &str) -> Result<Subject> {
        let path = Table::load(&self.root)?.get(name)?.library(&self.root)?;
        let (cycles, few) = match name.split('-').next() {
            // Nothing is loaded: a cycle takes a fraction of a microsecond.
            Some("go") => (1_000_000, 20_000),
            Some("rust") => (10_000, 300),
            _ if self.by_default => (100_000, 500),
            _ => (20_000, 500),
        };
        Ok(Subject { path, cycles, few })
    }

    /// `dlsoak run`, quiet, as it is measured.
    pub(super) fn dlsoak(&self) -> Command {
        let mut command = Command::new(&self.dlsoak);
        command.args(["run", "-q"]).current_dir(self.scratch.path()).env_remove("GLIBC_TUNABLES");
        command
    }

    fn program(&self, build: Build) -> PathBuf {
        self.scratch.path().join(format!("bare-loop-{build:?}"))
    }

    /// Builds the loop.
    ///
    /// # Errors
    /// When the compiler does not make it: for LeakSanitizer that may well be.
    pub(super) fn compile(&self, build: Build) -> Result<()> {
        let mut cc = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
        cc.args(["-O2", "-g", "-Wall", "-pthread", "-o"]).arg(self.program(build));
        if build == Build::LeakSanitizer {
            cc.arg("-fsanitize=leak");
        }
        cc.arg(self.root.join("benches/bare-loop.c")).arg("-ldl");
        command::quietly(&mut cc, INSTALL).map(|_| ())
    }

    /// The file that each thread opens: the library itself for one, as dlsoak does, else a copy each.
    pub(super) fn files(&self, library: &Path, threads: u32) -> Result<Vec<PathBuf>> {
        if threads == 1 {
            return Ok(vec![library.to_owned()]);
        }
        let name = library.file_name().context("a library without a name")?;
        let copy = |thread: u32| {
            let directory = self.scratch.path().join(thread.to_string());
            fs::create_dir_all(&directory)?;
            let file = directory.join(name);
            if !file.exists() {
                fs::copy(library, &file)?;
            }
            Ok(file)
        };
        (0..threads).map(copy).collect()
    }

    /// The loop as a command, run by `by`: a program and its arguments, or nobody.
    pub(super) fn command(
        &self,
        build: Build,
        by: &[&str],
        library: &Path,
        cycles: u64,
        clock: &str,
        threads: u32,
    ) -> Result<Command> {
        let program = self.program(build);
        let mut words = by.iter().map(|word| (*word).into()).chain([program.into_os_string()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args([FUNCTION, &cycles.to_string(), clock]);
        command.args(self.files(library, threads)?).current_dir(self.scratch.path());
        command
            .env_remove("GLIBC_TUNABLES")
            .env(PADDING, self.padding.get(&threads).unwrap_or(&0).to_string());
        Ok(command)
    }

    /// Runs it alone.
    pub(super) fn alone(
        &self,
        build: Build,
        subject: &Subject,
        threads: u32,
        clock: &str,
        cache: bool,
    ) -> Result<Told> {
        let mut command = self.command(build, &[], &subject.path, subject.cycles, clock, threads)?;
        if !cache {
            command.env(CACHE_OFF.0, CACHE_OFF.1);
        }
        let ran = process::run(&mut command)?.context("the bare loop is gone")?;
        told(&ran).with_context(|| command::spelt(&command))
    }
}

/// What the loop has said, among what a program that ran it may have said.
pub(super) fn told(ran: &Ran) -> Result<Told> {
    let line = ran.stdout.lines().find(|line| line.starts_with('{'));
    let Some(value) = line.and_then(|line| serde_json::from_str::<Value>(line).ok()) else {
        let end = ran.code.map_or("a signal".to_owned(), |code| format!("exit code {code}"));
        let last = ran.stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        bail!("it ended with {end} before it was through: {}", last.chars().take(160).collect::<String>());
    };
    let number = |name: &str| value[name].as_f64().with_context(|| format!("the loop did not say `{name}`"));
    Ok(Told {
        rate: number("cycles")? * 1e9 / number("ns")?,
        median_ns: number("median_ns")?,
        private_kb: number("private_kb")?,
        mappings: number("mappings")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_loop_says_is_found_among_others_words() {
        let stdout =
            "heaptrack output\n{\"ns\": 2000000000, \"median_ns\": 7, \"cycles\": 100, \"private_kb\": 64, \
                      \"mappings\": 24}\nstats:\n"
                .to_owned();
        let ran = Ran { stdout, ..Ran::default() };
        assert_eq!(
            told(&ran).unwrap(),
            Told { rate: 50.0, median_ns: 7.0, private_kb: 64.0, mappings: 24.0 }
        );
        let ran = Ran { stderr: "first\nSegmentation fault\n\n".to_owned(), ..Ran::default() };
        let error = told(&ran).unwrap_err().to_string();
        assert!(error.contains("a signal") && error.contains("Segmentation fault"), "{error}");
    }
}
