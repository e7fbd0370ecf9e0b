//! What a worker is told to do, as it travels through the channel.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::suite::call::Call;

/// A worker's orders.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// The file each thread opens; paths as bytes, since they need not be UTF-8.
    paths: Vec<Vec<u8>>,
    /// Flags for `dlopen`.
    pub flags: i32,
    /// The calls of one cycle.
    pub calls: Vec<Call>,
    /// The caller's own code for one cycle.
    pub exercise: Option<Exercise>,
}

/// A function `int fn(void *handle)` of a driver library.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Exercise {
    driver: Vec<u8>,
    /// Name of the function.
    pub symbol: String,
}

impl Job {
    /// A job for one thread per path.
    pub fn new(paths: &[PathBuf], flags: i32, calls: Vec<Call>, exercise: Option<Exercise>) -> Self {
        let paths = paths.iter().map(|p| p.as_os_str().as_bytes().to_vec()).collect();
        Self { paths, flags, calls, exercise }
    }

    /// The file that `thread` opens.
    pub fn path(&self, thread: usize) -> Option<&[u8]> {
        self.paths.get(thread).map(Vec::as_slice)
    }
}

impl Exercise {
    /// The function `symbol` of the library at `driver`.
    pub fn new(driver: &Path, symbol: &str) -> Self {
        Self { driver: driver.as_os_str().as_bytes().to_vec(), symbol: symbol.to_owned() }
    }

    /// Path of the driver library.
    pub fn driver(&self) -> PathBuf {
        PathBuf::from(OsString::from_vec(self.driver.clone()))
    }
}
