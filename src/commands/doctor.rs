//! `dlsoak doctor`: prints what this machine has and lacks, whether a library will load on it, and whether a host can be watched.

use anyhow::Context as _;

use super::print;
use crate::cli::{DoctorArgs, Global};
use crate::doctor::examine;
use crate::exit_code;
use crate::record::checkup::Status;
use crate::report::checkup;

/// Carries out `dlsoak doctor` and returns the exit code.
///
/// # Errors
/// When the library or the host can't be read or is no ELF file.
pub fn doctor(args: &DoctorArgs, global: Global) -> anyhow::Result<u8> {
    let (library, host) = (args.library.as_deref(), args.host.as_deref());
    let place = || library.or(host).map(|path| path.display().to_string()).unwrap_or_default();
    let found = examine(library, host).with_context(place)?;
    if args.json {
        print(&(serde_json::to_string_pretty(&found)? + "\n"));
    } else {
        print(&checkup::render(&found, super::width(), global.color));
    }
    Ok(if found.status == Status::Fail { exit_code::FAILED } else { exit_code::PASSED })
}
