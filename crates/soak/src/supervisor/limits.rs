//! What a soak may use, and the look at what it does use: a fixed few small files each time, so that watching costs
//! the same whatever the library does.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::process::WorkerProcess;
use crate::record::{Excess, Limit, LimitName, LimitReached};
use crate::sampling::{self, Sampler};
use crate::suite::plan::SoakPlan;

/// How often memory, descriptors and threads are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often the few numbers are looked at that tell of a burst.
const GLANCE_EVERY: Duration = Duration::from_millis(20);
/// A look that takes long is not taken again before this many times as long: a tenth of the supervisor's time at most.
const REST: u32 = 10;
/// More tasks on the machine than at the last count of the worker's: processes are counted at once.
const BURST: u32 = 100;

/// Limits where nobody set one; `docs/limits.md` gives reasons.
const MOST_DESCRIPTORS: u64 = 1_000_000;
const MOST_TASKS: u64 = 10_000;
const MOST_PROCESSES: u64 = 2_000;
const MOST_OUTPUT: u64 = 4 << 30;

/// How much there may be of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Most {
    most: u64,
    /// By a person, and not by default.
    given: bool,
}

impl Most {
    fn or(given: Option<u64>, default: impl FnOnce() -> u64) -> Self {
        Self { most: given.unwrap_or_else(default), given: given.is_some() }
    }
}

/// What a soak may use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    timeout: Option<Duration>,
    memory: Most,
    fds: Most,
    /// Threads and processes together.
    tasks: Most,
    processes: Most,
    output: Most,
    /// Bytes of the library, which the worker makes copies of in one mode.
    library: u64,
}

impl Limits {
    /// The limits of a plan; what it leaves open follows from what the machine has free now.
    pub(super) fn of(plan: &SoakPlan) -> Self {
        let given = plan.allowance;
        // Those that run at the same time share it.
        let parts = 2 * (u64::from(plan.beside) + 1);
        let half = |free: Option<u64>| free.map_or(u64::MAX, |free| (free / parts).max(1));
        let tasks = Most::or(given.processes, || half(sampling::available_tasks()).min(MOST_TASKS));
        Self {
            timeout: given.timeout,
            memory: Most::or(given.memory, || half(sampling::available_memory())),
            fds: Most::or(given.fds, || half(sampling::available_descriptors()).min(MOST_DESCRIPTORS)),
            tasks,
            processes: Most::or(given.processes, || tasks.most.min(MOST_PROCESSES)),
            output: Most::or(given.output, || MOST_OUTPUT),
            library: plan.libraries().filter_map(|path| Some(path.metadata().ok()?.len())).max().unwrap_or(0),
        }
    }

    /// Bytes that any one file of the worker may have (`RLIMIT_FSIZE`).
    pub(super) fn file_bytes(&self) -> u64 {
        self.output.most.max(self.library)
    }

    /// The limits that a person set, and the one that was reached.
    pub(super) fn to_record(self, reached: Option<&LimitReached>) -> Vec<Limit> {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let given = |name: LimitName, most: Most| most.given.then_some((name, most.most));
        let mut limits: Vec<Limit> = [
            self.timeout.map(|timeout| (LimitName::Timeout, milliseconds(timeout))),
            given(LimitName::MemoryLimit, self.memory),
            given(LimitName::FdLimit, self.fds),
            given(LimitName::ProcessLimit, self.tasks),
            given(LimitName::OutputLimit, self.output),
        ]
        .into_iter()
        .flatten()
        .map(|(name, allowed)| Limit { name, allowed, used: None })
        .collect();
        if let Some(LimitReached { excess, used, allowed, .. }) = reached {
            let name = excess.limit();
            limits.retain(|limit| limit.name != name);
            limits.push(Limit { name, allowed: *allowed, used: Some(*used) });
        }
        limits
    }
}

/// The watch over one worker.
#[derive(Debug)]
pub(super) struct Watch {
    limits: Limits,
    deadline: Option<Instant>,
    began: Instant,
    next_glance: Instant,
    next_look: Instant,
    /// Tasks on the machine when the worker's were last counted.
    tasks: u32,
}

impl Watch {
    /// A watch that begins at this time; its first look is at everything.
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            deadline: limits.timeout.and_then(|timeout| now.checked_add(timeout)),
            began: now,
            next_glance: now,
            next_look: now,
            tasks: 0,
        }
    }

    /// The limits.
    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// The limit of time, when it is over.
    pub(super) fn timeout(&self, now: Instant) -> Option<LimitReached> {
        let over = self.deadline.is_some_and(|deadline| now >= deadline);
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        over.then(|| LimitReached {
            excess: Excess::Time,
            used: milliseconds(now.saturating_duration_since(self.began)),
            allowed: milliseconds(self.limits.timeout.unwrap_or_default()),
            given: true,
        })
    }

    /// Looks at what is due to be looked at: the first limit that is exceeded, if one is.
    pub(super) fn look(&mut self, sampler: &Sampler, process: &WorkerProcess) -> Option<LimitReached> {
        let begin = Instant::now();
        if begin < self.next_glance {
            return None;
        }
        self.next_glance = begin + GLANCE_EVERY;
        let written = exceeds(Excess::Output, process.written(), self.limits.output);
        if written.is_some() {
            return written;
        }
        let due = begin >= self.next_look;
        let tasks = sampling::tasks().unwrap_or(0);
        let burst = tasks > self.tasks.saturating_add(BURST);
        if !due && !burst {
            return None;
        }
        self.tasks = tasks;
        let excess = self.count(sampler, process);
        let end = Instant::now();
        self.next_look = end + LOOK_EVERY.max((end - begin) * REST);
        // A burst that goes on is no reason to do nothing else.
        self.next_glance = end + GLANCE_EVERY.max(end - begin);
        excess
    }

    /// Counts everything now.
    fn count(&self, sampler: &Sampler, process: &WorkerProcess) -> Option<LimitReached> {
        let limits = &self.limits;
        let written = exceeds(Excess::Output, process.written(), limits.output);
        if written.is_some() {
            return written;
        }
        // Of a worker that is gone nothing can be read, and it uses nothing.
        let resident = sampler.resident()?;
        if let Some(excess) = exceeds(Excess::Memory, resident, limits.memory) {
            return Some(excess);
        }
        let (threads, places) = sampler.threads_and_places()?;
        if places > limits.fds.most
            && let Some(excess) = exceeds(Excess::Fds, sampler.descriptors(limits.fds.most)?, limits.fds)
        {
            return Some(excess);
        }
        if let Some(excess) = exceeds(Excess::Tasks, threads, limits.tasks) {
            return Some(excess);
        }
        let processes = process.family(limits.processes.most);
        // The worker itself is among them; its first thread is among the threads.
        exceeds(Excess::Processes, processes, limits.processes).or_else(|| {
            exceeds(Excess::Tasks, threads.saturating_add(processes).saturating_sub(1), limits.tasks)
        })
    }

    /// The limit that the kernel ended the worker for.
    pub(super) fn ended_for(&self, status: ExitStatus) -> Option<LimitReached> {
        let most = self.limits.file_bytes();
        let given = self.limits.output.given;
        (status.signal() == Some(libc::SIGXFSZ)).then_some(LimitReached {
            excess: Excess::File,
            used: most,
            allowed: most,
            given,
        })
    }
}

fn exceeds(excess: Excess, used: u64, limit: Most) -> Option<LimitReached> {
    (used > limit.most).then_some(LimitReached { excess, used, allowed: limit.most, given: limit.given })
}
