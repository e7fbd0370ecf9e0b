//! What the measured process is told to do: a few numbers, a list of [`Step`]s that make one cycle, and the names that they refer
//! to. It is written as 64-bit words in native byte order, followed by the names, each ended by a NUL byte:
//!
//! ```text
//! Job::WORDS words | one word per thread and library: the file it opens | one word per file | one word per library that is held |
//!     Step::WORDS words per step | names
//! ```
//!
//! A name is referred to by its offset in the names. The word of a library that is held is twice that, and 1 more where the host links the
//! library: the loader has it before `main`. The first steps are those of the set-up, which are made once. A cycle makes all others with each
//! library. Results and
//! out-parameters are in slots of 8 bytes, of which each thread has its own.

use core::cmp::Ordering;

/// A variable that holds the user's own value of [`PRELOAD`] while the loader preloads what the host links. It is there where the host links
/// something, also where the user has no value. The host puts the value back before any constructor runs.
pub const OWN_PRELOAD: &str = "DLSOAK_LD_PRELOAD";

/// What glibc's loader preloads.
pub const PRELOAD: &str = "LD_PRELOAD";

/// Integer arguments that a call can have: registers of System V x86-64; AAPCS64 has two more.
pub const INTEGERS: usize = 6;
/// Floating-point arguments that a call can have.
pub const FLOATS: usize = 8;
/// Words from one slot to the next. Those behind the first one are 0 and stay so, unless a function writes more than the 8 bytes that it
/// was given: most structs are larger than that, and none is larger than what lies between.
pub const SLOT_STRIDE: usize = 32;
/// Words of a step before its arguments.
const HEAD: usize = 11;

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
    /// Calls the function `target` (a name) of the driver library `name` with the open handle.
    Drive = 4,
    /// Closes the library.
    Close = 5,
    /// Notes where all objects are, before a close.
    Note = 6,
    /// Keeps free what went with the close, and looks for pointers into it; after load number `target` (counted from 1) also for those
    /// into all that went before.
    Scan = 7,
    /// After the close: calls the function `symbol` of a library that is held, as [`Kind::Exchange`] does.
    After = 8,
    /// As [`Kind::Call`], where slots are used: for arguments, for the result, or to check it; or where the result is checked.
    Exchange = 9,
    /// Of the set-up: opens the driver library `name` for good, so that functions of the set-up are found in it.
    Driver = 10,
    /// Of the set-up: finds the function `symbol` and calls it, as [`Kind::Exchange`] does.
    Prepare = 11,
    /// Of the set-up: calls the function `target` (a name) of the driver library `name`, without an argument.
    SetUp = 12,
    /// Before the open: has the library's file and the file `name` change places. It is part of no phase.
    Replace = 20,
    /// After the open: notes which build it is, the word at `target` bytes from where it was loaded.
    Build = 21,
}

/// How the register with a result is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Read {
    /// All of the integer register.
    U64 = 0,
    /// The same as a number that may be negative.
    I64 = 1,
    /// Its low half.
    U32 = 2,
    /// The same as a number that may be negative.
    I32 = 3,
    /// Its low 2 bytes.
    U16 = 4,
    /// The same as a number that may be negative.
    I16 = 5,
    /// Its lowest byte.
    U8 = 6,
    /// The same as a number that may be negative.
    I8 = 7,
    /// All of it, as an address.
    Pointer = 8,
    /// The low half of the floating-point register.
    Float = 9,
    /// The floating-point register.
    Double = 10,
}

impl Read {
    /// Whether the result is in a floating-point register.
    #[must_use]
    pub fn is_floating(self) -> bool {
        matches!(self, Self::Float | Self::Double)
    }

    fn is_signed(self) -> bool {
        matches!(self, Self::I64 | Self::I32 | Self::I16 | Self::I8)
    }

    /// What is in the register, as a number of 64 bits that compares as what was read does.
    #[must_use]
    #[inline(never)]
    pub fn whole(self, bits: u64) -> u64 {
        let beyond = match self {
            Self::U64 | Self::I64 | Self::Pointer | Self::Double => 0,
            Self::U32 | Self::I32 | Self::Float => 32,
            Self::U16 | Self::I16 => 48,
            Self::U8 | Self::I8 => 56,
        };
        let high = bits << beyond;
        if self.is_signed() { (high.cast_signed() >> beyond).cast_unsigned() } else { high >> beyond }
    }

    /// Whether two registers compare so, both read in this way.
    #[must_use]
    pub fn holds(self, comparison: Comparison, result: u64, value: u64) -> bool {
        let (result, value) = (self.whole(result), self.whole(value));
        let floating = |bits: u64| match self {
            Self::Float => f64::from(f32::from_bits(bits as u32)),
            _ => f64::from_bits(bits),
        };
        // With the highest bit turned over, numbers that may be negative are in the order of those that may not.
        let turned = u64::from(self.is_signed()) << 63;
        comparison.holds(if self.is_floating() {
            floating(result).partial_cmp(&floating(value))
        } else {
            Some((result ^ turned).cmp(&(value ^ turned)))
        })
    }
}

/// How a result is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Comparison {
    /// Not at all.
    None = 0,
    /// `==`
    Equal = 1,
    /// `!=`
    NotEqual = 2,
    /// `<`
    Less = 3,
    /// `<=`
    LessOrEqual = 4,
    /// `>`
    Greater = 5,
    /// `>=`
    GreaterOrEqual = 6,
}

impl Comparison {
    fn holds(self, order: Option<Ordering>) -> bool {
        let (less, equal) = (order == Some(Ordering::Less), order == Some(Ordering::Equal));
        let greater = order == Some(Ordering::Greater);
        match self {
            Self::None => true,
            Self::Equal => equal,
            Self::NotEqual => !equal,
            Self::Less => less,
            Self::LessOrEqual => less || equal,
            Self::Greater => greater,
            Self::GreaterOrEqual => greater || equal,
        }
    }
}

from_number! {
    Mode::from_word(u64): Reopen, Copies, Namespace;
    CallFrom::from_word(u64): Main, Worker, ShortLived;
    Kind::from_word(u64): Open, Find, Call, Drive, Close, Note, Scan, After, Exchange, Driver, Prepare, SetUp, Replace, Build;
    Read::from_word(u64): U64, I64, U32, I32, U16, I16, U8, I8, Pointer, Float, Double;
    Comparison::from_word(u64): None, Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual;
}

/// Which arguments of a step are slots, as bits by the number of the argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slots {
    /// Integers that are what is in the slot of this number.
    pub values: u8,
    /// Integers that are the address of the slot of this number.
    pub addresses: u8,
    /// Those of `addresses` whose slot is 0 before the call.
    pub fresh: u8,
    /// Floating-point numbers that are what is in the slot of this number.
    pub floats: u8,
    /// Whether `against` is the number of a slot.
    pub against: bool,
}

impl Slots {
    fn to_word(self) -> u64 {
        u64::from_le_bytes([
            self.values,
            self.addresses,
            self.fresh,
            self.floats,
            u8::from(self.against),
            0,
            0,
            0,
        ])
    }

    fn from_word(word: u64) -> Self {
        let [values, addresses, fresh, floats, against, ..] = word.to_le_bytes();
        Self { values, addresses, fresh, floats, against: against != 0 }
    }
}

/// One step of a cycle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// What it does.
    pub kind: Kind,
    /// The phase that its time is counted in, by its number in [`crate::channel::Phase`].
    pub phase: u64,
    /// Offset of the name that it needs: a symbol, or the path of a driver. For a step with a check or an
    /// out-parameter, what the report calls it.
    pub name: u64,
    /// Offset of the name of the function, where `name` is something else.
    pub symbol: u64,
    /// Which of the `ints` are offsets of names, as bits; such an argument is the address of the name.
    pub names: u64,
    /// For a call: the number of the step that finds the function. For a driver: the offset of the function's name.
    /// For a scan: the number of the last load.
    pub target: u64,
    /// Which of the arguments are slots.
    pub slots: Slots,
    /// Number of the slot that keeps the result, plus 1; 0: none does.
    pub keeps: u64,
    /// How the result is read.
    pub read: Read,
    /// How the result is compared with `against`.
    pub comparison: Comparison,
    /// What the result is compared with: a register, or the number of a slot.
    pub against: u64,
    /// Integer arguments, as they are in registers.
    pub ints: [u64; INTEGERS],
    /// Floating-point arguments, as they are in registers.
    pub floats: [u64; FLOATS],
}

impl Step {
    /// Words of a step.
    pub const WORDS: usize = HEAD + INTEGERS + FLOATS;

    /// A step without arguments.
    #[must_use]
    pub fn new(kind: Kind, phase: u64) -> Self {
        Self {
            kind,
            phase,
            name: 0,
            symbol: 0,
            names: 0,
            target: 0,
            slots: Slots::default(),
            keeps: 0,
            read: Read::U64,
            comparison: Comparison::None,
            against: 0,
            ints: [0; INTEGERS],
            floats: [0; FLOATS],
        }
    }

    /// As it travels.
    #[must_use]
    pub fn to_words(&self) -> [u64; Self::WORDS] {
        let mut words = [0; Self::WORDS];
        let head: [u64; HEAD] = [
            self.kind as u64,
            self.phase,
            self.name,
            self.symbol,
            self.names,
            self.target,
            self.slots.to_word(),
            self.keeps,
            self.read as u64,
            self.comparison as u64,
            self.against,
        ];
        words[..HEAD].copy_from_slice(&head);
        words[HEAD..HEAD + INTEGERS].copy_from_slice(&self.ints);
        words[HEAD + INTEGERS..].copy_from_slice(&self.floats);
        words
    }

    /// What has travelled; `None` where that is no step.
    #[must_use]
    pub fn from_words(words: &[u64]) -> Option<Self> {
        let words = words.first_chunk::<{ Self::WORDS }>()?;
        let [kind, phase, name, symbol, names, target, slots, keeps, read, comparison, against] =
            *words.first_chunk::<HEAD>()?;
        Some(Self {
            kind: Kind::from_word(kind)?,
            phase,
            name,
            symbol,
            names,
            target,
            slots: Slots::from_word(slots),
            keeps,
            read: Read::from_word(read)?,
            comparison: Comparison::from_word(comparison)?,
            against,
            ints: *words[HEAD..].first_chunk()?,
            floats: *words[HEAD + INTEGERS..].first_chunk()?,
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
    /// How many of them, the first ones, are those of the set-up.
    pub setups: u64,
    /// Number of slots.
    pub slots: u64,
    /// Offset of the name of the library itself, of which copies are made.
    pub original: u64,
    /// Number of libraries that a cycle opens one after the other, at least 1.
    pub libraries: u64,
    /// From what their order in each cycle is made, in which nothing repeats soon; 0: it is as given.
    pub seed: u64,
}

impl Job {
    /// Words of a job without what follows.
    pub const WORDS: usize = 17;

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
            self.setups,
            self.slots,
            self.original,
            self.libraries,
            self.seed,
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
            setups,
            slots,
            original,
            libraries,
            seed,
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
            setups,
            slots,
            original,
            libraries,
            seed,
        })
    }

    /// Words that say which file a thread opens.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.threads.saturating_mul(self.libraries)
    }

    /// Words before the names; `None` where that is more than there can be.
    #[must_use]
    pub fn words_before_names(&self) -> Option<usize> {
        let lists = self.opened().checked_add(self.files)?.checked_add(self.holds)?;
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
            setups: 1,
            slots: 5,
            original: 9,
            libraries: 2,
            seed: 8,
        };
        assert_eq!(Job::from_words(&job.to_words()), Some(job));
        assert_eq!(job.words_before_names(), Some(Job::WORDS + 9 + 2 * Step::WORDS));
        assert_eq!(Job { steps: u64::MAX, ..job }.words_before_names(), None);
        assert_eq!(Job::from_words(&[9; Job::WORDS]), None);
        assert_eq!(Job::from_words(&job.to_words()[1..]), None);
        let step = Step {
            name: 1,
            symbol: 6,
            names: 2,
            target: 3,
            slots: Slots { values: 1, addresses: 6, fresh: 2, floats: 255, against: true },
            keeps: 7,
            read: Read::Double,
            comparison: Comparison::Less,
            against: 8,
            ints: [4; 6],
            floats: [5; 8],
            ..Step::new(Kind::Exchange, 3)
        };
        assert_eq!(Step::from_words(&step.to_words()), Some(step));
        assert_eq!(Step::from_words(&[0; Step::WORDS]), None);
    }

    #[test]
    fn registers_compare_as_what_they_hold() {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        let dirty = 0xdead_beef_ffff_ffff;
        let double = f64::to_bits;
        let float = |value: f32| u64::from(value.to_bits()) | 0xdead_beef << 32;
        for (read, comparison, result, value) in [
            // A function that returns `int` leaves the upper half as it was.
            (Read::I32, Equal, dirty, -1_i64 as u64),
            (Read::I32, Less, dirty, 0),
            (Read::U32, Greater, dirty, 0),
            (Read::U32, Equal, dirty, 0xffff_ffff),
            (Read::I64, Less, dirty, 0),
            (Read::U64, NotEqual, dirty, u64::MAX),
            (Read::U8, Equal, 0xabcd_ef01, 1),
            (Read::I8, Equal, 0xff, -1_i64 as u64),
            (Read::I16, LessOrEqual, 0x1_8000, -32768_i64 as u64),
            (Read::U16, Equal, 0x1_8000, 0x8000),
            (Read::Pointer, NotEqual, 1 << 32, 0),
            (Read::Double, Equal, double(4.0), double(4.0)),
            (Read::Double, Less, double(-0.5), double(0.0)),
            (Read::Float, Equal, float(1.5), float(1.5) & 0xffff_ffff),
            (Read::Float, GreaterOrEqual, float(1.5), float(-1.5)),
        ] {
            assert!(read.holds(comparison, result, value), "{read:?} {comparison:?} {result:#x} {value:#x}");
        }
        let nan = double(f64::NAN);
        assert!(!Read::Double.holds(Equal, nan, nan) && Read::Double.holds(NotEqual, nan, nan));
        assert!(!Read::Pointer.holds(Equal, 1 << 32, 0) && Read::U64.holds(Comparison::None, 1, 2));
    }
}
