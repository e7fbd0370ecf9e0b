//! CLAP 1.2 (<https://github.com/free-audio/clap/tree/main/include/clap>: `entry.h`, `factory/plugin-factory.h`, `plugin.h`, `host.h`,
//! `process.h`, `events.h`, `ext/audio-ports.h`, `ext/note-ports.h`, `ext/thread-check.h`, `ext/latency.h` and `ext/log.h`): the entry is initialised with the
//! plugin's path and asked for its factory of plugins. Of each descriptor, the instances are created, initialised and asked for their ports.
//! Each is activated at 48,000 Hz for blocks of 1 to 64 frames, started, and processes one block of 64 frames. Then each is stopped,
//! deactivated and destroyed, and at the end the entry is deinitialised. There is no detail.
//!
//! One thread is the main thread and, in the calls that CLAP marks so, the audio thread, as `ext/thread-check.h` allows. An instance that
//! requests a callback gets it after the call in which it does so, and one that requests a restart is restarted by the next cycle.

use core::cell::Cell;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::{null, null_mut};
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use dlsoak_wire::interface::failed;

use super::{FRAMES, Zeros, find, instances, path, wave};
use crate::c;

const RATE: f64 = 48_000.0;
/// Bytes of one channel.
const CHANNEL: usize = FRAMES * size_of::<f32>();

/// Numbers of the steps.
const INIT: u16 = 1;
const FACTORY: u16 = 2;
const DESCRIBE: u16 = 3;
const CREATE: u16 = 4;
const PLUGIN_INIT: u16 = 5;
const EXTENSION: u16 = 6;
const PORTS: u16 = 7;
const ACTIVATE: u16 = 8;
const START: u16 = 9;
const PROCESS: u16 = 10;
const STOP: u16 = 11;
const ON_MAIN_THREAD: u16 = 12;
const DEACTIVATE: u16 = 13;
const DESTROY: u16 = 14;
const DEINIT: u16 = 15;

/// A `bool` that a plugin returns, which a careless one makes of any byte.
type Is = u8;
type OnPlugin = unsafe extern "C" fn(*const Plugin);
type IsOnPlugin = unsafe extern "C" fn(*const Plugin) -> Is;
type OnHost = unsafe extern "C" fn(*const Host);
type ByName = unsafe extern "C" fn(*const c_char) -> *const c_void;
type Init = unsafe extern "C" fn(*const c_char) -> Is;
type Deinit = unsafe extern "C" fn();
type Count = unsafe extern "C" fn(*const Factory) -> u32;
type Describe = unsafe extern "C" fn(*const Factory, u32) -> *const Descriptor;
type Create = unsafe extern "C" fn(*const Factory, *const Host, *const c_char) -> *const Plugin;
type Activate = unsafe extern "C" fn(*const Plugin, f64, u32, u32) -> Is;
type Run = unsafe extern "C" fn(*const Plugin, *const Process) -> i32;
type Extension = unsafe extern "C" fn(*const Plugin, *const c_char) -> *const c_void;
type CountPorts = unsafe extern "C" fn(*const Plugin, bool) -> u32;
type GetPort = unsafe extern "C" fn(*const Plugin, u32, bool, *mut Port) -> Is;

/// `clap_version`.
#[repr(C)]
struct Version {
    major: u32,
    minor: u32,
    revision: u32,
}

/// `clap_plugin_entry`.
#[repr(C)]
struct Entry {
    version: Version,
    init: Option<Init>,
    deinit: Option<Deinit>,
    get_factory: Option<ByName>,
}

/// `clap_plugin_factory`.
#[repr(C)]
struct Factory {
    count: Option<Count>,
    describe: Option<Describe>,
    create: Option<Create>,
}

/// `clap_plugin_descriptor`, as far as it is used.
#[repr(C)]
struct Descriptor {
    version: Version,
    id: *const c_char,
}

/// `clap_plugin`.
#[repr(C)]
struct Plugin {
    descriptor: *const Descriptor,
    data: *mut c_void,
    init: Option<IsOnPlugin>,
    destroy: Option<OnPlugin>,
    activate: Option<Activate>,
    deactivate: Option<OnPlugin>,
    start: Option<IsOnPlugin>,
    stop: Option<OnPlugin>,
    reset: Option<OnPlugin>,
    process: Option<Run>,
    extension: Option<Extension>,
    on_main_thread: Option<OnPlugin>,
}

/// `clap_plugin_audio_ports` and `clap_plugin_note_ports`, which differ in what they fill in.
#[repr(C)]
struct Ports {
    count: Option<CountPorts>,
    get: Option<GetPort>,
}

/// `clap_audio_port_info`, which is larger than `clap_note_port_info`.
#[repr(C)]
struct Port {
    id: u32,
    name: [c_char; 256],
    flags: u32,
    channels: u32,
    kind: *const c_char,
    in_place: u32,
}

/// `clap_audio_buffer`.
#[repr(C)]
struct Buffer {
    data32: *mut *mut f32,
    data64: *mut *mut f64,
    channels: u32,
    latency: u32,
    constant: u64,
}

/// `clap_process`.
#[repr(C)]
struct Process {
    time: i64,
    frames: u32,
    transport: *const c_void,
    inputs: *const Buffer,
    outputs: *mut Buffer,
    input_count: u32,
    output_count: u32,
    in_events: *const InEvents,
    out_events: *const OutEvents,
}

/// `clap_input_events`, which are none, and `clap_output_events`, which are taken and dropped.
#[repr(C)]
struct InEvents {
    context: *mut c_void,
    size: extern "C" fn(*const InEvents) -> u32,
    get: extern "C" fn(*const InEvents, u32) -> *const c_void,
}
#[repr(C)]
struct OutEvents {
    context: *mut c_void,
    push: extern "C" fn(*const OutEvents, *const c_void) -> bool,
}

/// `clap_host`.
#[repr(C)]
struct Host {
    version: Version,
    instance: *const Instance,
    name: *const c_char,
    vendor: *const c_char,
    url: *const c_char,
    release: *const c_char,
    extension: unsafe extern "C" fn(*const Host, *const c_char) -> *const c_void,
    restart: OnHost,
    process: OnHost,
    callback: OnHost,
}

/// `clap_host_thread_check`, `clap_host_latency` and `clap_host_log`.
#[repr(C)]
struct ThreadCheck {
    is_main: unsafe extern "C" fn(*const Host) -> bool,
    is_audio: unsafe extern "C" fn(*const Host) -> bool,
}
#[repr(C)]
struct Latency {
    changed: OnHost,
}
#[repr(C)]
struct Log {
    log: unsafe extern "C" fn(*const Host, i32, *const c_char),
}

static THREAD_CHECK: ThreadCheck = ThreadCheck { is_main, is_audio };
/// It changes nothing here, but the plugins of zam-plugins 4.1 call it without asking whether the host has it.
static LATENCY: Latency = Latency { changed: nothing };
static LOG: Log = Log { log };

/// An instance and its host, which stays where it is while the instance lives. Threads of the plugin use only the host, the thread and the two
/// flags after it.
struct Instance {
    host: Host,
    /// The thread that makes all calls.
    thread: u64,
    /// Whether that is the audio thread just now.
    is_audio: AtomicBool,
    /// Whether the plugin wants a call on the main thread.
    wants_call: AtomicBool,
    plugin: Cell<*const Plugin>,
    is_active: Cell<bool>,
    is_started: Cell<bool>,
    audio: Cell<Option<Audio>>,
}

/// The buffers of all audio ports, inputs first, and what they point to.
struct Audio {
    buffers: Zeros,
    inputs: u32,
    outputs: u32,
    _channels: Zeros,
}

unsafe extern "C" fn extension(_host: *const Host, id: *const c_char) -> *const c_void {
    // SAFETY: the name of an extension is text that ends in NUL.
    match if id.is_null() { b"" } else { unsafe { CStr::from_ptr(id) }.to_bytes() } {
        b"clap.thread-check" => (&raw const THREAD_CHECK).cast(),
        b"clap.latency" => (&raw const LATENCY).cast(),
        b"clap.log" => (&raw const LOG).cast(),
        _ => null(),
    }
}

/// A plugin is processed and restarted in each cycle, whether it asks or not.
unsafe extern "C" fn nothing(_host: *const Host) {}

unsafe extern "C" fn callback(host: *const Host) {
    // SAFETY: a host lives until after its instance is destroyed.
    unsafe { (*(*host).instance).wants_call.store(true, Release) };
}

unsafe extern "C" fn is_main(host: *const Host) -> bool {
    // SAFETY: a host lives until after its instance is destroyed.
    unsafe { is_caller(host, false) }
}

unsafe extern "C" fn is_audio(host: *const Host) -> bool {
    // SAFETY: a host lives until after its instance is destroyed.
    unsafe { is_caller(host, true) }
}

/// Whether this thread is the one that makes all calls, and is the audio thread or not.
unsafe fn is_caller(host: *const Host, is_audio: bool) -> bool {
    // SAFETY: a host lives until after its instance is destroyed.
    unsafe {
        let instance = (*host).instance;
        (*instance).thread == c::pthread_self() && (*instance).is_audio.load(Relaxed) == is_audio
    }
}

/// What a plugin logs is not shown.
unsafe extern "C" fn log(_host: *const Host, _severity: i32, _text: *const c_char) {}

extern "C" fn no_events(_list: *const InEvents) -> u32 {
    0
}

extern "C" fn no_event(_list: *const InEvents, _index: u32) -> *const c_void {
    null()
}

extern "C" fn take(_list: *const OutEvents, _event: *const c_void) -> bool {
    true
}

/// One cycle of a plugin that is open.
///
/// # Safety
/// The handle is that of a CLAP plugin.
#[cfg_attr(dlsoak_program, unsafe(no_mangle))]
pub unsafe extern "C" fn dlsoak_clap(handle: *mut c_void) -> c_int {
    let Some(entry) = find(handle, c"clap_entry") else { return failed(INIT, 0) };
    // SAFETY: the variable of this name has this type, by the interface, and lives while the library is open.
    let entry = unsafe { &*entry.cast::<Entry>() };
    // Versions before 1 were of the development, and are not compatible.
    let Some(init) = entry.init.filter(|_| entry.version.major > 0) else { return failed(INIT, 0) };
    let Some(get) = entry.get_factory else { return failed(FACTORY, 0) };
    let Some(deinit) = entry.deinit else { return failed(DEINIT, 0) };
    // SAFETY: they are the entry's functions, in the order that the interface demands.
    unsafe {
        if clap_init(init, path().as_ptr()) == 0 {
            return failed(INIT, 0);
        }
        let result = live(get);
        clap_deinit(deinit);
        result.err().map_or(0, |(step, item)| failed(step, item as usize))
    }
}

/// The life of the instances of all descriptors; the step that failed, and for which one.
unsafe fn live(get: ByName) -> Result<(), (u16, u32)> {
    // SAFETY: what the factory gives lives until the entry is deinitialised, and ends in NUL.
    unsafe {
        let factory = clap_get_factory(get, c"clap.plugin-factory".as_ptr()).cast::<Factory>();
        // A file may have none.
        let Some(of) = factory.as_ref() else { return Ok(()) };
        let (count, describe) = of.count.zip(of.describe).ok_or((DESCRIBE, 0))?;
        let create = of.create.ok_or((CREATE, 0))?;
        for index in 0..clap_get_plugin_count(count, factory) {
            let id = clap_describe(describe, factory, index).as_ref().map_or(null(), |known| known.id);
            if id.is_null() || *id == 0 {
                return Err((DESCRIBE, index));
            }
            let room = Zeros::new(size_of::<Instance>() * instances()).ok_or((CREATE, index))?;
            let first = room.at.cast::<Instance>();
            for number in 0..instances() {
                first.add(number).write(Instance::new(first.add(number)));
            }
            let all = core::slice::from_raw_parts(first, instances());
            let mut result = all.iter().try_for_each(|one| one.create(create, factory, id));
            result = result.and_then(|()| all.iter().try_for_each(|one| one.run()));
            // Also after a failure, as far as each instance came.
            all.iter().for_each(|one| result = result.and(one.end()));
            result.map_err(|step| (step, index))?;
        }
    }
    Ok(())
}

impl Instance {
    /// What will be written to `at`.
    fn new(at: *const Self) -> Self {
        Self {
            host: Host {
                version: Version { major: 1, minor: 2, revision: 2 },
                instance: at,
                name: c"dlsoak".as_ptr(),
                vendor: c"dlsoak".as_ptr(),
                url: c"".as_ptr(),
                release: c"1.0".as_ptr(),
                extension,
                restart: nothing,
                process: nothing,
                callback,
            },
            // SAFETY: it has no precondition.
            thread: unsafe { c::pthread_self() },
            is_audio: AtomicBool::new(false),
            wants_call: AtomicBool::new(false),
            plugin: Cell::new(null()),
            is_active: Cell::new(false),
            is_started: Cell::new(false),
            audio: Cell::new(None),
        }
    }

    /// The plugin; only once it is created.
    unsafe fn plugin(&self) -> &Plugin {
        // SAFETY: it lives until it is destroyed.
        unsafe { &*self.plugin.get() }
    }

    /// Makes the call on the main thread that the plugin asked for.
    #[inline(never)]
    unsafe fn attend(&self) -> Result<(), u16> {
        if self.wants_call.swap(false, Acquire) {
            // SAFETY: the plugin is initialised.
            unsafe {
                clap_on_main_thread(self.plugin().on_main_thread.ok_or(ON_MAIN_THREAD)?, self.plugin())
            };
        }
        Ok(())
    }

    /// Creates and initialises it, and makes the buffers of its audio ports.
    unsafe fn create(&self, create: Create, factory: *const Factory, id: *const c_char) -> Result<(), u16> {
        // SAFETY: the host lives until after the instance is destroyed.
        unsafe {
            self.plugin.set(clap_create(create, factory, &raw const self.host, id));
            let plugin = self.plugin.get().as_ref().ok_or(CREATE)?;
            if clap_plugin_init(plugin.init.ok_or(PLUGIN_INIT)?, plugin) == 0 {
                return Err(PLUGIN_INIT);
            }
            self.attend()?;
            // "The scan has to be done while the plugin is deactivated."
            let (buffers, inputs, outputs) = ports(plugin, c"clap.audio-ports")?;
            ports(plugin, c"clap.note-ports")?;
            let (first, count) = (buffers.at.cast::<Buffer>(), inputs as usize + outputs as usize);
            let channels: usize = (0..count).map(|port| (*first.add(port)).channels as usize).sum();
            let room = Zeros::new(channels * (CHANNEL + size_of::<*mut f32>())).ok_or(PORTS)?;
            let mut samples = room.at.cast::<f32>();
            let mut to = samples.add(channels * FRAMES).cast::<*mut f32>();
            for port in 0..count {
                (*first.add(port)).data32 = to;
                for _ in 0..(*first.add(port)).channels {
                    if port < inputs as usize {
                        wave(samples);
                    }
                    to.write(samples);
                    (to, samples) = (to.add(1), samples.add(FRAMES));
                }
            }
            self.audio.set(Some(Audio { buffers, inputs, outputs, _channels: room }));
        }
        Ok(())
    }

    /// Activates and starts it, and has it process one block.
    unsafe fn run(&self) -> Result<(), u16> {
        let audio = self.audio.take().ok_or(PROCESS)?;
        let first = audio.buffers.at.cast::<Buffer>();
        let in_events = InEvents { context: null_mut(), size: no_events, get: no_event };
        let out_events = OutEvents { context: null_mut(), push: take };
        let process = Process {
            time: 0,
            frames: FRAMES as u32,
            // "If null, then this is a free running host."
            transport: null(),
            inputs: if audio.inputs > 0 { first } else { null() },
            outputs: if audio.outputs > 0 { first.wrapping_add(audio.inputs as usize) } else { null_mut() },
            input_count: audio.inputs,
            output_count: audio.outputs,
            in_events: &raw const in_events,
            out_events: &raw const out_events,
        };
        // SAFETY: the plugin is initialised, and has a buffer for each of its ports.
        unsafe {
            let plugin = self.plugin();
            if clap_activate(plugin.activate.ok_or(ACTIVATE)?, plugin) == 0 {
                return Err(ACTIVATE);
            }
            self.is_active.set(true);
            self.attend()?;
            let (start, run) = (plugin.start.ok_or(START)?, plugin.process.ok_or(PROCESS)?);
            self.is_audio.store(true, Relaxed);
            let is_started = clap_start_processing(start, plugin) != 0;
            self.is_started.set(is_started);
            let status = if is_started { clap_process(run, plugin, &raw const process) } else { 0 };
            self.is_audio.store(false, Relaxed);
            // 0 is an error, and 1 to 4 say when to process again.
            match status {
                1..=4 => self.attend(),
                _ => Err(if is_started { PROCESS } else { START }),
            }
        }
    }

    /// Stops, deactivates and destroys it.
    unsafe fn end(&self) -> Result<(), u16> {
        drop(self.audio.take());
        if self.plugin.get().is_null() {
            return Ok(());
        }
        // SAFETY: each call is the counterpart of one that was made, and nothing is called after the last.
        unsafe {
            let plugin = self.plugin();
            if self.is_started.get() {
                let stop = plugin.stop.ok_or(STOP)?;
                self.is_audio.store(true, Relaxed);
                clap_stop_processing(stop, plugin);
                self.is_audio.store(false, Relaxed);
            }
            if self.is_active.get() {
                clap_deactivate(plugin.deactivate.ok_or(DEACTIVATE)?, plugin);
                self.attend()?;
            }
            clap_destroy(plugin.destroy.ok_or(DESTROY)?, plugin);
        }
        Ok(())
    }
}

/// Buffers for the ports of one kind, inputs first, with the channels of each, if the kind has channels; and the numbers of inputs and outputs.
unsafe fn ports(plugin: &Plugin, id: &CStr) -> Result<(Zeros, u32, u32), u16> {
    // SAFETY: the plugin is initialised and not active, and the extension of this name has this type.
    unsafe {
        let extension = plugin.extension.ok_or(EXTENSION)?;
        let (mut counts, mut of) = ([0; 2], None);
        if let Some(found) = clap_get_extension(extension, plugin, id.as_ptr()).cast::<Ports>().as_ref() {
            let (count, get) = found.count.zip(found.get).ok_or(PORTS)?;
            counts = [true, false].map(|is_input| clap_count_ports(count, plugin, is_input));
            of = Some(get);
        }
        let [inputs, outputs] = counts;
        let buffers = Zeros::new((inputs as usize + outputs as usize) * size_of::<Buffer>()).ok_or(PORTS)?;
        let mut buffer = buffers.at.cast::<Buffer>();
        for (is_input, count) in [(true, inputs), (false, outputs)] {
            for index in 0..count {
                let mut port = core::mem::zeroed::<Port>();
                if clap_get_port(of.ok_or(PORTS)?, plugin, index, is_input, &raw mut port) == 0 {
                    return Err(PORTS);
                }
                (*buffer).channels = port.channels;
                buffer = buffer.add(1);
            }
        }
        Ok((buffers, inputs, outputs))
    }
}

step!(clap_init(init: Init, path: *const c_char) -> Is { init(path) });
step!(clap_get_factory(get: ByName, id: *const c_char) -> *const c_void { get(id) });
step!(clap_get_plugin_count(count: Count, factory: *const Factory) -> u32 { count(factory) });
step!(clap_describe(describe: Describe, factory: *const Factory, index: u32) -> *const Descriptor { describe(factory, index) });
step!(clap_create(create: Create, factory: *const Factory, host: *const Host, id: *const c_char) -> *const Plugin {
    create(factory, host, id)
});
step!(clap_plugin_init(init: IsOnPlugin, plugin: *const Plugin) -> Is { init(plugin) });
step!(clap_get_extension(extension: Extension, plugin: *const Plugin, id: *const c_char) -> *const c_void { extension(plugin, id) });
step!(clap_count_ports(count: CountPorts, plugin: *const Plugin, is_input: bool) -> u32 { count(plugin, is_input) });
step!(clap_get_port(get: GetPort, plugin: *const Plugin, index: u32, is_input: bool, to: *mut Port) -> Is {
    get(plugin, index, is_input, to)
});
step!(clap_activate(activate: Activate, plugin: *const Plugin) -> Is { activate(plugin, RATE, 1, FRAMES as u32) });
step!(clap_start_processing(start: IsOnPlugin, plugin: *const Plugin) -> Is { start(plugin) });
step!(clap_process(run: Run, plugin: *const Plugin, process: *const Process) -> i32 { run(plugin, process) });
step!(clap_stop_processing(stop: OnPlugin, plugin: *const Plugin) { stop(plugin) });
step!(clap_on_main_thread(call: OnPlugin, plugin: *const Plugin) { call(plugin) });
step!(clap_deactivate(deactivate: OnPlugin, plugin: *const Plugin) { deactivate(plugin) });
step!(clap_destroy(destroy: OnPlugin, plugin: *const Plugin) { destroy(plugin) });
step!(clap_deinit(deinit: Deinit) { deinit() });

#[cfg(test)]
mod tests {
    use core::mem::offset_of;

    use clap_sys::audio_buffer::clap_audio_buffer;
    use clap_sys::entry::clap_plugin_entry;
    use clap_sys::events::{clap_input_events, clap_output_events};
    use clap_sys::ext::audio_ports::{clap_audio_port_info, clap_plugin_audio_ports};
    use clap_sys::ext::latency::clap_host_latency;
    use clap_sys::ext::log::clap_host_log;
    use clap_sys::ext::note_ports::{clap_note_port_info, clap_plugin_note_ports};
    use clap_sys::ext::thread_check::clap_host_thread_check;
    use clap_sys::factory::plugin_factory::clap_plugin_factory;
    use clap_sys::host::clap_host;
    use clap_sys::plugin::{clap_plugin, clap_plugin_descriptor};
    use clap_sys::process::clap_process;
    use clap_sys::version::clap_version;

    use super::*;

    macro_rules! same {
        ($($ours:ident = $theirs:ident { $($field:ident = $its:ident,)* })*) => {
            $($(assert_eq!(
                offset_of!($ours, $field),
                offset_of!($theirs, $its),
                concat!(stringify!($theirs), ".", stringify!($its))
            );)*
            assert_eq!(size_of::<$ours>(), size_of::<$theirs>(), stringify!($theirs));)*
        };
    }

    #[test]
    fn structures_have_the_layout_of_the_headers() {
        same! {
            Version = clap_version { major = major, minor = minor, revision = revision, }
            Entry = clap_plugin_entry {
                version = clap_version, init = init, deinit = deinit, get_factory = get_factory,
            }
            Factory = clap_plugin_factory {
                count = get_plugin_count, describe = get_plugin_descriptor, create = create_plugin,
            }
            Plugin = clap_plugin {
                descriptor = desc, data = plugin_data, init = init, destroy = destroy, activate = activate,
                deactivate = deactivate, start = start_processing, stop = stop_processing, reset = reset,
                process = process, extension = get_extension, on_main_thread = on_main_thread,
            }
            Ports = clap_plugin_audio_ports { count = count, get = get, }
            Ports = clap_plugin_note_ports { count = count, get = get, }
            Port = clap_audio_port_info {
                id = id, name = name, flags = flags, channels = channel_count, kind = port_type,
                in_place = in_place_pair,
            }
            Buffer = clap_audio_buffer {
                data32 = data32, data64 = data64, channels = channel_count, latency = latency,
                constant = constant_mask,
            }
            Process = clap_process {
                time = steady_time, frames = frames_count, transport = transport, inputs = audio_inputs,
                outputs = audio_outputs, input_count = audio_inputs_count, output_count = audio_outputs_count,
                in_events = in_events, out_events = out_events,
            }
            InEvents = clap_input_events { context = ctx, size = size, get = get, }
            OutEvents = clap_output_events { context = ctx, push = try_push, }
            Host = clap_host {
                version = clap_version, instance = host_data, name = name, vendor = vendor, url = url,
                release = version, extension = get_extension, restart = request_restart,
                process = request_process, callback = request_callback,
            }
            ThreadCheck = clap_host_thread_check { is_main = is_main_thread, is_audio = is_audio_thread, }
            Latency = clap_host_latency { changed = changed, }
            Log = clap_host_log { log = log, }
        }
        assert_eq!(offset_of!(Descriptor, version), offset_of!(clap_plugin_descriptor, clap_version));
        assert_eq!(offset_of!(Descriptor, id), offset_of!(clap_plugin_descriptor, id));
        assert!(size_of::<Port>() >= size_of::<clap_note_port_info>());
    }
}
