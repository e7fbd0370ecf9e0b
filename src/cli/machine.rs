//! Arguments of the verbs that look at a machine and at what was built on it: `dlsoak doctor` and `dlsoak explain`.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `dlsoak doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// A shared library: will it load here, and do its headers fit. Nothing of it is executed.
    #[arg(value_name = "LIB")]
    pub library: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `dlsoak explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A build log, or what a program said when it did not start [default: standard input].
    #[arg(value_name = "LOG")]
    pub log: Option<PathBuf>,
    /// Leave out what this machine has to do with it, for a log of another machine.
    #[arg(long)]
    pub no_host: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}
