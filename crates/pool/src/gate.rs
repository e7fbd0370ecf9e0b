//! One word that lets threads into a library, or closes it when nobody is inside. It stands apart from all else, so that
//! loom can try every interleaving of it (`--cfg loom`).

#[cfg(all(test, loom))]
use loom::sync::atomic::{AtomicUsize, Ordering};
#[cfg(not(all(test, loom)))]
use std::sync::atomic::{AtomicUsize, Ordering};

/// Set while the library is closed. The bits below it count those inside.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// Counts those inside a library that is open, and keeps it open while anybody is.
///
/// Any thread may call [`Gate::enter`] and [`Gate::leave`] at any time. Callers of [`Gate::close`] and [`Gate::reopen`] hold
/// the entry's lock.
#[derive(Debug)]
pub(super) struct Gate(AtomicUsize);

impl Gate {
    /// A gate that is open, with nobody inside.
    pub(super) fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// Goes inside; false when it is closed.
    #[inline]
    pub(super) fn enter(&self) -> bool {
        // It counts first and asks afterwards, so a thread that closes either sees this count or comes before it. Acquire
        // pairs with the Release of `reopen`, which makes the handle visible that was stored before.
        let open = self.0.fetch_add(1, Ordering::Acquire) & CLOSED == 0;
        if !open {
            // Another thread may have opened it since. The count that is removed is this thread's own all the same.
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
        open
    }

    /// Leaves. Because of Release, all that was done inside comes before a close that sees this.
    #[inline]
    pub(super) fn leave(&self) {
        self.0.fetch_sub(1, Ordering::Release);
    }

    /// Closes it if it is open and nobody is inside; true if this call has closed it.
    pub(super) fn close(&self) -> bool {
        self.0.compare_exchange(0, CLOSED, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Opens it again and goes inside. The gate must be closed.
    pub(super) fn reopen(&self) {
        // In this order nobody can close it between the two.
        self.0.fetch_add(1, Ordering::Relaxed);
        self.0.fetch_and(!CLOSED, Ordering::Release);
    }

    /// True while it is open.
    pub(super) fn is_open(&self) -> bool {
        self.0.load(Ordering::Acquire) & CLOSED == 0
    }

    /// How many are inside. It may change at any time, so nothing is decided by it.
    pub(super) fn inside(&self) -> usize {
        self.0.load(Ordering::Relaxed) & !CLOSED
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_locked_in_and_nobody_enters_what_is_closed() {
        let gate = Gate::new();
        assert!(gate.enter() && !gate.close());
        gate.leave();
        assert!(gate.close() && !gate.close() && !gate.is_open());
        assert!(!gate.enter());
        assert_eq!(gate.inside(), 0);
        gate.reopen();
        assert!(gate.is_open() && gate.inside() == 1 && !gate.close());
        gate.leave();
        assert!(gate.close());
    }
}

/// `RUSTFLAGS="--cfg loom" cargo test --release -p dlsoak-pool --lib` tries every interleaving.
#[cfg(all(test, loom))]
mod loom_tests {
    use loom::cell::UnsafeCell;
    use loom::sync::{Arc, Mutex};
    use loom::thread;

    use super::Gate;

    /// A library as the pool sees it: mapped or not, which loom watches for conflicting access.
    struct Library {
        gate: Gate,
        lock: Mutex<()>,
        mapped: UnsafeCell<bool>,
    }

    // SAFETY: loom checks that `mapped` is never written while it is read.
    unsafe impl Sync for Library {}
    // SAFETY: as above.
    unsafe impl Send for Library {}

    impl Library {
        fn open() -> Arc<Self> {
            Arc::new(Self { gate: Gate::new(), lock: Mutex::new(()), mapped: UnsafeCell::new(true) })
        }

        /// What a lease does: in, use, out; opening again what was closed.
        fn visit(&self) {
            if !self.gate.enter() {
                let _held = self.lock.lock().unwrap();
                if !self.gate.enter() {
                    self.mapped.with_mut(|mapped| unsafe { *mapped = true });
                    self.gate.reopen();
                }
            }
            self.mapped.with(|mapped| assert!(unsafe { *mapped }, "inside a library that is unloaded"));
            self.gate.leave();
        }

        /// What an eviction does.
        fn evict(&self) {
            let _held = self.lock.lock().unwrap();
            if self.gate.close() {
                self.mapped.with_mut(|mapped| unsafe { *mapped = false });
            }
        }
    }

    #[test]
    fn nobody_is_inside_what_is_unloaded() {
        loom::model(|| {
            let library = Library::open();
            let visitors: Vec<_> = (0..2)
                .map(|_| {
                    let library = Arc::clone(&library);
                    thread::spawn(move || library.visit())
                })
                .collect();
            library.evict();
            for visitor in visitors {
                visitor.join().unwrap();
            }
            assert_eq!(library.gate.inside(), 0);
        });
    }

    #[test]
    fn what_was_evicted_opens_again_under_a_second_eviction() {
        loom::model(|| {
            let library = Library::open();
            let visitor = {
                let library = Arc::clone(&library);
                thread::spawn(move || {
                    library.visit();
                    library.visit();
                })
            };
            library.evict();
            library.evict();
            visitor.join().unwrap();
            assert_eq!(library.gate.inside(), 0);
        });
    }
}
