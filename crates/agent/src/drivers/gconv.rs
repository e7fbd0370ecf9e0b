//! gconv modules, `gconv.h` of glibc 2.36 (<https://sourceware.org/git/?p=glibc.git;a=blob;f=iconv/gconv.h;hb=refs/tags/glibc-2.36>): each
//! conversion that the module is configured for is initialised, converts 1 KiB, is flushed, and is ended.
//!
//! The host is the driver itself and not `iconv`, because glibc keeps modules and conversions in a cache. The driver calls as glibc's
//! `gen_steps`, `__gconv` and `release_step` do. glibc keeps the functions of a module with their addresses mangled, and a module reads a
//! mangled address only from the step that follows its own. The step here is the last, so no address is mangled.
//!
//! The detail is the conversions: pairs of names, each word followed by a space or the end, as in `FROM TO FROM TO`. The supervisor makes it
//! from the lines `module FROM TO FILE COST` of `gconv-modules` and `gconv-modules.d/*.conf` beside the module, where FILE is the module's
//! name without `.so`. The names are in capitals, as glibc makes them, and keep their `//`. Without detail, the driver has nothing to do.

use core::ffi::{c_char, c_int, c_void};
use core::ptr::{null, null_mut};

use dlsoak_wire::interface::failed;

use super::{MOST_INSTANCES, Zeros, detail, find, instances};

/// Bytes that are converted, and room for the result: 16 bytes for each character and what a flush adds.
const BYTES: usize = 1024;
const ROOM: usize = BYTES / 4 * 16 + 64;
/// Bytes of a name at most, with its end.
const NAME: usize = 64;

/// `__GCONV_OK` and its like. What is not here ends the soak.
const OK: c_int = 0;
const EMPTY_INPUT: c_int = 4;
const ILLEGAL_INPUT: c_int = 6;
const INCOMPLETE_INPUT: c_int = 7;
/// `__GCONV_IS_LAST`.
const IS_LAST: c_int = 1;

/// Characters of many scripts, because each character set has its own.
const SAMPLE: [u32; 16] = [
    0x41, 0x7a, 0x30, 0x39, 0x20, 0x2e, 0x2d, 0xe9, 0xdf, 0x3a9, 0x416, 0x3042, 0x4e2d, 0xd55c, 0x639, 0xe44,
];

type Init = unsafe extern "C" fn(*mut Step) -> c_int;
type End = unsafe extern "C" fn(*mut Step);
type Convert = unsafe extern "C" fn(
    *mut Step,
    *mut Data,
    *mut *const u8,
    *const u8,
    *mut *mut u8,
    *mut usize,
    c_int,
    c_int,
) -> c_int;

/// `struct __gconv_step`.
#[repr(C)]
struct Step {
    shlib_handle: *mut c_void,
    modname: *const c_char,
    counter: c_int,
    from_name: *const c_char,
    to_name: *const c_char,
    fct: Option<Convert>,
    btowc_fct: *const c_void,
    init_fct: Option<Init>,
    end_fct: Option<End>,
    min_needed_from: c_int,
    max_needed_from: c_int,
    min_needed_to: c_int,
    max_needed_to: c_int,
    stateful: c_int,
    data: *mut c_void,
}

/// `struct __gconv_step_data`.
#[repr(C)]
struct Data {
    outbuf: *mut u8,
    outbufend: *mut u8,
    flags: c_int,
    invocation_counter: c_int,
    internal_use: c_int,
    statep: *mut u64,
    state: u64,
}

/// Numbers of the steps.
const INIT: u16 = 1;
const CONVERT: u16 = 2;
const FLUSH: u16 = 3;

/// One cycle of a module that is open.
///
/// # Safety
/// The handle is that of a gconv module.
#[cfg_attr(dlsoak_program, unsafe(no_mangle))]
pub unsafe extern "C" fn dlsoak_gconv(handle: *mut c_void) -> c_int {
    let Some(convert) = find(handle, c"gconv") else { return failed(CONVERT, 0) };
    // SAFETY: it is the interface's function, of this prototype.
    let convert = unsafe { core::mem::transmute::<*mut c_void, Convert>(convert) };
    // SAFETY: as above; both may be missing, and null is `None`.
    let (init, end) = unsafe {
        (
            core::mem::transmute::<*mut c_void, Option<Init>>(
                find(handle, c"gconv_init").unwrap_or(null_mut()),
            ),
            core::mem::transmute::<*mut c_void, Option<End>>(
                find(handle, c"gconv_end").unwrap_or(null_mut()),
            ),
        )
    };
    // For each instance, what it converts and what becomes of it. The next pair is most often the way back, and converts that.
    let Some(room) = Zeros::new(instances() * (ROOM + ROOM)) else { return failed(CONVERT, 0) };
    let mut made = [0_usize; MOST_INSTANCES];
    let mut words = detail().to_bytes().split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let mut before = (&b""[..], &b""[..]);
    let mut number = 0;
    while let (Some(from), Some(to)) = (words.next(), words.next()) {
        if before != (to, from) {
            made = [0; MOST_INSTANCES];
        }
        // SAFETY: the plugin is open, and the room is for as many instances.
        if let Err(step) = unsafe { live((convert, init, end), (from, to), room.at.cast(), &mut made) } {
            return failed(step, number);
        }
        before = (from, to);
        number += 1;
    }
    0
}

/// A name that ends in NUL.
fn name(of: &[u8]) -> Option<[u8; NAME]> {
    let mut name = [0; NAME];
    name.get_mut(..of.len()).filter(|_| of.len() < NAME)?.copy_from_slice(of);
    Some(name)
}

/// One conversion: the step, which all instances have in common as in glibc, and the life of each.
unsafe fn live(
    (convert, init, end): (Convert, Option<Init>, Option<End>),
    (from, to): (&[u8], &[u8]),
    room: *mut u8,
    made: &mut [usize; MOST_INSTANCES],
) -> Result<(), u16> {
    let (from_name, to_name) = (name(from).ok_or(INIT)?, name(to).ok_or(INIT)?);
    let mut step = Step {
        shlib_handle: null_mut(),
        modname: null(),
        counter: 1,
        from_name: from_name.as_ptr().cast(),
        to_name: to_name.as_ptr().cast(),
        fct: Some(convert),
        btowc_fct: null(),
        init_fct: init,
        end_fct: end,
        min_needed_from: 1,
        max_needed_from: 1,
        min_needed_to: 1,
        max_needed_to: 1,
        stateful: 0,
        data: null_mut(),
    };
    // SAFETY: the step has all fields that glibc sets before.
    if init.is_some_and(|init| unsafe { gconv_step_init(init, &raw mut step) } != OK) {
        return Err(INIT);
    }
    let mut result = Ok(());
    for (instance, made) in made.iter_mut().enumerate().take(instances()) {
        // SAFETY: there is as much room for each instance.
        let at = unsafe { room.add(instance * 2 * ROOM) };
        // SAFETY: the step is initialised.
        match unsafe { convert_all(convert, &mut step, from == b"INTERNAL", at, *made) } {
            Ok(bytes) => *made = bytes,
            Err(failed) => {
                result = Err(failed);
                break;
            }
        }
    }
    if let Some(end) = end {
        // SAFETY: the step was initialised, and no instance uses it any more.
        unsafe { gconv_step_end(end, &raw mut step) };
    }
    result
}

/// Converts the text, with as many calls as it has characters that the character set has not, and flushes. Returns the bytes that were made,
/// which are where the next conversion reads.
unsafe fn convert_all(
    convert: Convert,
    step: &mut Step,
    is_internal: bool,
    at: *mut u8,
    made: usize,
) -> Result<usize, u16> {
    let mut bytes = made.min(BYTES);
    if is_internal || bytes == 0 {
        bytes = BYTES;
        for index in 0..BYTES / 4 {
            let character = SAMPLE[index % SAMPLE.len()].to_ne_bytes();
            for (place, byte) in character.iter().enumerate() {
                // SAFETY: it is within the room. Where the characters are not to be 32 bits wide, they are digits of ASCII.
                unsafe {
                    at.add(index * 4 + place).write(if is_internal { *byte } else { b'0' + place as u8 });
                }
            }
        }
    }
    let mut data = Data {
        outbuf: null_mut(),
        outbufend: null_mut(),
        flags: IS_LAST,
        invocation_counter: 0,
        internal_use: 0,
        statep: null_mut(),
        state: 0,
    };
    let data = &raw mut data;
    // SAFETY: both halves of the room are this instance's; the module moves the pointers only within them.
    unsafe {
        let out = at.add(ROOM);
        (*data).outbuf = out;
        (*data).outbufend = out.add(ROOM);
        (*data).statep = &raw mut (*data).state;
        let (mut from, to) = (at.cast_const(), at.add(bytes).cast_const());
        // An illegal character is passed over, as a user of iconv does. Every turn is a character further.
        while from < to {
            match gconv_convert(convert, step, data, &raw mut from, to) {
                OK | EMPTY_INPUT | INCOMPLETE_INPUT => break,
                ILLEGAL_INPUT => {
                    let left = to.offset_from(from) as usize;
                    from = from.add(left.min(if is_internal { 4 } else { 1 }));
                }
                _ => return Err(CONVERT),
            }
        }
        if ![OK, EMPTY_INPUT].contains(&gconv_flush(convert, step, data)) {
            return Err(FLUSH);
        }
        let made = (*data).outbuf.offset_from(out).clamp(0, ROOM as isize) as usize;
        core::ptr::copy_nonoverlapping(out, at, made);
        Ok(made)
    }
}

step!(gconv_step_init(init: Init, step: *mut Step) -> c_int { init(step) });
step!(gconv_convert(convert: Convert, step: *mut Step, data: *mut Data, from: *mut *const u8, to: *const u8) -> c_int {
    let mut irreversible = 0;
    convert(step, data, from, to, null_mut(), &raw mut irreversible, 0, 0)
});
step!(gconv_flush(convert: Convert, step: *mut Step, data: *mut Data) -> c_int {
    let mut irreversible = 0;
    convert(step, data, null_mut(), null(), null_mut(), &raw mut irreversible, 1, 0)
});
step!(gconv_step_end(end: End, step: *mut Step) { end(step) });

const _: () = assert!(size_of::<Step>() == 104 && size_of::<Data>() == 48, "as in gconv.h");
