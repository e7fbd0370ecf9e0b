//! Arguments of `dlsoak verify`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{CycleArgs, RunArgs};
use crate::settings::quantity::{parse_cycles, parse_duration};

/// Arguments of `dlsoak verify`.
#[derive(Debug, Default, Args)]
pub struct VerifyArgs {
    /// The library to look at.
    #[arg(value_name = "LIB")]
    pub library: PathBuf,
    /// Cycles of our own soak, of Go's trace and of the reading of /proc, for example 100k.
    #[arg(short = 'n', long, value_parser = parse_cycles, default_value = "10000")]
    pub cycles: u64,
    /// Cycles under valgrind and LeakSanitizer; half as many run before them.
    #[arg(long, value_name = "N", value_parser = parse_cycles, default_value = "200")]
    pub memcheck_cycles: u64,
    /// End a run of another instrument that takes longer than this.
    #[arg(long, value_parser = parse_duration, default_value = "2m")]
    pub timeout: Duration,
    /// How a cycle runs; on one thread.
    #[command(flatten)]
    pub how: CycleArgs,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// Write verify.json, and record.json of our own soak, into this directory.
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

impl VerifyArgs {
    /// Our own soak.
    pub fn as_run(&self) -> RunArgs {
        RunArgs::of_one(&self.library, self.cycles, &self.how)
    }
}
