//! `ptrace(2)` as an observer needs it: to be told of signals, new threads and exits, and to read registers. The kept
//! wrapper can't tell real-time signals, which glibc uses itself, and has no `PTRACE_LISTEN`.

use std::ffi::{c_int, c_long, c_void};
use std::mem::MaybeUninit;

use nix::errno::Errno;

/// Something that happened to a traced thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It is about to get a signal, and stands until it is told to go on.
    Signal(c_int),
    /// It stands because the whole process was stopped by this signal.
    GroupStop(c_int),
    /// It stands because it was interrupted, or because it is new.
    Stop,
    /// It has started a thread.
    Clone,
    /// It is about to end, with its stack and all mappings still there. The status is as `wait(2)` has it; that of the
    /// process where the whole process ends.
    Exit(c_int),
    /// The process has become another program.
    Exec,
    /// It is gone. The status is as `wait(2)` has it.
    Gone(c_int),
    /// Some other stop.
    Other,
}

/// What a wait gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// An event of this thread.
    Event(i32, Event),
    /// A signal interrupted the wait, or nothing has happened yet.
    Nothing,
    /// No thread is traced any more.
    NoThread,
}

/// The registers that tell where a thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Registers {
    /// Instruction pointer.
    pub pc: u64,
    /// Stack pointer.
    pub sp: u64,
    /// Frame pointer.
    pub fp: u64,
    /// Link register; 0 where the machine has none.
    pub lr: u64,
    /// Number of the system call it is in, or was in last; negative where it is in none.
    pub call: i64,
    /// Thread pointer; 0 where it can't be read.
    pub thread_pointer: u64,
}

/// What the kernel says of a signal: `siginfo_t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SignalInfo {
    /// Number of the signal.
    pub signal: c_int,
    /// Why it was sent: `si_code`.
    pub code: c_int,
    /// The address that a fault is about; of no meaning for other signals.
    pub address: u64,
    /// The process that sent it, where one did.
    pub sender: i32,
}

/// Number of [`WAKE`]'s signal.
const WAKE_NUMBER: c_int = libc::SIGURG;

/// The signal that interrupts a wait. Nothing else in this program uses it, and where it comes unasked, nothing happens.
pub const WAKE: nix::sys::signal::Signal = nix::sys::signal::Signal::SIGURG;

/// Makes [`WAKE`] interrupt system calls and do nothing else.
pub fn make_wakeable() {
    extern "C" fn nothing(_: c_int) {}
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all zero is a valid sigaction: no flags, so that system calls are not begun again, and an empty mask.
    // The handler does nothing, which is safe in a handler.
    unsafe {
        (*action.as_mut_ptr()).sa_sigaction = nothing as extern "C" fn(c_int) as usize;
        libc::sigaction(WAKE_NUMBER, action.as_ptr(), std::ptr::null_mut());
    }
}

/// Traces a thread from now on, without stopping it. Threads that it starts are traced too.
///
/// # Errors
/// When somebody traces it already, or this process may not: see `ptrace(2)`, "Ptrace access mode checking".
pub fn seize(thread: i32) -> Result<(), Errno> {
    let options = libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_TRACEEXIT | libc::PTRACE_O_TRACEEXEC;
    request(libc::PTRACE_SEIZE, thread, options as usize)
}

/// Has a running thread stop soon, without a signal.
///
/// # Errors
/// When it is not traced by this thread.
pub fn interrupt(thread: i32) -> Result<(), Errno> {
    request(libc::PTRACE_INTERRUPT, thread, 0)
}

/// Lets a standing thread go on, with this signal or with none (0).
///
/// # Errors
/// When it does not stand.
pub fn go_on(thread: i32, signal: c_int) -> Result<(), Errno> {
    request(libc::PTRACE_CONT, thread, usize::try_from(signal).unwrap_or(0))
}

/// Leaves a thread stopped whose process is stopped, as it would be if nobody traced it.
///
/// # Errors
/// When it is not in such a stop.
pub fn leave_stopped(thread: i32) -> Result<(), Errno> {
    request(libc::PTRACE_LISTEN, thread, 0)
}

/// Traces a standing thread no longer and lets it go on.
///
/// # Errors
/// When it does not stand.
pub fn let_go(thread: i32) -> Result<(), Errno> {
    request(libc::PTRACE_DETACH, thread, 0)
}

/// The thread that a [`Event::Clone`] is about.
///
/// # Errors
/// When the thread does not stand.
pub fn new_thread(thread: i32) -> Result<i32, Errno> {
    message(thread).map(|message| i32::try_from(message).unwrap_or(0))
}

/// Waits for the next event of a thread that the calling thread traces; other children of this process are left to
/// those who wait for them.
pub fn wait(block: bool) -> Waited {
    let mut status = 0;
    let flags = libc::__WALL | libc::__WNOTHREAD | if block { 0 } else { libc::WNOHANG };
    // SAFETY: the pointer is to an int on this stack.
    let thread = unsafe { libc::waitpid(-1, &raw mut status, flags) };
    match thread {
        -1 if Errno::last() == Errno::ECHILD => Waited::NoThread,
        -1 | 0 => Waited::Nothing,
        _ => Waited::Event(thread, event(thread, status)),
    }
}

fn event(thread: i32, status: c_int) -> Event {
    if !libc::WIFSTOPPED(status) {
        return Event::Gone(status);
    }
    let signal = libc::WSTOPSIG(status);
    match (status >> 16, signal) {
        (0, _) => Event::Signal(signal),
        (libc::PTRACE_EVENT_STOP, libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU) => {
            Event::GroupStop(signal)
        }
        (libc::PTRACE_EVENT_STOP, _) => Event::Stop,
        (libc::PTRACE_EVENT_CLONE, _) => Event::Clone,
        (libc::PTRACE_EVENT_EXIT, _) => {
            Event::Exit(message(thread).map_or(0, |message| c_int::try_from(message).unwrap_or(0)))
        }
        (libc::PTRACE_EVENT_EXEC, _) => Event::Exec,
        _ => Event::Other,
    }
}

/// Registers of a standing thread.
///
/// # Errors
/// When it does not stand.
pub fn registers(thread: i32) -> Result<Registers, Errno> {
    let mut registers = MaybeUninit::<libc::user_regs_struct>::zeroed();
    let mut room = libc::iovec {
        iov_base: registers.as_mut_ptr().cast::<c_void>(),
        iov_len: size_of::<libc::user_regs_struct>(),
    };
    // SAFETY: the kernel writes at most iov_len bytes to a structure of that size, which is valid for any bytes.
    let raw = unsafe {
        Errno::result(libc::ptrace(
            libc::PTRACE_GETREGSET,
            thread,
            libc::NT_PRSTATUS as *mut c_void,
            (&raw mut room).cast::<c_void>(),
        ))?;
        registers.assume_init()
    };
    Ok(Registers::of(thread, &raw))
}

impl Registers {
    #[cfg(target_arch = "x86_64")]
    fn of(_thread: i32, raw: &libc::user_regs_struct) -> Self {
        let call = raw.orig_rax.cast_signed();
        Self { pc: raw.rip, sp: raw.rsp, fp: raw.rbp, lr: 0, call, thread_pointer: raw.fs_base }
    }

    #[cfg(target_arch = "aarch64")]
    fn of(thread: i32, raw: &libc::user_regs_struct) -> Self {
        /// The set of the one register TPIDR_EL0, linux/elf.h.
        const NT_ARM_TLS: usize = 0x401;
        let mut thread_pointer = 0_u64;
        let mut room =
            libc::iovec { iov_base: (&raw mut thread_pointer).cast::<c_void>(), iov_len: size_of::<u64>() };
        // SAFETY: the kernel writes at most iov_len bytes to a word of that size.
        unsafe {
            libc::ptrace(
                libc::PTRACE_GETREGSET,
                thread,
                NT_ARM_TLS as *mut c_void,
                (&raw mut room).cast::<c_void>(),
            );
        }
        let call = raw.regs[8].cast_signed();
        Self { pc: raw.pc, sp: raw.sp, fp: raw.regs[29], lr: raw.regs[30], call, thread_pointer }
    }
}

/// The signal that a thread is about to get.
///
/// # Errors
/// When it stands for another reason.
pub fn signal_info(thread: i32) -> Result<SignalInfo, Errno> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: the kernel writes a siginfo_t, which is valid for any bytes; the accessors only read it.
    unsafe {
        let none = std::ptr::null_mut::<c_void>();
        Errno::result(libc::ptrace(libc::PTRACE_GETSIGINFO, thread, none, info.as_mut_ptr()))?;
        let info = info.assume_init();
        Ok(SignalInfo {
            signal: info.si_signo,
            code: info.si_code,
            address: info.si_addr() as u64,
            sender: if info.si_code <= 0 { info.si_pid() } else { 0 },
        })
    }
}

fn message(thread: i32) -> Result<u64, Errno> {
    let mut message: c_long = 0;
    // SAFETY: the kernel writes an unsigned long to the address given.
    let result = unsafe {
        let none = std::ptr::null_mut::<c_void>();
        libc::ptrace(libc::PTRACE_GETEVENTMSG, thread, none, (&raw mut message).cast::<c_void>())
    };
    Errno::result(result).map(|_| message.cast_unsigned())
}

/// The type that each C library declares for a request.
#[cfg(target_env = "musl")]
type Request = c_int;
#[cfg(not(target_env = "musl"))]
type Request = libc::c_uint;

fn request(what: Request, thread: i32, data: usize) -> Result<(), Errno> {
    // SAFETY: none of the requests above reads or writes memory of this process.
    let result = unsafe { libc::ptrace(what, thread, std::ptr::null_mut::<c_void>(), data as *mut c_void) };
    Errno::result(result).map(drop)
}
