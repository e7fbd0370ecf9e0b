//! What a worker is told to do, as it travels through the channel.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::record::{CallFrom, Mode};
use crate::suite::call::Call;
use crate::suite::chaos::ChaosKind;
use crate::suite::plan::SoakPlan;

/// A worker's orders.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// The file each thread opens; paths as bytes, since they need not be UTF-8. In mode `copies` the file is not
    /// there: each cycle puts a number before its name and makes the copy.
    paths: Vec<Vec<u8>>,
    /// The library itself, to make copies of.
    original: Vec<u8>,
    /// What a cycle opens.
    pub mode: Mode,
    /// Which thread a cycle runs on.
    pub call_from: CallFrom,
    /// Flags for `dlopen`.
    pub flags: i32,
    /// The calls of one cycle.
    pub calls: Vec<Call>,
    /// The caller's own code for one cycle.
    pub exercise: Option<Exercise>,
    /// Signals that will be sent to the worker.
    pub signals: Vec<i32>,
    /// Directories that can be written; only where the worker is to be kept from writing anything else.
    sandbox: Option<Vec<Vec<u8>>>,
    /// Whether notes are taken of what it obtains.
    pub trace: bool,
}

/// A function `int fn(void *handle)` of a driver library.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Exercise {
    driver: Vec<u8>,
    /// Name of the function.
    pub symbol: String,
}

impl Job {
    /// The job that a plan makes, for one thread per path.
    pub fn new(plan: &SoakPlan, paths: &[PathBuf]) -> Self {
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
        Self {
            paths: paths.iter().map(|path| bytes(path)).collect(),
            original: bytes(&plan.path),
            mode: plan.mode,
            call_from: plan.call_from,
            flags: plan.flags.bits(),
            calls: plan.calls.clone(),
            exercise: plan.exercise.as_ref().map(|e| Exercise::new(&e.driver, &e.symbol)),
            signals: plan
                .chaos
                .iter()
                .filter_map(|chaos| match chaos.kind {
                    ChaosKind::Signal(signal) => Some(signal as i32),
                    ChaosKind::Stop | ChaosKind::MemoryPressure | ChaosKind::ColdCache => None,
                })
                .collect(),
            sandbox: None,
            trace: false,
        }
    }

    /// Keeps the worker from writing anywhere but in these directories.
    pub fn confine(&mut self, writable: &[PathBuf]) {
        self.sandbox = Some(writable.iter().map(|path| path.as_os_str().as_bytes().to_vec()).collect());
    }

    /// The directories of [`Self::confine`], where that was said.
    pub(super) fn confined(&self) -> Option<Vec<PathBuf>> {
        let path = |bytes: &Vec<u8>| PathBuf::from(OsString::from_vec(bytes.clone()));
        Some(self.sandbox.as_ref()?.iter().map(path).collect())
    }

    /// The library itself.
    pub fn original(&self) -> PathBuf {
        PathBuf::from(OsString::from_vec(self.original.clone()))
    }

    /// The file that `thread` opens.
    pub fn path(&self, thread: usize) -> Option<&[u8]> {
        self.paths.get(thread).map(Vec::as_slice)
    }

    /// The files that threads open, each once.
    ///
    /// # Errors
    /// When a path has a NUL byte in it.
    pub(super) fn files(&self) -> Result<Vec<CString>, String> {
        let mut paths: Vec<_> = self.paths.iter().map(Vec::as_slice).collect();
        paths.dedup();
        paths
            .into_iter()
            .map(|path| CString::new(path).map_err(|_| "a path with a NUL byte".to_owned()))
            .collect()
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
