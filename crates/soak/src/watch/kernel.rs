//! What the kernel reports of a process that runs already: each mapping of code, and each call of `munmap`, by all its threads and by the
//! processes that it forks. Nothing in the process changes, and if we are killed, the kernel stops by itself.

use std::collections::{HashMap, HashSet};
use std::io::Result;
use std::os::fd::OwnedFd;

use linux_perf_event_reader::{
    AttrFlags, BranchSampleFormat, Endianness, EventRecord, Mmap2FileId, RawData, RawEventRecord, ReadFormat,
    RecordIdParseInfo, RecordParseInfo, RecordType, SampleFormat,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::areas::{FileId, Told};
use crate::observer::tasks;
use crate::record::checkup::Sight;
use crate::sys::glibc;
use crate::sys::perf::{self, Attributes, Ring, Tracepoints};

/// Bytes of all rings, and of one, at most: a load and an unload are about 300 B, and the rings are read every 20 ms. Locking 1 MiB takes root
/// or CAP_IPC_LOCK; all others get as much as `perf_event_mlock_kb` has by default.
const ALL_RINGS: usize = 64 << 20;
const LARGEST: usize = 1 << 20;
const SMALLEST: usize = 1 << 16;

/// `PERF_TYPE_SOFTWARE` with `PERF_COUNT_SW_DUMMY`, which reports mappings alone, and `PERF_TYPE_TRACEPOINT`.
const SOFTWARE: u32 = 1;
const DUMMY: u64 = 9;
const TRACEPOINT: u32 = 2;

/// What each record has besides its own. The ID is that of the event, by which a thread that two events report is known.
const COMMON: SampleFormat =
    SampleFormat::TID.union(SampleFormat::TIME).union(SampleFormat::ID).union(SampleFormat::CPU);

/// Events on a process.
#[derive(Debug)]
pub(super) struct Kernel {
    /// One for each CPU.
    rings: Vec<Ring>,
    /// Those that write to the rings of the first.
    _others: Vec<OwnedFd>,
    /// Where a call of `munmap` has its arguments; `None` where such calls are not reported.
    munmap: Option<[usize; 2]>,
    parse: RecordParseInfo,
    /// The event that reports a thread on a CPU. One that began while we attached may have two.
    reporters: HashMap<(i32, u32), u64>,
    /// What is not handed on yet, because another CPU may report something older.
    waiting: Vec<(u64, Told)>,
    /// All that is older than this was in the rings when they were last read.
    read_ns: u64,
    /// What is older than this is known otherwise.
    from_ns: u64,
}

impl Kernel {
    /// Has the kernel report the process from now on.
    ///
    /// # Errors
    /// When it refuses.
    pub(super) fn attach(pid: i32) -> Result<Self> {
        // An unprivileged user sees no tracepoints.
        let munmap = Tracepoints::find()
            .and_then(|points| points.tracepoint("syscalls/sys_enter_munmap", ["addr", "len"]))
            .ok();
        if let Some((number, fields)) = munmap
            && let Ok(kernel) = Self::with(pid, Some(number), Some(fields))
        {
            return Ok(kernel);
        }
        Self::with(pid, None, None)
    }

    /// With the number of the tracepoint, where there is one.
    fn with(pid: i32, tracepoint: Option<u64>, munmap: Option<[usize; 2]>) -> Result<Self> {
        let flags = AttrFlags::INHERIT
            | AttrFlags::EXCLUDE_KERNEL
            | AttrFlags::EXCLUDE_HV
            | AttrFlags::MMAP
            | AttrFlags::MMAP2
            | AttrFlags::COMM
            | AttrFlags::COMM_EXEC
            | AttrFlags::TASK
            | AttrFlags::SAMPLE_ID_ALL
            | AttrFlags::USE_CLOCKID;
        let attributes = Attributes {
            kind: if tracepoint.is_some() { TRACEPOINT } else { SOFTWARE },
            config: tracepoint.unwrap_or(DUMMY),
            sample_period: 1,
            sample_type: (COMMON | SampleFormat::RAW).bits(),
            flags: flags.bits(),
            clock: libc::CLOCK_MONOTONIC,
            ..Attributes::default()
        };
        let cpus = online_cpus();
        let mut size = (ALL_RINGS / cpus.len().max(1)).clamp(SMALLEST, LARGEST).next_power_of_two();
        let (mut rings, mut others) = (Vec::new(), Vec::new());
        for cpu in &cpus {
            rings.push(loop {
                match Ring::map(perf::open(&attributes, pid, *cpu)?, size) {
                    Ok(ring) => break ring,
                    Err(_) if size > SMALLEST => size /= 2,
                    Err(error) => return Err(error),
                }
            });
        }
        // An event is on one thread. The threads that it begins have it, too, so that in the end there is none without.
        let mut known = HashSet::from([pid]);
        loop {
            let fresh: Vec<i32> = tasks(pid).into_iter().filter(|thread| known.insert(*thread)).collect();
            if fresh.is_empty() {
                break;
            }
            for thread in fresh {
                for (cpu, ring) in cpus.iter().zip(&rings) {
                    match perf::open(&attributes, thread, *cpu) {
                        Ok(event) => {
                            ring.share(&event)?;
                            others.push(event);
                        }
                        // It has ended since.
                        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        Ok(Self {
            rings,
            _others: others,
            munmap,
            parse: parse_info(),
            reporters: HashMap::new(),
            waiting: Vec::new(),
            read_ns: 0,
            from_ns: 0,
        })
    }

    /// What happened before now is no part of what is told.
    pub(super) fn begin_now(&mut self) {
        self.from_ns = glibc::monotonic_ns();
    }

    /// Whether it reports what is unmapped.
    pub(super) fn sees_unloads(&self) -> bool {
        self.munmap.is_some()
    }

    /// What had been reported when this was called the last time, oldest first. What is newer waits, because another CPU may still report
    /// something that is older.
    pub(super) fn told(&mut self) -> Vec<Told> {
        let now = glibc::monotonic_ns();
        let mut bytes = Vec::new();
        for at in 0..self.rings.len() {
            bytes.clear();
            if !self.rings[at].take(&mut bytes) {
                self.waiting.push((now, Told::Lost(1)));
            }
            self.parse(&bytes);
        }
        // Stable: records of one CPU are in order.
        self.waiting.sort_by_key(|(time, _)| *time);
        let until = std::mem::replace(&mut self.read_ns, now);
        let ready = self.waiting.partition_point(|(time, _)| *time < until);
        self.waiting.drain(..ready).filter(|(time, _)| *time >= self.from_ns).map(|(_, told)| told).collect()
    }

    /// Reads the records of a ring.
    fn parse(&mut self, mut bytes: &[u8]) {
        while let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() {
            let [a, b, c, d, e, f, g, h] = *header;
            let kind = RecordType(u32::from_ne_bytes([a, b, c, d]));
            let (misc, size) = (u16::from_ne_bytes([e, f]), u16::from_ne_bytes([g, h]));
            let Some((body, next)) = rest.split_at_checked(usize::from(size).saturating_sub(HEADER)) else {
                return;
            };
            let record = RawEventRecord::new(kind, misc, RawData::Single(body), self.parse);
            if let Some(told) = self.read(&record) {
                self.waiting.push(told);
            }
            bytes = next;
        }
    }

    fn read(&mut self, record: &RawEventRecord<'_>) -> Option<(u64, Told)> {
        let common = record.common_data().ok()?;
        let (time, thread, cpu, id) = (common.timestamp?, common.tid?, common.cpu?, common.id?);
        let parsed = record.parse().ok()?;
        if let EventRecord::Lost(lost) = &parsed {
            return Some((time, Told::Lost(lost.count)));
        }
        if *self.reporters.entry((thread, cpu)).or_insert(id) != id {
            return None;
        }
        let told = match parsed {
            EventRecord::Mmap2(map) => {
                let path = String::from_utf8_lossy(&map.path.as_slice()).into_owned();
                let Mmap2FileId::InodeAndVersion(file) = map.file_id else { return None };
                Told::Mapped {
                    pid: map.pid,
                    start: map.address,
                    end: map.address.saturating_add(map.length),
                    offset: map.page_offset,
                    file: FileId { device: (file.major, file.minor), inode: file.inode },
                    path,
                }
            }
            EventRecord::Sample(sample) => {
                let [start, len] = self.munmap?;
                let raw = sample.raw?.as_slice();
                let word = |at: usize| Some(u64::from_ne_bytes(*raw.get(at..)?.first_chunk()?));
                Told::Unmapped { pid: sample.pid?, start: word(start)?, len: word(len)? }
            }
            EventRecord::Fork(fork) if fork.pid != fork.ppid => {
                Told::Forked { pid: fork.pid, parent: fork.ppid }
            }
            EventRecord::Exit(exit) => {
                self.reporters.retain(|(thread, _), _| *thread != exit.tid);
                return None;
            }
            EventRecord::Comm(comm) if comm.is_execve => Told::Became { pid: comm.pid },
            _ => return None,
        };
        Some((time, told))
    }
}

/// What the kernel reports to this user of a process of their own: tried on this one.
pub fn sight() -> Sight {
    match Kernel::attach(std::process::id().cast_signed()) {
        Ok(kernel) if kernel.sees_unloads() => Sight::LoadsAndUnloads,
        Ok(_) => Sight::Loads,
        Err(error) => Sight::Nothing { error: error.to_string() },
    }
}

/// `kernel.perf_event_paranoid`, where there is one.
pub fn paranoid() -> Option<i32> {
    std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").ok()?.trim().parse().ok()
}

/// Bytes of `struct perf_event_header`.
const HEADER: usize = 8;

/// How the records of these events are to be read.
fn parse_info() -> RecordParseInfo {
    let common = COMMON.bits().count_ones() as u8 * 8;
    RecordParseInfo {
        endian: Endianness::NATIVE,
        sample_format: COMMON | SampleFormat::RAW,
        branch_sample_format: BranchSampleFormat::empty(),
        read_format: ReadFormat::empty(),
        common_data_offset_from_end: Some(common),
        sample_regs_user: 0,
        user_regs_count: 0,
        sample_regs_intr: 0,
        intr_regs_count: 0,
        id_parse_info: RecordIdParseInfo {
            nonsample_record_id_offset_from_end: None,
            sample_record_id_offset_from_start: None,
        },
        nonsample_record_time_offset_from_end: None,
        sample_record_time_offset_from_start: None,
    }
}

/// The CPUs that run anything; `0-3,5`.
fn online_cpus() -> Vec<u32> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let ranges = text.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse().ok()?..=last.parse::<u32>().ok()?)
    });
    ranges.flatten().collect()
}

/// There is a descriptor for each thread on each CPU.
pub(super) fn raise_descriptors() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // What can't be raised is what there is.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
