//! `cargo xtask go-matrix`: what a Go library costs its host by version of Go, in one command. Builds the libraries that
//! the suite names, soaks them, and makes one table and one chart of the record.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use xtask::{fixtures, record};

use crate::{build, command, demo};

/// The suite; it names the versions.
const SUITE: &str = "cdylib-fixtures/go-matrix.toml";

/// Where the table goes.
#[derive(Args)]
pub(crate) struct Options {
    /// Directory for the record, the table and the chart [default: reports/go-matrix]
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Builds, soaks and makes the table; true when every soak ended as it should.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let root = fixtures::root();
    let text = std::fs::read_to_string(root.join(SUITE)).with_context(|| format!("cannot read {SUITE}"))?;
    let libraries = libraries(&text).with_context(|| SUITE.to_owned())?;
    let dlsoak = demo::release(&root)?;
    for (name, version) in &libraries {
        build::run(&build::Options::go(name, version))?;
    }

    let out = options.out.clone().unwrap_or_else(|| root.join("reports/go-matrix"));
    let out = record::fresh(std::path::absolute(&out).context("no output directory is given")?)?;
    let mut soak = Command::new(&dlsoak);
    soak.current_dir(&root).args(["run", SUITE, "--force", "-o"]).arg(&out);
    let status = soak.status().with_context(|| format!("cannot run {}", dlsoak.display()))?;
    // Copies of a library that stays do not pass.
    if !record::is_left_by(status.code()) {
        bail!("`{}` ended with {status}", command::spelt(&soak));
    }

    let mut report = Command::new(&dlsoak);
    report.arg("report").arg(out.join("record.json")).args(["--to", "costs"]);
    command::quietly(&mut report, command::CARGO)?;
    let table = out.join("costs.md");
    let table =
        std::fs::read_to_string(&table).with_context(|| format!("cannot read {}", table.display()))?;
    println!("\n{table}\nRecord, table and chart: {}", out.display());
    let run = record::read(&out)?;
    let mut complete = true;
    for soak in run.soaks.iter().filter(|soak| soak.outcome.kind != "completed") {
        complete = false;
        println!("{}: {} {}", soak.name, soak.outcome.kind, soak.outcome.why);
    }
    Ok(complete)
}

/// The libraries that a suite names in a list of paths: fixture and version of Go, each once.
fn libraries(suite: &str) -> Result<Vec<(String, String)>> {
    let suite: toml::Table = toml::from_str(suite)?;
    let mut found = Vec::new();
    for library in suite.get("library").and_then(toml::Value::as_array).into_iter().flatten() {
        let paths =
            library.get("matrix").and_then(|matrix| matrix.get("path")).and_then(toml::Value::as_array);
        for path in paths.into_iter().flatten() {
            let path = path.as_str().unwrap_or_default();
            let file = path.rsplit('/').next().and_then(|file| file.strip_prefix("lib")?.strip_suffix(".so"));
            let Some((name, version)) = file.and_then(|file| file.rsplit_once("-go")) else {
                bail!("`{path}` is not named libNAME-goVERSION.so, so it is not known what to build");
            };
            let library = (name.to_owned(), version.to_owned());
            if !found.contains(&library) {
                found.push(library);
            }
        }
    }
    if found.is_empty() {
        bail!("no library has `path` in its matrix, so there is nothing to build");
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suite_names_three_versions_and_one_of_them_is_old() {
        let text = std::fs::read_to_string(fixtures::root().join(SUITE)).unwrap();
        let libraries = libraries(&text).unwrap();
        assert!(
            libraries.len() >= 3 && libraries.iter().all(|(name, _)| name == "go-clean"),
            "{libraries:?}"
        );
        assert!(libraries.iter().any(|(_, version)| version.starts_with("1.21.")), "{libraries:?}");
    }

    #[test]
    fn a_file_of_another_name_is_refused() {
        for (suite, part) in [
            ("[[library]]\nmatrix = { path = ['x/libc-clean.so'] }", "x/libc-clean.so"),
            ("[[library]]\npath = 'libgo-clean-go1.21.13.so'", "nothing to build"),
            ("", "nothing to build"),
        ] {
            let error = libraries(suite).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
