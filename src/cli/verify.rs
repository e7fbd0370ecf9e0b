//! Arguments of `dlsoak verify`.

use std::path::PathBuf;

use clap::Args;

use super::RunArgs;
use crate::settings::Settings;
use crate::settings::quantity::{Cycles, Time};

/// Cycles of dlsoak's own soak where nobody says how many.
const CYCLES: u64 = 10_000;

/// The help of `--cycles` in `dlsoak verify`.
pub(super) const CYCLES_HELP: &str = "Run this many cycles, for example 100k, in dlsoak's own soak, under gctrace and while reading /proc [default: 10000]";

/// Arguments of `dlsoak verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Verify this library
    #[arg(value_name = "LIB")]
    pub library: PathBuf,
    /// Measure this many cycles under valgrind and LeakSanitizer, after half as many that are not measured
    #[arg(long, value_name = "N", default_value = "200")]
    pub memcheck_cycles: Cycles,
    /// End each run of another instrument after this time
    #[arg(long, value_name = "DURATION", default_value = "2m")]
    pub instrument_timeout: Time,
    /// How a cycle runs, on one thread.
    #[command(flatten)]
    pub settings: Settings,
    /// Print the result as JSON [default: text]
    #[arg(long)]
    pub json: bool,
    /// Write verify.json, and record.json of dlsoak's own soak, to DIR [default: print the result only]
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write to DIR even if it has files that dlsoak did not write [default: refuse such a directory]
    #[arg(long)]
    pub force: bool,
}

impl VerifyArgs {
    /// dlsoak's own soak, which is compared with the other instruments and needs no further passes.
    pub fn as_run(&self) -> RunArgs {
        let mut run = RunArgs::of_one(&self.library, CYCLES, &self.settings);
        if run.settings.passes.is_none() {
            run.settings.passes = "measure,diagnose".parse().ok();
        }
        run
    }
}
