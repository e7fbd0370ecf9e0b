//! One cycle: the steps of the job, each phase timed. This is the hot loop. It allocates nothing, and reads the clock once per
//! phase, the end of one being the beginning of the next.

use core::ffi::{CStr, c_char, c_int, c_long, c_void};
use core::sync::atomic::Ordering::{Relaxed, Release};
use core::sync::atomic::{AtomicU8, AtomicU64};

use dlsoak_wire::channel::{Clock, Entry, Failure, Header, Phase, Slot, write_bytes};
use dlsoak_wire::job::{CallFrom, FLOATS, INTEGERS, Kind, Mode, SLOT_STRIDE};

use super::quiet::{base_of, is_there, loads};
use super::setup::{Prepared, Room, Task};
use super::stale::Search;
use crate::copies::Copies;
use crate::{c, heap, short_lived};

/// One prototype for every call. System V x86-64 and AAPCS64 pass integers and floats in registers of their own, in order of
/// appearance among their kind, so a function that takes fewer of either finds its arguments where it expects them and never looks
/// at the rest. The dots say how many registers hold floats, as functions with a variable number of arguments want it (register AL of
/// x86-64).
type Function<R> =
    unsafe extern "C" fn(u64, u64, u64, u64, u64, u64, f64, f64, f64, f64, f64, f64, f64, f64, ...) -> R;
/// The user's own code for one cycle.
type Driver = unsafe extern "C" fn(*mut c_void) -> c_int;

/// Why a thread can't go on: the failure, the number that goes with it, and the words or the name that do.
pub(super) struct Failed {
    pub(super) failure: Failure,
    pub(super) number: c_int,
    /// Null where there are none; they live until the next `dl*` call of this thread.
    pub(super) words: *const c_char,
}

impl Failed {
    /// Puts the words where the supervisor reads them.
    pub(super) fn write_words(&self, room: &[AtomicU8], slot: &Slot) {
        if !self.words.is_null() {
            // SAFETY: the words end in NUL and live until this thread's next dl* call.
            let words = unsafe { CStr::from_ptr(self.words) };
            slot.error_len.store(write_bytes(room, words.to_bytes()) as u32, Relaxed);
        }
    }

    pub(super) fn numbered(failure: Failure, number: c_int) -> Self {
        Self { failure, number, words: core::ptr::null() }
    }

    /// What the loader refused this thread last.
    #[cold]
    pub(super) fn by_loader(failure: Failure) -> Self {
        // SAFETY: dlerror has no precondition.
        Self { failure, number: 0, words: unsafe { c::dlerror() } }
    }
}

/// Ticks of a clock since some moment in the past.
#[inline(always)]
pub(super) fn ticks(clock: Clock) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if clock == Clock::Tsc {
        // Without a fence, which costs half as much again: the processor may read it some ten nanoseconds before what comes ahead
        // of it is done, at the end of a phase and so at the beginning of the next.
        #[allow(unused_unsafe, reason = "safe to call since Rust 1.94")]
        // SAFETY: the instruction is there on every x86-64, and touches no memory.
        return unsafe { core::arch::x86_64::_rdtsc() };
    }
    let _ = clock;
    c::monotonic_ns()
}

/// What one thread needs to cycle.
pub(super) struct Cycler {
    task: &'static Task,
    thread: usize,
    path: &'static CStr,
    /// What the next order of the libraries is made from.
    random: u64,
    copies: Option<Copies>,
    /// What the steps of the cycle under way have found, and the slots.
    room: Room,
    /// Looks for stale pointers, where that is wanted: in the first thread, which is then the only one.
    search: Option<&'static mut Search>,
    clock: Clock,
    /// Nanoseconds spent beside the cycles, in the order under way.
    beside_ns: u64,
    /// Libraries opened so far, where a cycle opens several.
    visits: u64,
}

impl Cycler {
    pub(super) fn new(task: &'static Task, thread: usize, room: Room) -> Self {
        let path = task.path(thread, 0);
        // Another one for each thread; all bits of a small seed count at once.
        let random = task.job.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15 * (2 * thread as u64 + 1));
        let copies = (task.job.mode == Mode::Copies).then(|| Copies::new(path, task.image));
        let clock = Clock::from_u32(task.channel.header().clock.load(Relaxed));
        let table = if cfg!(dlsoak_pointers) && thread == 0 { task.channel.pointers() } else { None };
        // Without memory for it nothing is found, and the table says so.
        let search = table.and_then(|table| Search::new(table, task.kept).ok());
        Self { task, thread, path, random, copies, room, search, clock, beside_ns: 0, visits: 0 }
    }

    /// Cycles until the slot's target is reached and none are left that all threads share, or the order is to stop. The ring
    /// starts over at each order.
    pub(super) fn run(&mut self, slot: &Slot, ring: &[Entry], order: &Header) -> Result<(), Failed> {
        let mut target = slot.target.load(Relaxed);
        let mut completed = slot.completed.load(Relaxed);
        let mut begin = ticks(self.clock);
        slot.load_address.store(0, Relaxed);
        if order.visit.load(Relaxed) != 0
            && self.thread == 0
            && let Some(entry) = ring.first()
        {
            begin = self.make_one(slot, entry, begin)?;
        }
        for (made, entry) in ring.iter().enumerate() {
            if completed >= target {
                target = completed + order.take_shared((ring.len() - made) as u64);
            }
            if completed >= target || order.stop.load(Relaxed) != 0 {
                break;
            }
            begin = self.make_one(slot, entry, begin)?;
            completed += 1;
            // The supervisor reads the entry only after it has seen this count.
            slot.completed.store(completed, Release);
        }
        Ok(())
    }

    /// Makes one cycle on the thread that it is to run on; returns when it was over.
    #[inline(never)]
    fn make_one(&mut self, slot: &Slot, entry: &Entry, begin: u64) -> Result<u64, Failed> {
        if self.task.job.call_from == CallFrom::ShortLived {
            self.cycle_that_ends(slot, entry, begin)
        } else {
            let ready = self.ready(begin)?;
            self.cycle(slot, entry, ready)
        }
    }

    /// Nanoseconds that the last run spent beside its cycles.
    pub(super) fn take_beside_ns(&mut self) -> u64 {
        core::mem::take(&mut self.beside_ns)
    }

    /// Makes what the next cycle opens, where that must be made; returns when the cycle begins.
    #[inline]
    fn ready(&mut self, since: u64) -> Result<u64, Failed> {
        if self.copies.is_none() {
            return Ok(since);
        }
        self.make()?;
        let ready = ticks(self.clock);
        self.beside_ns += ready.saturating_sub(since);
        Ok(ready)
    }

    fn make(&mut self) -> Result<(), Failed> {
        let Some(copies) = &mut self.copies else { return Ok(()) };
        copies.make().map_err(|number| Failed {
            failure: Failure::Copy,
            number,
            words: copies.path().as_ptr(),
        })
    }

    /// One cycle on a thread that ends with it, and is gone when this returns.
    fn cycle_that_ends(&mut self, slot: &Slot, entry: &Entry, since: u64) -> Result<u64, Failed> {
        self.make()?;
        let mut begun = since;
        // Unless the cycle comes to its end: a library may end the thread instead.
        let mut closed = Err(Failed::numbered(Failure::Ended, 0));
        short_lived::run(&mut || {
            let _announced = self.task.announce(slot);
            begun = ticks(self.clock);
            closed = self.cycle(slot, entry, begun);
            if let Err(failed) = &closed {
                // The words are those of a thread that is about to end.
                failed.write_words(self.task.channel.error(self.thread), slot);
            }
        })
        .map_err(|number| Failed::numbered(Failure::Thread, number))?;
        let closed = closed.map_err(|failed| Failed { words: core::ptr::null(), ..failed })?;
        // What the thread's end has let go is unloaded by the next dlclose of anything, which a host makes soon.
        self.let_go();
        let now = ticks(self.clock);
        self.beside_ns += now.saturating_sub(since).saturating_sub(closed.saturating_sub(begun));
        Ok(now)
    }

    /// Has the loader look again whether the library is still needed: a reference taken and given back. A namespace can't be
    /// entered again without its number.
    fn let_go(&self) {
        if self.copies.is_some() {
            let _ = is_there(self.path());
        } else if self.task.job.mode != Mode::Namespace {
            for path in self.task.files() {
                let _ = is_there(path);
            }
        }
    }

    /// What this cycle opens.
    #[inline(always)]
    fn path(&self) -> &CStr {
        match &self.copies {
            None => self.path,
            Some(copies) => copies.path(),
        }
    }

    /// One cycle: all libraries one after the other, or the one that is to be visited alone.
    fn cycle(&mut self, slot: &Slot, entry: &Entry, begin: u64) -> Result<u64, Failed> {
        let task = self.task;
        if task.job.libraries == 1 {
            return self.open_to_close(slot, entry, begin);
        }
        for phase in [Phase::Open, Phase::Symbol, Phase::Call, Phase::Close, Phase::After] {
            entry.of(phase as u32).store(0, Relaxed);
        }
        let visit = task.channel.header().visit.load(Relaxed) as usize;
        let alone = [visit.wrapping_sub(1)];
        let count = if visit == 0 { self.shuffle() } else { 1 };
        let mut since = begin;
        for position in 0..count {
            let order = if visit == 0 { &*self.room.order } else { &alone };
            let library = order.get(position).copied().unwrap_or(0);
            slot.library.store(library as u32, Relaxed);
            self.path = task.path(self.thread, library);
            let before = (heap::in_use().bytes, loads());
            since = self.open_to_close(slot, entry, since)?;
            let after = (heap::in_use().bytes, loads());
            if let Some(noted) = task.channel.visits().get(task.place(self.thread, library)) {
                noted.base.store(slot.base.load(Relaxed), Relaxed);
                noted.cycle.store(slot.completed.load(Relaxed), Relaxed);
                self.visits += 1;
                noted.number.store(self.visits, Relaxed);
                noted.heap.fetch_add((after.0 - before.0).cast_unsigned(), Relaxed);
                noted.adds.fetch_add(after.1.0.wrapping_sub(before.1.0), Relaxed);
                noted.subs.fetch_add(after.1.1.wrapping_sub(before.1.1), Relaxed);
            }
        }
        Ok(since)
    }

    /// Puts the libraries in the order of the next cycle, where that is another one each time; returns their number.
    fn shuffle(&mut self) -> usize {
        let order = &mut *self.room.order;
        if self.random != 0 {
            for last in (1..order.len()).rev() {
                // Marsaglia, "Xorshift RNGs" (2003).
                self.random ^= self.random << 13;
                self.random ^= self.random >> 7;
                self.random ^= self.random << 17;
                order.swap(last, self.random as usize % (last + 1));
            }
        }
        order.len()
    }

    /// The steps of the job with one library. Not inlined: it is called in two places, and a call costs a nanosecond.
    #[inline(never)]
    fn open_to_close(&mut self, slot: &Slot, entry: &Entry, begin: u64) -> Result<u64, Failed> {
        let task = self.task;
        let mut since = begin;
        let mut phase = 0;
        let mut handle: *mut c_void = core::ptr::null_mut();
        let mut base = 0;
        for (index, step) in task.steps.iter().enumerate() {
            if step.phase as u32 != phase {
                if phase != 0 {
                    since = self.time(entry, phase, since);
                }
                phase = step.phase as u32;
                slot.phase.store(phase, Relaxed);
            }
            match step.kind {
                Kind::Open => {
                    handle = self.open()?;
                    // SAFETY: the handle is that of the library, which is open.
                    base = unsafe { base_of(handle) };
                    slot.base.store(base, Relaxed);
                    if slot.load_address.load(Relaxed) == 0 {
                        slot.load_address.store(base, Relaxed);
                    }
                }
                Kind::Find => {
                    // SAFETY: the handle is open, the name ends in NUL.
                    let found = unsafe { c::dlsym(handle, step.name) };
                    if found.is_null() {
                        return Err(self.close_failed(Failed::by_loader(Failure::Symbol), slot, handle));
                    }
                    if let Some(cell) = self.room.found.get_mut(index) {
                        *cell = found;
                    }
                }
                Kind::Call => {
                    if let Some(function) = self.room.found.get(step.target as usize) {
                        // SAFETY: the address is that of a function of the library that is open right now; its arguments are as
                        // the call expression's author states them.
                        unsafe { call::<u64>(*function, &step.ints, &step.floats) };
                    }
                }
                Kind::Exchange => {
                    if let Some(function) = self.room.found.get(step.target as usize) {
                        // SAFETY: as for a call.
                        let checked = unsafe { exchange(*function, step, self.room.slots, slot) };
                        checked.map_err(|failed| self.close_failed(failed, slot, handle))?;
                    }
                }
                Kind::Drive => {
                    // SAFETY: the driver was opened for good; this is the documented prototype of an exercise.
                    let code = unsafe { core::mem::transmute::<*mut c_void, Driver>(step.driver)(handle) };
                    if code != 0 {
                        return Err(self.close_failed(Failed::numbered(Failure::Driver, code), slot, handle));
                    }
                }
                Kind::Close => {
                    // SAFETY: the handle was opened in this cycle.
                    if unsafe { c::dlclose(handle) } != 0 {
                        return Err(Failed::by_loader(Failure::Close));
                    }
                }
                Kind::After => {
                    // SAFETY: the function was found in a library that is never closed; its arguments are as the call expression's
                    // author states them.
                    unsafe { exchange(step.driver, step, self.room.slots, slot) }?;
                }
                Kind::Note => {
                    if cfg!(dlsoak_pointers)
                        && let Some(search) = &mut self.search
                    {
                        search.note();
                    }
                }
                Kind::Scan => {
                    if cfg!(dlsoak_pointers)
                        && let Some(search) = &mut self.search
                    {
                        search.scan(step.target as usize);
                    }
                }
                Kind::Replace => {
                    exchange_files(self.path, step.name)?;
                    // Nanoseconds, because the supervisor chose that clock.
                    since = c::monotonic_ns();
                    self.beside_ns += since.wrapping_sub(begin);
                }
                Kind::Build => {
                    // SAFETY: the library is open. The supervisor chose a place that both builds have in a segment that is read-only.
                    let word = unsafe { ((base + step.target) as *const u64).read() };
                    entry.build.store(word, Relaxed);
                }
                // Not of a cycle.
                Kind::Driver | Kind::Prepare | Kind::SetUp => {}
            }
        }
        let closed = self.time(entry, phase, since);
        entry.base.store(base, Relaxed);
        Ok(closed)
    }

    /// Writes down the time of a phase that ends now; of several libraries, that of all.
    #[inline(always)]
    fn time(&self, entry: &Entry, phase: u32, since: u64) -> u64 {
        let now = ticks(self.clock);
        let cell = entry.of(phase);
        let before = if self.task.job.libraries == 1 { 0 } else { cell.load(Relaxed) };
        cell.store(before + now.saturating_sub(since), Relaxed);
        now
    }

    /// Closes what a cycle that fails has opened, as a host does. The words are written down before: the next call of the loader may
    /// take them away.
    #[cold]
    fn close_failed(&self, failed: Failed, slot: &Slot, handle: *mut c_void) -> Failed {
        failed.write_words(self.task.channel.error(self.thread), slot);
        // SAFETY: the handle was opened in this cycle.
        unsafe { c::dlclose(handle) };
        Failed { words: core::ptr::null(), ..failed }
    }

    #[inline(always)]
    fn open(&self) -> Result<*mut c_void, Failed> {
        let flags = self.task.job.flags as c_int;
        let path = self.path().as_ptr();
        // SAFETY: loading a library runs its code; that is what a soak is for. The path ends in NUL.
        let (handle, failure) = unsafe {
            if self.task.job.mode == Mode::Namespace {
                (c::dlmopen(c::LM_ID_NEWLM, path, flags), Failure::Namespace)
            } else {
                (c::dlopen(path, flags), Failure::Open)
            }
        };
        if handle.is_null() { Err(Failed::by_loader(failure)) } else { Ok(handle) }
    }
}

/// Has two files change places, as a rename replaces one: at no moment is there none.
fn exchange_files(path: &'static CStr, other: *const c_char) -> Result<(), Failed> {
    /// `RENAME_EXCHANGE`.
    const EXCHANGE: c_long = 2;
    /// A directory that absolute names don't use.
    const NO_DIRECTORY: c_long = -1;
    let path = path.as_ptr();
    // SAFETY: both names end in NUL.
    if unsafe { c::syscall(c::sys::RENAMEAT2, NO_DIRECTORY, path, NO_DIRECTORY, other, EXCHANGE) } == 0 {
        return Ok(());
    }
    Err(Failed { failure: Failure::Copy, number: c::errno(), words: path })
}

/// Calls a function.
///
/// # Safety
/// It must take what it is given, and return what fits into the register that an `R` is returned in.
#[inline(always)]
unsafe fn call<R>(function: *mut c_void, ints: &[u64; INTEGERS], floats: &[u64; FLOATS]) -> R {
    let [a, b, c, d, e, f] = *ints;
    let [s, t, u, v, w, x, y, z] = floats.map(f64::from_bits);
    // SAFETY: the caller's contract; see `Function` for why one prototype serves.
    unsafe {
        let function = core::mem::transmute::<*mut c_void, Function<R>>(function);
        core::hint::black_box(function(a, b, c, d, e, f, s, t, u, v, w, x, y, z))
    }
}

/// Calls a function with what is in slots, keeps its result in one, and checks it. Apart from the loop, so that a call that does none of
/// it stays as quick as it is.
///
/// # Errors
/// When the check fails, where the result is in the channel then, or when it wrote beyond an out-parameter.
///
/// # Safety
/// It must take what the step gives.
#[inline(never)]
pub(super) unsafe fn exchange(
    function: *mut c_void,
    step: &Prepared,
    slots: &[AtomicU64],
    slot: &Slot,
) -> Result<(), Failed> {
    let (mut ints, mut floats) = (step.ints, step.floats);
    let of = |number: u64| slots.get(number as usize * SLOT_STRIDE);
    let held = |number: u64| of(number).map_or(0, |slot| slot.load(Relaxed));
    each_bit(step.slots.values | step.slots.addresses, |at| {
        let Some((int, slot)) = ints.get_mut(at).and_then(|int| of(*int).map(|slot| (int, slot))) else {
            return;
        };
        let is_in = |bits: u8| bits >> at & 1 != 0;
        if is_in(step.slots.fresh) {
            slot.store(0, Relaxed);
        }
        *int = if is_in(step.slots.addresses) { slot.as_ptr() as u64 } else { slot.load(Relaxed) };
    });
    each_bit(step.slots.floats, |at| {
        if let Some(float) = floats.get_mut(at) {
            *float = held(*float);
        }
    });
    // SAFETY: the caller's contract.
    let returned = unsafe {
        if step.read.is_floating() {
            call::<f64>(function, &ints, &floats).to_bits()
        } else {
            call::<u64>(function, &ints, &floats)
        }
    };
    let mut is_beyond = false;
    each_bit(step.slots.addresses, |at| {
        let begin = step.ints.get(at).map_or(0, |number| *number as usize * SLOT_STRIDE);
        let behind = slots.get(begin + 1..begin + SLOT_STRIDE).unwrap_or_default();
        is_beyond |= behind.iter().any(|word| word.load(Relaxed) != 0);
    });
    if is_beyond {
        return Err(Failed { failure: Failure::Overrun, number: 0, words: step.name });
    }
    if let Some(keeps) = step.keeps.checked_sub(1).and_then(of) {
        keeps.store(returned, Relaxed);
    }
    let against = step.against;
    let against = if step.slots.against { held(against) } else { against };
    if step.read.holds(step.comparison, returned, against) {
        return Ok(());
    }
    slot.returned.store(returned, Relaxed);
    Err(Failed { failure: Failure::Check, number: step.read as c_int, words: step.name })
}

/// Calls `each` with the number of each bit that is set.
pub(super) fn each_bit(mut bits: u8, mut each: impl FnMut(usize)) {
    while bits != 0 {
        each(bits.trailing_zeros() as usize);
        bits &= bits - 1;
    }
}
