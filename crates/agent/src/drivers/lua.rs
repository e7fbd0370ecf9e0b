//! Lua modules, by the manuals of Lua 5.1 to 5.4 (<https://www.lua.org/manual/5.4/manual.html>, sections 4 to 6.3) and LuaJIT 2.1, which has
//! the interface of 5.1. The host is that version's library, and versions differ here in which of them is linked, and in nothing else.
//!
//! - `dlsoak_lua`: each instance is a state with the standard libraries. Each `luaopen_*` is called in protected mode as `require` does, with
//!   the module's name and its file, and `lua_close` ends the state.
//! - `dlsoak_lua_kept`: one state lives on. Each `luaopen_*` is called, then what it returned is dropped, the registry, the globals and the
//!   standard libraries become again what they were, and two full collections are made: the first calls the finalizers, the second frees. Lua
//!   itself never unloads a module before `lua_close`, so only a host that removes what the module has registered may unload it.
//!
//! `detail` is the names of the `luaopen_*` functions that the file exports, separated by one space, in the order in which they are to be
//! called. Where it is empty, the one function is the symbol by which the file was recognised. An item is a function of that list.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::null_mut;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering::{Acquire, Release};

use dlsoak_wire::interface::failed;

use super::{MOST_INSTANCES, Turn, detail, find, instances, path, symbol};

/// Numbers of the steps.
const NEW: u16 = 1;
const OPEN: u16 = 2;
const COLLECT: u16 = 3;

type State = *mut c_void;
type Open = unsafe extern "C" fn(State) -> c_int;
type Pcall = unsafe extern "C" fn(State, c_int, c_int, c_int) -> c_int;
type Pcallk = unsafe extern "C" fn(State, c_int, c_int, c_int, isize, *const c_void) -> c_int;
/// Variadic since 5.4; the call is the same.
type Gc = unsafe extern "C" fn(State, c_int, c_int, ...) -> c_int;

/// `LUA_GCCOLLECT`.
const FULL: c_int = 2;

/// Slots of the kept state's stack that are overwritten at the end of a cycle: more than one has after a collection, which shrinks it.
const SLOTS: c_int = 200;

functions!(Lua {
    luaL_newstate: unsafe extern "C" fn() -> State,
    luaL_openlibs: unsafe extern "C" fn(State),
    luaL_loadstring: unsafe extern "C" fn(State, *const c_char) -> c_int,
    lua_pushcclosure: unsafe extern "C" fn(State, Open, c_int),
    lua_pushstring: unsafe extern "C" fn(State, *const c_char),
    lua_pushinteger: unsafe extern "C" fn(State, isize),
    lua_pushvalue: unsafe extern "C" fn(State, c_int),
    lua_checkstack: unsafe extern "C" fn(State, c_int) -> c_int,
    lua_settop: unsafe extern "C" fn(State, c_int),
    lua_gc: Gc,
    lua_close: unsafe extern "C" fn(State),
});

/// `lua_pcall`, which is a macro of `lua_pcallk` since 5.2.
#[repr(C)]
#[derive(Clone, Copy)]
enum Call {
    Pcall(Pcall),
    Pcallk(Pcallk),
}

impl Call {
    fn of_host() -> Option<Self> {
        // SAFETY: the functions of these names have these types, by `lua.h`.
        unsafe {
            if let Some(found) = find(null_mut(), c"lua_pcallk") {
                return Some(Self::Pcallk(core::mem::transmute::<*mut c_void, Pcallk>(found)));
            }
            find(null_mut(), c"lua_pcall")
                .map(|found| Self::Pcall(core::mem::transmute::<*mut c_void, Pcall>(found)))
        }
    }
}

/// What runs in the kept state: it opens the module as often as there are instances, and makes the state again what it was, so that nothing in
/// it leads to the module any more. The functions that it needs are locals, because the module may replace the globals. LuaJIT's compiler is off,
/// because it would map memory for this code in some cycle.
const KEPT: &CStr = cr#"
if jit then jit.off() end
local next, type, pcall, error, rawset, rawget = next, type, pcall, error, rawset, rawget
local registry = debug.getregistry()
local loaded = package.loaded
return function(open, name, file, times)
    local kept, seen = {}, {}
    local function keep(of)
        if type(of) == "table" and not seen[of] then
            local copy = {}
            for key, value in next, of do copy[key] = value end
            seen[of] = copy
            kept[#kept + 1] = of
        end
    end
    keep(registry)
    for _, value in next, seen[registry] do keep(value) end
    for _, value in next, loaded do keep(value) end
    local results, ok, why = {}, true, nil
    for time = 1, times do
        ok, why = pcall(open, name, file)
        if not ok then break end
        results[time] = why
    end
    for number = 1, #kept do
        local of = kept[number]
        local copy = seen[of]
        for key in next, of do
            if copy[key] == nil then
                -- Without the number, what was there would stay in memory as it was, and only be marked as nil.
                rawset(of, key, 0)
                rawset(of, key, nil)
            end
        end
        for key, value in next, copy do
            if rawget(of, key) ~= value then rawset(of, key, value) end
        end
    end
    if not ok then error(why, 0) end
end
"#;

/// The kept state, with the function of [`KEPT`] at the bottom of its stack.
static STATE: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
/// One thread at a time uses it, as Lua demands.
static TURN: Turn = Turn::new();

/// Makes the state that is kept.
pub(super) fn begin() -> c_int {
    let (Some(lua), Some(call)) = (Lua::of(null_mut()), Call::of_host()) else { return 2 };
    // SAFETY: the functions are called in the order that the manual demands, with a state that lives.
    unsafe {
        let state = (lua.luaL_newstate)();
        if state.is_null() {
            return 3;
        }
        (lua.luaL_openlibs)(state);
        if (lua.luaL_loadstring)(state, KEPT.as_ptr()) != 0 || lua_step_open(call, state, 0, 1) != 0 {
            return 4;
        }
        STATE.store(state, Release);
    }
    0
}

/// One cycle in states of its own.
///
/// # Safety
/// The handle is that of a Lua module, for the version of Lua that the host has.
#[cfg_attr(dlsoak_program, unsafe(no_mangle))]
pub unsafe extern "C" fn dlsoak_lua(handle: *mut c_void) -> c_int {
    let (Some(lua), Some(call)) = (Lua::of(null_mut()), Call::of_host()) else { return failed(NEW, 0) };
    let mut states = [null_mut(); MOST_INSTANCES];
    let states = states.get_mut(..instances()).unwrap_or_default();
    let mut result = 0;
    // SAFETY: the states live until they are closed, once; the stack has room for three values, 20 are free at first.
    unsafe {
        for state in states.iter_mut() {
            *state = lua_step_newstate(lua.luaL_newstate);
            if state.is_null() {
                result = failed(NEW, 0);
                break;
            }
            (lua.luaL_openlibs)(*state);
            result = each(handle, |open, name| {
                (lua.lua_pushcclosure)(*state, open, 0);
                (lua.lua_pushstring)(*state, name);
                (lua.lua_pushstring)(*state, path().as_ptr());
                let result = lua_step_open(call, *state, 2, 1);
                // What it returned, or the error.
                (lua.lua_settop)(*state, 0);
                result == 0
            });
            if result != 0 {
                break;
            }
        }
        for state in states.iter().filter(|state| !state.is_null()) {
            lua_step_close(lua.lua_close, *state);
        }
    }
    result
}

/// One cycle in the kept state.
///
/// # Safety
/// As of [`dlsoak_lua`]; the set-up has been made.
#[cfg_attr(dlsoak_program, unsafe(no_mangle))]
pub unsafe extern "C" fn dlsoak_lua_kept(handle: *mut c_void) -> c_int {
    let (Some(lua), Some(call)) = (Lua::of(null_mut()), Call::of_host()) else { return failed(NEW, 0) };
    let state = STATE.load(Acquire);
    if state.is_null() {
        return failed(NEW, 0);
    }
    let _turn = TURN.take();
    // SAFETY: the state lives as long as the process, and is this thread's now; the function of the set-up is at the bottom of its stack.
    unsafe {
        let result = each(handle, |open, name| {
            (lua.lua_pushvalue)(state, 1);
            (lua.lua_pushcclosure)(state, open, 0);
            (lua.lua_pushstring)(state, name);
            (lua.lua_pushstring)(state, path().as_ptr());
            (lua.lua_pushinteger)(state, instances() as isize);
            let result = lua_step_open(call, state, 4, 0);
            (lua.lua_settop)(state, 1);
            result == 0
        });
        for _ in 0..2 {
            if lua_step_collect(lua.lua_gc, state) != 0 {
                return failed(COLLECT, 0);
            }
        }
        // A slot of the stack that is nil again keeps the address that it had, of a function of the module for example.
        if (lua.lua_checkstack)(state, SLOTS) != 0 {
            (0..SLOTS).for_each(|_| (lua.lua_pushinteger)(state, 0));
            (lua.lua_settop)(state, 1);
        }
        result
    }
}

/// Has each of the module's functions opened, and says what failed.
unsafe fn each(handle: *mut c_void, mut open: impl FnMut(Open, *const c_char) -> bool) -> c_int {
    let all = if detail().is_empty() { symbol() } else { detail() };
    for (number, symbol) in all.to_bytes().split(|byte| *byte == b' ').enumerate() {
        let mut room = [0; 256];
        let Some(function) = terminated(symbol, &mut room).and_then(|name| find(handle, name)) else {
            return failed(OPEN, number);
        };
        // SAFETY: what is exported with such a name is a `lua_CFunction`.
        let function = unsafe { core::mem::transmute::<*mut c_void, Open>(function) };
        if !module(symbol, &mut room).is_some_and(|name| open(function, name.as_ptr())) {
            return failed(OPEN, number);
        }
    }
    0
}

/// The same text with a NUL at its end; `None` where it is too long.
fn terminated<'a>(text: &[u8], room: &'a mut [u8; 256]) -> Option<&'a CStr> {
    room.get_mut(..text.len())?.copy_from_slice(text);
    *room.get_mut(text.len())? = 0;
    CStr::from_bytes_until_nul(room).ok()
}

/// The module's name: what follows `luaopen_`, where `_` stands for a dot unless the file itself has that name.
fn module<'a>(symbol: &[u8], room: &'a mut [u8; 256]) -> Option<&'a CStr> {
    let name = symbol.strip_prefix(b"luaopen_")?;
    let file = path().to_bytes().rsplit(|byte| *byte == b'/').next()?;
    let is_whole = file.strip_suffix(b".so") == Some(name);
    terminated(name, room)?;
    if !is_whole {
        room.iter_mut().filter(|byte| **byte == b'_').for_each(|byte| *byte = b'.');
    }
    CStr::from_bytes_until_nul(room).ok()
}

// `lua_newstate` and `lua_close` are Lua's own.
step!(lua_step_newstate(newstate: unsafe extern "C" fn() -> State) -> State { newstate() });
step!(lua_step_open(call: Call, state: State, arguments: c_int, results: c_int) -> c_int {
    match call {
        Call::Pcall(pcall) => pcall(state, arguments, results, 0),
        Call::Pcallk(pcallk) => pcallk(state, arguments, results, 0, 0, core::ptr::null()),
    }
});
step!(lua_step_close(close: unsafe extern "C" fn(State), state: State) { close(state) });
step!(lua_step_collect(gc: Gc, state: State) -> c_int { gc(state, FULL, 0) });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_named_as_require_names_it() {
        let mut room = [1; 256];
        assert_eq!(module(b"luaopen_socket_core", &mut room), Some(c"socket.core"));
        assert_eq!(module(b"lua_open", &mut room), None);
        assert_eq!(module(&[b'a'; 300], &mut room), None);
    }
}
