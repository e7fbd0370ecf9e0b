//! Keeps shared libraries open for a host that loads them often, or can't unload them. The pool opens each library once, and
//! threads come and go.
//!
//! **Invariant:** the pool closes a library only while no lease is out, and only if its file shows that it unloads and leaves no
//! pointer into itself behind, or the host allows it.
//!
//! `dlopen` of a library that is already open takes the loader's lock and searches its list. `dlclose` takes the lock
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
//! [`Pool::get`] returns a [`Handle`], the place of the library in the pool. You can copy it, and keep it as long as the
//! pool lives. A handle does not keep the library loaded. [`Handle::lease`] does, until you drop the [`Lease`]. Only a
//! lease looks up symbols, and no symbol outlives its lease. A lease loads the library again if it was evicted.
//!
//! # Eviction
//!
//! [`Pool::evict_idle`] unloads the libraries that nobody has leased since its last call, if they are known to unload. A
//! library that is closed and stays would leave the host with two kinds of "closed". So the file must show that nothing
//! keeps the library. It has no `-z nodelete`, no `STB_GNU_UNIQUE` symbol and no static thread-local storage, it is not
//! written in Go, and it names no function that leaves the process a pointer into the library (thread-local destructors,
//! threads, signal handlers). [`Handle::kept`] returns the reason why the pool keeps a library. If you have soaked the
//! library and know better, call [`Handle::allow_eviction`]. After each close the pool asks the loader whether the library
//! is gone, and keeps a library that stayed from then on.
//!
//! The pool examines the library alone. The loader decides when the libraries that it needs go.
//!
//! # When a pool is dropped
//!
//! A pool that is dropped unloads the libraries that are known to unload, unless a lease was leaked. All others stay in the
//! process, because closing them could crash it.

mod c;
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

/// Why the loader refused a library.
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
    /// An empty pool that opens its libraries with `RTLD_NOW | RTLD_LOCAL`.
    pub const fn new() -> Self {
        Self::with_flags(libc::RTLD_NOW | libc::RTLD_LOCAL)
    }

    /// An empty pool that opens its libraries with these flags for `dlopen`.
    pub const fn with_flags(flags: c_int) -> Self {
        Self { table: Table::new(), flags }
    }

    /// The library at `path`. The first call loads it. Later calls take no lock, write no memory that threads share, and
    /// allocate nothing.
    ///
    /// `dlopen` gets the path as it is, and searches for a name without a slash. Two spellings of one path are two
    /// libraries of the pool, and one in the process.
    ///
    /// # Errors
    /// When the loader refuses the library. The pool then keeps nothing, and the next call tries again.
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

    /// Unloads the libraries that nobody has leased since the last call, if they are known to unload. Returns their
    /// number. Call it from time to time. The interval between two calls is the time that a library may idle.
    pub fn evict_idle(&self) -> usize {
        self.table.iter().filter(|entry| entry.evict_if_idle()).count()
    }

    /// All libraries that the pool has ever loaded, in no order.
    pub fn libraries(&self) -> impl Iterator<Item = Handle<'_>> {
        self.table.iter().map(Handle)
    }

    #[cold]
    unsafe fn load(&self, path: &[u8]) -> Result<Handle<'_>, PoolError> {
        // The pool holds no lock here, because constructors may call the pool. If two threads open one library at the
        // same time, the loader loads it once and counts two references, and the pool returns one of them.
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

/// The place of a library in its pool. It is cheap to copy, and does not keep the library loaded.
#[derive(Debug, Clone, Copy)]
pub struct Handle<'pool>(&'pool Entry);

impl<'pool> Handle<'pool> {
    /// Keeps the library loaded until the lease is dropped. Loads it again if it was evicted.
    ///
    /// # Errors
    /// When it was evicted and the loader now refuses it.
    #[inline]
    pub fn lease(self) -> Result<Lease<'pool>, PoolError> {
        self.0.enter()?;
        Ok(Lease(self.0))
    }

    /// The path by which it was loaded.
    pub fn path(&self) -> &'pool Path {
        Path::new(OsStr::from_bytes(self.0.path().to_bytes()))
    }

    /// Why [`Pool::evict_idle`] keeps it; `None` if it is known to unload. The first call reads the file.
    pub fn kept(&self) -> Option<Kept> {
        self.0.kept()
    }

    /// Lets the pool evict it although its file gives reason for doubt, for example after a soak that unloaded it in every
    /// cycle. A library that can't unload stays all the same.
    pub fn allow_eviction(&self) {
        self.0.allow();
    }

    /// True while it is loaded. Another thread may change this at any time.
    pub fn is_loaded(&self) -> bool {
        self.0.is_open()
    }

    /// The number of leases. Another thread may change this at any time.
    pub fn leases(&self) -> usize {
        self.0.inside()
    }

    /// How often the pool has loaded it: once, and again after each eviction that a lease followed.
    pub fn loads(&self) -> u64 {
        self.0.loads()
    }
}

/// Keeps a library loaded while a thread is inside it.
#[derive(Debug)]
pub struct Lease<'pool>(&'pool Entry);

impl<'pool> Lease<'pool> {
    /// Looks up a symbol, which can't outlive the lease. Finding it allocates nothing.
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

    /// The loader's handle, for functions that take one. It is valid as long as the lease.
    pub fn as_raw(&self) -> *mut c_void {
        self.0.handle()
    }

    /// The place of its library in the pool.
    pub fn handle(&self) -> Handle<'pool> {
        Handle(self.0)
    }
}

impl Clone for Lease<'_> {
    fn clone(&self) -> Self {
        // This neither loads nor fails, because the gate can't close while this lease is inside.
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

/// What names a library: text, C strings and paths. The pool uses them as they are and copies none.
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
