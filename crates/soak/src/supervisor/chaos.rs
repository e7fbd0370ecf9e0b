//! Disturbs the worker while cycles run, as `--chaos` asks for. It is done by the one who waits for the worker, between
//! two looks at it, so that nothing is disturbed while it is parked and looked at.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::signal::{Signal, kill};
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};
use nix::unistd::Pid;

use crate::record::{Disturbance, Refusal};
use crate::sampling::Sampler;
use crate::settings::{Chaos, ChaosKind};
use crate::sys::pressure;

/// How long the worker is stopped each time.
const STOPPED: Duration = Duration::from_millis(20);

/// All that disturbs one worker.
#[derive(Debug, Default)]
pub(super) struct Disturber {
    all: Vec<One>,
    pid: i32,
    /// Files that the worker opens.
    files: Vec<PathBuf>,
    /// Time in which cycles ran, up to `since`: the rates count by it.
    clock: Duration,
    /// Cycles run since then; `None` while the worker is parked.
    since: Option<Instant>,
    /// How long the worker has been stopped within its cycles since it was last asked.
    stopped: Duration,
}

#[derive(Debug)]
struct One {
    chaos: Chaos,
    /// On the clock.
    due: Duration,
    times: u64,
    refused: Option<Refusal>,
    process: Option<OwnedFd>,
}

impl One {
    fn period(&self) -> Duration {
        Duration::from_secs(1) / self.chaos.hertz.max(1)
    }

    fn count(&mut self, done: Result<(), Refusal>) {
        match done {
            Ok(()) => self.times += 1,
            Err(why) => self.refused = Some(why),
        }
    }
}

impl Disturber {
    /// For the worker `pid`, whose threads open `files`.
    pub(super) fn new(all: &[Chaos], pid: i32, files: &[PathBuf]) -> Self {
        let one = |chaos: &Chaos| One {
            chaos: *chaos,
            due: Duration::ZERO,
            times: 0,
            refused: None,
            process: None,
        };
        let mut all: Vec<One> = all.iter().map(one).collect();
        for one in &mut all {
            one.due = one.period();
            if one.chaos.kind == ChaosKind::ColdCache {
                // What has not been written yet can't be dropped.
                one.refused = files.iter().find_map(|file| write_back(file).err());
            }
        }
        Self { all, pid, files: files.to_vec(), ..Self::default() }
    }

    /// Cycles begin. No file is mapped yet, so that all of it can be dropped from the page cache.
    pub(super) fn begin(&mut self) {
        for one in self.all.iter_mut().filter(|one| one.chaos.kind == ChaosKind::ColdCache) {
            if one.refused.is_none() {
                one.count(drop_pages(&self.files));
            }
        }
        self.since = Some(Instant::now());
    }

    /// The worker is parked or gone. Returns how long it was stopped within the cycles that it ran.
    pub(super) fn end(&mut self) -> Duration {
        if let Some(since) = self.since.take() {
            self.clock += since.elapsed();
        }
        std::mem::take(&mut self.stopped)
    }

    /// Time until there is something to do again.
    pub(super) fn next(&self) -> Option<Duration> {
        let now = self.clock + self.since?.elapsed();
        let due = self.all.iter().filter(|one| one.refused.is_none()).map(|one| one.due).min()?;
        Some(due.saturating_sub(now))
    }

    /// Does what is due; returns how long the worker was stopped for it. `is_parked` tells whether it has reached its
    /// quiet point.
    pub(super) fn act(&mut self, sampler: &Sampler, is_parked: &dyn Fn() -> bool) -> Duration {
        let Some(since) = self.since else { return Duration::ZERO };
        let mut stopped = Duration::ZERO;
        for one in &mut self.all {
            let now = self.clock + since.elapsed();
            if one.refused.is_some() || one.due > now {
                continue;
            }
            let done = match one.chaos.kind {
                ChaosKind::Signal(signal) => send(self.pid, signal),
                ChaosKind::Stop => {
                    let begin = Instant::now();
                    let done = send(self.pid, Signal::SIGSTOP);
                    std::thread::sleep(STOPPED);
                    let within = !is_parked();
                    let resumed = send(self.pid, Signal::SIGCONT);
                    stopped += begin.elapsed();
                    if within {
                        self.stopped += begin.elapsed();
                    }
                    done.and(resumed)
                }
                ChaosKind::MemoryPressure => page_out(&mut one.process, self.pid, sampler),
                ChaosKind::ColdCache => drop_pages(&self.files),
            };
            one.count(done);
            // What was missed is not made up for.
            one.due = self.clock + since.elapsed() + one.period();
        }
        stopped
    }

    /// What was done, for the record.
    pub(super) fn to_record(&self) -> Vec<Disturbance> {
        let record = |one: &One| Disturbance {
            what: one.chaos.to_string(),
            times: one.times,
            refused: one.refused.clone(),
        };
        self.all.iter().map(record).collect()
    }
}

fn send(pid: i32, signal: Signal) -> Result<(), Refusal> {
    match kill(Pid::from_raw(pid), signal) {
        // It has just ended, which the one who waits finds out by itself.
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(Refusal::NotSent { signal: signal.as_str().to_owned(), errno: error as i32 }),
    }
}

fn write_back(path: &Path) -> Result<(), Refusal> {
    let (name, file) = open(path)?;
    file.sync_all().map_err(|error| Refusal::NotWrittenBack { path: name, errno: errno(&error) })
}

/// Drops what no process has mapped at this moment.
fn drop_pages(files: &[PathBuf]) -> Result<(), Refusal> {
    for path in files {
        let (path, file) = open(path)?;
        if fstatfs(&file).is_ok_and(|system| system.filesystem_type() == TMPFS_MAGIC) {
            return Err(Refusal::Tmpfs { path });
        }
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)
            .map_err(|error| Refusal::NotDropped { path, errno: error as i32 })?;
    }
    Ok(())
}

/// The file, with its name for the record.
fn open(path: &Path) -> Result<(String, File), Refusal> {
    let name = path.to_string_lossy().into_owned();
    match File::open(path) {
        Ok(file) => Ok((name, file)),
        Err(error) => Err(Refusal::NotOpened { path: name, errno: errno(&error) }),
    }
}

/// What the kernel answered; only a path that can't be one has no answer of the kernel's.
fn errno(error: &std::io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EINVAL)
}

/// Has the kernel reclaim what the worker has mapped.
fn page_out(process: &mut Option<OwnedFd>, pid: i32, sampler: &Sampler) -> Result<(), Refusal> {
    let refusal = |error: std::io::Error| Refusal::NotReclaimed { errno: errno(&error) };
    if process.is_none() {
        *process = Some(pressure::open_process(pid).map_err(refusal)?);
    }
    let Some(process) = process else { return Ok(()) };
    let mut refused = None;
    let mut done = false;
    // One by one: a mapping that is gone meanwhile, or that can't be reclaimed, is no matter for the others.
    for range in sampler.ranges() {
        match pressure::page_out(process, &[range]) {
            Ok(()) => done = true,
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(()),
            Err(error) => refused = Some(error),
        }
    }
    match refused {
        Some(error) if !done => Err(refusal(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler() -> Sampler {
        Sampler::new(nix::unistd::getpid().as_raw()).unwrap()
    }

    #[test]
    fn nothing_is_done_while_the_worker_is_parked() {
        let chaos = ["signal:SIGCHLD@10kHz".parse().unwrap()];
        let mut disturber = Disturber::new(&chaos, nix::unistd::getpid().as_raw(), &[]);
        std::thread::sleep(Duration::from_millis(2));
        disturber.act(&sampler(), &|| false);
        assert_eq!((disturber.to_record()[0].times, disturber.next()), (0, None));
        disturber.begin();
        assert!(disturber.next().unwrap() <= Duration::from_micros(100));
        std::thread::sleep(Duration::from_millis(2));
        disturber.act(&sampler(), &|| false);
        disturber.end();
        disturber.act(&sampler(), &|| false);
        assert_eq!(disturber.to_record()[0].times, 1, "what was missed is not made up for");
    }

    #[test]
    fn a_stop_counts_only_where_cycles_ran() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let mut disturber = Disturber::new(&["stop@20Hz".parse().unwrap()], pid, &[]);
        for (parked, counted) in [(true, false), (false, true)] {
            disturber.begin();
            std::thread::sleep(Duration::from_millis(60));
            assert!(disturber.act(&sampler(), &|| parked) >= STOPPED);
            assert_eq!(disturber.end() >= STOPPED, counted);
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn what_cannot_be_done_is_told_and_not_tried_again() {
        let missing = [PathBuf::from("/no/such/file")];
        let mut disturber = Disturber::new(&["cold-cache".parse().unwrap()], 1, &missing);
        disturber.begin();
        disturber.end();
        let done = disturber.to_record();
        let refused = Refusal::NotOpened { path: "/no/such/file".to_owned(), errno: libc::ENOENT };
        assert_eq!((done[0].times, &done[0].refused, disturber.next()), (0, &Some(refused), None));
    }
}
