//! LV2 1.18.4 (<https://github.com/lv2/lv2/tree/v1.18.4/lv2>: `core/lv2.h`, `urid/urid.h`, `options/options.h`, `worker/worker.h`, `log/log.h`,
//! `atom/atom.h`): each descriptor that the detail lists is instantiated at 48,000 Hz and asked for its worker, its ports are connected, and it
//! is activated, run for 64 frames, deactivated and cleaned up. What it schedules is worked at once, as LV2 allows where nothing is in real
//! time, and the responses follow after `run`. A library that has `lv2_lib_descriptor` gives its plugins through that: the library's descriptor
//! is made first, has a host's part of its own, and is cleaned up last.
//!
//! The detail is made from the bundle's Turtle files. Its first line is the bundle's directory, which ends in a slash. Each other line is a
//! plugin, in fields that a tab separates:
//!
//! 1. its URI;
//! 2. a letter for each port in the order of `lv2:index`: `a` audio, `c` control, `v` CV and `t` atom as inputs, the same in upper case as
//!    outputs, and `-` for any other port that is `lv2:connectionOptional`, which is connected to null;
//! 3. the bits of a number for each `c` in this order, in hexadecimal digits, separated by spaces: its `lv2:default`, or else 0 within its
//!    bounds;
//! 4. the largest `rsz:minimumSize` of its ports, which may be missing.
//!
//! Only plugins are listed whose each `lv2:requiredFeature` is one of [`SUPPORTED`] or [`FULFILLED`], and whose each port has a letter. All
//! other descriptors are only asked for.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::{null, null_mut};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize};

use dlsoak_wire::interface::failed;

use super::{FRAMES, MOST_INSTANCES, Zeros, detail, find, instances, wave};
use crate::c;

const RATE: f64 = 48_000.0;
/// Bytes of the buffers of atoms, where no port needs more.
const ATOMS: usize = 8192;
/// What a buffer's place is a multiple of.
const ALIGN: usize = 16;

/// Features that the host gives to instances.
pub const SUPPORTED: [&CStr; 8] = [
    c"http://lv2plug.in/ns/ext/urid#map",
    c"http://lv2plug.in/ns/ext/urid#unmap",
    c"http://lv2plug.in/ns/ext/options#options",
    c"http://lv2plug.in/ns/ext/worker#schedule",
    c"http://lv2plug.in/ns/ext/log#log",
    c"http://lv2plug.in/ns/ext/buf-size#boundedBlockLength",
    c"http://lv2plug.in/ns/ext/buf-size#fixedBlockLength",
    c"http://lv2plug.in/ns/ext/buf-size#powerOf2BlockLength",
];
/// Features that say how a host behaves, as this one does. They have no data, and need not be given.
pub const FULFILLED: [&CStr; 3] = [
    c"http://lv2plug.in/ns/lv2core#inPlaceBroken",
    c"http://lv2plug.in/ns/lv2core#hardRTCapable",
    c"http://lv2plug.in/ns/lv2core#isLive",
];
const WORKER: &CStr = c"http://lv2plug.in/ns/ext/worker#interface";

type Handle = *mut c_void;
type OnInstance = unsafe extern "C" fn(Handle);

/// `LV2_Feature`.
#[repr(C)]
struct Feature {
    uri: *const c_char,
    data: *mut c_void,
}

/// `LV2_Descriptor`.
#[repr(C)]
struct Descriptor {
    uri: *const c_char,
    instantiate: Option<Instantiate>,
    connect_port: Option<Connect>,
    activate: Option<OnInstance>,
    run: Option<unsafe extern "C" fn(Handle, u32)>,
    deactivate: Option<OnInstance>,
    cleanup: Option<OnInstance>,
    extension_data: Option<Extension>,
}

/// `LV2_Lib_Descriptor`.
#[repr(C)]
struct Library {
    handle: *mut c_void,
    size: u32,
    cleanup: Option<unsafe extern "C" fn(*mut c_void)>,
    get_plugin: Option<GetPlugin>,
}

type GetPlugin = unsafe extern "C" fn(*mut c_void, u32) -> *const Descriptor;
type Open = unsafe extern "C" fn(*const c_char, *const *const Feature) -> *const Library;
type Describe = unsafe extern "C" fn(u32) -> *const Descriptor;
type Instantiate =
    unsafe extern "C" fn(*const Descriptor, f64, *const c_char, *const *const Feature) -> Handle;
type Connect = unsafe extern "C" fn(Handle, u32, *mut c_void);
type Extension = unsafe extern "C" fn(*const c_char) -> *const c_void;

/// `LV2_URID_Map` and `LV2_URID_Unmap`.
#[repr(C)]
struct Map {
    handle: *mut c_void,
    map: unsafe extern "C" fn(*mut c_void, *const c_char) -> u32,
}
#[repr(C)]
struct Unmap {
    handle: *mut c_void,
    unmap: unsafe extern "C" fn(*mut c_void, u32) -> *const c_char,
}

/// `LV2_Options_Option`.
#[repr(C)]
struct Choice {
    context: u32,
    subject: u32,
    key: u32,
    size: u32,
    kind: u32,
    value: *const c_void,
}

/// `LV2_Worker_Schedule` and `LV2_Worker_Interface`.
#[repr(C)]
struct Schedule {
    handle: *mut Host,
    schedule: unsafe extern "C" fn(*mut Host, u32, *const c_void) -> c_int,
}
#[repr(C)]
struct Worker {
    work: Option<Work>,
    response: Option<Response>,
    end_run: Option<EndRun>,
}

type Respond = unsafe extern "C" fn(*mut Host, u32, *const c_void) -> c_int;
type Work = unsafe extern "C" fn(Handle, Respond, *mut Host, u32, *const c_void) -> c_int;
type Response = unsafe extern "C" fn(Handle, u32, *const c_void) -> c_int;
type EndRun = unsafe extern "C" fn(Handle) -> c_int;

/// `LV2_Worker_Status`.
const SUCCESS: c_int = 0;
const UNKNOWN: c_int = 1;
const NO_SPACE: c_int = 2;

/// `LV2_Log_Log`. Both functions take more arguments, which the calling conventions of x86-64 and AArch64 let a function ignore.
#[repr(C)]
struct Log {
    handle: *mut c_void,
    print: unsafe extern "C" fn(*mut c_void, u32, *const c_char) -> c_int,
    print_list: unsafe extern "C" fn(*mut c_void, u32, *const c_char) -> c_int,
}

/// What an instance has of its host. It stays where it is while the instance lives.
struct Host {
    map: Map,
    unmap: Unmap,
    options: [Choice; 6],
    frames: i32,
    atoms: i32,
    rate: f32,
    schedule: Schedule,
    log: Log,
    features: [Feature; SUPPORTED.len()],
    pointers: [*const Feature; SUPPORTED.len() + 1],
    instance: Handle,
    worker: *const Worker,
    first: *mut Node,
    last: *mut Node,
}

/// A response of the worker; its bytes follow.
#[repr(C, align(16))]
struct Node {
    next: *mut Node,
    size: u32,
}

/// Numbers of the steps.
const DESCRIBE: u16 = 1;
const INSTANTIATE: u16 = 2;
const CONNECT: u16 = 4;
const RUN: u16 = 6;
const CLEANUP: u16 = 11;
const LIB_DESCRIPTOR: u16 = 12;
const LIB_CLEANUP: u16 = 13;

/// The map of URIs, which is the host's and lasts as long as the process: places by hash, where each text begins, and the texts.
const MOST_URIS: usize = 8192;
const PLACES: usize = 2 * MOST_URIS;
const TEXTS: usize = 1 << 20;

#[repr(C)]
struct Uris {
    places: [u32; PLACES],
    starts: [u32; MOST_URIS],
    texts: [u8; TEXTS],
}

static URIS: AtomicPtr<Uris> = AtomicPtr::new(null_mut());
static LOCKED: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicUsize = AtomicUsize::new(0);
static USED: AtomicUsize = AtomicUsize::new(0);

/// The set-up of the host: the room for the map. Returns 0 for success.
pub fn begin() -> c_int {
    match c::map(size_of::<Uris>()) {
        Ok(room) => {
            URIS.store(room.as_mut_ptr().cast(), Release);
            0
        }
        Err(error) => error,
    }
}

/// The number of a URI; 0 where there is no room for another one.
fn number(uri: &CStr) -> u32 {
    while LOCKED.swap(true, Acquire) {
        c::sched_yield();
    }
    // SAFETY: it is null or the room that was made at the set-up, and it is locked.
    let found =
        unsafe { URIS.load(Acquire).as_mut() }.and_then(|uris| looked_up(uris, uri.to_bytes_with_nul()));
    LOCKED.store(false, Release);
    found.unwrap_or(0)
}

fn looked_up(uris: &mut Uris, text: &[u8]) -> Option<u32> {
    let hash =
        text.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    let (count, used) = (COUNT.load(Relaxed), USED.load(Relaxed));
    // There are more places than numbers, so one is free.
    for step in 0..PLACES {
        let place = uris.places.get_mut((hash as usize).wrapping_add(step) % PLACES)?;
        if *place == 0 {
            uris.texts.get_mut(used..)?.get_mut(..text.len())?.copy_from_slice(text);
            *uris.starts.get_mut(count)? = used as u32;
            *place = count as u32 + 1;
            COUNT.store(count + 1, Relaxed);
            USED.store(used + text.len(), Relaxed);
            return Some(*place);
        }
        let start = *uris.starts.get(*place as usize - 1)? as usize;
        if uris.texts.get(start..)?.starts_with(text) {
            return Some(*place);
        }
    }
    None
}

unsafe extern "C" fn map(_handle: *mut c_void, uri: *const c_char) -> u32 {
    // SAFETY: what a plugin maps is text that ends in NUL.
    if uri.is_null() { 0 } else { number(unsafe { CStr::from_ptr(uri) }) }
}

unsafe extern "C" fn unmap(_handle: *mut c_void, number: u32) -> *const c_char {
    let index = (number as usize).wrapping_sub(1);
    while LOCKED.swap(true, Acquire) {
        c::sched_yield();
    }
    // SAFETY: it is null or the room that was made at the set-up, and it is locked. A text never changes once it has a number.
    let uris = unsafe { URIS.load(Acquire).as_ref() }.filter(|_| index < COUNT.load(Relaxed));
    let start = uris.and_then(|uris| uris.texts.get(*uris.starts.get(index)? as usize..));
    LOCKED.store(false, Release);
    start.map_or(null(), |start| start.as_ptr().cast())
}

/// What a plugin logs is not shown.
unsafe extern "C" fn silent(_handle: *mut c_void, _kind: u32, _format: *const c_char) -> c_int {
    0
}

/// What a plugin schedules is worked at once.
unsafe extern "C" fn schedule(host: *mut Host, size: u32, data: *const c_void) -> c_int {
    // SAFETY: the host's part of an instance lives as long as the instance, whose worker is the plugin's.
    unsafe {
        let (instance, worker) = ((*host).instance, (*host).worker.as_ref());
        match worker.and_then(|worker| worker.work) {
            Some(work) if !instance.is_null() => lv2_work(work, instance, host, size, data),
            _ => UNKNOWN,
        }
    }
}

/// Keeps a response of the worker until after `run`.
unsafe extern "C" fn respond(host: *mut Host, size: u32, data: *const c_void) -> c_int {
    let Some(room) = Zeros::new(size_of::<Node>() + size as usize) else { return NO_SPACE };
    let node = room.at.cast::<Node>();
    core::mem::forget(room);
    // SAFETY: there is room for the node and its bytes, and the host's part of an instance lives as long as the instance.
    unsafe {
        node.write(Node { next: null_mut(), size });
        if !data.is_null() {
            node.add(1).cast::<u8>().copy_from_nonoverlapping(data.cast(), size as usize);
        }
        if (*host).last.is_null() {
            (*host).first = node;
        } else {
            (*(*host).last).next = node;
        }
        (*host).last = node;
    }
    SUCCESS
}

/// Gives the responses to the instance, or only frees them.
unsafe fn answer(host: *mut Host, instance: Option<Handle>) {
    // SAFETY: the nodes were made by `respond`, and each is freed once.
    unsafe {
        let worker = (*host).worker.as_ref();
        while let Some(node) = (*host).first.as_mut() {
            (*host).first = node.next;
            if node.next.is_null() {
                (*host).last = null_mut();
            }
            let node = core::ptr::from_mut(node);
            if let (Some(instance), Some(response)) = (instance, worker.and_then(|worker| worker.response)) {
                lv2_work_response(response, instance, (*node).size, node.add(1).cast());
            }
            c::free(node.cast());
        }
        if let (Some(instance), Some(end)) = (instance, worker.and_then(|worker| worker.end_run)) {
            lv2_end_run(end, instance);
        }
    }
}

/// What the detail says of a plugin.
struct Ports {
    letters: &'static [u8],
    defaults: &'static [u8],
    atoms: usize,
}

impl Ports {
    fn of(uri: &CStr) -> Option<Self> {
        let mut lines = detail().to_bytes().split(|byte| *byte == b'\n').skip(1);
        lines.find_map(|line| {
            let mut fields = line.split(|byte| *byte == b'\t');
            if fields.next()? != uri.to_bytes() {
                return None;
            }
            let (letters, defaults) = (fields.next()?, fields.next().unwrap_or_default());
            let atoms = fields.next().and_then(|field| core::str::from_utf8(field).ok()?.parse().ok());
            let atoms = atoms.unwrap_or(0_usize).clamp(ATOMS, 1 << 24).next_multiple_of(ALIGN);
            Some(Self { letters, defaults, atoms })
        })
    }

    /// Bytes of the buffer of a port.
    fn bytes(&self, letter: u8) -> usize {
        match letter.to_ascii_lowercase() {
            b'a' | b'v' => FRAMES * size_of::<f32>(),
            b'c' => ALIGN,
            b't' => self.atoms,
            _ => 0,
        }
    }
}

/// One cycle of a plugin that is open.
///
/// # Safety
/// The handle is that of an LV2 plugin.
#[cfg_attr(dlsoak_program, unsafe(no_mangle))]
pub unsafe extern "C" fn dlsoak_lv2(handle: *mut c_void) -> c_int {
    // The path of the bundle ends in NUL.
    let path = detail().to_bytes().split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Some(bundle) = Zeros::new(path.len() + 1) else { return failed(INSTANTIATE, 0) };
    // SAFETY: there is room for it.
    unsafe { bundle.at.cast::<u8>().copy_from_nonoverlapping(path.as_ptr(), path.len()) };
    let bundle = bundle.at.cast_const().cast();
    let Some(open) = find(handle, c"lv2_lib_descriptor") else {
        let Some(describe) = find(handle, c"lv2_descriptor") else { return failed(DESCRIBE, 0) };
        // SAFETY: it is the interface's function of this prototype.
        let describe = unsafe { core::mem::transmute::<*mut c_void, Describe>(describe) };
        // SAFETY: the plugin is open.
        return all(bundle, |index| unsafe { lv2_describe(describe, index) });
    };
    let Some(host) = Zeros::new(size_of::<Host>()) else { return failed(LIB_DESCRIPTOR, 0) };
    let host = host.at.cast::<Host>();
    // SAFETY: it is the interface's function of this prototype; the host's part lives longer than what the library makes, which is asked only
    // until it is cleaned up, and cleaned up after all instances.
    unsafe {
        furnish(host, ATOMS);
        let open = core::mem::transmute::<*mut c_void, Open>(open);
        let Some(library) = lv2_lib_descriptor(open, bundle, (&raw const (*host).pointers).cast()).as_ref()
        else {
            return failed(LIB_DESCRIPTOR, 0);
        };
        let handle = library.handle;
        let Some(get) = library.get_plugin else { return failed(DESCRIBE, 0) };
        let Some(cleanup) = library.cleanup else { return failed(LIB_CLEANUP, 0) };
        let result = all(bundle, |index| lv2_get_plugin(get, handle, index));
        lv2_lib_cleanup(cleanup, handle);
        result
    }
}

/// The lives of all descriptors.
fn all(bundle: *const c_char, describe: impl Fn(u32) -> *const Descriptor) -> c_int {
    // "Hosts enumerate by calling this with increasing indices, from 0 until NULL is returned."
    for index in 0.. {
        // SAFETY: a descriptor stays valid while the library is open.
        let Some(descriptor) = (unsafe { describe(index).as_ref() }) else { break };
        if descriptor.uri.is_null() {
            return failed(DESCRIBE, index as usize);
        }
        // SAFETY: a URI is text that ends in NUL.
        let Some(ports) = Ports::of(unsafe { CStr::from_ptr(descriptor.uri) }) else { continue };
        // SAFETY: as above.
        if let Err(step) = unsafe { live(descriptor, &ports, bundle) } {
            return failed(step, index as usize);
        }
    }
    0
}

/// The life of all instances of one descriptor.
unsafe fn live(descriptor: &Descriptor, ports: &Ports, bundle: *const c_char) -> Result<(), u16> {
    let bytes: usize = ports.letters.iter().map(|letter| ports.bytes(*letter)).sum();
    let room = Zeros::new(bytes * instances()).ok_or(CONNECT)?;
    let hosts = Zeros::new(size_of::<Host>() * instances()).ok_or(INSTANTIATE)?;
    let hosts = hosts.at.cast::<Host>();
    let (instantiate, connect) =
        (descriptor.instantiate.ok_or(INSTANTIATE)?, descriptor.connect_port.ok_or(CONNECT)?);
    let (run, cleanup) = (descriptor.run.ok_or(RUN)?, descriptor.cleanup.ok_or(CLEANUP)?);
    let mut handles = [null_mut(); MOST_INSTANCES];
    let handles = handles.get_mut(..instances()).unwrap_or_default();
    // SAFETY: each function is called in the order that the interface demands, with instances that live, and with ports that stay
    // connected to memory of as many frames as are run. There is a host's part for each instance.
    unsafe {
        for made in 0..handles.len() {
            let host = hosts.add(made);
            furnish(host, ports.atoms);
            let handle =
                lv2_instantiate(instantiate, descriptor, bundle, (&raw const (*host).pointers).cast());
            if handle.is_null() {
                handles.iter().take(made).for_each(|handle| lv2_cleanup(cleanup, *handle));
                (0..=made).for_each(|number| answer(hosts.add(number), None));
                return Err(INSTANTIATE);
            }
            (*host).instance = handle;
            if let Some(extension) = descriptor.extension_data {
                (*host).worker = lv2_extension_data(extension, WORKER.as_ptr()).cast();
            }
            if let Some(place) = handles.get_mut(made) {
                *place = handle;
            }
        }
        for (number, handle) in handles.iter().enumerate() {
            let mut at = room.at.cast::<u8>().add(number * bytes);
            let mut defaults = ports.defaults.split(|byte| *byte == b' ');
            for (port, letter) in ports.letters.iter().enumerate() {
                let bytes = ports.bytes(*letter);
                fill(*letter, bytes, at, &mut defaults);
                lv2_connect_port(
                    connect,
                    *handle,
                    port as u32,
                    if bytes == 0 { null_mut() } else { at.cast() },
                );
                at = at.add(bytes);
            }
        }
        if let Some(activate) = descriptor.activate {
            handles.iter().for_each(|handle| lv2_activate(activate, *handle));
        }
        for (number, handle) in handles.iter().enumerate() {
            lv2_run(run, *handle);
            answer(hosts.add(number), Some(*handle));
        }
        if let Some(deactivate) = descriptor.deactivate {
            handles.iter().for_each(|handle| lv2_deactivate(deactivate, *handle));
        }
        for (number, handle) in handles.iter().enumerate() {
            lv2_cleanup(cleanup, *handle);
            answer(hosts.add(number), None);
        }
    }
    Ok(())
}

/// Fills in what an instance has of its host.
unsafe fn furnish(host: *mut Host, atoms: usize) {
    let integer = number(c"http://lv2plug.in/ns/ext/atom#Int");
    let float = number(c"http://lv2plug.in/ns/ext/atom#Float");
    // SAFETY: there is room for it, and it stays where it is, so that it can point into itself.
    unsafe {
        let choice = |uri: Option<&CStr>, kind: u32, value: *const c_void| Choice {
            context: 0,
            subject: 0,
            key: uri.map_or(0, number),
            size: if uri.is_some() { 4 } else { 0 },
            kind,
            value,
        };
        let frames = (&raw const (*host).frames).cast();
        host.write(Host {
            map: Map { handle: null_mut(), map },
            unmap: Unmap { handle: null_mut(), unmap },
            options: [
                choice(Some(c"http://lv2plug.in/ns/ext/buf-size#minBlockLength"), integer, frames),
                choice(Some(c"http://lv2plug.in/ns/ext/buf-size#maxBlockLength"), integer, frames),
                choice(Some(c"http://lv2plug.in/ns/ext/buf-size#nominalBlockLength"), integer, frames),
                choice(
                    Some(c"http://lv2plug.in/ns/ext/buf-size#sequenceSize"),
                    integer,
                    (&raw const (*host).atoms).cast(),
                ),
                choice(
                    Some(c"http://lv2plug.in/ns/ext/parameters#sampleRate"),
                    float,
                    (&raw const (*host).rate).cast(),
                ),
                choice(None, 0, null()),
            ],
            frames: FRAMES as i32,
            atoms: atoms as i32,
            rate: RATE as f32,
            schedule: Schedule { handle: host, schedule },
            log: Log { handle: null_mut(), print: silent, print_list: silent },
            features: SUPPORTED.map(|uri| Feature { uri: uri.as_ptr(), data: null_mut() }),
            pointers: [null(); SUPPORTED.len() + 1],
            instance: null_mut(),
            worker: null(),
            first: null_mut(),
            last: null_mut(),
        });
        // In the order of `SUPPORTED`; the others have no data.
        let data: [*mut c_void; 5] = [
            (&raw mut (*host).map).cast(),
            (&raw mut (*host).unmap).cast(),
            (&raw mut (*host).options).cast(),
            (&raw mut (*host).schedule).cast(),
            (&raw mut (*host).log).cast(),
        ];
        let features = (&raw mut (*host).features).cast::<Feature>();
        let pointers = (&raw mut (*host).pointers).cast::<*const Feature>();
        for (index, data) in data.into_iter().enumerate() {
            (*features.add(index)).data = data;
        }
        for index in 0..SUPPORTED.len() {
            pointers.add(index).write(features.add(index).cast_const());
        }
    }
}

/// What a port is connected to: a wave, a control's default, an empty sequence of events, or room for one.
unsafe fn fill(letter: u8, bytes: usize, at: *mut u8, defaults: &mut dyn Iterator<Item = &[u8]>) {
    // SAFETY: there is as much room as the letter demands, which is aligned.
    unsafe {
        match letter {
            b'a' => wave(at.cast()),
            b'c' => {
                // Reading a decimal fraction would take 14,000 bytes of code and tables.
                let bits = defaults.next().and_then(|text| core::str::from_utf8(text).ok());
                let bits = bits.and_then(|text| u32::from_str_radix(text, 16).ok());
                at.cast::<u32>().write(bits.unwrap_or(0));
            }
            // `LV2_Atom_Sequence`: the size of what follows the first two words, the type, the unit and a word of padding.
            b't' => at.cast::<[u32; 4]>().write([8, number(c"http://lv2plug.in/ns/ext/atom#Sequence"), 0, 0]),
            // An output begins as room that the plugin may fill.
            b'T' => {
                at.cast::<[u32; 4]>().write([
                    bytes as u32 - 8,
                    number(c"http://lv2plug.in/ns/ext/atom#Chunk"),
                    0,
                    0,
                ]);
            }
            _ => {}
        }
    }
}

step!(lv2_describe(describe: Describe, index: u32) -> *const Descriptor { describe(index) });
step!(lv2_lib_descriptor(open: Open, bundle: *const c_char, features: *const *const Feature) -> *const Library { open(bundle, features) });
step!(lv2_get_plugin(get: GetPlugin, handle: *mut c_void, index: u32) -> *const Descriptor { get(handle, index) });
step!(lv2_lib_cleanup(cleanup: unsafe extern "C" fn(*mut c_void), handle: *mut c_void) { cleanup(handle) });
step!(lv2_instantiate(instantiate: Instantiate, descriptor: *const Descriptor, bundle: *const c_char, features: *const *const Feature) -> Handle {
    instantiate(descriptor, RATE, bundle, features)
});
step!(lv2_extension_data(extension: Extension, uri: *const c_char) -> *const c_void { extension(uri) });
step!(lv2_connect_port(connect: Connect, handle: Handle, port: u32, to: *mut c_void) { connect(handle, port, to) });
step!(lv2_activate(activate: OnInstance, handle: Handle) { activate(handle) });
step!(lv2_run(run: unsafe extern "C" fn(Handle, u32), handle: Handle) { run(handle, FRAMES as u32) });
step!(lv2_work(work: Work, handle: Handle, host: *mut Host, size: u32, data: *const c_void) -> c_int {
    work(handle, respond, host, size, data)
});
step!(lv2_work_response(response: Response, handle: Handle, size: u32, data: *const c_void) -> c_int { response(handle, size, data) });
step!(lv2_end_run(end: EndRun, handle: Handle) -> c_int { end(handle) });
step!(lv2_deactivate(deactivate: OnInstance, handle: Handle) { deactivate(handle) });
step!(lv2_cleanup(cleanup: OnInstance, handle: Handle) { cleanup(handle) });
