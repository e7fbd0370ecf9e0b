//! What a thread waits for, and who holds what it waits for.

use crate::observer::{Call, Capture, Thread};
use crate::record::why::{Blocked, Descriptor, Doing, Holder, Wait};
use crate::sys::glibc::MutexWords;

use super::stacks::{Named, Namer, called, culprit, name_of_thread};

/// Functions of glibc that wait for a mutex.
const MUTEX: [&str; 5] = [
    "pthread_mutex_lock",
    "pthread_mutex_timedlock",
    "pthread_mutex_clocklock",
    "__pthread_mutex_lock",
    "__pthread_mutex_lock_full",
];
/// Functions of glibc that wait for a thread to end.
const JOIN: [&str; 4] =
    ["pthread_join", "pthread_timedjoin_np", "pthread_clockjoin_np", "__pthread_clockjoin_ex"];
/// Functions of glibc that wait on a condition variable.
const CONDITION: [&str; 3] = ["pthread_cond_wait", "pthread_cond_timedwait", "pthread_cond_clockwait"];
/// Frames that these functions may be below.
const DEPTH: usize = 5;

/// What a thread does, and from where in the library.
pub(super) fn doing(namer: &mut Namer<'_>, capture: &Capture, thread: &Thread) -> Doing {
    let frames = namer.frames(capture, thread);
    let wait = match &thread.call {
        Some(call) => waits(namer, capture, thread, call, &frames),
        None => Wait::Runs,
    };
    Doing { wait, by: culprit(&frames) }
}

fn waits(namer: &mut Namer<'_>, capture: &Capture, thread: &Thread, call: &Call, frames: &[Named]) -> Wait {
    let above = frames.get(..DEPTH.min(frames.len())).unwrap_or_default();
    let within = |names: &[&str]| above.iter().any(|named| named.is(names));
    if call.expected().is_none() {
        return in_call(call);
    }
    let joined = ends(capture, call);
    if within(&JOIN) || joined.is_some() {
        return Wait::Join { thread: joined.map(name_of_thread) };
    }
    if within(&CONDITION) {
        return Wait::Condition;
    }
    if !within(&MUTEX) {
        return Wait::Futex;
    }
    let owner = owner(capture, call);
    if owner.is_some_and(|owner| owner.id == thread.id) {
        return Wait::OwnMutex;
    }
    let holder = owner.map(|owner| {
        Box::new(Holder { thread: name_of_thread(owner), doing: of_holder(namer, capture, owner) })
    });
    Wait::Mutex { holder }
}

/// The thread whose end is waited for. The kernel wakes who waits at its number, and others than this process may wait there
/// (`CLONE_CHILD_CLEARTID`), so glibc waits for the number by a futex that is shared (`LLL_SHARED` in pthread_join_common.c). A C library without
/// names of its own functions does not say that this is `pthread_join`.
fn ends<'a>(capture: &'a Capture, call: &Call) -> Option<&'a Thread> {
    let number = call.expected().filter(|_| call.is_shared()).and_then(|value| i32::try_from(value).ok())?;
    capture.threads.iter().find(|other| other.inner == number)
}

/// The thread that holds the mutex that a thread waits for.
fn owner<'a>(capture: &'a Capture, call: &Call) -> Option<&'a Thread> {
    let owner = call.futex.as_ref().and_then(MutexWords::of).map(|words| words.owner);
    capture.threads.iter().find(|other| Some(other.inner) == owner)
}

/// The first thread of the library's that waits for the loader's lock, where this one holds it.
pub(super) fn blocked(namer: &mut Namer<'_>, capture: &Capture, holder: &Thread) -> Option<Blocked> {
    let is_loaders = |call: &Call| {
        let file = capture.file(call.arguments[0]).and_then(|file| file.file_name());
        file.is_some_and(|name| name.to_string_lossy().starts_with("ld-"))
    };
    let waits = |thread: &&Thread| {
        let call = thread.call.as_ref().filter(|call| call.expected().is_some() && is_loaders(call));
        call.and_then(|call| owner(capture, call)).is_some_and(|owner| owner.id == holder.id)
    };
    let thread = capture.threads.iter().find(|thread| !namer.is_own(capture, thread) && waits(thread))?;
    let frames = namer.frames(capture, thread);
    Some(Blocked { thread: name_of_thread(thread), callee: called(&frames), by: culprit(&frames) })
}

/// What the holder of a mutex does itself, without going on to whom it waits for.
fn of_holder(namer: &mut Namer<'_>, capture: &Capture, thread: &Thread) -> Doing {
    let frames = namer.frames(capture, thread);
    let wait = match &thread.call {
        None => Wait::Runs,
        Some(call) if call.expected().is_some() => {
            let within = |names: &[&str]| frames.iter().take(DEPTH).any(|named| named.is(names));
            match () {
                () if within(&JOIN) || ends(capture, call).is_some() => Wait::Join { thread: None },
                () if within(&CONDITION) => Wait::Condition,
                () if within(&MUTEX) => Wait::Mutex { holder: None },
                () => Wait::Futex,
            }
        }
        Some(call) => in_call(call),
    };
    Doing { wait, by: culprit(&frames) }
}

/// A system call that is no wait on a futex.
fn in_call(call: &Call) -> Wait {
    let name = call.name();
    let fd = call.descriptor().filter(|_| name.is_some());
    Wait::Call {
        call: name.map(str::to_owned),
        number: name.is_none().then_some(call.number),
        fd,
        of: call
            .file
            .as_ref()
            .filter(|_| fd.is_some())
            .map(|file| Descriptor::of_link(&file.to_string_lossy())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_wait_for_the_number_of_a_thread_is_for_its_end() {
        let thread = |inner: i32| Thread { id: 1000 + inner, inner, ..Thread::default() };
        let capture = Capture { threads: vec![thread(7), thread(8)], ..Capture::default() };
        let wait = |operation, value| {
            let arguments = [0x7f00, operation, value, 0, 0, 0xffff_ffff];
            ends(&capture, &Call { number: libc::SYS_futex, arguments, file: None, futex: None })
                .map(|thread| thread.id)
        };
        // FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, as pthread_join has it, and the same for this process alone.
        assert_eq!((wait(0x109, 8), wait(0x109, 9), wait(0x189, 8)), (Some(1008), None, None));
    }
}
