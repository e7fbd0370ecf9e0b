//! `dlsoak doctor`: what this machine has and lacks, and whether a library will load on it.

use anyhow::Context as _;

use super::print;
use crate::cli::{DoctorArgs, Global};
use crate::doctor::{Status, examine};
use crate::exit_code;

/// Carries out `dlsoak doctor` and returns the exit code.
///
/// # Errors
/// When the library can't be read or is no ELF file.
pub fn doctor(args: &DoctorArgs, global: Global) -> anyhow::Result<u8> {
    let library = args.library.as_deref();
    let place = || library.map(|path| path.display().to_string()).unwrap_or_default();
    let checkup = examine(library).with_context(place)?;
    if args.json {
        print(&(serde_json::to_string_pretty(&checkup)? + "\n"));
    } else {
        print(&crate::rooms::checkup::render(&checkup, super::width(), global.color));
    }
    Ok(if checkup.status == Status::Fail { exit_code::FAILED } else { exit_code::PASSED })
}
