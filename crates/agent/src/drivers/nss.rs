//! NSS modules, `nss.h` of glibc 2.36 (<https://www.gnu.org/software/libc/manual/html_node/NSS-Modules-Interface.html>): for each database that
//! the module has, a lookup of a name, and of a number where there is one, that misses.
//!
//! The host is the driver itself, because glibc keeps modules open. No lookup leaves the machine: the name of a host has a label of 64
//! letters, which DNS doesn't allow and which its resolver rejects before it asks.
//!
//! The detail is the service's name, as in `_nss_NAME_getpwnam_r`. The supervisor makes it from the file's exports: of a symbol that begins
//! with `_nss_` and ends with the name of one of the functions below, what is between. Without it, the driver has nothing to do.

use core::ffi::{CStr, c_char, c_int, c_void};

use dlsoak_wire::interface::failed;

use super::{Zeros, detail, find};

/// A name that nothing has, and one that no host can have.
const MISSING: &CStr = c"dlsoak-missing";
const NO_HOST: &CStr = c"dlsoak-missing-dlsoak-missing-dlsoak-missing-dlsoak-missing-dlso.invalid";
/// A number that nothing has: of a user or group, or, below 65,536, of the rest.
const NUMBER: c_int = 0x7fff_1d1d;
const SMALL: c_int = 0xfd1d;
const AF_INET: c_int = 2;
/// Bytes for a result's structure, and for its texts.
const RESULT: usize = 256;
const TEXTS: usize = 16 * 1024;

/// What arguments a function has before the result.
#[derive(Clone, Copy)]
#[repr(C)]
enum Kind {
    Name,
    Number(c_int),
    NameAndText,
    NumberAndText(c_int),
    /// The last has a second error, as those of networks and hosts.
    Network,
    Host,
}

/// Each function: the step of its database, how its name ends, and what it takes.
const FUNCTIONS: [(u16, &CStr, Kind); 14] = [
    (1, c"_getpwnam_r", Kind::Name),
    (1, c"_getpwuid_r", Kind::Number(NUMBER)),
    (2, c"_getgrnam_r", Kind::Name),
    (2, c"_getgrgid_r", Kind::Number(NUMBER)),
    (3, c"_getspnam_r", Kind::Name),
    (4, c"_gethostbyname2_r", Kind::Host),
    (5, c"_getservbyname_r", Kind::NameAndText),
    (5, c"_getservbyport_r", Kind::NumberAndText(SMALL)),
    (6, c"_getprotobyname_r", Kind::Name),
    (6, c"_getprotobynumber_r", Kind::Number(SMALL)),
    (7, c"_getnetbyname_r", Kind::Network),
    (8, c"_getrpcbyname_r", Kind::Name),
    (8, c"_getrpcbynumber_r", Kind::Number(NUMBER)),
    (9, c"_gethostton_r", Kind::Name),
];

type Text = *const c_char;
type Any = *mut c_void;
type Error = *mut c_int;

/// Where a function puts its answer.
#[derive(Clone, Copy)]
#[repr(C)]
struct Answer {
    result: Any,
    texts: Any,
    error: Error,
    host_error: Error,
}

/// One cycle of a module that is open.
///
/// # Safety
/// The handle is that of an NSS module.
#[cfg_attr(dlsoak_program, unsafe(no_mangle))]
pub unsafe extern "C" fn dlsoak_nss(handle: *mut c_void) -> c_int {
    let (Some(result), Some(texts)) = (Zeros::new(RESULT), Zeros::new(TEXTS)) else { return failed(1, 0) };
    for (number, (step, end, kind)) in FUNCTIONS.into_iter().enumerate() {
        let Some(function) = function(handle, end) else { continue };
        let (mut error, mut host_error) = (0, 0);
        let answer = Answer {
            result: result.at,
            texts: texts.at,
            error: &raw mut error,
            host_error: &raw mut host_error,
        };
        // SAFETY: the function has the kind's prototype, and the answer has room.
        let status = unsafe { nss_lookup(function, kind, answer) };
        // `NSS_STATUS_TRYAGAIN` to `NSS_STATUS_RETURN`. That a service is unavailable is right, and so is an answer.
        if !(-2..=2).contains(&status) {
            return failed(step, number);
        }
    }
    0
}

/// The module's function whose name ends so.
fn function(handle: *mut c_void, end: &CStr) -> Option<*mut c_void> {
    let mut name = [0_u8; 128];
    let parts = [&b"_nss_"[..], detail().to_bytes(), end.to_bytes()];
    let mut to = name.iter_mut();
    for byte in parts.into_iter().flatten() {
        *to.next()? = *byte;
    }
    // The end's own place.
    to.next()?;
    find(handle, CStr::from_bytes_until_nul(&name).ok()?)
}

step!(nss_lookup(function: Any, kind: Kind, answer: Answer) -> c_int {
    use core::mem::transmute;
    let Answer { result, texts, error, host_error } = answer;
    match kind {
        Kind::Name => transmute::<Any, unsafe extern "C" fn(Text, Any, Any, usize, Error) -> c_int>(function)(
            MISSING.as_ptr(), result, texts, TEXTS, error,
        ),
        Kind::Number(number) => transmute::<Any, unsafe extern "C" fn(c_int, Any, Any, usize, Error) -> c_int>(function)(
            number, result, texts, TEXTS, error,
        ),
        Kind::NameAndText => transmute::<Any, unsafe extern "C" fn(Text, Text, Any, Any, usize, Error) -> c_int>(function)(
            MISSING.as_ptr(), c"tcp".as_ptr(), result, texts, TEXTS, error,
        ),
        Kind::NumberAndText(number) => transmute::<Any, unsafe extern "C" fn(c_int, Text, Any, Any, usize, Error) -> c_int>(function)(
            number, c"tcp".as_ptr(), result, texts, TEXTS, error,
        ),
        Kind::Network => transmute::<Any, unsafe extern "C" fn(Text, Any, Any, usize, Error, Error) -> c_int>(function)(
            NO_HOST.as_ptr(), result, texts, TEXTS, error, host_error,
        ),
        Kind::Host => transmute::<Any, unsafe extern "C" fn(Text, c_int, Any, Any, usize, Error, Error) -> c_int>(function)(
            NO_HOST.as_ptr(), AF_INET, result, texts, TEXTS, error, host_error,
        ),
    }
});
