//! `cargo xtask demo`: from a fresh clone to four languages soaked side by side, in one command. The demo's suite
//! fails its gate by design, so its record is held against the truth instead.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use xtask::fixtures::{self, Table};
use xtask::{judge, record};

use crate::{build, command};

/// How to run the demo.
#[derive(Args)]
pub(crate) struct Options {
    /// Passed on to `dlsoak run`, for example: --threads 4
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "DLSOAK ARGUMENT")]
    args: Vec<String>,
}

/// Builds everything, soaks the suite, and says where the record differs from the truth.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let root = fixtures::root();
    let dlsoak = release(&root)?;
    build::run(&build::Options::all_quietly())?;

    let (out, mut args) = output(&options.args)?;
    let out = record::fresh(out.unwrap_or_else(|| root.join("reports/demo")))?;
    args.extend(["--force".to_owned(), "-o".to_owned(), out.to_string_lossy().into_owned()]);
    let mut soak = Command::new(&dlsoak);
    soak.current_dir(root.join("cdylib-fixtures")).arg("run").args(&args);
    let status = soak.status().with_context(|| format!("cannot run {}", dlsoak.display()))?;
    if !record::is_left_by(status.code()) {
        bail!("`{}` ended with {status}", command::spelt(&soak));
    }
    // The README shows them.
    let mut pictures = Command::new(&dlsoak);
    pictures.arg("report").arg(out.join("record.json")).args(["--to", "png"]);
    if !command::succeeds(&mut pictures, &dlsoak.to_string_lossy())? {
        bail!("`{}` failed", command::spelt(&pictures));
    }

    let table = Table::load(&root)?;
    let run = record::read(&out)?;
    let mut as_expected = true;
    for fixture in table.fixtures.iter().filter(|fixture| fixture.demo) {
        let differences = match run.soaks.iter().find(|soak| soak.name == fixture.name) {
            Some(soak) => judge::differences(fixture, soak),
            None => vec!["it is missing in the record".to_owned()],
        };
        for difference in differences {
            as_expected = false;
            println!("{}: {difference}", fixture.name);
        }
    }
    let found = if as_expected { "as fixtures.toml says it is" } else { "not as fixtures.toml says it is" };
    println!("Every library of the demo was soaked; the record is {found}.");
    println!("Record and report: {}", out.display());
    Ok(as_expected)
}

/// Builds the program as its users get it, and says where it is.
pub(crate) fn release(root: &std::path::Path) -> Result<PathBuf> {
    let mut cargo = command::cargo(root);
    cargo.args(["build", "--release", "--locked", "--package", "dlsoak", "--bin", "dlsoak"]);
    if !command::succeeds(&mut cargo, command::CARGO)? {
        bail!("`{}` failed", command::spelt(&cargo));
    }
    Ok(command::target(root).join("release/dlsoak"))
}

/// The output directory among the arguments, relative to where the person is, and the other arguments.
fn output(args: &[String]) -> Result<(Option<PathBuf>, Vec<String>)> {
    let (mut out, mut others) = (None, Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let given = match arg.as_str() {
            "-o" | "--out" => args.next().map(String::as_str),
            _ => arg.strip_prefix("--out=").or_else(|| arg.strip_prefix("-o")),
        };
        match given {
            Some(given) => out = Some(std::path::absolute(given).context("no output directory is given")?),
            None if arg == "-o" || arg == "--out" => bail!("`{arg}` needs a directory"),
            None => others.push(arg.clone()),
        }
    }
    Ok((out, others))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_directory_is_found_in_each_spelling() {
        let cwd = std::env::current_dir().unwrap();
        for spelling in [&["-o", "x"][..], &["--out", "x"], &["--out=x"], &["-ox"]] {
            let args: Vec<_> = ["-t", "4"].iter().chain(spelling).map(|s| (*s).to_owned()).collect();
            let (out, others) = output(&args).unwrap();
            assert_eq!((out, others), (Some(cwd.join("x")), vec!["-t".to_owned(), "4".to_owned()]));
        }
        assert!(output(&["-o".to_owned()]).is_err());
    }
}
