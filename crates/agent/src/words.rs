//! The arguments that a program was started with.

use core::ffi::{CStr, c_char, c_int};

/// The arguments that are left.
#[derive(Clone)]
pub(crate) struct Words {
    next: *const *const c_char,
}

impl Words {
    /// Those behind the program's name.
    ///
    /// # Safety
    /// They are those of `main`: the list ends with null, each ends in NUL, and they live as long as the process.
    pub(crate) unsafe fn new(arguments: *const *const c_char) -> Self {
        // SAFETY: the list has an end, which is not passed.
        unsafe { Self { next: arguments.add(usize::from(!(*arguments).is_null())) } }
    }

    /// The next one as the number of a descriptor that is no standard stream.
    pub(crate) fn descriptor(&mut self) -> Option<c_int> {
        self.next()?.to_str().ok()?.parse().ok().filter(|fd| *fd > 2)
    }
}

impl Iterator for Words {
    type Item = &'static CStr;

    fn next(&mut self) -> Option<&'static CStr> {
        // SAFETY: `new` was promised a list of such texts, and its end is not passed.
        unsafe {
            if (*self.next).is_null() {
                return None;
            }
            let word = CStr::from_ptr(*self.next);
            self.next = self.next.add(1);
            Some(word)
        }
    }
}
