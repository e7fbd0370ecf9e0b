//! Arguments of `dlsoak judge`.

use std::path::PathBuf;

use clap::Args;

use crate::settings::Limits;

/// Arguments of `dlsoak judge`. A limit that is not given is the one that the soak was made with.
#[derive(Debug, Args)]
pub struct JudgeArgs {
    /// Read this record.json
    pub record: PathBuf,
    /// The limits; those that are not given are the record's.
    #[command(flatten)]
    pub limits: Limits,
    /// Write the judged record to FILE [default: print the result only]
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print the judged record as JSON
    #[arg(long)]
    pub json: bool,
}
