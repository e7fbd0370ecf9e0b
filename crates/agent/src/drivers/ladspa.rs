//! LADSPA, `ladspa.h` 1.1 (<https://www.ladspa.org/ladspa_sdk/ladspa.h.txt>): each descriptor that the file has is instantiated at 48,000 Hz,
//! its ports are connected, and it is activated, run for 64 frames, deactivated and cleaned up. Controls have the default that their hint gives.

use core::ffi::{c_char, c_int, c_ulong, c_void};
use core::ptr::null_mut;

use dlsoak_wire::interface::failed;

use super::{FRAMES, MOST_INSTANCES, Zeros, find, instances, wave};

const RATE: c_ulong = 48_000;

/// `LADSPA_PORT_INPUT`, `LADSPA_PORT_AUDIO`.
const INPUT: c_int = 1;
const AUDIO: c_int = 8;

type Handle = *mut c_void;
type OnInstance = unsafe extern "C" fn(Handle);

/// `LADSPA_PortRangeHint`.
#[repr(C)]
struct Hint {
    is: c_int,
    lower: f32,
    upper: f32,
}

/// `LADSPA_Descriptor`.
#[repr(C)]
struct Descriptor {
    id: c_ulong,
    label: *const c_char,
    properties: c_int,
    name: *const c_char,
    maker: *const c_char,
    copyright: *const c_char,
    ports: c_ulong,
    port_descriptors: *const c_int,
    port_names: *const *const c_char,
    port_hints: *const Hint,
    data: *mut c_void,
    instantiate: Option<unsafe extern "C" fn(*const Self, c_ulong) -> Handle>,
    connect_port: Option<unsafe extern "C" fn(Handle, c_ulong, *mut f32)>,
    activate: Option<OnInstance>,
    run: Option<unsafe extern "C" fn(Handle, c_ulong)>,
    run_adding: *const c_void,
    set_run_adding_gain: *const c_void,
    deactivate: Option<OnInstance>,
    cleanup: Option<OnInstance>,
}

type Describe = unsafe extern "C" fn(c_ulong) -> *const Descriptor;

/// Numbers of the steps.
const DESCRIBE: u16 = 1;
const INSTANTIATE: u16 = 2;
const CONNECT: u16 = 3;
const RUN: u16 = 5;
const CLEANUP: u16 = 7;

/// One cycle of a plugin that is open.
///
/// # Safety
/// The handle is that of a LADSPA plugin.
#[cfg_attr(dlsoak_program, unsafe(no_mangle))]
pub unsafe extern "C" fn dlsoak_ladspa(handle: *mut c_void) -> c_int {
    let Some(describe) = find(handle, c"ladspa_descriptor") else { return failed(DESCRIBE, 0) };
    // SAFETY: it is the interface's only function, of this prototype.
    let describe = unsafe { core::mem::transmute::<*mut c_void, Describe>(describe) };
    // "The host should ask for indices from 0 on until NULL is returned."
    for index in 0.. {
        // SAFETY: the plugin is open.
        let Some(descriptor) = (unsafe { ladspa_describe(describe, index).as_ref() }) else { break };
        // SAFETY: a descriptor stays valid while the library is open.
        if let Err(step) = unsafe { live(descriptor) } {
            return failed(step, index as usize);
        }
    }
    0
}

/// The life of all instances of one descriptor.
unsafe fn live(descriptor: &Descriptor) -> Result<(), u16> {
    let ports = descriptor.ports as usize;
    let room = Zeros::new(ports * FRAMES * size_of::<f32>() * instances()).ok_or(CONNECT)?;
    let (instantiate, connect) =
        (descriptor.instantiate.ok_or(INSTANTIATE)?, descriptor.connect_port.ok_or(CONNECT)?);
    let (run, cleanup) = (descriptor.run.ok_or(RUN)?, descriptor.cleanup.ok_or(CLEANUP)?);
    let mut handles = [null_mut(); MOST_INSTANCES];
    let handles = handles.get_mut(..instances()).unwrap_or_default();
    // SAFETY: each function is called in the order that the interface demands, with instances that live, and with ports that stay
    // connected to memory of as many frames as are run.
    unsafe {
        for made in 0..handles.len() {
            let handle = ladspa_instantiate(instantiate, descriptor);
            if handle.is_null() {
                handles.iter().take(made).for_each(|handle| ladspa_cleanup(cleanup, *handle));
                return Err(INSTANTIATE);
            }
            if let Some(place) = handles.get_mut(made) {
                *place = handle;
            }
        }
        for (number, handle) in handles.iter().enumerate() {
            for port in 0..ports {
                let at = room.at.cast::<f32>().add((number * ports + port) * FRAMES);
                fill(descriptor, port, at);
                ladspa_connect_port(connect, *handle, port as c_ulong, at);
            }
        }
        // Each of the two may be missing by itself: "the plugin writer may provide a NULL rather than an empty function".
        if let Some(activate) = descriptor.activate {
            handles.iter().for_each(|handle| ladspa_activate(activate, *handle));
        }
        handles.iter().for_each(|handle| ladspa_run(run, *handle));
        if let Some(deactivate) = descriptor.deactivate {
            handles.iter().for_each(|handle| ladspa_deactivate(deactivate, *handle));
        }
        handles.iter().for_each(|handle| ladspa_cleanup(cleanup, *handle));
    }
    Ok(())
}

/// What a port is connected to: a control's default, or a wave.
unsafe fn fill(descriptor: &Descriptor, port: usize, at: *mut f32) {
    // SAFETY: there are as many of both as there are ports, and room for all frames.
    unsafe {
        let is = *descriptor.port_descriptors.add(port);
        if is & AUDIO == 0 {
            let hint = descriptor.port_hints.as_ref().map(|_| &*descriptor.port_hints.add(port));
            at.write(hint.map_or(0.0, default));
        } else if is & INPUT != 0 {
            wave(at);
        }
    }
}

/// The default by the hint, as the header defines it; 0 within the bounds where there is none.
fn default(hint: &Hint) -> f32 {
    const BELOW: c_int = 1;
    const ABOVE: c_int = 2;
    const SAMPLE_RATE: c_int = 8;
    const LOGARITHMIC: c_int = 0x10;
    const INTEGER: c_int = 0x20;
    const DEFAULT: c_int = 0x3c0;
    let has = |bit| hint.is & bit != 0;
    let scale = if has(SAMPLE_RATE) { RATE as f32 } else { 1.0 };
    let (lower, upper) = (hint.lower * scale, hint.upper * scale);
    // A part of the way from the lower to the upper bound, in quarters.
    let between = |quarters: i8| {
        if has(LOGARITHMIC) && lower > 0.0 && upper > lower {
            let middle = root(lower * upper);
            match quarters {
                1 => root(lower * middle),
                2 => middle,
                _ => root(middle * upper),
            }
        } else {
            lower + (upper - lower) * f32::from(quarters) / 4.0
        }
    };
    let value = match hint.is & DEFAULT {
        0x40 => lower,
        0x80 => between(1),
        0xc0 => between(2),
        0x100 => between(3),
        0x140 => upper,
        0x240 => 1.0,
        0x280 => 100.0,
        0x2c0 => 440.0,
        _ => 0.0,
    };
    let value = if has(BELOW) && value < lower { lower } else { value };
    let value = if has(ABOVE) && value > upper { upper } else { value };
    // Rounded, without a library for it; bounds beyond what fits are no integers.
    if has(INTEGER) && value.abs() < 1e9 {
        (value + if value < 0.0 { -0.5 } else { 0.5 }) as i32 as f32
    } else {
        value
    }
}

/// The square root, by Newton's method: there is no library for it here.
fn root(of: f32) -> f32 {
    let of = f64::from(of);
    let mut root = if of > 1.0 { of } else { 1.0 };
    for _ in 0..64 {
        root = (root + of / root) / 2.0;
    }
    root as f32
}

step!(ladspa_describe(describe: Describe, index: c_ulong) -> *const Descriptor { describe(index) });
step!(ladspa_instantiate(instantiate: unsafe extern "C" fn(*const Descriptor, c_ulong) -> Handle, descriptor: *const Descriptor) -> Handle {
    instantiate(descriptor, RATE)
});
step!(ladspa_connect_port(connect: unsafe extern "C" fn(Handle, c_ulong, *mut f32), handle: Handle, port: c_ulong, to: *mut f32) {
    connect(handle, port, to)
});
step!(ladspa_activate(activate: OnInstance, handle: Handle) { activate(handle) });
step!(ladspa_run(run: unsafe extern "C" fn(Handle, c_ulong), handle: Handle) { run(handle, FRAMES as c_ulong) });
step!(ladspa_deactivate(deactivate: OnInstance, handle: Handle) { deactivate(handle) });
step!(ladspa_cleanup(cleanup: OnInstance, handle: Handle) { cleanup(handle) });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_header() {
        let of = |is, lower, upper| default(&Hint { is, lower, upper });
        assert_eq!(of(0, 5.0, 9.0), 0.0);
        assert_eq!(of(3, 5.0, 9.0), 5.0);
        assert_eq!(of(3 | 0xc0, 10.0, 20.0), 15.0);
        assert!((of(3 | 0x10 | 0xc0, 10.0, 1000.0) - 100.0).abs() < 0.01);
        assert!((of(3 | 0x10 | 0x80, 1.0, 10_000.0) - 10.0).abs() < 0.01);
        assert_eq!(of(3 | 0x20 | 0x100, 0.0, 10.0), 8.0);
        assert_eq!(of(3 | 8 | 0x140, 0.0, 0.5), 24_000.0);
        assert_eq!(of(0x2c0, 0.0, 0.0), 440.0);
    }
}
