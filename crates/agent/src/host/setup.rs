//! From the job to what the threads cycle by: names in memory of the process's own, which a library that scribbles over the channel
//! can't reach, addresses in place of offsets, what is held and drivers opened, and the set-up made.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::null_mut;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use dlsoak_wire::channel::{Failure, Parts, Slot};
use dlsoak_wire::job::{Job, Kind, Mode, SLOT_STRIDE, Step};

use super::cycle::{Failed, each_bit, exchange};
use crate::{c, copies};

/// A step with its addresses: those of names among its arguments are in their place.
#[derive(Clone, Copy)]
pub(super) struct Prepared {
    pub(super) step: Step,
    pub(super) name: *const c_char,
    symbol: *const c_char,
    /// A function of a driver or of what is held, or a driver's handle, once these are open; its function's name before.
    pub(super) driver: *mut c_void,
}

impl core::ops::Deref for Prepared {
    type Target = Step;

    fn deref(&self) -> &Step {
        &self.step
    }
}

/// What all threads cycle by.
pub(super) struct Task {
    pub(super) job: Job,
    /// Those of the set-up.
    once: &'static mut [Prepared],
    pub(super) steps: &'static mut [Prepared],
    /// What is in the slots when a thread begins: what the set-up keeps.
    pub(super) kept: &'static [AtomicU64],
    /// The library's bytes, where copies are made of it.
    pub(super) image: &'static [u8],
    pub(super) channel: Parts,
    /// Offsets of the threads' paths, of each library one, then of the files, and then the words of what is held.
    paths: &'static [u64],
    names: &'static [u8],
    /// The handles of what is held.
    held: &'static [*mut c_void],
    announce: Option<Announce>,
}

/// What a thread writes to while it cycles: what the steps of a cycle find, the slots, and the numbers of the libraries in their order.
pub(super) struct Room {
    pub(super) order: &'static mut [usize],
    pub(super) found: &'static mut [*mut c_void],
    pub(super) slots: &'static [AtomicU64],
}

/// See `dlsoak_trace_thread` in `preload`.
type Announce = unsafe extern "C" fn(*const c_void);

impl Task {
    /// Makes it from the job in the channel.
    ///
    /// # Errors
    /// What can't be had.
    pub(super) fn prepare(channel: Parts) -> Result<Self, Failed> {
        let bytes = channel.job();
        let memory = |number| Failed::numbered(Failure::Memory, number);
        // The words first, in memory that is aligned for them.
        let private = c::map(bytes.len().max(1)).map_err(memory)?;
        for (cell, byte) in private.iter_mut().zip(bytes) {
            *cell = byte.load(Relaxed);
        }
        // SAFETY: any bytes are valid words; what does not fit is left out.
        let (_, words, _) = unsafe { private.align_to::<u64>() };
        let broken = || Failed::numbered(Failure::Memory, c::EINVAL);
        let job = Job::from_words(words).ok_or_else(broken)?;
        let before_names =
            job.words_before_names().filter(|count| *count <= words.len()).ok_or_else(broken)?;
        let names = &private[before_names * 8..];
        let lists = (job.opened() + job.files + job.holds) as usize;
        let paths = &words[Job::WORDS..Job::WORDS + lists];
        let count = job.steps as usize;
        let room = c::map(count.max(1) * size_of::<Prepared>()).map_err(memory)?;
        // SAFETY: the memory is large enough and begins on a page; all of it is written before it is read.
        let steps = unsafe {
            core::slice::from_raw_parts_mut(
                room.as_mut_ptr().cast::<core::mem::MaybeUninit<Prepared>>(),
                count,
            )
        };
        for (prepared, words) in steps.iter_mut().zip(words[Job::WORDS + lists..].chunks(Step::WORDS)) {
            let step = Step::from_words(words).ok_or_else(broken)?;
            prepared.write(prepare(&step, names));
        }
        // SAFETY: there are as many words as steps, or `words_before_names` were more than there are.
        let steps = unsafe { core::slice::from_raw_parts_mut(room.as_mut_ptr().cast::<Prepared>(), count) };
        let image = if job.mode == Mode::Copies {
            let path = name(names, job.original);
            copies::read(path).map_err(|number| Failed {
                failure: Failure::Original,
                number,
                words: path.as_ptr(),
            })?
        } else {
            &[]
        };
        let (once, steps) = steps.split_at_mut((job.setups as usize).min(count));
        let kept = if job.slots == 0 { &[][..] } else { slots(job.slots as usize * SLOT_STRIDE, 0)?.1 };
        Ok(Self { job, once, steps, kept, image, channel, paths, names, held: &[], announce: None })
    }

    /// Finds the library that takes notes, where the process is traced.
    ///
    /// # Errors
    /// When it is not there, and so nothing would be noted.
    pub(super) fn find_tracer(&mut self) -> Result<(), Failed> {
        if self.job.trace == 0 {
            return Ok(());
        }
        // SAFETY: the name ends in NUL. Nobody else exports it, and that is its type.
        self.announce = unsafe {
            let found = c::dlsym(null_mut(), c"dlsoak_trace_thread".as_ptr());
            core::mem::transmute::<*mut c_void, Option<Announce>>(found)
        };
        if self.announce.is_none() { Err(Failed::numbered(Failure::Tracer, 0)) } else { Ok(()) }
    }

    /// Opens what the host holds, for the life of the process, and finds the functions of it that are called after each close. What the
    /// host links is there already.
    ///
    /// # Errors
    /// What the loader said, or which library it does not have.
    pub(super) fn open_holds(&mut self) -> Result<(), Failed> {
        let holds = &self.paths[(self.job.opened() + self.job.files) as usize..];
        let room =
            c::map(size_of_val(holds).max(1)).map_err(|number| Failed::numbered(Failure::Memory, number))?;
        // SAFETY: the memory is large enough, begins on a page, and all zero is a valid pointer; it is never given back.
        let handles =
            unsafe { core::slice::from_raw_parts_mut(room.as_mut_ptr().cast::<*mut c_void>(), holds.len()) };
        for (handle, word) in handles.iter_mut().zip(holds) {
            let path = name(self.names, word >> 1).as_ptr();
            let is_linked = word & 1 != 0;
            let flags = if is_linked { c::RTLD_LAZY | c::RTLD_NOLOAD } else { c::RTLD_NOW };
            // SAFETY: loading runs the library's constructors; the user gave it to be held. The path ends in NUL.
            *handle = unsafe { c::dlopen(path, flags) };
            if handle.is_null() && is_linked {
                return Err(Failed { failure: Failure::Linked, number: 0, words: path });
            } else if handle.is_null() {
                return Err(Failed::by_loader(Failure::Hold));
            }
        }
        for step in self.steps.iter_mut().filter(|step| step.kind == Kind::After) {
            // SAFETY: the handles are open, the name ends in NUL.
            let mut found = handles.iter().map(|handle| unsafe { c::dlsym(*handle, step.symbol) });
            let Some(found) = found.find(|found| !found.is_null()) else {
                return Err(Failed { failure: Failure::After, number: 0, words: step.symbol });
            };
            step.driver = found;
        }
        self.held = handles;
        Ok(())
    }

    /// Opens the drivers, for the life of the process, and finds their functions.
    ///
    /// # Errors
    /// What the loader said.
    pub(super) fn open_drivers(&mut self) -> Result<(), Failed> {
        for step in self.once.iter_mut().chain(self.steps.iter_mut()) {
            if !matches!(step.kind, Kind::Drive | Kind::Driver | Kind::SetUp) {
                continue;
            }
            // SAFETY: loading runs the driver's constructors; it is the user's own code, given to be run. Both names end in NUL.
            let found = unsafe {
                let handle = c::dlopen(step.name, c::RTLD_NOW);
                if handle.is_null() || step.kind == Kind::Driver {
                    handle
                } else {
                    c::dlsym(handle, step.driver.cast())
                }
            };
            if found.is_null() {
                return Err(Failed::by_loader(Failure::DriverOpen));
            }
            step.driver = found;
        }
        Ok(())
    }

    /// Makes the set-up, on the thread that runs `main`, before any other is there.
    ///
    /// # Errors
    /// A function that is not there, a check that failed, or what the driver's own returned.
    pub(super) fn set_up(&self, slot: &Slot) -> Result<(), Failed> {
        /// `int setup(void)`.
        type SetUp = unsafe extern "C" fn() -> c_int;
        for step in self.once.iter() {
            match step.kind {
                Kind::Prepare => {
                    let function = self.host_function(step.symbol)?;
                    // SAFETY: the function stays; its arguments are as the call expression's author states them.
                    let checked = unsafe { exchange(function, step, self.kept, slot) };
                    checked.map_err(|failed| match failed.failure {
                        Failure::Check => Failed { failure: Failure::SetUpCheck, ..failed },
                        _ => failed,
                    })?;
                }
                Kind::SetUp => {
                    // SAFETY: the driver was opened for good; this is the documented prototype.
                    let code = unsafe { core::mem::transmute::<*mut c_void, SetUp>(step.driver)() };
                    if code != 0 {
                        return Err(Failed::numbered(Failure::SetUpDriver, code));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A function of the host: in what is held, in what is open for good, or in what the process has.
    fn host_function(&self, symbol: *const c_char) -> Result<*mut c_void, Failed> {
        let open = self.once.iter().filter(|step| step.kind == Kind::Driver).map(|step| step.driver);
        let held = self.held.iter().copied();
        // SAFETY: the handle is open, or null, which stands for what the process has; the name ends in NUL.
        let find = |handle| unsafe { c::dlsym(handle, symbol) };
        let mut found = held.chain(open).chain([null_mut()]).map(find);
        let found = found.find(|found| !found.is_null());
        found.ok_or(Failed { failure: Failure::SetUpSymbol, number: 0, words: symbol })
    }

    /// The file that `thread` opens of a library.
    pub(super) fn path(&self, thread: usize, library: usize) -> &'static CStr {
        let offset = self.paths.get(self.place(thread, library));
        name(self.names, offset.copied().unwrap_or(u64::MAX))
    }

    /// Where a thread's part of what is noted of a library is.
    pub(super) fn place(&self, thread: usize, library: usize) -> usize {
        thread * self.job.libraries as usize + library
    }

    /// The files that threads open, each once.
    pub(super) fn files(&self) -> impl Iterator<Item = &'static CStr> + Clone + use<> {
        let names = self.names;
        self.paths[self.job.opened() as usize..][..self.job.files as usize]
            .iter()
            .map(move |offset| name(names, *offset))
    }

    /// Room for one thread. To be asked after the set-up.
    ///
    /// # Errors
    /// When there is no memory.
    pub(super) fn room(&self) -> Result<Room, Failed> {
        let libraries = self.job.libraries as usize;
        let (found, slots) = slots(self.kept.len(), self.steps.len() + libraries)?;
        for (slot, kept) in slots.iter().zip(self.kept) {
            slot.store(kept.load(Relaxed), Relaxed);
        }
        let (order, found) = found.split_at_mut(libraries);
        // SAFETY: an address is as large as a number, and all zero is valid for both.
        let order = unsafe { core::slice::from_raw_parts_mut(order.as_mut_ptr().cast::<usize>(), libraries) };
        for (number, place) in order.iter_mut().enumerate() {
            *place = number;
        }
        Ok(Room { order, found, slots })
    }

    /// Says to the library that takes notes where the calling thread's phase is to be read, until the value is dropped.
    pub(super) fn announce(&self, slot: &Slot) -> Announced {
        let announced = Announced(self.announce);
        announced.say((&raw const slot.phase).cast());
        announced
    }
}

/// While this lives, the calling thread makes the cycles of a slot.
pub(super) struct Announced(Option<Announce>);

impl Announced {
    fn say(&self, phase: *const c_void) {
        if let Some(announce) = self.0 {
            // SAFETY: the word is a slot's, which lives until this is called with null.
            unsafe { announce(phase) };
        }
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.say(core::ptr::null());
    }
}

/// Room for this many words of slots and addresses, all zero; it is never given back.
// Not inlined, and `name` neither: the two made 1,100 of 40,000 bytes of the agent.
#[inline(never)]
fn slots(slots: usize, found: usize) -> Result<(&'static mut [*mut c_void], &'static [AtomicU64]), Failed> {
    let room = c::map((slots + found) * 8).map_err(|number| Failed::numbered(Failure::Memory, number))?;
    let begin = room.as_mut_ptr();
    // SAFETY: the memory is large enough, begins on a page, and all zero is a valid pointer and a valid slot; the two do not overlap.
    unsafe {
        Ok((
            core::slice::from_raw_parts_mut(begin.cast(), found),
            core::slice::from_raw_parts(begin.add(found * 8).cast(), slots),
        ))
    }
}

fn prepare(step: &Step, names: &'static [u8]) -> Prepared {
    let mut prepared = Prepared {
        step: *step,
        name: name(names, step.name).as_ptr(),
        symbol: name(names, step.symbol).as_ptr(),
        driver: null_mut(),
    };
    each_bit(step.names as u8, |at| {
        if let Some(int) = prepared.step.ints.get_mut(at) {
            *int = name(names, *int).as_ptr() as u64;
        }
    });
    if matches!(step.kind, Kind::Drive | Kind::SetUp) {
        // The function's name, until the driver is opened.
        prepared.driver = name(names, step.target).as_ptr().cast_mut().cast();
    }
    prepared
}

/// The name at an offset; empty where there is none.
#[inline(never)]
fn name(names: &'static [u8], offset: u64) -> &'static CStr {
    let at = usize::try_from(offset).ok().and_then(|offset| names.get(offset..));
    at.and_then(|at| CStr::from_bytes_until_nul(at).ok()).unwrap_or(c"")
}
