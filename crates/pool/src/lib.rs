//! The usual remedy for libraries that cost much to load, or can't be unloaded: open each once, keep it, and let
//! threads come and go.
//!
//! **Invariant:** a library is closed only while no lease is out, and only if its file says that it unloads and leaves no
//! pointer into itself behind, or the host has said so.
//!
//! `dlopen` of a library that is already open takes the loader's lock and searches its list; `dlclose` takes the lock
//! again. A [`Pool`] finds an open library without a lock, and keeps it open while any thread is inside:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use dlsoak_pool::Pool;
//!
//! static POOL: Pool = Pool::new();
//!
//! // SAFETY: libm's constructors are sound to run anywhere.
//! let libm = unsafe { POOL.get("libm.so.6") }?;
//! let lease = libm.lease()?;
//! // SAFETY: this is cos(3).
//! let cos = unsafe { lease.get::<unsafe extern "C" fn(f64) -> f64>(c"cos") }?;
//! // SAFETY: as above.
//! assert_eq!(unsafe { cos(0.0) }, 1.0);
//! # Ok(())
//! # }
//! ```
//!
//! # Handles and leases
//!
//! [`Pool::get`] gives a [`Handle`]: where the library is in the pool, to be copied and kept as long as the pool
//! lives. A handle does not keep the library loaded. [`Handle::lease`] does, until the [`Lease`] is dropped; symbols
//! can be had from a lease only, and can't outlive it. To lease a library that was evicted loads it again.
//!
//! # Eviction
//!
//! [`Pool::evict_idle`] unloads libraries that nobody has leased since it was last called, but only those which are
//! known to unload; a library that is closed and stays would leave a host with two kinds of "closed". The file must
//! say so: no `-z nodelete`, no `STB_GNU_UNIQUE` symbol, no static thread-local storage, not Go, and none of the
//! functions that leave the process a pointer into the library (thread-local destructors, threads, signal handlers).
//! [`Handle::kept`] says what it was. Whoever has soaked a library and knows better says [`Handle::allow_eviction`].
//! After each close the loader is asked whether the library is really gone; one that stayed is kept from then on.
//!
//! What a library has brought along goes when the loader lets it go; the pool looks at the library itself only.
//!
//! # When a pool is dropped
//!
//! Libraries that are known to unload are unloaded, unless a lease was leaked. All others stay in the process, since
//! closing them could take it down.

mod entry;
mod file;
mod gate;
mod table;
mod unloading;

use std::ffi::{CStr, CString, OsStr, OsString, c_int, c_void};
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use entry::Entry;
use table::Table;

pub use unloading::Kept;
#[doc(hidden)]
pub use unloading::reasons;

/// A registry of open libraries; see the [crate](self).
#[derive(Debug)]
pub struct Pool {
    table: Table,
    flags: c_int,
}

/// Why a library could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolError {
    path: String,
    message: String,
}

impl PoolError {
    fn new(path: &[u8], message: String) -> Self {
        Self { path: String::from_utf8_lossy(path).into_owned(), message }
    }

    /// The loader's own words.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl std::error::Error for PoolError {}

impl Pool {
    /// An empty pool, whose libraries are opened with `RTLD_NOW | RTLD_LOCAL`.
    pub const fn new() -> Self {
        Self::with_flags(libc::RTLD_NOW | libc::RTLD_LOCAL)
    }

    /// An empty pool, whose libraries are opened with these flags for `dlopen`.
    pub const fn with_flags(flags: c_int) -> Self {
        Self { table: Table::new(), flags }
    }

    /// The library at `path`, which is loaded by the first call. When it is there, this neither takes a lock nor
    /// writes to memory that threads share, and allocates nothing.
    ///
    /// The path is handed to `dlopen` as it is: a name without a slash is searched for. Two spellings of one path are
    /// two libraries of the pool, and one in the process.
    ///
    /// # Errors
    /// When the loader refuses the library. The pool then holds nothing of it, and the next call tries again.
    ///
    /// # Safety
    /// Loading a library runs its constructors, and unloading it its destructors. They must be sound to run on this
    /// thread now, on any thread that leases it after an eviction, and on those that evict.
    #[inline]
    pub unsafe fn get(&self, path: &(impl LibraryPath + ?Sized)) -> Result<Handle<'_>, PoolError> {
        match self.table.find(path.bytes()) {
            Some(entry) => Ok(Handle(entry)),
            // SAFETY: the caller's contract.
            None => unsafe { self.load(path.bytes()) },
        }
    }

    /// The library at `path`, if it was loaded before; never loads it.
    pub fn find(&self, path: &(impl LibraryPath + ?Sized)) -> Option<Handle<'_>> {
        self.table.find(path.bytes()).map(Handle)
    }

    /// Loads libraries before they are needed, in this order.
    ///
    /// ```no_run
    /// # use dlsoak_pool::Pool;
    /// static PLUGINS: Pool = Pool::new();
    /// // SAFETY: our own plugins.
    /// unsafe { PLUGINS.preload(["plugins/reverb.so", "plugins/delay.so"]) }?;
    /// # Ok::<(), dlsoak_pool::PoolError>(())
    /// ```
    ///
    /// # Errors
    /// The first library that the loader refuses; those before it are loaded.
    ///
    /// # Safety
    /// As for [`Pool::get`].
    pub unsafe fn preload<P: LibraryPath>(
        &self,
        paths: impl IntoIterator<Item = P>,
    ) -> Result<(), PoolError> {
        // SAFETY: the caller's contract.
        paths.into_iter().try_for_each(|path| unsafe { self.get(&path) }.map(drop))
    }

    /// Unloads the libraries which nobody has leased since this was last called and which are known to unload;
    /// returns how many went. A host calls it once in a while: the time between two calls is how long a library may
    /// idle.
    pub fn evict_idle(&self) -> usize {
        self.table.iter().filter(|entry| entry.evict_if_idle()).count()
    }

    /// All libraries that were ever loaded, in no order.
    pub fn libraries(&self) -> impl Iterator<Item = Handle<'_>> {
        self.table.iter().map(Handle)
    }

    #[cold]
    unsafe fn load(&self, path: &[u8]) -> Result<Handle<'_>, PoolError> {
        // Opened without a lock of ours, since its constructors may come back to the pool. When two threads do so at
        // once, the loader loads it once and counts two references, of which one is given back.
        // SAFETY: the caller's contract.
        let entry = unsafe { Entry::load(path, self.flags) }?;
        let (entry, late) = self.table.insert(entry);
        if let Some(late) = late {
            late.discard();
        }
        Ok(Handle(entry))
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for entry in self.table.iter() {
            entry.evict();
        }
    }
}

/// Where a library is in its pool. Cheap to copy; does not keep the library loaded.
#[derive(Debug, Clone, Copy)]
pub struct Handle<'pool>(&'pool Entry);

impl<'pool> Handle<'pool> {
    /// Goes inside: the library stays loaded until the lease is dropped. Loads it again if it was evicted.
    ///
    /// # Errors
    /// When it was evicted and the loader now refuses it.
    #[inline]
    pub fn lease(self) -> Result<Lease<'pool>, PoolError> {
        self.0.enter()?;
        Ok(Lease(self.0))
    }

    /// The path it was asked for by.
    pub fn path(&self) -> &'pool Path {
        Path::new(OsStr::from_bytes(self.0.path().to_bytes()))
    }

    /// Why [`Pool::evict_idle`] leaves it alone; `None` when it is known to unload. Reads the file the first time.
    pub fn kept(&self) -> Option<Kept> {
        self.0.kept()
    }

    /// Lets it be evicted although its file alone gives reason for doubt: for libraries that were soaked and seen to
    /// unload. No effect on those that can't unload.
    pub fn allow_eviction(&self) {
        self.0.allow();
    }

    /// True while it is loaded; may change at once.
    pub fn is_loaded(&self) -> bool {
        self.0.is_open()
    }

    /// How many leases there are; may change at once.
    pub fn leases(&self) -> usize {
        self.0.inside()
    }

    /// How often the pool has loaded it: once, and once more after each eviction.
    pub fn loads(&self) -> u64 {
        self.0.loads()
    }
}

/// Keeps a library loaded while a thread is inside it.
#[derive(Debug)]
pub struct Lease<'pool>(&'pool Entry);

impl<'pool> Lease<'pool> {
    /// Looks up a symbol, which can't outlive the lease. Allocates nothing when it is found.
    ///
    /// # Errors
    /// When the library has no such symbol.
    ///
    /// # Safety
    /// `T` must be the type of the symbol.
    pub unsafe fn get<T>(&self, symbol: &CStr) -> Result<libloading::Symbol<'_, T>, libloading::Error> {
        // SAFETY: a lease is inside; the type is as the caller states.
        let symbol = unsafe { self.0.symbol::<T>(symbol) }?;
        // SAFETY: the symbol is of the library that this lease keeps loaded.
        Ok(unsafe { libloading::Symbol::from_raw(symbol, self) })
    }

    /// The loader's handle, for what takes one; valid as long as the lease.
    pub fn as_raw(&self) -> *mut c_void {
        self.0.handle()
    }

    /// Where its library is in the pool.
    pub fn handle(&self) -> Handle<'pool> {
        Handle(self.0)
    }
}

impl Clone for Lease<'_> {
    fn clone(&self) -> Self {
        // While this lease is inside, the gate is open and can't close, so that this neither loads nor fails.
        let entered = self.0.enter();
        debug_assert!(entered.is_ok());
        Self(self.0)
    }
}

impl Drop for Lease<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// What names a library: text, C strings and paths, all used as they are and never copied.
pub trait LibraryPath: sealed::Sealed {
    /// The path, without a NUL at its end.
    fn bytes(&self) -> &[u8];
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! library_path {
    ($($type:ty: $bytes:expr;)*) => {$(
        impl sealed::Sealed for $type {}
        impl LibraryPath for $type {
            #[inline]
            fn bytes(&self) -> &[u8] {
                let bytes: fn(&$type) -> &[u8] = $bytes;
                bytes(self)
            }
        }
    )*};
}

library_path! {
    str: str::as_bytes;
    String: |text| text.as_bytes();
    CStr: CStr::to_bytes;
    CString: |text| text.to_bytes();
    OsStr: |text| text.as_bytes();
    OsString: |text| text.as_os_str().as_bytes();
    Path: |path| path.as_os_str().as_bytes();
    PathBuf: |path| path.as_os_str().as_bytes();
}

impl<T: LibraryPath + ?Sized> sealed::Sealed for &T {}
impl<T: LibraryPath + ?Sized> LibraryPath for &T {
    #[inline]
    fn bytes(&self) -> &[u8] {
        (**self).bytes()
    }
}

impl fmt::Display for Handle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path().display())
    }
}
