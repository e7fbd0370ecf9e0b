//! Nothing that was measured is lost: whose the output directory is, who holds it, what `--resume` keeps, and a full stdout.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use dlsoak::record::{OutcomeKind, Run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{dlsoak, fixture, read_record};

const LOCK: &str = ".dlsoak-lock";
/// The exit code of a soak of 20 cycles: too few for a verdict.
const UNDECIDED: Option<i32> = Some(3);
/// How long a run may take to begin on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(600);

fn soak(out: &Path, args: &[&str]) -> Command {
    let mut command = dlsoak();
    command.arg("run").arg(fixture("c-clean")).args(args).arg("-o").arg(out);
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The one line that a refused command says.
fn refused(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{command:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{command:?}: {said}");
    assert!(said.starts_with("dlsoak: ") && output.stdout.is_empty(), "{command:?}: {said}");
    said
}

/// Names and contents of the files in a directory.
fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    let mut all: Vec<_> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    all.sort();
    all
}

fn is_held(dir: &Path) -> bool {
    fs::symlink_metadata(dir.join(LOCK)).is_ok()
}

/// Waits until this is so; a run that ends before has failed.
fn wait(child: &mut Child, until: impl Fn() -> bool) {
    let begin = Instant::now();
    while !until() {
        assert!(child.try_wait().unwrap().is_none(), "the run has ended");
        assert!(begin.elapsed() < PATIENCE, "nothing happens");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A run without an end that holds `out`.
fn endless(out: &Path) -> Child {
    // Many minutes, but a first checkpoint after seconds: the record is written then.
    let mut command = soak(out, &["-n", "10M"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait(&mut child, || is_held(out));
    child
}

fn interrupt(child: Child) -> Output {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn two_runs_at_once_with_default_names_keep_both_records() {
    for round in 0..20 {
        let cwd = tempfile::tempdir().unwrap();
        let start = || {
            let mut command = dlsoak();
            command.current_dir(cwd.path()).arg("run").arg(fixture("c-clean")).args(["-n", "20"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        for child in [start(), start()] {
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), UNDECIDED, "round {round}: {}", stderr(&output));
        }
        let reports = fs::read_dir(cwd.path().join("reports")).unwrap();
        let (links, dirs): (Vec<PathBuf>, Vec<PathBuf>) =
            reports.map(|entry| entry.unwrap().path()).partition(|path| path.is_symlink());
        assert_eq!((dirs.len(), links.len()), (2, 1), "round {round}: {dirs:?} {links:?}");
        let latest = fs::read_link(&links[0]).unwrap();
        assert!(links[0].ends_with("latest") && dirs.iter().any(|dir| dir.ends_with(&latest)), "{latest:?}");
        for dir in dirs {
            assert_eq!(read_record(&dir).unwrap().soaks.len(), 1, "round {round}");
            assert!(dir.join("report.html").is_file() && !is_held(&dir), "round {round}");
        }
    }
}

#[test]
fn a_directory_that_a_run_holds_is_refused_until_it_is_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut first = endless(&out);
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    let holder = format!("process {} on host {host}", first.id());
    for args in [&["-n", "20"][..], &["-n", "20", "--force"], &["-n", "20", "--resume"]] {
        let said = refused(&mut soak(&out, args));
        assert!(said.contains(&holder) && said.contains(out.to_str().unwrap()), "{said}");
    }
    for verb in ["trace", "verify"] {
        let said = refused(dlsoak().arg(verb).arg(fixture("c-clean")).arg("-o").arg(&out));
        assert!(said.contains(&holder), "{said}");
    }
    // The lock is there before anything is measured.
    wait(&mut first, || read_record(&out).is_ok());
    let output = interrupt(first);
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    let record = read_record(&out).unwrap();
    assert!(record.soaks[0].interrupted && record.soaks[0].outcome.kind == OutcomeKind::Interrupted);
    assert!(!is_held(&out));
    assert_eq!(soak(&out, &["-n", "20"]).output().unwrap().status.code(), UNDECIDED);
    assert_eq!(read_record(&out).unwrap().soaks[0].cycles.completed, 20);
}

#[test]
fn the_lock_of_a_killed_run_is_stale() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = endless(dir.path());
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(is_held(dir.path()));
    let output = soak(dir.path(), &["-n", "20"]).output().unwrap();
    assert_eq!(output.status.code(), UNDECIDED, "{}", stderr(&output));
    assert_eq!(read_record(dir.path()).unwrap().soaks[0].cycles.completed, 20);
    assert!(!is_held(dir.path()));
}

#[test]
fn the_lock_of_another_host_is_never_stale() {
    let dir = tempfile::tempdir().unwrap();
    let lock = json!({"host": "far-away", "pid": 1, "boot_id": "00000000-0000-0000-0000-000000000000"});
    fs::write(dir.path().join(LOCK), lock.to_string()).unwrap();
    let before = contents(dir.path());
    for args in [&[][..], &["--force"]] {
        let said = refused(&mut soak(dir.path(), args));
        let file = dir.path().join(LOCK);
        assert!(said.contains("far-away") && said.contains(&format!("remove {}", file.display())), "{said}");
        assert_eq!(contents(dir.path()), before);
    }
}

#[test]
fn a_foreign_directory_is_written_to_only_by_force() {
    for (name, text) in [
        ("notes.txt", "mine"),
        ("record.json", "{\"schema\": \"other/1\"}"),
        (LOCK, "mine"),
        ("report.html", ""),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name), text).unwrap();
        let before = contents(dir.path());
        for verb in ["run", "trace", "verify"] {
            let said = refused(dlsoak().arg(verb).arg(fixture("c-clean")).arg("-o").arg(dir.path()));
            assert!(said.contains(dir.path().to_str().unwrap()) && said.contains("--force"), "{said}");
            assert_eq!(contents(dir.path()), before, "{verb}");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    for verb in ["run", "trace"] {
        let mut command = dlsoak();
        command.arg(verb).arg(fixture("c-clean")).args(["-n", "20", "--force", "-o"]).arg(dir.path());
        let output = command.output().unwrap();
        assert_ne!(output.status.code(), Some(2), "{}", stderr(&output));
        assert_eq!(fs::read(dir.path().join("notes.txt")).unwrap(), b"mine");
        fs::remove_file(dir.path().join("record.json")).unwrap();
    }
}

#[test]
fn a_directory_that_dlsoak_made_is_used_again() {
    // By this version or another, and beside files that came later.
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("record.json"), "{\"schema\": \"dlsoak.run/1\"}").unwrap();
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    for cycles in ["20", "21"] {
        let output = soak(dir.path(), &["-n", cycles]).output().unwrap();
        assert_eq!(output.status.code(), UNDECIDED, "{}", stderr(&output));
        let record = read_record(dir.path()).unwrap();
        assert_eq!(record.soaks[0].cycles.completed.to_string(), cycles);
    }
    assert!(dir.path().join("notes.txt").is_file() && !is_held(dir.path()));
}

#[test]
fn a_run_that_writes_nothing_leaves_no_directory() {
    let dir = tempfile::tempdir().unwrap();
    let library = dir.path().join("none.so");
    fs::write(&library, "no library").unwrap();
    let out = dir.path().join("out");
    refused(dlsoak().arg("verify").arg(&library).arg("-o").arg(&out));
    assert!(!out.exists());
}

/// A suite of two short soaks and one of this many cycles, and its output directory.
struct Suite {
    dir: TempDir,
}

impl Suite {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    fn run(&self, last: &str, args: &[&str]) -> Command {
        let soak = |name: &str, of: &str, cycles: &str| {
            let path = fixture(of);
            format!("[[library]]\nname = '{name}'\npath = '{}'\ncycles = '{cycles}'\n", path.display())
        };
        let text = [
            "[suite]\nname = 'three'\n[defaults]\ncall = 'fibonacci(5)'\nstall-timeout = '30s'\n".to_owned(),
            soak("first", "c-clean", "20"),
            soak("second", "c-leak-constructor", "300"),
            soak("third", "c-clean", last),
        ];
        let file = self.dir.path().join("suite.toml");
        fs::write(&file, text.concat()).unwrap();
        let mut command = dlsoak();
        command.arg("run").arg(file).args(["--message-format", "json", "-o"]).arg(self.out()).args(args);
        command
    }

    fn record(&self) -> Run {
        read_record(&self.out()).unwrap()
    }

    fn edit(&self, edit: impl FnOnce(&mut Value)) {
        let path = self.out().join("record.json");
        let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        edit(&mut record);
        fs::write(&path, record.to_string()).unwrap();
    }
}

/// The soaks of which a run says that they begin, and those of which it has a result.
fn told(output: &Output) -> (Vec<String>, Vec<String>) {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| {
        let events = events.iter().filter(|event| event["event"] == kind);
        events.map(|event| event["name"].as_str().unwrap().to_owned()).collect()
    };
    (of("begin"), of("soak"))
}

#[test]
fn an_interrupted_run_is_resumed_where_it_ended() {
    let suite = Suite::new();
    let mut command = suite.run("1G", &[]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let events = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    // Held until the run has ended, so that stdout stays open.
    let mut events = events.map(|line| serde_json::from_str::<Value>(&line).unwrap());
    assert!(events.any(|event| event["event"] == "begin" && event["name"] == "third"));
    assert_eq!(interrupt(child).status.code(), Some(130));
    drop(events);
    let before = suite.record();
    assert!(before.soaks[2].interrupted && !before.soaks[0].interrupted && !before.soaks[1].interrupted);
    let output = suite.run("20", &["--resume"]).output().unwrap();
    assert_eq!(told(&output), (vec!["third".into()], vec!["first".into(), "second".into(), "third".into()]));
    let after = suite.record();
    assert_eq!(after.soaks[..2], before.soaks[..2]);
    assert_eq!(after.started_at, before.started_at);
    assert_eq!((after.soaks[2].cycles.completed, after.soaks[2].interrupted), (20, false));
    assert!(suite.out().join("report.html").is_file() && !is_held(&suite.out()));
}

#[test]
fn only_what_the_record_has_complete_of_the_same_file_is_kept() {
    type Edit = (&'static str, fn(&mut Value));
    let suite = Suite::new();
    // There is no record yet, so that all are soaked.
    let output = suite.run("20", &["--resume"]).output().unwrap();
    assert_eq!(told(&output).0, ["first", "second", "third"]);
    let whole = suite.record();
    let edits: [Edit; 8] = [
        ("nothing", |_| {}),
        ("a pass", |soak| soak["interrupted"] = json!(true)),
        ("the soak", |soak| soak["outcome"]["kind"] = json!("interrupted")),
        ("settings", |soak| soak["asked"]["cycles"] = json!(21)),
        ("more settings", |soak| soak["asked"]["threads"] = json!(1)),
        ("path", |soak| soak["path"] = json!("other.so")),
        ("file", |soak| soak["build_id"] = json!("00")),
        ("no build id", |soak| soak["build_id"] = Value::Null),
    ];
    for (what, edit) in edits {
        suite.edit(|run| edit(&mut run["soaks"][1]));
        let output = suite.run("20", &["--resume"]).output().unwrap();
        let begun = if what == "nothing" { vec![] } else { vec!["second".to_owned()] };
        assert_eq!(told(&output).0, begun, "{what}: {}", stderr(&output));
        let run = suite.record();
        assert_eq!((&run.soaks[0], &run.soaks[2]), (&whole.soaks[0], &whole.soaks[2]), "{what}");
        assert_eq!((run.soaks[1].cycles.completed, run.soaks[1].interrupted), (300, false), "{what}");
    }
}

#[test]
fn a_record_of_something_else_is_not_resumed() {
    type Edit = (&'static str, fn(&mut Value));
    let suite = Suite::new();
    suite.run("20", &[]).output().unwrap();
    let path = suite.out().join("record.json");
    let whole = fs::read(&path).unwrap();
    let edits: [Edit; 5] = [
        ("newer dlsoak", |run| run["schema"] = json!("dlsoak.run/3")),
        ("dlsoak.run/1", |run| run["schema"] = json!("dlsoak.run/1")),
        ("another suite", |run| run["soaks"][1]["name"] = json!("other")),
        ("another part", |run| {
            let soaks = json!([{"name": "first", "part": 1}]);
            run["partition"] = json!({"part": 1, "of": 2, "suite": "three", "soaks": soaks});
        }),
        ("written by dlsoak", |run| run["tool"]["version"] = json!("0.0.1")),
    ];
    for (part, edit) in edits {
        fs::write(&path, &whole).unwrap();
        suite.edit(edit);
        let before = contents(&suite.out());
        let said = refused(&mut suite.run("20", &["--resume"]));
        assert!(said.contains(part) && said.contains(path.to_str().unwrap()), "{said}");
        assert_eq!(contents(&suite.out()), before, "{part}");
    }
    let output = dlsoak().arg("run").arg(fixture("c-clean")).arg("--resume").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--out"), "{}", stderr(&output));
}

#[test]
fn a_full_stdout_is_an_error_and_costs_no_record() {
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let sample = crate::support::sample();
    let library = fixture("c-clean");
    let (sample, library) = (sample.to_str().unwrap(), library.to_str().unwrap());
    for (args, has_record) in [
        (vec!["run", library, "-n", "20"], true),
        (vec!["run", library, "-n", "20", "--message-format", "json"], true),
        (vec!["trace", library, "-n", "20"], true),
        (vec!["report", sample, "--to", "markdown"], false),
        (vec!["inspect", library], false),
        (vec!["completions", "bash"], false),
        (vec!["--help"], false),
        (vec!["--version"], false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut command = dlsoak();
        command.args(&args).stdout(full());
        if has_record || args[0] == "report" {
            command.arg("-o").arg(dir.path());
        }
        let said = refused(&mut command);
        assert!(said.contains("standard output: No space left on device"), "{said}");
        let record = dir.path().join("record.json");
        if has_record {
            assert_eq!(read_record(dir.path()).unwrap().soaks.len(), 1, "{args:?}");
            assert!(dir.path().join("report.html").is_file(), "{args:?}");
            assert!(said.contains(record.to_str().unwrap()), "{said}");
        }
        assert!(!is_held(dir.path()), "{args:?}");
    }
}
