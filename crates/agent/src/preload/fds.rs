//! Functions that give a file descriptor, and those that take one back. The C library's own use of the former (`fopen`
//! calls no `open` that could be interposed) is seen by the function that was called.

use core::ffi::{c_char, c_int, c_uint, c_void};
use core::ptr::null_mut;

use super::origin::{memory_of_process, place};
use crate::c::{self, reals};
use dlsoak_wire::notes::{Kind, Memory};

type Text = *const c_char;
type Any = *mut c_void;

/// `F_DUPFD` and `F_DUPFD_CLOEXEC`.
const DUPLICATE: [c_int; 2] = [0, 1030];

fn opened(fd: c_int) {
    if fd >= 0
        && let Some(memory) = memory_of_process()
        && let Some(live) = place(memory, Kind::Fd)
    {
        memory.born(Kind::Fd.key(fd as u64), live);
    }
}

fn closed(fd: c_int) {
    if fd >= 0
        && let Some(memory) = memory_of_process()
    {
        forget(memory, fd);
    }
}

fn forget(memory: &Memory, fd: c_int) {
    memory.gone(Kind::Fd.key(fd as u64));
}

/// The two descriptors of a pair, from a call that was handed a place for them.
fn both_opened(result: c_int, pair: *const [c_int; 2]) {
    if result == 0 {
        // SAFETY: the call succeeded, so that it has written both.
        unsafe { *pair }.into_iter().for_each(opened);
    }
}

/// Defines functions that call the C library's and then take note of what `$note` makes of the result.
macro_rules! interposed {
    ($($name:ident($($arg:ident: $type:ty),*) -> $result:ty, $failed:expr, |$got:ident| $note:expr;)*) => {
        reals! { $($name($($type),*) -> $result;)* }

        $(/// As the C library's.
        ///
        /// # Safety
        /// The C library's contract.
        #[cfg_attr(dlsoak_program = "preload", unsafe(no_mangle))]
        pub unsafe extern "C" fn $name($($arg: $type),*) -> $result {
            let Some(real) = real::$name() else {
                c::not_there();
                return $failed;
            };
            // SAFETY: the caller's contract.
            let $got = unsafe { real($($arg),*) };
            $note;
            $got
        })*
    };
}

// The mode of `open` and the argument of `fcntl` are there only with some flags; where they are not, what is passed on is
// what happens to be in their register, and nobody looks at it.
interposed! {
    open(path: Text, flags: c_int, mode: c_uint) -> c_int, -1, |fd| opened(fd);
    open64(path: Text, flags: c_int, mode: c_uint) -> c_int, -1, |fd| opened(fd);
    openat(at: c_int, path: Text, flags: c_int, mode: c_uint) -> c_int, -1, |fd| opened(fd);
    openat64(at: c_int, path: Text, flags: c_int, mode: c_uint) -> c_int, -1, |fd| opened(fd);
    __open_2(path: Text, flags: c_int) -> c_int, -1, |fd| opened(fd);
    __open64_2(path: Text, flags: c_int) -> c_int, -1, |fd| opened(fd);
    __openat_2(at: c_int, path: Text, flags: c_int) -> c_int, -1, |fd| opened(fd);
    __openat64_2(at: c_int, path: Text, flags: c_int) -> c_int, -1, |fd| opened(fd);
    creat(path: Text, mode: c_uint) -> c_int, -1, |fd| opened(fd);
    creat64(path: Text, mode: c_uint) -> c_int, -1, |fd| opened(fd);
    mkstemp(path: *mut c_char) -> c_int, -1, |fd| opened(fd);
    mkstemp64(path: *mut c_char) -> c_int, -1, |fd| opened(fd);
    mkostemp(path: *mut c_char, flags: c_int) -> c_int, -1, |fd| opened(fd);
    mkostemp64(path: *mut c_char, flags: c_int) -> c_int, -1, |fd| opened(fd);
    shm_open(path: Text, flags: c_int, mode: c_uint) -> c_int, -1, |fd| opened(fd);
    memfd_create(name: Text, flags: c_uint) -> c_int, -1, |fd| opened(fd);
    socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int, -1, |fd| opened(fd);
    accept(fd: c_int, address: Any, len: Any) -> c_int, -1, |fd| opened(fd);
    accept4(fd: c_int, address: Any, len: Any, flags: c_int) -> c_int, -1, |fd| opened(fd);
    dup(old: c_int) -> c_int, -1, |fd| opened(fd);
    dup2(old: c_int, new: c_int) -> c_int, -1, |fd| opened(fd);
    dup3(old: c_int, new: c_int, flags: c_int) -> c_int, -1, |fd| opened(fd);
    eventfd(value: c_uint, flags: c_int) -> c_int, -1, |fd| opened(fd);
    timerfd_create(clock: c_int, flags: c_int) -> c_int, -1, |fd| opened(fd);
    epoll_create(size: c_int) -> c_int, -1, |fd| opened(fd);
    epoll_create1(flags: c_int) -> c_int, -1, |fd| opened(fd);
    inotify_init() -> c_int, -1, |fd| opened(fd);
    inotify_init1(flags: c_int) -> c_int, -1, |fd| opened(fd);
    fcntl(fd: c_int, command: c_int, argument: usize) -> c_int, -1, |got| duplicated(command, got);
    fcntl64(fd: c_int, command: c_int, argument: usize) -> c_int, -1, |got| duplicated(command, got);
    // A descriptor that is given is used again, as `signalfd` does unless it is -1.
    signalfd(fd: c_int, mask: Any, flags: c_int) -> c_int, -1, |got| if fd == -1 { opened(got) };
    socketpair(domain: c_int, kind: c_int, protocol: c_int, pair: *mut [c_int; 2]) -> c_int, -1,
        |got| both_opened(got, pair);
    pipe(pair: *mut [c_int; 2]) -> c_int, -1, |got| both_opened(got, pair);
    pipe2(pair: *mut [c_int; 2], flags: c_int) -> c_int, -1, |got| both_opened(got, pair);
    fopen(path: Text, mode: Text) -> Any, null_mut(), |stream| stream_opened(stream);
    fopen64(path: Text, mode: Text) -> Any, null_mut(), |stream| stream_opened(stream);
    tmpfile() -> Any, null_mut(), |stream| stream_opened(stream);
    tmpfile64() -> Any, null_mut(), |stream| stream_opened(stream);
    popen(command: Text, mode: Text) -> Any, null_mut(), |stream| stream_opened(stream);
    opendir(path: Text) -> Any, null_mut(), |directory| if !directory.is_null() {
        // SAFETY: the directory was opened just now.
        opened(unsafe { c::dirfd(directory) });
    };
}

fn duplicated(command: c_int, got: c_int) {
    if DUPLICATE.contains(&command) {
        opened(got);
    }
}

fn stream_opened(stream: Any) {
    if !stream.is_null() {
        // SAFETY: the stream was opened just now.
        opened(unsafe { c::fileno(stream) });
    }
}

pub(super) mod back {
    //! Those that take a descriptor back: forgotten before the call, since another thread may get it right after.

    use super::*;

    reals! {
        close(c_int) -> c_int;
        fclose(Any) -> c_int;
        pclose(Any) -> c_int;
        closedir(Any) -> c_int;
        close_range(c_uint, c_uint, c_int) -> c_int;
        closefrom(c_int) -> ();
    }

    /// As the C library's.
    ///
    /// # Safety
    /// The C library's contract.
    #[cfg_attr(dlsoak_program = "preload", unsafe(no_mangle))]
    pub unsafe extern "C" fn close(fd: c_int) -> c_int {
        closed(fd);
        // SAFETY: the caller's contract.
        real::close().map_or(-1, |real| unsafe { real(fd) })
    }

    /// As the C library's.
    ///
    /// # Safety
    /// The C library's contract.
    #[cfg_attr(dlsoak_program = "preload", unsafe(no_mangle))]
    pub unsafe extern "C" fn fclose(stream: Any) -> c_int {
        // SAFETY: the caller's contract: the stream is open.
        closed(unsafe { c::fileno(stream) });
        // SAFETY: as above.
        real::fclose().map_or(-1, |real| unsafe { real(stream) })
    }

    /// As the C library's.
    ///
    /// # Safety
    /// The C library's contract.
    #[cfg_attr(dlsoak_program = "preload", unsafe(no_mangle))]
    pub unsafe extern "C" fn pclose(stream: Any) -> c_int {
        // SAFETY: the caller's contract: the stream is open.
        closed(unsafe { c::fileno(stream) });
        // SAFETY: as above.
        real::pclose().map_or(-1, |real| unsafe { real(stream) })
    }

    /// As the C library's.
    ///
    /// # Safety
    /// The C library's contract.
    #[cfg_attr(dlsoak_program = "preload", unsafe(no_mangle))]
    pub unsafe extern "C" fn closedir(directory: Any) -> c_int {
        if !directory.is_null() {
            // SAFETY: the caller's contract: the directory is open.
            closed(unsafe { c::dirfd(directory) });
        }
        // SAFETY: as above.
        real::closedir().map_or(-1, |real| unsafe { real(directory) })
    }

    /// Highest descriptor that is looked for where many are closed at once.
    const HIGHEST: c_uint = 1 << 16;
    /// `CLOSE_RANGE_CLOEXEC`, which closes nothing yet.
    const LATER: c_int = 4;

    fn many_closed(first: c_uint, last: c_uint) {
        if let Some(memory) = memory_of_process() {
            (first..=last.min(HIGHEST)).for_each(|fd| forget(memory, fd.cast_signed()));
        }
    }

    /// As the C library's.
    ///
    /// # Safety
    /// The C library's contract.
    #[cfg_attr(dlsoak_program = "preload", unsafe(no_mangle))]
    pub unsafe extern "C" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
        if flags & LATER == 0 {
            many_closed(first, last);
        }
        let Some(real) = real::close_range() else {
            c::not_there();
            return -1;
        };
        // SAFETY: the caller's contract.
        unsafe { real(first, last, flags) }
    }

    /// As the C library's.
    ///
    /// # Safety
    /// The C library's contract.
    #[cfg_attr(dlsoak_program = "preload", unsafe(no_mangle))]
    pub unsafe extern "C" fn closefrom(first: c_int) {
        many_closed(first.max(0).cast_unsigned(), HIGHEST);
        if let Some(real) = real::closefrom() {
            // SAFETY: the caller's contract.
            unsafe { real(first) };
        }
    }
}
