//! C library and kernel: what `dlsoak` uses of them, tried where that can be done without leaving anything behind.

use std::path::Path;
use std::process::{Command, Stdio};

use landlock::{ABI, Access as _, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::statvfs::{FsFlags, statvfs};

use super::{Checks, text};
use crate::record::checkup::{
    Attempt, AuditLack, Check, Confinement, Found, Group, KernelLack, Name, Room, Sight, Status,
};
use crate::settings::Libc;
use crate::sys::{c_library, glibc, ptrace};
use crate::{supervisor, watch};

/// Kernel versions since which there is what is used: `pidfd_open(2)` and `process_madvise(2)`, for memory pressure under
/// `--chaos`.
const MADVISE_SINCE: (u32, u32) = (5, 10);
/// Landlock versions, with what each adds for `--sandbox`.
const LANDLOCK: [(ABI, Confinement); 4] = [
    (ABI::V1, Confinement::WritingFiles),
    (ABI::V3, Confinement::TruncatingFiles),
    (ABI::V4, Confinement::Tcp),
    (ABI::V6, Confinement::Signals),
];
/// Room that copies of libraries need, in bytes.
const ROOM: u64 = 256 << 20;

/// C library, kernel, and what may be done with it.
pub(super) fn checks() -> Vec<Check> {
    let mut checks = Checks::new(Group::System);
    libc(&mut checks);
    kernel(&mut checks);
    landlock(&mut checks);
    tracing(&mut checks);
    perf(&mut checks);
    auditing(&mut checks);
    proc(&mut checks);
    temporary(&mut checks);
    checks.all
}

fn libc(checks: &mut Checks) {
    let musl = c_library::is_here(Libc::Musl);
    if !musl && !c_library::is_here(Libc::Glibc) {
        checks.fail(Name::CLibrary, Found::NoCLibrary);
        return;
    }
    checks.ok(
        Name::CLibrary,
        Found::CLibrary { libc: supervisor::host(c_library::of_this_machine()).libc, musl },
    );
}

fn kernel(checks: &mut Checks) {
    let host = supervisor::host(c_library::of_this_machine());
    let sealed = memfd_create(c"dlsoak-doctor", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)
        .and_then(|fd| fcntl(&fd, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW)));
    let (status, lacks) = match (sealed, release(&host.kernel)) {
        (Err(error), _) => (Status::Fail, Some(KernelLack::SealedMemory { error: error.to_string() })),
        (Ok(_), Some(version)) if version < MADVISE_SINCE => (Status::Warn, Some(KernelLack::ProcessMadvise)),
        (Ok(_), _) => (Status::Ok, None),
    };
    checks.add(status, Name::Kernel, Found::Kernel { release: host.kernel, machine: host.machine, lacks });
}

/// The first two numbers of a kernel's release.
fn release(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(['.', '-', '+']).map_while(|part| part.parse().ok());
    Some((parts.next()?, parts.next()?))
}

/// How much of `--sandbox` the kernel can enforce. A set of rules is made and dropped; nothing is restricted.
fn landlock(checks: &mut Checks) {
    let has = |abi: ABI| {
        let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        let ruleset = ruleset.handle_access(AccessFs::from_all(abi));
        let ruleset = match abi {
            ABI::V4 => ruleset.and_then(|set| set.handle_access(landlock::AccessNet::from_all(abi))),
            ABI::V6 => ruleset.and_then(|set| set.scope(landlock::Scope::from_all(abi))),
            _ => ruleset,
        };
        ruleset.and_then(|set| set.create()).is_ok()
    };
    let lacks: Vec<Confinement> =
        LANDLOCK.iter().filter(|(abi, _)| !has(*abi)).map(|(_, what)| *what).collect();
    let status = match lacks.len() {
        0 => Status::Ok,
        all if all == LANDLOCK.len() => Status::Warn,
        _ => Status::Note,
    };
    checks.add(status, Name::Landlock, Found::Landlock { lacks });
}

/// Whether a child can be traced: what is known of an end depends on it.
fn tracing(checks: &mut Checks) {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok();
    let scope = scope.map(|text| text.trim().to_owned());
    // A program that waits until it is killed.
    let child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let (status, attempt) = match child {
        Err(_) => (Status::Note, Attempt::NotMade),
        Ok(mut child) => {
            let seized = ptrace::seize(i32::try_from(child.id()).unwrap_or_default());
            let _ = child.kill();
            let _ = child.wait();
            match seized {
                Ok(()) => (Status::Ok, Attempt::Succeeded),
                Err(error) => (Status::Warn, Attempt::Refused { error: error.to_string() }),
            }
        }
    };
    checks.add(status, Name::Ptrace, Found::Ptrace { scope, attempt });
}

/// What `dlsoak watch --pid` is told, tried on this process.
fn perf(checks: &mut Checks) {
    let sight = watch::sight();
    let status = if matches!(sight, Sight::Nothing { .. }) { Status::Warn } else { Status::Ok };
    checks.add(status, Name::PerfEvents, Found::PerfEvents { paranoid: watch::paranoid(), sight });
}

/// Whether `dlsoak watch` can start a host.
fn auditing(checks: &mut Checks) {
    let lacks = if !c_library::is_here(Libc::Glibc) {
        Some(AuditLack::Auditors)
    } else if glibc::slows_calls_under_audit() {
        Some(AuditLack::QuickCalls)
    } else {
        None
    };
    let status = if lacks.is_some() { Status::Warn } else { Status::Ok };
    checks.add(
        status,
        Name::LdAudit,
        Found::Auditing { libc: supervisor::host(c_library::of_this_machine()).libc, lacks },
    );
}

/// What the supervisor reads of a worker, and of a process that runs already.
fn proc(checks: &mut Checks) {
    let missing: Vec<String> = ["smaps_rollup", "status", "maps", "fd"]
        .into_iter()
        .filter(|name| !Path::new("/proc/self").join(name).exists())
        .map(str::to_owned)
        .collect();
    let hidepid = std::fs::read_to_string("/proc/self/mounts").ok().and_then(|mounts| hidepid(&mounts));
    let status = match (missing.is_empty(), &hidepid) {
        (true, None) => Status::Ok,
        (true, Some(_)) => Status::Note,
        (false, _) => Status::Fail,
    };
    checks.add(status, Name::Proc, Found::Proc { missing, hidepid });
}

/// The option `hidepid` of `/proc`, unless it hides nothing.
fn hidepid(mounts: &str) -> Option<String> {
    let options = mounts.lines().rev().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        (fields.next()? == "/proc" && fields.next()? == "proc").then(|| fields.next()).flatten()
    })?;
    let value = options.split(',').find_map(|option| option.strip_prefix("hidepid="))?;
    (!["0", "off"].contains(&value)).then(|| value.to_owned())
}

/// Where copies of libraries are made that are then loaded.
fn temporary(checks: &mut Checks) {
    let directory = std::env::temp_dir();
    let (status, room) = match statvfs(&directory) {
        Err(error) => (Status::Fail, Room::Unreachable { error: error.to_string() }),
        Ok(state) if state.flags().contains(FsFlags::ST_NOEXEC) => (Status::Fail, Room::NoExec),
        Ok(_) if tempfile::tempdir_in(&directory).is_err() => (Status::Fail, Room::NotWritable),
        Ok(state) => {
            let bytes = state.blocks_available().saturating_mul(state.fragment_size());
            (if bytes < ROOM { Status::Warn } else { Status::Ok }, Room::Free { bytes })
        }
    };
    checks.add(status, Name::TmpDir, Found::TmpDir { directory: text(&directory), room });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_processes_are_known_by_the_mount() {
        let mounts = |options: &str| format!("sysfs /sys sysfs rw 0 0\nproc /proc proc {options} 0 0\n");
        assert_eq!(hidepid(&mounts("rw,nosuid,hidepid=invisible")), Some("invisible".to_owned()));
        assert_eq!(hidepid(&mounts("rw,hidepid=0")), None);
        assert_eq!(hidepid(&mounts("rw,relatime")), None);
        assert_eq!(hidepid(""), None);
    }

    #[test]
    fn releases_of_kernels_are_read() {
        assert_eq!(release("6.18.44-fc-v657"), Some((6, 18)));
        assert_eq!(release("5.4-rc1"), Some((5, 4)));
        assert_eq!(release("unknown"), None);
    }
}
