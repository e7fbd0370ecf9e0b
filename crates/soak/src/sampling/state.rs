//! Reads the state of a parked worker into a [`Snapshot`]: from `/proc`, from the channel, and, by the addresses
//! given there, from the worker's memory. It looks at every thread, descriptor and process, so it is done at a handful of
//! checkpoints only.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use procfs::process::{MMPermissions, MMapPath, Process, Task};

use super::guards;
use super::memory::Memory;
use crate::channel::Channel;
use crate::residue::snapshot::{
    Action, Child, Environment, Mapping, Own, Snapshot, Stream, Thread, Timer, Wait,
};
use crate::supervisor::family::descendants_beyond;

/// Words of a waiting thread's stack that are read: 8 KiB, which holds the frames of anything that only waits.
const STACK_WORDS: usize = 1024;
/// Most variables and streams that are followed; more are a chain that has been overwritten.
const MOST: usize = 16 * 1024;
/// Most bytes of an environment that are read: what `execve(2)` passes on at all on most machines.
const MOST_TEXT: usize = 6 << 20;
/// Offsets in glibc's `FILE` on 64-bit machines, which are part of its ABI: buffer, next stream, descriptor.
const FILE_BUFFER: u64 = 56;
const FILE_NEXT: u64 = 104;
const FILE_DESCRIPTOR: u64 = 112;
/// Where POSIX shared memory lives.
const SHARED_FILES: &str = "/dev/shm";

/// Takes a snapshot of a parked worker after `cycle` measured cycles. What can't be read is left out: no residue
/// is told of what was not seen.
///
/// # Errors
/// When the process is gone.
pub(super) fn snapshot(process: &Process, channel: &Channel, cycle: u64) -> procfs::ProcResult<Snapshot> {
    let pid = process.pid();
    let memory = Memory::open(pid);
    let status = process.status()?;
    let state = &channel.header().state;
    let text = |address: u64| memory.as_ref().and_then(|memory| memory.text(address));
    Ok(Snapshot {
        cycle,
        mappings: guards::split(mappings(process)?, pid, memory.as_ref()),
        threads: threads(process, channel, memory.as_ref(), SPINS)?,
        descriptors: descriptors(process)?,
        signals: state
            .signals
            .iter()
            .map(|a| Action { handler: a.handler.load(Relaxed), flags: a.flags.load(Relaxed) })
            .collect(),
        interval_timers: [0, 1, 2].map(|i: usize| state.interval_timers[i].load(Relaxed)),
        timers: read(pid, "timers").map(|text| timers(&text)).unwrap_or_default(),
        keys_in_use: state.keys_in_use.load(Relaxed),
        keys_most: state.keys_most.load(Relaxed),
        keys_deleted: state.keys_deleted.load(Relaxed),
        environment: memory.as_ref().map(|memory| environment(memory, state.environ.load(Relaxed))),
        locale: text(state.locale.load(Relaxed)),
        cwd: process.cwd().ok().map(|path: PathBuf| path.to_string_lossy().into_owned()),
        umask: status.umask,
        limits: read(pid, "limits").map(|text| limits(&text)).unwrap_or_default(),
        children: children(process),
        segments: std::fs::read_to_string("/proc/sysvipc/shm")
            .map(|text| segments(&text, pid))
            .unwrap_or_default(),
        shared_files: shared_files(status.euid),
        oom_score: read(pid, "oom_score_adj").and_then(|text| text.trim().parse().ok()),
        streams: memory.as_ref().map(|memory| streams(memory, channel)),
        exit_handlers: (
            state.exit_handlers.iter().map(|at| at.load(Relaxed)).filter(|at| *at != 0).collect(),
            state.exit_handlers_count.load(Relaxed),
        ),
        malloc_mapped: state.malloc_mapped.load(Relaxed),
    })
}

fn read(pid: i32, name: &str) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{pid}/{name}")).ok()
}

fn mappings(process: &Process) -> procfs::ProcResult<Vec<Mapping>> {
    let has = |perms: MMPermissions, wanted: MMPermissions| perms.contains(wanted);
    let mappings = process.maps()?.into_iter().map(|map| Mapping {
        start: map.address.0,
        end: map.address.1,
        read: has(map.perms, MMPermissions::READ),
        write: has(map.perms, MMPermissions::WRITE),
        execute: has(map.perms, MMPermissions::EXECUTE),
        shared: has(map.perms, MMPermissions::SHARED),
        name: match map.pathname {
            MMapPath::Path(path) => path.to_string_lossy().into_owned(),
            MMapPath::Heap => "[heap]".to_owned(),
            MMapPath::Stack => "[stack]".to_owned(),
            MMapPath::TStack(_) | MMapPath::Anonymous => String::new(),
            MMapPath::Vdso => "[vdso]".to_owned(),
            MMapPath::Vvar => "[vvar]".to_owned(),
            MMapPath::Vsyscall => "[vsyscall]".to_owned(),
            MMapPath::Rollup => "[rollup]".to_owned(),
            MMapPath::Vsys(key) => format!("/SYSV{key:08x}"),
            MMapPath::Other(name) => format!("[{name}]"),
        },
    });
    Ok(mappings.collect())
}

/// How long is waited for threads to sleep, and how long between two looks. Those of the library's have stacks that say whose they are. A
/// thread of libgomp's pool spins for 300,000 turns before it sleeps, which takes 2 to 14 ms.
const SPINS: Duration = Duration::from_millis(200);
const SPUN: Duration = Duration::from_millis(1);

fn threads(
    process: &Process,
    channel: &Channel,
    memory: Option<&Memory>,
    longest: Duration,
) -> procfs::ProcResult<Vec<Thread>> {
    let own = |id: u32| {
        let slot = channel.slots().iter().find(|slot| slot.thread.load(Relaxed) == id)?;
        Some(Own {
            float_control: slot.float_control.load(Relaxed),
            x87_control: slot.x87_control.load(Relaxed),
            locale: slot.locale.load(Relaxed),
        })
    };
    let known = |task: Task| {
        let id = u32::try_from(task.tid).unwrap_or(0);
        (id, own(id), task)
    };
    let mut tasks: Vec<(u32, Option<Own>, Task)> = process.tasks()?.flatten().map(known).collect();
    // Ours first: a thread of the library's may spin for as long as we wait.
    tasks.sort_by_key(|(_, own, _)| own.is_none());
    let mut threads = Vec::new();
    let until = Instant::now() + longest;
    for (id, own, task) in tasks {
        let seen = loop {
            // A thread that ends while we look has left nothing.
            let Ok(status) = task.status() else { break None };
            let syscall = task_syscall(process.pid(), task.tid);
            let waits = syscall.as_deref().and_then(wait);
            // A thread of ours that is in no call is about to park, or runs a signal handler, and its mask is the handler's until then.
            let is_parked = syscall.is_none() || waits.is_some_and(|(call, ..)| call >= 0 || own.is_none());
            if is_parked || Instant::now() >= until {
                let blocked = Some(status.sigblk).filter(|_| own.is_none() || is_parked);
                break Some((status.name, blocked, waits));
            }
            std::thread::sleep(SPUN);
        };
        let Some((name, blocked, waits)) = seen else { continue };
        let waits = waits.filter(|_| own.is_none()).map(|(call, stack, at)| Wait {
            call,
            at,
            stack: memory.map(|m| m.words(stack, STACK_WORDS)).unwrap_or_default(),
        });
        threads.push(Thread { id, name, blocked, own, waits });
    }
    threads.sort_by_key(|thread| thread.id);
    Ok(threads)
}

/// What a thread waits for in the kernel.
pub(super) fn task_syscall(pid: i32, tid: i32) -> Option<String> {
    read(pid, &format!("task/{tid}/syscall"))
}

/// Number, stack pointer and program counter of `/proc/PID/task/TID/syscall`; `None` for a thread that runs.
pub(super) fn wait(text: &str) -> Option<(i64, u64, u64)> {
    let mut fields = text.split_whitespace();
    let call = fields.next()?.parse().ok()?;
    let hex = |field: &str| u64::from_str_radix(field.trim_start_matches("0x"), 16).ok();
    let mut last = fields.rev();
    let at = hex(last.next()?)?;
    Some((call, hex(last.next()?)?, at))
}

fn descriptors(process: &Process) -> procfs::ProcResult<BTreeMap<i32, String>> {
    let directory = PathBuf::from(format!("/proc/{}/fd", process.pid()));
    let target = |fd: i32| std::fs::read_link(directory.join(fd.to_string())).ok();
    let open = process.fd()?.flatten().map(|fd| fd.fd);
    Ok(open.filter_map(|fd| Some((fd, target(fd)?.to_string_lossy().into_owned()))).collect())
}

/// The timers of `/proc/PID/timers`, five lines each.
fn timers(text: &str) -> Vec<Timer> {
    let mut timers: Vec<Timer> = Vec::new();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match (key, timers.last_mut()) {
            ("ID", _) => timers.push(Timer { id: value.parse().unwrap_or(0), ..Timer::default() }),
            ("signal", Some(timer)) => {
                timer.signal = value.split('/').next().and_then(|n| n.parse().ok()).unwrap_or(0);
            }
            ("notify", Some(timer)) => value.clone_into(&mut timer.notify),
            _ => {}
        }
    }
    timers
}

/// The limits of `/proc/PID/limits`: name, then soft and hard value, in columns of fixed width.
fn limits(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let (name, values) = line.split_at_checked(26)?;
            let values: Vec<&str> = values.split_whitespace().take(2).collect();
            Some((name.trim().to_lowercase(), values.join(" / ")))
        })
        .collect()
}

fn environment(memory: &Memory, array: u64) -> Environment {
    let mut environment = Environment::default();
    if array == 0 {
        return environment;
    }
    let mut room = MOST_TEXT;
    for index in 0..MOST as u64 {
        match memory.word(array.saturating_add(index * 8)) {
            None => environment.array_gone = true,
            Some(0) => {}
            Some(variable) => {
                let text = memory.text(variable);
                room = room.saturating_sub(text.as_ref().map_or(0, String::len));
                environment.variables.push(text);
                if room > 0 {
                    continue;
                }
            }
        }
        break;
    }
    environment
}

fn streams(memory: &Memory, channel: &Channel) -> Vec<Stream> {
    let state = &channel.header().state;
    let standard = [0, 1, 2].map(|i: usize| state.standard_streams[i].load(Relaxed));
    let name = |address: u64| {
        let known = standard.iter().zip(["stdin", "stdout", "stderr"]);
        known.filter(|(at, _)| **at == address).map(|(_, name)| name).next().unwrap_or("")
    };
    let mut streams: Vec<Stream> = Vec::new();
    let mut address = state.streams.load(Relaxed);
    while address != 0 && streams.len() < MOST {
        let descriptor = memory.int(address.wrapping_add(FILE_DESCRIPTOR));
        let buffer = memory.word(address.wrapping_add(FILE_BUFFER)).unwrap_or(0);
        streams.push(Stream { address, name: name(address), descriptor, buffer });
        address = memory.word(address.wrapping_add(FILE_NEXT)).unwrap_or(0);
    }
    streams
}

/// Children of a process, and what else runs in the session it leads: a child whose parent has ended, and which its
/// keeper has now.
fn children(process: &Process) -> Vec<Child> {
    let pid = process.pid();
    // Not all processes of the machine, of which there may be thousands.
    let Ok(keeper) = process.stat().map(|stat| stat.ppid) else { return Vec::new() };
    let family = descendants_beyond(keeper, MOST);
    let stats = family.into_iter().filter_map(|relative| Process::new(relative).ok()?.stat().ok());
    stats
        .filter(|stat| stat.pid != pid && (stat.ppid == pid || stat.session == pid))
        .map(|stat| Child { id: stat.pid, name: stat.comm, ended: stat.state == 'Z' })
        .collect()
}

/// The segments that a process has made, from `/proc/sysvipc/shm`.
fn segments(text: &str, pid: i32) -> BTreeMap<u64, u64> {
    let mut lines = text.lines();
    let columns: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let of = |fields: &[&str], column: &str| -> Option<i64> {
        fields.get(columns.iter().position(|c| *c == column)?)?.parse().ok()
    };
    lines
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let own = of(&fields, "cpid") == Some(i64::from(pid));
            let number = |column| of(&fields, column).and_then(|n| u64::try_from(n).ok());
            own.then_some(())?;
            Some((number("shmid")?, number("size")?))
        })
        .collect()
}

fn shared_files(user: u32) -> BTreeMap<String, u64> {
    let Ok(entries) = std::fs::read_dir(Path::new(SHARED_FILES)) else { return BTreeMap::new() };
    let files = entries.flatten().filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        let name = entry.file_name().to_string_lossy().into_owned();
        (metadata.is_file() && metadata.uid() == user).then(|| (name, metadata.ino()))
    });
    files.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use nix::sys::signal::{SigSet, Signal};
    use nix::unistd::gettid;

    use super::*;

    #[test]
    fn a_thread_of_ours_has_its_mask_once_it_has_parked() {
        let channel = Channel::create((1, 1), 1, &[], false).unwrap();
        let slot = &channel.slots()[0].thread;
        let process = Process::myself().unwrap();
        let blocked = |longest| {
            let all = threads(&process, &channel, None, longest).unwrap();
            all.iter().find(|thread| thread.own.is_some()).unwrap().blocked
        };
        std::thread::scope(|scope| {
            let (end, ended) = mpsc::channel::<()>();
            let (parks, may_park) = mpsc::channel::<()>();
            scope.spawn(move || {
                SigSet::from(Signal::SIGUSR2).thread_block().unwrap();
                slot.store(gettid().as_raw().cast_unsigned(), Relaxed);
                while may_park.try_recv().is_err() {
                    std::hint::spin_loop();
                }
                let _ = ended.recv();
            });
            while slot.load(Relaxed) == 0 {
                std::thread::yield_now();
            }
            assert_eq!(blocked(Duration::ZERO), None, "it may run a signal handler");
            parks.send(()).unwrap();
            let mask = blocked(Duration::from_secs(3600));
            assert!(mask.is_some_and(|mask| mask >> (Signal::SIGUSR2 as u32 - 1) & 1 == 1), "{mask:?}");
            drop(end);
        });
    }

    #[test]
    fn a_waiting_thread_tells_where_it_waits() {
        let text = "34 0xfb 0x7ffc513f3080 0x0 0x0 0x7f90 0x7fa0 0x7ffc513f2f60 0x7fc4ba99baec\n";
        assert_eq!(wait(text), Some((34, 0x7ffc_513f_2f60, 0x7fc4_ba99_baec)));
        assert_eq!(wait("running\n"), None);
        assert_eq!(wait(""), None);
    }

    #[test]
    fn timers_are_read_with_their_signal() {
        let text = "ID: 3\nsignal: 10/0000000000000000\nnotify: signal/pid.77\nClockID: 0\n\
                    ID: 4\nsignal: 14/00007fff\nnotify: none/pid.77\nClockID: 1\n";
        let found = timers(text);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].id, found[0].signal, found[0].notify.as_str()), (3, 10, "signal/pid.77"));
        assert_eq!((found[1].id, found[1].signal), (4, 14));
    }

    #[test]
    fn limits_and_segments_are_read_by_column() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max open files            1024                 524288               files     \n\
                    Max stack size            8388608              unlimited            bytes     \n";
        let found = limits(text);
        assert_eq!(found["max open files"], "1024 / 524288");
        assert_eq!(found["max stack size"], "8388608 / unlimited");
        let text = "       key      shmid perms                  size  cpid  lpid nattch   uid\n\
                    0          5   600                  4096    77    77      0     0\n\
                    0          6   600                  8192    78    77      0     0\n";
        assert_eq!(segments(text, 77), BTreeMap::from([(5, 4096)]));
        assert_eq!(segments("", 77), BTreeMap::new());
    }
}
