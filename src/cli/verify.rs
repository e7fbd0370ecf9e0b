//! Arguments of `dlsoak verify`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{CycleArgs, RunArgs};
use crate::settings::quantity::{parse_cycles, parse_duration};

/// Arguments of `dlsoak verify`.
#[derive(Debug, Default, Args)]
pub struct VerifyArgs {
    /// Verify this library
    #[arg(value_name = "LIB")]
    pub library: PathBuf,
    /// Run this many cycles, for example 100k, in dlsoak's own soak, under gctrace and while reading /proc
    #[arg(short = 'n', long, value_parser = parse_cycles, default_value = "10000")]
    pub cycles: u64,
    /// Measure this many cycles under valgrind and LeakSanitizer, after half as many that are not measured
    #[arg(long, value_name = "N", value_parser = parse_cycles, default_value = "200")]
    pub memcheck_cycles: u64,
    /// End each run of another instrument after this time
    #[arg(long, value_parser = parse_duration, default_value = "2m")]
    pub timeout: Duration,
    /// How a cycle runs, on one thread.
    #[command(flatten)]
    pub how: CycleArgs,
    /// Print the result as JSON [default: text]
    #[arg(long)]
    pub json: bool,
    /// Write verify.json, and record.json of dlsoak's own soak, to DIR [default: print the result only]
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

impl VerifyArgs {
    /// dlsoak's own soak.
    pub fn as_run(&self) -> RunArgs {
        RunArgs::of_one(&self.library, self.cycles, &self.how)
    }
}
