//! Runs what is measured to its end: how it ended, what it said, how long the whole process took and what memory it had.

use std::io::{ErrorKind, Read, Seek};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// How long one turn may take before it is ended. None takes nearly as long on a machine that works.
const LONGEST: Duration = Duration::from_secs(600);

/// How often it is looked at a process whose memory is wanted.
const LOOK: Duration = Duration::from_millis(2);

/// A process that has ended.
#[derive(Debug, Default)]
pub(super) struct Ran {
    /// Its exit code; none where a signal ended it.
    pub(super) code: Option<i32>,
    /// What it wrote to standard output.
    pub(super) stdout: String,
    /// What it wrote to standard error.
    pub(super) stderr: String,
    /// From before it was started until it was gone.
    pub(super) wall: Duration,
    /// Most resident memory of the process itself, in kB; 0 where it was not followed.
    pub(super) peak_kb: u64,
    /// The same of the largest of the processes that those which it started have started: of a soak, its worker.
    pub(super) peak_below_kb: u64,
    /// Most memory, in kB, that one of those had and no other process had a part in.
    pub(super) private_below_kb: u64,
}

/// Runs a command to its end; `None` where there is no such program.
pub(super) fn run(command: &mut Command) -> Result<Option<Ran>> {
    carry_out(command, false)
}

/// The same, with the memory that it and those below it had. Looking costs time of its own.
pub(super) fn followed(command: &mut Command) -> Result<Option<Ran>> {
    carry_out(command, true)
}

fn carry_out(command: &mut Command, follow: bool) -> Result<Option<Ran>> {
    // Files and no pipes: nobody has to read while it runs.
    let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(err.try_clone()?);
    let began = Instant::now();
    let mut child = match command.spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        child => child.with_context(|| format!("cannot run {command:?}"))?,
    };
    let mut ran = Ran::default();
    let status = if follow {
        loop {
            let process = child.id();
            ran.peak_kb = ran.peak_kb.max(peak(process));
            // What it starts is a keeper, which starts the worker. Before it becomes one, a new process is as large as its parent.
            let below: Vec<u32> = children(process).into_iter().flat_map(children).collect();
            let most = |figure: fn(u32) -> u64| below.iter().map(|of| figure(*of)).max().unwrap_or(0);
            ran.peak_below_kb = ran.peak_below_kb.max(most(peak));
            ran.private_below_kb = ran.private_below_kb.max(most(private));
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if began.elapsed() > LONGEST {
                child.kill()?;
            }
            std::thread::sleep(LOOK);
        }
    } else {
        child.wait()?
    };
    ran.wall = began.elapsed();
    ran.code = status.code();
    ran.stdout = text(&mut out)?;
    ran.stderr = text(&mut err)?;
    Ok(Some(ran))
}

fn text(file: &mut std::fs::File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The largest resident size that a process ever had, in kB; 0 where it is gone.
fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    kilobytes(&status, "VmHWM:").unwrap_or(0)
}

/// What no other process has a part in, in kB; 0 where it is gone.
fn private(process: u32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
    ["Private_Clean:", "Private_Dirty:"].iter().filter_map(|name| kilobytes(&rollup, name)).sum()
}

/// A figure in kB of a text as `/proc/PID/status` and `smaps_rollup` are.
pub(super) fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches(" kB").trim().parse().ok()
}

/// The processes that one has started.
fn children(process: u32) -> Vec<u32> {
    let path = format!("/proc/{process}/task/{process}/children");
    let children = std::fs::read_to_string(path).unwrap_or_default();
    children.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_by_its_end_and_its_words() {
        let ran = run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"])).unwrap().unwrap();
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(3), "out\n", "err\n"));
        assert!(ran.wall > Duration::ZERO && ran.peak_kb == 0);
        assert!(run(&mut Command::new("no-such-program-here")).unwrap().is_none());
        let ran = followed(Command::new("sh").args(["-c", "(sleep 1; true) & wait"])).unwrap().unwrap();
        assert!(ran.peak_kb > 100 && ran.peak_below_kb > 100 && ran.private_below_kb > 0, "{ran:?}");
    }

    #[test]
    fn figures_are_found_by_their_names() {
        let text = "VmPeak:\t  100 kB\nVmHWM:\t    2048 kB\nThreads: 4\n";
        assert_eq!(kilobytes(text, "VmHWM:"), Some(2048));
        assert_eq!(kilobytes(text, "VmRSS:"), None);
    }
}
