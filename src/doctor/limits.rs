//! What processes may use here, and settings of the machine that show in what is measured.

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use super::Checks;
use crate::record::checkup::{Check, Found, Group, Name, Status};
use crate::sampling;
use crate::supervisor;
use crate::sys::c_library;

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
    let cpus = supervisor::host(c_library::of_this_machine()).cpus;
    checks.add(warns(cpus == 1), Name::Cpus, Found::Cpus { count: cpus });
    let free = sampling::available_memory();
    checks.add(low(free, MEMORY), Name::Memory, Found::Memory { free });
    limit(&mut checks, Name::OpenFiles, Resource::RLIMIT_NOFILE, Some(DESCRIPTORS));
    limit(&mut checks, Name::Processes, Resource::RLIMIT_NPROC, Some(TASKS));
    limit(&mut checks, Name::AddressSpace, Resource::RLIMIT_AS, None);
    limit(&mut checks, Name::DataSegment, Resource::RLIMIT_DATA, None);
    let free = sampling::available_tasks();
    checks.add(low(free, TASKS), Name::Threads, Found::Threads { free });
    let most = procfs::sys::vm::max_map_count().ok();
    checks.add(low(most, MAPPINGS), Name::Mappings, Found::Mappings { most, usual: MAPPINGS });
    let setting = supervisor::host(c_library::of_this_machine()).thp;
    let status = if setting == "always" { Status::Note } else { Status::Ok };
    checks.add(status, Name::HugePages, Found::HugePages { setting });
    governor(&mut checks);
    checks.all
}

fn warns(trouble: bool) -> Status {
    if trouble { Status::Warn } else { Status::Ok }
}

/// How it stands with a number that has to be at least `enough`, and may be unknown.
fn low(number: Option<u64>, enough: u64) -> Status {
    number.map_or(Status::Note, |number| warns(number < enough))
}

/// A limit that has to be at least `enough`, or, where that is not known, should not be set at all.
fn limit(checks: &mut Checks, name: Name, kind: Resource, enough: Option<u64>) {
    let Ok((soft, hard)) = getrlimit(kind) else { return };
    let [soft, hard] = [soft, hard].map(|limit| (limit != RLIM_INFINITY).then_some(limit));
    if soft.is_none() && enough.is_none() {
        return;
    }
    let trouble = soft.is_some_and(|soft| enough.is_none_or(|enough| soft < enough));
    checks.add(warns(trouble), name, Found::Limit { soft, hard, enough });
}

fn governor(checks: &mut Checks) {
    let path = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
    let governor = std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let status = if governor.as_deref() == Some("powersave") { Status::Note } else { Status::Ok };
    checks.add(status, Name::CpuFrequency, Found::CpuFrequency { governor });
}
