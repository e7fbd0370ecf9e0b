//! What a reader of the figures should know of how they were measured, in sentences.

use dlsoak_record::{
    Disturbance, Doubt, Lack, Missing, Note, PatternVerdict, Refusal, Restriction, Sandbox, Witness,
    WitnessCount, units,
};

use super::{Text, listed, system_error};

pub(super) fn note(note: &Note) -> Text {
    match note {
        Note::MeasuredAgain(Doubt::Threads) => {
            Text::fact("measured again with the plain agent, because more threads lived at once than the counting agent can count")
        }
        Note::MeasuredAgain(Doubt::Drift { per_cycle }) => Text::fact(format!(
            "measured again with the plain agent, because the counting agent's heap and glibc's own count drifted apart by {} B per cycle",
            units::number(*per_cycle)
        ))
        .means("a library that is opened with RTLD_DEEPBIND does this"),
        Note::CallsUnchecked { calls } => {
            let calls: Vec<String> = calls.iter().map(|call| format!("`{call}`")).collect();
            Text::fact(format!("dlsoak could not compare {} with the prototypes of the functions", listed(&calls)))
                .means("the library has no debug information (DWARF) for them, so wrong arguments would go unnoticed")
                .help("build the library with -g, or install its debug symbols")
        }
        Note::CopiesShareUnique => Text::fact("the copies are not independent")
            .means("the loader binds the STB_GNU_UNIQUE symbols of every copy to those of the first"),
        Note::OnePath => Text::fact("all threads open one path")
            .means("the library defines STB_GNU_UNIQUE symbols, which copies of it would share"),
        Note::Unwatched { errno } => Text::fact("the report has no stacks, because dlsoak can't watch the process with ptrace").means(
            match std::io::Error::from_raw_os_error(*errno).kind() {
                std::io::ErrorKind::PermissionDenied => {
                    "another program traces it, or the system forbids it (kernel.yama.ptrace_scope, seccomp)".to_owned()
                }
                _ => std::io::Error::from_raw_os_error(*errno).to_string(),
            },
        ),
        Note::ProcessesKilled { count } => Text::fact(match count {
            1 => "dlsoak killed a process that the library had started and that still ran at the end".to_owned(),
            _ => format!("dlsoak killed {count} processes that the library had started and that still ran at the end"),
        }),
        Note::WitnessesDiffer { witnesses } => {
            let said: Vec<String> = witnesses.iter().filter(|one| one.asked > 0).map(witness).collect();
            Text::fact(format!("with every handle closed, {}", said.join(", ")))
                .means("the library counts as not unloaded if any of them had it")
        }
        Note::UnwinderLoaded => Text::fact("glibc loaded libgcc_s for itself and keeps it")
            .means("pthread_exit, pthread_cancel and backtrace make it do so"),
        Note::SometimesLeft { object, at, of } => {
            Text::fact(format!("{object} was still loaded at {at} of {of} checkpoints"))
        }
        Note::HiddenObjects { count } => {
            Text::fact(format!("the loader counts {count} objects more than its list shows"))
                .means("they are in namespaces of their own (dlmopen)")
        }
        Note::FileMapped { mappings } => {
            Text::fact(format!("{mappings} mappings of the library's file are left, none of them with code"))
                .means("something in the process reads the file through mmap")
        }
        Note::Contended { others } => {
            Text::fact(format!("up to {others} other soaks ran at the same time"))
                .means("latencies and all rates per second are contended")
        }
        Note::NotTraced { why } => Text::fact(format!("the leak could not be traced: {}", super::early(why))),
        Note::CohortsNotMade { why } => {
            Text::fact(format!("the allocations of the cycles could not be noted: {}", super::early(why)))
        }
        Note::OtherHostNotMade { why } => {
            Text::fact(format!("the library could not be soaked in another host: {}", super::early(why)))
        }
        Note::ThreadsOfHost { object, count } => {
            let (threads, belong) = (super::counted(*count, "thread"), if *count == 1 { "belongs" } else { "belong" });
            Text::fact(format!("{threads} that started during the soak {belong} to {object}, which the host holds"))
                .means("they run code that stays, so they are the host's and no residue of the library")
        }
        Note::PointersNotSought { why } => {
            Text::fact(format!("dlsoak could not look for pointers into the library: {}", super::early(why)))
        }
        Note::PointersIfHeld { objects, pointers } => super::residue::if_held(objects, pointers),
        Note::PointersInPart { dropped, unguarded } => pointers_in_part(*dropped, *unguarded),
    }
}

fn pointers_in_part(dropped: u32, unguarded: u32) -> Text {
    let lost = match dropped {
        0 => None,
        1 => {
            Some("1 pointer into the library was not looked at, because there was no room for it".to_owned())
        }
        more => Some(format!(
            "{} pointers into the library were not looked at, because there was no room for them",
            units::count(more.into())
        )),
    };
    let open = match unguarded {
        0 => None,
        1 => {
            Some("1 unloaded object could not be guarded, because something else was mapped there".to_owned())
        }
        more => Some(format!(
            "{} unloaded objects could not be guarded, because something else was mapped there",
            units::count(more.into())
        )),
    };
    let facts: Vec<String> = lost.into_iter().chain(open).collect();
    let text = Text::fact(facts.join("; "));
    if dropped > 0 {
        text.means("the library may leave more pointers than those that are reported")
            .help("look at fewer loads, for example --pointers 8")
    } else {
        text
    }
}

fn witness(count: &WitnessCount) -> String {
    let name = match count.witness {
        Witness::LoaderList => "the loader's list of objects",
        Witness::Noload => "RTLD_NOLOAD",
        Witness::Maps => "/proc/PID/maps",
    };
    match (count.asked, count.had) {
        (asked, had) if had == asked => format!("{name} always had the library"),
        (_, 0) => format!("{name} never had the library"),
        (asked, had) => format!("{name} had the library {had} of {asked} times"),
    }
}

pub(super) fn disturbed(done: &[Disturbance]) -> Text {
    let times = |one: &Disturbance| match one.times {
        1 => format!("{} once", one.what),
        times => format!("{} {} times", one.what, units::count(times)),
    };
    let done: Vec<String> = done.iter().map(times).collect();
    Text::fact(format!("dlsoak disturbed the process on purpose (--chaos): {}", done.join(", ")))
        .means("latencies and rates include the disturbance")
}

pub(super) fn refused(refused: &Disturbance) -> Text {
    let text = Text::fact(format!("dlsoak could not disturb the process with --chaos {}", refused.what));
    let Some(why) = &refused.refused else { return text };
    let text = text.means(match why {
        Refusal::NotSent { signal, errno } => format!("{signal} can't be sent: {}", system_error(*errno)),
        Refusal::Tmpfs { path } => {
            format!("{path} lies in a tmpfs, which is memory and has no disk to read from")
        }
        Refusal::NotOpened { path, errno } => format!("{path} can't be opened: {}", system_error(*errno)),
        Refusal::NotWrittenBack { path, errno } => {
            format!("{path} can't be written back to its disk: {}", system_error(*errno))
        }
        Refusal::NotDropped { path, errno } => {
            format!("{path} can't be dropped from the page cache: {}", system_error(*errno))
        }
        Refusal::NotReclaimed { errno } => {
            format!("the kernel does not reclaim its memory (process_madvise): {}", system_error(*errno))
        }
    });
    match why {
        Refusal::Tmpfs { .. } => text.help("set TMPDIR to a directory on a disk"),
        Refusal::NotReclaimed { errno } if is_denied(*errno) => text.help("run dlsoak with CAP_SYS_NICE"),
        _ => text,
    }
}

pub(super) fn sandboxed(sandbox: &Sandbox) -> Text {
    let kept: Vec<String> = sandbox
        .applied
        .iter()
        .map(|restriction| match restriction {
            Restriction::Writing => {
                "writing, making and removing files outside the soak's private directories (Landlock)"
            }
            Restriction::Truncating => "truncating them (Landlock)",
            Restriction::Network => "the network, loopback included (network namespace)",
            Restriction::Tcp => "connecting and listening by TCP (Landlock)",
            Restriction::Signals => {
                "sending signals to processes outside and connecting to their abstract Unix sockets (Landlock)"
            }
        })
        .map(|what| format!("from {what}"))
        .collect();
    Text::fact(format!("the sandbox keeps the process {}", listed(&kept)))
}

pub(super) fn sandbox_incomplete(sandbox: &Sandbox) -> Text {
    let can: Vec<String> = sandbox
        .missing
        .iter()
        .map(|missing| match missing.restriction {
            Restriction::Writing => "write files",
            Restriction::Truncating => "truncate files",
            Restriction::Network => "reach the network by UDP and other sockets",
            Restriction::Tcp => "use TCP",
            Restriction::Signals => "send signals to processes outside",
        })
        .map(str::to_owned)
        .collect();
    let needs: Vec<String> = sandbox.missing.iter().map(lacks).collect();
    Text::fact(format!("the sandbox is incomplete: the process can {}", listed(&can)))
        .means(format!("to prevent this, dlsoak needs {}", listed(&needs)))
}

/// What a restriction needs that is not here.
fn lacks(missing: &Missing) -> String {
    let what = match missing.restriction {
        Restriction::Writing => "writing",
        Restriction::Truncating => "truncating",
        Restriction::Network => "the network",
        Restriction::Tcp => "TCP",
        Restriction::Signals => "signals",
    };
    match missing.lacks {
        Lack::Landlock { version } => {
            // The first kernel that has it.
            let since = match version {
                ..=1 => "5.13, enabled at boot",
                2 => "5.19",
                3 => "6.2",
                4 => "6.7",
                5 => "6.10",
                _ => "6.12",
            };
            format!("Landlock version {version} for {what} (Linux {since})")
        }
        Lack::Namespace { errno } if is_denied(errno) => {
            format!("CAP_SYS_ADMIN for a network namespace ({})", system_error(errno))
        }
        Lack::Namespace { errno } => {
            format!("a network namespace, which the kernel refused ({})", system_error(errno))
        }
    }
}

/// Whether a right is what is missing.
fn is_denied(errno: i32) -> bool {
    std::io::Error::from_raw_os_error(errno).kind() == std::io::ErrorKind::PermissionDenied
}

pub(super) fn fewer_cycles(completed: u64, requested: u64) -> Text {
    Text::fact(format!(
        "only {} of {} cycles were measured",
        units::count(completed),
        units::count(requested)
    ))
}

pub(super) fn latencies_uncached() -> Text {
    Text::fact("the latencies were measured with malloc's thread cache off")
        .means("calls that allocate take longer than in a host")
}

pub(super) fn patterns_differ(patterns: &[PatternVerdict]) -> Text {
    let each: Vec<String> =
        patterns.iter().map(|one| format!("{} when called from {}", one.verdict, one.call_from)).collect();
    Text::fact(format!("the verdict depends on the calling thread: {}", each.join(", ")))
}
