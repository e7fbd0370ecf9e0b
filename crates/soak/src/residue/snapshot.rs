//! The state of a process at one quiet point, as plain data, so that two of them can be compared without a process.

use std::collections::BTreeMap;

/// The state of a process, besides its memory in bytes. What could not be read is `None` or empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Measured cycles completed.
    pub cycle: u64,
    /// Everything mapped, in order of address.
    pub mappings: Vec<Mapping>,
    /// The threads, in order of number.
    pub threads: Vec<Thread>,
    /// Open descriptors with what they point to.
    pub descriptors: BTreeMap<i32, String>,
    /// What each signal does, from signal 1 on.
    pub signals: Vec<Action>,
    /// Microseconds until `ITIMER_REAL`, `ITIMER_VIRTUAL`, `ITIMER_PROF` fire; 0: not armed.
    pub interval_timers: [u64; 3],
    /// Timers of `timer_create`.
    pub timers: Vec<Timer>,
    /// Thread-specific keys in use.
    pub keys_in_use: u32,
    /// Thread-specific keys that a process can have.
    pub keys_most: u32,
    /// Keys of the worker's own that somebody else has deleted: a bit for each, by its number.
    pub keys_deleted: u32,
    /// The environment.
    pub environment: Option<Environment>,
    /// What `setlocale(LC_ALL, NULL)` returns.
    pub locale: Option<String>,
    /// The working directory.
    pub cwd: Option<String>,
    /// The file mode creation mask.
    pub umask: Option<u32>,
    /// Resource limits by name, each with its soft and hard value.
    pub limits: BTreeMap<String, String>,
    /// Child processes, and processes of the same session that have lost their parent.
    pub children: Vec<Child>,
    /// SysV shared memory segments that this process has made: number and bytes.
    pub segments: BTreeMap<u64, u64>,
    /// Files in `/dev/shm` that belong to the same user, by name, with their inodes.
    pub shared_files: BTreeMap<String, u64>,
    /// `oom_score_adj`.
    pub oom_score: Option<i64>,
    /// All open stdio streams.
    pub streams: Option<Vec<Stream>>,
    /// Addresses of functions that `on_exit` will call, and how many there are.
    pub exit_handlers: (Vec<u64>, u64),
    /// Bytes that malloc has mapped one by one.
    pub malloc_mapped: u64,
}

/// One line of `/proc/PID/maps`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// First address after it.
    pub end: u64,
    /// Whether it can be written.
    pub write: bool,
    /// Whether it can be read.
    pub read: bool,
    /// Whether code may run in it.
    pub execute: bool,
    /// Whether others see what is written.
    pub shared: bool,
    /// Its file, or `[heap]` and the like; empty for anonymous memory.
    pub name: String,
}

impl Mapping {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether it has no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Private memory that no file backs, stacks of threads included.
    pub fn is_anonymous(&self) -> bool {
        !self.shared && (self.name.is_empty() || self.name.starts_with("[anon"))
    }

    /// Memory that is reserved and can't be used, as below a stack.
    pub fn is_guard(&self) -> bool {
        self.is_anonymous() && !self.read && !self.write && !self.execute
    }
}

/// One thread.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Thread {
    /// Its number.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Signals that it blocks, bit 0 being signal 1.
    pub blocked: Option<u64>,
    /// What only itself could tell; of the threads that run the library.
    pub own: Option<Own>,
    /// The system call it waits in, where it waits in one.
    pub waits: Option<Wait>,
}

/// State that a thread alone can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Own {
    /// MXCSR or FPCR, without the sticky flags.
    pub float_control: u32,
    /// x87 control word.
    pub x87_control: u32,
    /// Address of a locale of its own; 0: that of the process.
    pub locale: u64,
}

/// Where a thread waits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wait {
    /// Number of the system call.
    pub call: i64,
    /// Address of the instruction it returns to.
    pub at: u64,
    /// Words on its stack, from the innermost frame outwards.
    pub stack: Vec<u64>,
}

/// What a signal does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Action {
    /// Address of the handler; 0 is `SIG_DFL`, 1 is `SIG_IGN`.
    pub handler: u64,
    /// `SA_*` flags.
    pub flags: u64,
}

/// A timer of `timer_create`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timer {
    /// Its number.
    pub id: u64,
    /// The signal it sends.
    pub signal: usize,
    /// How it tells: `signal` or `none`, and whom.
    pub notify: String,
}

/// The environment as `getenv` would see it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Environment {
    /// The array itself lies in memory that is gone.
    pub array_gone: bool,
    /// Each `NAME=value` in order; `None` for one in memory that is gone.
    pub variables: Vec<Option<String>>,
}

/// A child process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Child {
    /// Its number.
    pub id: i32,
    /// Its name.
    pub name: String,
    /// It has ended, and nobody has waited for it.
    pub ended: bool,
}

/// A stdio stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stream {
    /// Address of the `FILE`.
    pub address: u64,
    /// `stdin`, `stdout`, `stderr`, or empty.
    pub name: &'static str,
    /// Its descriptor; `None` when the `FILE` itself lies in memory that is gone.
    pub descriptor: Option<i32>,
    /// Address of its buffer; 0 while it has none.
    pub buffer: u64,
}

impl Snapshot {
    /// The mapping that an address lies in.
    pub fn mapping_at(&self, address: u64) -> Option<&Mapping> {
        let after = self.mappings.partition_point(|mapping| mapping.start <= address);
        self.mappings[..after].last().filter(|mapping| address < mapping.end)
    }

    /// Whether code could run at an address.
    pub fn is_code(&self, address: u64) -> bool {
        self.mapping_at(address).is_some_and(|mapping| mapping.execute)
    }
}
