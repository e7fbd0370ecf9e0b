//! The output directory of a run. It is made for this run or has been dlsoak's before, and it is locked while the run writes there, so
//! that neither a second run nor a mistyped name costs a record or a foreign file.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::records;
use crate::files::clean_temporary;

/// Where runs go of which nobody says where.
const REPORTS: &str = "reports";
/// The link in there to the newest of them.
const LATEST: &str = "latest";
/// The lock file. [`clean_temporary`] leaves it alone, because six letters follow in the names that it removes.
const LOCK: &str = ".dlsoak-lock";
/// Most bytes of a lock file that are read; ours have less than 400.
const LONGEST: u64 = 4096;
/// How often to try again, should other runs begin or end here at the same moment.
const TRIES: u32 = 16;

/// An output directory that this run holds.
#[derive(Debug)]
pub(super) struct Out {
    path: PathBuf,
    /// Whether this run made it.
    made: bool,
    /// Whether nobody named it.
    by_default: bool,
    lock: Lock,
}

impl Out {
    /// The directory that was named, or else `reports/NAME-TIME`. Of runs that begin in the same second, each gets its own.
    ///
    /// # Errors
    /// When the directory is foreign and not `force`d, when another run holds it, or when it can't be written to.
    pub(super) fn prepare(
        named: Option<&Path>,
        force: bool,
        name: &str,
        started: jiff::Timestamp,
    ) -> anyhow::Result<Self> {
        let (path, made) = if let Some(named) = named {
            (named.to_owned(), make(named).with_context(|| cannot("create", named))?)
        } else {
            let path = Path::new(REPORTS).join(format!("{name}-{}", started.strftime("%Y%m%dT%H%M%SZ")));
            (fresh(&path).with_context(|| cannot("create", &path))?, true)
        };
        if !made && !force && !is_ours(&path).with_context(|| cannot("read", &path))? {
            bail!(
                "the output directory {} has files, but no record of dlsoak; choose another with --out, or write there \
                 with --force",
                path.display()
            );
        }
        let lock = Lock::take(&path)?;
        clean_temporary(&path);
        Ok(Self { path, made, by_default: named.is_none(), lock })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        self.lock.release();
        if self.made {
            // A run that wrote nothing leaves nothing; a directory with files stays.
            let empty = std::fs::remove_dir(&self.path).is_ok();
            if self.by_default && empty {
                let _ = std::fs::remove_dir(REPORTS);
            } else if self.by_default {
                // A file system without links has none.
                let _ = link_latest(&self.path);
            }
        }
    }
}

/// Lets `latest` beside a directory lead to it, at every moment to one or the other. What is no link is not ours, and stays.
fn link_latest(directory: &Path) -> std::io::Result<()> {
    let (Some(parent), Some(name)) = (directory.parent(), directory.file_name()) else { return Ok(()) };
    let link = parent.join(LATEST);
    if link.symlink_metadata().is_ok_and(|there| !there.is_symlink()) {
        return Ok(());
    }
    let made = tempfile::Builder::new()
        .prefix(".dlsoak-")
        .make_in(parent, |path| std::os::unix::fs::symlink(name, path))?;
    made.into_temp_path().persist(link)?;
    Ok(())
}

fn cannot(what: &str, out: &Path) -> String {
    format!("cannot {what} the output directory {}; choose another with --out", out.display())
}

/// Makes this directory; false if it was there.
fn make(path: &Path) -> std::io::Result<bool> {
    make_parents(path)?;
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
        made => made.map(|()| true),
    }
}

fn make_parents(path: &Path) -> std::io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.map_or(Ok(()), std::fs::create_dir_all)
}

/// Makes this directory, or the first of `PATH-2`, `PATH-3` and so on that is not there.
fn fresh(path: &Path) -> std::io::Result<PathBuf> {
    make_parents(path)?;
    let (mut candidate, mut number) = (path.to_owned(), 1_u64);
    loop {
        match std::fs::create_dir(&candidate) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                number += 1;
                candidate = PathBuf::from(format!("{}-{number}", path.display()));
            }
            made => return made.map(|()| candidate),
        }
    }
}

/// Whether the directory is empty, or was written to by dlsoak.
fn is_ours(path: &Path) -> std::io::Result<bool> {
    if std::fs::read_dir(path)?.next().is_none() {
        return Ok(true);
    }
    let locked = File::open(path.join(LOCK)).is_ok_and(|mut file| Holder::read(&mut file).is_some());
    Ok(locked || records::is_record(&path.join("record.json")))
}

/// Who holds an output directory, as its lock file has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    host: String,
    pid: u32,
    /// Another one each time the machine starts.
    boot_id: String,
}

/// What the lock on a lock file shows, which goes with its process. Only processes of one kernel can rely on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flocked {
    Yes,
    No,
    /// The file system has no such locks.
    Unknown,
}

impl Holder {
    fn this() -> Self {
        let host = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self { host, pid: std::process::id(), boot_id: boot_id.trim().to_owned() }
    }

    fn read(file: &mut File) -> Option<Self> {
        let mut text = Vec::new();
        file.take(LONGEST).read_to_end(&mut text).ok()?;
        let holder: Self = serde_json::from_slice(&text).ok()?;
        // The name stands in an error of one line.
        (!holder.host.contains(char::is_control)).then_some(holder)
    }

    /// Whether the holder is gone, as `me` sees it.
    fn is_gone(&self, me: &Self, flocked: Flocked) -> bool {
        let alive = || Path::new(&format!("/proc/{}", self.pid)).exists();
        self.host == me.host
            && match flocked {
                Flocked::Yes => false,
                Flocked::No => true,
                Flocked::Unknown => self.boot_id != me.boot_id || !alive(),
            }
    }
}

/// The lock file of this run.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    file: File,
    /// Shows other runs on this machine that this process lives, also from another container, which can't see its number.
    _flock: Option<Flock<File>>,
}

impl Lock {
    fn take(dir: &Path) -> anyhow::Result<Self> {
        let (path, me) = (dir.join(LOCK), Holder::this());
        for _ in 0..TRIES {
            match Self::claim(dir, &path, &me) {
                Ok(lock) => return Ok(lock),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => remove_stale(dir, &path, &me)?,
                // Another run took the temporary file for left behind before it was locked.
                Err(error) if error.kind() == ErrorKind::NotFound && dir.is_dir() => {}
                Err(error) => return Err(error).with_context(|| cannot("write to", dir)),
            }
        }
        bail!("other runs of dlsoak use the output directory {}; choose another with --out", dir.display())
    }

    /// Writes the lock file elsewhere and gives it its name if there is none of that name, as O_EXCL would, also over NFS. Nobody
    /// meets it without its contents.
    fn claim(dir: &Path, path: &Path, me: &Holder) -> std::io::Result<Self> {
        let mut file = tempfile::Builder::new()
            .prefix(".dlsoak-")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(dir)?;
        let flock = match Flock::lock(file.as_file().try_clone()?, FlockArg::LockExclusiveNonblock) {
            Err((_, Errno::EWOULDBLOCK)) => return Err(ErrorKind::NotFound.into()),
            flock => flock.ok(),
        };
        file.write_all(&serde_json::to_vec(me)?)?;
        let file = file.persist_noclobber(path)?;
        Ok(Self { path: path.to_owned(), file, _flock: flock })
    }

    fn release(&self) {
        // A person may have removed it, and another run taken its place.
        if is_at(&self.file, &self.path) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Removes the lock file of a run that is gone.
///
/// # Errors
/// When it is not, as far as can be seen from here.
fn remove_stale(dir: &Path, path: &Path, me: &Holder) -> anyhow::Result<()> {
    // Over NFS, only a file that is open for writing can be locked.
    let opened = OpenOptions::new().read(true).write(true).open(path).or_else(|_| File::open(path));
    let mut file = match opened {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened.with_context(|| format!("cannot read the lock file {}", path.display()))?,
    };
    let (dir, shown) = (dir.display(), path.display());
    let Some(holder) = Holder::read(&mut file) else {
        bail!("{dir} is locked by {shown}, which dlsoak can't read; remove it if no run writes there");
    };
    let identity = file.try_clone()?;
    let flock = Flock::lock(file, FlockArg::LockExclusiveNonblock);
    let flocked = match &flock {
        Ok(_) => Flocked::No,
        Err((_, Errno::EWOULDBLOCK)) => Flocked::Yes,
        Err(_) => Flocked::Unknown,
    };
    let Holder { host, pid, .. } = &holder;
    if holder.host != me.host {
        bail!("{dir} is in use by process {pid} on host {host}; remove {shown} if that run is gone");
    }
    if !holder.is_gone(me, flocked) {
        bail!(
            "{dir} is in use by process {pid} on host {host}; wait for that run, or choose another with --out"
        );
    }
    // With the lock on it, so that it is not the one of a run that was faster.
    if is_at(&identity, path) {
        std::fs::remove_file(path).with_context(|| format!("cannot remove the lock file {shown}"))?;
    }
    Ok(())
}

/// Whether the file that was opened is still the one of that name.
fn is_at(opened: &File, path: &Path) -> bool {
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let now = std::fs::symlink_metadata(path).map(identity);
    now.is_ok_and(|now| opened.metadata().map(identity).is_ok_and(|opened| opened == now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(dir: &Path, holder: &Holder) -> PathBuf {
        let path = dir.join(LOCK);
        std::fs::write(&path, serde_json::to_vec(holder).unwrap()).unwrap();
        path
    }

    /// The number of a process that has ended.
    fn dead() -> u32 {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id()
    }

    #[test]
    fn a_lock_is_stale_when_its_run_is_gone_and_only_on_its_host() {
        let me = Holder { host: "here".to_owned(), pid: std::process::id(), boot_id: "now".to_owned() };
        let gone = Holder { pid: dead(), ..me.clone() };
        let booted = Holder { boot_id: "before".to_owned(), ..me.clone() };
        let elsewhere = |holder: &Holder| Holder { host: "there".to_owned(), ..holder.clone() };
        for (holder, flocked, expected) in [
            (&me, Flocked::Yes, false),
            (&gone, Flocked::Yes, false),
            (&gone, Flocked::No, true),
            (&booted, Flocked::No, true),
            // A later process has its number.
            (&me, Flocked::No, true),
            (&me, Flocked::Unknown, false),
            (&gone, Flocked::Unknown, true),
            (&booted, Flocked::Unknown, true),
            (&elsewhere(&gone), Flocked::No, false),
            (&elsewhere(&booted), Flocked::No, false),
            (&elsewhere(&gone), Flocked::Unknown, false),
        ] {
            assert_eq!(holder.is_gone(&me, flocked), expected, "{holder:?} {flocked:?}");
        }
    }

    #[test]
    fn a_lock_file_names_its_process_and_goes_with_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path()).unwrap();
        let holder = Holder::read(&mut File::open(dir.path().join(LOCK)).unwrap()).unwrap();
        assert_eq!(holder, Holder::this());
        assert!(holder.pid == std::process::id() && !holder.host.is_empty() && holder.boot_id.len() == 36);
        let refused = Lock::take(dir.path()).unwrap_err().to_string();
        let who = format!("process {} on host {}", holder.pid, holder.host);
        assert!(refused.contains(&who) && refused.contains("in use"), "{refused}");
        assert!(is_ours(dir.path()).unwrap());
        lock.release();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_lock_of_a_run_that_is_gone_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let me = Holder::this();
        for holder in [
            Holder { pid: dead(), ..me.clone() },
            Holder { boot_id: "00000000-0000-0000-0000-000000000000".to_owned(), ..me.clone() },
        ] {
            left(dir.path(), &holder);
            let lock = Lock::take(dir.path()).unwrap();
            let now = Holder::read(&mut File::open(dir.path().join(LOCK)).unwrap());
            assert_eq!(now, Some(me.clone()));
            lock.release();
        }
    }

    #[test]
    fn a_lock_of_another_host_or_one_that_says_nothing_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = left(dir.path(), &Holder { host: "far-away".to_owned(), pid: dead(), ..Holder::this() });
        let refused = Lock::take(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("far-away") && refused.contains(&*path.to_string_lossy()), "{refused}");
        for odd in ["", "{", "{\"host\":\"a\\nb\",\"pid\":1,\"boot_id\":\"\"}", "{\"pid\":1}"] {
            std::fs::write(&path, odd).unwrap();
            let refused = Lock::take(dir.path()).unwrap_err().to_string();
            assert!(refused.contains("can't read") && refused.contains("remove it"), "{odd}: {refused}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), odd);
            assert!(!is_ours(dir.path()).unwrap());
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn of_many_runs_at_once_one_holds_the_directory_and_a_stale_lock_changes_nothing() {
        for _ in 0..50 {
            let dir = tempfile::tempdir().unwrap();
            left(dir.path(), &Holder { pid: dead(), ..Holder::this() });
            let ready = std::sync::Barrier::new(8);
            let take = || {
                ready.wait();
                Lock::take(dir.path()).ok()
            };
            let held: Vec<Lock> = std::thread::scope(|scope| {
                let all: Vec<_> = (0..8).map(|_| scope.spawn(take)).collect();
                all.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(held.len(), 1);
        }
    }

    #[test]
    fn a_lock_that_a_person_removed_is_not_taken_from_the_next_run() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(dir.path()).unwrap();
        std::fs::remove_file(dir.path().join(LOCK)).unwrap();
        let second = Lock::take(dir.path()).unwrap();
        first.release();
        assert!(is_at(&second.file, &dir.path().join(LOCK)));
    }

    #[test]
    fn latest_leads_to_the_newest_and_replaces_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["a-1", "a-2"] {
            std::fs::create_dir(at(name)).unwrap();
            link_latest(&at(name)).unwrap();
            assert_eq!(std::fs::read_link(at(LATEST)).unwrap(), Path::new(name));
        }
        std::fs::remove_file(at(LATEST)).unwrap();
        std::fs::write(at(LATEST), "mine").unwrap();
        link_latest(&at("a-1")).unwrap();
        assert_eq!(std::fs::read_to_string(at(LATEST)).unwrap(), "mine");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_fresh_directory_is_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reports/a");
        let made: std::collections::BTreeSet<PathBuf> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(|| fresh(&path).unwrap())).collect();
            all.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let numbered = (2..=8).map(|n| dir.path().join(format!("reports/a-{n}")));
        assert_eq!(made, std::iter::once(path.clone()).chain(numbered).collect());
    }
}
