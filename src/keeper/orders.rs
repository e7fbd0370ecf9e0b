//! What supervisor and keeper say to each other: the orders once, as text with its length, and then the keeper's
//! messages of eight bytes each.

use std::collections::BTreeMap;
use std::io::{Error, Read, Write};

use serde::{Deserialize, Serialize};

/// Environment variable of a worker and all it starts, by which they are found when their keeper is gone.
pub const MARK: &str = "DLSOAK_KEPT";

/// Longest orders in bytes: an environment is at most a few MiB.
const LONGEST: u32 = 64 << 20;

/// How to start a worker.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Orders {
    /// Environment variables besides those inherited.
    pub env: BTreeMap<String, String>,
    /// Value of [`MARK`] for this worker.
    pub mark: String,
}

impl Orders {
    /// Sends these.
    ///
    /// # Errors
    /// When the keeper is gone.
    pub fn send(&self, to: &mut impl Write) -> std::io::Result<()> {
        let text = serde_json::to_vec(self)?;
        let length = u32::try_from(text.len()).map_err(|_| Error::other("the environment is too large"))?;
        to.write_all(&length.to_ne_bytes())?;
        to.write_all(&text)
    }

    /// Receives what was sent.
    ///
    /// # Errors
    /// When the supervisor is gone, or sends something else.
    pub fn receive(from: &mut impl Read) -> std::io::Result<Self> {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let length = u32::from_ne_bytes(length).min(LONGEST);
        let mut text = vec![0; length as usize];
        from.read_exact(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }
}

/// What a keeper tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// The worker runs; its process ID.
    Started(i32),
    /// It could not be started; the error number.
    Refused(i32),
    /// It has ended; its raw wait status, as `waitpid(2)` gives it.
    Ended(i32),
    /// All is ended; how many processes besides the worker were still there.
    Others(i32),
}

impl Message {
    /// Bytes of a message.
    pub const LEN: usize = 8;

    /// As it travels.
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
        let orders = Orders { env: [("A".to_owned(), "b\nc".to_owned())].into(), mark: "m".to_owned() };
        let mut line = Vec::new();
        orders.send(&mut line).unwrap();
        let heard = Orders::receive(&mut line.as_slice()).unwrap();
        assert_eq!((heard.env, heard.mark), (orders.env, orders.mark));
        assert!(Orders::receive(&mut &line[..9]).is_err());
    }
}
