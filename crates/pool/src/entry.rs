//! One library of the pool: its handle, who is inside, and the two slow ways, which are closing it and opening it again. All
//! calls of the loader are here.

use std::ffi::{CStr, CString, OsStr, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use libloading::os::unix::Library;

use super::PoolError;
use super::gate::Gate;
use super::unloading::{Kept, by_file};

/// A library that was loaded at least once.
#[derive(Debug)]
pub(super) struct Entry {
    path: CString,
    flags: c_int,
    gate: Gate,
    /// The loader's handle, valid while the gate is open.
    handle: AtomicPtr<c_void>,
    /// A thread was inside since the last search for idle libraries.
    used: AtomicBool,
    loads: AtomicU64,
    /// Device and inode of the file at the first load, if the path names a file.
    file: Option<(u64, u64)>,
    /// The reason in the file to keep it, read when it is first needed.
    by_file: OnceLock<Option<Kept>>,
    /// It stayed after a close.
    stayed: AtomicBool,
    /// The host has allowed the unload.
    allowed: AtomicBool,
    /// Held while the gate is closed or opened again.
    lock: Mutex<()>,
    /// Threads that are about to open it again. If it stays meanwhile, their references are the reason.
    reopening: AtomicUsize,
}

impl Entry {
    /// Loads a library.
    ///
    /// # Safety
    /// Its constructors must be sound to run now, and whenever it is loaded again later, and its destructors whenever it is
    /// unloaded.
    pub(super) unsafe fn load(path: &[u8], flags: c_int) -> Result<Self, PoolError> {
        let refused = |why: &str| PoolError::new(path, why.to_owned());
        if path.is_empty() {
            return Err(refused("an empty path names no library"));
        }
        let path = CString::new(path).map_err(|_| refused("a path can't hold a NUL"))?;
        // SAFETY: the caller's contract.
        let handle = unsafe { open(&path, flags) }?;
        Ok(Self {
            file: identity(&path),
            path,
            flags,
            gate: Gate::new(),
            handle: AtomicPtr::new(handle),
            used: AtomicBool::new(true),
            loads: AtomicU64::new(1),
            by_file: OnceLock::new(),
            stayed: AtomicBool::new(false),
            allowed: AtomicBool::new(false),
            lock: Mutex::new(()),
            reopening: AtomicUsize::new(0),
        })
    }

    /// The path by which the pool knows it.
    #[inline]
    pub(super) fn path(&self) -> &CStr {
        &self.path
    }

    /// Goes inside, loading the library again if it was evicted.
    #[inline]
    pub(super) fn enter(&self) -> Result<(), PoolError> {
        // It is read before it is written, because it is set most of the time, and then the cache line stays shared.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        if self.gate.enter() { Ok(()) } else { self.enter_closed() }
    }

    #[cold]
    fn enter_closed(&self) -> Result<(), PoolError> {
        self.reopening.fetch_add(1, Ordering::AcqRel);
        // It is opened before the lock is taken, because constructors run now, and they may call the pool.
        // SAFETY: the caller of `load` has promised that it may be loaded again.
        let opened = unsafe { open(&self.path, self.flags) };
        let held = self.locked();
        let result = opened.map(|handle| {
            if self.gate.enter() {
                // Another thread was faster, so this is one reference too many.
                // SAFETY: the handle is the one just opened and used nowhere else.
                let _ = unsafe { Library::from_raw(handle) }.close();
            } else {
                self.handle.store(handle, Ordering::Relaxed);
                self.loads.fetch_add(1, Ordering::Relaxed);
                self.gate.reopen();
            }
        });
        self.reopening.fetch_sub(1, Ordering::AcqRel);
        drop(held);
        result
    }

    /// Leaves.
    #[inline]
    pub(super) fn leave(&self) {
        self.gate.leave();
    }

    /// The loader's handle, valid for a caller who is inside.
    pub(super) fn handle(&self) -> *mut c_void {
        self.handle.load(Ordering::Relaxed)
    }

    /// Looks up a symbol.
    ///
    /// # Safety
    /// The caller must be inside, and `T` must be the symbol's type.
    pub(super) unsafe fn symbol<T>(
        &self,
        name: &CStr,
    ) -> Result<libloading::os::unix::Symbol<T>, libloading::Error> {
        // SAFETY: the gate is open as long as the caller is inside, so the handle is valid. ManuallyDrop keeps it open.
        let library = unsafe { Library::from_raw(self.handle()) };
        let library = std::mem::ManuallyDrop::new(library);
        // SAFETY: the caller states the type.
        unsafe { library.get::<T>(name) }
    }

    /// Closes it if nobody is inside, nobody has used it since the last call, and it is known to unload; true if it has
    /// left the process.
    pub(super) fn evict_if_idle(&self) -> bool {
        let was_used = self.used.swap(false, Ordering::Relaxed);
        !was_used && self.evict()
    }

    /// Closes it if nobody is inside and it is known to unload; true if it has left the process.
    pub(super) fn evict(&self) -> bool {
        // It reads no file of a library that is closed or busy.
        if !self.gate.is_open() || self.gate.inside() > 0 || self.kept().is_some() {
            return false;
        }
        let _held = self.locked();
        if !self.gate.close() {
            return false;
        }
        // SAFETY: the gate is closed, so nobody is inside and nobody gets in. The handle is this entry's own.
        let closed = unsafe { Library::from_raw(self.handle()) }.close();
        // A close is no proof. RTLD_NOLOAD opens only what is still there.
        // SAFETY: with RTLD_NOLOAD nothing is loaded and no constructor runs.
        let Ok(there) = (unsafe { open(&self.path, libc::RTLD_LAZY | libc::RTLD_NOLOAD) }) else {
            return closed.is_ok();
        };
        if self.reopening.load(Ordering::Acquire) > 0 {
            // It is there because a thread on its way in has opened it.
            // SAFETY: the handle is the one just opened and used nowhere else.
            let _ = unsafe { Library::from_raw(there) }.close();
        } else {
            // It does not unload after all. The reference that RTLD_NOLOAD took keeps it from now on.
            self.stayed.store(true, Ordering::Relaxed);
            self.handle.store(there, Ordering::Relaxed);
            self.gate.reopen();
            self.gate.leave();
        }
        false
    }

    /// Why it stays for good; `None` if it may be evicted.
    pub(super) fn kept(&self) -> Option<Kept> {
        if self.stayed.load(Ordering::Relaxed) {
            return Some(Kept::Stayed);
        }
        let by_file = self.by_file.get_or_init(|| {
            if self.file.is_none() || self.file != identity(&self.path) {
                let why = "the path no longer names the file that was loaded";
                return Some(Kept::Unreadable(why.to_owned()));
            }
            by_file(Path::new(OsStr::from_bytes(self.path.to_bytes())))
        });
        let overruled = |kept: &&Kept| !(kept.may_be_overruled() && self.allowed.load(Ordering::Relaxed));
        by_file.as_ref().filter(overruled).cloned()
    }

    /// Allows the unload although the file gives reason for doubt.
    pub(super) fn allow(&self) {
        self.allowed.store(true, Ordering::Relaxed);
    }

    /// How often the pool has loaded it.
    pub(super) fn loads(&self) -> u64 {
        self.loads.load(Ordering::Relaxed)
    }

    /// True while it is loaded.
    pub(super) fn is_open(&self) -> bool {
        self.gate.is_open()
    }

    /// How many leases there are.
    pub(super) fn inside(&self) -> usize {
        self.gate.inside()
    }

    /// Returns the reference of an entry that never got into the table.
    pub(super) fn discard(self) {
        // SAFETY: no other thread has seen this entry, so its handle has one owner.
        let _ = unsafe { Library::from_raw(self.handle.into_inner()) }.close();
    }

    fn locked(&self) -> MutexGuard<'_, ()> {
        // A panic leaves nothing half done, because the state is in the gate.
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `dlopen`.
///
/// # Safety
/// Loading runs the library's constructors.
unsafe fn open(path: &CStr, flags: c_int) -> Result<*mut c_void, PoolError> {
    // With its NUL, so libloading passes it on as it is.
    let name = OsStr::from_bytes(path.to_bytes_with_nul());
    // SAFETY: the caller's contract.
    match unsafe { Library::open(Some(name), flags) } {
        Ok(library) => Ok(library.into_raw()),
        Err(libloading::Error::DlOpen { source }) => Err(PoolError::new(path.to_bytes(), source.to_string())),
        Err(other) => Err(PoolError::new(path.to_bytes(), other.to_string())),
    }
}

/// Device and inode of the file at a path.
fn identity(path: &CStr) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(OsStr::from_bytes(path.to_bytes())).ok()?;
    Some((metadata.dev(), metadata.ino()))
}
