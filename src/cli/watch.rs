//! Arguments of `dlsoak watch`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, ValueEnum};
use glob::Pattern;

use super::MessageFormat;
use crate::record::{AllowedLibrary, HeapNotes};
use crate::settings::quantity::{Count, Time};
use crate::settings::{LeakRate, LimitError};

pub(super) const WATCH_HELP: &str = "Examples:
  dlsoak watch --do 'kill -HUP $PID' --until-loads 20 -- ./host --foreground
  dlsoak watch --every 5s --for 10m -- python3 app.py
  dlsoak watch --do 'kill -HUP $PID' --suspend-on leak -- ./host
  dlsoak watch --pid 4711
  dlsoak watch --do 'curl -s http://127.0.0.1:8080/reload' --until-decided -- ./server

Exit codes: 0 nothing leaks, 1 a library leaks or stays although it must not, 2 wrong usage, or the host can't be watched, \
3 undecided, 130 interrupted.";

/// Arguments that need a host that dlsoak has started.
const FROM_WITHIN: [&str; 5] = ["until_decided", "heap", "max_leak_rate", "require_unload", "out"];

/// Arguments of `dlsoak watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Start this host and watch it
    #[arg(last = true, value_name = "HOST", required_unless_present = "pid", conflicts_with = "pid")]
    pub command: Vec<OsString>,
    /// Count the loads and unloads of the process PID, which runs already, instead of starting a host
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..), conflicts_with_all = FROM_WITHIN)]
    pub pid: Option<i32>,
    /// End the watch after TIME, for example 10m [default: when the host ends; 3s with --pid unless --until-loads is set]
    #[arg(long = "for", value_name = "TIME")]
    pub time: Option<Time>,
    /// End the watch when a library was loaded N times [default: no limit]
    #[arg(long, value_name = "N")]
    pub until_loads: Option<Count>,
    /// End the watch when every library that is reloaded has a verdict other than inconclusive
    #[arg(long)]
    pub until_decided: bool,
    /// Begin a step every TIME [default: 5s, or as soon as the last step is over with --do]
    #[arg(long, value_name = "TIME")]
    pub every: Option<Time>,
    /// Run COMMAND in each step, with the process ID of the host in $PID [default: only wait]
    #[arg(long = "do", value_name = "COMMAND")]
    pub action: Option<String>,
    /// End a step when the loader has been quiet for TIME
    #[arg(long, value_name = "TIME", default_value = "200ms")]
    pub settle: Time,
    /// End a step when COMMAND exits with 0, instead of waiting for the loader [default: --settle]
    #[arg(long, value_name = "COMMAND")]
    pub ready: Option<String>,
    /// Note which allocations: none, those of libraries loaded while the host runs, or all [default: groups]
    #[arg(long, value_name = "WHICH", value_parser = PossibleValuesParser::new(HeapNotes::ALL.map(HeapNotes::name)).try_map(heap))]
    pub heap: Option<HeapNotes>,
    /// Report only libraries whose file name matches PATTERN, in which * stands for any text; repeatable [default: all]
    #[arg(long, value_name = "PATTERN")]
    pub only: Vec<Pattern>,
    /// Pass a library that leaks up to RATE, for example 16B/load [default: nothing may leak]
    #[arg(long, value_name = "RATE", value_parser = per_load)]
    pub max_leak_rate: Option<LeakRate>,
    /// Fail if the library with this file name stays loaded after the host closed it, or if the host does not close it; repeatable
    #[arg(long, value_name = "NAME")]
    pub require_unload: Vec<String>,
    /// Pass the library with this file name although it leaks, for example mod_a.so="known, fixed in 2.1"; repeatable
    #[arg(long, value_name = "NAME[=REASON]")]
    pub allow: Vec<AllowedLibrary>,
    /// Stop the host when a library leaks, and wait until you let it go on, for example with a debugger [default: never]
    #[arg(long, value_enum, value_name = "EVENT")]
    pub suspend_on: Option<SuspendOn>,
    /// Exit with the result of the watch, or with the status of the host if it ends by itself
    #[arg(long, value_enum, value_name = "OF", default_value_t = ExitCodeOf::Watch)]
    pub exit_code: ExitCodeOf,
    /// Write record.json and report.html to DIR [default: reports/watch-HOST-TIME]
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write to DIR even if it has files that dlsoak did not write, and watch on a glibc before 2.34, where calls are slow under an auditor
    /// [default: refuse both]
    #[arg(long)]
    pub force: bool,
    /// Print the result in this format
    #[arg(long, value_enum, default_value_t = MessageFormat::Human)]
    pub message_format: MessageFormat,
}

/// When the host is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SuspendOn {
    /// A leak is proven
    Leak,
}

/// Whose result the exit code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExitCodeOf {
    /// The watch's
    Watch,
    /// The host's own, if it ends by itself
    Host,
}

fn heap(name: String) -> Result<HeapNotes, String> {
    HeapNotes::from_name(&name).ok_or(name)
}

/// A rate per load, or per second. A load is to a watch what a cycle is to a soak.
fn per_load(text: &str) -> Result<LeakRate, LimitError> {
    match text.trim().strip_suffix("/load") {
        Some(amount) => format!("{amount}/cycle").parse(),
        None => text.parse(),
    }
}
