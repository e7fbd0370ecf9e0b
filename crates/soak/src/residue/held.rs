//! Things that somebody must own: threads, descriptors, keys, timers, processes, shared memory. Where nothing is
//! left that could own them, they are residue; where something is, only what grows with the cycles is.

use std::collections::BTreeSet;

use super::crash::{Fate, at, fate};
use super::snapshot::{Snapshot, Thread};
use super::{Case, tally};
use crate::record::is_c_library;
use crate::record::{Child, CrashHow, Evidence, Residue, SharedMemory, ThreadCrash, Timer};
use crate::sys::signal_name;

/// Prefix of what a descriptor of anonymous memory points to, and of a mapping of it.
const MEMFD: &str = "/memfd:";

/// Finds what is left.
pub(super) fn find(case: &Case<'_>) -> Vec<Residue> {
    let mut found = Vec::new();
    found.extend(threads(case));
    if !case.context.is_held() {
        found.extend(descriptors(case));
    }
    found.extend(keys(case));
    found.extend(timers(case));
    found.extend(children(case));
    found.extend(shared_memory(case));
    found
}

fn threads(case: &Case<'_>) -> Option<Residue> {
    let known = |thread: &Thread| case.before.threads.iter().any(|old| old.id == thread.id);
    let new: Vec<(&Thread, Fate)> = case
        .after
        .threads
        .iter()
        .filter(|thread| !known(thread) && !is_timer_helper(thread, case.after))
        .map(|thread| (thread, fate(thread, case)))
        .collect();
    let crash = new.iter().find_map(|(_, fate)| {
        let (how, address) = match fate {
            Fate::InGoneCode(address) => (CrashHow::InGoneCode, *address),
            Fate::ReturnsToGoneCode(address) => (CrashHow::ReturnsToGoneCode, *address),
            Fate::Alive | Fate::OfHost(_) | Fate::Unknown => return None,
        };
        Some(ThreadCrash { how, at: at(address, case.after) })
    });
    let left: Vec<&Thread> = if case.context.is_held() {
        // What lives may own threads; one in code that is gone is nobody's.
        let gone = |fate: &Fate| matches!(fate, Fate::InGoneCode(_) | Fate::ReturnsToGoneCode(_));
        new.iter().filter(|(_, fate)| gone(fate)).map(|(thread, _)| *thread).collect()
    } else {
        new.iter()
            .filter(|(_, fate)| !matches!(fate, Fate::Alive | Fate::OfHost(_)))
            .map(|(thread, _)| *thread)
            .collect()
    };
    if left.is_empty() {
        return None;
    }
    let left = tally(left.iter().map(|thread| thread.name.clone()));
    Some(Residue::new(Evidence::Threads { left, crash }, case.per_cycle(|s| s.threads.len() as u64)))
}

/// Threads that are new and the host's: the file of each one's code.
pub(super) fn of_host(case: &Case<'_>) -> Vec<String> {
    let known = |thread: &&Thread| case.before.threads.iter().any(|old| old.id == thread.id);
    let new = case.after.threads.iter().filter(|thread| !known(thread));
    let of = |thread: &Thread| match fate(thread, case) {
        Fate::OfHost(address) => case.after.mapping_at(address).map(|mapping| mapping.name.clone()),
        _ => None,
    };
    new.filter_map(of).collect()
}

/// The thread that glibc starts for the first timer with SIGEV_THREAD, and keeps for good: it waits for signal 32
/// in `sigwaitinfo` and has nothing but the C library on its stack.
fn is_timer_helper(thread: &Thread, snapshot: &Snapshot) -> bool {
    let Some(wait) = &thread.waits else { return false };
    let in_libc =
        |address: u64| snapshot.mapping_at(address).is_some_and(|m| m.execute && is_c_library(&m.name));
    wait.call == libc::SYS_rt_sigtimedwait && in_libc(wait.at)
}

fn descriptors(case: &Case<'_>) -> Option<Residue> {
    // A number may be used again for something else, so both must be the same.
    let known = |fd: &i32, target: &String| case.before.descriptors.get(fd) == Some(target);
    let new = case.after.descriptors.iter().filter(|(fd, target)| !known(fd, target));
    // Every socket and pipe has a number of its own, which says nothing. What has no file has a name of its kind, in brackets or not.
    let kind = |target: &String| match target.split_once(':') {
        Some(("anon_inode", name)) => format!("[{}]", name.trim_matches(['[', ']'])),
        Some((kind, number)) if number.starts_with('[') => kind.to_owned(),
        _ => target.clone(),
    };
    let left = tally(new.map(|(_, target)| kind(target)));
    let closed = case.before.descriptors.keys().filter(|fd| !case.after.descriptors.contains_key(fd));
    let closed: Vec<i32> = closed.copied().collect();
    (!left.is_empty() || !closed.is_empty())
        .then(|| Residue::new(Evidence::Fds { left, closed }, case.per_cycle(|s| s.descriptors.len() as u64)))
}

fn keys(case: &Case<'_>) -> Option<Residue> {
    let deleted: Vec<u32> = (0..u32::BITS).filter(|key| case.after.keys_deleted >> key & 1 != 0).collect();
    let per_cycle = case.per_cycle(|s| u64::from(s.keys_in_use));
    let left = if case.context.is_held() && per_cycle.is_none() {
        0
    } else {
        case.after.keys_in_use.saturating_sub(case.before.keys_in_use)
    };
    if left == 0 && deleted.is_empty() {
        return None;
    }
    let lasts_cycles = per_cycle.map(|rate| {
        let free = case.after.keys_most.saturating_sub(case.before.keys_in_use);
        (f64::from(free) / rate).round() as u64
    });
    Some(Residue::new(
        Evidence::TlsKeys { left: left.into(), limit: case.after.keys_most.into(), lasts_cycles, deleted },
        per_cycle,
    ))
}

fn timers(case: &Case<'_>) -> Option<Residue> {
    let new = case.after.timers.iter().filter(|t| !case.before.timers.iter().any(|old| old.id == t.id));
    let mut left: Vec<Timer> = new
        .map(|timer| match timer.notify.split('/').next() {
            Some("none") => Timer::Silent,
            Some("thread") => Timer::Thread,
            _ => Timer::Signal { signal: signal_name(timer.signal) },
        })
        .collect();
    let armed = case.before.interval_timers.iter().zip(&case.after.interval_timers);
    for ((before, after), signal) in armed.zip(["SIGALRM", "SIGVTALRM", "SIGPROF"]) {
        if *before == 0 && *after != 0 {
            left.push(Timer::Interval { signal: signal.to_owned() });
        }
    }
    let per_cycle = case.per_cycle(|s| s.timers.len() as u64);
    if left.is_empty() || case.context.is_held() && per_cycle.is_none() {
        return None;
    }
    Some(Residue::new(Evidence::Timers { left: tally(left) }, per_cycle))
}

fn children(case: &Case<'_>) -> Option<Residue> {
    let new = case.after.children.iter().filter(|c| !case.before.children.iter().any(|old| old.id == c.id));
    let left = tally(new.map(|child| Child { name: child.name.clone(), ended: child.ended }));
    let per_cycle = case.per_cycle(|s| s.children.len() as u64);
    if left.is_empty() || case.context.is_held() && per_cycle.is_none() {
        return None;
    }
    Some(Residue::new(Evidence::Children { left }, per_cycle))
}

fn shared_memory(case: &Case<'_>) -> Vec<Residue> {
    /// Attached SysV segments are mapped under this name.
    const ATTACHED: &str = "/SYSV";
    let mut found = Vec::new();
    let mut add = |memory: SharedMemory, per_cycle: Option<f64>| {
        if !case.context.is_held() || per_cycle.is_some() {
            found.push(Residue::new(Evidence::Ipc(memory), per_cycle));
        }
    };
    let new = case.after.segments.iter().filter(|(id, _)| !case.before.segments.contains_key(id));
    let segments = tally(new.map(|(_, bytes)| *bytes));
    let own = !segments.is_empty();
    if own {
        add(SharedMemory::Sysv { left: segments }, case.per_cycle(|s| s.segments.len() as u64));
    }
    let new = case.after.shared_files.keys().filter(|name| !case.before.shared_files.contains_key(*name));
    let files = tally(new.map(|name| format!("/dev/shm/{name}")));
    if case.context.makes_shared_files && !files.is_empty() {
        add(SharedMemory::Posix { left: files }, case.per_cycle(|s| s.shared_files.len() as u64));
    }
    let mapped = |snapshot: &Snapshot| -> Vec<String> {
        let open: BTreeSet<&String> = snapshot.descriptors.values().collect();
        let shared =
            |name: &str| [ATTACHED, "/dev/shm/", MEMFD].iter().any(|prefix| name.starts_with(prefix));
        let names = snapshot.mappings.iter().map(|m| &m.name);
        // What this process made is found already.
        let known = |name: &str| own && name.starts_with(ATTACHED);
        names.filter(|name| shared(name) && !open.contains(name) && !known(name)).cloned().collect()
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
    if !now.is_empty() {
        add(SharedMemory::Mapped { left: tally(now) }, case.per_cycle(|s| mapped(s).len() as u64));
    }
    found
}
