//! Things that somebody must own: threads, descriptors, keys, timers, processes, shared memory. Where nothing is
//! left that could own them, they are residue; where something is, only what grows with the cycles is.

use std::collections::BTreeSet;

use dlsoak_wire::channel::KEYS;

use super::crash::{Fate, consequence, fate, place};
use super::snapshot::{Snapshot, Thread};
use super::{Case, Found, Kind, count, signal_name, tally};

/// Prefix of what a descriptor of anonymous memory points to, and of a mapping of it.
const MEMFD: &str = "/memfd:";

/// Finds what is left.
pub(super) fn find(case: &Case<'_>) -> Vec<(Kind, Found)> {
    let mut found = Vec::new();
    found.extend(threads(case).map(|f| (Kind::Threads, f)));
    if !case.context.is_held() {
        found.extend(descriptors(case).map(|f| (Kind::Fds, f)));
    }
    found.extend(keys(case).map(|f| (Kind::TlsKeys, f)));
    found.extend(timers(case).map(|f| (Kind::Timers, f)));
    found.extend(children(case).map(|f| (Kind::Children, f)));
    found.extend(shared_memory(case).into_iter().map(|f| (Kind::Ipc, f)));
    found
}

fn threads(case: &Case<'_>) -> Option<Found> {
    let known = |thread: &Thread| case.before.threads.iter().any(|old| old.id == thread.id);
    let new: Vec<(&Thread, Fate)> = case
        .after
        .threads
        .iter()
        .filter(|thread| !known(thread) && !is_timer_helper(thread, case.after))
        .map(|thread| (thread, fate(thread, case)))
        .collect();
    let doomed = new.iter().find_map(|(_, fate)| match fate {
        Fate::InGoneCode(at) => Some(format!("is at {}", place(*at, case.after))),
        Fate::ReturnsToGoneCode(at) => {
            Some(format!("returns to the library's code at {}", place(*at, case.after)))
        }
        Fate::Alive | Fate::Unknown => None,
    });
    let left: Vec<&Thread> = if case.context.is_held() {
        // What lives may own threads; one in code that is gone is nobody's.
        let gone = |fate: &Fate| matches!(fate, Fate::InGoneCode(_) | Fate::ReturnsToGoneCode(_));
        new.iter().filter(|(_, fate)| gone(fate)).map(|(thread, _)| *thread).collect()
    } else {
        new.iter().filter(|(_, fate)| *fate != Fate::Alive).map(|(thread, _)| *thread).collect()
    };
    if left.is_empty() {
        return None;
    }
    let names = tally(left.iter().map(|thread| format!("`{}`", thread.name)));
    let fate = doomed.map_or_else(
        || "end and join it before the library is unloaded".to_owned(),
        |how| {
            let what = consequence(Kind::Threads, "it");
            format!("it waits and {how}: {what}; end and join it in the destructor")
        },
    );
    Some(Found {
        detail: format!(
            "{} left behind, called {names}; {fate}",
            count(left.len(), "thread is", "threads are")
        ),
        per_cycle: case.per_cycle(|s| s.threads.len() as u64),
    })
}

/// The thread that glibc starts for the first timer with SIGEV_THREAD, and keeps for good: it waits for signal 32
/// in `sigwaitinfo` and has nothing but the C library on its stack.
fn is_timer_helper(thread: &Thread, snapshot: &Snapshot) -> bool {
    let Some(wait) = &thread.waits else { return false };
    let in_libc = |address: u64| {
        snapshot
            .mapping_at(address)
            .is_some_and(|m| m.execute && m.name.contains("/libc.so") || m.name.contains("/libc-"))
    };
    wait.call == libc::SYS_rt_sigtimedwait && in_libc(wait.at)
}

fn descriptors(case: &Case<'_>) -> Option<Found> {
    // A number may be used again for something else, so both must be the same.
    let known = |fd: &i32, target: &String| case.before.descriptors.get(fd) == Some(target);
    let new = case.after.descriptors.iter().filter(|(fd, target)| !known(fd, target));
    // Every socket and pipe has a number of its own, which says nothing.
    let kind = |target: &String| match target.split_once(":[") {
        Some((kind, _)) => kind.to_owned(),
        None => target.clone(),
    };
    let targets: Vec<String> = new.map(|(_, target)| kind(target)).collect();
    let closed = case.before.descriptors.keys().filter(|fd| !case.after.descriptors.contains_key(fd));
    let closed: Vec<String> = closed.map(ToString::to_string).collect();
    let mut parts = Vec::new();
    if !targets.is_empty() {
        let left = count(targets.len(), "descriptor is left open", "descriptors are left open");
        parts.push(format!(
            "{left}, to {}; close what was opened, in the destructor at the latest",
            tally(targets)
        ));
    }
    if !closed.is_empty() {
        parts.push(format!("descriptor {} of the host was closed", closed.join(", ")));
    }
    (!parts.is_empty()).then(|| Found {
        detail: parts.join("; "),
        per_cycle: case.per_cycle(|s| s.descriptors.len() as u64),
    })
}

fn keys(case: &Case<'_>) -> Option<Found> {
    let left = case.after.keys_in_use.saturating_sub(case.before.keys_in_use);
    let per_cycle = case.per_cycle(|s| u64::from(s.keys_in_use));
    if left == 0 || case.context.is_held() && per_cycle.is_none() {
        return None;
    }
    let end = per_cycle.map_or_else(String::new, |rate| {
        format!(
            "; a process has {KEYS}, so after about {:.0} cycles pthread_key_create fails for everybody in it",
            f64::from(KEYS.saturating_sub(case.before.keys_in_use)) / rate
        )
    });
    Some(Found {
        detail: format!(
            "{} left behind (pthread_key_create without pthread_key_delete; Rust's standard library makes one per \
             load once thread::current() has run, and aborts when there is none){end}",
            count(left as usize, "thread-specific key is", "thread-specific keys are")
        ),
        per_cycle,
    })
}

fn timers(case: &Case<'_>) -> Option<Found> {
    let new = case.after.timers.iter().filter(|t| !case.before.timers.iter().any(|old| old.id == t.id));
    let mut names: Vec<String> = new
        .map(|timer| match timer.notify.split('/').next() {
            Some("none") => "one that tells nobody".to_owned(),
            Some("thread") => "one with SIGEV_THREAD, whose function is called on a thread".to_owned(),
            _ => format!("one that sends {}", signal_name(timer.signal)),
        })
        .collect();
    let armed = case.before.interval_timers.iter().zip(&case.after.interval_timers);
    for ((before, after), signal) in armed.zip(["SIGALRM", "SIGVTALRM", "SIGPROF"]) {
        if *before == 0 && *after != 0 {
            names.push(format!("an interval timer (setitimer, alarm) that sends {signal}"));
        }
    }
    let per_cycle = case.per_cycle(|s| s.timers.len() as u64);
    if names.is_empty() || case.context.is_held() && per_cycle.is_none() {
        return None;
    }
    Some(Found {
        detail: format!(
            "{} left: {}; when it fires it interrupts, or kills, a host that knows nothing of it; call \
             timer_delete, or setitimer with 0, before the library is unloaded",
            count(names.len(), "timer is", "timers are"),
            tally(names)
        ),
        per_cycle,
    })
}

fn children(case: &Case<'_>) -> Option<Found> {
    let new = case.after.children.iter().filter(|c| !case.before.children.iter().any(|old| old.id == c.id));
    let names: Vec<String> = new
        .map(|child| {
            let state = if child.ended { ", ended, nobody has waited for it" } else { ", still running" };
            format!("`{}`{state}", child.name)
        })
        .collect();
    let per_cycle = case.per_cycle(|s| s.children.len() as u64);
    if names.is_empty() || case.context.is_held() && per_cycle.is_none() {
        return None;
    }
    Some(Found {
        detail: format!(
            "{} left: {}; end it and call waitpid before the library is unloaded",
            count(names.len(), "child process is", "child processes are"),
            tally(names)
        ),
        per_cycle,
    })
}

fn shared_memory(case: &Case<'_>) -> Vec<Found> {
    /// Attached SysV segments are mapped under this name.
    const ATTACHED: &str = "/SYSV";
    let mut found = Vec::new();
    let held = case.context.is_held();
    let mut told = |names: Vec<String>, what: &str, mend: &str, per_cycle: Option<f64>| {
        if !names.is_empty() && (!held || per_cycle.is_some()) {
            let left = count(names.len(), "is", "are");
            found.push(Found { detail: format!("{what}: {left} left, {}; {mend}", tally(names)), per_cycle });
        }
    };
    let new: Vec<_> =
        case.after.segments.iter().filter(|(id, _)| !case.before.segments.contains_key(id)).collect();
    let own = !new.is_empty();
    told(
        new.into_iter().map(|(_, bytes)| format!("{bytes} B")).collect(),
        "SysV shared memory",
        "call shmdt, and shmctl(IPC_RMID), without which it outlives the process",
        case.per_cycle(|s| s.segments.len() as u64),
    );
    if case.context.makes_shared_files {
        let new =
            case.after.shared_files.iter().filter(|(name, _)| !case.before.shared_files.contains_key(*name));
        told(
            new.map(|(name, _)| format!("/dev/shm/{name}")).collect(),
            "POSIX shared memory or semaphores",
            "they outlive the process; call shm_unlink or sem_unlink",
            case.per_cycle(|s| s.shared_files.len() as u64),
        );
    }
    let mapped = |snapshot: &Snapshot| -> Vec<String> {
        let open: BTreeSet<&String> = snapshot.descriptors.values().collect();
        let shared =
            |name: &str| [ATTACHED, "/dev/shm/", MEMFD].iter().any(|prefix| name.starts_with(prefix));
        let names = snapshot.mappings.iter().map(|m| &m.name);
        // What this process made has been told already.
        let told = |name: &str| own && name.starts_with(ATTACHED);
        names.filter(|name| shared(name) && !open.contains(name) && !told(name)).cloned().collect()
    };
    let mut before = mapped(case.before);
    let mut now = mapped(case.after);
    now.retain(|name| match before.iter().position(|old| old == name) {
        Some(index) => {
            before.remove(index);
            false
        }
        None => true,
    });
    told(
        now,
        "shared memory that is still mapped",
        "call munmap or shmdt",
        case.per_cycle(|s| mapped(s).len() as u64),
    );
    found
}
