//! What is used of the C library, declared by hand, so that the programs need no other crate: functions and structures of POSIX and
//! Linux as on 64-bit x86 and AArch64, which glibc and musl have alike, and glibc's own names of the allocator's functions
//! (`__libc_malloc` and its like, which nobody interposes). The stubs that the programs are linked against (`build.rs`) list all names.
//! What is not in every version that a program runs on is looked up by [`Real`].

#![allow(missing_docs, reason = "each is documented in the C library's manual")]
#![allow(
    clippy::missing_safety_doc,
    clippy::upper_case_acronyms,
    reason = "names and contracts are the C library's"
)]

use core::ffi::{CStr, c_char, c_int, c_long, c_uint, c_void};
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize};

use crate::thread_pointer::thread_pointer;

pub type Destructor = Option<unsafe extern "C" fn(*mut c_void)>;
pub type Visit = unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int;
pub type VisitObject = unsafe extern "C" fn(*const ObjectInfo, usize, *mut c_void) -> c_int;

/// `main`.
pub type Main = unsafe extern "C" fn(c_int, *const *const c_char) -> c_int;

#[cfg(not(dlsoak_musl))]
unsafe extern "C" {
    pub fn __libc_malloc(size: usize) -> *mut c_void;
    pub fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    pub fn __libc_realloc(old: *mut c_void, size: usize) -> *mut c_void;
    pub fn __libc_free(old: *mut c_void);
    pub fn __libc_memalign(align: usize, size: usize) -> *mut c_void;
    pub fn __libc_valloc(size: usize) -> *mut c_void;
    pub fn __libc_pvalloc(size: usize) -> *mut c_void;
    pub fn gnu_get_libc_version() -> *const c_char;
    pub fn dlmopen(namespace: c_long, path: *const c_char, flags: c_int) -> *mut c_void;
}
#[cfg(dlsoak_musl)]
pub use of_musl::*;

unsafe extern "C" {
    pub fn __libc_start_main(
        main: Main,
        count: c_int,
        arguments: *const *const c_char,
        begin: Option<extern "C" fn()>,
        end: Option<extern "C" fn()>,
        end_of_loader: Option<extern "C" fn()>,
        stack: *const c_void,
    ) -> !;
    pub fn malloc_usable_size(memory: *mut c_void) -> usize;
    pub fn calloc(count: usize, size: usize) -> *mut c_void;
    pub fn free(old: *mut c_void);
    pub fn __errno_location() -> *mut c_int;
    pub fn abort() -> !;
    pub fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    pub fn dl_iterate_phdr(visit: VisitObject, data: *mut c_void) -> c_int;
    pub fn getenv(name: *const c_char) -> *const c_char;
    pub fn setenv(name: *const c_char, value: *const c_char, replace: c_int) -> c_int;
    pub fn unsetenv(name: *const c_char) -> c_int;
    pub fn getpid() -> c_int;
    pub fn sysconf(name: c_int) -> c_long;
    pub fn pthread_self() -> u64;
    pub fn syscall(number: c_long, ...) -> c_long;
    pub fn pthread_getspecific(key: c_uint) -> *mut c_void;
    pub fn pthread_setspecific(key: c_uint, value: *const c_void) -> c_int;
    pub fn pthread_attr_getdetachstate(attributes: *const c_void, state: *mut c_int) -> c_int;
    pub fn fileno(stream: *mut c_void) -> c_int;
    pub fn dirfd(directory: *mut c_void) -> c_int;
    pub fn __register_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
        object: *mut c_void,
    ) -> c_int;
    pub fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    pub fn dlclose(handle: *mut c_void) -> c_int;
    pub fn dlerror() -> *const c_char;
    pub fn clock_gettime(clock: c_int, time: *mut TimeSpec) -> c_int;
    pub fn mmap(
        at: *mut c_void,
        len: usize,
        access: c_int,
        flags: c_int,
        fd: c_int,
        offset: i64,
    ) -> *mut c_void;
    pub fn munmap(at: *mut c_void, len: usize) -> c_int;
    pub fn mincore(at: *mut c_void, len: usize, pages: *mut u8) -> c_int;
    pub fn madvise(at: *mut c_void, len: usize, advice: c_int) -> c_int;
    pub fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    pub fn close(fd: c_int) -> c_int;
    pub fn read(fd: c_int, to: *mut c_void, len: usize) -> isize;
    pub fn write(fd: c_int, from: *const c_void, len: usize) -> isize;
    pub fn lseek(fd: c_int, offset: i64, from: c_int) -> i64;
    pub fn unlink(path: *const c_char) -> c_int;
    pub fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
    pub fn dup2(old: c_int, new: c_int) -> c_int;
    pub fn pipe2(pair: *mut [c_int; 2], flags: c_int) -> c_int;
    pub fn poll(waited: *mut PollFd, count: u64, milliseconds: c_int) -> c_int;
    pub fn prctl(option: c_int, ...) -> c_int;
    pub fn unshare(flags: c_int) -> c_int;
    pub fn fork() -> c_int;
    pub fn setsid() -> c_int;
    pub fn getppid() -> c_int;
    pub fn kill(process: c_int, signal: c_int) -> c_int;
    pub fn raise(signal: c_int) -> c_int;
    pub fn waitpid(process: c_int, status: *mut c_int, options: c_int) -> c_int;
    pub fn waitid(what: c_int, id: u32, info: *mut SignalInfo, options: c_int) -> c_int;
    pub fn sigaction(signal: c_int, action: *const SignalAction, old: *mut SignalAction) -> c_int;
    pub fn sigprocmask(how: c_int, set: *const SignalSet, old: *mut SignalSet) -> c_int;
    pub fn signalfd(fd: c_int, set: *const SignalSet, flags: c_int) -> c_int;
    pub fn getrlimit(resource: c_int, limit: *mut Limit) -> c_int;
    pub fn setrlimit(resource: c_int, limit: *const Limit) -> c_int;
    pub fn opendir(path: *const c_char) -> *mut c_void;
    pub fn readdir(directory: *mut c_void) -> *mut DirectoryEntry;
    pub fn closedir(directory: *mut c_void) -> c_int;
    pub fn usleep(microseconds: c_uint) -> c_int;
    pub fn _exit(status: c_int) -> !;
    pub fn pthread_create(
        thread: *mut u64,
        attributes: *const ThreadAttributes,
        start: extern "C" fn(*mut c_void) -> *mut c_void,
        argument: *mut c_void,
    ) -> c_int;
    pub fn pthread_join(thread: u64, result: *mut *mut c_void) -> c_int;
    pub fn pthread_attr_init(attributes: *mut ThreadAttributes) -> c_int;
    pub fn pthread_attr_setstacksize(attributes: *mut ThreadAttributes, bytes: usize) -> c_int;
    pub fn pthread_attr_destroy(attributes: *mut ThreadAttributes) -> c_int;
    pub fn pthread_key_create(key: *mut c_uint, destructor: Destructor) -> c_int;
    pub fn pthread_key_delete(key: c_uint) -> c_int;
    pub fn strerror(number: c_int) -> *const c_char;
    pub fn setlocale(category: c_int, locale: *const c_char) -> *mut c_char;
    pub fn uselocale(locale: *mut c_void) -> *mut c_void;
    pub safe fn sched_yield() -> c_int;
    pub static environ: *mut *mut c_char;
    pub static stdin: *mut c_void;
    pub static stdout: *mut c_void;
    pub static stderr: *mut c_void;
    pub fn _Unwind_Backtrace(visit: Visit, data: *mut c_void) -> c_int;
    pub fn _Unwind_GetIPInfo(context: *mut c_void, before: *mut c_int) -> usize;
    pub fn _Unwind_GetGR(context: *mut c_void, register: c_int) -> usize;
}

/// `struct dl_phdr_info`.
#[repr(C)]
pub struct ObjectInfo {
    pub base: usize,
    pub name: *const c_char,
    pub headers: *const Header,
    pub count: u16,
    pub adds: u64,
    pub subs: u64,
    pub tls_module: usize,
    /// The calling thread's memory of that module; null where it has none yet.
    pub tls_data: usize,
}

/// `struct timespec`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TimeSpec {
    pub seconds: i64,
    pub nanoseconds: i64,
}

/// `struct pollfd`.
#[repr(C)]
pub struct PollFd {
    pub fd: c_int,
    pub wanted: i16,
    pub seen: i16,
}

/// `struct rlimit`.
#[repr(C)]
pub struct Limit {
    pub soft: u64,
    pub hard: u64,
}

/// `sigset_t`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SignalSet(pub [u64; 16]);

/// `struct sigaction`.
#[repr(C)]
pub struct SignalAction {
    pub handler: usize,
    pub mask: SignalSet,
    pub flags: c_int,
    pub restorer: usize,
}

/// `siginfo_t`, as `waitid(2)` fills it.
#[repr(C)]
pub struct SignalInfo {
    pub signal: c_int,
    pub error: c_int,
    pub code: c_int,
    _room: c_int,
    pub process: c_int,
    pub user: u32,
    pub status: c_int,
    _rest: [c_int; 25],
}

impl SignalInfo {
    pub const EMPTY: Self =
        Self { signal: 0, error: 0, code: 0, _room: 0, process: 0, user: 0, status: 0, _rest: [0; 25] };
}

/// `struct dirent64`.
#[repr(C)]
pub struct DirectoryEntry {
    pub inode: u64,
    pub offset: i64,
    pub len: u16,
    pub kind: u8,
    pub name: [c_char; 256],
}

/// `pthread_attr_t`, with room to spare.
#[repr(C, align(16))]
pub struct ThreadAttributes(pub [u64; 16]);

/// Whether this is written for musl. Its `dlclose` does nothing, so nothing that was loaded ever goes.
pub const IS_MUSL: bool = cfg!(dlsoak_musl);
/// Names of `sysconf(3)`, the same in both C libraries.
const SC_PAGESIZE: c_int = 30;
pub const SC_THREAD_KEYS_MAX: c_int = 74;
pub const PROT_NONE: c_int = 0;
pub const PROT_READ: c_int = 1;
pub const PROT_WRITE: c_int = 2;
pub const MAP_SHARED: c_int = 1;
pub const MAP_PRIVATE: c_int = 2;
pub const MAP_ANONYMOUS: c_int = 0x20;
pub const MAP_NORESERVE: c_int = 0x4000;
/// `MAP_POPULATE`: pages and their table entries are there before the first checkpoint. Where pointers are looked for nothing is counted, and
/// most of 2 MB stays empty, which took a quarter of 32 loads.
pub const POPULATE: c_int = if cfg!(dlsoak_pointers) { 0 } else { 0x8000 };
pub const MAP_FIXED_NOREPLACE: c_int = 0x10_0000;
pub const MADV_DONTNEED: c_int = 4;
pub const MADV_REMOVE: c_int = 9;
pub const MADV_DONTFORK: c_int = 10;
pub const O_RDONLY: c_int = 0;
pub const O_WRONLY: c_int = 1;
pub const O_CREAT: c_int = 0o100;
pub const O_EXCL: c_int = 0o200;
pub const O_CLOEXEC: c_int = 0o2_000_000;
pub const O_PATH: c_int = 0o10_000_000;
pub const F_DUPFD_CLOEXEC: c_int = 1030;
pub const F_SETFD: c_int = 2;
pub const F_SETFL: c_int = 4;
pub const FD_CLOEXEC: c_int = 1;
pub const SEEK_END: c_int = 2;
pub const RTLD_LAZY: c_int = 1;
pub const RTLD_NOW: c_int = 2;
pub const RTLD_NOLOAD: c_int = 4;
pub const LM_ID_NEWLM: c_long = -1;
pub const CLOCK_MONOTONIC: c_int = 1;
pub const CLONE_NEWNET: c_int = 0x4000_0000;
pub const LC_ALL: c_int = 6;
pub const PR_SET_PDEATHSIG: c_int = 1;
pub const PR_SET_NAME: c_int = 15;
pub const PR_SET_CHILD_SUBREAPER: c_int = 36;
pub const PR_SET_NO_NEW_PRIVS: c_int = 38;
pub const SIGKILL: c_int = 9;
pub const SIGCHLD: c_int = 17;
pub const SIGSTOP: c_int = 19;
pub const SIG_SETMASK: c_int = 2;
pub const SFD_CLOEXEC: c_int = O_CLOEXEC;
pub const SFD_NONBLOCK: c_int = 0o4_000;
pub const POLLIN: i16 = 1;
pub const P_PID: c_int = 1;
pub const WNOHANG: c_int = 1;
pub const WEXITED: c_int = 4;
pub const WNOWAIT: c_int = 0x0100_0000;
pub const CLD_EXITED: c_int = 1;
pub const CLD_DUMPED: c_int = 3;
pub const AT_EMPTY_PATH: c_int = 0x1000;
/// Bytes of `struct signalfd_siginfo`.
pub const SIGNALFD_INFO: usize = 128;
pub const ENOENT: c_int = 2;
pub const ESRCH: c_int = 3;
pub const EINTR: c_int = 4;
pub const EINVAL: c_int = INVALID;
pub const RLIMIT_FSIZE: c_int = 1;
pub const RLIMIT_CORE: c_int = 4;

/// Numbers of system calls that the C library has no function for.
pub mod sys {
    use core::ffi::c_long;

    const fn of(x86: c_long, arm: c_long) -> c_long {
        if cfg!(target_arch = "aarch64") { arm } else { x86 }
    }
    pub const FUTEX: c_long = of(202, 98);
    pub const GETTID: c_long = of(186, 178);
    pub const TGKILL: c_long = of(234, 131);
    pub const RT_SIGACTION: c_long = of(13, 134);
    pub const RT_SIGPROCMASK: c_long = of(14, 135);
    pub const GETITIMER: c_long = of(36, 102);
    pub const EXECVEAT: c_long = of(322, 281);
    pub const PROCESS_VM_READV: c_long = of(310, 270);
    pub const RENAMEAT2: c_long = of(316, 276);
    pub const LANDLOCK_ADD_RULE: c_long = 445;
    pub const LANDLOCK_RESTRICT_SELF: c_long = 446;
}

/// The calling thread's error number.
pub fn errno() -> c_int {
    // SAFETY: the address is that of the calling thread's errno.
    unsafe { *__errno_location() }
}

/// Number of the calling thread, as `/proc/PID/task` names it.
pub fn thread_id() -> c_int {
    // SAFETY: gettid takes nothing and cannot fail.
    unsafe { syscall(sys::GETTID) as c_int }
}

/// Whether a thread of this process is there.
pub fn lives(thread: c_int) -> bool {
    // SAFETY: signal 0 is never delivered; the call only says whether the thread is there.
    unsafe { syscall(sys::TGKILL, c_long::from(getpid()), c_long::from(thread), 0 as c_long) == 0 }
}

/// Nanoseconds of `CLOCK_MONOTONIC`, from the vDSO.
#[inline]
pub fn monotonic_ns() -> u64 {
    let mut now = TimeSpec { seconds: 0, nanoseconds: 0 };
    // SAFETY: the pointer is to a structure on this stack; CLOCK_MONOTONIC exists on every Linux.
    unsafe { clock_gettime(CLOCK_MONOTONIC, &raw mut now) };
    (now.seconds as u64).wrapping_mul(1_000_000_000).wrapping_add(now.nanoseconds as u64)
}

/// Reads words at an address that may be anything: the kernel does, which refuses where we would crash. `process_vm_readv(2)` of
/// the process itself.
pub fn peek<const N: usize>(address: usize) -> Option<[usize; N]> {
    let mut words = [0_usize; N];
    let len = size_of::<[usize; N]>();
    let to = Part { base: words.as_mut_ptr().cast(), len };
    (read_own(address, &to) == len).then_some(words)
}

/// Copies memory at an address that may be anything: as [`peek`], but any number of bytes; how many were copied.
pub fn peek_bytes(address: usize, to: &mut [u8]) -> usize {
    let to = Part { base: to.as_mut_ptr().cast(), len: to.len() };
    read_own(address, &to)
}

/// `struct iovec`.
#[repr(C)]
struct Part {
    base: *mut c_void,
    len: usize,
}

/// `process_vm_readv(2)` of the process itself: how many bytes were copied.
fn read_own(address: usize, to: &Part) -> usize {
    let from = Part { base: core::ptr::with_exposed_provenance_mut(address), len: to.len };
    // SAFETY: what is written to is the caller's and as large as it says; what is read from is checked by the kernel.
    let count = unsafe {
        let process = c_long::from(getpid());
        let (to, from) = (core::ptr::from_ref(to), &raw const from);
        syscall(sys::PROCESS_VM_READV, process, to, 1 as c_long, from, 1 as c_long, 0 as c_long)
    };
    usize::try_from(count).unwrap_or(0)
}

/// What mappings are multiples of: 4, 16 or 64 KiB, which the kernel says.
pub fn page() -> usize {
    static PAGE: AtomicUsize = AtomicUsize::new(0);
    match PAGE.load(Relaxed) {
        0 => {
            // SAFETY: sysconf has no precondition.
            let size = unsafe { sysconf(SC_PAGESIZE) } as usize;
            PAGE.store(size, Relaxed);
            size
        }
        size => size,
    }
}

/// Memory of the process's own, all zero, for as long as it lives.
///
/// # Errors
/// The error number.
pub fn map(len: usize) -> Result<&'static mut [u8], c_int> {
    let access = PROT_READ | PROT_WRITE;
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | POPULATE;
    // SAFETY: a new mapping at an address that the kernel chooses touches nothing that exists.
    let at = unsafe { mmap(core::ptr::null_mut(), len, access, flags, -1, 0) };
    if at as isize == -1 {
        return Err(errno());
    }
    let number = OWN_USED.fetch_add(1, Relaxed);
    if let Some(own) = OWN.get(number) {
        own[0].store(at as usize, Relaxed);
        own[1].store((at as usize + len).next_multiple_of(page()), Relaxed);
    }
    // SAFETY: the mapping is that large, and is never given back.
    Ok(unsafe { core::slice::from_raw_parts_mut(at.cast(), len) })
}

/// What [`map`] gave.
static OWN: [[AtomicUsize; 2]; 64] = [const { [const { AtomicUsize::new(0) }; 2] }; 64];
static OWN_USED: AtomicUsize = AtomicUsize::new(0);

/// The end of the memory around an address that [`map`] gave, the first 64 times.
pub fn own_map(address: usize) -> Option<usize> {
    let used = OWN_USED.load(Relaxed).min(OWN.len());
    let all = OWN[..used].iter().map(|own| (own[0].load(Relaxed), own[1].load(Relaxed)));
    all.filter(|(low, high)| *low <= address && address < *high).map(|(_, high)| high).next()
}

/// `Elf64_Phdr`.
#[repr(C)]
pub struct Header {
    pub kind: u32,
    pub flags: u32,
    pub offset: u64,
    pub address: usize,
    pub physical: u64,
    pub in_file: u64,
    pub in_memory: usize,
    pub align: u64,
}

/// `ENOMEM`, `EINVAL`, `ENOSYS`.
pub const NO_MEMORY: c_int = 12;
pub const INVALID: c_int = 22;
const NO_SUCH_CALL: c_int = 38;

pub fn set_errno(value: c_int) {
    // SAFETY: the address is that of the calling thread's errno.
    unsafe { *__errno_location() = value };
}

/// Ends the process.
pub fn give_up() -> ! {
    // SAFETY: abort has no precondition.
    unsafe { abort() }
}

/// The thread that looks a function up, by its thread pointer; 0 where none does.
static LOOKING: AtomicU64 = AtomicU64::new(0);

/// A function that is looked up once.
pub struct Real {
    name: &'static CStr,
    found: AtomicPtr<c_void>,
}

impl Real {
    pub const fn new(name: &'static CStr) -> Self {
        Self { name, found: AtomicPtr::new(core::ptr::null_mut()) }
    }

    /// Its address; null where the C library has no such function, and for what `dlsym` itself asks of us. Before glibc 2.34 it asks calloc for
    /// memory for its errors, which would look calloc up again, and so on; it does without where it gets none (`dlerror.c`).
    pub fn address(&self) -> *mut c_void {
        let found = self.found.load(Relaxed);
        if !found.is_null() {
            return found;
        }
        let this = thread_pointer();
        if LOOKING.swap(this, Relaxed) == this {
            return core::ptr::null_mut();
        }
        // SAFETY: the name ends in NUL; RTLD_NEXT is -1.
        let found = unsafe { dlsym(core::ptr::without_provenance_mut(usize::MAX), self.name.as_ptr()) };
        LOOKING.store(0, Relaxed);
        self.found.store(found, Relaxed);
        found
    }
}

/// What glibc has under names of its own, for musl: there the next malloc after the program's is the C library's, and there are no namespaces.
#[cfg(dlsoak_musl)]
mod of_musl {
    use super::*;

    macro_rules! next {
        ($($own:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? = $name:literal;)*) => {$(
            pub unsafe fn $own($($argument: $type),*) $(-> $result)? {
                static REAL: Real = Real::new($name);
                // SAFETY: that symbol is a function of this type; the caller's contract is its.
                unsafe {
                    core::mem::transmute::<*mut c_void, unsafe extern "C" fn($($type),*) $(-> $result)?>(REAL.address())(
                        $($argument),*
                    )
                }
            }
        )*};
    }

    next! {
        __libc_malloc(size: usize) -> *mut c_void = c"malloc";
        __libc_realloc(old: *mut c_void, size: usize) -> *mut c_void = c"realloc";
        __libc_free(old: *mut c_void) = c"free";
        // Its memalign calls the program's own.
        __libc_memalign(align: usize, size: usize) -> *mut c_void = c"aligned_alloc";
    }

    /// That of musl calls the program's own malloc, which would count it twice, and wipes what it gets, too.
    pub unsafe fn __libc_calloc(count: usize, size: usize) -> *mut c_void {
        let Some(bytes) = count.checked_mul(size) else {
            set_errno(NO_MEMORY);
            return core::ptr::null_mut();
        };
        // SAFETY: the block has as many bytes.
        unsafe {
            let block = __libc_malloc(bytes);
            if !block.is_null() {
                block.cast::<u8>().write_bytes(0, bytes);
            }
            block
        }
    }

    pub unsafe fn __libc_valloc(size: usize) -> *mut c_void {
        // SAFETY: the caller's contract.
        unsafe { __libc_memalign(page(), size) }
    }

    pub unsafe fn dlmopen(_namespace: c_long, _path: *const c_char, _flags: c_int) -> *mut c_void {
        not_there();
        core::ptr::null_mut()
    }
}

/// What a function that the C library does not have would say.
pub fn not_there() {
    set_errno(NO_SUCH_CALL);
}

/// Defines `mod real` with a function for each of these, which gives the C library's of that name.
macro_rules! reals {
    ($($name:ident($($type:ty),*) -> $result:ty;)*) => {
        /// The C library's own.
        pub mod real {
            #[allow(unused_imports)]
            use super::*;

            $(pub fn $name() -> Option<unsafe extern "C" fn($($type),*) -> $result> {
                static REAL: $crate::c::Real = $crate::c::Real::new(
                    match core::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                        Ok(name) => name,
                        Err(_) => c"",
                    },
                );
                // SAFETY: the prototype is that of the C library's manual; a null pointer becomes None.
                unsafe { core::mem::transmute(REAL.address()) }
            })*

            /// Looks all of them up now: later a lock of the loader might be held by who waits for us.
            pub fn look_up() {
                $(let _ = $name();)*
            }
        }
    };
}
pub(crate) use reals;

/// Defines an interposed function that goes on to another one, with the return address as one more argument.
macro_rules! with_caller {
    ($($name:ident -> $to:ident, $x86:literal, $arm:literal;)*) => {$(
        /// As the C library's function of this name.
        ///
        /// # Safety
        /// The C library's contract.
        #[unsafe(naked)]
        #[cfg_attr(any(dlsoak_program = "preload", dlsoak_pointers), unsafe(no_mangle))]
        pub unsafe extern "C" fn $name() {
            #[cfg(target_arch = "x86_64")]
            core::arch::naked_asm!(concat!("mov ", $x86, ", [rsp]"), "jmp {to}", to = sym $to);
            #[cfg(target_arch = "aarch64")]
            core::arch::naked_asm!(concat!("mov ", $arm, ", x30"), "b {to}", to = sym $to);
        }
    )*};
}
pub(crate) use with_caller;
