//! Plugins of GStreamer, by its API 1.0 as of 1.22 (<https://gstreamer.freedesktop.org/documentation/gstreamer/gstplugin.html>): the plugin
//! is loaded with `gst_plugin_load_file`, each element that it registers is made by its factory, all instances at the same time, and each is
//! given back with its last reference. An item is an element's number in the list of the plugin's features.
//!
//! GStreamer never unloads a plugin, because the types that it registers with GLib stay. From the second cycle on `gst_plugin_load_file`
//! returns the plugin that is loaded, and the cycle is that of the elements. It loads the file by the path of the set-up, and a copy of the
//! file has types of the same names, which can't be registered again: a thread with a copy makes elements of the first.
//!
//! The host knows the system's plugins, because elements make others inside themselves and may end the process without. `gst_init` reads and
//! writes the registry's cache as the environment says. There is no detail.

use core::ffi::{c_char, c_int, c_void};
use core::ptr::null_mut;

use dlsoak_wire::interface::failed;

use super::{MOST_INSTANCES, instances, path};

/// Numbers of the steps.
const LOAD: u16 = 1;
const CREATE: u16 = 2;

type Object = *mut c_void;
type Load = unsafe extern "C" fn(*const c_char, *mut Object) -> Object;
type Create = unsafe extern "C" fn(Object, *const c_char) -> Object;
type Unref = unsafe extern "C" fn(Object);

/// `GList`.
#[repr(C)]
struct List {
    data: Object,
    next: *mut Self,
    before: *mut Self,
}

functions!(Gstreamer {
    gst_init_check: unsafe extern "C" fn(*mut c_int, *mut c_void, *mut Object) -> c_int,
    gst_segtrap_set_enabled: unsafe extern "C" fn(c_int),
    gst_plugin_load_file: Load,
    gst_plugin_get_name: unsafe extern "C" fn(Object) -> *const c_char,
    gst_registry_get: unsafe extern "C" fn() -> Object,
    gst_registry_get_feature_list_by_plugin: unsafe extern "C" fn(Object, *const c_char) -> *mut List,
    gst_plugin_feature_list_free: unsafe extern "C" fn(*mut List),
    gst_element_factory_get_type: unsafe extern "C" fn() -> usize,
    gst_element_factory_create: Create,
    gst_object_unref: Unref,
    g_type_check_instance_is_a: unsafe extern "C" fn(Object, usize) -> c_int,
    g_clear_error: unsafe extern "C" fn(*mut Object),
});

/// Begins GStreamer.
pub(super) fn begin() -> c_int {
    let Some(gst) = Gstreamer::of(null_mut()) else { return 2 };
    // SAFETY: both are called once, before any other function of GStreamer.
    unsafe {
        // Else GStreamer would end the process with exit when a plugin crashes while it is loaded.
        (gst.gst_segtrap_set_enabled)(0);
        if (gst.gst_init_check)(null_mut(), null_mut(), null_mut()) == 0 {
            return 3;
        }
    }
    0
}

/// One cycle of a plugin that is open.
///
/// # Safety
/// The handle is that of a plugin of GStreamer; the set-up has been made.
#[cfg_attr(dlsoak_program, unsafe(no_mangle))]
pub unsafe extern "C" fn dlsoak_gstreamer(_handle: *mut c_void) -> c_int {
    let Some(gst) = Gstreamer::of(null_mut()) else { return failed(LOAD, 0) };
    let mut error = null_mut();
    // SAFETY: the calls are those of the documentation; each reference is given back once, and the list is ours.
    unsafe {
        let plugin = gstreamer_load(gst.gst_plugin_load_file, path().as_ptr(), &raw mut error);
        if plugin.is_null() {
            (gst.g_clear_error)(&raw mut error);
            return failed(LOAD, 0);
        }
        let features = (gst.gst_registry_get_feature_list_by_plugin)(
            (gst.gst_registry_get)(),
            (gst.gst_plugin_get_name)(plugin),
        );
        let (mut result, mut at, mut number) = (0, features, 0);
        while let Some(feature) = at.as_ref() {
            // Others are finders of types, or providers of devices.
            if (gst.g_type_check_instance_is_a)(feature.data, (gst.gst_element_factory_get_type)()) != 0
                && !live(&gst, feature.data)
            {
                result = failed(CREATE, number);
                break;
            }
            number += 1;
            at = feature.next;
        }
        (gst.gst_plugin_feature_list_free)(features);
        (gst.gst_object_unref)(plugin);
        result
    }
}

/// The life of one factory's elements; whether all could be made.
unsafe fn live(gst: &Gstreamer, factory: Object) -> bool {
    let mut made = [null_mut(); MOST_INSTANCES];
    let mut is_made = true;
    // SAFETY: the factory lives, and each element is given back once.
    unsafe {
        for element in made.iter_mut().take(instances()) {
            *element = gstreamer_create(gst.gst_element_factory_create, factory);
            if element.is_null() {
                is_made = false;
                break;
            }
        }
        for element in made.into_iter().filter(|element| !element.is_null()) {
            gstreamer_unref(gst.gst_object_unref, element);
        }
    }
    is_made
}

step!(gstreamer_load(load: Load, file: *const c_char, error: *mut Object) -> Object { load(file, error) });
step!(gstreamer_create(create: Create, factory: Object) -> Object { create(factory, core::ptr::null()) });
step!(gstreamer_unref(unref: Unref, element: Object) { unref(element) });
