//! What is used of the C library, glibc's: its own names of the allocator's functions (`__libc_malloc` and its like, which
//! nobody interposes), and the functions that are interposed, each looked up once behind us (`RTLD_NEXT`).

use core::ffi::{CStr, c_char, c_int, c_long, c_uint, c_void};
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering::Relaxed;

pub(crate) type Destructor = Option<unsafe extern "C" fn(*mut c_void)>;
pub(crate) type Visit = unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int;
pub(crate) type VisitObject = unsafe extern "C" fn(*const ObjectInfo, usize, *mut c_void) -> c_int;

unsafe extern "C" {
    pub(crate) fn __libc_malloc(size: usize) -> *mut c_void;
    pub(crate) fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    pub(crate) fn __libc_realloc(old: *mut c_void, size: usize) -> *mut c_void;
    pub(crate) fn __libc_free(old: *mut c_void);
    pub(crate) fn __libc_memalign(align: usize, size: usize) -> *mut c_void;
    pub(crate) fn __libc_valloc(size: usize) -> *mut c_void;
    pub(crate) fn __libc_pvalloc(size: usize) -> *mut c_void;
    pub(crate) fn malloc_usable_size(memory: *mut c_void) -> usize;
    pub(crate) fn __errno_location() -> *mut c_int;
    pub(crate) fn abort() -> !;
    pub(crate) fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    pub(crate) fn dl_iterate_phdr(visit: VisitObject, data: *mut c_void) -> c_int;
    pub(crate) fn getenv(name: *const c_char) -> *const c_char;
    pub(crate) fn setenv(name: *const c_char, value: *const c_char, replace: c_int) -> c_int;
    pub(crate) fn unsetenv(name: *const c_char) -> c_int;
    pub(crate) fn getpid() -> c_int;
    pub(crate) fn pthread_self() -> u64;
    pub(crate) fn syscall(number: c_long, ...) -> c_long;
    pub(crate) fn pthread_getspecific(key: c_uint) -> *mut c_void;
    pub(crate) fn pthread_setspecific(key: c_uint, value: *const c_void) -> c_int;
    pub(crate) fn pthread_attr_getdetachstate(attributes: *const c_void, state: *mut c_int) -> c_int;
    pub(crate) fn fileno(stream: *mut c_void) -> c_int;
    pub(crate) fn dirfd(directory: *mut c_void) -> c_int;
    pub(crate) fn __register_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
        object: *mut c_void,
    ) -> c_int;
    pub(crate) fn _Unwind_Backtrace(visit: Visit, data: *mut c_void) -> c_int;
    pub(crate) fn _Unwind_GetIPInfo(context: *mut c_void, before: *mut c_int) -> usize;
    pub(crate) fn _Unwind_GetGR(context: *mut c_void, register: c_int) -> usize;
}

/// `struct dl_phdr_info`, the part that is used.
#[repr(C)]
pub(crate) struct ObjectInfo {
    pub(crate) base: usize,
    pub(crate) name: *const c_char,
    pub(crate) headers: *const Header,
    pub(crate) count: u16,
}

/// `Elf64_Phdr`.
#[repr(C)]
pub(crate) struct Header {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    pub(crate) address: usize,
    pub(crate) physical: u64,
    pub(crate) in_file: u64,
    pub(crate) in_memory: usize,
    pub(crate) align: u64,
}

/// `ENOMEM`, `EINVAL`, `ENOSYS`.
pub(crate) const NO_MEMORY: c_int = 12;
pub(crate) const INVALID: c_int = 22;
const NO_SUCH_CALL: c_int = 38;

pub(crate) fn set_errno(value: c_int) {
    // SAFETY: the address is that of the calling thread's errno.
    unsafe { *__errno_location() = value };
}

/// Ends the process.
pub(crate) fn give_up() -> ! {
    // SAFETY: abort has no precondition.
    unsafe { abort() }
}

/// A function that is looked up once.
pub(crate) struct Real {
    name: &'static CStr,
    found: AtomicPtr<c_void>,
}

impl Real {
    pub(crate) const fn new(name: &'static CStr) -> Self {
        Self { name, found: AtomicPtr::new(core::ptr::null_mut()) }
    }

    /// Its address; null where the C library has no such function.
    pub(crate) fn address(&self) -> *mut c_void {
        let found = self.found.load(Relaxed);
        if !found.is_null() {
            return found;
        }
        // SAFETY: the name ends in NUL; RTLD_NEXT is -1.
        let found = unsafe { dlsym(core::ptr::without_provenance_mut(usize::MAX), self.name.as_ptr()) };
        self.found.store(found, Relaxed);
        found
    }
}

/// What a function that the C library does not have would say.
pub(crate) fn not_there() {
    set_errno(NO_SUCH_CALL);
}

/// Defines `mod real` with a function for each of these, which gives the C library's of that name.
macro_rules! reals {
    ($($name:ident($($type:ty),*) -> $result:ty;)*) => {
        /// The C library's own.
        pub(crate) mod real {
            #[allow(unused_imports)]
            use super::*;

            $(pub(crate) fn $name() -> Option<unsafe extern "C" fn($($type),*) -> $result> {
                static REAL: super::super::c::Real = super::super::c::Real::new(
                    match core::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                        Ok(name) => name,
                        Err(_) => c"",
                    },
                );
                // SAFETY: the prototype is that of the C library's manual; a null pointer becomes None.
                unsafe { core::mem::transmute(REAL.address()) }
            })*

            /// Looks all of them up now: later a lock of the loader might be held by who waits for us.
            pub(crate) fn look_up() {
                $(let _ = $name();)*
            }
        }
    };
}
pub(crate) use reals;
