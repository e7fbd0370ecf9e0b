//! Vulkan drivers, by the loader's interface of drivers, `LoaderDriverInterface.md` and `vk_icd.h` of Vulkan-Loader 1.3.239
//! (<https://github.com/KhronosGroup/Vulkan-Loader/blob/v1.3.239/docs/LoaderDriverInterface.md>), and `vulkan_core.h` 1.0: the version of the
//! interface is negotiated, and each instance is created, its physical devices are enumerated and asked for their properties, and it is
//! destroyed. `VK_ERROR_INCOMPATIBLE_DRIVER` is how a driver says that its hardware is not there, and is no failure: a cycle of such a driver
//! ends with it. There is no detail.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::{null, null_mut};

use dlsoak_wire::interface::failed;

use super::{MOST_INSTANCES, Zeros, find, instances};

/// Numbers of the steps.
const NEGOTIATE: u16 = 1;
const CREATE: u16 = 2;
const ENUMERATE: u16 = 3;
const PROPERTIES: u16 = 4;
const DESTROY: u16 = 5;

/// The version that the host speaks.
const VERSION: u32 = 5;
/// `VK_API_VERSION_1_0`.
const API: u32 = 1 << 22;
/// `VK_STRUCTURE_TYPE_APPLICATION_INFO`, `VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO`.
const APPLICATION: c_int = 0;
const INSTANCE: c_int = 1;
const SUCCESS: c_int = 0;
const INCOMPLETE: c_int = 5;
const INCOMPATIBLE: c_int = -9;
/// More than `VkPhysicalDeviceProperties` has.
const ROOM: usize = 2048;

type Object = *mut c_void;
type Negotiate = unsafe extern "C" fn(*mut u32) -> c_int;
type GetProc = unsafe extern "C" fn(Object, *const c_char) -> *mut c_void;
type Create = unsafe extern "C" fn(*const InstanceInfo, *const c_void, *mut Object) -> c_int;
type Enumerate = unsafe extern "C" fn(Object, *mut u32, *mut Object) -> c_int;
type Properties = unsafe extern "C" fn(Object, *mut c_void);
type Destroy = unsafe extern "C" fn(Object, *const c_void);

/// `VkApplicationInfo`.
#[repr(C)]
struct ApplicationInfo {
    kind: c_int,
    next: *const c_void,
    name: *const c_char,
    version: u32,
    engine: *const c_char,
    engine_version: u32,
    api: u32,
}

/// `VkInstanceCreateInfo`.
#[repr(C)]
struct InstanceInfo {
    kind: c_int,
    next: *const c_void,
    flags: u32,
    application: *const ApplicationInfo,
    layers: u32,
    layer_names: *const *const c_char,
    extensions: u32,
    extension_names: *const *const c_char,
}

/// One cycle of a driver that is open.
///
/// # Safety
/// The handle is that of a Vulkan driver.
#[cfg_attr(dlsoak_program, unsafe(no_mangle))]
pub unsafe extern "C" fn dlsoak_vulkan(handle: *mut c_void) -> c_int {
    let Some(get) = find(handle, c"vk_icdGetInstanceProcAddr") else { return failed(NEGOTIATE, 0) };
    // SAFETY: the functions of these names have these types, by `vk_icd.h`.
    let get = unsafe { core::mem::transmute::<*mut c_void, GetProc>(get) };
    // A driver without it has the interface's version 0 or 1, and the rest is the same.
    if let Some(negotiate) = find(handle, c"vk_icdNegotiateLoaderICDInterfaceVersion") {
        let mut version = VERSION;
        // SAFETY: as above.
        let is = unsafe {
            vulkan_negotiate(core::mem::transmute::<*mut c_void, Negotiate>(negotiate), &raw mut version)
        };
        if is == INCOMPATIBLE {
            return 0;
        }
        if is != SUCCESS || version > VERSION {
            return failed(NEGOTIATE, 0);
        }
    }
    let mut made = [null_mut(); MOST_INSTANCES];
    let mut result = 0;
    // SAFETY: the calls are those of the specification, in its order, with an instance that lives.
    unsafe {
        for (number, instance) in made.iter_mut().take(instances()).enumerate() {
            match live(get, instance) {
                Ok(()) => {}
                Err(0) => break,
                Err(step) => {
                    result = failed(step, number);
                    break;
                }
            }
        }
        for (number, instance) in made.into_iter().enumerate().filter(|(_, instance)| !instance.is_null()) {
            match proc(get, instance, c"vkDestroyInstance") {
                Some(destroy) => {
                    vulkan_destroy_instance(core::mem::transmute::<*mut c_void, Destroy>(destroy), instance);
                }
                None => result = failed(DESTROY, number),
            }
        }
    }
    result
}

/// Makes an instance and asks for its devices; the step that failed, or 0 where the driver has no hardware.
unsafe fn live(get: GetProc, instance: &mut Object) -> Result<(), u16> {
    let application = ApplicationInfo {
        kind: APPLICATION,
        next: null(),
        name: c"dlsoak".as_ptr(),
        version: 1,
        engine: null(),
        engine_version: 0,
        api: API,
    };
    let info = InstanceInfo {
        kind: INSTANCE,
        next: null(),
        flags: 0,
        application: &raw const application,
        layers: 0,
        layer_names: null(),
        extensions: 0,
        extension_names: null(),
    };
    // SAFETY: what is passed is as the specification demands; the functions of these names have these types.
    unsafe {
        let create = proc(get, null_mut(), c"vkCreateInstance").ok_or(CREATE)?;
        let create = core::mem::transmute::<*mut c_void, Create>(create);
        match vulkan_create_instance(create, &raw const info, instance) {
            SUCCESS if !instance.is_null() => {}
            is => {
                *instance = null_mut();
                return Err(if is == INCOMPATIBLE { 0 } else { CREATE });
            }
        }
        let enumerate = proc(get, *instance, c"vkEnumeratePhysicalDevices").ok_or(ENUMERATE)?;
        let enumerate = core::mem::transmute::<*mut c_void, Enumerate>(enumerate);
        let properties = proc(get, *instance, c"vkGetPhysicalDeviceProperties").ok_or(PROPERTIES)?;
        let properties = core::mem::transmute::<*mut c_void, Properties>(properties);
        let mut count = 0;
        if vulkan_enumerate(enumerate, *instance, &raw mut count, null_mut()) != SUCCESS {
            return Err(ENUMERATE);
        }
        let mut devices = [null_mut(); 16];
        count = count.min(16);
        let is = vulkan_enumerate(enumerate, *instance, &raw mut count, devices.as_mut_ptr());
        if is != SUCCESS && is != INCOMPLETE {
            return Err(ENUMERATE);
        }
        let room = Zeros::new(ROOM).ok_or(PROPERTIES)?;
        for device in devices.into_iter().take(count as usize) {
            vulkan_properties(properties, device, room.at);
        }
    }
    Ok(())
}

/// What the driver has of this name.
unsafe fn proc(get: GetProc, instance: Object, name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the instance lives, or is null for what has none.
    let found = unsafe { get(instance, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

step!(vulkan_negotiate(negotiate: Negotiate, version: *mut u32) -> c_int { negotiate(version) });
step!(vulkan_create_instance(create: Create, info: *const InstanceInfo, instance: *mut Object) -> c_int {
    create(info, null(), instance)
});
step!(vulkan_enumerate(enumerate: Enumerate, instance: Object, count: *mut u32, to: *mut Object) -> c_int {
    enumerate(instance, count, to)
});
step!(vulkan_properties(properties: Properties, device: Object, to: *mut c_void) { properties(device, to) });
step!(vulkan_destroy_instance(destroy: Destroy, instance: Object) { destroy(instance, null()) });
