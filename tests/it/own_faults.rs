//! What can go wrong around the supervisor itself: nobody reads its output, its disk is full, its file is replaced.

use dlsoak::record::{OutcomeKind, Run};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::{copy_program, dlsoak, fixture, libc, read_record, until};

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn nobody_needs_to_read_the_output() {
    for format in ["human", "json"] {
        let out = tempfile::tempdir().unwrap();
        let mut child = dlsoak()
            .args(["run", "--message-format", format, "-n", "50"])
            .arg(fixture("c-clean"))
            .arg("-o")
            .arg(out.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // As `| head -0` would, before anything is written.
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let run = read_record(out.path()).unwrap();
        assert_eq!(run.soaks[0].outcome.kind, OutcomeKind::Completed);
        // Too few cycles for a verdict; what counts is that it is the verdict that makes the exit code.
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert_eq!(stderr(&output), "");
    }
}

#[test]
fn a_directory_that_cannot_be_written_to_is_found_before_the_run() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    // Below a file, and in a file system that nobody can write to.
    for out in [dir.path().join("file/out"), Path::new("/proc/dlsoak").to_path_buf()] {
        let output =
            dlsoak().args(["run", "-n", "1G", "-o"]).arg(&out).arg(fixture("c-clean")).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(&*out.to_string_lossy()) && said.contains("--out"), "{said}");
    }
}

/// Runs four soaks; as soon as the first is in the record, does `what`. The last one opens a pipe that nobody reads until then, so that
/// the run can't end before.
fn run_and(out: &Path, program: &mut Command, what: impl FnOnce()) -> Output {
    let place = tempfile::tempdir().unwrap();
    let (suite, pipe) = (place.path().join("four.toml"), place.path().join("pipe"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut text = "[defaults]\ncycles = 500\n".to_owned();
    for number in 1..4 {
        text += &format!("[[library]]\nname = 'c{number}'\npath = {:?}\n", fixture("c-clean"));
    }
    text += &format!("[[library]]\npath = {:?}\ncycles = 1\nwarmup = 0\nstall-timeout = '10m'\n", libc());
    text += &format!("call = 'open(\"{}\", {})'\n", pipe.display(), libc::O_WRONLY);
    std::fs::write(&suite, text).unwrap();
    program.arg("run").arg(&suite).arg("-o").arg(out).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn().unwrap();
    until("a first record", || {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it had written a record");
        out.join("record.json").exists().then_some(())
    });
    what();
    let _reader = std::fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&pipe).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_record_that_cannot_be_written_any_more_goes_elsewhere() {
    for has_tmpdir in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let (out, tmpdir, home) = (dir.path().join("out"), dir.path().join("tmp"), dir.path().join("home"));
        std::fs::create_dir(&home).unwrap();
        if has_tmpdir {
            std::fs::create_dir(&tmpdir).unwrap();
        }
        let mut program = dlsoak();
        program.env("TMPDIR", &tmpdir).env("HOME", &home);
        let output = run_and(&out, &mut program, || {
            // Also while it is written to: what is in it may come again.
            while std::fs::remove_dir_all(&out).is_err() {}
        });
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        let place = if has_tmpdir { &tmpdir } else { &home };
        let left = names(place);
        assert!(left.len() == 1 && left[0].starts_with("dlsoak-record-"), "{left:?} {said}");
        let path = place.join(&left[0]);
        assert!(said.contains(&*path.to_string_lossy()) && said.contains("record.json"), "{said}");
        let run: Run = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(run.soaks.len(), 4);
        assert!(!out.exists());
    }
}

#[test]
fn a_full_disk_is_an_error_and_leaves_no_half_of_a_record() {
    use std::os::unix::process::CommandExt as _;

    let dir = tempfile::tempdir().unwrap();
    let (out, other) = (dir.path().join("out"), dir.path().join("other"));
    std::fs::create_dir(&other).unwrap();
    let mut program = dlsoak();
    program.env("TMPDIR", &other).env("HOME", &other);
    program.args(["run", "-n", "10k", "--checkpoints", "10k", "-o"]).arg(&out).arg(fixture("c-clean"));
    // No file may be longer than that, as on a disk with that much left. What the processes share is not, and a record of 10,000
    // checkpoints is.
    // SAFETY: setrlimit is async-signal-safe, and nothing else is done.
    unsafe {
        program.pre_exec(|| {
            nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_FSIZE, 800_000, 800_000)?;
            Ok(())
        });
    }
    let output = program.output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said} {}", output.status);
    assert!(said.contains("record.json") && said.contains("TMPDIR"), "{said}");
    // What was measured up to an earlier checkpoint may be there, and is whole.
    assert!(names(&other).is_empty(), "{:?}", names(&other));
    for name in if out.exists() { names(&out) } else { Vec::new() } {
        assert_eq!(name, "record.json");
        read_record(&out).unwrap();
    }
}

#[test]
fn a_program_that_is_replaced_while_it_runs_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (program, out) = (dir.path().join("dlsoak"), dir.path().join("out"));
    copy_program(Path::new(env!("CARGO_BIN_EXE_dlsoak")), &program);
    let output = run_and(&out, Command::new(&program).arg("-q"), || {
        // As an installer does: another file of the same name, and then none.
        std::fs::write(dir.path().join("new"), "no program").unwrap();
        std::fs::rename(dir.path().join("new"), &program).unwrap();
    });
    let run = read_record(&out).unwrap();
    let ends: Vec<_> = run.soaks.iter().map(|soak| soak.outcome.kind).collect();
    assert_eq!(ends, [OutcomeKind::Completed; 4], "{}", stderr(&output));
}
