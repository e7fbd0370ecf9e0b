//! Arguments of the verbs that soak: `dlsoak run` and `dlsoak trace`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::record::Mode;
use crate::settings::ResidueKind as Kind;
use crate::settings::quantity::{
    parse_checkpoints, parse_cycles, parse_duration, parse_jobs, parse_limit, parse_size, parse_threads,
    parse_warmup,
};
use crate::suite::chaos::Chaos;
use crate::suite::settings::{parse_env, parse_mode};

/// How the cycles of a soak run, in every verb that soaks.
#[derive(Debug, Clone, Default, Args)]
pub struct CycleArgs {
    /// Run the cycles on this many threads at the same time [default: 1]
    #[arg(short, long, value_parser = parse_threads)]
    pub threads: Option<u32>,
    /// Let all threads open the same path, instead of one copy of the file for each thread
    #[arg(long)]
    pub share_path: bool,
    /// Choose what a cycle opens: reopen (the same path), copies (a new copy of the file) or namespace (the library in a new
    /// dlmopen namespace) [default: reopen]
    #[arg(long, value_parser = parse_mode)]
    pub mode: Option<Mode>,
    /// Choose the thread that runs a cycle: main, worker (a thread that lives on) or short-lived (a new thread for each
    /// cycle, which opens, calls, closes and ends) [default: main]
    #[arg(long, value_name = "THREAD")]
    pub call_from: Option<String>,
    /// End each soak after DURATION, for example 90m, even if cycles are left [default: none]
    #[arg(long, value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// Run this many cycles before the measurement begins [default: 500, at most the number of cycles]
    #[arg(long, value_parser = parse_warmup)]
    pub warmup: Option<u64>,
    /// Make this CALL in each cycle, for example 'fibonacci(20)', with integers, floats and strings as arguments; repeatable
    /// [default: none]
    #[arg(short, long, value_name = "CALL")]
    pub call: Vec<String>,
    /// Run your own code in each cycle: `int FN(void *handle)` in DRIVER.so, which returns 0 for success [default: none]
    #[arg(long, value_name = "DRIVER.so:FN")]
    pub exercise: Option<String>,
    /// Pass FLAGS to dlopen, separated by commas: now or lazy, local or global, nodelete, deepbind [default: now,local]
    #[arg(long)]
    pub flags: Option<String>,
    /// Set the environment variable K to V in the measured process, which loads the library; repeatable [default: none]
    #[arg(long, value_name = "K=V", value_parser = parse_env)]
    pub env: Vec<(String, String)>,
    /// Report the library as hung if no cycle finishes for this long [default: 10s]
    #[arg(long, value_parser = parse_duration)]
    pub stall_timeout: Option<Duration>,
    /// End the soak if the resident memory of the measured process exceeds this size, for example 2GiB [default: half of the
    /// available memory]
    #[arg(long, value_parser = parse_size)]
    pub memory_limit: Option<u64>,
}

/// Arguments of `dlsoak run`. Each overrides what the suite file says.
#[derive(Debug, Default, Args)]
pub struct RunArgs {
    /// Soak these libraries, or the suite in one .toml file [default: dlsoak.toml in the current directory]
    #[arg(value_name = "LIB")]
    pub libraries: Vec<PathBuf>,
    /// Run this many cycles per library, counted over all threads, for example 20k [default: 100k, or no limit with
    /// --duration]
    #[arg(short = 'n', long, value_parser = parse_cycles)]
    pub cycles: Option<u64>,
    /// How a cycle runs.
    #[command(flatten)]
    pub how: CycleArgs,
    /// Add a short soak for each calling pattern, and report where they differ [default: none]
    #[arg(long, value_enum)]
    pub patterns: Option<Patterns>,
    /// Take this many checkpoints over the run [default: one per 8 cycles, at least 125, at most 200]
    #[arg(long, value_parser = parse_checkpoints)]
    pub checkpoints: Option<u32>,
    /// Pass memory that grows by up to RATE, for example 16B/cycle or 0.03MB/s [default: fail on any proven growth]
    #[arg(long, value_name = "RATE")]
    pub max_leak_rate: Option<String>,
    /// Pass counts that grow by up to LIMITS, for example threads=0,fds=0,mappings=0.01/cycle [default: fail on any proven
    /// growth]
    #[arg(long, value_name = "LIMITS")]
    pub max_growth: Option<String>,
    /// Compare the run with the baseline NAME that --save-baseline saved, or with a record file [default: none]
    #[arg(long, value_name = "NAME")]
    pub baseline: Option<String>,
    /// Save the record as the baseline NAME [default: none]
    #[arg(long, value_name = "NAME")]
    pub save_baseline: Option<String>,
    /// Keep the baselines in DIR
    #[arg(long, value_name = "DIR", env = "DLSOAK_BASELINES", default_value = "reports/baselines")]
    pub baselines: PathBuf,
    /// Pass memory that grows by up to RATE more than in the baseline, for example 8B/cycle [default: no limit]
    #[arg(long, value_name = "RATE")]
    pub max_leak_increase: Option<String>,
    /// Pass a 99th percentile of open, call or close that is up to PERCENT longer than in the baseline, for example 20%
    /// [default: no limit]
    #[arg(long, value_name = "PERCENT")]
    pub max_p99_increase: Option<String>,
    /// Pass libraries that are not unloaded
    #[arg(long)]
    pub allow_pinned: bool,
    /// Pass this KIND of residue, for example tls-keys; repeatable [default: none]
    #[arg(long, value_name = "KIND")]
    pub allow_residue: Vec<Kind>,
    /// Trace each library that leaks in an extra short soak, and name the function that leaks
    #[arg(long)]
    pub trace_on_leak: bool,
    /// Stop as soon as the verdict is certain, and continue past --cycles while it is not [default: off]
    #[arg(long)]
    pub until_decided: bool,
    /// Give up --until-decided after this many cycles [default: 8 times --cycles]
    #[arg(long, value_parser = parse_cycles)]
    pub max_cycles: Option<u64>,
    /// End the soak with the verdict `limit` if it takes longer than this, for example 10m, including the short soak without
    /// calls [default: none]
    #[arg(long, value_parser = parse_duration)]
    pub timeout: Option<Duration>,
    /// End the soak if the measured process has more than N descriptors open [default: half of what the machine has left, at
    /// most 1M]
    #[arg(long, value_name = "N", value_parser = parse_limit)]
    pub fd_limit: Option<u64>,
    /// End the soak if the measured process and its descendants exceed N threads and processes in total [default: half of
    /// what the machine has left, at most 10k, of them 2k processes]
    #[arg(long, value_name = "N", value_parser = parse_limit)]
    pub process_limit: Option<u64>,
    /// End the soak if the library writes more than this size to stdout and stderr together, or to any one file [default:
    /// 4GiB]
    #[arg(long, value_parser = parse_size)]
    pub output_limit: Option<u64>,
    /// Disturb the process while it runs cycles: signal:SIGUSR1@100Hz, stop, memory-pressure or cold-cache; repeatable [default:
    /// none]
    #[arg(long, value_name = "WHAT[@RATE]")]
    pub chaos: Vec<Chaos>,
    /// Prevent the measured process from writing files and from using the network, as far as this kernel can (see
    /// docs/security.md)
    #[arg(long)]
    pub sandbox: bool,
    /// Write record.json, report.html and the charts to DIR [default: reports/SUITE-TIME]
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print the result in this format
    #[arg(long, value_enum, default_value_t = MessageFormat::Human)]
    pub message_format: MessageFormat,
    /// Soak up to N libraries in parallel. Soaks with a limit that depends on time (MB/s, latency) or with --chaos still run
    /// alone
    #[arg(short, long, value_name = "N", default_value = "1", value_parser = parse_jobs)]
    pub jobs: usize,
    /// Soak only part K of N of the suite, for example 1/4 on the first of four machines [default: the whole suite]
    #[arg(long, value_name = "K/N")]
    pub partition: Option<String>,
}

impl RunArgs {
    /// The soak of one library that another verb begins with.
    pub(super) fn of_one(library: &Path, cycles: u64, how: &CycleArgs) -> Self {
        Self {
            libraries: vec![library.to_owned()],
            cycles: Some(cycles),
            how: how.clone(),
            ..Self::default()
        }
    }
}

/// Arguments of `dlsoak trace`.
#[derive(Debug, Default, Args)]
pub struct TraceArgs {
    /// Trace this library
    #[arg(value_name = "LIB")]
    pub library: PathBuf,
    /// Run this many cycles, counted over all threads, for example 10k
    #[arg(short = 'n', long, value_parser = parse_cycles, default_value = "2000")]
    pub cycles: u64,
    /// How a cycle runs.
    #[command(flatten)]
    pub how: CycleArgs,
    /// Write record.json, report.html, trace.folded and trace-flame.svg to DIR [default: reports/trace-LIB-TIME]
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

impl TraceArgs {
    /// The soak that is traced.
    pub fn as_run(&self) -> RunArgs {
        RunArgs::of_one(&self.library, self.cycles, &self.how)
    }
}

/// Calling patterns to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Patterns {
    /// Soak with every value of --call-from
    All,
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
