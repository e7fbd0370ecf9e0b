//! A process that runs already: what the kernel reports of its mappings, where it may, and what `/proc/PID` shows. Nothing in it changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use procfs::ProcError;
use procfs::process::{MMPermissions, MMapPath, MemoryMap, Process};

use super::areas::{Areas, Counts, FileId, Told};
use super::census::{Census, Point};
use super::kernel::{Kernel, paranoid, raise_descriptors};
use super::steps::{Stepped, Stepper};
use super::watch_error::WatchError;
use super::{PAUSE, Plan};
use crate::elf;
use crate::fault::Fault;
use crate::record::{Attached, LoadCounts, MappedLibrary};
use crate::sampling::Sampler;

/// How often what was counted is compared with `/proc/PID/maps`, until nothing is mapped meanwhile.
const COMPARISONS: usize = 10;

/// Counts what a process loads and unloads, and reads at the end of each step what it uses.
///
/// # Errors
/// When there is no such process, or this user may not read its files.
pub fn attach(pid: i32, plan: &Plan, interrupted: &AtomicBool) -> Result<Attached, Fault> {
    let denied = |error: ProcError| match error {
        ProcError::PermissionDenied(_) => Fault::new(WatchError::NotOurs(pid)),
        // With `hidepid` the files of other users' processes seem not to be there.
        ProcError::NotFound(_) if kill(Pid::from_raw(pid), None) == Err(Errno::EPERM) => {
            Fault::new(WatchError::Hidden(pid))
        }
        ProcError::NotFound(_) => Fault::new(WatchError::NoProcess(pid)),
        other => Fault::new(format!("process {pid}: {other}")),
    };
    let process = Process::new(pid).map_err(denied)?;
    let command = process.cmdline().map_err(denied)?;
    process.maps().map_err(denied)?;
    let sampler = Sampler::new(pid).map_err(denied)?;
    raise_descriptors();
    let (mut kernel, counted) = match Kernel::attach(pid) {
        Ok(kernel) if kernel.sees_unloads() => (Some(kernel), LoadCounts::Events {}),
        Ok(kernel) => (Some(kernel), LoadCounts::Mappings {}),
        Err(error) => (None, LoadCounts::None { error: error.to_string(), paranoid: paranoid() }),
    };
    if let (LoadCounts::None { error, .. }, Some(_)) = (&counted, plan.loads) {
        return Err(Fault::new(WatchError::NotCounted(error.clone())));
    }
    // After the kernel was asked, so that nothing is missing in between.
    if let Some(kernel) = &mut kernel {
        kernel.begin_now();
    }
    let began = mapped(&process).map_err(denied)?;
    let areas = Areas::new(pid, counted == LoadCounts::Events {}, began.iter().map(|code| code.told(pid)));
    let mut watched = Watched { process, sampler, kernel, areas, began, census: Census::default() };
    let seconds = watched.run(pid, plan, interrupted)?;
    let (lost, now) = watched.settle();
    let Watched { areas, began, census, .. } = watched;
    Ok(Attached {
        pid: pid.unsigned_abs(),
        command,
        seconds,
        lost,
        execs: areas.execs,
        children: areas.children.len() as u64,
        child_loads: areas.child_loads,
        mapped: libraries(&areas, &counted, &began, now.as_deref(), pid),
        counted,
        checkpoints: census.of_host(),
        resident_by_kind: census.kinds(),
    })
}

/// A process that is watched.
struct Watched {
    process: Process,
    sampler: Sampler,
    kernel: Option<Kernel>,
    areas: Areas,
    /// What was mapped in the beginning.
    began: Vec<Code>,
    census: Census,
}

impl Watched {
    /// Watches until the time is over, the loads are there, the process has ended, or the person interrupts; for how many seconds.
    fn run(&mut self, pid: i32, plan: &Plan, interrupted: &AtomicBool) -> Result<f64, Fault> {
        let began = Instant::now();
        let (mut stepper, mut moved) = (Stepper::new(plan.steps.clone(), began), began);
        self.take_census(began.elapsed());
        loop {
            self.hear();
            let now = Instant::now();
            if self.areas.has_moved() {
                moved = now;
            }
            let enough = plan.loads.is_some_and(|loads| self.areas.most_loads() >= loads);
            let over = plan.time.is_some_and(|time| began.elapsed() >= time);
            if enough || over || interrupted.load(Relaxed) || !self.process.is_alive() {
                break;
            }
            match stepper.step(pid, now - moved, now) {
                Ok(Stepped::Over) => self.take_census(began.elapsed()),
                Ok(Stepped::No) => {}
                // A process that has just ended hears no action.
                Err(_) if !self.process.is_alive() => break,
                Err(error) => return Err(Fault::new(error)),
            }
            std::thread::sleep(PAUSE);
        }
        self.take_census(began.elapsed());
        Ok(began.elapsed().as_secs_f64())
    }

    fn hear(&mut self) {
        let told = self.kernel.as_mut().map(Kernel::told).unwrap_or_default();
        told.into_iter().for_each(|told| self.areas.heard(told));
    }

    fn take_census(&mut self, elapsed: Duration) {
        // What ends meanwhile was seen up to then.
        let Ok(sample) = self.sampler.sample() else { return };
        let kinds = self.sampler.kinds(|_| false).unwrap_or_default();
        self.census.add(Point { elapsed, sample, kinds, ..Point::default() }, None);
    }

    /// Hears the rest, and compares the count with what is mapped: what was lost, and what is mapped now if the process is still there.
    fn settle(&mut self) -> (u64, Option<Vec<Code>>) {
        let mut now = None;
        for _ in 0..COMPARISONS {
            self.hear();
            self.areas.has_moved();
            now = mapped(&self.process).ok().filter(|mapped| !mapped.is_empty());
            // All that came before the first is there after the second.
            for _ in 0..2 {
                std::thread::sleep(PAUSE);
                self.hear();
            }
            if now.is_none() || !self.areas.has_moved() {
                break;
            }
        }
        // One that is still moving can't be compared.
        let still = now.as_ref().filter(|_| self.kernel.as_ref().is_some_and(Kernel::sees_unloads));
        let differs = match still {
            Some(now) if !self.areas.has_moved() => {
                let (counted, seen) = (self.areas.copies(), copies(now));
                let paths: BTreeSet<&str> = counted.keys().chain(seen.keys()).copied().collect();
                let of = |from: &BTreeMap<&str, u64>, path: &str| from.get(path).copied().unwrap_or(0);
                paths.into_iter().map(|path| of(&counted, path).abs_diff(of(&seen, path))).sum()
            }
            _ => 0,
        };
        (self.areas.lost + differs, now)
    }
}

/// A mapping of code.
#[derive(Debug, Clone)]
struct Code {
    range: (u64, u64),
    offset: u64,
    file: FileId,
    path: String,
    deleted: bool,
    /// Whether it is the first code of its file.
    first: bool,
}

impl Code {
    fn told(&self, pid: i32) -> Told {
        let (start, end) = self.range;
        Told::Mapped { pid, start, end, offset: self.offset, file: self.file, path: self.path.clone() }
    }
}

/// What a process has mapped as code.
fn mapped(process: &Process) -> Result<Vec<Code>, ProcError> {
    const DELETED: &str = " (deleted)";
    let code = |map: MemoryMap| {
        let MMapPath::Path(path) = &map.pathname else { return None };
        let text = path.to_string_lossy().into_owned();
        let (path, deleted) =
            text.strip_suffix(DELETED).map_or((text.clone(), false), |path| (path.to_owned(), true));
        let device = (map.dev.0.unsigned_abs(), map.dev.1.unsigned_abs());
        let file = FileId { device, inode: map.inode };
        map.perms.contains(MMPermissions::EXECUTE).then_some(Code {
            range: map.address,
            offset: map.offset,
            file,
            path,
            deleted,
            first: false,
        })
    };
    let mut all: Vec<Code> = process.maps()?.into_iter().filter_map(code).collect();
    let mut first: HashMap<FileId, u64> = HashMap::new();
    for code in &all {
        let offset = first.entry(code.file).or_insert(code.offset);
        *offset = code.offset.min(*offset);
    }
    for code in &mut all {
        code.first = first.get(&code.file) == Some(&code.offset);
    }
    Ok(all)
}

/// How often each file is mapped.
fn copies(mapped: &[Code]) -> BTreeMap<&str, u64> {
    let mut copies = BTreeMap::new();
    for code in mapped.iter().filter(|code| code.first) {
        *copies.entry(code.path.as_str()).or_default() += 1;
    }
    copies
}

/// The files that were mapped as code, by path; `now` is what is mapped at the end, unless the process has ended.
fn libraries(
    areas: &Areas,
    counted: &LoadCounts,
    began: &[Code],
    now: Option<&[Code]>,
    pid: i32,
) -> Vec<MappedLibrary> {
    let root = PathBuf::from(format!("/proc/{pid}/root"));
    let (before, after) = (copies(began), now.map(copies));
    let of = |from: &BTreeMap<&str, u64>, path: &str| from.get(path).copied().unwrap_or(0);
    let known = before.keys().chain(after.iter().flat_map(BTreeMap::keys)).copied();
    let paths: BTreeSet<&str> = known.chain(areas.counts.keys().map(String::as_str)).collect();
    let library = |path: &str| {
        let Counts { loads, unloads } = areas.counts.get(path).copied().unwrap_or_default();
        let copies = of(after.as_ref().unwrap_or(&before), path);
        let deleted =
            now.unwrap_or(began).iter().filter(|code| code.first && code.deleted && code.path == path);
        let unloads = match counted {
            LoadCounts::Events {} => unloads,
            // What was there or was loaded, and is not there any more.
            LoadCounts::Mappings {} => (of(&before, path) + loads).saturating_sub(copies),
            LoadCounts::None { .. } => 0,
        };
        let deleted = deleted.count() as u64;
        let facts = (deleted == 0).then(|| elf::facts_of(&in_root(&root, path))).flatten();
        let stays = facts.map(|facts| elf::predictions(&facts)).unwrap_or_default();
        MappedLibrary { path: path.to_owned(), loads, unloads, copies, deleted, stays }
    };
    paths.into_iter().map(library).collect()
}

/// A file as the process itself would find it, unless that has ended.
fn in_root(root: &Path, path: &str) -> PathBuf {
    if root.exists() { root.join(path.trim_start_matches('/')) } else { PathBuf::from(path) }
}
