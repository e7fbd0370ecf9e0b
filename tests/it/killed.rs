//! A supervisor that is killed at any moment leaves no process, no half of a record, and nothing that the next run does
//! not clean away.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{dlsoak, fixture, read_record, until};

/// Moments to kill at.
const MOMENTS: u64 = 50;
/// The latest of them, as a part of the time in which a first record is written; counted from the start, from the first
/// private directory, or from the first record, so that each of the three is met however busy the machine is.
const LATEST: f64 = 0.6;

/// The same numbers on each run.
struct Random(u64);

impl Random {
    /// Less than `most`; an LCG with the constants of Knuth's MMIX.
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// Processes that carry this mark in the environment they were started with, and are not dead.
pub(crate) fn marked(mark: &str) -> Vec<i32> {
    let entry = format!("DLSOAK_TEST_MARK={mark}");
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let environ = std::fs::read(process.path().join("environ")).unwrap_or_default();
        if environ.split(|byte| *byte == 0).any(|variable| variable == entry.as_bytes()) {
            found.push(pid);
        }
    }
    found
}

/// What is still there of a run that was killed, in words.
struct Left<'a>(&'a str);

impl std::fmt::Display for Left<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "these processes end: {:?}", marked(self.0).into_iter().map(describe).collect::<Vec<_>>())
    }
}

/// What a process is and does, to see why it is still there.
fn describe(pid: i32) -> String {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let status = read("status");
    let lines =
        status.lines().filter(|l| ["State", "PPid", "SigBlk", "ShdPnd"].iter().any(|k| l.starts_with(k)));
    let status: Vec<&str> = lines.collect();
    let cmdline = read("cmdline").replace('\0', " ");
    format!("{pid}: {cmdline}, {}, waits in {} {}", status.join(", "), read("wchan"), read("syscall"))
}

fn start(mark: &str, private: &Path, out: &Path, args: &[&str]) -> Child {
    dlsoak()
        .arg("run")
        .args(args)
        // The test removes the record, by which dlsoak knows the directory.
        .args(["--force", "-o"])
        .arg(out)
        .env("TMPDIR", private)
        .env("DLSOAK_TEST_MARK", mark)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn entries(directory: &Path, prefix: &str) -> Vec<String> {
    let names = std::fs::read_dir(directory).unwrap().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(prefix)).collect()
}

#[test]
fn a_supervisor_killed_at_any_moment_leaves_nothing_for_long() {
    let clean = fixture("c-clean");
    let clean = clean.to_str().unwrap();
    let children = fixture("c-child-running");
    let children = children.to_str().unwrap();
    // Short soaks, one after the other, so that copies are made and records written at most moments.
    let kinds: [Vec<&str>; 3] = [
        vec![clean, clean, clean, "-n", "100", "-t", "4"],
        vec![clean, clean, clean, "-n", "50", "--mode", "copies"],
        vec![children, clean, children, "-n", "20", "-t", "4"],
    ];
    let private = tempfile::tempdir().unwrap();
    let outs = kinds.each_ref().map(|_| tempfile::tempdir().unwrap());
    let mark = format!("killed-{}", std::process::id());
    let mut random = Random(0x0d15_0a4b);
    let (mut records, mut left_behind) = (0, 0);
    // Moments lie in the same places of a run on a fast machine and on a slow one.
    let begin = Instant::now();
    let mut first = start(&mark, private.path(), outs[0].path(), &kinds[0]);
    let record = outs[0].path().join("record.json");
    until("a first record", || record.exists().then_some(()));
    let latest = begin.elapsed().mul_f64(LATEST);
    first.wait().unwrap();
    std::fs::remove_file(record).unwrap();
    for moment in 0..MOMENTS {
        let kind = usize::try_from(moment).unwrap() % kinds.len();
        let out = outs[kind].path();
        let _ = std::fs::remove_file(out.join("record.json"));
        let before = entries(private.path(), "dlsoak-");
        let mut child = start(&mark, private.path(), out, &kinds[kind]);
        let reached = || match moment / 3 % 3 {
            0 => true,
            1 => entries(private.path(), "dlsoak-").iter().any(|name| !before.contains(name)),
            _ => out.join("record.json").exists(),
        };
        until("the place in the run", || reached().then_some(()));
        std::thread::sleep(Duration::from_micros(random.below(u64::try_from(latest.as_micros()).unwrap())));
        child.kill().unwrap();
        child.wait().unwrap();
        until(Left(&mark), || marked(&mark).is_empty().then_some(()));
        // Either none, or one that is whole.
        if out.join("record.json").exists() {
            read_record(out).unwrap_or_else(|error| panic!("moment {moment}: {error}"));
            records += 1;
        }
        left_behind += entries(private.path(), "dlsoak-").len();
    }
    // Else nothing was tested.
    assert!(records > 0 && left_behind > 0, "{records} records, {left_behind} directories");
    for (args, out) in kinds.iter().zip(&outs) {
        start(&mark, private.path(), out.path(), args).wait().unwrap();
        assert_eq!(entries(out.path(), ".dlsoak-"), Vec::<String>::new());
    }
    assert_eq!(entries(private.path(), ""), Vec::<String>::new());
}

#[test]
fn a_run_that_was_stopped_for_a_while_is_not_taken_for_hung() {
    let out = tempfile::tempdir().unwrap();
    let private = tempfile::tempdir().unwrap();
    let mark = format!("stopped-{}", std::process::id());
    let library = fixture("c-limit-time");
    let args = [library.to_str().unwrap(), "-c", "fibonacci(1)", "-n", "60", "--stall-timeout", "3s"];
    let mut child = start(&mark, private.path(), out.path(), &args);
    until("supervisor, keeper and worker run", || (marked(&mark).len() >= 3).then_some(()));
    // As a machine that is suspended, or a debugger would: all of it, for longer than the stall timeout.
    let all = marked(&mark);
    let send = |signal| all.iter().for_each(|pid| kill(Pid::from_raw(*pid), signal).unwrap_or_default());
    send(Signal::SIGSTOP);
    std::thread::sleep(Duration::from_millis(4000));
    send(Signal::SIGCONT);
    child.wait().unwrap();
    let run = read_record(out.path()).unwrap();
    assert_eq!(
        run.soaks[0].outcome.kind,
        dlsoak::record::OutcomeKind::Completed,
        "{:?}",
        run.soaks[0].outcome
    );
}
