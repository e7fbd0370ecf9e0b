//! What a thread waits for, in words, and who holds what it waits for.

use crate::observer::{Call, Capture, Thread};
use crate::sys::glibc::MutexWords;

use super::stacks::{Frame, Teller, culprit};

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

/// What a thread does, and from where: `waits in read() on fd 7 (pipe), called from foo() in libfoo.so`.
pub(super) fn words(teller: &mut Teller<'_>, capture: &Capture, thread: &Thread) -> String {
    let frames = teller.frames(capture, thread);
    let from = culprit(&frames).map(Frame::words);
    let Some(call) = &thread.call else {
        return match from {
            Some(from) => format!("runs in {from}"),
            None => "runs, and where can't be told".to_owned(),
        };
    };
    let mut text = waits(teller, capture, thread, call, &frames);
    if let Some(from) = from {
        text.push_str(&format!(", called from {from}"));
    }
    text
}

fn waits(
    teller: &mut Teller<'_>,
    capture: &Capture,
    thread: &Thread,
    call: &Call,
    frames: &[Frame],
) -> String {
    let above = frames.get(..DEPTH.min(frames.len())).unwrap_or_default();
    let within = |names: &[&str]| above.iter().any(|frame| frame.is(names));
    if let Some(expected) = call.expected() {
        if within(&JOIN) {
            let joined = i32::try_from(expected).ok();
            let joined = capture.threads.iter().find(|other| Some(other.inner) == joined);
            return joined.map_or_else(
                || "waits in pthread_join() for a thread to end".to_owned(),
                |other| format!("waits in pthread_join() for thread {} ({}) to end", other.id, other.name),
            );
        }
        if within(&CONDITION) {
            return "waits on a condition variable".to_owned();
        }
        let owner = call.futex.as_ref().and_then(MutexWords::of).map(|words| words.owner);
        let owner = capture.threads.iter().find(|other| Some(other.inner) == owner);
        return match owner {
            Some(owner) if within(&MUTEX) && owner.id == thread.id => {
                "waits for a mutex that it holds itself: locked twice".to_owned()
            }
            Some(owner) if within(&MUTEX) => {
                let does = holder(teller, capture, owner);
                format!("waits for a mutex held by thread {} ({}), which {does}", owner.id, owner.name)
            }
            None if within(&MUTEX) => "waits for a mutex".to_owned(),
            _ => "waits on a futex".to_owned(),
        };
    }
    let Some(name) = call.name() else { return format!("is in system call {}", call.number) };
    let Some(descriptor) = call.descriptor() else { return format!("waits in {name}()") };
    match &call.file {
        Some(file) => format!("waits in {name}() on fd {descriptor} ({})", kind(&file.to_string_lossy())),
        None => format!("waits in {name}() on fd {descriptor}"),
    }
}

/// What the holder of a mutex does itself, without going on to whom it waits for.
fn holder(teller: &mut Teller<'_>, capture: &Capture, thread: &Thread) -> String {
    let frames = teller.frames(capture, thread);
    let does = match thread.call.as_ref().map(|call| (call.name(), call.expected())) {
        None => "runs".to_owned(),
        Some((_, Some(_))) if frames.iter().take(DEPTH).any(|frame| frame.is(&MUTEX)) => {
            "waits for a mutex itself".to_owned()
        }
        Some((Some(name), _)) => format!("waits in {name}()"),
        Some((None, _)) => "is in a system call".to_owned(),
    };
    match culprit(&frames) {
        Some(frame) => format!("{does}, in {}", frame.words()),
        None => does,
    }
}

/// What kind of thing a descriptor is of, from its link: `pipe:[123]`.
fn kind(link: &str) -> String {
    match link.split_once(":[") {
        Some(("anon_inode", kind)) => kind.trim_end_matches(']').to_owned(),
        Some((kind, _)) => kind.to_owned(),
        None => link.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_told_by_kind() {
        assert_eq!(kind("pipe:[4711]"), "pipe");
        assert_eq!(kind("socket:[1]"), "socket");
        assert_eq!(kind("anon_inode:[eventpoll]"), "eventpoll");
        assert_eq!(kind("/dev/tty"), "/dev/tty");
    }
}
