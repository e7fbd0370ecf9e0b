//! Drivers of plugins: each makes one cycle of the life that the interface documents, checks results as the interface demands, and frees what
//! the interface says is the host's. They are one library, which the measured process opens once, as it opens a driver of a user's own: each
//! is a function `int FN(void *handle)` that returns 0, or the [step](dlsoak_wire::interface::failed) that failed.
//!
//! A driver does what a correct host does, and no more. What it allocates in a cycle it frees in that cycle. What calls the plugin is a function
//! of its own for each step, with a name, so that the stack of an allocation or of a crash says which step it was.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicPtr, AtomicUsize};

use dlsoak_wire::interface::Interface;

use crate::c;

/// Declares a step: a function with a name of its own, that is not inlined, and that is still on the stack while it calls.
macro_rules! step {
    ($name:ident($function:ident: $kind:ty $(, $argument:ident: $type:ty)*) $(-> $result:ty)? $call:block) => {
        #[inline(never)]
        #[cfg_attr(dlsoak_program, unsafe(no_mangle))]
        unsafe extern "C" fn $name($function: $kind $(, $argument: $type)*) $(-> $result)? {
            // Two steps with the same code would else become one function.
            core::hint::black_box(line!());
            // SAFETY: the caller follows the interface.
            let result = unsafe { $call };
            core::hint::black_box(result)
        }
    };
}

/// Declares functions of the host's library: a structure of them, and `of`, which looks them all up by their names.
macro_rules! functions {
    ($name:ident { $($field:ident: $kind:ty,)* }) => {
        #[allow(non_snake_case, reason = "they are the library's names")]
        #[derive(Clone, Copy)]
        #[repr(C)]
        struct $name {
            $($field: $kind,)*
        }

        impl $name {
            /// Those that the library with this handle has, or, where that is null, the host; `None` where one is missing.
            fn of(handle: *mut c_void) -> Option<Self> {
                const NAMES: &[u8] = concat!($(stringify!($field), "\0"),*).as_bytes();
                let mut all = core::mem::MaybeUninit::<Self>::uninit();
                // SAFETY: each field has the size of a pointer, and the function of its name has its type, by the library's header. Where
                // all are found, all are written.
                unsafe { super::find_all(handle, NAMES, all.as_mut_ptr().cast()).then(|| all.assume_init()) }
            }
        }
    };
}

mod clap;
mod frei0r;
mod gconv;
mod gstreamer;
mod ladspa;
mod lua;
pub mod lv2;
mod nss;
mod opencl;
mod openssl;
mod python;
mod sqlite;
mod vulkan;

/// Frames that a plugin of audio runs for.
const FRAMES: usize = 64;

/// Instances in a cycle at most.
pub const MOST_INSTANCES: usize = 64;

/// What the set-up gave. Text is that of the job, which lives as long as the process.
struct Given {
    instances: AtomicUsize,
    path: AtomicPtr<c_char>,
    symbol: AtomicPtr<c_char>,
    detail: AtomicPtr<c_char>,
}

static GIVEN: Given = Given {
    instances: AtomicUsize::new(1),
    path: AtomicPtr::new(core::ptr::null_mut()),
    symbol: AtomicPtr::new(core::ptr::null_mut()),
    detail: AtomicPtr::new(core::ptr::null_mut()),
};

/// The set-up: which interface, how many instances a cycle makes at the same time, the plugin's file, what it exports that the interface is
/// recognised by, and what else the driver has to know of it, in a form of the driver's own. Returns 0 for success.
///
/// # Safety
/// The texts live as long as the process.
#[cfg_attr(dlsoak_program, unsafe(no_mangle))]
pub unsafe extern "C" fn dlsoak_begin(
    interface: u64,
    instances: u64,
    path: *const c_char,
    symbol: *const c_char,
    detail: *const c_char,
) -> c_int {
    GIVEN.instances.store((instances as usize).min(MOST_INSTANCES), Relaxed);
    GIVEN.path.store(path.cast_mut(), Relaxed);
    GIVEN.symbol.store(symbol.cast_mut(), Relaxed);
    GIVEN.detail.store(detail.cast_mut(), Relaxed);
    match Interface::from_number(interface) {
        Some(
            Interface::Ladspa
            | Interface::Clap
            | Interface::Gconv
            | Interface::Nss
            | Interface::Frei0r
            | Interface::Lua
            | Interface::Vulkan
            | Interface::Opencl,
        ) => 0,
        Some(Interface::Sqlite) => c_int::from(sqlite::begin().is_none()),
        Some(Interface::Lv2) => lv2::begin(),
        Some(Interface::Openssl) => openssl::begin(),
        Some(Interface::Gstreamer) => gstreamer::begin(),
        Some(Interface::LuaKept) => lua::begin(),
        Some(Interface::Python) => python::begin(true),
        Some(Interface::PythonFresh) => python::begin(false),
        None => 1,
    }
}

/// Instances that a cycle makes, at most [`MOST_INSTANCES`].
fn instances() -> usize {
    GIVEN.instances.load(Relaxed)
}

fn text(of: &AtomicPtr<c_char>) -> &'static CStr {
    let text = of.load(Relaxed);
    // SAFETY: it is what the set-up gave, which lives as long as the process and ends in NUL.
    if text.is_null() { c"" } else { unsafe { CStr::from_ptr(text) } }
}

/// The plugin's file.
fn path() -> &'static CStr {
    text(&GIVEN.path)
}

/// What the plugin exports that the interface is recognised by.
fn symbol() -> &'static CStr {
    text(&GIVEN.symbol)
}

/// What else the driver has to know.
fn detail() -> &'static CStr {
    text(&GIVEN.detail)
}

/// The function or variable of this name in the plugin with this handle, or, where that is null, in what the host has.
fn find(handle: *mut c_void, name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the handle is open, or null, which is `RTLD_DEFAULT`; the name ends in NUL.
    let found = unsafe { c::dlsym(handle, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

/// Finds all of these names, each of which ends in NUL, and writes where they are; false where one is missing.
///
/// # Safety
/// There is room for as many.
unsafe fn find_all(handle: *mut c_void, names: &[u8], to: *mut *mut c_void) -> bool {
    let mut rest = names;
    for number in 0.. {
        let Ok(name) = CStr::from_bytes_until_nul(rest) else { break };
        let Some(found) = find(handle, name) else { return false };
        // SAFETY: the caller's.
        unsafe { to.add(number).write(found) };
        rest = rest.get(name.count_bytes() + 1..).unwrap_or_default();
    }
    true
}

/// A host that one thread uses at a time: those that wait for it yield.
struct Turn(core::sync::atomic::AtomicBool);

impl Turn {
    const fn new() -> Self {
        Self(core::sync::atomic::AtomicBool::new(false))
    }

    /// Waits for the host, which is this thread's until what this returns is dropped.
    fn take(&self) -> Taken<'_> {
        use core::sync::atomic::Ordering::Acquire;
        while self.0.swap(true, Acquire) {
            c::sched_yield();
        }
        Taken(self)
    }
}

/// That a host is this thread's.
struct Taken<'a>(&'a Turn);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, core::sync::atomic::Ordering::Release);
    }
}

/// Fills a channel of an audio input.
///
/// # Safety
/// It has room for [`FRAMES`].
#[inline(never)]
unsafe fn wave(at: *mut f32) {
    for frame in 0..FRAMES {
        // SAFETY: there is room for it.
        unsafe { at.add(frame).write((frame % 16) as f32 / 16.0 - 0.5) };
    }
}

/// Memory of zeros that is given back when this is dropped.
struct Zeros {
    at: *mut c_void,
}

impl Zeros {
    /// `None` where there is no memory.
    fn new(bytes: usize) -> Option<Self> {
        // SAFETY: there is no precondition.
        let at = unsafe { c::calloc(bytes.max(1), 1) };
        (!at.is_null()).then_some(Self { at })
    }
}

impl Drop for Zeros {
    fn drop(&mut self) {
        // SAFETY: it was allocated in `new`, and is freed this once.
        unsafe { c::free(self.at) };
    }
}
