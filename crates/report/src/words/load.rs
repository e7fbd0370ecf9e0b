//! Why a library could not be loaded, or a cycle could not begin or go on, in sentences.

use dlsoak_record::why::Descriptor;
use dlsoak_record::{
    Exports, FileProblem, LoadCause, LoadFailure, Mode, OpenFds, Outcome, Phase, Shortage, Staying, units,
};

use crate::inspection;

use super::{Text, system_error as error};

const PTHREAD_EXIT: &str = "pthread_exit or pthread_cancel";

pub(super) fn failed(outcome: &Outcome, failure: &LoadFailure) -> Text {
    let cycle = outcome.cycle.unwrap_or(0);
    let at = match (outcome.phase, outcome.cycle) {
        (Some(Phase::Between), Some(0)) | (_, None) => String::new(),
        (_, Some(cycle @ (0 | 1))) => format!(" in cycle {cycle}"),
        (_, Some(cycle)) => {
            let cycle = units::count(cycle);
            format!(" in cycle {cycle}, after {cycle} successful ones")
        }
    };
    let mut text = Text::fact(fact(outcome.phase, &at, failure));
    let (means, help) = consequence(cycle, failure);
    if let Some(means) = means {
        text = text.means(means);
    }
    match help {
        Some(help) => text.help(help),
        None => text,
    }
}

/// The exercise did not return 0.
pub(super) fn exercise_failed(outcome: &Outcome, returned: i32) -> Text {
    failed(outcome, &LoadFailure::new(LoadCause::ExerciseFailed { returned }))
}

/// A failure in one line, for what names no cycle.
pub(super) fn line(failure: &LoadFailure) -> String {
    let text = Text::fact(fact(None, "", failure));
    match consequence(0, failure) {
        (Some(means), _) => text.means(means).line(),
        (None, _) => text.line(),
    }
}

fn fact(phase: Option<Phase>, at: &str, failure: &LoadFailure) -> String {
    let said = failure.said.as_deref();
    let symbol =
        |name: &Option<String>| name.as_ref().map_or("a symbol".to_owned(), |name| format!("`{name}`"));
    match &failure.cause {
        LoadCause::MissingSymbol { symbol: name, exports: Some(_) } => {
            format!("the library does not export {}, so it can't be called", symbol(name))
        }
        LoadCause::DataSymbol { symbol } => {
            format!("`{symbol}` is data, not a function, so it can't be called")
        }
        LoadCause::Refused
        | LoadCause::MissingLibrary
        | LoadCause::MissingVersion
        | LoadCause::MissingSymbol { exports: None, .. } => {
            let call = match phase {
                Some(Phase::Symbol) => "dlsym",
                Some(Phase::Close) => "dlclose",
                _ => "dlopen",
            };
            match said {
                Some(said) => format!("{call} failed{at}: {said}"),
                None => format!("{call} failed{at}, and the loader gave no reason"),
            }
        }
        LoadCause::BadFile { path, problem } if path.is_empty() => of_file(problem),
        LoadCause::BadFile { path, problem } => format!("{}: {}", units::printable(path), of_file(problem)),
        LoadCause::CopyFailed { path, errno } => {
            format!("dlsoak could not copy the library to {path}{at}: {}", error(*errno))
        }
        LoadCause::ThreadNotStarted { errno } => {
            format!("dlsoak could not start a thread{at}: {}", error(*errno))
        }
        LoadCause::ThreadEnded => {
            format!("the library ended the thread that called it{at} ({PTHREAD_EXIT})")
        }
        LoadCause::ExerciseFailed { returned } => format!("the exercise returned {returned}{at}"),
        LoadCause::ExerciseNotLoaded => {
            format!("the exercise can't be loaded: {}", said.unwrap_or("the loader gave no reason"))
        }
        LoadCause::OriginalUnreadable { path, errno } => format!("can't read {path}: {}", error(*errno)),
        LoadCause::NotPreloaded => {
            "dlsoak could not preload its library that records the trace (LD_PRELOAD)".to_owned()
        }
        LoadCause::SandboxRefused { errno } => format!(
            "--sandbox can't be applied, because the kernel has no Landlock and refuses a network namespace ({})",
            error(*errno)
        ),
        LoadCause::SetupFailed { errno } => {
            format!("dlsoak could not set up the process: {}", error(*errno))
        }
        LoadCause::ProcessUnreadable { problem } => {
            format!("dlsoak can no longer read /proc of the process{at}: {problem}")
        }
    }
}

/// What else is known, and what helps.
fn consequence(cycle: u64, failure: &LoadFailure) -> (Option<String>, Option<String>) {
    let staying = failure.staying.as_ref();
    if let Some(shortage) = &failure.shortage {
        let (means, help) = of_shortage(cycle, shortage, staying);
        return (Some(means), help);
    }
    let (means, help) = match &failure.cause {
        LoadCause::MissingSymbol { exports: Some(Exports { count, nearest }), .. } => match nearest {
            Some(near) => (None, Some(format!("did you mean `{near}`?"))),
            None => (
                Some(format!(
                    "the library exports {} symbols, and none has a similar name",
                    units::count(*count)
                )),
                Some("run `dlsoak inspect` on the library to list what it exports".to_owned()),
            ),
        },
        LoadCause::MissingSymbol { exports: None, .. } => (
            Some("a host without this symbol can't load the library either".to_owned()),
            Some("link the library against the one that defines the symbol (-l)".to_owned()),
        ),
        LoadCause::MissingLibrary => {
            (None, Some("run `dlsoak inspect` on the library to see where the loader searches".to_owned()))
        }
        LoadCause::MissingVersion => (
            Some("the file that needs this version was linked on a newer system".to_owned()),
            Some("build the library on the oldest system that it must run on".to_owned()),
        ),
        LoadCause::DataSymbol { .. } => (
            Some("a call would run whatever the data holds".to_owned()),
            Some("name a function in --call".to_owned()),
        ),
        LoadCause::CopyFailed { .. } => {
            (None, Some("set TMPDIR to a directory that is writable and has room".to_owned()))
        }
        LoadCause::ThreadEnded => (
            Some("the cycle did not finish, and its handle stays open".to_owned()),
            Some("return from the function instead".to_owned()),
        ),
        LoadCause::ExerciseFailed { .. } => (Some("an exercise returns 0 for success".to_owned()), None),
        LoadCause::SandboxRefused { .. } => {
            (None, Some("run dlsoak without --sandbox, in a container or a virtual machine".to_owned()))
        }
        LoadCause::ProcessUnreadable { .. } => (
            Some("the library made its process unreadable (PR_SET_DUMPABLE, setuid)".to_owned()),
            Some("run dlsoak as root".to_owned()),
        ),
        LoadCause::Refused
        | LoadCause::BadFile { .. }
        | LoadCause::ThreadNotStarted { .. }
        | LoadCause::ExerciseNotLoaded
        | LoadCause::OriginalUnreadable { .. }
        | LoadCause::NotPreloaded
        | LoadCause::SetupFailed { .. } => (None, None),
    };
    (staying.map(stay).or(means), help)
}

fn stay(staying: &Staying) -> String {
    format!("{} in the process do not unload", instances(staying))
}

fn instances(staying: &Staying) -> String {
    let (one, many) = match staying.mode {
        Mode::Namespace => ("namespace", "namespaces"),
        Mode::Copies | Mode::Reopen => ("copy", "copies"),
    };
    match staying.live {
        1 => format!("1 {one}"),
        live => format!("{} {many}", units::count(live)),
    }
}

fn of_shortage(cycle: u64, shortage: &Shortage, staying: Option<&Staying>) -> (String, Option<String>) {
    match shortage {
        Shortage::StaticTls { each, tunable } => (
            static_tls(cycle, *each, staying),
            Some(format!(
                "set GLIBC_TUNABLES=glibc.rtld.optional_static_tls={tunable} in the environment of the host (the default is 512)"
            )),
        ),
        Shortage::Fds { open, allowed, most } => {
            let of =
                allowed.map(|allowed| format!(" of {} that RLIMIT_NOFILE allows", units::count(allowed)));
            let most: Vec<String> = most.iter().map(fds).collect();
            let most = if most.is_empty() { String::new() } else { format!(", mostly {}", most.join(", ")) };
            (
                format!(
                    "the process has {} descriptors open{}{most}",
                    units::count(*open),
                    of.unwrap_or_default()
                ),
                Some("close each descriptor before the library is unloaded".to_owned()),
            )
        }
        Shortage::Mappings { mappings, allowed } => (
            format!(
                "the process has {} mappings, and vm.max_map_count allows {}",
                units::count(*mappings),
                units::count(*allowed)
            ),
            Some("call munmap for each mmap before the library is unloaded".to_owned()),
        ),
        Shortage::AddressSpace { mappings, allowed } => (
            format!(
                "{} mappings fill the {} of address space that RLIMIT_AS allows",
                units::count(*mappings),
                units::bytes(*allowed as f64)
            ),
            None,
        ),
        Shortage::Memory { mappings } => (
            format!(
                "the machine or its control group has no memory left, with {} mappings in the process",
                units::count(*mappings)
            ),
            None,
        ),
        Shortage::Disk => {
            ("the disk is full".to_owned(), Some("set TMPDIR to a directory on a disk with room".to_owned()))
        }
        Shortage::Namespaces { allowed } => {
            let live = staying.map(|staying| format!("{}, and ", stay(staying))).unwrap_or_default();
            (format!("{live}glibc has only {allowed} namespaces"), None)
        }
        Shortage::LibraryGone => (
            "the library, or one that it needs, was there in earlier cycles and is gone now".to_owned(),
            None,
        ),
        Shortage::FileGone { path } => {
            (format!("{path} was there when the soak began and is gone now"), None)
        }
        Shortage::FileChanged { path, bytes } => (
            match bytes {
                Some((before, now)) => format!(
                    "{path} changed during the soak, from {} to {} bytes",
                    units::count(*before),
                    units::count(*now)
                ),
                None => format!("{path} was changed or replaced during the soak"),
            },
            None,
        ),
    }
}

fn static_tls(cycle: u64, each: Option<u64>, staying: Option<&Staying>) -> String {
    const KEPT: &str = "the static thread-local storage that glibc keeps for libraries";
    match (staying, each) {
        (Some(staying), Some(each)) => {
            format!("{}, and each takes {each} bytes of {KEPT}", stay(staying))
        }
        (Some(staying), None) if staying.mode == Mode::Namespace => {
            format!("{}, and the C library of each takes some of {KEPT}", stay(staying))
        }
        (Some(staying), None) => format!("{}, and each takes some of {KEPT}", stay(staying)),
        (None, _) if cycle > 0 => format!(
            "earlier loads used up {KEPT}, because glibc reuses it only when libraries are closed in the reverse order of their loads"
        ),
        (None, _) => {
            "the library needs more static thread-local storage than glibc keeps for libraries".to_owned()
        }
    }
}

/// `pipe (1,020)`.
fn fds(fds: &OpenFds) -> String {
    format!("{} ({})", descriptor(&fds.of), units::count(fds.count))
}

/// What a descriptor is of.
pub(super) fn descriptor(of: &Descriptor) -> &str {
    match of {
        Descriptor::Pipe => "pipe",
        Descriptor::Socket => "socket",
        Descriptor::Epoll => "epoll",
        Descriptor::Eventfd => "eventfd",
        Descriptor::Timerfd => "timerfd",
        Descriptor::Signalfd => "signalfd",
        Descriptor::Inotify => "inotify",
        Descriptor::Pidfd => "pidfd",
        Descriptor::File { path } => path,
        Descriptor::Other { name } => name,
    }
}

/// What is wrong with a file.
fn of_file(problem: &FileProblem) -> String {
    match problem {
        FileProblem::System { said } => said.clone(),
        FileProblem::Unreadable(why) => inspection::unreadable(why).to_string(),
        FileProblem::NotLoadable(problem) => inspection::problem(problem).to_string(),
    }
}
