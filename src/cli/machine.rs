//! Arguments of the verbs that look at files and at this machine: `dlsoak inspect`, `dlsoak doctor` and `dlsoak explain`.

use std::path::PathBuf;

use clap::Args;

/// What ends the help of `dlsoak inspect`.
pub(super) const INSPECT_HELP: &str = "\
Exit codes: 0 the file was read, 2 usage, or the file can't be read as ELF.

Examples:
  dlsoak inspect ./libplugin.so
  dlsoak inspect -v ./libplugin.so
  dlsoak inspect --json ./libplugin.so | jq '.unload.answer, .problems'";

/// What ends the help of `dlsoak doctor`.
pub(super) const DOCTOR_HELP: &str = "\
Exit codes: 0 no failure (warnings may remain), 1 one or more failures, 2 usage or an error of dlsoak's own.

Examples:
  dlsoak doctor
  dlsoak doctor ./libplugin.so
  dlsoak doctor --json | jq '.checks[] | select(.status == \"fail\")'";

/// What ends the help of `dlsoak explain`.
pub(super) const EXPLAIN_HELP: &str = "\
Exit codes: 0 no known error, 1 one or more known errors, 2 usage, or the log can't be read.

Examples:
  dlsoak explain build.log
  make 2>&1 | dlsoak explain
  dlsoak explain --no-host -v ci.log
  dlsoak explain --json build.log | jq '.errors[].rule'";

/// Arguments of `dlsoak inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Read this shared library. With -v, list all its exports [default: the first 8].
    #[arg(value_name = "LIB")]
    pub library: PathBuf,
    /// Print the result as JSON, by docs/inspect.schema.json [default: text].
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `dlsoak doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Check also whether this shared library loads here and whether its headers fit [default: the machine only].
    #[arg(value_name = "LIB")]
    pub library: Option<PathBuf>,
    /// Print the result as JSON, by docs/doctor.schema.json [default: text].
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `dlsoak explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Explain this finding code, or the errors of this build log [default: the log on standard input]
    #[arg(value_name = "CODE|LOG")]
    pub log: Option<PathBuf>,
    /// Do not look at this machine, for the log of another one [default: look].
    #[arg(long)]
    pub no_host: bool,
    /// Print the result as JSON, by docs/explain.schema.json [default: text]. Without it, -v prints every error in full.
    #[arg(long)]
    pub json: bool,
}
