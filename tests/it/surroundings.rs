//! The agent starts wherever dlsoak runs: where nothing in TMPDIR can be executed, where memfd is refused, in a directory that can't
//! be written, and as a user who owns nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dlsoak::record::{LoadCause, Metric, Resource, Run, Verdict};
use tempfile::TempDir;

use crate::faults::is_fault;
use crate::support::{DECIDED, copy_program, fixture, growth, lack, read_record};

/// The user and group that own nothing.
const NOBODY: u32 = 65534;

/// A directory that anyone can use, with the program and a library in it, since the places where they are built may be private.
pub(crate) struct Place {
    directory: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        copy_program(Path::new(env!("CARGO_BIN_EXE_dlsoak")), &place.path().join("dlsoak"));
        std::fs::copy(fixture("c-clean"), place.path().join("libclean.so")).unwrap();
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A program of `tests/data`, built.
    pub(crate) fn build(&self, name: &str) -> PathBuf {
        let source = xtask::fixtures::root().join(format!("tests/data/{name}.c"));
        let program = self.path().join(name);
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let status = Command::new(&compiler).arg(source).arg("-o").arg(&program).status();
        assert!(status.is_ok_and(|status| status.success()), "{} does not build {name}", compiler.display());
        program
    }

    /// The words of a soak whose record goes to `out`.
    pub(crate) fn soak(&self) -> Vec<PathBuf> {
        let mut words = vec![self.path().join("dlsoak")];
        words.extend(
            ["-q", "run", "-c", "fibonacci(20)"].into_iter().chain(DECIDED).chain(["-o"]).map(PathBuf::from),
        );
        words.extend([self.path().join("out"), self.path().join("libclean.so")]);
        words
    }

    fn record(&self, output: &Output) -> Run {
        read_record(&self.path().join("out")).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    /// Requires that the soak went as anywhere else.
    fn is_clean(&self, command: &mut Command) {
        let output = command.output().unwrap();
        let run = self.record(&output);
        assert_eq!(run.soaks[0].judged.verdict, Verdict::Clean, "{:?}", run.soaks[0]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}

/// Lets root become a user whom permissions bind.
fn as_nobody(command: &mut Command) {
    if nix::unistd::getuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
}

/// With a limit on what a user may have, which does not bind root.
#[test]
fn threads_that_run_out_hide_no_leak() {
    /// No account of this machine, so that nobody else has threads of it.
    const NEW: u32 = 54_321;
    for (name, runs_out) in [("c-threads", true), ("c-threads-joined", false)] {
        let place = Place::new();
        std::fs::copy(fixture(name), place.path().join("libclean.so")).unwrap();
        let mut soak = Command::new("prlimit");
        let [program, out, library] = ["dlsoak", "out", "libclean.so"].map(|name| place.path().join(name));
        soak.arg("--nproc=300")
            .arg(program)
            .args(["-q", "run", "-n", "1000"])
            .arg(library)
            .arg("-o")
            .arg(out);
        if nix::unistd::getuid().is_root() {
            soak.uid(NEW).gid(NEW);
        }
        let output = soak.output().unwrap();
        let soak = place.record(&output).soaks.remove(0);
        let ran_out: Vec<_> = soak.judged.exhausted.iter().map(|one| (one.resource, one.limit)).collect();
        let threads = growth(&soak, Metric::Threads).per_cycle;
        if runs_out {
            assert_eq!(ran_out, [(Resource::Threads, Some(300))], "{output:?}");
            assert_eq!((threads, soak.judged.verdict), (1.0, Verdict::Leak), "{:?}", soak.judged.findings);
        } else {
            assert_eq!(
                (ran_out, soak.judged.verdict),
                (vec![], Verdict::Clean),
                "{:?}",
                soak.judged.findings
            );
        }
    }
}

#[test]
fn a_file_that_may_not_be_read_is_told() {
    let place = Place::new();
    std::fs::set_permissions(place.path().join("libclean.so"), std::fs::Permissions::from_mode(0o000))
        .unwrap();
    let mut soak = command(&place.soak());
    as_nobody(&mut soak);
    let output = soak.output().unwrap();
    let run = place.record(&output);
    let LoadCause::BadFile { problem, .. } = &crate::support::failure(&run.soaks[0]).cause else {
        panic!("{:?}", run.soaks[0].outcome)
    };
    assert_eq!(run.soaks[0].judged.verdict, Verdict::LoadFailed);
    let reason = &dlsoak::report::summary::reasons(&run.soaks[0])[0].fact;
    assert!(reason.contains("Permission denied"), "{problem:?}: {reason}");
}

pub(crate) fn command(words: &[PathBuf]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

/// A command that runs another one with a TMPDIR in which nothing can be executed; `None` where no file system can be mounted here.
pub(crate) fn where_nothing_in_tmpdir_is_executed(place: &Place, words: &[PathBuf]) -> Option<Command> {
    let tmpdir = place.path().join("noexec");
    std::fs::create_dir(&tmpdir).unwrap();
    let mount = format!("mount -t tmpfs -o noexec none '{}'", tmpdir.display());
    let user: &[&str] = if nix::unistd::getuid().is_root() { &["-m"] } else { &["-rm"] };
    let can = Command::new("unshare").args(user).args(["sh", "-c", &mount]).output();
    if !can.as_ref().is_ok_and(|output| output.status.success()) {
        let why = can.map_or_else(
            |error| error.to_string(),
            |output| String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        lack("a mount namespace", &why);
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(user).args(["sh", "-c", &format!("{mount} && exec \"$@\""), "sh"]).args(words);
    command.env("TMPDIR", tmpdir);
    Some(command)
}

#[test]
fn a_soak_needs_no_place_to_execute_files_in() {
    let place = Place::new();
    if let Some(mut command) = where_nothing_in_tmpdir_is_executed(&place, &place.soak()) {
        place.is_clean(&mut command);
    }
}

/// The words of a soak by a program that is refused memfds.
fn without_memfd(place: &Place) -> Vec<PathBuf> {
    let refuse = ["memfd_create".to_owned(), libc::EPERM.to_string()].map(PathBuf::from);
    [place.build("refuse")].into_iter().chain(refuse).chain(place.soak()).collect()
}

#[test]
fn where_memfd_is_refused_the_agent_is_a_file() {
    let place = Place::new();
    let words = without_memfd(&place);
    place.is_clean(&mut command(&words));
    // The file has no name any more, and its directory is gone.
    let tmpdir = place.path().join("tmp");
    std::fs::create_dir(&tmpdir).unwrap();
    std::fs::remove_dir_all(place.path().join("out")).unwrap();
    place.is_clean(command(&words).env("TMPDIR", &tmpdir));
    assert_eq!(std::fs::read_dir(&tmpdir).unwrap().count(), 0);
}

#[test]
fn where_neither_is_to_be_had_the_way_out_is_named() {
    let place = Place::new();
    let words = without_memfd(&place);
    let Some(mut command) = where_nothing_in_tmpdir_is_executed(&place, &words) else { return };
    let output = command.output().unwrap();
    is_fault(&output, "TMPDIR");
    assert!(!place.path().join("out").exists());
}

#[test]
fn a_soak_needs_no_place_of_its_own() {
    let place = Place::new();
    let mut soak = command(&place.soak());
    // Nobody can write there, not even root.
    soak.current_dir("/proc");
    if nix::unistd::getuid().is_root() {
        as_nobody(&mut soak);
    } else {
        lack("a soak by another user", "only root can become one");
    }
    place.is_clean(&mut soak);
}
