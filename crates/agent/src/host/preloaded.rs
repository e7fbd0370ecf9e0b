//! What the host links: libraries that the loader has before `main`, as it has those of any program's own `DT_NEEDED`. The supervisor has
//! the loader preload them. That is nobody's business but the loader's, so it is taken out of the environment before any constructor
//! runs: neither those nor a child process sees it, and what the user wanted preloaded stays.

use core::ffi::{CStr, c_char, c_int};

use dlsoak_wire::job::{OWN_PRELOAD, PRELOAD};

/// Called by glibc's loader before the first constructor of any library. That of musl passes over it.
#[cfg(all(dlsoak_program = "host", not(dlsoak_musl)))]
#[used]
#[unsafe(link_section = ".preinit_array")]
static BEFORE_CONSTRUCTORS: unsafe extern "C" fn(c_int, *const *const c_char, *mut *const c_char) = restore;

/// Puts the environment in order, in its place: what the user wants preloaded takes the place of all that is, where the supervisor has
/// written it down.
///
/// # Safety
/// The last argument is the environment of the process: pointers to texts that end in NUL, and null behind the last. Nobody else uses it
/// meanwhile.
pub(super) unsafe extern "C" fn restore(
    _count: c_int,
    _arguments: *const *const c_char,
    environment: *mut *const c_char,
) {
    // SAFETY: the caller's contract; `to` never passes `from`, which stops at null.
    unsafe {
        let mut from = environment.cast_const();
        let mut is_ours = false;
        while !(*from).is_null() {
            is_ours |= value_of(OWN_PRELOAD, *from).is_some();
            from = from.add(1);
        }
        if !is_ours {
            return;
        }
        let (mut from, mut to) = (environment.cast_const(), environment);
        while !(*from).is_null() {
            let kept = match value_of(OWN_PRELOAD, *from) {
                // Its end is the variable itself.
                Some(own) => (*own != 0).then(|| (*from).add(OWN_PRELOAD.len() - PRELOAD.len())),
                None => value_of(PRELOAD, *from).is_none().then_some(*from),
            };
            if let Some(kept) = kept {
                *to = kept;
                to = to.add(1);
            }
            from = from.add(1);
        }
        *to = core::ptr::null();
    }
}

/// The value of a variable of this name; `None` for another variable.
///
/// # Safety
/// The text ends in NUL.
unsafe fn value_of(name: &str, variable: *const c_char) -> Option<*const c_char> {
    // SAFETY: the caller's contract; the value lies within the text.
    unsafe {
        let text = CStr::from_ptr(variable).to_bytes();
        let rest = text.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(rest.as_ptr().cast())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restored(variables: &[&CStr]) -> Vec<String> {
        let mut environment: Vec<*const c_char> =
            variables.iter().map(|text| text.as_ptr()).chain([core::ptr::null()]).collect();
        // SAFETY: it is such a list, and ends with null before and after.
        unsafe {
            restore(0, core::ptr::null(), environment.as_mut_ptr());
            let texts = environment.iter().take_while(|text| !text.is_null());
            texts.map(|text| CStr::from_ptr(*text).to_str().unwrap().to_owned()).collect()
        }
    }

    #[test]
    fn what_the_user_wants_preloaded_takes_the_place_of_what_the_host_links() {
        assert_eq!(
            restored(&[c"A=1", c"LD_PRELOAD=u.so:/l.so", c"DLSOAK_LD_PRELOAD=u.so", c"B=2"]),
            ["A=1", "LD_PRELOAD=u.so", "B=2"]
        );
        assert_eq!(restored(&[c"DLSOAK_LD_PRELOAD=", c"LD_PRELOAD=/l.so", c"B=2"]), ["B=2"]);
        // Where the host links nothing, all is the user's.
        assert_eq!(restored(&[c"LD_PRELOAD=u.so", c"LD_PRELOADS="]), ["LD_PRELOAD=u.so", "LD_PRELOADS="]);
        assert_eq!(restored(&[]), [""; 0]);
    }
}
