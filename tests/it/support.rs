//! What the tests share: the program, the fixtures, the record that a soak leaves, and what to do where the machine lacks something.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use dlsoak::record::{LoadFailure, Metric, Run, Soak, Why};
use tempfile::TempDir;

/// Settings of a soak that goes on until its verdict is certain. How soon that is depends on how much resident memory varies, which is
/// the machine's matter; that it is decided at all is the test's.
pub(crate) const DECIDED: [&str; 5] = ["-n", "1500", "--until-decided", "--max-cycles", "200k"];

/// How long a test waits for what may never come. It fails then; no test depends on how soon something comes.
const PATIENCE: Duration = Duration::from_secs(600);

/// Waits until something is there.
pub(crate) fn until<T>(what: impl std::fmt::Display, mut found: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether this program is there. With `CI=1` it must be.
pub(crate) fn tool(name: &str) -> bool {
    let mut version = Command::new(name);
    version.arg("--version").stdin(Stdio::null());
    installed(
        name,
        version.output().is_ok_and(|output| output.status.success()),
        &format!("apt install {name}"),
    )
}

/// A library of this system by its name, or by the beginning of it that ends with a dot, and the package of Debian that brings it. With
/// `CI=1` it must be there.
pub(crate) fn library(name: &str, package: &str) -> Option<PathBuf> {
    let places = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    let is_it = |file: &str| file == name || name.ends_with('.') && file.starts_with(name);
    let files = places.iter().filter_map(|place| std::fs::read_dir(place).ok()).flatten().flatten();
    let found = files
        .map(|file| file.path())
        .filter(|path| path.file_name().unwrap().to_str().is_some_and(is_it))
        .min();
    installed(name, found.is_some(), &format!("apt install {package}")).then_some(found).flatten()
}

/// Whether this is CI. What takes longer than a person waits is tested there alone: a browser, hosts that nobody here wrote, valgrind. Elsewhere
/// it is counted.
pub(crate) fn of_ci(what: &str) -> bool {
    if !is_ci() {
        lack(what, "`CI=1` asks for it, as `.ci/run` does");
    }
    is_ci()
}

fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|ci| ci == "1")
}

/// Whether something that can be installed is there. With `CI=1` it must be; else what needs it is not tested, and counted.
pub(crate) fn installed(what: &str, there: bool, install: &str) -> bool {
    if !there {
        assert!(!is_ci(), "{what} is missing: {install}");
        lack(what, install);
    }
    there
}

/// Says and counts what this machine can't give, so that something is not tested here.
pub(crate) fn lack(what: &str, why: &str) {
    // Not with eprintln!, whose output a passing test would swallow.
    let _ = writeln!(std::io::stderr(), "not tested here: {what} ({why})");
    xtask::lacking::note(&xtask::fixtures::root(), what, why).unwrap();
}

/// Copies a program, by a process of its own: what another test starts meanwhile would inherit the open file, and a program that is being
/// written can't be run.
pub(crate) fn copy_program(from: &Path, to: &Path) {
    assert!(
        Command::new("cp").args([from, to]).status().is_ok_and(|status| status.success()),
        "{from:?} {to:?}"
    );
}

/// Builds a program or a library of a C file of this repository, with these further arguments of the compiler.
pub(crate) fn compile(arguments: &[&str], source: &str, to: &Path) {
    let source = xtask::fixtures::root().join(source);
    let mut cc = Command::new(std::env::var_os("CC").unwrap_or("cc".into()));
    cc.args(["-O2", "-g", "-Wall", "-pthread"]).arg(source).args(arguments).arg("-o").arg(to).arg("-ldl");
    let output = cc.output().expect("a C compiler: apt install gcc, or set CC");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The program under test.
pub(crate) fn dlsoak() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dlsoak"));
    // A terminal's wishes are not part of a test.
    command.env_remove("NO_COLOR").arg("-q");
    command
}

/// Where the C library is.
pub(crate) fn libc() -> String {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let paths = maps.lines().filter_map(|line| line.find('/').map(|at| &line[at..]));
    paths.into_iter().find(|path| path.contains("/libc.so")).unwrap().to_owned()
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
