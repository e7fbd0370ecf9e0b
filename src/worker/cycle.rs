//! One cycle: open, look up, call, close, each timed. This is the hot loop; it allocates nothing and reads the
//! clock four times a cycle, the end of one phase being the beginning of the next.

use std::ffi::{CStr, CString, c_int, c_void};
use std::sync::atomic::Ordering::{Relaxed, Release};

use libloading::os::unix::Library;

use super::failure::Failure;
use super::job::Job;
use super::open::{Opened, Opener};
use super::{short_lived, trace};
use crate::channel::{Entry, Header, Phase, Slot};
use crate::record::CallFrom;
use crate::suite::call::{Arg, Call, MAX_FLOATS, MAX_INTEGERS};
use crate::sys::clock::Clock;
use crate::sys::glibc::base_of;
use crate::sys::state::load_address;

/// One prototype for every call. System V x86-64 and AAPCS64 pass integers and floats in registers of their own,
/// in order of appearance among their kind, so a function that takes fewer of either finds its arguments where
/// it expects them and never looks at the rest.
pub(super) type Function =
    unsafe extern "C" fn(i64, i64, i64, i64, i64, i64, f64, f64, f64, f64, f64, f64, f64, f64) -> i64;
/// The caller's own code for one cycle.
type Driver = unsafe extern "C" fn(*mut c_void) -> c_int;

/// A call with its arguments ready for registers.
#[derive(Debug)]
struct PreparedCall {
    symbol: CString,
    ints: [i64; MAX_INTEGERS],
    floats: [f64; MAX_FLOATS],
    /// What `ints` points into.
    _strings: Vec<CString>,
}

/// Everything one thread needs to cycle.
#[derive(Debug)]
pub(super) struct ThreadPlan {
    opener: Opener,
    call_from: CallFrom,
    /// Times the phases; counts nanoseconds where something is done beside the cycles.
    clock: Clock,
    /// Nanoseconds spent beside the cycles, in the order under way.
    beside_ns: u64,
    calls: Vec<PreparedCall>,
    /// Addresses found in the cycle under way, one per call.
    found: Vec<Option<Function>>,
    driver: Option<Driver>,
}

/// Makes every thread's plan from the job.
///
/// # Errors
/// When the job does not fit the number of threads, or the exercise's driver does not load.
pub(super) fn prepare(job: &Job, threads: usize, clock: Clock) -> Result<Vec<ThreadPlan>, String> {
    let driver = match &job.exercise {
        None => None,
        Some(exercise) => Some(load_driver(&exercise.driver(), &exercise.symbol)?),
    };
    let mut openers = Opener::all(job, threads)?.into_iter();
    (0..threads)
        .map(|_| {
            let opener = openers.next().ok_or("the job has fewer files than threads")?;
            let calls = job.calls.iter().map(PreparedCall::new).collect::<Result<Vec<_>, _>>()?;
            let found = vec![None; calls.len()];
            Ok(ThreadPlan { opener, call_from: job.call_from, clock, beside_ns: 0, calls, found, driver })
        })
        .collect()
}

fn load_driver(path: &std::path::Path, symbol: &str) -> Result<Driver, String> {
    let refused =
        |e: libloading::Error| format!("exercise {}:{symbol}: {}", path.display(), Failure::Open(e));
    // SAFETY: loading runs the driver's constructors; it is the caller's own code, given to be run.
    let library = unsafe { Library::open(Some(path), libc::RTLD_NOW | libc::RTLD_LOCAL) }.map_err(refused)?;
    // SAFETY: the documented prototype of an exercise is `int fn(void *handle)`.
    let function = *unsafe { library.get::<Driver>(symbol) }.map_err(refused)?;
    // It stays for the life of the worker: the function is used until then.
    let _ = library.into_raw();
    Ok(function)
}

impl PreparedCall {
    fn new(call: &Call) -> Result<Self, String> {
        let mut prepared = Self {
            symbol: CString::new(call.symbol.as_str()).map_err(|_| "a symbol with a NUL byte")?,
            ints: [0; MAX_INTEGERS],
            floats: [0.0; MAX_FLOATS],
            _strings: Vec::new(),
        };
        let (mut ints, mut floats) = (0, 0);
        for arg in &call.args {
            let too_many = || format!("too many arguments in {}", call.text);
            if let Some(value) = float_register(arg) {
                *prepared.floats.get_mut(floats).ok_or_else(too_many)? = value;
                floats += 1;
                continue;
            }
            let value = match arg {
                Arg::Int(value) => *value,
                Arg::Unsigned(value) => value.cast_signed(),
                Arg::Text(text) => {
                    let text = text.clone();
                    let address = text.as_ptr() as i64;
                    prepared._strings.push(text);
                    address
                }
                Arg::Double(_) | Arg::Float(_) | Arg::Null => 0,
            };
            *prepared.ints.get_mut(ints).ok_or_else(too_many)? = value;
            ints += 1;
        }
        Ok(prepared)
    }

    /// Calls the function.
    ///
    /// # Safety
    /// `function` must take what the call expression gives, as its author states.
    #[inline]
    unsafe fn invoke(&self, function: Function) {
        let [a, b, c, d, e, f] = self.ints;
        let [s, t, u, v, w, x, y, z] = self.floats;
        // SAFETY: the caller's contract; see `Function` for why one prototype serves.
        std::hint::black_box(unsafe { function(a, b, c, d, e, f, s, t, u, v, w, x, y, z) });
    }
}

/// Notes where the library was loaded, so that code that runs on when it is gone can be told to be its.
#[cold]
fn noted(library: Opened, slot: &Slot) -> Opened {
    // SAFETY: the handle is that of the library, which is open.
    let (library, address) = library.with_handle(|handle| unsafe { load_address(handle) });
    slot.load_address.store(address, Relaxed);
    library
}

/// What a floating-point argument looks like in its register; `None` for arguments of other kinds.
fn float_register(arg: &Arg) -> Option<f64> {
    match arg {
        Arg::Double(value) => Some(*value),
        // A C `float` is the low half of the register.
        Arg::Float(value) => Some(f64::from_bits(u64::from(value.to_bits()))),
        _ => None,
    }
}

impl ThreadPlan {
    /// Cycles until the slot's target is reached and none are left that all threads share, or the order is to stop. The ring
    /// starts over at each order.
    pub(super) fn run(&mut self, slot: &Slot, ring: &[Entry], order: &Header) -> Result<(), Failure> {
        let mut target = slot.target.load(Relaxed);
        let mut completed = slot.completed.load(Relaxed);
        let mut begin = self.clock.ticks();
        slot.load_address.store(0, Relaxed);
        for (made, entry) in ring.iter().enumerate() {
            if completed >= target {
                target = completed + order.take_shared((ring.len() - made) as u64);
            }
            if completed >= target || order.stop.load(Relaxed) != 0 {
                break;
            }
            begin = match self.call_from {
                CallFrom::Main | CallFrom::Worker => {
                    let ready = self.ready(begin)?;
                    self.cycle(slot, entry, ready)?
                }
                CallFrom::ShortLived => self.cycle_that_ends(slot, entry, begin)?,
            };
            completed += 1;
            // The supervisor reads the entry only after it has seen this count.
            slot.completed.store(completed, Release);
        }
        Ok(())
    }

    /// Nanoseconds that the last run spent beside its cycles.
    pub(super) fn take_beside_ns(&mut self) -> u64 {
        std::mem::take(&mut self.beside_ns)
    }

    /// One cycle and nothing else: no clock, no notes.
    pub(super) fn bare_cycle(&mut self) -> Result<(), Failure> {
        self.opener.make()?;
        let library = self.opener.open()?;
        self.look_up(&library)?;
        self.call(library)?.close()
    }

    /// Has the loader look again whether the library is still needed.
    pub(super) fn let_go(&self) {
        self.opener.let_go();
    }

    /// Makes what the next cycle opens, where that must be made; returns when the cycle begins.
    #[inline]
    fn ready(&mut self, since: u64) -> Result<u64, Failure> {
        if !self.opener.is_made() {
            return Ok(since);
        }
        self.opener.make()?;
        let ready = self.clock.ticks();
        self.beside_ns += ready.saturating_sub(since);
        Ok(ready)
    }

    /// One cycle on a thread that ends with it, and is gone when this returns.
    fn cycle_that_ends(&mut self, slot: &Slot, entry: &Entry, since: u64) -> Result<u64, Failure> {
        self.opener.make()?;
        let mut begun = since;
        // Unless the cycle comes to its end: a library may end the thread instead.
        let mut closed = Err(Failure::Ended);
        short_lived::run(&mut || {
            let _announced = trace::Announced::new(slot);
            begun = self.clock.ticks();
            closed = self.cycle(slot, entry, begun);
        })
        .map_err(Failure::Thread)?;
        let closed = closed?;
        // What the thread's end has let go is unloaded by the next dlclose of anything, which a host makes soon.
        self.opener.let_go();
        let now = self.clock.ticks();
        self.beside_ns += now.saturating_sub(since).saturating_sub(closed.saturating_sub(begun));
        Ok(now)
    }

    /// Finds the functions of all calls.
    #[inline(always)]
    fn look_up(&mut self, library: &Opened) -> Result<(), Failure> {
        for (call, found) in self.calls.iter().zip(&mut self.found) {
            let symbol: &CStr = &call.symbol;
            // SAFETY: the prototype is as the call expression's author states it.
            *found = Some(unsafe { library.function(symbol) }.map_err(Failure::Symbol)?);
        }
        Ok(())
    }

    /// Makes all calls, and the user's own.
    #[inline(always)]
    fn call(&self, library: Opened) -> Result<Opened, Failure> {
        for (call, found) in self.calls.iter().zip(&self.found) {
            if let Some(function) = found {
                // SAFETY: the address is of the library that is open right now; arguments as stated.
                unsafe { call.invoke(*function) };
            }
        }
        let Some(driver) = self.driver else { return Ok(library) };
        // SAFETY: the documented prototype of an exercise; the handle is open.
        let (library, code) = library.with_handle(|handle| unsafe { driver(handle) });
        if code == 0 { Ok(library) } else { Err(Failure::Driver(code)) }
    }

    #[inline]
    fn cycle(&mut self, slot: &Slot, entry: &Entry, begin: u64) -> Result<u64, Failure> {
        slot.phase.store(Phase::Open as u32, Relaxed);
        let library = self.opener.open()?;
        let opened = self.clock.ticks();
        // Once per order: asking costs as much as an open that loads nothing.
        let library = if slot.load_address.load(Relaxed) == 0 { noted(library, slot) } else { library };
        // SAFETY: the handle is that of the library, which is open.
        let (library, base) = library.with_handle(|handle| unsafe { base_of(handle) });
        slot.base.store(base, Relaxed);

        slot.phase.store(Phase::Symbol as u32, Relaxed);
        self.look_up(&library)?;
        let looked_up = self.clock.ticks();

        slot.phase.store(Phase::Call as u32, Relaxed);
        let library = self.call(library)?;
        let called = self.clock.ticks();

        slot.phase.store(Phase::Close as u32, Relaxed);
        library.close()?;
        let closed = self.clock.ticks();

        entry.open.store(opened.saturating_sub(begin), Relaxed);
        entry.symbol.store(looked_up.saturating_sub(opened), Relaxed);
        entry.call.store(called.saturating_sub(looked_up), Relaxed);
        entry.close.store(closed.saturating_sub(called), Relaxed);
        entry.base.store(base, Relaxed);
        Ok(closed)
    }
}
