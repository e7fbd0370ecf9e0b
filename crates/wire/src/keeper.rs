//! What a supervisor and a keeper say to each other on their line. The supervisor sends [`Orders`] once, and the variables of the
//! host's environment after them, each ended by a NUL byte. The keeper answers with [`Message`]s. The supervisor says nothing more:
//! when it closes its end of the line, or dies, the keeper ends the host and all that the host started.
//!
//! ```text
//! Orders::WORDS words | variables
//! ```

use core::ffi::CStr;

/// Largest environment in bytes. The kernel accepts a few MiB; the stack limit decides (`execve(2)`).
const LONGEST: u64 = 64 << 20;
/// Stands for no limit on files: no file can be larger.
const NO_LIMIT: u64 = u64::MAX;

/// How to start a host. The whole environment of the host travels with them; the keeper adds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orders {
    /// Bytes of the variables.
    pub len: u64,
    /// Number of the variables.
    pub variables: u64,
    /// Bytes that any one file may have which the host writes, or what it starts (`RLIMIT_FSIZE`).
    pub file_bytes: Option<u64>,
}

impl Orders {
    /// Words of orders without the variables.
    pub const WORDS: usize = 3;
    /// Bytes of these words.
    pub const BYTES: usize = Self::WORDS * 8;

    /// As they travel; `None` for an environment that is too large.
    #[must_use]
    pub fn to_words(&self) -> Option<[u64; Self::WORDS]> {
        let words = [self.len, self.variables, self.file_bytes.unwrap_or(NO_LIMIT)];
        Self::from_words(&words).map(|_| words)
    }

    /// What has travelled; `None` where these are no orders.
    #[must_use]
    pub fn from_words(words: &[u64]) -> Option<Self> {
        let [len, variables, file_bytes] = *words.first_chunk::<{ Self::WORDS }>()?;
        // A variable has at least its NUL.
        (variables <= len && len <= LONGEST).then_some(Self {
            len,
            variables,
            file_bytes: Some(file_bytes).filter(|bytes| *bytes != NO_LIMIT),
        })
    }

    /// The words as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Option<[u8; Self::BYTES]> {
        let mut bytes = [0; Self::BYTES];
        for (to, word) in bytes.chunks_exact_mut(8).zip(self.to_words()?) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        Some(bytes)
    }

    /// Orders from their words as bytes; `None` where these are no orders.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let mut words = [0; Self::WORDS];
        for (word, from) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_ne_bytes(*from.first_chunk()?);
        }
        Self::from_words(&words)
    }

    /// The variables in the bytes that travelled after the words, at most as many as there are to be.
    pub fn split<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = &'a CStr> + use<'a> {
        let most = usize::try_from(self.variables).unwrap_or(usize::MAX);
        let variables = bytes.split_inclusive(|byte| *byte == 0);
        variables.filter_map(|variable| CStr::from_bytes_with_nul(variable).ok()).take(most)
    }
}

/// What a keeper tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// The host runs; its process ID.
    Started(i32),
    /// It could not be started; the error number.
    Refused(i32),
    /// It has ended; its raw wait status, as `waitpid(2)` gives it.
    Ended(i32),
    /// All is ended; how many processes besides the host were still running.
    Others(i32),
}

impl Message {
    /// Bytes of a message.
    pub const LEN: usize = 8;

    /// As it travels.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let (what, value) = match self {
            Self::Started(value) => (1, value),
            Self::Refused(value) => (2, value),
            Self::Ended(value) => (3, value),
            Self::Others(value) => (4, value),
        };
        let both = u64::from(value.cast_unsigned()) << 32 | what;
        both.to_ne_bytes()
    }

    /// What has travelled; `None` for what no keeper says.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Option<Self> {
        let both = u64::from_ne_bytes(bytes);
        let value = ((both >> 32) as u32).cast_signed();
        match both & u64::from(u32::MAX) {
            1 => Some(Self::Started(value)),
            2 => Some(Self::Refused(value)),
            3 => Some(Self::Ended(value)),
            4 => Some(Self::Others(value)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        for message in
            [Message::Started(77), Message::Refused(-1), Message::Ended(i32::MIN), Message::Others(0)]
        {
            assert_eq!(Message::from_bytes(message.to_bytes()), Some(message));
        }
        assert_eq!(Message::from_bytes([0; 8]), None);
        for file_bytes in [None, Some(0), Some(7)] {
            let orders = Orders { len: 9, variables: 2, file_bytes };
            assert_eq!(Orders::from_bytes(&orders.to_bytes().unwrap()), Some(orders));
        }
        assert_eq!(Orders { len: 1, variables: 2, file_bytes: None }.to_words(), None);
        assert_eq!(Orders { len: LONGEST + 1, variables: 2, file_bytes: None }.to_words(), None);
        assert_eq!(Orders::from_words(&[0; 2]), None);
    }

    #[test]
    fn variables_are_split_at_their_ends() {
        let orders = |variables| Orders { len: 9, variables, file_bytes: None };
        assert!(orders(3).split(b"A=b\nc\0\0B=\0").eq([c"A=b\nc", c"", c"B="]));
        assert!(orders(1).split(b"A=\0B=\0").eq([c"A="]));
        assert!(orders(2).split(b"A=\0B=").eq([c"A="]), "without its end it is none");
    }
}
