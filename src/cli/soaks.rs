//! Arguments of the verbs that soak: `dlsoak run` and `dlsoak trace`. The settings themselves are in `dlsoak-settings`.

use std::path::{Path, PathBuf};

use clap::{Arg, Args, ValueEnum};
use glob::Pattern;

use crate::settings::Settings;
use crate::settings::quantity::{Cycles, Jobs};
use crate::suite::partition::Share;

/// What the libraries of directories, patterns and lists are taken without.
#[derive(Debug, Default, Args)]
pub struct Without {
    /// Leave out libraries whose name or path matches PATTERN, for example '*-test.so' or 'build/old/*'; repeatable [default: none]
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<Pattern>,
}

/// Arguments of `dlsoak run`. Each overrides what the suite file says.
#[derive(Debug, Default, Args)]
pub struct RunArgs {
    /// Soak these libraries, each library below these directories, the files of a pattern such as 'build/*.so', the libraries that
    /// @LIST has one a line (@- for standard input), or the suite in one .toml file [default: dlsoak.toml in the current directory]
    #[arg(value_name = "LIB")]
    pub libraries: Vec<PathBuf>,
    /// Which libraries are left out.
    #[command(flatten)]
    pub without: Without,
    /// What each soak does, and what it may leave.
    #[command(flatten)]
    pub settings: Settings,
    /// Compare the run with the baseline NAME that --save-baseline saved, or with a record file [default: none]
    #[arg(long, value_name = "NAME")]
    pub baseline: Option<String>,
    /// Save the record as the baseline NAME [default: none]
    #[arg(long, value_name = "NAME")]
    pub save_baseline: Option<String>,
    /// Keep the baselines in DIR
    #[arg(long, value_name = "DIR", env = "DLSOAK_BASELINES", default_value = "reports/baselines")]
    pub baselines: PathBuf,
    /// Write record.json, report.html and the charts to DIR [default: reports/SUITE-TIME]
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write record.json alone, with at most 24 checkpoints of each soak and without histograms, so that it is small for hundreds of
    /// libraries [default: the whole record, the report and the charts]
    #[arg(long)]
    pub no_report: bool,
    /// Write to DIR even if it has files that dlsoak did not write [default: refuse such a directory]
    #[arg(long)]
    pub force: bool,
    /// Keep the soaks that the record in DIR already has complete, and soak the rest [default: soak everything]
    #[arg(long, requires = "out")]
    pub resume: bool,
    /// Print one line for each library and one for the run [default: the table and the reasons]
    #[arg(long, conflicts_with = "message_format")]
    pub summary: bool,
    /// Print the result in this format
    #[arg(long, value_enum, default_value_t = MessageFormat::Human)]
    pub message_format: MessageFormat,
    /// Soak up to N libraries in parallel. Soaks with a limit that depends on time (MB/s, latency) or with --chaos still run
    /// alone [default: 1]
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<Jobs>,
    /// Soak only part K of N of the suite, for example 1/4 on the first of four machines. `auto` takes the part from the task of a Slurm
    /// array, and auto/N from that of a Kubernetes Indexed Job, of HyperQueue or of GNU parallel [default: the whole suite]
    #[arg(long, value_name = "K/N")]
    pub partition: Option<Share>,
    /// Split the suite by what each soak cost in the earlier record.json RECORD, longest first, so that all parts take about as long
    /// [default: in turns]
    #[arg(long, value_name = "RECORD", requires = "partition")]
    pub weights: Option<PathBuf>,
}

impl RunArgs {
    /// The soak of one library that another verb begins with; of this many cycles, where nobody says how many.
    pub(super) fn of_one(library: &Path, cycles: u64, settings: &Settings) -> Self {
        let mut settings = settings.clone();
        if settings.duration.is_none() {
            settings.cycles.get_or_insert_with(|| Cycles::nearest(cycles));
        }
        Self { libraries: vec![library.to_owned()], settings, ..Self::default() }
    }
}

/// The arguments of `dlsoak run` in groups, in the order of its help.
const GROUPS: [(&str, &[&str]); 6] = [
    (
        "Load",
        &[
            "libraries",
            "exclude",
            "cycles",
            "duration",
            "warmup",
            "until_decided",
            "max_cycles",
            "checkpoints",
            "mode",
            "flags",
            "threads",
            "share_path",
            "call_from",
            "together",
            "order",
            "replace",
            "passes",
            "pointers",
            "trace_on_leak",
            "jobs",
            "partition",
            "weights",
        ],
    ),
    ("Call", &["call", "as", "instances", "exercise", "setup", "after"]),
    ("Host", &["host", "host_kind", "libc", "hold", "env", "chaos", "sandbox"]),
    (
        "Gate",
        &[
            "max_leak_rate",
            "max_growth",
            "max_leak_increase",
            "max_p99_increase",
            "allow_pinned",
            "allow_residue",
            "allow_pointer",
            "blame",
            "baseline",
            "save_baseline",
            "baselines",
        ],
    ),
    ("Limits", &["stall_timeout", "timeout", "memory_limit", "fd_limit", "process_limit", "output_limit"]),
    ("Output", &["out", "force", "resume", "summary", "no_report", "message_format"]),
];

/// What `dlsoak run -h` shows, each in one line, so that all of it fits on a small screen.
const SHORT: [(&str, &str); 7] = [
    ("libraries", "Soak these libraries, or a suite"),
    ("cycles", "Run this many cycles [default: 100k]"),
    ("until_decided", "Stop as soon as the verdict is certain"),
    ("call", "Make this CALL in each cycle; repeatable"),
    ("max_leak_rate", "Pass memory that grows by up to RATE"),
    ("allow_pinned", "Pass libraries that are not unloaded"),
    ("out", "Write the record and the report to DIR"),
];

/// An argument of `dlsoak run` in its group and in the place that it has there, and with its short help if it has one.
pub(super) fn grouped(argument: Arg) -> Arg {
    let id = argument.get_id().as_str();
    let place =
        GROUPS.iter().find_map(|(group, ids)| Some((*group, ids.iter().position(|known| *known == id)?)));
    let short = SHORT.iter().find(|(known, _)| *known == id).map(|(_, help)| *help);
    let argument = match place {
        Some((group, place)) => argument.help_heading(group).display_order(place),
        None => argument,
    };
    match (short, argument.get_help().cloned()) {
        (Some(short), Some(long)) => argument.help(short).long_help(long),
        _ => argument.hide_short_help(true),
    }
}

/// Cycles of `dlsoak trace` where nobody says how many.
const TRACED: u64 = 2_000;

/// The help of `--cycles` in `dlsoak trace`.
pub(super) const TRACED_HELP: &str =
    "Run this many cycles, counted over all threads, for example 10k [default: 2000]";

/// Arguments of `dlsoak trace`.
#[derive(Debug, Default, Args)]
pub struct TraceArgs {
    /// Trace this library
    #[arg(value_name = "LIB")]
    pub library: PathBuf,
    /// How a cycle runs.
    #[command(flatten)]
    pub settings: Settings,
    /// Write record.json, report.html, trace.folded and trace-flame.svg to DIR [default: reports/trace-LIB-TIME]
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write to DIR even if it has files that dlsoak did not write [default: refuse such a directory]
    #[arg(long)]
    pub force: bool,
}

impl TraceArgs {
    /// The soak that is traced.
    pub fn as_run(&self) -> RunArgs {
        let mut run = RunArgs::of_one(&self.library, TRACED, &self.settings);
        if run.settings.passes.is_none() {
            run.settings.passes = "measure,diagnose,trace".parse().ok();
        }
        run
    }
}

/// What stdout carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum MessageFormat {
    /// Print a table for people
    #[default]
    Human,
    /// Print one JSON event per line
    Json,
}
