//! Short texts that are put together and read without an allocator: paths and numbers, and the directories of `/proc` whose entries
//! are numbers.

use core::ffi::{CStr, c_int};

use crate::c;

/// Longest text. The longest path is `/proc/PID/task/TID/children`.
const LONGEST: usize = 64;
/// Digits of the largest number.
const DIGITS: usize = 10;

/// A text, cut where it would be longer than it may.
pub(crate) struct Text {
    /// Always ends in NUL.
    bytes: [u8; LONGEST],
    len: usize,
}

impl Text {
    pub(crate) const EMPTY: Self = Self { bytes: [0; LONGEST], len: 0 };

    /// This, and then `more`.
    #[must_use]
    #[inline(never)]
    pub(crate) fn with(mut self, more: &[u8]) -> Self {
        for byte in more {
            if self.len == LONGEST - 1 {
                break;
            }
            self.bytes[self.len] = *byte;
            self.len += 1;
        }
        self
    }

    /// This, and then a number that is not negative, in decimal.
    #[must_use]
    pub(crate) fn with_number(self, number: c_int) -> Self {
        let mut digits = [b'0'; DIGITS];
        let mut left = number.max(0).unsigned_abs();
        let mut first = DIGITS - 1;
        for (index, digit) in digits.iter_mut().enumerate().rev() {
            *digit = b'0' + (left % 10) as u8;
            left /= 10;
            first = index;
            if left == 0 {
                break;
            }
        }
        self.with(digits.get(first..).unwrap_or_default())
    }

    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }
}

/// The number that a text is, in decimal and without a sign.
#[inline(never)]
pub(crate) fn number(text: &[u8]) -> Option<c_int> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0, |number: c_int, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(c_int::from(digit))
    })
}

/// Calls for each entry of a directory that is a number.
pub(crate) fn each_number_in(directory: &CStr, mut each: impl FnMut(c_int)) {
    // SAFETY: the path ends in NUL. The entries are valid until the next one is read, and their names end in NUL; an entry may be
    // shorter than its structure, so there is no reference to it.
    unsafe {
        let directory = c::opendir(directory.as_ptr());
        if directory.is_null() {
            return;
        }
        loop {
            let entry = c::readdir(directory);
            if entry.is_null() {
                break;
            }
            if let Some(number) = number(CStr::from_ptr((&raw const (*entry).name).cast()).to_bytes()) {
                each(number);
            }
        }
        c::closedir(directory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_and_read() {
        for value in [0, 7, 10, 4_194_304, c_int::MAX] {
            let text = Text::EMPTY.with_number(value);
            assert_eq!(text.as_c_str().to_str().unwrap(), value.to_string());
            assert_eq!(number(text.as_c_str().to_bytes()), Some(value));
        }
        let path = Text::EMPTY.with(b"/proc/").with_number(12).with(b"/task");
        assert_eq!(path.as_c_str(), c"/proc/12/task");
        for text in ["", "-1", "1a", "2147483648", "self"] {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Text::EMPTY.with(&[b'a'; 2 * LONGEST]).as_c_str().count_bytes(), LONGEST - 1);
    }
}
