//! One file per verb. Only here and in `report` is anything printed.

pub mod compare;
pub mod completions;
pub mod doctor;
pub mod explain;
pub mod inspect;
pub mod judge;
pub mod merge;
pub mod report;
pub mod run;
pub mod trace;
pub mod verify;

mod baselines;
mod ci;
mod progress;
mod records;
mod save;
mod soaks;

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;

use crate::exit_code;
use crate::report::terminal::PIPED_WIDTH;

/// Writes the result to stdout. A reader that has gone away (`dlsoak run | head`) is not an error.
fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Writes a remark to stderr.
fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "dlsoak: {text}");
}

/// Says in one line what went wrong and returns the exit code for it.
pub fn complain(error: &anyhow::Error) -> u8 {
    note(&format!("{error:#}"));
    exit_code::USAGE
}

/// From now on SIGINT and SIGTERM set this flag and do no more.
fn interruptible() -> anyhow::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))
            .context("cannot install the handlers of SIGINT and SIGTERM")?;
    }
    Ok(interrupted)
}

/// Columns of the terminal.
fn width() -> u16 {
    console::Term::stdout().size_checked().map_or(PIPED_WIDTH, |(_rows, columns)| columns.max(60))
}
