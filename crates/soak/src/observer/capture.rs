//! What a process that stands still looked like: its mappings, and of each thread where it was and what it waited
//! for. Addresses only; names are looked up later, when the process need not wait for them.

use std::path::Path;

use super::memory::{self, Mapping, Memory};
use super::unwind::{Unwinder, extent};
use super::waits::Call;
use crate::sys::ptrace::{self, Registers};

pub use super::memory::Backing;

/// A look at a standing process.
#[derive(Debug, Clone, Default)]
pub struct Capture {
    /// All mappings, by address.
    pub mappings: Vec<Mapping>,
    /// The threads that were looked at; the one it is about comes first.
    pub threads: Vec<Thread>,
    /// Threads that there were.
    pub count: usize,
    /// Number of the process, as it has it itself: in a namespace of processes another one than outside.
    pub process: i32,
}

/// One thread.
#[derive(Debug, Clone, Default)]
pub struct Thread {
    /// Its number, as the kernel has it.
    pub id: i32,
    /// Its number, as the process itself has it: in a namespace of processes another one.
    pub inner: i32,
    /// Its name.
    pub name: String,
    /// Its registers; `None` where it did not stop in time.
    pub registers: Option<Registers>,
    /// Addresses inside the instructions under way, innermost first.
    pub frames: Vec<u64>,
    /// True where there were more.
    pub more: bool,
    /// The system call it is in; `None` where it runs.
    pub call: Option<Call>,
    /// Whether it runs a signal handler.
    pub in_handler: bool,
    /// The words of its `struct pthread`, where the function is noted that it was started with; of the thread that a capture is about.
    pub descriptor: Vec<u64>,
}

/// A place in an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place<'a> {
    /// What is mapped there.
    pub mapping: &'a Mapping,
    /// Bytes from the beginning of the file.
    pub in_file: u64,
    /// Bytes from where the object begins in memory.
    pub in_object: u64,
}

impl Capture {
    /// Looks at threads that stand. Those of `running` do not, and only their names are told.
    pub(super) fn take(process: i32, standing: &[i32], running: &[i32], calls: Vec<(i32, Call)>) -> Self {
        let mappings = memory::mappings(process);
        let mut threads = Vec::with_capacity(standing.len() + running.len());
        if let Ok(memory) = Memory::of(process) {
            let mut unwinder = Unwinder::new(&memory, &mappings);
            for id in standing {
                let registers = ptrace::registers(*id).ok();
                let mut thread = Thread { registers, ..Thread::named(process, *id) };
                if let Some(registers) = &registers {
                    (thread.frames, thread.more) = unwinder.frames(registers);
                    thread.in_handler = thread.frames.iter().skip(1).any(|at| memory.is_trampoline(at + 1));
                    if threads.is_empty() {
                        thread.descriptor = memory.descriptor(registers.thread_pointer);
                    }
                }
                threads.push(thread);
            }
        }
        threads.extend(running.iter().map(|id| Thread::named(process, *id)));
        for (id, call) in calls {
            if let Some(thread) = threads.iter_mut().find(|thread| thread.id == id) {
                thread.call = Some(call);
            }
        }
        let count = threads.len();
        let process = inner(process, process, "NStgid:");
        Self { mappings, threads, count, process }
    }

    /// The mapping at an address.
    pub fn mapping(&self, address: u64) -> Option<&Mapping> {
        self.mappings.iter().find(|mapping| mapping.contains(address))
    }

    /// The place in an object that is mapped at an address.
    pub fn place(&self, address: u64) -> Option<Place<'_>> {
        let mapping = self.mapping(address)?;
        let (start, _) = extent(&self.mappings, address)?;
        let in_file = address - mapping.start + mapping.offset;
        Some(Place { mapping, in_file, in_object: address - start })
    }

    /// The file that is mapped at an address.
    pub fn file(&self, address: u64) -> Option<&Path> {
        match &self.mapping(address)?.of {
            Backing::File(path) => Some(path),
            Backing::Vdso | Backing::Stack | Backing::Other => None,
        }
    }

    /// The thread of this number.
    pub fn thread(&self, id: i32) -> Option<&Thread> {
        self.threads.iter().find(|thread| thread.id == id)
    }
}

/// A number as the innermost namespace has it, from `/proc/PID/task/TID/status`.
fn inner(process: i32, thread: i32, line: &str) -> i32 {
    let status = std::fs::read_to_string(format!("/proc/{process}/task/{thread}/status")).unwrap_or_default();
    let numbers = status.lines().find_map(|text| text.strip_prefix(line));
    numbers.and_then(|numbers| numbers.split_whitespace().last()?.parse().ok()).unwrap_or(thread)
}

impl Thread {
    fn named(process: i32, id: i32) -> Self {
        let name = std::fs::read_to_string(format!("/proc/{process}/task/{id}/comm")).unwrap_or_default();
        Self {
            id,
            inner: inner(process, id, "NSpid:"),
            name: name.trim_end_matches('\n').to_owned(),
            ..Self::default()
        }
    }
}
