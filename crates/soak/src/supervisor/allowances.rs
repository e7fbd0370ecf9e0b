//! How much the worker may have of what can run out, and when that will be: so that there are checkpoints enough before it.

use nix::errno::Errno;
use nix::sys::inotify::{InitFlags, Inotify};
use procfs::process::{LimitValue, Process};

use crate::record::{Allowance, Checkpoints, Column, Resource};
use crate::sampling::{self, Sample};
use crate::suite::plan;

/// What the worker may have.
#[derive(Debug, Default)]
pub(super) struct Allowances(Vec<Allowance>);

impl Allowances {
    /// Those of a process that can have this many thread-specific keys, as they are now. What has no limit, or none that can be read, is left out, and so is what the soak is ended
    /// for before it runs out.
    pub(super) fn of(pid: i32, keys: u32, ended_for: plan::Allowance) -> Self {
        let may = limits(pid);
        let of = |limit: fn(&procfs::process::Limits) -> LimitValue| number(limit(may.as_ref()?));
        let before = |most: Option<u64>| move |allowed: &u64| most.is_none_or(|most| most > *allowed);
        let instances = std::fs::read_to_string("/proc/sys/fs/inotify/max_user_instances").ok();
        let instances = instances.and_then(|text| text.trim().parse().ok());
        let limits = [
            (Resource::TlsKeys, Some(u64::from(keys)).filter(|keys| *keys > 0)),
            (Resource::Fds, of(|may| may.max_open_files.soft_limit).filter(before(ended_for.fds))),
            (Resource::Threads, threads(may.as_ref()).filter(before(ended_for.processes))),
            (Resource::Inotify, instances),
            (Resource::Mappings, procfs::sys::vm::max_map_count().ok()),
            (Resource::AddressSpace, of(|may| may.max_address_space.soft_limit)),
        ];
        let allowance = |(resource, allowed): (Resource, Option<u64>)| {
            Some(Allowance { resource, allowed: allowed?, elsewhere: 0 })
        };
        Self(limits.into_iter().filter_map(allowance).collect())
    }

    /// At a checkpoint of this process. A runtime may have raised its limit on descriptors, as Go's does. The user may have no more
    /// instances of inotify, or threads, although the process itself has fewer than the limit, and only the kernel knows: it refuses
    /// another one.
    pub(super) fn checkpoint(&mut self, pid: i32, sample: &Sample) {
        for of in &mut self.0 {
            match of.resource {
                Resource::Fds if sample.fds >= of.allowed / 2 => {
                    let now = limits(pid).and_then(|may| number(may.max_open_files.soft_limit));
                    of.allowed = now.unwrap_or(of.allowed);
                }
                Resource::Threads if sample.threads >= of.allowed / 2 && of.elsewhere == 0 => {
                    let another = std::thread::Builder::new().stack_size(64 << 10).spawn(|| ());
                    match another.map(std::thread::JoinHandle::join) {
                        Ok(_) => {}
                        Err(_) => of.elsewhere = of.allowed.saturating_sub(sample.threads),
                    }
                }
                Resource::Inotify if sample.inotify > 0 && of.elsewhere == 0 => {
                    if matches!(Inotify::init(InitFlags::IN_CLOEXEC), Err(Errno::EMFILE)) {
                        of.elsewhere = of.allowed.saturating_sub(sample.inotify);
                    }
                }
                _ => {}
            }
        }
    }

    /// The number of cycles in all after which the first of these runs out, if they go on to grow as between these two rows.
    pub(super) fn run_out(&self, points: &Checkpoints, from: &[i64], to: &[i64]) -> Option<u64> {
        let cycle = points.position(Column::Cycle)?;
        let (at, cycles) = (*to.get(cycle)?, to.get(cycle)?.checked_sub(*from.get(cycle)?)?);
        let lasts = |of: &Allowance| {
            let column = points.position(of.resource.column()?)?;
            let (now, grown) = (*to.get(column)?, to.get(column)?.checked_sub(*from.get(column)?)?);
            let left = i64::try_from(of.allowed).ok()?.saturating_sub(now).max(0);
            let lasts = left.checked_mul(cycles)?.checked_div(grown)?;
            u64::try_from(at.checked_add(lasts)?).ok().filter(|_| grown > 0)
        };
        self.0.iter().filter_map(lasts).min()
    }

    /// As the record has them.
    pub(super) fn to_record(&self) -> Vec<Allowance> {
        self.0.clone()
    }
}

/// Threads that a process with these limits may have. The kernel does not apply `RLIMIT_NPROC` to root (fork.c, `copy_process`).
fn threads(may: Option<&procfs::process::Limits>) -> Option<u64> {
    let of_user = may.and_then(|may| number(may.max_processes.soft_limit));
    let of_user = of_user.filter(|_| !nix::unistd::getuid().is_root());
    let left = sampling::available_tasks().map(|left| left.saturating_add(1));
    of_user.into_iter().chain(left).min()
}

/// The limits of a process that hold now.
pub(super) fn limits(process: i32) -> Option<procfs::process::Limits> {
    Process::new(process).and_then(|process| process.limits()).ok()
}

/// `None` where there is no limit.
pub(super) fn number(limit: LimitValue) -> Option<u64> {
    match limit {
        LimitValue::Unlimited => None,
        LimitValue::Value(most) => Some(most),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_steadily_runs_out_when_its_limit_is_reached() {
        let points = Checkpoints {
            columns: vec![Column::Cycle, Column::TlsKeys, Column::Inotify],
            ..Checkpoints::default()
        };
        let of = |resource, allowed| Allowance { resource, allowed, elsewhere: 0 };
        let allowances = Allowances(vec![of(Resource::TlsKeys, 1024), of(Resource::Inotify, 128)]);
        assert_eq!(allowances.run_out(&points, &[4, 6, 0], &[8, 10, 0]), Some(1022));
        assert_eq!(allowances.run_out(&points, &[4, 6, 4], &[8, 10, 8]), Some(128));
        assert_eq!(allowances.run_out(&points, &[4, 6, 3], &[8, 6, 3]), None);
        assert_eq!(allowances.run_out(&points, &[4, 9, 3], &[8, 6, 3]), None);
        assert_eq!(allowances.run_out(&points, &[4, 900, 0], &[8, 1024, 0]), Some(8));
    }

    #[test]
    fn this_process_may_have_only_so_much() {
        let pid = std::process::id().cast_signed();
        let few = plan::Allowance { fds: Some(10), processes: Some(10), ..plan::Allowance::default() };
        let ended_before = Allowances::of(pid, 1024, few).to_record();
        let ends = [Resource::Fds, Resource::Threads];
        assert!(ended_before.iter().all(|of| !ends.contains(&of.resource)), "{ended_before:?}");
        let allowances = Allowances::of(pid, 1024, plan::Allowance::default()).to_record();
        for resource in [Resource::TlsKeys, Resource::Fds, Resource::Threads, Resource::Mappings] {
            assert!(
                allowances.iter().any(|of| of.resource == resource && of.allowed > 100),
                "{allowances:?}"
            );
        }
    }
}
