//! Counts the allocations of this program's own code, so that a worker can prove that its loop makes none. What a
//! library allocates goes to the C library directly and is not counted here.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static COUNT: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, with a count of the calls that obtain memory.
#[derive(Debug, Default, Clone, Copy)]
pub struct CountingAllocator;

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Relaxed);
        // SAFETY: the caller keeps GlobalAlloc's contract, which is System's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

/// Allocations made so far by this program's own code; 0 in a program that does not install
/// [`CountingAllocator`].
pub(super) fn count() -> u64 {
    COUNT.load(Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_obtain_memory_is_counted() {
        let layout = Layout::new::<u64>();
        let before = count();
        // SAFETY: the layout is not empty; what is allocated is freed once, with the same layout.
        unsafe {
            let plain = CountingAllocator.alloc(layout);
            let grown = CountingAllocator.realloc(plain, layout, 64);
            CountingAllocator.dealloc(grown, Layout::from_size_align_unchecked(64, layout.align()));
            let zeroed = CountingAllocator.alloc_zeroed(layout);
            CountingAllocator.dealloc(zeroed, layout);
        }
        assert_eq!(count() - before, 3);
    }
}
