//! OpenCL drivers, by the extension `cl_khr_icd` 1.0
//! (<https://registry.khronos.org/OpenCL/specs/unified/html/OpenCL_Ext.html>) and `cl_icd.h` of OpenCL-Headers 2022.09.30: the platforms are
//! asked for by `clIcdGetPlatformIDsKHR`, their functions are those of the table to which each object's first word points, each platform and
//! each device is asked for its name, and where there is a device, contexts of all of a platform's devices are created and released. A driver
//! that has no platform or no device says so, which is no failure. There is no detail.

use core::ffi::{c_char, c_int, c_void};
use core::ptr::{null, null_mut};

use dlsoak_wire::interface::failed;

use super::{MOST_INSTANCES, find, instances};

/// Numbers of the steps.
const PLATFORMS: u16 = 1;
const PLATFORM_INFO: u16 = 2;
const DEVICES: u16 = 3;
const DEVICE_INFO: u16 = 4;
const CREATE: u16 = 5;
const RELEASE: u16 = 6;

const SUCCESS: c_int = 0;
const NO_DEVICE: c_int = -1;
/// `CL_PLATFORM_NOT_FOUND_KHR`.
const NO_PLATFORM: c_int = -1001;
const PLATFORM_NAME: u32 = 0x902;
const DEVICE_NAME: u32 = 0x102b;
const ALL_DEVICES: u64 = 0xffff_ffff;
/// `CL_CONTEXT_PLATFORM`.
const OF_PLATFORM: isize = 0x1084;
/// Platforms, and devices of one, at most.
const MOST: usize = 16;

type Object = *mut *const Table;
type Find = unsafe extern "C" fn(*const c_char) -> *mut c_void;
type Platforms = unsafe extern "C" fn(u32, *mut Object, *mut u32) -> c_int;
type Info = unsafe extern "C" fn(Object, u32, usize, *mut c_void, *mut usize) -> c_int;
type Devices = unsafe extern "C" fn(Object, u64, u32, *mut Object, *mut u32) -> c_int;
type Create =
    unsafe extern "C" fn(*const isize, u32, *const Object, *const c_void, *mut c_void, *mut c_int) -> Object;
type Release = unsafe extern "C" fn(Object) -> c_int;

/// `cl_icd_dispatch`, as far as it is used.
#[repr(C)]
struct Table {
    platforms: *const c_void,
    platform_info: Option<Info>,
    devices: Option<Devices>,
    device_info: Option<Info>,
    create: Option<Create>,
    create_from_type: *const c_void,
    retain: *const c_void,
    release: Option<Release>,
}

/// One cycle of a driver that is open.
///
/// # Safety
/// The handle is that of an OpenCL driver.
#[cfg_attr(dlsoak_program, unsafe(no_mangle))]
pub unsafe extern "C" fn dlsoak_opencl(handle: *mut c_void) -> c_int {
    const NAME: &core::ffi::CStr = c"clIcdGetPlatformIDsKHR";
    // SAFETY: the functions of these names have these types, by the extension.
    unsafe {
        let found = match find(handle, c"clGetExtensionFunctionAddress") {
            Some(by) => Some(core::mem::transmute::<*mut c_void, Find>(by)(NAME.as_ptr()))
                .filter(|found| !found.is_null()),
            None => find(handle, NAME),
        };
        let Some(found) = found else { return failed(PLATFORMS, 0) };
        let get = core::mem::transmute::<*mut c_void, Platforms>(found);
        let mut count = 0;
        match opencl_platform_ids(get, 0, null_mut(), &raw mut count) {
            SUCCESS => {}
            NO_PLATFORM => return 0,
            _ => return failed(PLATFORMS, 0),
        }
        let mut platforms = [null_mut(); MOST];
        count = count.min(MOST as u32);
        if count == 0 {
            return 0;
        }
        if opencl_platform_ids(get, count, platforms.as_mut_ptr(), null_mut()) != SUCCESS {
            return failed(PLATFORMS, 0);
        }
        for (number, platform) in platforms.into_iter().take(count as usize).enumerate() {
            if let Err(step) = live(platform) {
                return failed(step, number);
            }
        }
    }
    0
}

/// The life of one platform's contexts.
unsafe fn live(platform: Object) -> Result<(), u16> {
    let mut name = [0_u8; 1024];
    let mut contexts = [null_mut(); MOST_INSTANCES];
    // SAFETY: the calls are those of the specification, in its order, with objects of the driver, and go by each object's own table.
    unsafe {
        let Some(table) = platform.as_ref().and_then(|table| table.as_ref()) else { return Err(PLATFORMS) };
        let info = table.platform_info.ok_or(PLATFORM_INFO)?;
        if opencl_platform_info(info, platform, name.as_mut_ptr(), name.len()) != SUCCESS {
            return Err(PLATFORM_INFO);
        }
        let get = table.devices.ok_or(DEVICES)?;
        let (mut devices, mut count) = ([null_mut(); MOST], 0);
        match opencl_device_ids(get, platform, devices.as_mut_ptr(), &raw mut count) {
            SUCCESS => {}
            NO_DEVICE => return Ok(()),
            _ => return Err(DEVICES),
        }
        count = count.min(MOST as u32);
        if count == 0 {
            return Ok(());
        }
        for device in devices.iter().take(count as usize) {
            let Some(table) = device.as_ref().and_then(|table| table.as_ref()) else { return Err(DEVICES) };
            let info = table.device_info.ok_or(DEVICE_INFO)?;
            if opencl_device_info(info, *device, name.as_mut_ptr(), name.len()) != SUCCESS {
                return Err(DEVICE_INFO);
            }
        }
        let create = table.create.ok_or(CREATE)?;
        let mut result = Ok(());
        for context in contexts.iter_mut().take(instances()) {
            let mut is = SUCCESS;
            let properties = [OF_PLATFORM, platform as isize, 0];
            *context =
                opencl_create_context(create, properties.as_ptr(), count, devices.as_ptr(), &raw mut is);
            if context.is_null() || is != SUCCESS {
                result = Err(CREATE);
                break;
            }
        }
        for context in contexts.into_iter().filter(|context| !context.is_null()) {
            let release = (*context).as_ref().and_then(|table| table.release).ok_or(RELEASE)?;
            if opencl_release_context(release, context) != SUCCESS {
                result = Err(RELEASE);
            }
        }
        result
    }
}

step!(opencl_platform_ids(get: Platforms, room: u32, to: *mut Object, count: *mut u32) -> c_int { get(room, to, count) });
step!(opencl_platform_info(info: Info, platform: Object, to: *mut u8, len: usize) -> c_int {
    info(platform, PLATFORM_NAME, len, to.cast(), null_mut())
});
step!(opencl_device_ids(get: Devices, platform: Object, to: *mut Object, count: *mut u32) -> c_int {
    get(platform, ALL_DEVICES, MOST as u32, to, count)
});
step!(opencl_device_info(info: Info, device: Object, to: *mut u8, len: usize) -> c_int {
    info(device, DEVICE_NAME, len, to.cast(), null_mut())
});
step!(opencl_create_context(create: Create, properties: *const isize, count: u32, devices: *const Object, is: *mut c_int) -> Object {
    create(properties, count, devices, null(), null_mut(), is)
});
step!(opencl_release_context(release: Release, context: Object) -> c_int { release(context) });
