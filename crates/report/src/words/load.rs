//! Why a library could not be loaded, or a cycle could not begin or go on, in sentences.

use dlsoak_record::why::Descriptor;
use dlsoak_record::{
    Exports, FileProblem, LoadCause, LoadFailure, Mode, OpenFds, Outcome, Phase, Provider, Shortage, Staying,
    quoted, units,
};

use crate::inspection;

use super::{Text, system_error as error};

const NO_SYMBOL: &str = "a macro or an inline function has no symbol, and it needs a driver (--exercise), as does a struct as an argument";
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
    consequence(Text::fact(fact(outcome.phase, &at, failure)), cycle, failure)
}

/// The exercise did not return 0.
pub(super) fn exercise_failed(outcome: &Outcome, returned: i32) -> Text {
    failed(outcome, &LoadFailure::new(LoadCause::ExerciseFailed { returned }))
}

/// A failure in one line, for what names no cycle.
pub(super) fn line(failure: &LoadFailure) -> String {
    Text { help: None, ..consequence(Text::fact(fact(None, "", failure)), 0, failure) }.line()
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
        LoadCause::CheckFailed { call, check, returned, setup } => {
            let place = if *setup { " in the set-up" } else { at };
            let check = if check.is_empty() { String::new() } else { format!("; the check was {check}") };
            format!("{} returned {returned}{place}{check}", units::printable(call))
        }
        LoadCause::OutTooSmall { call } => {
            format!("{} writes more than the 8 bytes of an out-parameter", units::printable(call))
        }
        LoadCause::SetupReturned { returned } => format!("setup() of the driver returned {returned}"),
        LoadCause::SetupNotFound { symbol } => format!("--setup: the host has no function `{symbol}`"),
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

/// The same with what else is known, and what helps.
fn consequence(text: Text, cycle: u64, failure: &LoadFailure) -> Text {
    let staying = failure.staying.as_ref();
    if let Some(shortage) = &failure.shortage {
        return of_shortage(text, cycle, shortage, staying);
    }
    let text = match &failure.cause {
        LoadCause::MissingSymbol { exports: Some(Exports { count, nearest }), .. } => match nearest {
            Some(near) => text.means(NO_SYMBOL).help(format!("did you mean `{near}`?")),
            None => text
                .means(format!(
                    "the library exports {} symbols, and none has a similar name; {NO_SYMBOL}",
                    units::count(*count)
                ))
                .help("run `dlsoak inspect` on the library to list what it exports"),
        },
        LoadCause::MissingSymbol { exports: None, .. } => missing_symbol(text, failure.provider.as_ref()),
        LoadCause::MissingLibrary => {
            text.help("run `dlsoak inspect` on the library to see where the loader searches")
        }
        LoadCause::MissingVersion => text
            .means("the file that needs this version was linked on a newer system")
            .help("build the library on the oldest system that it must run on"),
        LoadCause::DataSymbol { .. } => {
            text.means("a call would run whatever the data holds").help("name a function in --call")
        }
        LoadCause::CopyFailed { .. } => text.help("set TMPDIR to a directory that is writable and has room"),
        LoadCause::ThreadEnded => text
            .means("the cycle did not finish, and its handle stays open")
            .help("return from the function instead"),
        LoadCause::ExerciseFailed { .. } => text.means("an exercise returns 0 for success"),
        LoadCause::SetupReturned { .. } => text.means("a set-up returns 0 for success"),
        LoadCause::SetupNotFound { .. } => {
            text.help("name a function of the driver of --exercise, or one of the C library")
        }
        LoadCause::OutTooSmall { .. } => {
            text.help("pass a struct in a driver of your own (--exercise, see docs/exercise.md)")
        }
        LoadCause::CheckFailed { .. } => text,
        LoadCause::SandboxRefused { .. } => {
            text.help("run dlsoak without --sandbox, in a container or a virtual machine")
        }
        LoadCause::ProcessUnreadable { .. } => text
            .means("the library made its process unreadable (PR_SET_DUMPABLE, setuid)")
            .help("run dlsoak as root"),
        LoadCause::Refused
        | LoadCause::BadFile { .. }
        | LoadCause::ThreadNotStarted { .. }
        | LoadCause::ExerciseNotLoaded
        | LoadCause::OriginalUnreadable { .. }
        | LoadCause::NotPreloaded
        | LoadCause::SetupFailed { .. } => text,
    };
    match staying {
        Some(staying) => text.means(stay(staying)),
        None => text,
    }
}

/// What a missing symbol means, which its host may have.
fn missing_symbol(text: Text, provider: Option<&Provider>) -> Text {
    match provider {
        None => text
            .means("a host without this symbol can't load the library either")
            .help("link the library against the one that defines the symbol (-l)"),
        Some(Provider::Program { path }) => text
            .means(format!("{} exports the symbol to the libraries that it loads", units::printable(path)))
            .help(format!("run it in its host: --host {}", quoted(path.as_bytes()))),
        Some(Provider::Sibling { path }) => text
            .means(format!("{} exports the symbol, and its host loads that before", units::printable(path)))
            .help(format!(
                "have the host load it before: --hold {}",
                quoted(format!("{path}:link").as_bytes())
            )),
    }
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

fn of_shortage(text: Text, cycle: u64, shortage: &Shortage, staying: Option<&Staying>) -> Text {
    match shortage {
        Shortage::StaticTls { each, tunable } => text.means(static_tls(cycle, *each, staying)).help(format!(
            "set GLIBC_TUNABLES=glibc.rtld.optional_static_tls={tunable} in the environment of the host (the default is 512). \
             If your host links the library that has it, soak with --hold LIB:link"
        )),
        Shortage::Fds { open, allowed, most } => {
            let of =
                allowed.map(|allowed| format!(" of {} that RLIMIT_NOFILE allows", units::count(allowed)));
            let most: Vec<String> = most.iter().map(fds).collect();
            let most = if most.is_empty() { String::new() } else { format!(", mostly {}", most.join(", ")) };
            let (open, of) = (units::count(*open), of.unwrap_or_default());
            text.means(format!("the process has {open} descriptors open{of}{most}"))
                .help("close each descriptor before the library is unloaded")
        }
        Shortage::Mappings { mappings, allowed } => text
            .means(format!(
                "the process has {} mappings, and vm.max_map_count allows {}",
                units::count(*mappings),
                units::count(*allowed)
            ))
            .help("call munmap for each mmap before the library is unloaded"),
        Shortage::AddressSpace { mappings, allowed } => text.means(format!(
            "{} mappings fill the {} of address space that RLIMIT_AS allows",
            units::count(*mappings),
            units::bytes(*allowed as f64)
        )),
        Shortage::Memory { mappings } => text.means(format!(
            "the machine or its control group has no memory left, with {} mappings in the process",
            units::count(*mappings)
        )),
        Shortage::Disk => text.means("the disk is full").help("set TMPDIR to a directory on a disk with room"),
        Shortage::Namespaces { allowed } => {
            let live = staying.map(|staying| format!("{}, and ", stay(staying))).unwrap_or_default();
            text.means(format!("{live}glibc has only {allowed} namespaces"))
        }
        Shortage::LibraryGone => {
            text.means("the library, or one that it needs, was there in earlier cycles and is gone now")
        }
        Shortage::FileGone { path } => {
            text.means(format!("{path} was there when the soak began and is gone now"))
        }
        Shortage::FileChanged { path, bytes: Some((before, now)) } => text.means(format!(
            "{path} changed during the soak, from {} to {} bytes",
            units::count(*before),
            units::count(*now)
        )),
        Shortage::FileChanged { path, bytes: None } => {
            text.means(format!("{path} was changed or replaced during the soak"))
        }
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
