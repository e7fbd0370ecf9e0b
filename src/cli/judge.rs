//! Arguments of `dlsoak judge`.

use std::path::PathBuf;

use clap::Args;

use crate::settings::{CountLimits, Increase, LeakRate, ResidueKind};

/// Arguments of `dlsoak judge`. A limit that is not given is the one that the soak was made with.
#[derive(Debug, Args)]
pub struct JudgeArgs {
    /// Read this record.json
    pub record: PathBuf,
    /// Pass memory that grows by up to RATE, for example 16B/cycle or 0.03MB/s [default: the limit in the record]
    #[arg(long, value_name = "RATE")]
    pub max_leak_rate: Option<LeakRate>,
    /// Pass counts that grow by up to LIMITS, for example fds=0,mappings=0.01/cycle [default: the limits in the record]
    #[arg(long, value_name = "LIMITS")]
    pub max_growth: Option<CountLimits>,
    /// Pass memory that grows by up to RATE more than in the baseline that the run was compared with [default: the limit in the
    /// record]
    #[arg(long, value_name = "RATE")]
    pub max_leak_increase: Option<LeakRate>,
    /// Pass a 99th percentile of open, call or close that is up to PERCENT longer than in that baseline [default: the limit in
    /// the record]
    #[arg(long, value_name = "PERCENT")]
    pub max_p99_increase: Option<Increase>,
    /// Pass libraries that are not unloaded
    #[arg(long)]
    pub allow_pinned: bool,
    /// Pass this KIND of residue too, for example tls-keys; repeatable [default: the kinds in the record]
    #[arg(long, value_name = "KIND")]
    pub allow_residue: Vec<ResidueKind>,
    /// Write the judged record to FILE [default: print the result only]
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print the judged record as JSON
    #[arg(long)]
    pub json: bool,
}
