//! Arguments of the verbs that look at files and at this machine: `dlsoak inspect`, `dlsoak doctor` and `dlsoak explain`.

use std::path::PathBuf;

use clap::Args;

use super::soaks::Without;

/// What ends the help of `dlsoak inspect`.
pub(super) const INSPECT_HELP: &str = "\
Examples:
  dlsoak inspect ./libplugin.so
  dlsoak inspect -v ./libplugin.so
  dlsoak inspect build/plugins --exclude '*-test.so'
  dlsoak inspect --json ./libplugin.so | jq '.unload.answer, .problems'

Exit codes: 0 each file was read, 2 wrong usage, or a file that dlsoak can't read as ELF.";

/// What ends the help of `dlsoak doctor`.
pub(super) const DOCTOR_HELP: &str = "\
Examples:
  dlsoak doctor
  dlsoak doctor ./libplugin.so
  dlsoak doctor --host apache2
  dlsoak doctor --json | jq '.checks[] | select(.status == \"fail\")'

Exit codes: 0 no check failed (warnings may remain), 1 at least one check failed, 2 wrong usage or an error in dlsoak itself.";

/// What ends the help of `dlsoak explain`.
pub(super) const EXPLAIN_HELP: &str = "\
Examples:
  dlsoak explain leak-heap
  dlsoak explain build.log
  make 2>&1 | dlsoak explain
  dlsoak explain --no-host -v ci.log

Exit codes: 0 no known error in the log, 1 at least one known error, 2 wrong usage, or a log that dlsoak can't read.";

/// What ends the help of `dlsoak init`.
pub(super) const INIT_HELP: &str = "\
Examples:
  dlsoak init
  dlsoak init build/plugins
  dlsoak init build/libreverb.so build/libdelay.so --force

Exit codes: 0 the file was written, 2 wrong usage, no library was found, or a dlsoak.toml is there already.";

/// Arguments of `dlsoak init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Write down these shared libraries, and those below these directories [default: those below the current directory]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Replace a dlsoak.toml that is there already [default: refuse]
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `dlsoak inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Read this shared library; -v lists all its exports instead of the first 8. Several, each library below a directory, the files of
    /// a pattern such as 'build/*.so' and those that @LIST has one a line are a table
    #[arg(value_name = "LIB", required = true)]
    pub libraries: Vec<PathBuf>,
    /// Which libraries are left out.
    #[command(flatten)]
    pub without: Without,
    /// Print the result as JSON, as docs/inspect.schema.json describes it, and as an array for several libraries [default: text]
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `dlsoak doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Also check whether this shared library loads here and whether its headers match it [default: the machine only]
    #[arg(value_name = "LIB")]
    pub library: Option<PathBuf>,
    /// Also check whether dlsoak watch can watch PROGRAM [default: the machine only]
    #[arg(long, value_name = "PROGRAM", conflicts_with = "library")]
    pub host: Option<PathBuf>,
    /// Print the result as JSON, as docs/doctor.schema.json describes it [default: text]
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `dlsoak explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Explain this finding code, or the errors of this build log [default: the log on standard input]
    #[arg(value_name = "CODE|LOG")]
    pub log: Option<PathBuf>,
    /// Leave out facts about this machine, because the log is from another one [default: include them]
    #[arg(long)]
    pub no_host: bool,
    /// Print the result as JSON, as docs/explain.schema.json describes it [default: text; -v prints every error in full]
    #[arg(long)]
    pub json: bool,
}
