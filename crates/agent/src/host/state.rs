//! What only a process itself can see of its state: signal actions, floating-point modes, thread-specific keys,
//! and where the C library keeps the rest. Addresses are handed out and never followed here: a library that is
//! gone may have left them dangling, and the supervisor reads them from outside.

use core::ffi::{c_long, c_uint, c_void};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use crate::c;

/// What a signal does to the process, as the kernel keeps it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Action {
    /// Address of the handler; 0 is `SIG_DFL`, 1 is `SIG_IGN`.
    pub handler: u64,
    /// `SA_*` flags.
    pub flags: u64,
    restorer: u64,
    /// Signals blocked while the handler runs.
    pub mask: u64,
}

/// The action of a signal. Asked of the kernel: glibc keeps signals 32 and 33 to itself.
pub fn signal_action(signal: usize) -> Action {
    let mut action = Action::default();
    // SAFETY: no new action is given; the kernel writes its own structure of this layout and a mask of 8 bytes.
    unsafe {
        c::syscall(c::sys::RT_SIGACTION, signal, core::ptr::null::<c_void>(), &raw mut action, 8_usize);
    }
    action
}

/// Interval timers that are armed: microseconds until `ITIMER_REAL`, `ITIMER_VIRTUAL` and `ITIMER_PROF` fire.
pub fn interval_timers() -> [u64; 3] {
    [0, 1, 2].map(|which: c_long| {
        // Interval and value, each in seconds and microseconds.
        let mut timer = [0_i64; 4];
        // SAFETY: the pointer is to a structure on this stack, which the kernel fills.
        unsafe { c::syscall(c::sys::GETITIMER, which, &raw mut timer) };
        u64::try_from(timer[2].saturating_mul(1_000_000).saturating_add(timer[3])).unwrap_or(0)
    })
}

/// Number of thread-specific keys in use besides the process's own, give or take those that were deleted out of turn; all there are when no
/// more can be made.
pub fn keys_in_use() -> u32 {
    let most = keys_most();
    let make = || {
        let mut key: c_uint = 0;
        // SAFETY: the pointer is to a key on this stack; there is no destructor, and the key is used by nobody.
        (unsafe { c::pthread_key_create(&raw mut key, None) } == 0).then_some(key)
    };
    let delete = |key: c_uint| {
        // SAFETY: the key was made above and is used by nobody.
        unsafe { c::pthread_key_delete(key) };
    };
    let all = if c::IS_MUSL {
        most.saturating_sub(free_in_rotation(most, make, delete))
    } else {
        in_use_in_order(most, make, delete)
    };
    all.saturating_sub(own_keys().count() as u32)
}

/// Number of thread-specific keys that a process can have: 1,024 in glibc, 128 in musl.
pub fn keys_most() -> u32 {
    // SAFETY: sysconf has no precondition.
    u32::try_from(unsafe { c::sysconf(c::SC_THREAD_KEYS_MAX) }).unwrap_or(0)
}

/// Keys in use where the next one is the lowest that is free, as in glibc.
///
/// A few keys are made and deleted at once; they get the lowest free numbers, and the highest of them tells. One alone
/// would not do: Rust's standard library makes two where the first is number 0, and deletes that, so that 0 stays
/// free for ever. Making all of them would, for a moment, take them from threads that the library still runs.
fn in_use_in_order(most: u32, mut make: impl FnMut() -> Option<c_uint>, delete: impl Fn(c_uint)) -> u32 {
    const PROBES: usize = 8;
    let mut keys: [c_uint; PROBES] = [0; PROBES];
    let mut made = 0;
    while let Some(key) = (made < PROBES).then(&mut make).flatten() {
        keys[made] = key;
        made += 1;
    }
    keys[..made].iter().copied().for_each(delete);
    let highest = keys[..made].iter().copied().max().unwrap_or(0);
    if made < PROBES { most - made as u32 } else { (highest + 1).saturating_sub(PROBES as u32) }
}

/// Keys that are free where the next one is the first free one after the last that was made, as in musl: their numbers say nothing there
/// of how many are in use. One after the other is made, and the one before it deleted, until the first comes again. So the threads that
/// the library still runs lack two keys at most.
fn free_in_rotation(most: u32, mut make: impl FnMut() -> Option<c_uint>, delete: impl Fn(c_uint)) -> u32 {
    let Some(first) = make() else { return 0 };
    let (mut held, mut free) = (first, 1);
    while let Some(next) = (free < most).then(&mut make).flatten() {
        delete(held);
        held = next;
        if next == first {
            break;
        }
        free += 1;
    }
    delete(held);
    free
}

/// Keys of the process's own, as a host has some: a library that deletes a key that it never made deletes number 0.
const OWN_KEYS: usize = 4;
/// Their numbers.
static OWN: [AtomicU32; OWN_KEYS] = [const { AtomicU32::new(NO_KEY) }; OWN_KEYS];
/// In place of a number: none.
const NO_KEY: u32 = u32::MAX;

/// What glibc has of a key: a number that is odd while the key is in use and grows when it is made and when it is deleted, and its
/// destructor (`struct pthread_key_struct`, nptl/descr.h).
#[repr(C)]
struct Key {
    sequence: AtomicUsize,
    _destructor: usize,
}

/// The number of a key that was made for the first time.
const MADE_ONCE: usize = 1;

/// The number that glibc has of a key, odd while the key is in use; `None` where it has no such table.
pub fn key_sequence(key: u32) -> Option<usize> {
    /// `PTHREAD_KEYS_MAX` of glibc.
    const KEYS: u32 = 1024;
    static ALL: c::Real = c::Real::new(c"__pthread_keys");
    let all = ALL.address().cast::<Key>();
    // SAFETY: glibc has this array of as many keys, for debuggers (nptl_db).
    (!all.is_null() && key < KEYS).then(|| unsafe { (*all.add(key as usize)).sequence.load(Relaxed) })
}

/// Makes the keys of the process's own, before any library could. None where the C library does not tell what becomes of them, as musl.
pub fn make_own_keys() {
    for own in OWN.iter().filter(|_| key_sequence(0).is_some()) {
        let mut key = 0;
        // SAFETY: the pointer is to a key on this stack; there is no destructor.
        let made = unsafe { c::pthread_key_create(&raw mut key, None) } == 0;
        // One that somebody had before has another number now, and is not watched.
        if made && key < u32::BITS && key_sequence(key) == Some(MADE_ONCE) {
            own.store(key, Relaxed);
        }
    }
}

/// The numbers of those that are watched.
fn own_keys() -> impl Iterator<Item = u32> {
    OWN.iter().map(|own| own.load(Relaxed)).filter(|key| *key != NO_KEY)
}

/// One of them; `None` where there is none.
pub fn an_own_key() -> Option<u32> {
    own_keys().next()
}

/// Those of them that were deleted, and perhaps made again by somebody else: a bit for each, by its number. Where this is the `last` time
/// that it is asked, as after the first loads, the others are deleted: a library that uses up all keys shall have all there are.
pub fn own_keys_deleted(last: bool) -> u32 {
    static DELETED: AtomicU32 = AtomicU32::new(0);
    let is_deleted = |key: u32| key_sequence(key) != Some(MADE_ONCE);
    DELETED.fetch_or(own_keys().filter(|key| is_deleted(*key)).fold(0, |all, key| all | 1 << key), Relaxed);
    if last {
        for own in &OWN {
            let key = own.swap(NO_KEY, Relaxed);
            if key != NO_KEY && !is_deleted(key) {
                // SAFETY: the key was made above and is still the process's own.
                unsafe { c::pthread_key_delete(key) };
            }
        }
    }
    DELETED.load(Relaxed)
}

/// Modes of the calling thread's floating-point unit, without the sticky exception flags: MXCSR on x86-64, FPCR
/// on AArch64.
pub fn float_control() -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        let mut mxcsr = 0_u32;
        // SAFETY: stmxcsr stores four bytes at the address of a variable of that size.
        unsafe {
            core::arch::asm!("stmxcsr [{}]", in(reg) &raw mut mxcsr, options(nostack, preserves_flags));
        }
        mxcsr & !0x3f
    }
    #[cfg(target_arch = "aarch64")]
    {
        let fpcr: u64;
        // SAFETY: reads a register that user code may read.
        unsafe {
            core::arch::asm!("mrs {}, fpcr", out(reg) fpcr, options(nomem, nostack, preserves_flags));
        }
        fpcr as u32
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    0
}

/// Control word of the calling thread's x87 unit; 0 where there is none.
pub fn x87_control() -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        let mut word = 0_u16;
        // SAFETY: fnstcw stores two bytes at the address of a variable of that size.
        unsafe {
            core::arch::asm!("fnstcw [{}]", in(reg) &raw mut word, options(nostack, preserves_flags));
        }
        u32::from(word)
    }
    #[cfg(not(target_arch = "x86_64"))]
    0
}

/// Where the C library keeps what a process has one of. Addresses only; 0 where the C library has no such thing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Places {
    /// The array `environ`.
    pub environ: u64,
    /// The text that `setlocale(LC_ALL, NULL)` returns.
    pub locale: u64,
    /// The first of all open stdio streams, a `FILE`.
    pub streams: u64,
    /// The streams that `stdin`, `stdout` and `stderr` name.
    pub standard_streams: [u64; 3],
}

unsafe extern "C" {
    #[cfg(not(dlsoak_musl))]
    #[link_name = "_IO_list_all"]
    static STREAMS: *mut c_void;
}

/// Looks up these places.
pub fn places() -> Places {
    // SAFETY: each is a variable of the C library's that holds a pointer and lives as long as the process; it is
    // copied, by a volatile read since the library under test may have changed it, and not followed.
    unsafe {
        Places {
            environ: (&raw const c::environ).read_volatile() as u64,
            locale: c::setlocale(c::LC_ALL, core::ptr::null()) as u64,
            #[cfg(not(dlsoak_musl))]
            streams: (&raw const STREAMS).read_volatile() as u64,
            #[cfg(dlsoak_musl)]
            streams: 0,
            standard_streams: [
                (&raw const c::stdin).read_volatile() as u64,
                (&raw const c::stdout).read_volatile() as u64,
                (&raw const c::stderr).read_volatile() as u64,
            ],
        }
    }
}

/// The locale of the calling thread alone; 0 where it follows the process.
pub fn thread_locale() -> u64 {
    /// `LC_GLOBAL_LOCALE`.
    const GLOBAL: u64 = u64::MAX;
    // SAFETY: a null locale asks and changes nothing.
    let own = unsafe { c::uselocale(core::ptr::null_mut()) } as u64;
    if own == GLOBAL { 0 } else { own }
}

#[cfg(test)]
mod tests {
    use core::ffi::c_int;

    use super::*;

    #[test]
    fn signal_actions_are_the_kernels() {
        const SIGUSR2: c_int = 12;
        extern "C" fn handler(_: c_int) {}
        let set = |handler: usize| {
            let action = c::SignalAction { handler, mask: c::SignalSet([0; 16]), flags: 0, restorer: 0 };
            // SAFETY: the handler does nothing, or is SIG_DFL; nobody sends this signal.
            unsafe { c::sigaction(SIGUSR2, &raw const action, core::ptr::null_mut()) };
        };
        let before = signal_action(SIGUSR2 as usize);
        assert!(before.handler <= 1, "{before:?}");
        set(handler as *const () as usize);
        assert_eq!(signal_action(SIGUSR2 as usize).handler, handler as *const () as u64);
        set(0);
        assert_eq!(signal_action(SIGUSR2 as usize).handler, 0);
    }

    #[test]
    fn a_key_that_is_kept_is_counted_and_an_own_one_that_is_deleted_is_noticed() {
        make_own_keys();
        assert_eq!(own_keys_deleted(false), 0);
        let before = keys_in_use();
        assert_eq!(keys_in_use(), before);
        let mut key = 0;
        // SAFETY: the pointer is to a key on this stack, without a destructor.
        unsafe { c::pthread_key_create(&raw mut key, None) };
        assert_eq!(keys_in_use(), before + 1);
        // SAFETY: the key was made above.
        unsafe { c::pthread_key_delete(key) };
        let last = own_keys().last().unwrap();
        // SAFETY: the key was made above.
        unsafe { c::pthread_key_delete(last) };
        assert_eq!(own_keys_deleted(true), 1 << last);
        // The others are free now.
        assert_eq!((own_keys_deleted(true), keys_in_use()), (1 << last, before));
    }

    /// The keys of a C library, of which some are in use, and the last one that was made.
    struct Keys {
        taken: [bool; 128],
        last: usize,
    }

    impl Keys {
        fn make(&mut self, from: usize) -> Option<c_uint> {
            let free = (0..128).map(|step| (from + step) % 128).find(|key| !self.taken[*key])?;
            (self.taken[free], self.last) = (true, free);
            Some(free as c_uint)
        }
    }

    #[test]
    fn keys_are_counted_in_whatever_order_they_are_handed_out() {
        for used in [0, 1, 2, 5, 100, 126, 127, 128] {
            let mut keys = Keys { taken: [false; 128], last: 77 };
            // Not one after the other.
            (0..used).for_each(|index| keys.taken[index * 37 % 128] = true);
            let before = keys.taken;
            let keys = core::cell::RefCell::new(keys);
            let make = || {
                let last = keys.borrow().last;
                keys.borrow_mut().make(last)
            };
            let delete = |key: c_uint| keys.borrow_mut().taken[key as usize] = false;
            // As often as it is asked, and nothing is kept.
            for _ in 0..3 {
                assert_eq!(free_in_rotation(128, make, delete), 128 - used as u32);
            }
            assert_eq!(keys.borrow().taken, before);
            // The highest of eight in a row, which leaves what has no gaps.
            let lowest = || keys.borrow_mut().make(0);
            (0..128).for_each(|key| keys.borrow_mut().taken[key] = key < used);
            assert_eq!(in_use_in_order(128, lowest, delete), used as u32);
        }
    }

    #[test]
    fn modes_are_those_of_a_c_host() {
        if cfg!(target_arch = "x86_64") {
            assert_eq!((float_control(), x87_control()), (0x1f80, 0x37f));
        }
        assert_eq!(thread_locale(), 0);
        assert_eq!(interval_timers(), [0; 3]);
        let places = places();
        assert!(places.environ != 0 && places.locale != 0 && !places.standard_streams.contains(&0));
    }
}
