//! Runs other programs. One place, so that a program that is missing is always told in the same one line, with what
//! to install.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, anyhow, bail};
use xtask::record;

/// Runs a command to its end; true when it succeeded. `install` says how to get the program if it is missing.
pub(crate) fn succeeds(command: &mut Command, install: &str) -> Result<bool> {
    match command.status() {
        Ok(status) => Ok(status.success()),
        Err(error) => Err(not_started(command, &error, install)),
    }
}

/// Runs a command that must succeed; its own output is kept back and shown only when it fails.
pub(crate) fn quietly(command: &mut Command, install: &str) -> Result<String> {
    let output = command.output().map_err(|error| not_started(command, &error, install))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{} failed:\n{}", spelt(command), errors.trim_end());
    }
    if !errors.trim().is_empty() {
        eprintln!("{}", errors.trim_end());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a soak to its end, which must leave a record; its own output is kept back and shown only when it does not.
pub(crate) fn soaks(command: &mut Command, install: &str) -> Result<()> {
    let output = command.output().map_err(|error| not_started(command, &error, install))?;
    if !record::is_left_by(output.status.code()) {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` ended with {}:\n{}", spelt(command), output.status, errors.trim_end());
    }
    Ok(())
}

/// The command as a person would type it.
pub(crate) fn spelt(command: &Command) -> String {
    format!("{} {}", command.get_program().to_string_lossy(), arguments(command))
}

/// Its arguments alone, where it does not matter by which name the program was found.
pub(crate) fn arguments(command: &Command) -> String {
    command.get_args().map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// The cargo that runs us, in the root of the repository.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root);
    cargo
}

/// How to get cargo, in the improbable case.
pub(crate) const CARGO: &str = "install Rust: https://rustup.rs";

/// Where cargo builds this workspace.
pub(crate) fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir))
}

fn not_started(command: &Command, error: &std::io::Error, install: &str) -> anyhow::Error {
    let program = command.get_program().to_string_lossy();
    if error.kind() == ErrorKind::NotFound {
        anyhow!("`{program}` is missing: {install}")
    } else {
        anyhow!("cannot run `{program}`: {error}")
    }
}

/// A word for a shell.
pub(crate) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
