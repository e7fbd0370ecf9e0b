//! The loop that other instruments look at. It opens, looks up, calls and closes, and does nothing else: no wire, no clock, no
//! supervisor. What valgrind, LeakSanitizer or a reader of `/proc` finds in this process is therefore the library's, and a fault in
//! the host's cycle can't hide here.
//!
//! All orders are arguments:
//!
//! ```text
//! dlsoak-loop MODE FLAGS CALL_FROM STOP POINTS PATH ORIGINAL DRIVER FUNCTION SETUP [SYMBOL COUNT ARGUMENT...]...
//! ```
//!
//! | argument | form |
//! | --- | --- |
//! | `MODE` | `reopen`, `copies` or `namespace` |
//! | `FLAGS` | for `dlopen`, a decimal number |
//! | `CALL_FROM` | `main`, `worker` or `short-lived` |
//! | `STOP` | `1` to stop (SIGSTOP) at each point, or `0` |
//! | `POINTS` | numbers of cycles, ascending, with commas between them; the loop ends at the last one |
//! | `PATH` | the file to open; with `copies`, each cycle puts a number before its name |
//! | `ORIGINAL` | the file to copy |
//! | `DRIVER FUNCTION` | a library and its function `int fn(void *handle)`, called after all calls; both empty without one |
//! | `SETUP` | the driver's `int setup(void)`, called once before the first cycle; empty without one |
//! | `SYMBOL COUNT ARGUMENT...` | one call. An argument is `i:` and a decimal number, `s:` and a text, or `f:` and the 16 hexadecimal digits of a floating-point register; or one of those below |
//! | `r:SLOT`, `d:SLOT` | what is in a slot of 8 bytes, in an integer and in a floating-point register |
//! | `a:SLOT`, `z:SLOT` | the address of a slot; with `z` it is 0 before |
//! | `k:SLOT`, `x:SLOT` | no argument: the slot that keeps the result, of the integer and of the floating-point register |
//! | `o:` | no argument: the call is made once, before the first cycle, of a function of the driver or of the process |
//!
//! A check of a call is not made, because the soak has made it already.
//!
//! At each point it writes a line to standard error, [`MARK`] and the number of cycles. After the last one [`MARK`] and [`DONE`]
//! follow. A failure is one line, [`FAILED`] and the reason, with exit status 2.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::copies::{self, Copies};
use crate::words::Words;
use crate::{c, short_lived};

/// What its lines on standard error begin with.
pub const MARK: &str = "dlsoak-bare ";
/// Follows [`MARK`] when all cycles are done.
pub const DONE: &str = "done";
/// What the line with the reason for a failure begins with.
pub const FAILED: &str = "dlsoak-bare: ";

/// Bytes of each block that the loop itself leaks. An instrument that finds none of them has not looked. No other block is likely
/// to have this size.
pub const CONTROL_SIZE: u64 = 1_009;
/// The function that leaks them; the names of the loop's other functions begin with the crate's name, `dlsoak_loop`.
pub const CONTROLS_FUNCTION: &str = "dlsoak_loop_controls";
/// Number of these blocks. An address that is left somewhere on the stack hides one.
const CONTROLS: usize = 8;

/// Lowest number of the descriptor that standard error is kept at, so that a library which closes its descriptors does not silence
/// the loop.
const KEPT: c_int = 100;
const STANDARD_ERROR: c_int = 2;
/// Exit status of a failure.
const FAILURE: c_int = 2;

const THREAD_ENDED: &CStr =
    c"the library ended the thread that called it (pthread_exit, pthread_cancel), and the handle stays open";

/// Registers for integers and for floating-point numbers.
const INTEGERS: usize = 6;
const FLOATS: usize = 8;

/// One prototype for every call: a function that takes fewer arguments never looks at the other registers.
type Function<R> =
    unsafe extern "C" fn(i64, i64, i64, i64, i64, i64, f64, f64, f64, f64, f64, f64, f64, f64, ...) -> R;
type Driver = unsafe extern "C" fn(*mut c_void) -> c_int;
/// Slots that there are.
const SLOTS: usize = 256;

unsafe extern "C" {
    /// The C library's, or that of an instrument which has put its own in place.
    fn malloc(size: usize) -> *mut c_void;
}

/// Called by the C library.
///
/// # Safety
/// The arguments are those of `main`.
#[cfg_attr(dlsoak_program = "loop", unsafe(export_name = "main"))]
pub unsafe extern "C" fn main(_count: c_int, arguments: *const *const c_char) -> c_int {
    dlsoak_loop_controls();
    // SAFETY: neither call touches memory; the caller's arguments end with null, each ends in NUL, and they live as long as the
    // process. The first one is the program's name.
    let (output, words) = unsafe {
        // If the process that started it ends, nobody else would end it.
        c::prctl(c::PR_SET_PDEATHSIG, c::SIGKILL);
        let kept = c::fcntl(STANDARD_ERROR, c::F_DUPFD_CLOEXEC, KEPT);
        let output = if kept < 0 { STANDARD_ERROR } else { kept };
        (output, Words::new(arguments))
    };
    let done = Loop::new(output, words).and_then(|mut cycling| cycling.run());
    if done.is_ok() { 0 } else { FAILURE }
}

/// Leaks blocks before the first cycle, so that no figure per cycle contains them.
#[cfg_attr(dlsoak_program = "loop", unsafe(no_mangle))]
#[inline(never)]
extern "C" fn dlsoak_loop_controls() {
    for _ in 0..CONTROLS {
        // SAFETY: the memory is never used.
        core::hint::black_box(unsafe { malloc(CONTROL_SIZE as usize) });
    }
}

/// The reason why it can't go on has been written.
struct Failed;

#[derive(Clone, Copy, PartialEq)]
enum CallFrom {
    Main,
    Worker,
    ShortLived,
}

/// One call of each cycle.
struct Call {
    symbol: &'static CStr,
    once: bool,
    ints: [Word; INTEGERS],
    floats: [Word; FLOATS],
    /// The slot that keeps the result, and whether that is in the floating-point register.
    keeps: Option<(u8, bool)>,
    /// Its address in the cycle under way.
    found: *mut c_void,
}

/// What is in a register.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Word {
    Bits(u64),
    Slot(u8),
    Address(u8),
    /// The same, of a slot that is 0 before.
    Fresh(u8),
}

impl Word {
    fn bits(self, slots: &[AtomicU64; SLOTS]) -> u64 {
        match self {
            Self::Bits(bits) => bits,
            Self::Slot(slot) => slots[usize::from(slot)].load(Relaxed),
            Self::Address(slot) => slots[usize::from(slot)].as_ptr() as u64,
            Self::Fresh(slot) => {
                slots[usize::from(slot)].store(0, Relaxed);
                slots[usize::from(slot)].as_ptr() as u64
            }
        }
    }
}

impl Call {
    /// # Safety
    /// The function takes what the call's author states.
    unsafe fn make(&self, function: *mut c_void) {
        static SLOT: [AtomicU64; SLOTS] = [const { AtomicU64::new(0) }; SLOTS];
        let [a, b, c, d, e, f] = self.ints.map(|word| word.bits(&SLOT).cast_signed());
        let [s, t, u, v, w, x, y, z] = self.floats.map(|word| f64::from_bits(word.bits(&SLOT)));
        // SAFETY: the caller's contract.
        let returned = unsafe {
            if matches!(self.keeps, Some((_, true))) {
                let function = core::mem::transmute::<*mut c_void, Function<f64>>(function);
                function(a, b, c, d, e, f, s, t, u, v, w, x, y, z).to_bits()
            } else {
                let function = core::mem::transmute::<*mut c_void, Function<i64>>(function);
                function(a, b, c, d, e, f, s, t, u, v, w, x, y, z).cast_unsigned()
            }
        };
        if let Some((slot, _)) = self.keeps {
            SLOT[usize::from(slot)].store(returned, Relaxed);
        }
    }
}

/// All that is to be done.
struct Loop {
    /// Descriptor for its lines.
    output: c_int,
    flags: c_int,
    call_from: CallFrom,
    stop: bool,
    points: &'static [u8],
    path: &'static CStr,
    copies: Option<Copies>,
    is_apart: bool,
    driver: Option<Driver>,
    calls: &'static mut [Call],
}

impl Loop {
    fn new(output: c_int, mut words: Words) -> Result<Self, Failed> {
        let broken = || fail(output, &[c"its arguments are broken"]);
        let mode = words.next().ok_or_else(broken)?.to_bytes();
        let flags = words.next().and_then(number).ok_or_else(broken)?;
        let call_from = match words.next().map(CStr::to_bytes) {
            Some(b"main") => CallFrom::Main,
            Some(b"worker") => CallFrom::Worker,
            Some(b"short-lived") => CallFrom::ShortLived,
            _ => return Err(broken()),
        };
        let stop = words.next().and_then(number).ok_or_else(broken)? != 0;
        let points = words.next().ok_or_else(broken)?.to_bytes();
        let path = words.next().ok_or_else(broken)?;
        let original = words.next().ok_or_else(broken)?;
        let (copies, is_apart) = match mode {
            b"reopen" => (None, false),
            b"copies" => {
                let image = copies::read(original)
                    .map_err(|errno| fail(output, &[c"cannot read ", original, c": ", words_of(errno)]))?;
                (Some(Copies::new(path, image)), false)
            }
            b"namespace" => (None, true),
            _ => return Err(broken()),
        };
        let driver = words.next().zip(words.next()).ok_or_else(broken)?;
        let setup = words.next().ok_or_else(broken)?;
        let calls = calls(words).ok_or_else(broken)?;
        let (handle, driver) =
            if driver.0.is_empty() { (null_mut(), None) } else { open_driver(output, driver)? };
        set_up(output, calls, handle, setup)?;
        Ok(Self {
            output,
            flags: flags as c_int,
            call_from,
            stop,
            points,
            path,
            copies,
            is_apart,
            driver,
            calls,
        })
    }

    /// Cycles on the thread that was asked for.
    fn run(&mut self) -> Result<(), Failed> {
        extern "C" fn begin(handed: *mut c_void) -> *mut c_void {
            // SAFETY: this is what is handed over below, which lives until this thread was joined.
            let (cycling, done) = unsafe { &mut *handed.cast::<(&mut Loop, Option<Result<(), Failed>>)>() };
            *done = Some(cycling.cycles());
            null_mut()
        }
        if self.call_from != CallFrom::Worker {
            return self.cycles();
        }
        let output = self.output;
        let mut handed = (self, None);
        let mut thread = 0;
        // SAFETY: the function has the declared type, what it is handed outlives the thread, which is joined once.
        unsafe {
            let started = c::pthread_create(&raw mut thread, null(), begin, (&raw mut handed).cast());
            if started != 0 {
                return Err(fail(output, &[c"no thread for the cycles: ", words_of(started)]));
            }
            c::pthread_join(thread, null_mut());
        }
        handed.1.unwrap_or_else(|| Err(fail(output, &[THREAD_ENDED])))
    }

    fn cycles(&mut self) -> Result<(), Failed> {
        let mut done = 0;
        for point in self.points.split(|byte| *byte == b',') {
            let point = decimal(point).ok_or_else(|| fail(self.output, &[c"its points are broken"]))?;
            while done < point {
                if self.call_from == CallFrom::ShortLived {
                    self.cycle_that_ends()?;
                } else {
                    self.cycle()?;
                }
                done += 1;
            }
            let mut line = Line::new(b"\n");
            line.push(MARK.as_bytes());
            line.push_number(done);
            line.write(self.output);
            if self.stop {
                // SAFETY: a signal to this process touches no memory.
                unsafe { c::raise(c::SIGSTOP) };
            }
        }
        let mut line = Line::new(b"\n");
        line.push(MARK.as_bytes());
        line.push(DONE.as_bytes());
        line.write(self.output);
        Ok(())
    }

    /// One cycle on a thread that ends with it.
    fn cycle_that_ends(&mut self) -> Result<(), Failed> {
        let output = self.output;
        let mut ended = None;
        short_lived::run(&mut || ended = Some(self.cycle()))
            .map_err(|errno| fail(output, &[c"no thread for a cycle: ", words_of(errno)]))?;
        ended.unwrap_or_else(|| Err(fail(output, &[THREAD_ENDED])))?;
        if !self.is_apart {
            // The next dlclose of anything unloads what the end of the thread has let go; a host makes one soon.
            // SAFETY: with RTLD_NOLOAD nothing is loaded, so no code runs; the path ends in NUL; the handle is the one just given.
            unsafe {
                let handle = c::dlopen(self.path().as_ptr(), c::RTLD_LAZY | c::RTLD_NOLOAD);
                if !handle.is_null() {
                    c::dlclose(handle);
                }
            }
        }
        Ok(())
    }

    /// What this cycle opens.
    fn path(&self) -> &CStr {
        self.copies.as_ref().map_or(self.path, Copies::path)
    }

    fn cycle(&mut self) -> Result<(), Failed> {
        let output = self.output;
        if let Some(copies) = &mut self.copies
            && let Err(errno) = copies.make()
        {
            let help = c"; set TMPDIR to a place that is writable and has room";
            return Err(fail(output, &[c"no copy at ", copies.path(), c": ", words_of(errno), help]));
        }
        // SAFETY: loading and closing a library runs its code, and calling its functions does; that is what the loop is for. Paths
        // and names end in NUL, the handle is open until it is closed, and the functions take what the calls' author states.
        unsafe {
            let handle = if self.is_apart {
                c::dlmopen(c::LM_ID_NEWLM, self.path().as_ptr(), self.flags)
            } else {
                c::dlopen(self.path().as_ptr(), self.flags)
            };
            if handle.is_null() {
                return Err(refused(output, c""));
            }
            for call in self.calls.iter_mut().filter(|call| !call.once) {
                call.found = c::dlsym(handle, call.symbol.as_ptr());
                if call.found.is_null() {
                    return Err(refused(output, c""));
                }
            }
            for call in self.calls.iter().filter(|call| !call.once) {
                call.make(call.found);
            }
            if let Some(driver) = self.driver {
                let code = driver(handle);
                if code != 0 {
                    let mut line = Line::new(b"");
                    line.push(FAILED.as_bytes());
                    line.push(b"the exercise returned ");
                    if code < 0 {
                        line.push(b"-");
                    }
                    line.push_number(code.unsigned_abs().into());
                    line.push(b"; 0 means that its cycle went well");
                    line.write(output);
                    return Err(Failed);
                }
            }
            if c::dlclose(handle) != 0 {
                return Err(refused(output, c""));
            }
        }
        Ok(())
    }
}

/// Opens the user's own library, for good, and finds its function.
fn open_driver(
    output: c_int,
    (library, function): (&CStr, &CStr),
) -> Result<(*mut c_void, Option<Driver>), Failed> {
    // SAFETY: loading runs the driver's constructors; it is the user's own code, given to be run. Both names end in NUL. The type is
    // the documented one of an exercise, and null is None.
    unsafe {
        let handle = c::dlopen(library.as_ptr(), c::RTLD_NOW);
        let found = if handle.is_null() { null_mut() } else { c::dlsym(handle, function.as_ptr()) };
        match core::mem::transmute::<*mut c_void, Option<Driver>>(found) {
            None => Err(refused(output, c"exercise: ")),
            driver => Ok((handle, driver)),
        }
    }
}

/// Makes the calls that are made once, and then the driver's own.
fn set_up(output: c_int, calls: &[Call], driver: *mut c_void, setup: &CStr) -> Result<(), Failed> {
    type SetUp = unsafe extern "C" fn() -> c_int;
    // SAFETY: the names end in NUL, the handle is that of the driver, null stands for what the process has, and the functions take what
    // the calls' author states; the last one's type is the documented one.
    unsafe {
        for call in calls.iter().filter(|call| call.once) {
            let own = if driver.is_null() { null_mut() } else { c::dlsym(driver, call.symbol.as_ptr()) };
            let found = if own.is_null() { c::dlsym(null_mut(), call.symbol.as_ptr()) } else { own };
            if found.is_null() {
                return Err(refused(output, c"setup: "));
            }
            call.make(found);
        }
        if !setup.is_empty() {
            let found = c::dlsym(driver, setup.as_ptr());
            let Some(function) = core::mem::transmute::<*mut c_void, Option<SetUp>>(found) else {
                return Err(refused(output, c"setup: "));
            };
            if function() != 0 {
                return Err(fail(output, &[c"the driver's setup did not return 0"]));
            }
        }
    }
    Ok(())
}

/// The calls in the rest of the arguments.
fn calls(mut words: Words) -> Option<&'static mut [Call]> {
    // There are never more calls than arguments.
    let most = words.clone().count().max(1);
    let room = c::map(most * size_of::<Call>()).ok()?.as_mut_ptr().cast::<Call>();
    let mut count = 0;
    while let Some(symbol) = words.next() {
        let mut call = Call {
            symbol,
            once: false,
            ints: [Word::Bits(0); INTEGERS],
            floats: [Word::Bits(0); FLOATS],
            keeps: None,
            found: null_mut(),
        };
        let (mut ints, mut floats) = (call.ints.iter_mut(), call.floats.iter_mut());
        for _ in 0..words.next().and_then(number)? {
            let word = words.next()?;
            let (kind, value) = word.to_bytes().split_at_checked(2)?;
            match kind {
                b"i:" => *ints.next()? = Word::Bits(decimal(value)?),
                // The address behind the prefix: the arguments live as long as the process.
                b"s:" => *ints.next()? = Word::Bits(word.to_bytes_with_nul().get(2..)?.as_ptr() as u64),
                b"f:" => {
                    let digits = core::str::from_utf8(value).ok()?;
                    *floats.next()? = Word::Bits(u64::from_str_radix(digits, 16).ok()?);
                }
                b"r:" => *ints.next()? = Word::Slot(slot(value)?),
                b"d:" => *floats.next()? = Word::Slot(slot(value)?),
                b"a:" => *ints.next()? = Word::Address(slot(value)?),
                b"z:" => *ints.next()? = Word::Fresh(slot(value)?),
                b"k:" | b"x:" => call.keeps = Some((slot(value)?, kind == b"x:")),
                b"o:" => call.once = true,
                _ => return None,
            }
        }
        // SAFETY: there is room for as many, on pages of its own.
        unsafe { room.add(count).write(call) };
        count += 1;
    }
    // SAFETY: the first `count` elements were written; the room is never given back, and nobody else has it.
    Some(unsafe { core::slice::from_raw_parts_mut(room, count) })
}

fn slot(digits: &[u8]) -> Option<u8> {
    u8::try_from(decimal(digits)?).ok()
}

fn number(word: &CStr) -> Option<u64> {
    decimal(word.to_bytes())
}

fn decimal(digits: &[u8]) -> Option<u64> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}

/// What the C library says of an error number.
fn words_of(errno: c_int) -> &'static CStr {
    // SAFETY: the words end in NUL. They live until the next call, and are copied before.
    unsafe { CStr::from_ptr(c::strerror(errno)) }
}

/// Writes what the loader has refused this thread last.
#[cold]
fn refused(output: c_int, before: &CStr) -> Failed {
    // SAFETY: dlerror has no precondition; its words end in NUL and live until this thread's next dl* call.
    let words = unsafe {
        let words = c::dlerror();
        if words.is_null() { c"the loader refused without a word" } else { CStr::from_ptr(words) }
    };
    fail(output, &[before, words])
}

/// Writes why it can't go on, on the thread that can't: the loader's words go with their thread.
#[cold]
fn fail(output: c_int, parts: &[&CStr]) -> Failed {
    let mut line = Line::new(b"");
    line.push(FAILED.as_bytes());
    for part in parts {
        line.push(part.to_bytes());
    }
    line.write(output);
    Failed
}

/// A line, written at once. What is too long for it is cut.
struct Line {
    bytes: [u8; 2048],
    len: usize,
}

impl Line {
    /// A line, whatever the library has written before it.
    fn new(begin: &[u8]) -> Self {
        let mut line = Self { bytes: [0; 2048], len: 0 };
        line.push(begin);
        line
    }

    fn push(&mut self, more: &[u8]) {
        // The last byte is for the end of the line.
        let room = self.bytes.len() - 1;
        for (cell, byte) in self.bytes[..room].iter_mut().skip(self.len).zip(more) {
            *cell = *byte;
            self.len += 1;
        }
    }

    fn push_number(&mut self, number: u64) {
        let mut digits = [b'0'; 20];
        let (mut rest, mut begin) = (number, digits.len() - 1);
        for (at, digit) in digits.iter_mut().enumerate().rev() {
            if rest > 0 {
                *digit += (rest % 10) as u8;
                begin = at;
            }
            rest /= 10;
        }
        self.push(&digits[begin..]);
    }

    fn write(&mut self, to: c_int) {
        self.bytes[self.len] = b'\n';
        // SAFETY: the bytes are there for the whole call. A descriptor that is gone is an error and no more.
        unsafe { c::write(to, self.bytes.as_ptr().cast(), self.len + 1) };
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::*;

    fn words(words: &[&str]) -> Words {
        let mut words: Vec<*const c_char> =
            words.iter().map(|word| CString::new(*word).unwrap().into_raw().cast_const()).collect();
        words.insert(0, c"program".as_ptr());
        words.push(null());
        // SAFETY: the list is as that of `main`, and never given back.
        unsafe { Words::new(words.leak().as_ptr()) }
    }

    #[test]
    fn calls_are_taken_apart() {
        let given = ["f", "4", "i:18446744073709551615", "s:a:b", "f:4004000000000000", "i:7", "g", "0"];
        let [f, g] = calls(words(&given)).unwrap() else { panic!("not two") };
        let zero = Word::Bits(0);
        let [minus_one, Word::Bits(text), seven, rest @ ..] = f.ints else { panic!("{:?}", f.ints) };
        assert_eq!(
            (f.symbol, minus_one, seven, rest),
            (c"f", Word::Bits(u64::MAX), Word::Bits(7), [zero; 3])
        );
        // SAFETY: the second one is the address of a text.
        let text = unsafe { CStr::from_ptr(std::ptr::with_exposed_provenance(text as usize)) };
        assert_eq!((text, f.floats[0], f.floats[1]), (c"a:b", Word::Bits(2.5_f64.to_bits()), zero));
        assert_eq!((g.symbol, g.ints, g.floats), (c"g", [zero; 6], [zero; 8]));
        let given = ["f", "7", "o:", "z:1", "a:1", "r:2", "d:3", "x:255", "i:1"];
        let [f] = calls(words(&given)).unwrap() else { panic!("not one") };
        assert_eq!(f.ints[..3], [Word::Fresh(1), Word::Address(1), Word::Slot(2)]);
        assert_eq!((f.floats[0], f.keeps, f.once), (Word::Slot(3), Some((255, true)), true));
        assert_eq!(calls(words(&[])).unwrap().len(), 0);
        let eight = ["f", "7", "i:1", "i:2", "i:3", "i:4", "i:5", "i:6", "i:7"];
        let broken: [&[&str]; 8] = [
            &["f", "1", "k:256"],
            &["f"],
            &["f", "1"],
            &["f", "x"],
            &["f", "1", "i"],
            &["f", "1", "i:x"],
            &["f", "1", "y:1"],
            &eight,
        ];
        for broken in broken {
            assert!(calls(words(broken)).is_none(), "{broken:?}");
        }
    }

    #[test]
    fn a_line_is_whole_or_cut() {
        let mut line = Line::new(b"\n");
        for number in [0, 7, 10, 1_000_000, u64::MAX] {
            line.push_number(number);
            line.push(b" ");
        }
        assert_eq!(&line.bytes[..line.len], b"\n0 7 10 1000000 18446744073709551615 ");
        line.push(&[b'x'; 5000]);
        assert_eq!(line.len, line.bytes.len() - 1);
    }

    #[test]
    fn broken_orders_are_refused() {
        for orders in [
            &["reopen"][..],
            &["other", "2", "main", "0", "1", "/x", "/x", "", ""],
            &["reopen", "two", "main", "0", "1", "/x", "/x", "", ""],
            &["reopen", "2", "nobody", "0", "1", "/x", "/x", "", ""],
            &["copies", "2", "main", "0", "1", "/x", "/no/such/file", "", ""],
            &["reopen", "2", "main", "0", "1", "/x", "/x", ""],
        ] {
            assert!(Loop::new(-1, words(orders)).is_err(), "{orders:?}");
        }
    }
}
