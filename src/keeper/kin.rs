//! What descends from a process, and the end of it. A subreaper's killed child leaves its own children to the
//! subreaper, so that killing level by level needs no process ID but those of children, which can't be reused before
//! they are waited for.

use std::collections::HashSet;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::sys::wait;

/// Levels that are killed one after the other before all that is left is stopped first: a family that forks faster
/// than it is killed.
const PATIENT_ROUNDS: u32 = 8;
/// Rounds at most: what can't be killed by then (it hangs in the kernel) is left.
const ROUNDS: u32 = 2_000;

/// Waits for every child that has ended, but for `worker`: while that is not waited for, its process ID is its own.
pub(super) fn reap(worker: i32) {
    for child in children(own()) {
        if child != worker {
            wait::reap(child);
        }
    }
}

/// Kills all that descends from this process, and waits for it, but for `worker`, which is left for its status to be
/// read. Returns how many there were besides it, as far as they were seen.
pub(super) fn end_all(worker: i32) -> i32 {
    let mut others = HashSet::new();
    for round in 0..ROUNDS {
        if round >= PATIENT_ROUNDS {
            stop_all();
        }
        let children = children(own());
        let mut left = 0;
        for child in &children {
            if wait::ended(*child).is_some() {
                if *child != worker {
                    wait::reap(*child);
                }
                continue;
            }
            left += 1;
            if *child != worker {
                others.insert(*child);
            }
            let _ = kill(Pid::from_raw(*child), Signal::SIGKILL);
        }
        if left == 0 && self::children(own()).iter().all(|child| *child == worker) {
            break;
        }
        // Death takes a moment; where many die it takes long.
        if round > 0 {
            std::thread::sleep(std::time::Duration::from_micros(200 * u64::from(round.min(25))));
        }
    }
    i32::try_from(others.len()).unwrap_or(i32::MAX)
}

/// Stops all descendants, again and again until no new one is found, so that none forks while others are killed.
fn stop_all() {
    let mut stopped = HashSet::new();
    for _ in 0..PATIENT_ROUNDS {
        let new: Vec<i32> = descendants(own()).into_iter().filter(|pid| stopped.insert(*pid)).collect();
        if new.is_empty() {
            break;
        }
        for pid in new {
            let _ = kill(Pid::from_raw(pid), Signal::SIGSTOP);
        }
    }
}

/// All processes that descend from `pid`, nearest first.
fn descendants(pid: i32) -> Vec<i32> {
    let mut all = children(pid);
    let mut next = 0;
    while let Some(one) = all.get(next).copied() {
        next += 1;
        all.extend(children(one));
    }
    all
}

/// Children of a process, of all its threads.
fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let mut all = Vec::new();
    for thread in threads.flatten() {
        let Ok(list) = std::fs::read_to_string(thread.path().join("children")) else {
            // A kernel without CONFIG_PROC_CHILDREN, or a thread that has just ended.
            return children_by_parent(pid);
        };
        all.extend(list.split_ascii_whitespace().filter_map(|child| child.parse::<i32>().ok()));
    }
    all
}

/// Children of a process, by looking at all there are.
fn children_by_parent(parent: i32) -> Vec<i32> {
    let Ok(processes) = procfs::process::all_processes() else { return Vec::new() };
    let stat = processes.flatten().filter_map(|process| process.stat().ok());
    stat.filter(|stat| stat.ppid == parent).map(|stat| stat.pid).collect()
}

/// Processes that carry this mark in the environment they were started with, or that are of the session of `worker`:
/// the ones to end where their keeper was killed.
pub fn marked(mark: &str, worker: i32) -> Vec<i32> {
    let Ok(processes) = procfs::process::all_processes() else { return Vec::new() };
    let entry = format!("{}={mark}", super::MARK);
    let is_marked = |pid: i32| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|variable| variable == entry.as_bytes())
    };
    let stat = processes.flatten().filter_map(|process| process.stat().ok());
    stat.filter(|stat| stat.state != 'Z')
        .filter(|stat| (worker > 0 && stat.session == worker) || is_marked(stat.pid))
        .map(|stat| stat.pid)
        .collect()
}

fn own() -> i32 {
    nix::unistd::getpid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_found_either_way_and_by_their_mark() {
        let mark = format!("test-{}", own());
        let mut child =
            std::process::Command::new("sleep").arg("60").env(super::super::MARK, &mark).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let found = [children(own()), children_by_parent(own()), descendants(own()), marked(&mark, -1)];
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found.iter().all(|list| list.contains(&pid)), "{pid} {found:?}");
        assert!(!children(own()).contains(&pid) && marked(&mark, -1).is_empty());
    }
}
