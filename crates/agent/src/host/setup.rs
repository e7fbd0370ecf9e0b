//! From the job to what the threads cycle by: names in memory of the process's own, which a library that scribbles over the channel
//! can't reach, addresses in place of offsets, and what is held and drivers opened.

use core::ffi::{CStr, c_char, c_void};
use core::ptr::null_mut;
use core::sync::atomic::Ordering::Relaxed;

use dlsoak_wire::channel::{Failure, Parts, Slot};
use dlsoak_wire::job::{FLOATS, INTEGERS, Job, Kind, Mode, Step};

use super::cycle::Failed;
use crate::{c, copies};

/// A step with its addresses. `driver` is a function's, once the drivers and what is held are open.
#[derive(Clone, Copy)]
pub(super) struct Prepared {
    pub(super) kind: Kind,
    pub(super) phase: u32,
    pub(super) target: usize,
    pub(super) name: *const c_char,
    pub(super) driver: *mut c_void,
    pub(super) ints: [i64; INTEGERS],
    pub(super) floats: [f64; FLOATS],
}

/// What all threads cycle by.
pub(super) struct Task {
    pub(super) job: Job,
    pub(super) steps: &'static mut [Prepared],
    /// The library's bytes, where copies are made of it.
    pub(super) image: &'static [u8],
    pub(super) channel: Parts,
    /// Offsets of the threads' paths, then of the files, and then the words of what is held.
    paths: &'static [u64],
    names: &'static [u8],
    announce: Option<Announce>,
}

/// See `dlsoak_trace_thread` in `preload`.
type Announce = unsafe extern "C" fn(*const c_void, usize, usize);

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
        let lists = (job.threads + job.files + job.holds) as usize;
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
        Ok(Self { job, steps, image, channel, paths, names, announce: None })
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
        let holds = &self.paths[(self.job.threads + self.job.files) as usize..];
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
            let mut found = handles.iter().map(|handle| unsafe { c::dlsym(*handle, step.name) });
            let Some(found) = found.find(|found| !found.is_null()) else {
                return Err(Failed { failure: Failure::After, number: 0, words: step.name });
            };
            step.driver = found;
        }
        Ok(())
    }

    /// Opens the drivers, for the life of the process, and finds their functions.
    ///
    /// # Errors
    /// What the loader said.
    pub(super) fn open_drivers(&mut self) -> Result<(), Failed> {
        for step in self.steps.iter_mut().filter(|step| step.kind == Kind::Drive) {
            // SAFETY: loading runs the driver's constructors; it is the user's own code, given to be run. Both names end in NUL.
            let found = unsafe {
                let handle = c::dlopen(step.name, c::RTLD_NOW);
                if handle.is_null() { null_mut() } else { c::dlsym(handle, step.driver.cast()) }
            };
            if found.is_null() {
                return Err(Failed::by_loader(Failure::DriverOpen));
            }
            step.driver = found;
        }
        Ok(())
    }

    /// The file that `thread` opens.
    pub(super) fn path(&self, thread: usize) -> &'static CStr {
        let offset = self.paths.get(thread).filter(|_| (thread as u64) < self.job.threads);
        name(self.names, offset.copied().unwrap_or(u64::MAX))
    }

    /// The files that threads open, each once.
    pub(super) fn files(&self) -> impl Iterator<Item = &'static CStr> + Clone + use<> {
        let names = self.names;
        self.paths[self.job.threads as usize..][..self.job.files as usize]
            .iter()
            .map(move |offset| name(names, *offset))
    }

    /// Room for what each thread finds.
    ///
    /// # Errors
    /// When there is no memory.
    pub(super) fn room_to_find(&self) -> Result<&'static mut [*mut c_void], Failed> {
        let count = self.steps.len().max(1);
        let room = c::map(count * size_of::<*mut c_void>())
            .map_err(|number| Failed::numbered(Failure::Memory, number))?;
        // SAFETY: the memory is large enough, begins on a page, and all zero is a valid pointer; it is never given back.
        Ok(unsafe { core::slice::from_raw_parts_mut(room.as_mut_ptr().cast(), count) })
    }

    /// Says to the library that takes notes where the calling thread's cycle and phase are to be read, until the value is dropped.
    pub(super) fn announce(&self, slot: &Slot) -> Announced {
        let announced = Announced(self.announce);
        announced.say(core::ptr::from_ref(slot).cast());
        announced
    }
}

/// While this lives, the calling thread makes the cycles of a slot.
pub(super) struct Announced(Option<Announce>);

impl Announced {
    fn say(&self, slot: *const c_void) {
        use core::mem::offset_of;
        if let Some(announce) = self.0 {
            // SAFETY: the offsets are those of the words in a slot, which lives until this is called with null.
            unsafe { announce(slot, offset_of!(Slot, completed), offset_of!(Slot, phase)) };
        }
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.say(core::ptr::null());
    }
}

fn prepare(step: &Step, names: &'static [u8]) -> Prepared {
    let mut prepared = Prepared {
        kind: step.kind,
        phase: step.phase as u32,
        target: step.target as usize,
        name: name(names, step.name).as_ptr(),
        driver: null_mut(),
        ints: step.ints.map(u64::cast_signed),
        floats: step.floats.map(f64::from_bits),
    };
    for (bit, int) in prepared.ints.iter_mut().enumerate() {
        if step.names >> bit & 1 != 0 {
            *int = name(names, int.cast_unsigned()).as_ptr() as i64;
        }
    }
    if step.kind == Kind::Drive {
        // The function's name, until the driver is opened.
        prepared.driver = name(names, step.target).as_ptr().cast_mut().cast();
    }
    prepared
}

/// The name at an offset; empty where there is none.
fn name(names: &'static [u8], offset: u64) -> &'static CStr {
    let at = usize::try_from(offset).ok().and_then(|offset| names.get(offset..));
    at.and_then(|at| CStr::from_bytes_until_nul(at).ok()).unwrap_or(c"")
}
