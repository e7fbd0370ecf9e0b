//! `dlopen` and `dlclose` of a watched host, which the auditor does not see: the loader reports objects to it, and not handles. Each goes on to the
//! C library's by a jump, because the loader looks for a library in the RUNPATH of the code that `dlopen` returns to.

use core::ffi::{CStr, c_char, c_void};
use core::ptr::null_mut;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering::Relaxed;

use super::origin;
use crate::c;
use crate::raw::{process, remember_process};
use crate::thread_pointer::thread_pointer;
use dlsoak_wire::watch::{Event, Kind, Ring};

static RING: AtomicPtr<Ring> = AtomicPtr::new(null_mut());
static OPEN: c::Real = c::Real::new(c"dlopen");
static CLOSE: c::Real = c::Real::new(c"dlclose");

/// From now on handles are reported.
pub(super) fn begin(ring: *mut Ring) {
    OPEN.address();
    CLOSE.address();
    remember_process();
    RING.store(ring, Relaxed);
}

/// Reports a call of `dlopen` that returns to `caller`, and gives the address to go on to.
extern "C" fn opening(name: *const c_char, caller: *mut c_void) -> *mut c_void {
    // SAFETY: null, or the caller's text. Without a name it is the program that is meant.
    let name = if name.is_null() { c"" } else { unsafe { CStr::from_ptr(name) } };
    report(Kind::Opening, name, caller);
    OPEN.address()
}

/// Reports a call of `dlclose`, and gives the address to go on to.
extern "C" fn closing(handle: *mut c_void, _caller: *mut c_void) -> *mut c_void {
    report(Kind::Closing, c"", handle);
    CLOSE.address()
}

fn report(kind: Kind, name: &CStr, map: *mut c_void) {
    // SAFETY: null, or mapped for as long as the process lives.
    let Some(ring) = (unsafe { RING.load(Relaxed).as_ref() }) else { return };
    let process = process();
    let time_ns = c::monotonic_ns();
    if ring.is_abandoned(time_ns) {
        RING.store(null_mut(), Relaxed);
        origin::stop();
        return;
    }
    if ring.host.load(Relaxed) == process {
        origin::resume(process);
    }
    let event = Event { kind, time_ns, process, thread: thread_pointer(), object: 0, map: map as u64 };
    ring.put(event, name.to_bytes());
}

/// Defines a function that reports its call and then becomes the C library's.
macro_rules! reported {
    ($($name:ident by $report:ident;)*) => {$(
        /// As the C library's function of this name.
        ///
        /// # Safety
        /// The C library's contract.
        #[unsafe(naked)]
        #[cfg_attr(dlsoak_program = "preload", unsafe(no_mangle))]
        pub unsafe extern "C" fn $name() {
            #[cfg(target_arch = "x86_64")]
            core::arch::naked_asm!(
                "push rdi",
                "push rsi",
                "push rax",
                "mov rsi, [rsp + 24]",
                "call {report}",
                "mov r11, rax",
                "pop rax",
                "pop rsi",
                "pop rdi",
                "jmp r11",
                report = sym $report,
            );
            #[cfg(target_arch = "aarch64")]
            core::arch::naked_asm!(
                "stp x0, x1, [sp, #-32]!",
                "str x30, [sp, #16]",
                "mov x1, x30",
                "bl {report}",
                "mov x16, x0",
                "ldr x30, [sp, #16]",
                "ldp x0, x1, [sp], #32",
                "br x16",
                report = sym $report,
            );
        }
    )*};
}

reported! {
    dlopen by opening;
    dlclose by closing;
}
