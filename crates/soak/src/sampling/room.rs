//! What a machine has left for new processes: memory, descriptors, tasks; by the kernel's figures and by those of the
//! control groups that this process is in.

use std::path::{Path, PathBuf};

use procfs::Current as _;
use procfs::process::Process;

/// Where control groups are mounted.
const GROUPS: &str = "/sys/fs/cgroup";

/// Files of a control group: its limit, what is used of it, and in `memory.stat` what of that can be taken back.
struct Names {
    limit: &'static str,
    used: &'static str,
    reclaimable: &'static str,
}

/// `cgroups(7)` version 2 first, then version 1.
const MEMORY: [Names; 2] = [
    Names { limit: "memory.max", used: "memory.current", reclaimable: "inactive_file" },
    Names {
        limit: "memory.limit_in_bytes",
        used: "memory.usage_in_bytes",
        reclaimable: "total_inactive_file",
    },
];
const TASKS: [Names; 1] = [Names { limit: "pids.max", used: "pids.current", reclaimable: "" }];

/// Memory in bytes that new processes can have without swapping, control groups considered.
pub fn available_memory() -> Option<u64> {
    let machine = procfs::Meminfo::current().ok()?.mem_available?;
    let groups = groups("memory").into_iter().flat_map(|group| MEMORY.map(|names| left(&group, &names)));
    Some(groups.flatten().fold(machine, u64::min))
}

/// Open descriptors that the machine has left.
pub fn available_descriptors() -> Option<u64> {
    let state = procfs::sys::fs::file_nr().ok()?;
    Some(state.max.saturating_sub(state.allocated))
}

/// Processes and threads that the machine has left, control groups considered.
pub fn available_tasks() -> Option<u64> {
    let ids = u64::try_from(procfs::sys::kernel::pid_max().ok()?).ok()?;
    let most = ids.min(u64::from(procfs::sys::kernel::threads_max().ok()?));
    let machine = most.saturating_sub(u64::from(tasks()?));
    let groups = groups("pids").into_iter().flat_map(|group| TASKS.map(|names| left(&group, &names)));
    Some(groups.flatten().fold(machine, u64::min))
}

/// Processes and threads there are on this machine. One short file, whatever there is.
pub fn tasks() -> Option<u32> {
    Some(procfs::LoadAverage::current().ok()?.max)
}

/// The control groups of this process for a controller, each with the ones above it.
fn groups(controller: &str) -> Vec<PathBuf> {
    let Ok(groups) = Process::myself().and_then(|own| own.cgroups()) else { return Vec::new() };
    let mut all = Vec::new();
    for group in groups {
        let mounts = if group.hierarchy == 0 {
            vec![PathBuf::from(GROUPS), Path::new(GROUPS).join("unified")]
        } else if group.controllers.iter().any(|name| name == controller) {
            vec![Path::new(GROUPS).join(group.controllers.join(",")), Path::new(GROUPS).join(controller)]
        } else {
            continue;
        };
        for mount in mounts {
            // In a container the path may be the host's, and what is mounted this group itself.
            let below = mount.join(group.pathname.trim_start_matches('/'));
            all.extend(below.ancestors().take_while(|path| path.starts_with(&mount)).map(Path::to_path_buf));
        }
    }
    all
}

/// What the first version of control groups has for no limit: the greatest signed number, rounded down to pages.
const UNLIMITED: u64 = 1 << 62;

/// What is left in one group; `None` where it has no such limit. How much is used takes the kernel a while to add up.
fn left(group: &Path, names: &Names) -> Option<u64> {
    let number = |name: &str| std::fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    let limit = number(names.limit).filter(|limit| *limit < UNLIMITED)?;
    let used = number(names.used)?;
    let stat = if names.reclaimable.is_empty() {
        String::new()
    } else {
        std::fs::read_to_string(group.join("memory.stat")).unwrap_or_default()
    };
    let reclaimable = stat
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(name, _)| *name == names.reclaimable)
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(reclaimable)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_something_left() {
        assert!(available_memory().is_some_and(|bytes| bytes > 1 << 20));
        assert!(available_descriptors().is_some_and(|count| count > 10));
        assert!(available_tasks().is_some_and(|count| count > 10) && tasks().is_some_and(|count| count > 1));
    }

    #[test]
    fn a_group_leaves_its_limit_less_what_cannot_be_taken_back() {
        let group = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(group.path().join(name), text).unwrap();
        let [two, one] = &MEMORY;
        assert_eq!(left(group.path(), two), None);
        write("memory.max", "max\n");
        write("memory.current", "700\n");
        assert_eq!(left(group.path(), two), None);
        write("memory.max", "1000\n");
        assert_eq!(left(group.path(), two), Some(300));
        write("memory.stat", "anon 5\ninactive_file 200\n");
        assert_eq!(left(group.path(), two), Some(500));
        write("memory.limit_in_bytes", "100\n");
        write("memory.usage_in_bytes", "900\n");
        assert_eq!(left(group.path(), one), Some(0));
    }
}
