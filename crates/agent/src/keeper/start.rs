//! Starts the host from the keeper, in a session of its own, bound to end with the keeper.

use core::ffi::{c_char, c_int, c_long, c_void};
use core::ptr::{null, null_mut};

use dlsoak_wire::keeper::Orders;

use super::fd::{Fd, ok};
use super::memory::Memory;
use crate::text::Text;
use crate::{HOST_NAME, c};

/// Where memory is short, the kernel takes the host and what it starts, and not what watches them. Not the most there is (1000), or
/// a library that raises its own could not be seen.
const OUT_OF_MEMORY_SCORE: &[u8] = b"900";
/// Exit status of a child that could not become the host. Nobody sees it.
const NOT_BEGUN: c_int = 127;

/// Starts the host with these variables as its whole environment; returns its process ID.
///
/// # Errors
/// The error number of what was refused.
pub(super) fn host(orders: &Orders, variables: &Memory, channel: &Fd, image: &Fd) -> Result<c_int, c_int> {
    let bytes = variables.get();
    let mut environment = Memory::<*const c_char>::new(orders.split(bytes).count() + 1)?;
    for (pointer, variable) in environment.get_mut().iter_mut().zip(orders.split(bytes)) {
        *pointer = variable.as_ptr();
    }
    // It ends when the host begins, or says why that can't be.
    let (refusal, theirs) = pipe()?;
    // SAFETY: getpid has no precondition; there is no other thread, so all may be done after the fork.
    let (keeper, child) = unsafe { (c::getpid(), c::fork()) };
    if child == 0 {
        let error = match become_host(orders, environment.get(), channel, image, keeper) {
            Ok(()) => 0,
            Err(error) => error,
        };
        let _ = theirs.write_all(&error.to_ne_bytes());
        // SAFETY: nothing of the keeper's is to be done in the child.
        unsafe { c::_exit(NOT_BEGUN) };
    }
    ok(child)?;
    drop(theirs);
    let mut error = [0; size_of::<c_int>()];
    match refusal.read_exact(&mut error) {
        Ok(()) => {
            // SAFETY: a null status asks for none.
            unsafe { c::waitpid(child, null_mut(), 0) };
            Err(c_int::from_ne_bytes(error))
        }
        Err(_) => Ok(child),
    }
}

/// Becomes the host. Comes back only where that can't be.
fn become_host(
    orders: &Orders,
    environment: &[*const c_char],
    channel: &Fd,
    image: &Fd,
    keeper: c_int,
) -> Result<(), c_int> {
    // SAFETY: setsid has no precondition.
    ok(unsafe { c::setsid() })?;
    // The keeper's own blocking of signals is not what a host's process begins with: a fault could not be handled.
    block_signals(0)?;
    // The host does not outlive a keeper that is killed.
    // SAFETY: the option takes a number.
    ok(unsafe { c::prctl(c::PR_SET_PDEATHSIG, c_long::from(c::SIGKILL)) })?;
    // SAFETY: getppid has no precondition.
    if unsafe { c::getppid() } != keeper {
        return Err(c::ESRCH);
    }
    limit(orders.file_bytes)?;
    let score = open(c"/proc/self/oom_score_adj", c::O_WRONLY);
    let _ = score.map(|score| score.write_all(OUT_OF_MEMORY_SCORE));
    let null = open(c"/dev/null", c::O_RDONLY)?;
    // SAFETY: both are numbers of descriptors.
    ok(unsafe { c::dup2(null.raw(), 0) })?;
    channel.set_inheritable(true)?;
    let number = Text::EMPTY.with_number(channel.raw());
    let arguments: [*const c_char; 3] = [HOST_NAME.as_ptr(), number.as_c_str().as_ptr(), core::ptr::null()];
    // SAFETY: the lists end with null, and what they point to ends in NUL.
    unsafe {
        c::syscall(
            c::sys::EXECVEAT,
            c_long::from(image.raw()),
            c"".as_ptr(),
            arguments.as_ptr(),
            environment.as_ptr(),
            c_long::from(c::AT_EMPTY_PATH),
        );
    }
    Err(c::errno())
}

/// Sets what the host may write.
fn limit(file_bytes: Option<u64>) -> Result<(), c_int> {
    let set = |resource, soft, hard| {
        let limit = c::Limit { soft, hard };
        // SAFETY: the pointer is to a structure on this stack.
        ok(unsafe { c::setrlimit(resource, &raw const limit) })
    };
    // A crash is in the record; a core file for each would fill the disk.
    set(c::RLIMIT_CORE, 0, 0)?;
    if let Some(bytes) = file_bytes {
        let mut limit = c::Limit { soft: 0, hard: 0 };
        // SAFETY: the pointer is to a structure on this stack.
        ok(unsafe { c::getrlimit(c::RLIMIT_FSIZE, &raw mut limit) })?;
        // Never more than is allowed already; the hard limit stays, for libraries that know what they do.
        set(c::RLIMIT_FSIZE, limit.soft.min(bytes), limit.hard)?;
    }
    Ok(())
}

/// Makes these signals the ones that are blocked, as bits: bit 0 is signal 1. The C library's own function would leave out the two
/// that it keeps for its threads, with which a library could end the keeper.
pub(super) fn block_signals(signals: u64) -> Result<(), c_int> {
    // SAFETY: the set is on this stack, as long as is said.
    let result = unsafe {
        c::syscall(
            c::sys::RT_SIGPROCMASK,
            c_long::from(c::SIG_SETMASK),
            &raw const signals,
            null::<c_void>(),
            size_of::<u64>(),
        )
    };
    ok(result as c_int).map(drop)
}

/// Closes the keeper's own ends of the host's pipes.
pub(super) fn let_go_of_output() -> Result<(), c_int> {
    let null = open(c"/dev/null", c::O_WRONLY)?;
    for output in [1, 2] {
        // SAFETY: both are numbers of descriptors.
        ok(unsafe { c::dup2(null.raw(), output) })?;
    }
    Ok(())
}

/// Opens a file.
pub(super) fn open(path: &core::ffi::CStr, flags: c_int) -> Result<Fd, c_int> {
    // SAFETY: the path ends in NUL; the new descriptor is ours.
    unsafe { Ok(Fd::from_raw(ok(c::open(path.as_ptr(), flags | c::O_CLOEXEC))?)) }
}

/// The two ends of a pipe: to be read from, to be written to.
fn pipe() -> Result<(Fd, Fd), c_int> {
    let mut pair = [0; 2];
    // SAFETY: the pointer is to two numbers on this stack; the new descriptors are ours.
    unsafe {
        ok(c::pipe2(&raw mut pair, c::O_CLOEXEC))?;
        Ok((Fd::from_raw(pair[0]), Fd::from_raw(pair[1])))
    }
}
