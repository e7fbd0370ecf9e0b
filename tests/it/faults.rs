//! What the machine lacks, and what is not there, is an error: exit code 2, one line that says what to do, and nothing left behind. It is
//! no verdict on the library.

use std::path::{Path, PathBuf};
use std::process::Output;

use dlsoak::record::Code;

use crate::support::{dlsoak, fixture, has, lack, read_record};
use crate::surroundings::{Place, command, where_nothing_in_tmpdir_is_executed};

/// Requires that a run ended as a fault, and says this.
pub(crate) fn is_fault(output: &Output, part: &str) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(errors.contains(part) && errors.lines().count() == 1, "{errors}");
    assert!(output.stdout.is_empty(), "{output:?}");
}

/// Runs `dlsoak` with these arguments in an empty directory, requires a fault, and that the directory is empty after it.
fn fault(args: &[&str], part: &str) {
    let directory = tempfile::tempdir().unwrap();
    for out in [&[][..], &["-o", "out"]] {
        let output = dlsoak().args(args).args(out).current_dir(directory.path()).output().unwrap();
        is_fault(&output, part);
        let left: Vec<_> =
            std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [] as [PathBuf; 0], "{args:?}");
    }
}

#[test]
fn a_file_that_is_not_there_is_no_verdict() {
    let clean = fixture("c-clean");
    let clean = clean.to_str().unwrap();
    for verb in ["run", "trace", "verify"] {
        fault(&[verb, "no/such.so"], "no/such.so: there is no such library");
        fault(&[verb, clean, "--exercise", "no/driver.so:f"], "no/driver.so: there is no such driver");
    }
    // A shell leaves a pattern as it is where nothing matches.
    fault(&["run", "plugins/*.so"], "plugins/*.so: no file matches this pattern");
    fault(&["run", clean, "no/such.so", "-n", "100"], "no/such.so: there is no such library");
    let driver = format!("{}:no_such_function", fixture("c-driver").display());
    fault(&["run", clean, "--exercise", &driver, "-n", "100"], "no_such_function");
}

#[test]
fn what_was_measured_before_a_fault_is_kept() {
    let place = Place::new();
    let clean = place.path().join("libclean.so");
    let broken = format!(
        "[defaults]\ncycles = 200\n[[library]]\npath = {clean:?}\n[[library]]\nname = 'other'\npath = {clean:?}\n\
         exercise = '{}:drive'\n",
        place.path().join("driver.so").display()
    );
    // It is there, and can't be loaded.
    std::fs::write(place.path().join("driver.so"), "no library").unwrap();
    let suite = place.path().join("suite.toml");
    std::fs::write(&suite, broken).unwrap();
    let out = place.path().join("out");
    let output = dlsoak().arg("run").arg(&suite).arg("-o").arg(&out).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("the exercise can't be loaded"), "{output:?}");
    let run = read_record(&out).unwrap();
    assert_eq!((run.soaks.len(), run.soaks[0].cycles.completed, run.passed), (1, 200, false));
}

#[test]
fn copies_need_a_directory_that_can_be_written_and_executed() {
    let clean = fixture("c-clean");
    let directory = tempfile::tempdir().unwrap();
    for more in [&["-t", "2"][..], &["--mode", "copies"]] {
        let mut run = dlsoak();
        run.arg("run").arg(&clean).args(["-n", "100"]).args(more).current_dir(directory.path());
        is_fault(&run.env("TMPDIR", "/no/such/directory").output().unwrap(), "TMPDIR");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
    let place = Place::new();
    let mut words = place.soak();
    words.extend(["--mode", "copies"].map(PathBuf::from));
    if let Some(mut noexec) = where_nothing_in_tmpdir_is_executed(&place, &words) {
        is_fault(&noexec.output().unwrap(), "mounted noexec");
        assert!(!place.path().join("out").exists());
    }
}

/// The words of a soak by a program that is refused a system call.
fn refused(place: &Place, call: &str, errno: i32, more: &[&str]) -> Vec<PathBuf> {
    let mut words = vec![place.build("refuse"), PathBuf::from(call), PathBuf::from(errno.to_string())];
    words.extend(place.soak());
    words.extend(more.iter().map(PathBuf::from));
    words
}

#[test]
fn a_sandbox_that_can_not_be_had_is_an_error_unless_less_will_do() {
    let place = Place::new();
    let words = |more: &[&str]| refused(&place, "landlock_create_ruleset", libc::ENOSYS, more);
    is_fault(&command(&words(&["--sandbox"])).output().unwrap(), "--sandbox: this kernel has no Landlock");
    assert!(!place.path().join("out").exists());
    let output = command(&words(&["--sandbox=best-effort"])).output().unwrap();
    // Without Landlock there is still a namespace without a network, where the system allows one.
    if output.status.code() == Some(2) {
        is_fault(&output, "--sandbox can't be applied");
        lack("--sandbox=best-effort without Landlock", "the system refuses a network namespace");
    } else {
        let sandbox = read_record(&place.path().join("out")).unwrap().soaks[0].sandbox.clone().unwrap();
        assert!(!sandbox.missing.is_empty(), "{sandbox:?}");
    }
}

#[test]
fn a_process_that_can_not_be_watched_is_told_on_the_terminal() {
    let place = Place::new();
    let output = command(&refused(&place, "ptrace", libc::EPERM, &[])).output().unwrap();
    let run = read_record(&place.path().join("out")).unwrap();
    assert!(has(&run.soaks[0], Code::Unwatched), "{:?}", run.soaks[0].judged.findings);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("can't watch the process with ptrace"), "{text}");
}

#[test]
fn without_proc_nothing_is_measured() {
    let place = Place::new();
    let root = nix::unistd::getuid().is_root();
    let user: &[&str] = if root { &["-m"] } else { &["-rm"] };
    let hide = "umount -l /proc 2>/dev/null || mount -t tmpfs none /proc";
    let can = command(&[Path::new("unshare").to_owned()]).args(user).args(["sh", "-c", hide]).output();
    if !can.as_ref().is_ok_and(|output| output.status.success()) {
        lack("a system without /proc", &format!("there is no mount namespace: {can:?}"));
        return;
    }
    let mut hidden = command(&[PathBuf::from("unshare")]);
    hidden.args(user).args(["sh", "-c", &format!("{hide}; exec \"$@\""), "sh"]).args(place.soak());
    is_fault(&hidden.output().unwrap(), "/proc is not mounted");
    assert!(!place.path().join("out").exists());
}
