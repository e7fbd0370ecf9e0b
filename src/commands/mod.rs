//! One file per verb. Only here and in `report` is anything printed.

pub mod compare;
pub mod completions;
pub mod doctor;
pub mod explain;
pub mod init;
pub mod inspect;
pub mod judge;
pub mod merge;
pub mod report;
pub mod run;
pub mod trace;
pub mod verify;
pub mod watch;

mod baselines;
mod ci;
mod libraries;
mod out;
mod progress;
mod records;
mod resume;
mod save;
mod soaks;

use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;

use crate::cli::Global;
use crate::exit_code;
use crate::record::Run;
use crate::report::terminal::{self, PIPED_WIDTH, Width};

/// Why the result could not be printed, the first time.
static UNPRINTED: OnceLock<std::io::Error> = OnceLock::new();

/// Writes the result to stdout. A reader that has gone away (`dlsoak run | head`) is not an error. Any other failure is one,
/// which [`printed`] reports when the verb has written its files.
fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        let _ = UNPRINTED.set(error);
    }
}

/// Whether all was printed that was to be; `place` is where the record is.
///
/// # Errors
/// What the system said about stdout.
pub fn printed(place: Option<&Path>) -> anyhow::Result<()> {
    let Some(error) = UNPRINTED.get() else { return Ok(()) };
    let place = place.map(|place| format!("; the record is in {}", place.display())).unwrap_or_default();
    anyhow::bail!("cannot write to standard output: {error}{place}")
}

/// Prints what clap has to say, a help text or an error, and returns the exit code.
pub fn usage(error: &clap::Error) -> u8 {
    match error.print().and_then(|()| std::io::stdout().flush()) {
        Err(failed) if failed.kind() != std::io::ErrorKind::BrokenPipe => {
            complain(&anyhow::anyhow!("cannot write to standard output: {failed}"))
        }
        _ => u8::try_from(error.exit_code()).unwrap_or(exit_code::USAGE),
    }
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

/// The result of a run for the terminal.
fn result(run: &Run, summary: bool, global: Global) -> String {
    if summary {
        terminal::summary(run, width(), global.color)
    } else {
        terminal::detailed(run, columns(), global.color, global.verbose > 0)
    }
}

/// Columns of the terminal.
fn width() -> u16 {
    of_terminal().unwrap_or(PIPED_WIDTH)
}

/// Columns for a result.
fn columns() -> Width {
    of_terminal().map_or(Width::PIPED, Width::from)
}

fn of_terminal() -> Option<u16> {
    console::Term::stdout().size_checked().map(|(_rows, columns)| columns.max(60))
}
