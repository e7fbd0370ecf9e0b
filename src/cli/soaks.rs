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

/// How the cycles of a soak run, whatever is looked at.
#[derive(Debug, Clone, Default, Args)]
pub struct CycleArgs {
    /// Threads that cycle at the same time [default: 1].
    #[arg(short, long, value_parser = parse_threads)]
    pub threads: Option<u32>,
    /// All threads open the one path, instead of a copy each.
    #[arg(long)]
    pub share_path: bool,
    /// Choose what a cycle opens: reopen, copies or namespace [default: reopen].
    #[arg(long, value_parser = parse_mode)]
    pub mode: Option<Mode>,
    /// Which thread a cycle runs on: main, worker (one that lives on) or short-lived (one that opens, calls, closes
    /// and ends) [default: main].
    #[arg(long, value_name = "THREAD")]
    pub call_from: Option<String>,
    /// End each soak after this time, for example 90m, even if cycles are left.
    #[arg(long, value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// Cycles before the measurement [default: 500, at most the cycles].
    #[arg(long, value_parser = parse_warmup)]
    pub warmup: Option<u64>,
    /// A call to make each cycle, for example 'fibonacci(20)'; integers, floats and strings; repeatable.
    #[arg(short, long, value_name = "CALL")]
    pub call: Vec<String>,
    /// Your own code for one cycle: `int fn(void *handle)`, 0 for success.
    #[arg(long, value_name = "DRIVER.so:FN")]
    pub exercise: Option<String>,
    /// Flags for dlopen [default: now,local].
    #[arg(long)]
    pub flags: Option<String>,
    /// Set an environment variable for the worker; repeatable.
    #[arg(long, value_name = "K=V", value_parser = parse_env)]
    pub env: Vec<(String, String)>,
    /// Take the worker for hung when no cycle finishes for this long [default: 10s].
    #[arg(long, value_parser = parse_duration)]
    pub stall_timeout: Option<Duration>,
    /// End the soak when the worker's resident memory exceeds this, for example 2GiB [default: half of what is free].
    #[arg(long, value_parser = parse_size)]
    pub memory_limit: Option<u64>,
}

/// Arguments of `dlsoak run`. Each overrides what the suite file says.
#[derive(Debug, Default, Args)]
pub struct RunArgs {
    /// Libraries to soak, or one suite file (.toml); without any, dlsoak.toml in the current directory.
    #[arg(value_name = "LIB")]
    pub libraries: Vec<PathBuf>,
    /// Cycles per library, all threads together, for example 100k [default: 100k].
    #[arg(short = 'n', long, value_parser = parse_cycles)]
    pub cycles: Option<u64>,
    /// How a cycle runs.
    #[command(flatten)]
    pub how: CycleArgs,
    /// Soak each calling pattern shortly as well, and tell where they differ.
    #[arg(long, value_enum)]
    pub patterns: Option<Patterns>,
    /// Take this many checkpoints over the run [default: one per 8 cycles, at least 125, at most 200].
    #[arg(long, value_parser = parse_checkpoints)]
    pub checkpoints: Option<u32>,
    /// Most growth that passes, for example 0.03MB/s or 16B/cycle.
    #[arg(long, value_name = "RATE")]
    pub max_leak_rate: Option<String>,
    /// Most growth of counts that passes, for example threads=0,fds=0,mappings=0.01/cycle.
    #[arg(long, value_name = "LIMITS")]
    pub max_growth: Option<String>,
    /// Hold the run against this baseline: a name that --save-baseline was given, or a record file.
    #[arg(long, value_name = "NAME")]
    pub baseline: Option<String>,
    /// Save the record as the baseline of this name.
    #[arg(long, value_name = "NAME")]
    pub save_baseline: Option<String>,
    /// Where baselines are.
    #[arg(long, value_name = "DIR", env = "DLSOAK_BASELINES", default_value = "reports/baselines")]
    pub baselines: PathBuf,
    /// How much more memory may grow than in the baseline, for example 8B/cycle.
    #[arg(long, value_name = "RATE")]
    pub max_leak_increase: Option<String>,
    /// How much longer the 99th percentile of open, call or close may take than in the baseline, for example 20%.
    #[arg(long, value_name = "PERCENT")]
    pub max_p99_increase: Option<String>,
    /// A library that is not unloaded passes all the same.
    #[arg(long)]
    pub allow_pinned: bool,
    /// A kind of residue that passes; repeatable.
    #[arg(long, value_name = "KIND")]
    pub allow_residue: Vec<Kind>,
    /// Where the verdict is `leak`, trace a short soak by itself, and name the culprit.
    #[arg(long)]
    pub trace_on_leak: bool,
    /// Stop as soon as the verdict is certain, and run past --cycles while it is not [default: off].
    #[arg(long)]
    pub until_decided: bool,
    /// Most cycles with --until-decided [default: 8 times the cycles].
    #[arg(long, value_parser = parse_cycles)]
    pub max_cycles: Option<u64>,
    /// End the soak as `limit` when it takes longer than this, for example 10m; the short soak without the call counts,
    /// too [default: none].
    #[arg(long, value_parser = parse_duration)]
    pub timeout: Option<Duration>,
    /// End the soak when the worker has more descriptors open [default: half of what is free, at most 1M].
    #[arg(long, value_name = "N", value_parser = parse_limit)]
    pub fd_limit: Option<u64>,
    /// End the soak when the worker's threads and the processes that descend from it are more than this [default:
    /// half of what is free, at most 10k, 2k of them processes].
    #[arg(long, value_name = "N", value_parser = parse_limit)]
    pub process_limit: Option<u64>,
    /// End the soak when the library has written more than this to stdout and stderr, or to any one file [default: 4GiB].
    #[arg(long, value_parser = parse_size)]
    pub output_limit: Option<u64>,
    /// Disturb the worker while it cycles: signal:SIGUSR1@100Hz, stop, memory-pressure or cold-cache; repeatable.
    #[arg(long, value_name = "WHAT[@RATE]")]
    pub chaos: Vec<Chaos>,
    /// Keep the worker from writing files and from the network, as far as this kernel can; see docs/security.md.
    #[arg(long)]
    pub sandbox: bool,
    /// Where to write record.json, report.html and the charts [default: reports/SUITE-TIME].
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The result for people, or one JSON event per line.
    #[arg(long, value_enum, default_value_t = MessageFormat::Human)]
    pub message_format: MessageFormat,
    /// Soak so many libraries at the same time, where only growth is gated: what is gated by time runs alone.
    #[arg(short, long, value_name = "N", default_value = "1", value_parser = parse_jobs)]
    pub jobs: usize,
    /// This machine's share of the suite, for example 1/4.
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
    /// The library to trace.
    #[arg(value_name = "LIB")]
    pub library: PathBuf,
    /// Cycles, all threads together, for example 10k.
    #[arg(short = 'n', long, value_parser = parse_cycles, default_value = "2000")]
    pub cycles: u64,
    /// How a cycle runs.
    #[command(flatten)]
    pub how: CycleArgs,
    /// Where to write record.json, trace.folded and trace-flame.svg [default: reports/trace-LIB-TIME].
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
    /// Every value of `--call-from`.
    All,
}

/// What stdout carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum MessageFormat {
    /// A table.
    #[default]
    Human,
    /// One event per line.
    Json,
}
