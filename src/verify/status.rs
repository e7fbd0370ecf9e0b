//! Pure: parses `/proc/PID/status` and `/proc/PID/maps` of a stopped process, without the code that a soak samples with, so that the two
//! stay independent.

use super::trend;
use crate::record::Trend;
use crate::record::verification::Failure;

/// One reading of a process, in bytes unless noted.
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

/// Parses both files.
///
/// # Errors
/// When a field is missing or is not a number.
pub fn reading(status: &str, maps: &str) -> Result<Reading, Failure> {
    let missing = |name: &str| Failure::NoField { field: name.to_owned() };
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| missing(name))
    };
    let threads = status.lines().find_map(|line| line.strip_prefix("Threads:")?.trim().parse().ok());
    Ok(Reading {
        rss: field("VmRSS")?,
        anon: field("RssAnon")?,
        size: field("VmSize")?,
        heap: heap(maps)?,
        threads: threads.ok_or_else(|| missing("Threads"))?,
    })
}

/// Length of the `[heap]` mappings.
fn heap(maps: &str) -> Result<u64, Failure> {
    let mut sum = 0;
    for line in maps.lines().filter(|line| line.ends_with("[heap]")) {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let length = range.and_then(|(from, to)| {
            u64::from_str_radix(to, 16).ok()?.checked_sub(u64::from_str_radix(from, 16).ok()?)
        });
        sum += length.ok_or_else(|| Failure::UnknownLine { line: line.to_owned() })?;
    }
    Ok(sum)
}

/// How one figure changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// Bytes per cycle from the first point to the last, between the bounds that the error of the kernel's counters gives.
    pub per_cycle: (f64, f64, f64),
    /// Whether it grows.
    pub trend: Trend,
    /// The smallest steady growth in bytes per cycle that this run would have detected.
    pub detectable: f64,
}

/// How a figure changed over the points; `noise` is its error in bytes.
pub fn change(points: &[(u64, Reading)], of: fn(&Reading) -> u64, noise: f64) -> Option<Change> {
    let series: Vec<(u64, f64)> = points.iter().map(|(at, reading)| (*at, of(reading) as f64)).collect();
    let ((from, first), (to, last)) = (series.first()?, series.last()?);
    let cycles = to.checked_sub(*from).filter(|cycles| *cycles > 0)? as f64;
    let difference = last - first;
    Some(Change {
        per_cycle: ((difference - noise) / cycles, difference / cycles, (difference + noise) / cycles),
        trend: trend::trend(&series, *to, noise),
        detectable: noise / cycles,
    })
}

/// The error of `VmRSS` and `RssAnon` in bytes. The kernel counts pages per processor (since 6.2; per thread before that) and adds
/// them up only once a processor has a batch of them: 32, or twice the number of processors (`percpu_counter_batch`). A
/// process with `threads` threads runs on as many processors, and on one more if the scheduler moves it.
pub fn noise(cpus: u64, threads: u64, page: u64) -> f64 {
    let batch = 32.max(2 * cpus);
    (page * batch * cpus.min(threads + 1)) as f64
}
