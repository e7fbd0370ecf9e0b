//! Which processes belong to a soak: those that descend from its keeper, and those that carry its mark.

/// Environment variable of a host and all it starts, by which they are found when their keeper is gone.
pub const MARK: &str = "DLSOAK_KEPT";

/// Processes that descend from `pid`, nearest first; when there are more than `most`, not all of them.
pub(crate) fn descendants_beyond(pid: i32, most: usize) -> Vec<i32> {
    let mut all = children(pid);
    let mut next = 0;
    while all.len() <= most
        && let Some(one) = all.get(next).copied()
    {
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
    let entry = format!("{}={mark}", MARK);
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
