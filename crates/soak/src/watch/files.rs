//! What a watched host is handed: the auditor, the library that takes notes, and the memory that both write to, as files in a private
//! directory. They have names, so that they outlive an `exec` and a host that closes every descriptor.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Result, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

use dlsoak_agent::GLIBC;
use dlsoak_wire::notes::{self, Memory};
use dlsoak_wire::watch::{MAGIC, Ring, VARIABLE};

use super::watch_error::WatchError;
use crate::record::HeapNotes;
use crate::supervisor::private::PrivateDirectory;
use crate::sys::mapped::Mapped;
use crate::sys::{c_library, glibc};
use crate::trace::Shared;

/// The files of one watch, which go with this value.
#[derive(Debug)]
pub(super) struct Files {
    directory: PrivateDirectory,
    ring: Mapped<Ring>,
    notes: Option<Mapped<Memory>>,
}

impl Files {
    /// Writes the libraries and makes the memory.
    ///
    /// # Errors
    /// When this build has no auditor, or the file system refuses.
    pub(super) fn create(heap: HeapNotes) -> Result<Self> {
        if GLIBC.audit.is_empty() {
            return Err(WatchError::NotHere.into());
        }
        let directory = PrivateDirectory::new()?;
        let create = |name: &str| {
            File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(0o700)
                .open(directory.path().join(name))
        };
        create(AUDITOR)?.write_all(GLIBC.audit)?;
        let file = create(RING)?;
        file.set_len(size_of::<Ring>() as u64)?;
        let ring = Mapped::ring(&file)?;
        ring.read_ns.store(glibc::monotonic_ns(), Relaxed);
        ring.magic.store(MAGIC, Relaxed);
        // Without notes it still reports handles.
        create(PRELOADED)?.write_all(&c_library::fitting(GLIBC.preload))?;
        let notes = if heap == HeapNotes::Off {
            None
        } else {
            let file = create(NOTES)?;
            file.set_len(size_of::<Memory>() as u64)?;
            let memory = Mapped::notes(&file)?;
            memory.only_groups.store((heap == HeapNotes::Groups).into(), Relaxed);
            memory.magic.store(notes::MAGIC, Relaxed);
            Some(memory)
        };
        Ok(Self { directory, ring, notes })
    }

    /// The notes, where any are taken.
    pub(super) fn notes(&self) -> Option<&Memory> {
        self.notes.as_deref()
    }

    /// The name by which the loader knows the library that takes notes.
    pub(super) fn preloaded(&self) -> PathBuf {
        self.directory.path().join(PRELOADED)
    }

    /// The ring.
    pub(super) fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The path of the ring's file, by which a process that maps it is known.
    pub(super) fn ring_path(&self) -> PathBuf {
        self.directory.path().join(RING)
    }

    /// What the host's environment must hold. Ours are first: what the host's own preloaded libraries obtain is noted, too.
    ///
    /// # Errors
    /// When the private directory has a name that can't be in a list of libraries.
    pub(super) fn environment(&self) -> Result<Vec<(String, OsString)>> {
        let place = self.directory.path();
        if place.as_os_str().as_bytes().iter().any(|byte| *byte == b':' || byte.is_ascii_whitespace()) {
            return Err(WatchError::Unnameable(place.to_owned()).into());
        }
        let first = |variable: &str, file: &str| {
            let mut all = place.join(file).into_os_string();
            if let Some(before) = std::env::var_os(variable).filter(|before| !before.is_empty()) {
                all.push(":");
                all.push(before);
            }
            (variable.to_owned(), all)
        };
        let ring = (VARIABLE.to_string_lossy().into_owned(), self.ring_path().into());
        // Under an auditor the loader takes the static thread-local storage of the host's own libraries from what it keeps for later ones,
        // and a host that links jemalloc does not start: "cannot allocate memory in static TLS block".
        let own = std::env::var("GLIBC_TUNABLES").unwrap_or_default();
        let tunables = format!("glibc.rtld.optional_static_tls={STATIC_TLS}:{own}");
        let tunables = ("GLIBC_TUNABLES".to_owned(), tunables.trim_end_matches(':').into());
        let mut variables = vec![first("LD_AUDIT", AUDITOR), ring, first("LD_PRELOAD", PRELOADED), tunables];
        if self.notes.is_some() {
            variables.push((Shared::MEMORY.to_owned(), place.join(NOTES).into()));
        }
        Ok(variables)
    }
}

/// Bytes of static thread-local storage that are kept: jemalloc alone needs more than the 512 B that are kept otherwise.
const STATIC_TLS: u32 = 65_536;
const AUDITOR: &str = "dlsoak-audit.so";
const RING: &str = "ring";
const PRELOADED: &str = "dlsoak-preload.so";
const NOTES: &str = "notes";

/// Whether a process maps this file; `None` where that can't be read.
pub(super) fn maps(process: i32, file: &Path) -> Option<bool> {
    let maps = std::fs::read(format!("/proc/{process}/maps")).ok().filter(|maps| !maps.is_empty())?;
    Some(memchr::memmem::find(&maps, file.as_os_str().as_bytes()).is_some())
}

#[cfg(test)]
mod tests {
    use dlsoak_wire::watch::{EVENTS, Event, GONE_AFTER, Inside, Kind, NAME};

    use super::*;

    fn event(object: u64) -> Event {
        let kind = Kind::Open;
        Event { kind, time_ns: object, process: 1, thread: 2, object, map: 3 }
    }

    fn taken(ring: &Ring) -> Vec<(u64, usize)> {
        let mut name = [0; NAME];
        std::iter::from_fn(|| ring.take(&mut name)).map(|(event, len)| (event.object, len)).collect()
    }

    #[test]
    fn what_is_put_is_taken_in_order_and_what_has_no_room_is_counted() {
        let files = Files::create(HeapNotes::Off).unwrap();
        let ring = files.ring();
        for turn in 1..=3 {
            (1..=EVENTS as u64 + 5).for_each(|object| ring.put(event(object), b"/a/libx.so"));
            assert_eq!(ring.lost.load(Relaxed), 5 * turn);
            assert!(taken(ring).into_iter().eq((1..=EVENTS as u64).map(|object| (object, 10))));
        }
        assert!(!ring.is_unfinished() && !ring.skip());
    }

    #[test]
    fn a_host_gives_up_once_nobody_reads_and_not_before() {
        let files = Files::create(HeapNotes::Off).unwrap();
        let ring = files.ring();
        let read = ring.read_ns.load(Relaxed);
        assert!(!ring.is_abandoned(read + GONE_AFTER) && ring.given_up.load(Relaxed) == 0);
        assert!(ring.is_abandoned(read + GONE_AFTER + 1) && ring.given_up.load(Relaxed) == 1);
    }

    #[test]
    fn a_program_that_lacks_one_of_ours_is_known() {
        let files = Files::create(HeapNotes::Off).unwrap();
        let ring = files.ring();
        let inside = || Inside::from_u32(ring.inside.load(Relaxed)).unwrap();
        ring.preload_begins();
        assert_eq!(inside(), Inside::NoAuditor);
        ring.inside.store(Inside::Auditor as u32, Relaxed);
        ring.preload_begins();
        assert_eq!(inside(), Inside::Both);
        // It becomes another program, where the auditor does not begin.
        ring.preload_begins();
        assert_eq!(inside(), Inside::NoAuditor);
    }

    #[test]
    fn a_long_name_keeps_its_end() {
        let files = Files::create(HeapNotes::Off).unwrap();
        let long: Vec<u8> = (0..2 * NAME).map(|at| at as u8).collect();
        files.ring().put(event(1), &long);
        let mut name = [0; NAME];
        assert_eq!(files.ring().take(&mut name).map(|(_, len)| len), Some(NAME));
        assert_eq!(name[..], long[NAME..]);
    }

    #[test]
    fn many_threads_write_at_once() {
        let files = Files::create(HeapNotes::Off).unwrap();
        let ring = files.ring();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || (0..1000).for_each(|at| ring.put(event(thread * 1000 + at), b"x")));
            }
        });
        let mut objects: Vec<u64> = taken(ring).into_iter().map(|(object, _)| object).collect();
        objects.sort_unstable();
        assert!(objects.into_iter().eq(0..4000));
    }

    #[test]
    fn what_the_host_is_handed_are_files_that_go_with_the_watch() {
        let files = Files::create(HeapNotes::Groups).unwrap();
        let environment = files.environment().unwrap();
        let names: Vec<&str> = environment.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["LD_AUDIT", "DLSOAK_WATCH", "LD_PRELOAD", "GLIBC_TUNABLES", Shared::MEMORY]);
        let files_of = environment.into_iter().filter(|(name, _)| name != "GLIBC_TUNABLES");
        let paths: Vec<PathBuf> = files_of.map(|(_, path)| path.into()).collect();
        assert!(paths.iter().all(|path| path.exists()), "{paths:?}");
        drop(files);
        assert!(!paths.iter().any(|path| path.exists()), "{paths:?}");
    }
}
