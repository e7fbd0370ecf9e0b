//! The auditor of a watched host: the loader calls it as it adds and removes objects (`rtld-audit(7)`), and it writes each of these
//! events into the [`Ring`]. It links nothing, because an auditor that needs the C library brings a second one into the host, in a
//! namespace of its own. It defines neither `la_pltenter` nor `la_pltexit`, because with either of them each call through the PLT
//! takes 55 to 131 ns instead of 7.

use core::ffi::{CStr, c_char, c_long, c_uint};
use core::ptr::{null, null_mut};
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicBool, AtomicPtr};

use dlsoak_wire::watch::{Event, Inside, Kind, MAGIC, Ring, VARIABLE};

use crate::raw::{process, remember_process};
use crate::thread_pointer::thread_pointer;

mod raw;

#[cfg(dlsoak_program)]
pub(crate) use raw::give_up;

/// The ring; null while nothing is to be written.
static RING: AtomicPtr<Ring> = AtomicPtr::new(null_mut());

/// The newest version of the interface that is spoken here: that of glibc 2.35. Older loaders speak 1, which has the same functions.
const NEWEST: c_uint = 2;

/// Values of `la_activity`, of `<link.h>`.
const LA_ACT_CONSISTENT: c_uint = 0;
const LA_ACT_ADD: c_uint = 1;

/// Whether the loader has begun to add objects to a namespace, and not yet done so. The thread that does it has the loader's lock.
static ADDING: AtomicBool = AtomicBool::new(true);

/// The public beginning of the loader's `struct link_map`.
#[repr(C)]
pub struct LinkMap {
    base: usize,
    name: *const c_char,
}

/// Called first. A process that is not to be watched answers 0, after which the loader asks nothing more.
///
/// # Safety
/// The loader's contract.
#[cfg_attr(dlsoak_program = "audit", unsafe(no_mangle))]
pub extern "C" fn la_version(offered: c_uint) -> c_uint {
    let Some(ring) = raw::mapped() else { return 0 };
    if ring.magic.load(Relaxed) != MAGIC {
        return 0;
    }
    // The first process is the host; whatever it starts comes later.
    let process = process();
    if ring.host.compare_exchange(0, process, Relaxed, Relaxed).is_err_and(|host| host != process) {
        ring.others.fetch_add(1, Relaxed);
        return 0;
    }
    ring.inside.store(Inside::Auditor as u32, Relaxed);
    RING.store(core::ptr::from_ref(ring).cast_mut(), Relaxed);
    remember_process();
    raw::find_clock();
    put(Kind::Begin, 0, null(), 0);
    offered.min(NEWEST)
}

/// Called for each object that is added, with a word of ours that comes again with it.
///
/// # Safety
/// The loader's contract.
#[cfg_attr(dlsoak_program = "audit", unsafe(no_mangle))]
pub unsafe extern "C" fn la_objopen(map: *const LinkMap, _namespace: c_long, cookie: *mut usize) -> c_uint {
    // SAFETY: null, or mapped for as long as the process lives.
    let Some(ring) = (unsafe { RING.load(Relaxed).as_ref() }) else { return 0 };
    let number = ring.objects.fetch_add(1, Relaxed) + 1;
    // SAFETY: the loader hands on its own structure and a word for us.
    let name = unsafe {
        *cookie = number as usize;
        (*map).name
    };
    put(Kind::Open, number, name, map as u64);
    // Bindings of symbols are nothing to us.
    0
}

/// Called for each object that is removed.
///
/// # Safety
/// The loader's contract.
#[cfg_attr(dlsoak_program = "audit", unsafe(no_mangle))]
pub unsafe extern "C" fn la_objclose(cookie: *mut usize) -> c_uint {
    // SAFETY: the loader hands on the word that was ours.
    put(Kind::Close, unsafe { *cookie } as u64, null(), 0);
    0
}

/// Called when the loader begins and ends to change the list of objects. The beginning of a removal is not reported, because
/// [`la_objclose`] reports each object.
///
/// # Safety
/// The loader's contract.
#[cfg_attr(dlsoak_program = "audit", unsafe(no_mangle))]
pub extern "C" fn la_activity(_cookie: *mut usize, what: c_uint) {
    match what {
        LA_ACT_ADD => {
            ADDING.store(true, Relaxed);
            put(Kind::Add, 0, null(), 0);
        }
        LA_ACT_CONSISTENT if ADDING.swap(false, Relaxed) => put(Kind::Consistent, 0, null(), 0),
        _ => (),
    }
}

/// An event takes no system call. With three for each, for process, thread and time, a load and unload in a C program took 46.4 us, and with
/// none 43.9 (39.2 alone, 40.8 with an auditor that does nothing; medians of 25).
fn put(kind: Kind, object: u64, name: *const c_char, map: u64) {
    // SAFETY: null, or mapped for as long as the process lives.
    let Some(ring) = (unsafe { RING.load(Relaxed).as_ref() }) else { return };
    // SAFETY: null, or the loader's own text.
    let name = if name.is_null() { &[][..] } else { unsafe { CStr::from_ptr(name) }.to_bytes() };
    let is_first = matches!(kind, Kind::Begin | Kind::Add | Kind::Close);
    let time_ns = if is_first { raw::monotonic_ns() } else { 0 };
    if ring.is_abandoned(time_ns) {
        RING.store(null_mut(), Relaxed);
        return;
    }
    ring.put(Event { kind, time_ns, process: process(), thread: thread_pointer(), object, map }, name);
}

/// The path in our variable, as the process was started with it.
fn path_in(environment: &[u8]) -> Option<&CStr> {
    let name = VARIABLE.to_bytes();
    let starts = |at: usize| at == 0 || environment[at - 1] == 0;
    let mut at = 0;
    while at + name.len() < environment.len() {
        if starts(at) && environment[at..].starts_with(name) && environment[at + name.len()] == b'=' {
            return CStr::from_bytes_until_nul(&environment[at + name.len() + 1..]).ok();
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_found_in_an_environment() {
        let found = |text: &'static [u8]| path_in(text).map(|path| path.to_str().unwrap());
        assert_eq!(found(b"A=1\0DLSOAK_WATCH=/a/ring\0B=2\0"), Some("/a/ring"));
        assert_eq!(found(b"DLSOAK_WATCH=/a\0"), Some("/a"));
        assert_eq!(found(b"XDLSOAK_WATCH=/a\0DLSOAK_WATCHER=/b\0"), None);
        assert_eq!(found(b"DLSOAK_WATCH=/cut"), None);
        assert_eq!(found(b""), None);
    }
}
