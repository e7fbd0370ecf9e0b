//! Reads `/proc/PID` of a parked worker into a [`Sample`], through the `procfs` crate. Never called while cycles
//! run: reading smaps takes the target's mmap lock.

use procfs::process::Process;

use crate::record::Metric;

/// What `/proc` says of a process at one quiet point. Memory in bytes, the rest are counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sample {
    /// Resident set size.
    pub rss: u64,
    /// Resident anonymous memory.
    pub anon: u64,
    /// Resident private dirty memory.
    pub private_dirty: u64,
    /// Proportional set size.
    pub pss: u64,
    /// Address space.
    pub virt: u64,
    /// Page tables.
    pub page_tables: u64,
    /// Mappings.
    pub mappings: u64,
    /// Threads.
    pub threads: u64,
    /// Open file descriptors.
    pub fds: u64,
}

/// Opens on `/proc/PID`, taken before the process does anything, so that a reused PID can't be mistaken for it.
#[derive(Debug)]
pub struct Sampler {
    process: Process,
}

impl Sampler {
    /// Opens `/proc/PID`.
    ///
    /// # Errors
    /// When there is no such process, or `/proc` is not mounted.
    pub fn new(pid: i32) -> procfs::ProcResult<Self> {
        Ok(Self { process: Process::new(pid)? })
    }

    /// Takes a sample.
    ///
    /// `smaps_rollup` and not `statm`: since Linux 6.2 the counters behind the latter may be off by megabytes
    /// on hosts with many CPUs.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn sample(&self) -> procfs::ProcResult<Sample> {
        let rollup = self.process.smaps_rollup()?;
        let total = |key: &str| -> u64 {
            rollup.memory_map_rollup.iter().filter_map(|m| m.extension.map.get(key)).sum()
        };
        let status = self.process.status()?;
        Ok(Sample {
            rss: total("Rss"),
            anon: total("Anonymous"),
            private_dirty: total("Private_Dirty"),
            pss: total("Pss"),
            virt: status.vmsize.unwrap_or(0).saturating_mul(1024),
            page_tables: status.vmpte.unwrap_or(0).saturating_mul(1024),
            mappings: self.process.maps()?.len() as u64,
            threads: status.threads,
            fds: self.process.fd_count()? as u64,
        })
    }

    /// Resident set size in bytes; cheap enough to be asked while cycles run.
    pub fn resident(&self) -> Option<u64> {
        Some(self.process.statm().ok()?.resident.saturating_mul(procfs::page_size()))
    }
}

/// Name of the checkpoint column that holds a metric; the same as the metric's name in the record.
pub fn column(metric: Metric) -> &'static str {
    match metric {
        Metric::Heap => "heap",
        Metric::Rss => "rss",
        Metric::Anon => "anon",
        Metric::PrivateDirty => "private_dirty",
        Metric::Pss => "pss",
        Metric::Virtual => "virtual",
        Metric::PageTables => "page_tables",
        Metric::Mappings => "mappings",
        Metric::Threads => "threads",
        Metric::Fds => "fds",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_all_there_is_to_sample() {
        let sampler = Sampler::new(i32::try_from(std::process::id()).unwrap()).unwrap();
        let sample = sampler.sample().unwrap();
        assert!(sample.rss >= sample.anon && sample.anon > 0 && sample.virt > sample.rss, "{sample:?}");
        assert!(sample.mappings > 10 && sample.threads >= 1 && sample.fds >= 3 && sample.page_tables > 0);
        assert!(sampler.resident().unwrap() > 0);
    }

    #[test]
    fn mapped_memory_is_seen() {
        let sampler = Sampler::new(i32::try_from(std::process::id()).unwrap()).unwrap();
        let before = sampler.sample().unwrap();
        let held = vec![1_u8; 32 << 20];
        let with = sampler.sample().unwrap();
        // Other tests run beside this one and may free some of theirs.
        assert!(with.rss > before.rss + (24 << 20) && with.virt > before.virt + (24 << 20));
        drop(held);
    }
}
