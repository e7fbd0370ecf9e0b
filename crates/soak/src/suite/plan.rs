//! The plan that a run carries out: all layers of settings merged, defaults filled in, everything validated.
//! Code that holds a [`Plan`] need not check it again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dlsoak_wire::interface::Interface;
use thiserror::Error;

use super::file::{Find, SuiteFile};
use super::matrix::in_force;
use super::names::{Unique, default_name, fit_name};
use super::suite_error::SuiteError;
use super::together::{check_calls, check_chaos, check_host, check_mode, check_replace, check_together};
use crate::calls::Prototypes;
use crate::record::{self, CallFrom, Driven, Metric, Mode};
use crate::settings::quantity::{Cycles, Size, Time};
use crate::settings::{
    Call, Chaos, Exercise, HostKind, Libc, Limits, OpenFlags, Order, OtherBuild, Passes, Program, Sandboxing,
    Settings,
};

/// Cycles where nobody said how many.
pub const DEFAULT_CYCLES: u64 = 100_000;

/// Most soaks of a plan that make all their cycles where nobody said how many. Debian's 121 plugins for LADSPA were all decided in 148 s,
/// when each ended with its verdict; 500 cycles of each took 153 s and decided none.
const MOST_IN_FULL: usize = 20;

/// Checkpoints where nobody said how many.
pub const DEFAULT_CHECKPOINTS: u32 = 200;

/// The same for soaks of up to 1,000 cycles, where 200 would take as long as the cycles: one in every 8 cycles at most, and 41 in each
/// of the two octaves that decide.
const FEWEST_CHECKPOINTS: u32 = 125;

/// Checkpoints where nobody said how many, for this many cycles.
fn default_checkpoints(cycles: u64) -> u32 {
    u32::try_from(cycles / 8).unwrap_or(u32::MAX).clamp(FEWEST_CHECKPOINTS, DEFAULT_CHECKPOINTS)
}

/// Time without a finished cycle after which a soak counts as hung, where nobody said.
pub const DEFAULT_STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Everything that one run does.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Name of the suite, or of the libraries; fit for a file name.
    pub name: String,
    /// The soaks in order; their names are unique.
    pub soaks: Vec<SoakPlan>,
}

/// Everything that one soak does.
#[derive(Debug, Clone, PartialEq)]
pub struct SoakPlan {
    /// Name of the soak; fit for a file name.
    pub name: String,
    /// The library. A relative path is relative to the current directory.
    pub path: PathBuf,
    /// Libraries that each cycle opens after that one, each once it has closed the one before.
    pub together: Vec<PathBuf>,
    /// In which order it opens them all.
    pub order: Order,
    /// What was asked for, as it was given.
    pub asked: Settings,
    /// Functions to call in each cycle, in this order.
    pub calls: Vec<Call>,
    /// Functions to call once, before the first cycle.
    pub setup: Vec<Call>,
    /// Prototypes of the functions of `calls`, where the library has them; known once the files were looked at
    /// ([`crate::fault::check`]).
    pub prototypes: Prototypes,
    /// Whether the driver has a set-up of its own; known then, too.
    pub driver_sets_up: bool,
    /// The plugin interface whose driver makes the cycles' calls, once [`crate::host::resolve`] has found it.
    pub driven: Option<(Interface, Driven)>,
    /// Code for one cycle: the user's own, or that driver's.
    pub exercise: Option<Exercise>,
    /// Libraries that are there before `main`, as in a host that links them, in their order: absolute paths, or names that the loader
    /// searches for. Where one of them defines malloc, `plain` is to be set.
    pub linked: Vec<PathBuf>,
    /// Libraries that the host opens before the first cycle and keeps: absolute paths, or names that the loader searches for.
    pub held: Vec<PathBuf>,
    /// Functions of what is held to call after the close of each cycle, in this order.
    pub after: Vec<Call>,
    /// The kind of the host, once [`crate::host::resolve`] has found it.
    pub kind: HostKind,
    /// The C library of the host, once it has found that, too.
    pub libc: Libc,
    /// Whether the library needs libstdc++, itself or through what it needs.
    pub needs_cxx: bool,
    /// What the library needs itself and that may be at fault, by name.
    pub needed: Vec<String>,
    /// The program that loads the library in reality.
    pub host: Option<Program>,
    /// A library that stands in for what that program exports, as an ELF file: it is there before `main`, and first of all.
    pub stubs: Option<Arc<Vec<u8>>>,
    /// Another build, which replaces the library's file before every second open.
    pub replace: Option<OtherBuild>,
    /// What a cycle opens.
    pub mode: Mode,
    /// Which thread a cycle runs on.
    pub call_from: CallFrom,
    /// Number of threads that cycle, at least 1.
    pub threads: u32,
    /// Whether all threads open the one path.
    pub share_path: bool,
    /// Cycles, all threads together, warm-up not included; at least `threads`. The most there can be when only a
    /// duration was given.
    pub cycles: u64,
    /// Cycles after which `until_decided` gives up, at least `cycles`; `None` without it or without such a
    /// bound.
    pub max_cycles: Option<u64>,
    /// Whether to go on after the last cycle until the verdict is decided.
    pub until_decided: bool,
    /// Active time after which the soak ends, if `cycles` does not end it before.
    pub duration: Option<Duration>,
    /// Warm-up cycles; `None` leaves the number to the code that runs the soak.
    pub warmup: Option<u64>,
    /// Number of checkpoints, at most `cycles`.
    pub checkpoints: u32,
    /// Flags for `dlopen`.
    pub flags: OpenFlags,
    /// Environment variables for the worker, besides those inherited.
    pub env: BTreeMap<String, String>,
    /// Time without a finished cycle after which the soak counts as hung.
    pub stall_timeout: Duration,
    /// What the worker is disturbed with.
    pub chaos: Vec<Chaos>,
    /// Whether the worker is kept from writing files and from the network.
    pub sandbox: Sandboxing,
    /// The passes that may run.
    pub passes: Passes,
    /// Loads of the pass that looks for stale pointers; `None` leaves the number to the code that conducts it.
    pub pointers: Option<u64>,
    /// Whether a leak is traced.
    pub trace_on_leak: bool,
    /// What is wanted of it.
    pub purpose: Purpose,
    /// Whether the agent that leaves malloc alone is used, also where the counting one could be.
    pub plain: bool,
    /// Other soaks that run at the same time, at most.
    pub beside: u32,
    /// What it may use before it is ended.
    pub allowance: Allowance,
    /// The limits that the gate applies to the soak.
    pub limits: Limits,
    /// What an earlier run has of this library, to compare with.
    pub baseline: Option<record::Baseline>,
}

/// Limits that were set; `None` leaves it to the default, which depends on the machine (`docs/limits.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowance {
    /// Wall time of the whole soak.
    pub timeout: Option<Duration>,
    /// Resident memory of the worker in bytes.
    pub memory: Option<u64>,
    /// Open descriptors of the worker.
    pub fds: Option<u64>,
    /// Threads of the worker, and processes that descend from it, together.
    pub processes: Option<u64>,
    /// Bytes written to standard output and standard error, and bytes of any one file.
    pub output: Option<u64>,
}

impl Allowance {
    /// What is allowed once this much time is spent.
    #[must_use]
    pub fn after(self, spent: Duration) -> Self {
        let timeout = self.timeout.map(|timeout| timeout.saturating_sub(spent).max(Duration::from_millis(1)));
        Self { timeout, ..self }
    }
}

/// What is wanted of a soak, so that nobody waits for what is looked at and then dropped.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Purpose {
    /// All there is to know.
    #[default]
    Everything,
    /// How much the load alone grows, and the verdict on it: the worker's threads are not watched, memory is not split by
    /// kind, and why a library stays is not asked.
    Share {
        /// What leaks with the calls, per cycle. When the load is seen to leak as much, no more is to be learned.
        leak: Option<(Metric, f64)>,
        /// Whether nothing points to what leaks, with the calls.
        lost: bool,
    },
    /// How it grows where Go's collector runs often: all steps of a cycle are made, and otherwise it is as in [`Purpose::Share`].
    Collected,
    /// How it behaves in another host: as in [`Purpose::Share`], and why it stays where it does.
    OtherHost,
    /// What still points into the library after each of its cycles, which are as few as stated, or what is lost.
    Pointers,
}

/// A plan that can't be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// The suite file is wrong; the place is in it.
    #[error(transparent)]
    Suite(#[from] SuiteError),
    /// The settings given for these libraries don't go together.
    #[error("{key}: {problem}")]
    Settings {
        /// The key, as in the suite file; the flag of the same name on the command line.
        key: &'static str,
        /// What is wrong and what to do.
        problem: String,
    },
    /// There is no library to soak.
    #[error("no library was given")]
    NoLibrary,
}

/// A setting that can't be carried out: its key, and what is wrong.
pub(super) type Refusal = (&'static str, String);

impl Plan {
    /// Makes the plan of a suite file. `file` is the path of the suite file, `overrides` is what the command
    /// line gave: it wins over the library, that over `[defaults]`, that over `[gate]` and the built-in values. `find` looks for what the
    /// paths of libraries stand for.
    ///
    /// # Errors
    ///
    /// [`PlanError::Suite`], with the place.
    pub fn from_suite(
        text: &str,
        file: &Path,
        overrides: &Settings,
        find: &Find<'_>,
    ) -> Result<Self, PlanError> {
        let suite = SuiteFile::parse(text, file, find)?;
        let mut names = Unique::default();
        let mut soaks = Vec::new();
        for library in &suite.libraries {
            let fault = |key: &str, problem: &str| suite.error(library, key, problem).in_file(text, file);
            let mut name = library.name.clone().unwrap_or_else(|| of_all(&library.path, &library.settings));
            if library.found {
                name = names.next(name);
            } else if !names.take(&name) {
                let key = if library.name.is_some() { "name" } else { "path" };
                return Err(fault(
                    key,
                    &format!("there is already a library named `{name}`; give this one a different `name`"),
                )
                .into());
            }
            // A soak that is named after a value must have it.
            let overridden =
                |(_, varied): &&(String, _)| !in_force(varied, &overrides.clone().over(varied.clone()));
            if let Some((key, _)) = library.varied.iter().find(overridden) {
                let problem = "the matrix varies this, but the command line sets it; remove one of the two";
                return Err(fault(key, problem).into());
            }
            let written = library.settings.clone().over(suite.defaults.clone());
            let settings = overrides.clone().over(written.clone());
            match SoakPlan::new(name.clone(), library.path.clone(), settings) {
                Ok(soak) => soaks.push(soak),
                // What is right without the command line is not the file's fault.
                Err((key, problem)) => {
                    let alone = SoakPlan::new(name, library.path.clone(), written);
                    return Err(match alone {
                        Ok(_) => PlanError::Settings { key, problem },
                        Err((key, problem)) => fault(key, &problem).into(),
                    });
                }
            }
        }
        let name = match suite.name {
            Some(name) => name,
            None => file
                .parent()
                .and_then(Path::file_name)
                .or_else(|| file.file_stem())
                .map_or_else(|| "suite".to_owned(), |name| fit_name(&name.to_string_lossy())),
        };
        Ok(Self { name, soaks })
    }

    /// Makes the plan for libraries named on the command line, in this order. Of libraries with the same name
    /// the second gets the suffix `-2`, and so on.
    ///
    /// # Errors
    ///
    /// [`PlanError::NoLibrary`] and [`PlanError::Settings`].
    pub fn from_paths(paths: &[PathBuf], overrides: &Settings) -> Result<Self, PlanError> {
        if overrides.replace.is_some() && paths.len() > 1 {
            let problem = format!("this is another build of one library, and {} are named", paths.len());
            return Err(PlanError::Settings { key: "replace", problem });
        }
        let mut names = Unique::default();
        let mut soaks = Vec::new();
        for path in paths {
            let name = names.next(of_all(path, overrides));
            let soak = SoakPlan::new(name, path.clone(), overrides.clone())
                .map_err(|(key, problem)| PlanError::Settings { key, problem })?;
            soaks.push(soak);
        }
        let name = match soaks.as_slice() {
            [] => return Err(PlanError::NoLibrary),
            [one] => one.name.clone(),
            [first, rest @ ..] => with_more(&first.name, rest.len()),
        };
        Ok(Self { name, soaks })
    }

    /// In a plan of many soaks, lets each that nobody gave an end go on until its verdict is certain, and no longer. Returns how many
    /// those are.
    pub fn decide_if_many(&mut self) -> usize {
        if self.soaks.len() <= MOST_IN_FULL {
            return 0;
        }
        let mut count = 0;
        for soak in &mut self.soaks {
            let asked = &soak.asked;
            if asked.cycles.is_some() || asked.duration.is_some() || asked.until_decided.is_some() {
                continue;
            }
            let asked = Settings { until_decided: Some(true), ..asked.clone() };
            if let Ok(decided) = SoakPlan::new(soak.name.clone(), soak.path.clone(), asked) {
                *soak = decided;
                count += 1;
            }
        }
        count
    }

    /// Keeps this machine's share of the soaks. Every soak is in exactly one share, and a share may be empty.
    #[must_use]
    pub fn partition(mut self, split: &record::Partition) -> Self {
        let mut places = split.soaks.iter();
        self.soaks.retain(|_| places.next().is_some_and(|soak| soak.part == split.part));
        self
    }
}

/// The name of a soak that has none: that of its library, and how many others there are.
fn of_all(path: &Path, settings: &Settings) -> String {
    let name = default_name(path);
    settings.together.as_ref().map_or(name.clone(), |others| with_more(&name, others.len()))
}

fn with_more(name: &str, others: usize) -> String {
    format!("{name}-and-{others}-more")
}

impl SoakPlan {
    /// All libraries that a cycle opens, as they were named.
    pub fn libraries(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.path).chain(&self.together).map(PathBuf::as_path)
    }

    /// All files that a cycle may open: the libraries, and another build that replaces the one.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.libraries().chain(self.replace.as_ref().map(OtherBuild::path))
    }

    fn new(name: String, path: PathBuf, settings: Settings) -> Result<Self, Refusal> {
        let limits = settings.limits();
        let mode = settings.mode.unwrap_or_default();
        check_mode(mode, &settings)?;
        check_chaos(&settings)?;
        check_host(mode, &settings)?;
        check_together(mode, &settings)?;
        check_replace(mode, &settings)?;
        check_calls(&settings)?;
        let threads = settings.threads.map_or(1, |threads| u32::try_from(threads.get()).unwrap_or(u32::MAX));
        let cycles = match (settings.cycles, settings.duration) {
            (Some(cycles), _) => cycles.get(),
            (None, Some(_)) => Cycles::nearest(u64::MAX).get(),
            (None, None) => DEFAULT_CYCLES,
        };
        if cycles < u64::from(threads) {
            let problem =
                format!("{cycles} cycles are too few for {threads} threads, because each needs one");
            return Err(("cycles", problem));
        }
        let until_decided = settings.until_decided.unwrap_or(false);
        let max_cycles = settings.max_cycles.map(Cycles::get);
        if let Some(max) = max_cycles {
            if !until_decided {
                return Err(("max-cycles", "this has no effect without until-decided".to_owned()));
            }
            if max < cycles {
                return Err(("max-cycles", format!("{max} is less than the number of cycles, {cycles}")));
            }
        }
        let checkpoints = settings.checkpoints.map(|checkpoints| checkpoints.get() as u32);
        let checkpoints = checkpoints.unwrap_or_else(|| default_checkpoints(cycles));
        let env = settings.env.iter().flatten().map(|one| (one.name.clone(), one.value.clone())).collect();
        let bytes = |size: Option<Size>| size.map(Size::get);
        let time = |time: Option<Time>| time.map(Time::duration);
        Ok(Self {
            name,
            path,
            together: settings.together.iter().flatten().map(|one| one.path().to_owned()).collect(),
            order: settings.order.unwrap_or_default(),
            calls: settings.call.clone().unwrap_or_default(),
            setup: settings.setup.clone().unwrap_or_default(),
            prototypes: Prototypes::new(),
            driver_sets_up: false,
            driven: None,
            exercise: settings.exercise.clone(),
            linked: Vec::new(),
            held: Vec::new(),
            after: settings.after.clone().unwrap_or_default(),
            kind: HostKind::Auto,
            libc: Libc::default(),
            needs_cxx: false,
            needed: Vec::new(),
            host: settings.host.clone(),
            stubs: None,
            replace: settings.replace.clone(),
            mode,
            call_from: settings.call_from.unwrap_or_default(),
            threads,
            share_path: settings.share_path.unwrap_or(false),
            cycles,
            max_cycles,
            until_decided,
            beside: 0,
            duration: time(settings.duration),
            warmup: settings.warmup.map(|warmup| warmup.get()),
            checkpoints: u32::try_from(cycles).map_or(checkpoints, |cycles| checkpoints.min(cycles)),
            flags: settings.flags.unwrap_or_default(),
            env,
            stall_timeout: time(settings.stall_timeout).unwrap_or(DEFAULT_STALL_TIMEOUT),
            chaos: settings.chaos.clone().unwrap_or_default(),
            sandbox: settings.sandbox.unwrap_or_default(),
            passes: settings.passes.clone().unwrap_or_default(),
            pointers: settings.pointers.map(|loads| loads.get()),
            trace_on_leak: settings.trace_on_leak.unwrap_or(false),
            purpose: Purpose::Everything,
            plain: false,
            allowance: Allowance {
                timeout: time(settings.timeout),
                memory: bytes(settings.memory_limit),
                fds: settings.fd_limit.map(|limit| limit.get()),
                processes: settings.process_limit.map(|limit| limit.get()),
                output: bytes(settings.output_limit),
            },
            limits,
            baseline: None,
            asked: settings,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::as_written;
    use super::*;

    const FILE: &str = "suites/dlsoak.toml";

    fn suite(text: &str, overrides: &Settings) -> Result<Plan, PlanError> {
        Plan::from_suite(text, Path::new(FILE), overrides, &as_written)
    }

    #[test]
    fn nothing_said_means_the_defaults() {
        let plan = Plan::from_paths(&[PathBuf::from("a/libz.so.1")], &Settings::default()).unwrap();
        assert_eq!(plan.name, "z");
        let [soak] = plan.soaks.as_slice() else { panic!("one soak") };
        assert_eq!(soak.path, Path::new("a/libz.so.1"));
        assert_eq!((soak.cycles, soak.threads, soak.checkpoints), (100_000, 1, 200));
        assert_eq!((soak.flags.to_string().as_str(), soak.mode), ("now,local", Mode::Reopen));
        assert_eq!((soak.stall_timeout, soak.duration, soak.warmup), (Duration::from_secs(10), None, None));
        assert_eq!((soak.share_path, soak.until_decided), (false, false));
        assert!(soak.calls.is_empty() && soak.env.is_empty() && soak.allowance == Allowance::default());
    }

    #[test]
    fn the_command_line_wins_over_library_defaults_and_gate() {
        let text = r#"
            [gate]
            max-leak-rate = "1B/cycle"
            max-growth = "fds=0"
            [defaults]
            cycles = 500
            threads = 2
            warmup = 7
            max-growth = "fds=1/cycle"
            env = { A = "defaults", B = "defaults", C = "defaults" }
            [[library]]
            path = "a.so"
            threads = 3
            warmup = 8
            env = { B = "library", C = "library" }
            [[library]]
            path = "b.so"
        "#;
        let overrides = Settings {
            warmup: "9".parse().ok(),
            env: Some(vec!["C=command line".parse().unwrap()]),
            ..Settings::default()
        };
        let plan = suite(text, &overrides).unwrap();
        assert_eq!(plan.name, "suites");
        let [a, b] = plan.soaks.as_slice() else { panic!("two soaks") };
        assert_eq!((a.cycles, a.threads, a.warmup), (500, 3, Some(9)));
        assert_eq!((b.cycles, b.threads, b.warmup), (500, 2, Some(9)));
        assert_eq!(
            a.env.values().map(String::as_str).collect::<Vec<_>>(),
            ["defaults", "library", "command line"]
        );
        assert_eq!(b.env["B"], "defaults");
        assert_eq!(a.limits.max_leak_rate.as_ref().map(ToString::to_string).as_deref(), Some("1B/cycle"));
        assert_eq!(a.limits.max_growth.as_ref().unwrap().to_string(), "fds=1/cycle");
    }

    #[test]
    fn the_layer_that_says_when_to_end_says_it_alone() {
        let text = "[[library]]\npath = 'a.so'\ncycles = 500\n[[library]]\npath = 'b.so'\nduration = '1h'";
        let minutes = Some(Duration::from_secs(5400));
        let by_time = suite(text, &Settings { duration: "90m".parse().ok(), ..Settings::default() }).unwrap();
        for soak in by_time.soaks {
            assert_eq!((soak.cycles, soak.duration), (1_000_000_000_000, minutes));
        }
        let by_count = suite(text, &Settings { cycles: "20".parse().ok(), ..Settings::default() }).unwrap();
        for soak in by_count.soaks {
            assert_eq!((soak.cycles, soak.duration, soak.checkpoints), (20, None, 20));
        }
    }

    #[test]
    fn libraries_on_the_command_line_may_share_a_name() {
        let twice = ["x/libz.so.1", "y/libz.so"].map(PathBuf::from);
        let plan = Plan::from_paths(&twice, &Settings::default()).unwrap();
        assert_eq!((plan.soaks[0].name.as_str(), plan.soaks[1].name.as_str()), ("z", "z-2"));
        assert_eq!(plan.name, "z-and-1-more");
    }

    #[test]
    fn what_cannot_be_carried_out_is_refused_at_its_place() {
        let bad = [
            "[[library]]\npath = 'a.so'\nmode = 'copies'\nshare-path = true",
            "[defaults]\nmode = 'namespace'\n[[library]]\npath = 'a.so'\nflags = 'global'",
            "[[library]]\npath = 'a.so'\nmode = 'namespace'\nthreads = 16",
            "[[library]]\npath = 'a.so'\n[[library]]\npath = 'b/liba.so'",
            "[[library]]\npath = 'a.so'\n[[library]]\nname = 'a'\npath = 'b.so'",
            "[[library]]\npath = 'a.so'\nname = 'a/b'",
            "[[library]]\npath = 'a.so'\nname = ''",
            "[[library]]\npath = 'a.so'\ncycles = 3\nthreads = 4",
            "[defaults]\ncycles = 3\n[[library]]\npath = 'a.so'\nthreads = 4",
            "[[library]]\npath = 'a.so'\nmax-cycles = '1M'",
            "[[library]]\npath = 'a.so'\nmax-cycles = 5\nuntil-decided = true",
            "[[library]]\npath = 'a.so'\ncall = ['use(h)', 'h = make(3)']",
            "[defaults]\nsetup = 'host(&ctx)'\n[[library]]\npath = 'a.so'\ncall = 'f(1)'",
        ];
        let all: String = bad
            .iter()
            .map(|text| format!("{}\n\n", suite(text, &Settings::default()).unwrap_err()))
            .collect();
        insta::assert_snapshot!(all);
    }

    #[test]
    fn the_command_line_is_refused_by_flag() {
        let overrides =
            Settings { mode: Some(Mode::Namespace), share_path: Some(true), ..Settings::default() };
        assert_eq!(
            Plan::from_paths(&[PathBuf::from("a.so")], &overrides).unwrap_err().to_string(),
            "share-path: mode `namespace` shares only the file; remove share-path"
        );
        assert_eq!(Plan::from_paths(&[], &Settings::default()), Err(PlanError::NoLibrary));
        // Also with a suite that is right without it.
        let overrides = Settings { threads: "20".parse().ok(), ..Settings::default() };
        let error = suite("[[library]]\npath = 'a.so'\ncycles = 10", &overrides).unwrap_err();
        assert_eq!(error.to_string(), "cycles: 10 cycles are too few for 20 threads, because each needs one");
    }

    /// Finds three files for each path with a star, without those whose names are excluded.
    fn three(directory: &Path, path: &Path, exclude: &[String]) -> Result<Vec<PathBuf>, String> {
        let name = path.to_str().unwrap();
        if name.contains("none") {
            return Err(format!("{name}: no file matches this pattern"));
        }
        let names = if name.contains('*') { vec!["a/x.so", "b/x.so", "y.so"] } else { vec![name] };
        let left = names.into_iter().filter(|name| !exclude.iter().any(|excluded| excluded == name));
        Ok(left.map(|name| directory.join(name)).collect())
    }

    fn found(text: &str) -> Result<Vec<(String, PathBuf)>, String> {
        let plan = Plan::from_suite(text, Path::new(FILE), &Settings::default(), &three);
        let soaks = plan.map_err(|error| error.to_string().lines().next().unwrap().to_owned())?.soaks;
        Ok(soaks.into_iter().map(|soak| (soak.name, soak.path)).collect())
    }

    #[test]
    fn a_pattern_makes_a_soak_of_each_file_that_has_no_table_of_its_own() {
        let named = |all: &[(&str, &str)]| {
            Ok(all.iter().map(|(name, path)| ((*name).to_owned(), Path::new("suites").join(path))).collect())
        };
        let pattern = "[[library]]\npath = '*.so'\n";
        assert_eq!(found(pattern), named(&[("x", "a/x.so"), ("x-2", "b/x.so"), ("y", "y.so")]));
        let own = format!("{pattern}[[library]]\npath = 'y.so'\nname = 'why'\n");
        assert_eq!(found(&own), named(&[("x", "a/x.so"), ("x-2", "b/x.so"), ("why", "y.so")]));
        let excluded = format!("[suite]\nexclude = ['a/x.so', 'b/x.so', 'z']\n{pattern}name = 'only'\n");
        assert_eq!(found(&excluded), named(&[("only", "y.so")]));
        let varied = "[[library]]\nmatrix = { path = ['*.so', 'z.so'], threads = [1, 2] }\n";
        let names: Vec<String> = found(varied).unwrap().into_iter().map(|(name, _)| name).collect();
        let expected = ["a-x", "b-x", "y", "z"]
            .map(|name| [1, 2].map(|threads| format!("{name} [threads={threads}]")))
            .concat();
        assert_eq!(names, expected);
    }

    #[test]
    fn a_pattern_in_together_stands_for_its_libraries_without_the_one_that_they_follow() {
        let together = |text: &str| {
            let plan = Plan::from_suite(text, Path::new(FILE), &Settings::default(), &three).unwrap();
            let [soak] = plan.soaks.as_slice() else { panic!("one soak") };
            soak.together.iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        let library = "[[library]]\npath = 'y.so'\n";
        assert_eq!(
            together(&format!("{library}together = ['*.so', 'z.so']")),
            ["suites/a/x.so", "suites/b/x.so", "suites/z.so"]
        );
        // What is named twice is refused, as far as it is named.
        assert_eq!(together(&format!("{library}together = ['y.so']")), ["suites/y.so"]);
        let excluded = "[suite]\nexclude = ['a/x.so']\n";
        assert_eq!(together(&format!("{excluded}{library}together = '*.so'")), ["suites/b/x.so"]);
        assert_eq!(
            found(&format!("{library}together = ['none*.so']")).unwrap_err(),
            "suites/dlsoak.toml:3:12: `together` in [[library]]: none*.so: no file matches this pattern"
        );
    }

    #[test]
    fn a_path_that_stands_for_nothing_is_an_error_at_its_place() {
        let at = |text: &str| found(text).unwrap_err();
        assert_eq!(
            at("[[library]]\npath = 'none*.so'"),
            "suites/dlsoak.toml:2:8: `path` in [[library]]: none*.so: no file matches this pattern"
        );
        assert_eq!(
            at("[[library]]\npath = '*.so'\nname = 'a'"),
            "suites/dlsoak.toml:3:8: `name` in [[library]]: `path` stands for 3 libraries; remove `name`, and each is named \
             after its file"
        );
        assert_eq!(
            at("[suite]\nexclude = 'y.so'\n[[library]]\npath = 'y.so'"),
            "suites/dlsoak.toml:1:1: [suite]: each library of this suite is excluded, so there is nothing to soak"
        );
    }

    #[test]
    fn many_soaks_end_with_their_verdict_where_nothing_else_ends_them() {
        let plan = |count: u32, settings: &str| {
            let one = |n| format!("[[library]]\npath = '{n}.so'\n");
            let libraries: String = (1..count).map(one).collect();
            let text = format!("{libraries}{}{settings}", one(0));
            suite(&text, &Settings::default()).unwrap()
        };
        let mut few = plan(20, "");
        assert_eq!((few.decide_if_many(), few), (0, plan(20, "")));
        for own in ["cycles = 5", "duration = '1m'", "until-decided = false"] {
            let mut many = plan(21, own);
            assert_eq!(many.decide_if_many(), 20, "{own}");
            assert!(many.soaks[..20].iter().all(|soak| soak.until_decided), "{own}");
            assert_eq!(many.soaks[20], plan(21, own).soaks[20], "{own}");
        }
    }
}
