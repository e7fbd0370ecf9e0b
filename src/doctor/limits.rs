//! What processes may use here, and settings of the machine that show in what is measured.

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use super::{Check, Checks, Group};
use crate::sampling;
use crate::settings::units;
use crate::supervisor;

/// Less memory than this ends soaks of ordinary libraries early.
const MEMORY: u64 = 512 << 20;
/// Descriptors that a soak with threads and its observer use at most, with room for the library's.
const DESCRIPTORS: u64 = 1024;
/// Threads, for the same.
const TASKS: u64 = 200;
/// The kernel's own default.
const MAPPINGS: u64 = 65_530;

/// Limits and settings.
pub(super) fn checks() -> Vec<Check> {
    let mut checks = Checks::new(Group::Limits);
    cpus(&mut checks);
    memory(&mut checks);
    resource(&mut checks, "open files", Resource::RLIMIT_NOFILE, DESCRIPTORS, "ulimit -n 65536");
    resource(&mut checks, "processes", Resource::RLIMIT_NPROC, TASKS, "ulimit -u unlimited");
    for (name, kind, flag) in [
        ("address space", Resource::RLIMIT_AS, "ulimit -v unlimited"),
        ("data segment", Resource::RLIMIT_DATA, "ulimit -d unlimited"),
    ] {
        if let Ok((soft, _)) = getrlimit(kind).map(|limit| (limit.0, limit.1))
            && soft != RLIM_INFINITY
        {
            let found = format!(
                "{} at most: Go libraries and sanitizers reserve far more than they use",
                units::bytes(soft as f64)
            );
            checks.warn(name, found, flag);
        }
    }
    tasks(&mut checks);
    mappings(&mut checks);
    huge_pages(&mut checks);
    governor(&mut checks);
    checks.all
}

fn cpus(checks: &mut Checks) {
    match supervisor::host().cpus {
        1 => checks.warn(
            "CPUs",
            "1: the worker and who watches it take turns, and threads never run at once, so races stay unseen",
            "give the container or machine two or more",
        ),
        count => checks.ok("CPUs", count.to_string()),
    }
}

fn memory(checks: &mut Checks) {
    match sampling::available_memory() {
        None => checks.note("memory", "what is free can't be read"),
        Some(free) => {
            let found = format!("{} free, limits of control groups considered", units::bytes(free as f64));
            if free < MEMORY {
                checks.warn(
                    "memory",
                    format!("{found}: a soak may use half of it by default"),
                    "raise memory.max of the control group, or end other programs",
                );
            } else {
                checks.ok("memory", found);
            }
        }
    }
}

/// A limit that has to be at least `enough`.
fn resource(checks: &mut Checks, name: &str, kind: Resource, enough: u64, mend: &str) {
    let Ok((soft, hard)) = getrlimit(kind) else { return };
    let text = |limit: u64| if limit == RLIM_INFINITY { "no limit".to_owned() } else { units::count(limit) };
    let found = format!("{} ({} at most)", text(soft), text(hard));
    if soft < enough {
        checks.warn(name, format!("{found}: fewer than {enough} may not do for a soak with threads"), mend);
    } else {
        checks.ok(name, found);
    }
}

fn tasks(checks: &mut Checks) {
    match sampling::available_tasks() {
        Some(free) if free < TASKS => checks.warn(
            "threads",
            format!("room for {} more: fewer than a Go library may want", units::count(free)),
            "raise pids.max of the control group, or kernel.threads-max",
        ),
        Some(free) => checks.ok("threads", format!("room for {} more", units::count(free))),
        None => checks.note("threads", "how many more there may be can't be read"),
    }
}

fn mappings(checks: &mut Checks) {
    match procfs::sys::vm::max_map_count() {
        Ok(most) if most < MAPPINGS => checks.warn(
            "mappings",
            format!("max_map_count {}: libraries that stay use it up sooner than usual", units::count(most)),
            format!("sysctl vm.max_map_count={MAPPINGS}"),
        ),
        Ok(most) => checks.ok("mappings", format!("max_map_count {}", units::count(most))),
        Err(_) => checks.note("mappings", "max_map_count can't be read"),
    }
}

fn huge_pages(checks: &mut Checks) {
    match supervisor::host().thp.as_str() {
        "always" => checks.note(
            "huge pages",
            "always: resident memory grows in steps of 2 MiB; `echo madvise > /sys/kernel/mm/transparent_hugepage/enabled` \
             makes it finer",
        ),
        thp => checks.ok("huge pages", thp.to_owned()),
    }
}

fn governor(checks: &mut Checks) {
    let path = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
    match std::fs::read_to_string(path).as_deref().map(str::trim) {
        Ok("powersave") => {
            checks.note(
                "CPU frequency",
                "powersave: latencies vary with it; `cpupower frequency-set -g performance` steadies them",
            );
        }
        Ok(name) => checks.ok("CPU frequency", name.to_owned()),
        Err(_) => checks.ok("CPU frequency", "nothing to set here, as in a virtual machine"),
    }
}
