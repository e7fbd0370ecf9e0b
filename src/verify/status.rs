//! Pure: `/proc/PID/status` and `/proc/PID/maps` of a stopped process, read here once more, without the code that a soak samples with.

use super::trend::{self, Trend};

/// What one look at a process tells, in bytes where nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// `VmRSS`.
    pub rss: u64,
    /// `RssAnon`.
    pub anon: u64,
    /// `VmSize`.
    pub size: u64,
    /// The `[heap]` mapping.
    pub heap: u64,
    /// Threads, a count.
    pub threads: u64,
}

/// Reads both files.
///
/// # Errors
/// In one line, which field is not there or is no number.
pub fn reading(status: &str, maps: &str) -> Result<Reading, String> {
    let field = |name: &str| -> Result<u64, String> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| format!("/proc/PID/status has no {name} in kB"))
    };
    let threads = status.lines().find_map(|line| line.strip_prefix("Threads:")?.trim().parse().ok());
    Ok(Reading {
        rss: field("VmRSS")?,
        anon: field("RssAnon")?,
        size: field("VmSize")?,
        heap: heap(maps)?,
        threads: threads.ok_or("/proc/PID/status has no Threads")?,
    })
}

/// Length of the `[heap]` mappings.
fn heap(maps: &str) -> Result<u64, String> {
    let mut sum = 0;
    for line in maps.lines().filter(|line| line.ends_with("[heap]")) {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let length = range.and_then(|(from, to)| {
            u64::from_str_radix(to, 16).ok()?.checked_sub(u64::from_str_radix(from, 16).ok()?)
        });
        sum += length.ok_or_else(|| format!("/proc/PID/maps can't be read: {line}"))?;
    }
    Ok(sum)
}

/// How one figure went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// Bytes per cycle from the first point to the last, with bounds as wide as the kernel's figures are off.
    pub per_cycle: (f64, f64, f64),
    /// Which way it goes.
    pub trend: Trend,
    /// Steady growth in bytes per cycle that this run would have called.
    pub smallest: f64,
}

/// How a figure went over the points; `noise` is by how many bytes it may be off.
pub fn change(points: &[(u64, Reading)], of: fn(&Reading) -> u64, noise: f64) -> Option<Change> {
    let series: Vec<(u64, f64)> = points.iter().map(|(at, reading)| (*at, of(reading) as f64)).collect();
    let ((from, first), (to, last)) = (series.first()?, series.last()?);
    let cycles = to.checked_sub(*from).filter(|cycles| *cycles > 0)? as f64;
    let difference = last - first;
    Some(Change {
        per_cycle: ((difference - noise) / cycles, difference / cycles, (difference + noise) / cycles),
        trend: trend::trend(&series, *to, noise),
        smallest: noise / cycles,
    })
}

/// By how many bytes `VmRSS` and `RssAnon` may be off. The kernel counts pages per processor (since 6.2; before, per thread) and
/// sums up only once a processor has a batch of them: 32, or twice the number of processors (`percpu_counter_batch`). A
/// process with `threads` threads moves on as many processors, and on one more where it is moved.
pub fn noise(cpus: u64, threads: u64, page: u64) -> f64 {
    let batch = 32.max(2 * cpus);
    (page * batch * cpus.min(threads + 1)) as f64
}
