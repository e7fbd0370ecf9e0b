//! The process between supervisor and host: it starts the host, is the parent that everything which the library starts falls back
//! to, and ends all of it when the supervisor says so or is gone, however that happened. It is in a session of its own, so a
//! library that kills its parent's process group reaches this process and not the supervisor.

mod fd;
mod kin;
mod memory;
mod start;
mod wait;

use core::ffi::{c_char, c_int, c_long};

use dlsoak_wire::keeper::{Message, Orders};

use crate::words::Words;
use crate::{KEEPER_NAME, c};
use fd::Fd;
use memory::Memory;

/// Exit status where it could not do its work. The supervisor finds the line closed and says so.
const FAILED: c_int = 2;

/// Called by the C library. The arguments are the numbers of three descriptors: the line to the supervisor, the host's channel, and
/// the image of the host.
///
/// # Safety
/// The arguments are those of `main`, and nothing else in this process owns the descriptors.
#[cfg_attr(dlsoak_program = "keeper", unsafe(export_name = "main"))]
pub unsafe extern "C" fn main(_count: c_int, arguments: *const *const c_char) -> c_int {
    // SAFETY: the pointer is to a name that ends in NUL.
    unsafe { c::prctl(c::PR_SET_NAME, KEEPER_NAME.as_ptr()) };
    // SAFETY: the caller's contract is the same.
    let Some([line, channel, image]) = (unsafe { descriptors(arguments) }) else { return FAILED };
    match keep(&line, channel, image) {
        Ok(()) => 0,
        Err(_) => FAILED,
    }
}

/// The descriptors that the arguments name.
///
/// # Safety
/// The arguments are those of `main`, and nothing else in this process owns the descriptors.
unsafe fn descriptors(arguments: *const *const c_char) -> Option<[Fd; 3]> {
    // SAFETY: the caller's contract is the same.
    let mut words = unsafe { Words::new(arguments) };
    let numbers = [words.descriptor()?, words.descriptor()?, words.descriptor()?];
    // SAFETY: the caller's contract.
    Some(numbers.map(|number| unsafe { Fd::from_raw(number) }))
}

/// Starts the host, tells how it ends, and stays until the supervisor has done with it.
///
/// # Errors
/// The error number.
fn keep(line: &Fd, channel: Fd, image: Fd) -> Result<(), c_int> {
    // They came without the flag, or they would not be here. The host gets the channel alone.
    for fd in [line, &channel, &image] {
        fd.set_inheritable(false)?;
    }
    // SAFETY: the option takes a number.
    fd::ok(unsafe {
        c::prctl(c::PR_SET_CHILD_SUBREAPER, 1 as c_long, 0 as c_long, 0 as c_long, 0 as c_long)
    })?;
    let signals = watch_children()?;
    let (orders, variables) = receive(line)?;
    let started = start::host(&orders, &variables, &channel, &image);
    drop((channel, image, variables));
    let host = match started {
        Ok(host) => host,
        Err(error) => return line.write_all(&Message::Refused(error).to_bytes()),
    };
    let stayed = stay(line, &signals, host);
    if stayed.is_err() {
        kin::end_all(host);
    }
    stayed
}

/// Blocks all signals: what a library sends to its parent or to the parent's group does not end the watch, but for SIGKILL. Returns a
/// descriptor that is readable when a child has ended.
fn watch_children() -> Result<Fd, c_int> {
    // Ignored, it would lose us the ends of children.
    let default = c::SignalAction { handler: 0, mask: c::SignalSet([0; 16]), flags: 0, restorer: 0 };
    // SAFETY: the pointer is to a structure on this stack, and SIG_DFL is no function of ours.
    fd::ok(unsafe { c::sigaction(c::SIGCHLD, &raw const default, core::ptr::null_mut()) })?;
    start::block_signals(u64::MAX)?;
    let mut ends = c::SignalSet([0; 16]);
    ends.0[0] = 1 << (c::SIGCHLD - 1);
    // SAFETY: the set is on this stack; -1 asks for a new descriptor, which is ours.
    unsafe {
        let fd = fd::ok(c::signalfd(-1, &raw const ends, c::SFD_CLOEXEC | c::SFD_NONBLOCK))?;
        Ok(Fd::from_raw(fd))
    }
}

/// Receives the orders, and the host's environment with them.
fn receive(line: &Fd) -> Result<(Orders, Memory), c_int> {
    let mut words = [0; Orders::BYTES];
    line.read_exact(&mut words)?;
    let orders = Orders::from_bytes(&words).ok_or(c::EINVAL)?;
    let mut variables = Memory::new(orders.len as usize)?;
    line.read_exact(variables.get_mut())?;
    Ok((orders, variables))
}

/// Tells what happens to the host until the supervisor closes its end, and then ends all.
fn stay(line: &Fd, signals: &Fd, host: c_int) -> Result<(), c_int> {
    line.write_all(&Message::Started(host).to_bytes())?;
    // The host's pipes must end with those who write to them.
    start::let_go_of_output()?;
    let mut reported = false;
    loop {
        // Before each pause: a signal that came meanwhile is in the descriptor already.
        if !reported && let Some(status) = wait::ended(host) {
            reported = true;
            let _ = line.write_all(&Message::Ended(status).to_bytes());
        }
        kin::reap(host);
        // The supervisor says one thing only, by closing its end: that it is done, or dead.
        let over = fd::wait_for(line, signals)?;
        let mut signal = [0; c::SIGNALFD_INFO];
        while signals.read_exact(&mut signal).is_ok() {}
        if over {
            let others = kin::end_all(host);
            // After a late end, or one that was asked for: the status is still there to be reported.
            if !reported && let Some(status) = wait::ended(host) {
                let _ = line.write_all(&Message::Ended(status).to_bytes());
            }
            let _ = line.write_all(&Message::Others(others).to_bytes());
            return Ok(());
        }
    }
}
