//! `cargo xtask nightly`: the measurements that take too long for every change, one after the other, and a table of what they said.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use xtask::fixtures;

use crate::command;

/// The verbs in their order, with the arguments that bound them: about four hours in all on two CPUs.
const VERBS: [(&str, &[&str]); 14] = [
    ("truth", &["--runs", "2", "--within", "10000"]),
    ("pairs", &["--runs", "12"]),
    ("mutate", &["--copies", "2000"]),
    ("fuzz", &["--seconds", "60"]),
    ("hostile", &[]),
    ("survey", &[]),
    ("languages", &[]),
    ("hosts", &["--watched"]),
    ("watch", &[]),
    ("ports", &[]),
    ("slurm", &[]),
    ("atlas", &[]),
    ("examples", &[]),
    ("dist", &["--check"]),
];

const HEADER: &str = "# What the nightly runs said\n\n| date | commit | verb | minutes | result |\n| --- | --- | --- | --- | --- |\n";

/// Which verbs to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Run only this verb; repeatable
    #[arg(long, value_name = "VERB", value_parser = VERBS.map(|(verb, _)| verb))]
    only: Vec<String>,
    /// Pass these to the one verb that --only names, instead of its usual arguments
    #[arg(last = true, value_name = "ARGUMENT")]
    args: Vec<String>,
}

/// Runs the verbs, and adds a row for each to `reports/nightly.md`; false when one of them found something.
pub(crate) fn run(options: &Options) -> Result<bool> {
    if !options.args.is_empty() && options.only.len() != 1 {
        bail!("arguments need one verb that they are for: --only VERB -- ARGUMENT...");
    }
    let root = fixtures::root();
    let commit = said(Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(&root))?;
    let table = root.join("reports/nightly.md");
    let mut good = true;
    for (verb, usual) in VERBS {
        if !options.only.is_empty() && !options.only.iter().any(|only| only == verb) {
            continue;
        }
        let args: Vec<&str> = if options.args.is_empty() {
            usual.to_vec()
        } else {
            options.args.iter().map(String::as_str).collect()
        };
        let words = [&[verb], &args[..]].concat().join(" ");
        let date = today()?;
        println!("== {words}");
        let begin = Instant::now();
        let (passed, result) = verb_of_ours(&root, verb, &args)?;
        let minutes = begin.elapsed().as_secs_f64() / 60.0;
        let result = format!("{}{result}", if passed { "" } else { "FAILED: " }).replace('|', "\\|");
        add(&table, &format!("| {date} | {commit} | `{words}` | {minutes:.1} | {result} |\n"))?;
        good &= passed;
    }
    println!("\ntable: {}", table.display());
    Ok(good)
}

/// Runs one of our verbs and shows what it says; whether it passed, and its last line.
fn verb_of_ours(root: &Path, verb: &str, args: &[&str]) -> Result<(bool, String)> {
    let own = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(own);
    command.arg(verb).args(args).current_dir(root).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run `{}`", command::spelt(&command)))?;
    let mut last = "no output".to_owned();
    for line in BufReader::new(child.stdout.take().context("no output")?).lines() {
        let line = line.context("cannot read what the verb says")?;
        println!("{line}");
        if !line.trim().is_empty() {
            last = line.trim().to_owned();
        }
    }
    Ok((child.wait()?.success(), last))
}

/// Adds a row to the table, which begins with its header.
fn add(table: &Path, row: &str) -> Result<()> {
    let begin = if table.exists() { "" } else { HEADER };
    let appended = fs::create_dir_all(table.parent().unwrap_or(table))
        .and_then(|()| File::options().create(true).append(true).open(table))
        .and_then(|mut file| file.write_all(format!("{begin}{row}").as_bytes()));
    appended.with_context(|| format!("cannot write {}", table.display()))
}

/// The date, in UTC.
pub(crate) fn today() -> Result<String> {
    said(Command::new("date").args(["-u", "+%F"]))
}

fn said(command: &mut Command) -> Result<String> {
    Ok(command::quietly(command, "apt install git coreutils")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_follow_one_header() {
        let dir = tempfile::tempdir().unwrap();
        let table = dir.path().join("reports/nightly.md");
        add(&table, "| 1 |\n").unwrap();
        add(&table, "| 2 |\n").unwrap();
        assert_eq!(fs::read_to_string(&table).unwrap(), format!("{HEADER}| 1 |\n| 2 |\n"));
    }
}
