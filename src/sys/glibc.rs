//! What only glibc can say of a process: heap in use, objects loaded. Every call here is made while all threads
//! that could change the answer are parked, and none of them allocates.

use std::ffi::{CStr, c_int, c_void};

/// The C heap, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heap {
    /// In use: `uordblks` plus `hblkhd` of `mallinfo2(3)`, summed over all arenas by glibc.
    pub used: u64,
    /// The part of it that is mapped one by one, `hblkhd`.
    pub mapped: u64,
}

/// Asks for the C heap in use.
///
/// Chunks in a thread's cache count as used, which is why workers run with the cache off.
pub fn heap_in_use() -> Heap {
    // SAFETY: mallinfo2 takes no argument and locks each arena itself.
    let info = unsafe { libc::mallinfo2() };
    Heap { used: (info.uordblks as u64).saturating_add(info.hblkhd as u64), mapped: info.hblkhd as u64 }
}

/// Gives free memory at the top of the heap back to the kernel, `malloc_trim(3)`.
pub fn trim_heap() {
    // SAFETY: malloc_trim has no precondition.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// What malloc keeps for a request of so many bytes, as `mallinfo2` counts it: `request2size` of glibc's malloc.c (a header of 8
/// bytes, multiples of 16, at least 32), and from `M_MMAP_THRESHOLD` (where nothing has moved it) on whole pages of `page`
/// bytes with a header of 16. True of 64-bit machines.
pub fn chunk_size(request: u64, page: u64) -> u64 {
    if request >= MMAP_THRESHOLD {
        return request.saturating_add(16).next_multiple_of(page.max(1));
    }
    (request + 8).next_multiple_of(16).max(32)
}

/// Bounds of what malloc keeps for `blocks` requests of `bytes` in all, whatever the size of each.
pub fn chunk_bounds(bytes: u64, blocks: u64, page: u64) -> (u64, u64) {
    let least = bytes.saturating_add(blocks.saturating_mul(8)).max(blocks.saturating_mul(32));
    // The most that header and rounding add to one: 32 bytes to nothing at all, a page where blocks are mapped.
    let more = if bytes >= MMAP_THRESHOLD { page + 15 } else { 32 };
    (least, bytes.saturating_add(blocks.saturating_mul(more)))
}

/// Bytes from which malloc maps a block by itself.
const MMAP_THRESHOLD: u64 = 128 * 1024;

/// Keeps large allocations apart for good, `M_MMAP_THRESHOLD` of `mallopt(3)`, so that each goes back to the kernel when
/// it is freed. By default the first ones that are freed raise the threshold, and pieces of later ones stay.
pub fn keep_large_allocations_apart() {
    /// What it is by default, before it is raised.
    const THRESHOLD: c_int = 128 * 1024;
    // SAFETY: mallopt has no precondition; no other thread runs yet where it is called.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, THRESHOLD);
    }
}

/// Version of the C library this process runs on, for example `glibc 2.36`.
pub fn version() -> String {
    // SAFETY: gnu_get_libc_version returns a constant string that lives as long as the process.
    let version = unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) };
    format!("glibc {}", version.to_string_lossy())
}

/// Nanoseconds of `CLOCK_MONOTONIC`, from the vDSO.
#[inline]
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec on this stack; CLOCK_MONOTONIC exists on every Linux.
    unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now);
    }
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
}

/// One object that the loader lists.
#[derive(Debug, Clone, Copy)]
pub struct LoadedObject<'a> {
    /// Path as the loader keeps it; empty for the program itself.
    pub name: &'a [u8],
    /// Address it was loaded at (`dlpi_addr`).
    pub base: u64,
    /// Objects the loader has added since the process began (`dlpi_adds`).
    pub adds: u64,
    /// Objects the loader has removed since the process began (`dlpi_subs`).
    pub subs: u64,
}

/// Calls `visit` for each object of the caller's namespace, in load order: `dl_iterate_phdr(3)`.
///
/// The loader's lock is held meanwhile: `visit` must not load, unload or allocate.
pub fn for_each_object(visit: &mut dyn FnMut(LoadedObject<'_>)) {
    struct Visitor<'a>(&'a mut dyn FnMut(LoadedObject<'_>));

    unsafe extern "C" fn each(info: *mut libc::dl_phdr_info, _size: usize, data: *mut c_void) -> c_int {
        // SAFETY: `data` is the Visitor that dl_iterate_phdr was called with below; it is not shared.
        let visitor = unsafe { &mut *data.cast::<Visitor<'_>>() };
        // SAFETY: the loader hands a valid structure for the duration of this call.
        let info = unsafe { &*info };
        let name = if info.dlpi_name.is_null() {
            &[][..]
        } else {
            // SAFETY: dlpi_name is a NUL-terminated string that lives while the loader's lock is held.
            unsafe { CStr::from_ptr(info.dlpi_name) }.to_bytes()
        };
        (visitor.0)(LoadedObject { name, base: info.dlpi_addr, adds: info.dlpi_adds, subs: info.dlpi_subs });
        0
    }

    let mut visitor = Visitor(visit);
    // SAFETY: the callback matches the declared type and the visitor outlives the call.
    unsafe {
        libc::dl_iterate_phdr(Some(each), (&raw mut visitor).cast());
    }
}

/// Where an open library was loaded: one read, where [`load_address`](super::state::load_address) asks the loader. In
/// glibc the handle of `dlopen` is the address of the object's `link_map` (elf/dl-open.c), whose first field this is.
///
/// # Safety
/// The handle is one that `dlopen` gave and that is still open.
#[inline]
pub unsafe fn base_of(handle: *mut c_void) -> u64 {
    // SAFETY: the caller's handle is open, so the structure is there; `l_addr` is public in <link.h>.
    unsafe { handle.cast::<u64>().read() }
}

/// Who holds a mutex, by the words at the futex that a thread waits on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MutexWords {
    /// Number of the thread that holds it.
    pub owner: i32,
}

impl MutexWords {
    /// Reads the words as a locked `pthread_mutex_t` of glibc (sysdeps/nptl/bits/struct_mutex.h): the lock, a count,
    /// the owner, the number of users, the kind. `None` where they can't be one, or nobody holds it.
    pub fn of(words: &[u32; 8]) -> Option<Self> {
        /// The kinds, and the bits that go with them: robust, priority inheritance and protection, elision, sharing.
        const KINDS: u32 = 0x1ff;
        let [lock, _, owner, users, kind, ..] = *words;
        // For mutexes that inherit priority the lock holds the owner itself, and a bit for those that wait.
        let held = matches!(lock, 1 | 2) || lock & 0x3fff_ffff == owner;
        let owner = i32::try_from(owner).ok().filter(|owner| *owner > 0)?;
        (held && users < 0x1_0000 && kind <= KINDS).then_some(Self { owner })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handle_leads_to_where_an_object_is() {
        // SAFETY: the C library is open as long as the process lives, and nothing of it is run.
        unsafe {
            let handle = libc::dlopen(c"libc.so.6".as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD);
            assert!(!handle.is_null());
            assert_eq!(base_of(handle), crate::sys::state::load_address(handle));
            assert_ne!(base_of(handle), 0);
        }
    }

    #[test]
    fn a_locked_mutex_names_its_owner() {
        let mut mutex = libc::PTHREAD_MUTEX_INITIALIZER;
        let words = |mutex: &libc::pthread_mutex_t| {
            // SAFETY: a mutex of glibc has 40 bytes, of which these are the first 32.
            unsafe { std::ptr::from_ref(mutex).cast::<[u32; 8]>().read() }
        };
        assert_eq!(MutexWords::of(&words(&mutex)), None);
        // SAFETY: the mutex is initialized, and this thread does not hold it.
        unsafe { libc::pthread_mutex_lock(&raw mut mutex) };
        let owner = i32::try_from(crate::sys::state::thread_id()).unwrap();
        assert_eq!(MutexWords::of(&words(&mutex)), Some(MutexWords { owner }));
        // SAFETY: this thread holds it.
        unsafe { libc::pthread_mutex_unlock(&raw mut mutex) };
        assert_eq!(MutexWords::of(&words(&mutex)), None);
    }

    #[test]
    fn heap_in_use_counts_what_is_held() {
        // Other tests of this process free memory meanwhile; in one of many looks they do not.
        let seen = (0..100).any(|_| {
            let before = heap_in_use();
            let held = std::hint::black_box(vec![1_u8; 8 << 20]);
            let with = heap_in_use();
            assert!(with.mapped <= with.used);
            drop(held);
            with.used >= before.used + (8 << 20)
        });
        assert!(seen);
    }

    #[test]
    fn the_list_of_objects_has_the_c_library() {
        let mut seen = false;
        let mut adds = 0;
        for_each_object(&mut |object| {
            seen |= object.name.windows(7).any(|w| w == b"libc.so");
            adds = object.adds;
        });
        assert!(seen && adds > 2);
        assert!(version().starts_with("glibc 2."));
    }
}
