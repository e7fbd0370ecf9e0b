//! Runs a suite under observation: what it says, how it ends, whether its record is valid, and whether the machine is as it
//! was before. What is hostile and what is damaged are soaked this way.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::record;

/// Variable by which all that a run has started is known.
const MARK: &str = "DLSOAK_HOSTILE_RUN";

/// How long what was killed may take to be gone on a machine that has much else to do.
const GRACE: Duration = Duration::from_secs(600);

/// What came of a run.
#[derive(Debug)]
pub struct Watched {
    /// Its record.
    pub run: record::Run,
    /// Its exit code, where it had one.
    pub code: Option<i32>,
    /// What is wrong with it as a whole.
    pub problems: Vec<String>,
}

/// Runs the suite with this text. `scratch` is a directory of its own, where all is written; `each` is told the name of
/// each soak before it begins.
///
/// # Errors
/// When the program can't be run, or leaves no record.
pub fn run(dlsoak: &Path, root: &Path, scratch: &Path, suite: &str, each: &dyn Fn(&str)) -> Result<Watched> {
    let (temporary, out) = (scratch.join("tmp"), scratch.join("out"));
    fs::create_dir_all(&temporary).with_context(|| format!("cannot create {}", temporary.display()))?;
    let file = scratch.join("suite.toml");
    fs::write(&file, suite).with_context(|| format!("cannot write {}", file.display()))?;
    let mark = format!("{}-{}", std::process::id(), scratch.display());
    let mounts = mounts()?;
    // Through a shell, so that there is a descriptor to inherit for those that harm descriptors.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "exec 9<>/dev/null; exec \"$@\"", "sh"]).arg(dlsoak);
    command.args(["--quiet", "run", "--message-format", "json"]).arg(&file).arg("-o").arg(&out);
    command.current_dir(scratch).env("TMPDIR", &temporary).env(MARK, &mark);
    // In a group of its own: some of these kill the group of their parent.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().with_context(|| format!("cannot run {}", dlsoak.display()))?;
    let descriptors = PathBuf::from(format!("/proc/{}/fd", child.id()));
    let mut open = Vec::new();
    for line in BufReader::new(child.stdout.take().context("no output")?).lines() {
        let line = line.context("cannot read what the run says")?;
        let event: Value = serde_json::from_str(&line).with_context(|| format!("no event: {line}"))?;
        if event["event"] == "begin" {
            each(event["name"].as_str().unwrap_or_default());
            open.push(fs::read_dir(&descriptors).map_or(0, Iterator::count));
        }
    }
    let ended = child.wait_with_output().context("cannot wait for the run")?;
    let mut problems = Vec::new();
    if ended.status.code().is_none() {
        problems.push(format!("it ended with {}", ended.status));
    }
    let errors = String::from_utf8_lossy(&ended.stderr);
    if !errors.trim().is_empty() {
        problems.push(format!("it complained: {}", errors.trim()));
    }
    problems.extend(growing(&open));
    problems.extend(left_processes(&mark));
    problems.extend(left_files(&temporary)?);
    if self::mounts()? != mounts {
        problems.push("the mounts are not those from before".to_owned());
    }
    problems.extend(invalid(root, &out)?);
    Ok(Watched { run: record::read(&out)?, code: ended.status.code(), problems })
}

/// Descriptors that the supervisor has more of at each soak. Each look may fall into the beginning of a soak, so the
/// fewest of the first looks and of the last count.
fn growing(open: &[usize]) -> Option<String> {
    let part = (open.len() / 3).max(1);
    let first = open.iter().take(part).min()?;
    let last = open.iter().rev().take(part).min()?;
    (last > first)
        .then(|| format!("the supervisor had {first} descriptors open at first, and {last} at last"))
}

/// Processes of the run that are still there; they are ended, each by its number.
fn left_processes(mark: &str) -> Option<String> {
    let begin = Instant::now();
    let mut left = marked(mark);
    while !left.is_empty() && begin.elapsed() < GRACE {
        std::thread::sleep(Duration::from_millis(20));
        left = marked(mark);
    }
    for (pid, _) in &left {
        let _ = Command::new("kill").args(["-KILL", pid]).status();
    }
    (!left.is_empty()).then(|| {
        let names: BTreeSet<_> = left.iter().map(|(_, name)| name.as_str()).collect();
        format!("{} processes are left: {}", left.len(), names.into_iter().collect::<Vec<_>>().join(", "))
    })
}

/// Processes that carry the mark in their environment: number and name.
fn marked(mark: &str) -> Vec<(String, String)> {
    let entry = format!("{MARK}={mark}");
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().into_string().ok());
    pids.filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == entry.as_bytes())
        })
        .map(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            (pid, name.trim().to_owned())
        })
        .collect()
}

/// Files in the private directory for temporary files.
fn left_files(directory: &Path) -> Result<Option<String>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let names: Vec<_> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    Ok((!names.is_empty()).then(|| format!("temporary files are left: {}", names.join(", "))))
}

/// What is mounted where, as far as a run could have mounted it.
fn mounts() -> Result<Vec<String>> {
    let all = fs::read_to_string("/proc/self/mountinfo").context("cannot read the mounts")?;
    Ok(all.lines().filter(|line| line.contains("dlsoak")).map(str::to_owned).collect())
}

/// Every point in which the record is not as its published schema says.
fn invalid(root: &Path, out: &Path) -> Result<Vec<String>> {
    let read = |path: PathBuf| -> Result<Value> {
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", path.display()))
    };
    let schema = read(root.join("docs/record.schema.json"))?;
    let record = read(out.join("record.json"))?;
    let validator = match jsonschema::validator_for(&schema) {
        Ok(validator) => validator,
        Err(error) => bail!("docs/record.schema.json is no schema: {error}"),
    };
    let told = validator.iter_errors(&record).take(5);
    Ok(told.map(|error| format!("the record is not valid: {error} at {}", error.instance_path())).collect())
}
