//! The exit codes, in one place. They are a contract: scripts and CI are written against them.

use std::process::ExitCode;

use crate::analysis::watch::passed;
use crate::record::Run;

/// All soaks passed.
pub const PASSED: u8 = 0;
/// One or more soaks did not pass.
pub const FAILED: u8 = 1;
/// Usage, a bad file, or an error of `dlsoak` itself.
pub const USAGE: u8 = 2;
/// None failed, but one or more is undecided.
pub const UNDECIDED: u8 = 3;
/// Interrupted by SIGINT or SIGTERM; what was measured is written.
pub const INTERRUPTED: u8 = 130;

/// The exit code that a run ends with.
pub fn of(run: &Run) -> u8 {
    let watched = run.watch.as_ref().map(passed);
    if run.soaks.iter().any(|soak| soak.is_cut_short()) {
        INTERRUPTED
    } else if watched == Some(Some(false)) {
        FAILED
    } else if watched == Some(None) {
        UNDECIDED
    } else if run.soaks.iter().any(|s| s.judged.gate.passed == Some(false)) {
        FAILED
    } else if run.soaks.iter().any(|s| s.judged.gate.passed.is_none()) {
        UNDECIDED
    } else {
        PASSED
    }
}

/// For `main`.
pub fn code(value: u8) -> ExitCode {
    ExitCode::from(value)
}
