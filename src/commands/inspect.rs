//! `dlsoak inspect`: prints what a library's file says, without loading it.

use anyhow::Context as _;

use super::print;
use crate::cli::{Global, InspectArgs};
use crate::report::inspection;
use crate::{exit_code, inspect};

/// Carries out `dlsoak inspect` and returns the exit code.
///
/// # Errors
/// When the file can't be read or is no ELF file.
pub fn inspect(args: &InspectArgs, global: Global) -> anyhow::Result<u8> {
    let found = inspect::inspect(&args.library).with_context(|| args.library.display().to_string())?;
    if args.json {
        print(&(serde_json::to_string_pretty(&found)? + "\n"));
    } else {
        print(&inspection::render(&found, super::width(), global.color, global.verbose > 0));
    }
    Ok(exit_code::PASSED)
}
