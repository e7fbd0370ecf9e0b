//! C library and kernel: what `dlsoak` uses of them, tried where that can be done without leaving anything behind.

use std::path::Path;
use std::process::{Command, Stdio};

use landlock::{ABI, Access as _, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::statvfs::{FsFlags, statvfs};

use super::{Check, Checks, Group};
use crate::settings::units;
use crate::supervisor;
use crate::sys::ptrace;

/// Kernel versions since which there is what is used: `pidfd_open(2)` and `process_madvise(2)`, for memory pressure under
/// `--chaos`.
const MADVISE_SINCE: (u32, u32) = (5, 10);
/// Landlock versions, with what each adds for `--sandbox`.
const LANDLOCK: [(ABI, &str); 4] = [
    (ABI::V1, "writing files"),
    (ABI::V3, "truncating files"),
    (ABI::V4, "TCP"),
    (ABI::V6, "signals to other processes"),
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
    proc(&mut checks);
    temporary(&mut checks);
    checks.all
}

fn libc(checks: &mut Checks) {
    let host = supervisor::host();
    if cfg!(target_env = "musl") {
        let mend = "build dlsoak for a gnu target";
        checks.fail("C library", "this program was built for musl, which never unloads a library", mend);
        return;
    }
    let musl = Path::new("/lib").join(format!("ld-musl-{}.so.1", std::env::consts::ARCH));
    let beside = if musl.exists() {
        "; musl is here too, and its libraries do not load into programs of glibc"
    } else {
        ""
    };
    checks.ok("C library", format!("{}{beside}", host.libc));
}

fn kernel(checks: &mut Checks) {
    let host = supervisor::host();
    let found = format!("Linux {}, {}", host.kernel, host.machine);
    let sealed = memfd_create(c"dlsoak-doctor", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)
        .and_then(|fd| fcntl(&fd, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW)));
    if let Err(error) = sealed {
        let what = format!(
            "{found}: memory that supervisor and worker share (memfd_create, sealed) is refused: {error}"
        );
        checks.fail(
            "kernel",
            what,
            "run on Linux 3.17 or later, or allow memfd_create in the container's seccomp profile",
        );
        return;
    }
    match release(&host.kernel) {
        Some(version) if version < MADVISE_SINCE => checks.warn(
            "kernel",
            format!("{found}: without process_madvise, so --chaos can make no memory pressure"),
            "run on Linux 5.10 or later",
        ),
        _ => checks.ok("kernel", found),
    }
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
    let lacking: Vec<&str> = LANDLOCK.iter().filter(|(abi, _)| !has(*abi)).map(|(_, what)| *what).collect();
    if lacking.is_empty() {
        checks.ok("landlock", "--sandbox can keep a library from writing, from TCP and from sending signals");
    } else if lacking.len() == LANDLOCK.len() {
        checks.warn(
            "landlock",
            "not there or not enabled: --sandbox can at most take the network away",
            "boot with lsm=landlock,... (Linux 5.13 or later); in a container allow landlock_create_ruleset",
        );
    } else {
        checks.note(
            "landlock",
            format!("--sandbox can't keep a library from {}: a newer kernel can", lacking.join(", ")),
        );
    }
}

/// Whether a child can be traced: how ends are told depends on it.
fn tracing(checks: &mut Checks) {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok();
    let scope = scope.as_deref().map(str::trim);
    let setting = scope.map_or_else(|| "no ptrace_scope".to_owned(), |scope| format!("ptrace_scope {scope}"));
    // A program that waits until it is told to end.
    let child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = child else {
        checks.note("ptrace", format!("{setting}; it was not tried, since `cat` is not there"));
        return;
    };
    let seized = ptrace::seize(i32::try_from(child.id()).unwrap_or_default());
    let _ = child.kill();
    let _ = child.wait();
    match seized {
        Ok(()) => checks.ok("ptrace", format!("a worker can be traced ({setting})")),
        Err(error) => checks.warn(
            "ptrace",
            format!("a worker can't be traced ({error}, {setting}): a crash is told without stacks and without who caused it"),
            match scope {
                Some("2" | "3") => "sysctl kernel.yama.ptrace_scope=1",
                _ => "docker run --cap-add=SYS_PTRACE, or allow ptrace in the seccomp profile",
            },
        ),
    }
}

fn perf(checks: &mut Checks) {
    let path = "/proc/sys/kernel/perf_event_paranoid";
    match std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<i32>().ok()) {
        Some(level) => {
            let who = if level <= 2 { "all may measure their own programs" } else { "only root may measure" };
            checks.note(
                "perf events",
                format!("perf_event_paranoid {level}: {who} with perf; dlsoak itself uses none"),
            );
        }
        None => checks.note("perf events", "not there; dlsoak itself uses none"),
    }
}

/// What the supervisor reads of a worker.
fn proc(checks: &mut Checks) {
    let missing: Vec<&str> = ["smaps_rollup", "status", "maps", "fd"]
        .into_iter()
        .filter(|name| !Path::new("/proc/self").join(name).exists())
        .collect();
    if missing.is_empty() {
        checks.ok("/proc", "a worker's memory, mappings and descriptors can be read");
    } else {
        checks.fail(
            "/proc",
            format!("/proc/self has no {}: what a soak measures can't be read", missing.join(", ")),
            "mount -t proc proc /proc; smaps_rollup needs Linux 4.14",
        );
    }
}

/// Where copies of libraries are made that are then loaded.
fn temporary(checks: &mut Checks) {
    let directory = std::env::temp_dir();
    let place = directory.display();
    let mend = "export TMPDIR=DIRECTORY, one that can be written to, on a file system that is not noexec";
    match statvfs(&directory) {
        Err(error) => checks.fail("TMPDIR", format!("{place}: {error}"), mend),
        Ok(state) if state.flags().contains(FsFlags::ST_NOEXEC) => {
            checks.fail(
                "TMPDIR",
                format!("{place} is mounted noexec: copies of libraries made there do not load"),
                mend,
            );
        }
        Ok(_) if tempfile::tempdir_in(&directory).is_err() => {
            checks.fail("TMPDIR", format!("{place} can't be written to"), mend);
        }
        Ok(state) => {
            let free = state.blocks_available().saturating_mul(state.fragment_size());
            let found = format!("{place}, {} free", units::bytes(free as f64));
            if free < ROOM {
                checks.warn("TMPDIR", format!("{found}: little room for copies of libraries"), mend);
            } else {
                checks.ok("TMPDIR", found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_kernels_are_read() {
        assert_eq!(release("6.18.44-fc-v657"), Some((6, 18)));
        assert_eq!(release("5.4-rc1"), Some((5, 4)));
        assert_eq!(release("unknown"), None);
    }
}
