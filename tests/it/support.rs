//! What the tests share: the program, the fixtures, and the record that a soak leaves.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dlsoak::record::{LoadFailure, Metric, Run, Soak, Why};
use tempfile::TempDir;

/// The program under test.
pub(crate) fn dlsoak() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dlsoak"));
    // A terminal's wishes are not part of a test.
    command.env_remove("NO_COLOR").arg("-q");
    command
}

/// The committed record of a real run.
pub(crate) fn sample() -> PathBuf {
    let path = std::env::var_os("DLSOAK_SAMPLE").map(PathBuf::from);
    path.unwrap_or_else(|| xtask::fixtures::root().join("reports/sample/record.json"))
}

/// A built fixture. They are never built here, so that a test run says what it lacks instead of skipping.
pub(crate) fn fixture(name: &str) -> PathBuf {
    let path = xtask::fixtures::directory(&xtask::fixtures::root()).join(format!("lib{name}.so"));
    assert!(path.is_file(), "{} is not built: run `cargo xtask fixtures`", path.display());
    path
}

/// A finished run: exit code, output, and the record.
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) run: Run,
}

impl Finished {
    /// The only soak of the run.
    pub(crate) fn soak(&self) -> &Soak {
        let [soak] = self.run.soaks.as_slice() else { panic!("{} soaks", self.run.soaks.len()) };
        soak
    }
}

/// Why the first cycle that could not begin or go on could not.
pub(crate) fn failure(soak: &Soak) -> &LoadFailure {
    let Some(Why::LoadFailed(failure)) = &soak.outcome.why else { panic!("{:?}", soak.outcome) };
    failure
}

/// Runs `dlsoak run` with these arguments and reads its record.
pub(crate) fn run(args: &[&str]) -> Finished {
    let out = tempfile::tempdir().unwrap();
    let output = dlsoak().arg("run").args(args).arg("-o").arg(out.path()).output().unwrap();
    finished(&output, &out)
}

/// Reads what a run has left.
pub(crate) fn finished(output: &Output, out: &TempDir) -> Finished {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let run = read_record(out.path()).unwrap_or_else(|e| panic!("{e}\n{stdout}\n{stderr}"));
    Finished { code: output.status.code().unwrap_or(-1), stdout, stderr, run }
}

/// The record in a directory.
pub(crate) fn read_record(dir: &Path) -> Result<Run, String> {
    let text = std::fs::read(dir.join("record.json")).map_err(|e| format!("no record: {e}"))?;
    serde_json::from_slice(&text).map_err(|e| format!("broken record: {e}"))
}

/// Soaks one library with one call of `fibonacci`.
pub(crate) fn soak(library: &Path, args: &[&str]) -> Finished {
    let mut all = vec![library.to_str().unwrap(), "-c", "fibonacci(20)"];
    all.extend(args);
    run(&all)
}

/// The measured values of one column.
pub(crate) fn column(soak: &Soak, name: &str) -> Vec<i64> {
    let column = dlsoak::record::Column::from_name(name).unwrap();
    let index = soak.checkpoints.position(column).unwrap();
    soak.checkpoints.rows.iter().map(|row| row[index]).collect()
}

/// Growth of one metric.
pub(crate) fn growth(soak: &Soak, metric: Metric) -> &dlsoak::record::Growth {
    soak.judged.growth.iter().find(|g| g.metric == metric).unwrap()
}

/// Whether a soak has a finding of this code.
pub(crate) fn has(soak: &dlsoak::record::Soak, code: dlsoak::record::Code) -> bool {
    soak.judged.findings.iter().any(|finding| finding.code == code)
}
