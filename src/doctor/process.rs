//! Asks a program for its version or its settings, for seconds at most, and reads a bounded part of its answer. A program that
//! does not end in time is killed with everything that it started.

use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::record::checkup::Failure;
use crate::settings::units;

/// Time that a program has.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// Bytes of what it says.
const MOST: u64 = 256 * 1024;

/// Runs a program and returns what it wrote to standard output.
///
/// # Errors
/// How it failed.
pub(crate) fn output(program: &Path, args: &[&str]) -> Result<String, Failure> {
    within(program, args, PATIENCE)
}

fn within(program: &Path, args: &[&str], patience: Duration) -> Result<String, Failure> {
    let mut child = Command::new(program)
        .args(args)
        // In no directory whose go.mod or toolchain file would have other tools fetched.
        .current_dir("/")
        .env("LC_ALL", "C")
        .env("GOTOOLCHAIN", "local")
        .env("RUSTUP_AUTO_INSTALL", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| Failure::NotStarted { error: error.to_string() })?;
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or_default());
    let (stdout, stderr) = (collected(child.stdout.take()), collected(child.stderr.take()));
    let began = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if began.elapsed() < patience => std::thread::sleep(LOOK),
            _ => break None,
        }
    };
    // It may have children that hold the pipes open; until it is waited for, its group is nobody else's.
    let Some(status) = status else {
        let _ = killpg(group, Signal::SIGKILL);
        let _ = child.wait();
        return Err(Failure::NoAnswer { seconds: patience.as_secs() });
    };
    let text = |from: Receiver<Vec<u8>>| {
        let bytes = from.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let (stdout, stderr) = (text(stdout), text(stderr));
    if status.success() {
        return Ok(stdout);
    }
    let said = stderr.lines().chain(stdout.lines()).map(str::trim).find(|line| !line.is_empty());
    Err(match said {
        Some(line) => Failure::Message { line: units::elide(&units::printable(line), 200) },
        None => Failure::Status { exit_code: status.code() },
    })
}

/// Reads a pipe to its end in a thread of its own, and keeps the first so many bytes.
fn collected(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    if let Some(mut pipe) = pipe {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = Read::by_ref(&mut pipe).take(MOST).read_to_end(&mut bytes);
            let _ = sender.send(bytes);
            // So that it is not ended by a full pipe before it says how it went.
            let _ = std::io::copy(&mut pipe, &mut std::io::sink());
        });
    }
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Result<String, Failure> {
        within(Path::new("/bin/sh"), &["-c", script], Duration::from_secs(60))
    }

    fn endless(script: &str) -> Result<String, Failure> {
        within(Path::new("/bin/sh"), &["-c", script], Duration::from_millis(300))
    }

    #[test]
    fn a_program_answers_or_fails() {
        assert_eq!(sh("echo a; echo b >&2"), Ok("a\n".to_owned()));
        assert_eq!(sh("echo no >&2; exit 3"), Err(Failure::Message { line: "no".to_owned() }));
        assert_eq!(sh("exit 3"), Err(Failure::Status { exit_code: Some(3) }));
        assert_eq!(sh("kill -9 $$"), Err(Failure::Status { exit_code: None }));
        assert!(matches!(output(Path::new("/no/such"), &[]), Err(Failure::NotStarted { .. })));
    }

    #[test]
    fn one_that_does_not_end_or_never_stops_talking_is_ended() {
        assert_eq!(endless("sleep 60"), Err(Failure::NoAnswer { seconds: 0 }));
        assert_eq!(endless("cat /dev/zero"), Err(Failure::NoAnswer { seconds: 0 }));
        assert_eq!(sh("head -c 1000000 /dev/zero").map(|text| text.len()), Ok(256 * 1024));
    }
}
