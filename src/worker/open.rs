//! What a cycle opens, by mode: the one path, a fresh copy, or a namespace of its own. Nothing here allocates once it
//! is set up.

use std::ffi::{CStr, CString, c_int, c_void};
use std::sync::Arc;

use libloading::os::unix::Library;

use super::copies::Copies;
use super::cycle::Function;
use super::failure::Failure;
use super::job::Job;
use crate::record::Mode;

/// How one thread opens the library.
#[derive(Debug)]
pub(super) enum Opener {
    Path(CString, c_int),
    Copies(Copies, c_int),
    Namespace(CString, c_int),
}

/// The library, open.
#[derive(Debug)]
pub(super) struct Opened(Library);

impl Opener {
    /// One for each thread.
    ///
    /// # Errors
    /// When the job does not fit the number of threads, or the library can't be read to make copies of it.
    pub(super) fn all(job: &Job, threads: usize) -> Result<Vec<Self>, String> {
        let image = match job.mode {
            Mode::Copies => {
                let original = job.original();
                std::fs::read(&original).map_err(|e| format!("cannot read {}: {e}", original.display()))?
            }
            Mode::Reopen | Mode::Namespace => Vec::new(),
        };
        let image = Arc::new(image);
        (0..threads)
            .map(|thread| {
                let path = job.path(thread).ok_or("the job has fewer files than threads")?;
                let path = CString::new(path).map_err(|_| "a path with a NUL byte")?;
                Ok(match job.mode {
                    Mode::Reopen => Self::Path(path, job.flags),
                    Mode::Copies => Self::Copies(Copies::new(&path, Arc::clone(&image))?, job.flags),
                    Mode::Namespace => Self::Namespace(path, job.flags),
                })
            })
            .collect()
    }

    /// True when there is something to make before each cycle.
    #[inline]
    pub(super) fn is_made(&self) -> bool {
        matches!(self, Self::Copies(..))
    }

    /// Makes what the next cycle opens.
    pub(super) fn make(&mut self) -> Result<(), Failure> {
        match self {
            Self::Copies(copies, _) => copies.make(),
            Self::Path(..) | Self::Namespace(..) => Ok(()),
        }
    }

    /// Opens the library.
    #[inline]
    pub(super) fn open(&self) -> Result<Opened, Failure> {
        match self {
            Self::Path(path, flags) => open(path, *flags).map_err(Failure::Open).map(Opened),
            Self::Copies(copies, flags) => open(copies.path(), *flags).map_err(Failure::Open).map(Opened),
            Self::Namespace(path, flags) => open_apart(path, *flags).map(Opened),
        }
    }

    /// Has the loader look again whether the library is still needed: a reference taken and given back.
    pub(super) fn let_go(&self) {
        let path = match self {
            Self::Path(path, _) => path,
            Self::Copies(copies, _) => copies.path(),
            // A namespace can't be entered again without its number.
            Self::Namespace(..) => return,
        };
        if let Ok(library) = open(path, libc::RTLD_LAZY | libc::RTLD_NOLOAD) {
            let _ = library.close();
        }
    }
}

impl Opened {
    /// Looks up a function.
    ///
    /// # Safety
    /// It must have the prototype that the call expression states.
    #[inline]
    pub(super) unsafe fn function(&self, name: &CStr) -> Result<Function, libloading::Error> {
        // SAFETY: the caller's contract.
        unsafe { self.0.get::<Function>(name) }.map(|symbol| *symbol)
    }

    /// Hands the loader's handle to `visit`.
    pub(super) fn with_handle<R>(self, visit: impl FnOnce(*mut c_void) -> R) -> (Self, R) {
        let handle = self.0.into_raw();
        let result = visit(handle);
        // SAFETY: the handle is the one that into_raw gave, and has one owner again.
        (Self(unsafe { Library::from_raw(handle) }), result)
    }

    /// Closes it.
    #[inline]
    pub(super) fn close(self) -> Result<(), Failure> {
        self.0.close().map_err(Failure::Close)
    }
}

/// `dlopen`, without the look for a NUL inside of the path that libloading takes in each cycle.
#[inline]
fn open(path: &CStr, flags: c_int) -> Result<Library, libloading::Error> {
    // SAFETY: loading a library runs its code; that is what a soak is for. The path ends in NUL.
    let handle = unsafe { libc::dlopen(path.as_ptr(), flags) };
    if handle.is_null() {
        // Without a word where it was asked only whether the library is there: nothing may be allocated for that.
        let unknown = libloading::Error::DlOpenUnknown;
        return Err(refusal().map_or(unknown, |words| libloading::Error::DlOpen { source: words.into() }));
    }
    // SAFETY: each dlopen gives a reference of its own.
    Ok(unsafe { Library::from_raw(handle) })
}

/// `dlmopen` into a new namespace, which libloading does not have.
fn open_apart(path: &CStr, flags: c_int) -> Result<Library, Failure> {
    // SAFETY: as for any load; the path ends in NUL.
    let handle = unsafe { libc::dlmopen(libc::LM_ID_NEWLM, path.as_ptr(), flags) };
    if handle.is_null() {
        let words = refusal().unwrap_or(c"dlmopen refused without a word");
        return Err(Failure::Namespace(words.to_string_lossy().into_owned()));
    }
    // SAFETY: the handle is new and has no other owner.
    Ok(unsafe { Library::from_raw(handle) })
}

/// The loader's words for what this thread was refused last.
#[cold]
fn refusal<'a>() -> Option<&'a CStr> {
    // SAFETY: dlerror returns null or a string that lives until the next dl* call of this thread; the words are copied
    // before there is one.
    unsafe {
        let words = libc::dlerror();
        (!words.is_null()).then(|| CStr::from_ptr(words))
    }
}
