//! What is done when the process begins, before `main`: the memory is mapped, and the traces of ourselves are removed from
//! the environment, so that a process that the library starts is not traced as well.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::ptr::null_mut;
use core::sync::atomic::Ordering::Relaxed;

use super::{fds, mappings, origin, threads};
use crate::c;
use dlsoak_wire::notes::{MAGIC, Memory};

/// Names the memory.
const MEMORY: &CStr = c"DLSOAK_TRACE_MEMORY";
/// What `LD_PRELOAD` was before.
const BEFORE: &CStr = c"DLSOAK_TRACE_LD_PRELOAD";
const PRELOAD: &CStr = c"LD_PRELOAD";

/// Called by the loader.
#[cfg_attr(dlsoak_program = "preload", used, unsafe(link_section = ".init_array"))]
static START: extern "C" fn() = start;

extern "C" fn start() {
    // SAFETY: no other thread runs yet; the names end in NUL; what getenv gives stays until the environment is changed, and
    // is not used after that.
    unsafe {
        let path = c::getenv(MEMORY.as_ptr());
        if path.is_null() {
            return;
        }
        let memory = map(path);
        let before = c::getenv(BEFORE.as_ptr());
        if before.is_null() {
            c::unsetenv(PRELOAD.as_ptr());
        } else {
            c::setenv(PRELOAD.as_ptr(), before, 1);
        }
        c::unsetenv(BEFORE.as_ptr());
        c::unsetenv(MEMORY.as_ptr());
        // The worker finds out that no notes are taken, and says so.
        let Some(memory) = memory else { return };
        fds::real::look_up();
        fds::back::real::look_up();
        mappings::real::look_up();
        threads::real::look_up();
        let mut key: c_uint = 0;
        let made = threads::real::pthread_key_create().map(|real| real(&raw mut key, Some(threads::ended)));
        if made != Some(0) {
            return;
        }
        c::__register_atfork(None, None, Some(origin::end), null_mut());
        origin::begin(memory, key);
        (*memory).ready.store(1, Relaxed);
    }
}

/// Maps the memory that a supervisor made.
unsafe fn map(path: *const c_char) -> Option<*mut Memory> {
    /// `O_RDWR | O_CLOEXEC`.
    const READ_WRITE: c_int = 0o2_000_002;
    /// `PROT_READ | PROT_WRITE` and `MAP_SHARED`.
    const ACCESS: c_int = 3;
    const SHARED: c_int = 1;
    // SAFETY: a new mapping at an address that the kernel chooses; the supervisor's memory is as large as it says, and the
    // two sides are one program.
    unsafe {
        let fd = fds::real::open()?(path, READ_WRITE, 0);
        if fd < 0 {
            return None;
        }
        let size = size_of::<Memory>();
        let memory: *mut c_void = mappings::real::mmap()?(null_mut(), size, ACCESS, SHARED, fd, 0);
        fds::back::real::close()?(fd);
        let memory = (memory as usize != usize::MAX).then_some(memory.cast::<Memory>())?;
        ((*memory).magic.load(Relaxed) == MAGIC).then_some(memory)
    }
}
