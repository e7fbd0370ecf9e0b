//! A process that runs already, seen through `/proc/PID` alone: nothing in it changes, and the right to read these files is enough.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use procfs::ProcError;
use procfs::process::{MMPermissions, MMapPath, MemoryMap, Process};

use super::census::{Census, Point};
use super::watch_error::WatchError;
use crate::elf;
use crate::fault::Fault;
use crate::record::{Attached, MappedLibrary, OverTime, OverTimeColumn};
use crate::sampling::Sampler;

/// How long the shortest wait for an interruption is.
const PAUSE: Duration = Duration::from_millis(50);

/// Reads what a process has mapped, and then for this time, at the end of each step, what it uses.
///
/// # Errors
/// When there is no such process, or this user may not read its files.
pub fn attach(
    pid: i32,
    time: Duration,
    every: Duration,
    interrupted: &AtomicBool,
) -> Result<Attached, Fault> {
    let denied = |error: ProcError| match error {
        ProcError::PermissionDenied(_) => Fault::new(WatchError::NotOurs(pid)),
        ProcError::NotFound(_) => Fault::new(WatchError::NoProcess(pid)),
        other => Fault::new(format!("process {pid}: {other}")),
    };
    let process = Process::new(pid).map_err(denied)?;
    let command = process.cmdline().map_err(denied)?;
    let maps: Vec<MemoryMap> = process.maps().map_err(denied)?.into_iter().collect();
    let sampler = Sampler::new(pid).map_err(denied)?;
    let root = PathBuf::from(format!("/proc/{pid}/root"));
    let mapped = libraries(&maps).into_iter().map(|library| with_facts(library, &root)).collect();
    let (began, mut census, mut kinds) = (Instant::now(), Census::default(), Vec::new());
    loop {
        let elapsed = began.elapsed();
        // What ends meanwhile was seen up to then.
        let Ok(sample) = sampler.sample() else { break };
        let of_kinds = sampler.kinds(|_| false).map(crate::sampling::Kinds::figures).unwrap_or_default();
        kinds.push(std::iter::once(census.len()).chain(of_kinds).map(u64::cast_signed).collect());
        census.add(Point { elapsed, loads: BTreeMap::new(), sample, alive: None }, None);
        if elapsed >= time || interrupted.load(Relaxed) {
            break;
        }
        let next = (elapsed + every).min(time);
        while began.elapsed() < next && !interrupted.load(Relaxed) {
            std::thread::sleep(PAUSE.min(next.saturating_sub(began.elapsed())));
        }
    }
    let columns = std::iter::once(OverTimeColumn::Cycle).chain(OverTimeColumn::KINDS).collect();
    Ok(Attached {
        pid: pid.unsigned_abs(),
        command,
        seconds: began.elapsed().as_secs_f64(),
        mapped,
        checkpoints: census.of_host(),
        resident_by_kind: OverTime { columns, rows: kinds },
    })
}

/// The files that are mapped as code, by path.
fn libraries(maps: &[MemoryMap]) -> Vec<MappedLibrary> {
    const DELETED: &str = " (deleted)";
    let mut found: BTreeMap<String, MappedLibrary> = BTreeMap::new();
    for map in maps.iter().filter(|map| map.perms.contains(MMPermissions::EXECUTE)) {
        let MMapPath::Path(path) = &map.pathname else { continue };
        let text = path.to_string_lossy().into_owned();
        let (path, deleted) = match text.strip_suffix(DELETED) {
            Some(path) => (path.to_owned(), true),
            None => (text, false),
        };
        let library =
            found.entry(path.clone()).or_insert_with(|| MappedLibrary { path, ..MappedLibrary::default() });
        library.copies += 1;
        library.deleted += u64::from(deleted);
    }
    found.into_values().collect()
}

/// The same with what its file says, as the process itself would find it.
fn with_facts(library: MappedLibrary, root: &Path) -> MappedLibrary {
    let file = root.join(library.path.trim_start_matches('/'));
    let facts = (library.deleted == 0).then(|| elf::facts_of(&file)).flatten();
    let stays = facts.map(|facts| elf::predictions(&facts)).unwrap_or_default();
    MappedLibrary { stays, ..library }
}
