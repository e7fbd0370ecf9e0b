//! frei0r, `frei0r.h` 1.2 (<https://github.com/dyne/frei0r/blob/v1.8.0/include/frei0r.h>): the plugin is initialised and asked what it is and
//! what its parameters are. Each instance is constructed for 64 x 48 pixels, gets back the value that it gives for each parameter, draws one
//! frame, and is destructed. Then the plugin is deinitialised. The driver needs no detail.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::ptr::{null, null_mut};

use dlsoak_wire::interface::failed;

use super::{MOST_INSTANCES, Zeros, find, instances};

/// Multiples of 8, as the interface demands.
const WIDTH: usize = 64;
const HEIGHT: usize = 48;
const PIXELS: usize = WIDTH * HEIGHT;

/// `FREI0R_MAJOR_VERSION`, and the last of the types of plugins, of the colour models and of the types of parameters.
const VERSION: c_int = 1;
const MIXER2: c_int = 2;
const LAST_KIND: c_int = 3;
const LAST_MODEL: c_int = 2;
const STRING: c_int = 4;

/// `f0r_plugin_info_t`.
#[repr(C)]
struct Info {
    name: *const c_char,
    author: *const c_char,
    kind: c_int,
    color_model: c_int,
    frei0r_version: c_int,
    major: c_int,
    minor: c_int,
    parameters: c_int,
    explanation: *const c_char,
}

/// `f0r_param_info_t`.
#[repr(C)]
struct ParameterInfo {
    name: *const c_char,
    kind: c_int,
    explanation: *const c_char,
}

/// Any parameter: up to three floats, two doubles, or a pointer to text.
#[repr(C)]
union Value {
    position: [f64; 2],
    text: *mut c_char,
}

type Instance = *mut c_void;
type Init = unsafe extern "C" fn() -> c_int;
type Deinit = unsafe extern "C" fn();
type Describe = unsafe extern "C" fn(*mut Info);
type DescribeParameter = unsafe extern "C" fn(*mut ParameterInfo, c_int);
type Construct = unsafe extern "C" fn(c_uint, c_uint) -> Instance;
type OnInstance = unsafe extern "C" fn(Instance);
type OnParameter = unsafe extern "C" fn(Instance, *mut Value, c_int);
type Update = unsafe extern "C" fn(Instance, f64, *const u32, *mut u32);
type Update2 = unsafe extern "C" fn(Instance, f64, *const u32, *const u32, *const u32, *mut u32);

/// Numbers of the steps.
const INIT: u16 = 1;
const PLUGIN_INFO: u16 = 2;
const PARAM_INFO: u16 = 3;
const CONSTRUCT: u16 = 4;
const GET_PARAM: u16 = 5;
const SET_PARAM: u16 = 6;
const UPDATE: u16 = 7;
const DESTRUCT: u16 = 8;
const DEINIT: u16 = 9;

/// What failed: the step and the parameter.
type Failure = (u16, usize);

/// What draws: plugins of one input or none have `f0r_update`, or else `f0r_update2`, which mixers need.
#[derive(Clone, Copy)]
enum Draw {
    One(Update),
    Many(Update2),
}

/// The functions of the plugin.
struct Functions {
    construct: Construct,
    get: Option<OnParameter>,
    set: Option<OnParameter>,
    draw: Draw,
    destruct: OnInstance,
}

/// One cycle of a plugin that is open.
///
/// # Safety
/// The handle is that of a frei0r plugin.
#[cfg_attr(dlsoak_program, unsafe(no_mangle))]
pub unsafe extern "C" fn dlsoak_frei0r(handle: *mut c_void) -> c_int {
    // SAFETY: the prototypes are those of the interface, and a missing function becomes `None`.
    let (init, deinit) =
        unsafe { (function::<Init>(handle, c"f0r_init"), function::<Deinit>(handle, c"f0r_deinit")) };
    let Some(init) = init else { return failed(INIT, 0) };
    let Some(deinit) = deinit else { return failed(DEINIT, 0) };
    // SAFETY: the plugin was opened for this cycle and is not initialised yet.
    // The header does not say what the result means. Hosts such as FFmpeg take a negative one for a failure, and plugins return both 0 and 1.
    if unsafe { frei0r_init(init) } < 0 {
        return failed(INIT, 0);
    }
    // SAFETY: the plugin is initialised.
    let result = unsafe { initialised(handle) };
    // SAFETY: all instances are destructed.
    unsafe { frei0r_deinit(deinit) };
    match result {
        Ok(()) => 0,
        Err((step, item)) => failed(step, item),
    }
}

/// What lies between the initialisation and its end.
unsafe fn initialised(handle: *mut c_void) -> Result<(), Failure> {
    // SAFETY: the prototypes are those of the interface, and a missing function becomes `None`.
    let (describe, describe_parameter) = unsafe {
        (
            function::<Describe>(handle, c"f0r_get_plugin_info").ok_or((PLUGIN_INFO, 0))?,
            function::<DescribeParameter>(handle, c"f0r_get_param_info"),
        )
    };
    let mut info = Info {
        name: null(),
        author: null(),
        kind: -1,
        color_model: -1,
        frei0r_version: -1,
        major: 0,
        minor: 0,
        parameters: 0,
        explanation: null(),
    };
    // SAFETY: there is room for the structure.
    unsafe { frei0r_get_plugin_info(describe, &raw mut info) };
    // "A conforming application must accept only those plugins which use allowed values for the described fields."
    let is_allowed = (0..=LAST_KIND).contains(&info.kind)
        && (0..=LAST_MODEL).contains(&info.color_model)
        && info.frei0r_version == VERSION
        && info.parameters >= 0;
    if !is_allowed {
        return Err((PLUGIN_INFO, 0));
    }
    let count = info.parameters as usize;
    let kinds = Zeros::new(count).ok_or((PARAM_INFO, 0))?;
    for index in 0..count {
        let describe_parameter = describe_parameter.ok_or((PARAM_INFO, index))?;
        let mut parameter = ParameterInfo { name: null(), kind: -1, explanation: null() };
        // SAFETY: there is room for the structure, and the plugin has as many parameters.
        unsafe { frei0r_get_param_info(describe_parameter, &raw mut parameter, index as c_int) };
        if !(0..=STRING).contains(&parameter.kind) {
            return Err((PARAM_INFO, index));
        }
        // SAFETY: there is room for each parameter's kind.
        unsafe { kinds.at.cast::<u8>().add(index).write(parameter.kind as u8) };
    }
    // SAFETY: the prototypes are those of the interface; there is a kind for each parameter.
    unsafe {
        let update = function::<Update>(handle, c"f0r_update").filter(|_| info.kind < MIXER2).map(Draw::One);
        let draw = update.or_else(|| function::<Update2>(handle, c"f0r_update2").map(Draw::Many));
        let functions = Functions {
            construct: function(handle, c"f0r_construct").ok_or((CONSTRUCT, 0))?,
            get: function(handle, c"f0r_get_param_value"),
            set: function(handle, c"f0r_set_param_value"),
            draw: draw.ok_or((UPDATE, 0))?,
            destruct: function(handle, c"f0r_destruct").ok_or((DESTRUCT, 0))?,
        };
        live(&functions, info.kind, core::slice::from_raw_parts(kinds.at.cast(), count))
    }
}

/// The life of all instances.
unsafe fn live(functions: &Functions, kind: c_int, kinds: &[u8]) -> Result<(), Failure> {
    // Three frames that go in and one that comes out. The allocator gives multiples of 16 bytes, as the interface demands.
    let frames = Zeros::new(4 * PIXELS * size_of::<u32>()).ok_or((UPDATE, 0))?;
    let frames = frames.at.cast::<u32>();
    for pixel in 0..3 * PIXELS {
        let (x, y) = (pixel % WIDTH, pixel / WIDTH % HEIGHT);
        // SAFETY: it is within the frames.
        unsafe {
            frames
                .add(pixel)
                .write(0xff00_0000 | (x * 4) as u32 | ((y * 5) as u32) << 8 | ((x + y) as u32) << 16)
        };
    }
    let mut room = [null_mut(); MOST_INSTANCES];
    let made = room.get_mut(..instances()).unwrap_or_default();
    let mut count = 0;
    let mut result = Ok(());
    for place in made.iter_mut() {
        // SAFETY: the plugin is initialised, and the size is allowed.
        *place = unsafe { frei0r_construct(functions.construct) };
        if place.is_null() {
            result = Err((CONSTRUCT, 0));
            break;
        }
        count += 1;
    }
    let made = made.get(..count).unwrap_or_default();
    // SAFETY: the instances live, one thread uses them, and the frames are as large as the instances were constructed for.
    unsafe {
        for instance in made {
            if result.is_ok() {
                result = exchange(functions, *instance, kinds);
            }
        }
        for instance in made {
            if result.is_ok() {
                let input = |number: c_int| {
                    if number < inputs(kind) {
                        frames.add(number as usize * PIXELS).cast_const()
                    } else {
                        null()
                    }
                };
                let output = frames.add(3 * PIXELS);
                match functions.draw {
                    Draw::One(update) => frei0r_update(update, *instance, input(0), output),
                    Draw::Many(update) => {
                        frei0r_update2(update, *instance, input(0), input(1), input(2), output)
                    }
                }
            }
        }
        made.iter().for_each(|instance| frei0r_destruct(functions.destruct, *instance));
    }
    result
}

/// Frames that go in: a filter has 1, a source has none, and the mixers have 2 and 3.
const fn inputs(kind: c_int) -> c_int {
    match kind {
        0 => 1,
        1 => 0,
        mixer => mixer,
    }
}

/// Asks an instance for each parameter, and sets it to the same value.
unsafe fn exchange(functions: &Functions, instance: Instance, kinds: &[u8]) -> Result<(), Failure> {
    for (index, kind) in kinds.iter().enumerate() {
        let (get, set) = (functions.get.ok_or((GET_PARAM, index))?, functions.set.ok_or((SET_PARAM, index))?);
        let mut value = Value { position: [0.0; 2] };
        // SAFETY: there is room for any kind of parameter. Text stays the plugin's, which may free it when another text is set, so a copy of it
        // is what is set.
        unsafe {
            frei0r_get_param_value(get, instance, &raw mut value, index as c_int);
            if c_int::from(*kind) == STRING {
                let text = if value.text.is_null() { c"" } else { CStr::from_ptr(value.text) };
                let copy = Zeros::new(text.count_bytes() + 1).ok_or((SET_PARAM, index))?;
                copy.at.cast::<u8>().copy_from_nonoverlapping(text.as_ptr().cast(), text.count_bytes());
                value.text = copy.at.cast();
                frei0r_set_param_value(set, instance, &raw mut value, index as c_int);
            } else {
                frei0r_set_param_value(set, instance, &raw mut value, index as c_int);
            }
        }
    }
    Ok(())
}

/// A function of the plugin. `F` is the type of a pointer to a function.
unsafe fn function<F>(handle: *mut c_void, name: &CStr) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: the caller says that the function of this name has this type, which is as large as the address.
    find(handle, name).map(|found| unsafe { core::mem::transmute_copy(&found) })
}

step!(frei0r_init(init: Init) -> c_int { init() });
step!(frei0r_get_plugin_info(describe: Describe, info: *mut Info) { describe(info) });
step!(frei0r_get_param_info(describe: DescribeParameter, info: *mut ParameterInfo, index: c_int) { describe(info, index) });
step!(frei0r_construct(construct: Construct) -> Instance { construct(WIDTH as c_uint, HEIGHT as c_uint) });
step!(frei0r_get_param_value(get: OnParameter, instance: Instance, value: *mut Value, index: c_int) { get(instance, value, index) });
step!(frei0r_set_param_value(set: OnParameter, instance: Instance, value: *mut Value, index: c_int) { set(instance, value, index) });
step!(frei0r_update(update: Update, instance: Instance, from: *const u32, to: *mut u32) { update(instance, 0.0, from, to) });
step!(frei0r_update2(update: Update2, instance: Instance, first: *const u32, second: *const u32, third: *const u32, to: *mut u32) {
    update(instance, 0.0, first, second, third, to)
});
step!(frei0r_destruct(destruct: OnInstance, instance: Instance) { destruct(instance) });
step!(frei0r_deinit(deinit: Deinit) { deinit() });
