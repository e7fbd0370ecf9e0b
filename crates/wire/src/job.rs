//! What the measured process is told to do: a few numbers, a list of [`Step`]s that make one cycle, and the names that they refer
//! to. It is written as 64-bit words in native byte order, followed by the names, each ended by a NUL byte:
//!
//! ```text
//! Job::WORDS words | one word per thread: the file it opens | one word per file | one word per library that is held |
//!     Step::WORDS words per step | names
//! ```
//!
//! A name is referred to by its offset in the names. The word of a library that is held is twice that, and 1 more where the host links the
//! library: the loader has it before `main`.

/// A variable that holds the user's own value of [`PRELOAD`] while the loader preloads what the host links. It is there where the host links
/// something, also where the user has no value. The host puts the value back before any constructor runs.
pub const OWN_PRELOAD: &str = "DLSOAK_LD_PRELOAD";

/// What glibc's loader preloads.
pub const PRELOAD: &str = "LD_PRELOAD";

/// Integer arguments that a call can have: registers of System V x86-64; AAPCS64 has two more.
pub const INTEGERS: usize = 6;
/// Floating-point arguments that a call can have.
pub const FLOATS: usize = 8;

/// What a cycle opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Mode {
    /// The same file each time.
    Reopen = 0,
    /// A copy of the file, made before the cycle.
    Copies = 1,
    /// The file in a namespace of its own, `dlmopen(3)`.
    Namespace = 2,
}

/// Which thread a cycle runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum CallFrom {
    /// The thread that runs `main`, and further threads where there are several.
    Main = 0,
    /// Threads that the host has started.
    Worker = 1,
    /// A thread that is started for the cycle and ends with it.
    ShortLived = 2,
}

/// What one step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Kind {
    /// Opens the library.
    Open = 1,
    /// Looks up the symbol `name`.
    Find = 2,
    /// Calls what the step number `ints[0]` found, with the arguments of this step.
    Call = 3,
    /// Calls the function `ints[0]` (a name) of the driver library `name` with the open handle.
    Drive = 4,
    /// Closes the library.
    Close = 5,
    /// Notes where all objects are, before a close.
    Note = 6,
    /// Keeps free what went with the close, and looks for pointers into it; after load number `target` (counted from 1) also for those
    /// into all that went before.
    Scan = 7,
    /// After the close: calls the function `name` of a library that is held.
    After = 8,
}

from_number! {
    Mode::from_word(u64): Reopen, Copies, Namespace;
    CallFrom::from_word(u64): Main, Worker, ShortLived;
    Kind::from_word(u64): Open, Find, Call, Drive, Close, Note, Scan, After;
}

/// One step of a cycle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// What it does.
    pub kind: Kind,
    /// The phase that its time is counted in, by its number in [`crate::channel::Phase`].
    pub phase: u64,
    /// Offset of the name that it needs: a symbol, or the path of a driver.
    pub name: u64,
    /// Which of the `ints` are offsets of names, as bits; such an argument is the address of the name.
    pub names: u64,
    /// For a call: the number of the step that finds the function. For a driver: the offset of the function's name.
    /// For a scan: the number of the last load.
    pub target: u64,
    /// Integer arguments, as they are in registers.
    pub ints: [u64; INTEGERS],
    /// Floating-point arguments, as they are in registers.
    pub floats: [u64; FLOATS],
}

impl Step {
    /// Words of a step.
    pub const WORDS: usize = 5 + INTEGERS + FLOATS;

    /// A step without arguments.
    #[must_use]
    pub fn new(kind: Kind, phase: u64) -> Self {
        Self { kind, phase, name: 0, names: 0, target: 0, ints: [0; INTEGERS], floats: [0; FLOATS] }
    }

    /// As it travels.
    #[must_use]
    pub fn to_words(&self) -> [u64; Self::WORDS] {
        let mut words = [0; Self::WORDS];
        words[..5].copy_from_slice(&[self.kind as u64, self.phase, self.name, self.names, self.target]);
        words[5..5 + INTEGERS].copy_from_slice(&self.ints);
        words[5 + INTEGERS..].copy_from_slice(&self.floats);
        words
    }

    /// What has travelled; `None` where that is no step.
    #[must_use]
    pub fn from_words(words: &[u64]) -> Option<Self> {
        let words = words.first_chunk::<{ Self::WORDS }>()?;
        Some(Self {
            kind: Kind::from_word(words[0])?,
            phase: words[1],
            name: words[2],
            names: words[3],
            target: words[4],
            ints: *words[5..].first_chunk()?,
            floats: *words[5 + INTEGERS..].first_chunk()?,
        })
    }
}

/// The numbers of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// What a cycle opens.
    pub mode: Mode,
    /// Which thread a cycle runs on.
    pub call_from: CallFrom,
    /// Flags for `dlopen`.
    pub flags: u64,
    /// Not 0 where the process is traced: its threads announce themselves to the preloaded library.
    pub trace: u64,
    /// Signals that will be sent to the process, as bits: bit 0 is signal 1.
    pub signals: u64,
    /// Descriptor of a Landlock ruleset to enter, plus 1; 0: none.
    pub ruleset: u64,
    /// Rights of `landlock(7)` that the ruleset is to have for the process's own folder in `/proc`.
    pub own_proc: u64,
    /// Not 0 where the process is to leave the network.
    pub no_network: u64,
    /// Number of threads, each with a word for the file that it opens.
    pub threads: u64,
    /// Number of different files.
    pub files: u64,
    /// Number of libraries that are held.
    pub holds: u64,
    /// Number of steps.
    pub steps: u64,
    /// Offset of the name of the library itself, of which copies are made.
    pub original: u64,
}

impl Job {
    /// Words of a job without what follows.
    pub const WORDS: usize = 13;

    /// As it travels.
    #[must_use]
    pub fn to_words(&self) -> [u64; Self::WORDS] {
        [
            self.mode as u64,
            self.call_from as u64,
            self.flags,
            self.trace,
            self.signals,
            self.ruleset,
            self.own_proc,
            self.no_network,
            self.threads,
            self.files,
            self.holds,
            self.steps,
            self.original,
        ]
    }

    /// What has travelled; `None` where that is no job.
    #[must_use]
    pub fn from_words(words: &[u64]) -> Option<Self> {
        let [
            mode,
            call_from,
            flags,
            trace,
            signals,
            ruleset,
            own_proc,
            no_network,
            threads,
            files,
            holds,
            steps,
            original,
        ] = *words.first_chunk::<{ Self::WORDS }>()?;
        Some(Self {
            mode: Mode::from_word(mode)?,
            call_from: CallFrom::from_word(call_from)?,
            flags,
            trace,
            signals,
            ruleset,
            own_proc,
            no_network,
            threads,
            files,
            holds,
            steps,
            original,
        })
    }

    /// Words before the names; `None` where that is more than there can be.
    #[must_use]
    pub fn words_before_names(&self) -> Option<usize> {
        let lists = self.threads.checked_add(self.files)?.checked_add(self.holds)?;
        let steps = self.steps.checked_mul(Step::WORDS as u64)?;
        usize::try_from(lists.checked_add(steps)?.checked_add(Self::WORDS as u64)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_received() {
        let job = Job {
            mode: Mode::Namespace,
            call_from: CallFrom::ShortLived,
            flags: 2,
            trace: 1,
            signals: 1 << 63,
            ruleset: 4,
            own_proc: 7,
            no_network: 1,
            threads: 3,
            files: 1,
            holds: 2,
            steps: 2,
            original: 9,
        };
        assert_eq!(Job::from_words(&job.to_words()), Some(job));
        assert_eq!(job.words_before_names(), Some(Job::WORDS + 6 + 2 * Step::WORDS));
        assert_eq!(Job { steps: u64::MAX, ..job }.words_before_names(), None);
        assert_eq!(Job::from_words(&[9; Job::WORDS]), None);
        assert_eq!(Job::from_words(&job.to_words()[1..]), None);
        let step =
            Step { name: 1, names: 2, target: 3, ints: [4; 6], floats: [5; 8], ..Step::new(Kind::Call, 3) };
        assert_eq!(Step::from_words(&step.to_words()), Some(step));
        assert_eq!(Step::from_words(&[0; Step::WORDS]), None);
    }
}
