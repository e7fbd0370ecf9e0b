//! What is done when the process begins, before `main`: the memory is mapped. The traces of ourselves are removed from the environment, so
//! that a process that the library starts is not traced as well; in a watched host they stay, because it may become another program.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::ptr::null_mut;
use core::sync::atomic::Ordering::Relaxed;

use super::{fds, handles, heap, mappings, origin, threads};
use crate::c;
use dlsoak_wire::notes::{MAGIC, Memory, NO_HEAP, READY};
use dlsoak_wire::watch::{self, Ring, VARIABLE};

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
        let watch = c::getenv(VARIABLE.as_ptr());
        if !watch.is_null() {
            // Unless this is the host itself, it is one of the processes that it starts.
            let Some(ring) = map::<Ring>(watch) else { return };
            if (*ring).magic.load(Relaxed) != watch::MAGIC
                || (*ring).host.load(Relaxed) != c::getpid().cast_unsigned()
            {
                return;
            }
            (*ring).preload_begins();
            handles::begin(ring);
            if !path.is_null()
                && let Some(memory) = map::<Memory>(path)
            {
                take_notes(memory);
            }
            return;
        }
        if path.is_null() {
            return;
        }
        let memory = map::<Memory>(path);
        let before = c::getenv(BEFORE.as_ptr());
        if before.is_null() {
            c::unsetenv(PRELOAD.as_ptr());
        } else {
            c::setenv(PRELOAD.as_ptr(), before, 1);
        }
        c::unsetenv(BEFORE.as_ptr());
        c::unsetenv(MEMORY.as_ptr());
        // The worker finds out that no notes are taken, and says so.
        if let Some(memory) = memory {
            take_notes(memory);
        }
    }
}

/// Begins to take notes in memory that was mapped.
unsafe fn take_notes(memory: *mut Memory) {
    // SAFETY: as in `start`.
    unsafe {
        if (*memory).magic.load(Relaxed) != MAGIC {
            return;
        }
        if (*memory).ready.load(Relaxed) != 0 {
            // The process was another program before, of which nothing is left.
            let groups = (*memory).only_groups.load(Relaxed);
            c::madvise(memory.cast(), size_of::<Memory>(), c::MADV_REMOVE);
            (*memory).only_groups.store(groups, Relaxed);
            (*memory).magic.store(MAGIC, Relaxed);
        }
        heap::real::look_up();
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
        (*memory).ready.store(if heap::is_used() { READY } else { NO_HEAP }, Relaxed);
    }
}

/// Maps a file that a supervisor made.
unsafe fn map<T>(path: *const c_char) -> Option<*mut T> {
    /// `O_RDWR | O_CLOEXEC`.
    const READ_WRITE: c_int = 0o2_000_002;
    /// `PROT_READ | PROT_WRITE` and `MAP_SHARED`.
    const ACCESS: c_int = 3;
    const SHARED: c_int = 1;
    // SAFETY: a new mapping at an address that the kernel chooses; the supervisor's file is as large as it says, and the
    // two sides are one program.
    unsafe {
        let fd = fds::real::open()?(path, READ_WRITE, 0);
        if fd < 0 {
            return None;
        }
        let memory: *mut c_void = mappings::real::mmap()?(null_mut(), size_of::<T>(), ACCESS, SHARED, fd, 0);
        fds::back::real::close()?(fd);
        (memory as usize != usize::MAX).then_some(memory.cast::<T>())
    }
}
