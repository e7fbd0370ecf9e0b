//! The measured process: a plain C host that opens, looks up, calls and closes, and parks at quiet points, under the orders of a
//! supervisor.
//!
//! Its own cost at a checkpoint is zero: all it needs is there and touched before the first one, the loop allocates nothing, and
//! durations go straight into memory that the supervisor made. Nothing of it catches anything: an exception that nobody catches, or
//! a signal, ends it as it ends a host in C.

mod cache;
mod cycle;
mod exit_handlers;
mod memory;
mod needs_host;
mod preloaded;
mod quiet;
mod sandbox;
mod setup;
mod stale;
mod state;
mod tls_destructors;

use core::ffi::{CStr, c_char, c_int, c_long, c_void};
use core::ptr::{NonNull, null, null_mut};
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use dlsoak_wire::channel::{Failure, Layout, Parts, Phase};
use dlsoak_wire::job::CallFrom;

use crate::words::Words;
use crate::{HOST_NAME, c};
use cycle::{Cycler, Failed};
use setup::{Room, Task};

/// Name of its cycling threads.
const CYCLE: &CStr = c"cycle";
/// Stack of each cycling thread but the first: what a C host's threads get by default.
const STACK: usize = 8 << 20;
/// Exit status where it could not begin; the reason is in the channel.
const NOT_BEGUN: c_int = 2;

/// Called by the C library. The one argument is the number of the channel's descriptor.
///
/// # Safety
/// The arguments are those of `main`.
#[cfg_attr(dlsoak_program = "host", unsafe(export_name = "main"))]
pub unsafe extern "C" fn main(_count: c_int, arguments: *const *const c_char) -> c_int {
    // SAFETY: the pointer is to a name that ends in NUL.
    unsafe { c::prctl(c::PR_SET_NAME, HOST_NAME.as_ptr()) };
    quiet::prepare();
    stale::stack_begins_at((&raw const arguments).cast());
    // SAFETY: the caller's contract is the same.
    let mut words = unsafe { Words::new(arguments) };
    let Some(channel) = words.descriptor().and_then(open) else { return NOT_BEGUN };
    match serve_all(channel) {
        Ok(()) => 0,
        Err(failed) => {
            fail(&channel, 0, &failed);
            NOT_BEGUN
        }
    }
}

/// Called where the loader calls nothing before the first constructor.
///
/// # Safety
/// This is the environment of the process, and nobody else uses it meanwhile.
#[cfg(dlsoak_musl)]
pub(crate) unsafe fn before_constructors(environment: *mut *const c_char) {
    // SAFETY: the caller's contract.
    unsafe { preloaded::restore(0, null(), environment) };
}

/// Maps the memory that a supervisor made, and closes the descriptor; `None` where it is not such memory.
fn open(fd: c_int) -> Option<Parts> {
    // SAFETY: a new mapping at an address that the kernel chooses touches nothing that exists. A channel is never shorter than it
    // says, since its length is sealed or nobody else has it.
    unsafe {
        let len = usize::try_from(c::lseek(fd, 0, c::SEEK_END)).ok()?;
        let smallest = Layout::new((1, 1), 0, 0, false)?;
        if len < smallest.len {
            return None;
        }
        let flags = c::MAP_SHARED | c::POPULATE;
        let at = c::mmap(null_mut(), len, c::PROT_READ | c::PROT_WRITE, flags, fd, 0);
        let base = NonNull::new(at.cast::<u8>()).filter(|at| at.as_ptr() as isize != -1)?;
        let layout = Layout::of(Parts::new(base, smallest).header()).filter(|layout| layout.len <= len)?;
        // A library that forks and lets the child return makes a second process that believes to be the host. Without this memory
        // it ends at its first report, and no figure is its.
        c::madvise(base.as_ptr().cast(), len, c::MADV_DONTFORK);
        c::close(fd);
        Some(Parts::new(base, layout))
    }
}

/// Puts the reason why a thread can't go on where the supervisor reads it.
#[cold]
#[inline(never)]
fn fail(channel: &Parts, thread: usize, failed: &Failed) {
    let Some(slot) = channel.slots().get(thread) else { return };
    failed.write_words(channel.error(thread), slot);
    slot.failure_number.store(failed.number, Relaxed);
    slot.failure.store(failed.failure as u32, Release);
    channel.header().failed.fetch_add(1, AcqRel);
}

/// What a thread is handed.
struct Handed {
    task: &'static Task,
    thread: usize,
    /// Until the thread has begun.
    room: Option<Room>,
    id: u64,
}

/// Starts the threads and stays until the supervisor orders their end.
fn serve_all(channel: Parts) -> Result<(), Failed> {
    let mut task = Task::prepare(channel)?;
    // Before any library is loaded, a driver included.
    expect_signals(task.job.signals);
    sandbox::enter(channel.header(), &task.job)
        .map_err(|number| Failed::numbered(Failure::Sandbox, number))?;
    task.find_tracer()?;
    task.open_holds()?;
    task.open_drivers()?;
    if let Some(slot) = channel.slots().first() {
        task.set_up(slot)?;
    }
    // SAFETY: this function returns only when all threads that were started have ended.
    let task: &'static Task = unsafe { NonNull::from(&task).as_ref() };
    needs_host::report_in(task);
    let threads = channel.slots().len();
    // The thread that runs `main` cycles as well, unless no cycle is to run on it.
    let first = usize::from(task.job.call_from == CallFrom::Main);
    let room =
        c::map(threads * size_of::<Handed>()).map_err(|number| Failed::numbered(Failure::Memory, number))?;
    let handed: *mut Handed = room.as_mut_ptr().cast();
    for thread in first..threads {
        let room = Some(task.room()?);
        // SAFETY: there is room for one per thread, on pages of their own; each is written before its thread starts.
        unsafe {
            let handed = handed.add(thread);
            handed.write(Handed { task, thread, room, id: 0 });
            start(handed).map_err(|number| Failed::numbered(Failure::Start, number))?;
        }
    }
    if first > 0 {
        serve(task, 0, task.room()?);
    }
    for thread in first..threads {
        // SAFETY: each thread was started above and is joined once.
        unsafe { c::pthread_join((*handed.add(thread)).id, null_mut()) };
    }
    Ok(())
}

/// Starts a cycling thread.
///
/// # Safety
/// What it is handed is there as long as it runs.
unsafe fn start(handed: *mut Handed) -> Result<(), c_int> {
    extern "C" fn begin(handed: *mut c_void) -> *mut c_void {
        // SAFETY: this is what is handed over below; `id` alone is written meanwhile.
        unsafe {
            c::prctl(c::PR_SET_NAME, CYCLE.as_ptr());
            let handed = handed.cast::<Handed>();
            if let Some(room) = (*handed).room.take() {
                serve((*handed).task, (*handed).thread, room);
            }
        }
        null_mut()
    }
    let mut attributes = c::ThreadAttributes([0; 16]);
    // SAFETY: the attributes are initialized first and given back last; the function has the declared type.
    let started = unsafe {
        c::pthread_attr_init(&raw mut attributes);
        c::pthread_attr_setstacksize(&raw mut attributes, STACK);
        let started = c::pthread_create(&raw mut (*handed).id, &raw const attributes, begin, handed.cast());
        c::pthread_attr_destroy(&raw mut attributes);
        started
    };
    if started == 0 { Ok(()) } else { Err(started) }
}

/// What a host has that uses signals: a handler. A host that is sent signals on purpose gets an empty one for each that would end
/// it, as part of what the process was like before.
fn expect_signals(signals: u64) {
    extern "C" fn nothing(_: c_int) {}
    // As a well-behaved host does: calls that can go on by themselves do, and a thread's own signal stack is used.
    const RESTART: c_int = 0x1000_0000;
    const ON_STACK: c_int = 0x0800_0000;
    let handler = nothing as extern "C" fn(c_int) as usize;
    let action =
        c::SignalAction { handler, mask: c::SignalSet([0; 16]), flags: RESTART | ON_STACK, restorer: 0 };
    for signal in (1..=64).filter(|signal| signals >> (signal - 1) & 1 != 0) {
        if state::signal_action(signal as usize).handler == 0 {
            // SAFETY: the handler does nothing at all, which is allowed at any moment.
            unsafe { c::sigaction(signal, &raw const action, null_mut()) };
        }
    }
}

/// Carries out orders on this thread until one of them is to end. At the quiet points between them every thread parks; the last one to arrive
/// writes down what only this process can see, and reports.
fn serve(task: &'static Task, thread: usize, room: Room) {
    let channel = &task.channel;
    let header = channel.header();
    let Some(slot) = channel.slots().get(thread) else { return };
    let mut cycler = Cycler::new(task, thread, room);
    let _announced = task.announce(slot);
    let ring = channel.ring(thread);
    let mut carried_out = 0;
    let mut is_awake = false;
    let mut sound = true;
    loop {
        if is_awake {
            look_for_a_while(&header.order, carried_out);
        }
        let order = next_order(&header.order, carried_out);
        if header.exit.load(Acquire) != 0 {
            return;
        }
        let _ = header.started_ns.compare_exchange(0, c::monotonic_ns(), Relaxed, Relaxed);
        if sound && let Err(failed) = cycler.run(slot, ring, header) {
            sound = false;
            fail(channel, thread, &failed);
        } else if sound {
            slot.phase.store(Phase::Between as u32, Relaxed);
        }
        quiet::observe_thread(slot);
        header.beside_ns.fetch_add(cycler.take_beside_ns(), Relaxed);
        is_awake = header.awake.load(Relaxed) != 0;
        let arrived = header.arrived.fetch_add(1, AcqRel) as usize + 1;
        if arrived == channel.slots().len() {
            let active = c::monotonic_ns().saturating_sub(header.started_ns.swap(0, Relaxed));
            // The threads work side by side, so what each spent beside its cycles is a share of the time.
            let beside = header.beside_ns.swap(0, Relaxed) / channel.slots().len() as u64;
            header.active_ns.fetch_add(active.saturating_sub(beside), Relaxed);
            quiet::observe(channel);
            quiet::look(header, task.files());
            header.arrived.store(0, Relaxed);
            header.done.store(order, Release);
            wake_all(&header.done);
        }
        carried_out = order;
    }
}

/// Stays awake while `word` is `carried_out`, up to half a millisecond. To be woken on another CPU of a virtual machine took 0.04 ms, which is as
/// long as a cycle of a small library, and a tenth of 1,000 cycles with 129 checkpoints.
fn look_for_a_while(word: &AtomicU32, carried_out: u32) {
    const AWAKE_NS: u64 = 500_000;
    const LOOKS: u32 = 64;
    let began = c::monotonic_ns();
    while c::monotonic_ns().saturating_sub(began) < AWAKE_NS {
        for _ in 0..LOOKS {
            if word.load(Acquire) != carried_out {
                return;
            }
            core::hint::spin_loop();
        }
    }
}

fn next_order(word: &AtomicU32, carried_out: u32) -> u32 {
    /// `FUTEX_WAIT`, without the private flag: the supervisor is another process.
    const WAIT: c_long = 0;
    loop {
        let order = word.load(Acquire);
        if order != carried_out {
            return order;
        }
        // SAFETY: the word lives as long as the channel; without a time specification there is no end to the wait.
        unsafe { c::syscall(c::sys::FUTEX, word.as_ptr(), WAIT, c_long::from(order), null::<c_void>()) };
    }
}

fn wake_all(word: &AtomicU32) {
    /// `FUTEX_WAKE`.
    const WAKE: c_long = 1;
    // SAFETY: the word lives as long as the channel; waking has no other precondition.
    unsafe { c::syscall(c::sys::FUTEX, word.as_ptr(), WAKE, c_long::from(c_int::MAX)) };
}
