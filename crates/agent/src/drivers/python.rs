//! Extension modules of Python, by the C API of 3.11 (<https://docs.python.org/3.11/c-api/module.html>; the layout of `PyModuleDef` is that of
//! `moduleobject.h`, which is the same from 3.5 to 3.11 on 64-bit machines).
//!
//! - `dlsoak_python`: one interpreter lives on. Each cycle imports the module as importlib does, drops it, collects garbage and clears the
//!   cache of attributes.
//! - `dlsoak_python_fresh`: `Py_InitializeEx` and `Py_FinalizeEx` in each cycle, with the import between them.
//!
//! Python never unloads an extension module, not even in `Py_FinalizeEx`, which its documentation says. Its types lead to the module's static
//! types, and would lead into memory that is gone. So the driver takes one more reference of each library that it imports, and keeps it.
//!
//! A module of single-phase initialisation whose `m_size` is -1 can't be initialised again in the same interpreter, and importlib calls its
//! `PyInit_*` once. So does `dlsoak_python`: the cycles after the first have nothing to do. Another is initialised again, as importlib does.
//!
//! `detail` is the module's full name with dots, which is the file's path below `dist-packages`, `site-packages` or `lib-dynload` without its
//! suffix. Where it is empty, the name is that of `PyInit_*`. The detail `-` has the cycle import nothing: what such cycles leave is the
//! interpreter's. `PYTHONMALLOC=malloc` is set, so that each object is a block of the heap.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::ptr::null_mut;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use dlsoak_wire::interface::failed;

use super::{MOST_INSTANCES, Turn, detail, find, instances, symbol};
use crate::c;

/// Numbers of the steps.
const INTERPRETER: u16 = 1;
const INIT: u16 = 2;
const CREATE: u16 = 3;
const EXEC: u16 = 4;
const FINALIZE: u16 = 6;

/// `PYTHON_API_VERSION`.
const API: c_int = 1013;

type Object = *mut c_void;
type Init = unsafe extern "C" fn() -> Object;
type Exec = unsafe extern "C" fn(Object, *mut Def) -> c_int;
type Create = unsafe extern "C" fn(*mut Def, Object, c_int) -> Object;

/// `PyObject`.
#[repr(C)]
struct Head {
    references: isize,
    kind: *mut c_void,
}

/// `PyModuleDef`.
#[repr(C)]
struct Def {
    head: Head,
    init: *const c_void,
    index: isize,
    copy: Object,
    name: *const c_char,
    doc: *const c_char,
    size: isize,
    methods: *const c_void,
    slots: *const c_void,
    traverse: *const c_void,
    clear: *const c_void,
    free: *const c_void,
}

functions!(Python {
    Py_InitializeEx: unsafe extern "C" fn(c_int),
    Py_FinalizeEx: unsafe extern "C" fn() -> c_int,
    Py_IsInitialized: unsafe extern "C" fn() -> c_int,
    PyEval_SaveThread: unsafe extern "C" fn() -> *mut c_void,
    PyGILState_Ensure: unsafe extern "C" fn() -> c_int,
    PyGILState_Release: unsafe extern "C" fn(c_int),
    PyRun_SimpleStringFlags: unsafe extern "C" fn(*const c_char, *const c_void) -> c_int,
    PyGC_Collect: unsafe extern "C" fn() -> isize,
    PyType_ClearCache: unsafe extern "C" fn() -> c_uint,
    PyImport_ImportModule: unsafe extern "C" fn(*const c_char) -> Object,
    PyImport_GetModuleDict: unsafe extern "C" fn() -> Object,
    PyDict_SetItemString: unsafe extern "C" fn(Object, *const c_char, Object) -> c_int,
    PyDict_DelItemString: unsafe extern "C" fn(Object, *const c_char) -> c_int,
    PyObject_CallMethod: unsafe extern "C" fn(Object, *const c_char, *const c_char, ...) -> Object,
    PyModule_FromDefAndSpec2: Create,
    PyModule_ExecDef: Exec,
    PyModule_GetDef: unsafe extern "C" fn(Object) -> *mut Def,
    PyState_AddModule: unsafe extern "C" fn(Object, *mut Def) -> c_int,
    PyState_RemoveModule: unsafe extern "C" fn(*mut Def) -> c_int,
    PyType_IsSubtype: unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int,
    PyErr_Print: unsafe extern "C" fn(),
    PyErr_Clear: unsafe extern "C" fn(),
    Py_DecRef: unsafe extern "C" fn(Object),
    PyModuleDef_Type: *mut c_void,
    PyModule_Type: *mut c_void,
    _Py_NoneStruct: Object,
});

/// What makes the kept interpreter one that has been used for long. A dictionary where keys come and go grows once, after as many keys as it has
/// room for, and those of interned strings, of modules and of a type's subclasses would do so in the middle of a soak.
const USED: &CStr = cr#"
def use():
    import gc, importlib.machinery, sys
    for number in range(50000):
        sys.intern("dlsoak-%d" % number)
    for number in range(5000):
        name = "dlsoak_%d" % number
        sys.modules[name] = sys
        del sys.modules[name]
    for base in object, Exception, OSError, ValueError, tuple:
        for number in range(2000):
            type("dlsoak", (base,), {})
            if number % 500 == 499:
                gc.collect()
    gc.collect()
use()
del use
"#;

/// One thread at a time makes and ends an interpreter.
static TURN: Turn = Turn::new();

/// Libraries that are kept, by their handles.
static HELD: [AtomicPtr<c_void>; 256] = [const { AtomicPtr::new(null_mut()) }; 256];
/// For the same places, what can't be initialised again.
static ONCE: [AtomicPtr<c_void>; 256] = [const { AtomicPtr::new(null_mut()) }; 256];

/// Prepares for interpreters: makes the one that is kept, or makes and ends one.
pub(super) fn begin(is_kept: bool) -> c_int {
    let Some(python) = Python::of(null_mut()) else { return 2 };
    // SAFETY: no interpreter is there, and no other thread of this process yet.
    unsafe {
        c::setenv(c"PYTHONMALLOC".as_ptr(), c"malloc".as_ptr(), 1);
        (python.Py_InitializeEx)(0);
        if (python.Py_IsInitialized)() == 0 {
            return 3;
        }
        // The first interpreter of a process sets the locale, which is no plugin's doing.
        if !is_kept {
            return if (python.Py_FinalizeEx)() == 0 { 0 } else { 5 };
        }
        if (python.PyRun_SimpleStringFlags)(USED.as_ptr(), core::ptr::null()) != 0 {
            return 4;
        }
        (python.PyEval_SaveThread)();
    }
    0
}

/// One cycle in the kept interpreter.
///
/// # Safety
/// The handle is that of an extension module for the version of Python that the host has; the set-up has been made.
#[cfg_attr(dlsoak_program, unsafe(no_mangle))]
pub unsafe extern "C" fn dlsoak_python(handle: *mut c_void) -> c_int {
    let Some(python) = Python::of(null_mut()) else { return failed(INTERPRETER, 0) };
    // SAFETY: the interpreter lives, and lets any thread in.
    unsafe {
        let state = (python.PyGILState_Ensure)();
        let result = import(python, handle, true);
        python_collect(python.PyGC_Collect);
        // It has 4,096 places for names, found by their addresses. A name that is made anew for each look-up (PyObject_GetAttrString, also by
        // PyModule_FromDefAndSpec2) takes one more of them: 51 B per cycle at first, and nothing after 5,000 cycles.
        (python.PyType_ClearCache)();
        (python.PyGILState_Release)(state);
        result
    }
}

/// One cycle in an interpreter of its own.
///
/// # Safety
/// As of [`dlsoak_python`].
#[cfg_attr(dlsoak_program, unsafe(no_mangle))]
pub unsafe extern "C" fn dlsoak_python_fresh(handle: *mut c_void) -> c_int {
    let Some(python) = Python::of(null_mut()) else { return failed(INTERPRETER, 0) };
    let _turn = TURN.take();
    // SAFETY: this thread makes the interpreter, and ends it; no other has one meanwhile.
    unsafe {
        python_interpreter(python.Py_InitializeEx);
        if (python.Py_IsInitialized)() == 0 {
            return failed(INTERPRETER, 0);
        }
        let result = import(python, handle, false);
        python_collect(python.PyGC_Collect);
        let ended = python_finalize(python.Py_FinalizeEx);
        if result == 0 && ended != 0 { failed(FINALIZE, 0) } else { result }
    }
}

/// Imports the module as importlib does, and drops it.
unsafe fn import(python: Python, handle: *mut c_void, is_kept: bool) -> c_int {
    if detail() == c"-" {
        return 0;
    }
    let Some(place) = hold(handle) else { return failed(INIT, 0) };
    let once = &ONCE[place];
    if !once.load(Acquire).is_null() {
        return 0;
    }
    let Some(init) = find(handle, symbol()) else { return failed(INIT, 0) };
    let name = if detail().is_empty() { symbol().to_bytes_with_nul().get(7..) } else { None };
    let name = name.and_then(|rest| CStr::from_bytes_with_nul(rest).ok()).unwrap_or(detail());
    // SAFETY: the calling thread has the interpreter; each reference is given back once.
    unsafe {
        let first = python_init(core::mem::transmute::<*mut c_void, Init>(init));
        if first.is_null() {
            (python.PyErr_Print)();
            return failed(INIT, 0);
        }
        let modules = (python.PyImport_GetModuleDict)();
        if (python.PyType_IsSubtype)(kind(first), python.PyModuleDef_Type) == 0 {
            // Single-phase initialisation: it is the module.
            let def = (python.PyModule_GetDef)(first);
            if def.is_null() || (python.PyDict_SetItemString)(modules, name.as_ptr(), first) != 0 {
                (python.PyErr_Print)();
                return failed(INIT, 0);
            }
            if is_kept && (*def).size == -1 {
                once.store(first, Relaxed);
                return 0;
            }
            (python.PyState_AddModule)(first, def);
            drop_module(&python, modules, name, first);
            (python.PyState_RemoveModule)(def);
            (python.PyErr_Clear)();
            return 0;
        }
        // Multi-phase initialisation: it is the definition, which is static and has no reference to give back.
        let machinery = (python.PyImport_ImportModule)(c"importlib.machinery".as_ptr());
        if machinery.is_null() {
            (python.PyErr_Print)();
            return failed(INTERPRETER, 0);
        }
        let spec = (python.PyObject_CallMethod)(
            machinery,
            c"ModuleSpec".as_ptr(),
            c"sO".as_ptr(),
            name.as_ptr(),
            python._Py_NoneStruct,
        );
        (python.Py_DecRef)(machinery);
        if spec.is_null() {
            (python.PyErr_Print)();
            return failed(INTERPRETER, 0);
        }
        let mut made = [null_mut(); MOST_INSTANCES];
        let mut result = 0;
        for (number, module) in made.iter_mut().take(instances()).enumerate() {
            *module = python_create(python.PyModule_FromDefAndSpec2, first.cast(), spec);
            if module.is_null() {
                (python.PyErr_Print)();
                result = failed(CREATE, number);
                break;
            }
            (python.PyDict_SetItemString)(modules, name.as_ptr(), *module);
            // A module may be any object, and then nothing is executed.
            if (python.PyType_IsSubtype)(kind(*module), python.PyModule_Type) == 0 {
                continue;
            }
            let def = (python.PyModule_GetDef)(*module);
            if !def.is_null() && python_exec(python.PyModule_ExecDef, *module, def) != 0 {
                (python.PyErr_Print)();
                result = failed(EXEC, number);
                break;
            }
        }
        (python.Py_DecRef)(spec);
        for module in made.into_iter().filter(|module| !module.is_null()) {
            drop_module(&python, modules, name, module);
        }
        result
    }
}

/// Takes the module out of `sys.modules`, and gives its last reference back.
unsafe fn drop_module(python: &Python, modules: Object, name: &CStr, module: Object) {
    // SAFETY: the reference is the caller's.
    unsafe {
        // There is one name for all instances, and none in the second time.
        if (python.PyDict_DelItemString)(modules, name.as_ptr()) != 0 {
            (python.PyErr_Clear)();
        }
        python_drop(python.Py_DecRef, module);
    }
}

unsafe fn kind(object: Object) -> *mut c_void {
    // SAFETY: each object begins with this.
    unsafe { (*object.cast::<Head>()).kind }
}

/// Keeps the library of this handle for good, and says which place of the table is its own.
fn hold(handle: *mut c_void) -> Option<usize> {
    for (place, held) in HELD.iter().enumerate() {
        match held.compare_exchange(null_mut(), handle, AcqRel, Acquire) {
            Ok(_) => {
                // SAFETY: a handle is the loader's `struct link_map`, whose second word is the path by which it was opened.
                let again = unsafe {
                    let path = *handle.cast::<*const c_char>().add(1);
                    c::dlopen(path, c::RTLD_NOW | c::RTLD_NOLOAD)
                };
                return (again == handle).then_some(place);
            }
            Err(there) if there == handle => return Some(place),
            Err(_) => {}
        }
    }
    None
}

step!(python_interpreter(initialize: unsafe extern "C" fn(c_int)) { initialize(0) });
step!(python_init(init: Init) -> Object { init() });
step!(python_create(create: Create, def: *mut Def, spec: Object) -> Object { create(def, spec, API) });
step!(python_exec(exec: Exec, module: Object, def: *mut Def) -> c_int { exec(module, def) });
step!(python_drop(release: unsafe extern "C" fn(Object), module: Object) { release(module) });
step!(python_collect(collect: unsafe extern "C" fn() -> isize) -> isize { collect() });
step!(python_finalize(finalize: unsafe extern "C" fn() -> c_int) -> c_int { finalize() });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_has_the_layout_of_the_header() {
        assert_eq!(core::mem::offset_of!(Def, size), 56);
        assert_eq!(core::mem::offset_of!(Def, slots), 72);
        assert_eq!(size_of::<Def>(), 104);
    }
}
