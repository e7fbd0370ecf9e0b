//! Why a worker's thread can't go on: its own account is a number, and what the loader said. The loader's English is read here and
//! nowhere else.

use nix::errno::Errno;

use dlsoak_wire::job::Read;

use crate::channel::Failure;
use crate::record::{LoadCause, LoadFailure};

/// A failure with its number and what goes with it, as the worker wrote it down; `returned` is the register with a result that failed its
/// check.
pub(super) fn read(failure: Failure, errno: i32, returned: u64, said: &str) -> LoadFailure {
    let path = || said.to_owned();
    let cause = match failure {
        Failure::Open | Failure::Symbol | Failure::Close | Failure::Namespace => match Refusal::of(said) {
            Refusal::MissingFile => LoadCause::MissingLibrary,
            Refusal::MissingSymbol(symbol) => LoadCause::MissingSymbol { symbol, exports: None },
            Refusal::MissingVersion => LoadCause::MissingVersion,
            _ => LoadCause::Refused,
        },
        Failure::Copy => LoadCause::CopyFailed { path: path(), errno },
        Failure::Thread => LoadCause::ThreadNotStarted { errno },
        Failure::Ended => LoadCause::ThreadEnded,
        Failure::Driver => LoadCause::ExerciseFailed { returned: errno },
        Failure::Check | Failure::SetUpCheck => {
            let (call, check) = said.split_once('\n').unwrap_or((said, ""));
            LoadCause::CheckFailed {
                call: call.to_owned(),
                check: check.to_owned(),
                returned: value(errno, returned),
                setup: failure == Failure::SetUpCheck,
            }
        }
        Failure::Overrun => {
            LoadCause::OutTooSmall { call: said.split('\n').next().unwrap_or_default().to_owned() }
        }
        Failure::SetUpDriver => LoadCause::SetupReturned { returned: errno },
        Failure::SetUpSymbol => LoadCause::SetupNotFound { symbol: path() },
        Failure::DriverOpen => LoadCause::ExerciseNotLoaded,
        Failure::Original => LoadCause::OriginalUnreadable { path: path(), errno },
        Failure::Tracer => LoadCause::NotPreloaded,
        Failure::Sandbox => LoadCause::SandboxRefused { errno },
        // Those of what the host holds are reported by themselves: see `host_is_ready`. What a stub reports is an end of its own.
        Failure::Memory
        | Failure::Start
        | Failure::Hold
        | Failure::Linked
        | Failure::After
        | Failure::NeedsHost => LoadCause::SetupFailed { errno },
    };
    let by_loader = matches!(
        failure,
        Failure::Open | Failure::Symbol | Failure::Close | Failure::Namespace | Failure::DriverOpen
    );
    LoadFailure { said: (by_loader && !said.is_empty()).then(path), ..LoadFailure::new(cause) }
}

/// A result as it is written in a call.
fn value(read: i32, returned: u64) -> String {
    let read = u64::try_from(read).ok().and_then(Read::from_word).unwrap_or(Read::U64);
    let whole = read.whole(returned);
    match read {
        Read::U64 | Read::U32 | Read::U16 | Read::U8 => whole.to_string(),
        Read::I64 | Read::I32 | Read::I16 | Read::I8 => whole.cast_signed().to_string(),
        Read::Pointer if whole == 0 => "null".to_owned(),
        Read::Pointer => format!("{whole:#x}"),
        Read::Float => format!("{:?}f", f32::from_bits(whole as u32)),
        Read::Double => format!("{:?}", f64::from_bits(whole)),
    }
}

/// What a refusal is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is no room for static thread-local storage.
    StaticTls,
    /// There is no namespace left.
    Namespaces,
    /// There is no descriptor left.
    Descriptors,
    /// There is no memory, address space or mapping left.
    Memory,
    /// A file is not there.
    MissingFile,
    /// The disk is full.
    DiskFull,
    /// A symbol is not there; its name, where the words have it.
    MissingSymbol(Option<String>),
    /// A version of a symbol is not there.
    MissingVersion,
    /// Something else.
    Other,
}

impl Refusal {
    /// What the words of `dlerror(3)` are about.
    ///
    /// The sentences are those of glibc: "cannot allocate memory in static TLS block"
    /// (elf/dl-reloc.c), "no more namespaces available for dlmopen()" (elf/dl-open.c), "failed to map segment from shared object" and
    /// "cannot open shared object file" (elf/dl-load.c), "undefined symbol: %s" (elf/dl-lookup.c), "version `%s' not found (required
    /// by %s)" (elf/dl-version.c). What follows the last colon is what strerror(3) says of EMFILE, ENFILE, ENOMEM, ENOENT or ENOSPC
    /// (sysdeps/gnu/errlist.h). The worker runs in the locale "C", so that nothing is translated, unless a library calls setlocale.
    pub(super) fn of(said: &str) -> Self {
        let has = |text: &str| said.contains(text);
        match () {
            // Before what it holds as a part, the words for all memory.
            () if has("static TLS block") => Self::StaticTls,
            () if has("no more namespaces") => Self::Namespaces,
            () if has("Too many open files") => Self::Descriptors,
            () if has("annot allocate memory") || has("failed to map") => Self::Memory,
            () if has("No such file or directory") => Self::MissingFile,
            () if has("No space left") => Self::DiskFull,
            () if has("undefined symbol") => Self::MissingSymbol(symbol(said)),
            () if has("version `") => Self::MissingVersion,
            () => Self::Other,
        }
    }

    /// What an error number of the kernel's is about.
    fn of_errno(errno: i32) -> Self {
        match Errno::from_raw(errno) {
            Errno::EMFILE | Errno::ENFILE => Self::Descriptors,
            Errno::ENOMEM => Self::Memory,
            Errno::ENOENT => Self::MissingFile,
            Errno::ENOSPC => Self::DiskFull,
            _ => Self::Other,
        }
    }

    /// What a failure is about.
    pub(super) fn of_failure(failure: &LoadFailure) -> Self {
        match failure.cause {
            LoadCause::CopyFailed { errno, .. }
            | LoadCause::OriginalUnreadable { errno, .. }
            | LoadCause::ThreadNotStarted { errno }
            | LoadCause::SetupFailed { errno } => Self::of_errno(errno),
            _ => failure.said.as_deref().map_or(Self::Other, Self::of),
        }
    }
}

/// The name behind `undefined symbol: `.
fn symbol(said: &str) -> Option<String> {
    let (_, rest) = said.rsplit_once("undefined symbol: ")?;
    let name = rest.split([' ', ',', '\t', '\n']).next()?;
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaders_words_are_read() {
        for (said, refusal) in [
            ("/l/a.so: cannot allocate memory in static TLS block", Refusal::StaticTls),
            ("no more namespaces available for dlmopen()", Refusal::Namespaces),
            ("/l/a.so: cannot open shared object file: Too many open files", Refusal::Descriptors),
            ("/l/a.so: failed to map segment from shared object", Refusal::Memory),
            ("/l/a.so: cannot open shared object file: No such file or directory", Refusal::MissingFile),
            ("libm.so.6: cannot open shared object file: No space left on device", Refusal::DiskFull),
            ("/l/a.so: undefined symbol: cbrt", Refusal::MissingSymbol(Some("cbrt".to_owned()))),
            ("/l/a.so: undefined symbol: f, version V_2", Refusal::MissingSymbol(Some("f".to_owned()))),
            ("/lib/libc.so.6: version `GLIBC_2.99' not found (required by /l/a.so)", Refusal::MissingVersion),
            ("/l/a.so: invalid ELF header", Refusal::Other),
            ("", Refusal::Other),
        ] {
            assert_eq!(Refusal::of(said), refusal, "{said}");
        }
    }

    #[test]
    fn a_result_is_written_as_in_a_call() {
        for (read, returned, text) in [
            (Read::I32, 0xdead_beef_ffff_ffff, "-1"),
            (Read::U32, 0xdead_beef_ffff_ffff, "4294967295"),
            (Read::I64, u64::MAX, "-1"),
            (Read::U8, 0x101, "1"),
            (Read::Pointer, 0, "null"),
            (Read::Pointer, 0x7f00_0000_1000, "0x7f0000001000"),
            (Read::Double, 2.5_f64.to_bits(), "2.5"),
            (Read::Float, u64::from(1.5_f32.to_bits()), "1.5f"),
        ] {
            assert_eq!(value(read as i32, returned), text);
        }
        assert_eq!(value(-5, 7), "7");
    }

    #[test]
    fn a_failure_keeps_its_number_and_the_loaders_words() {
        let driver = read(Failure::Driver, 4, 0, "");
        assert_eq!(driver, LoadFailure::new(LoadCause::ExerciseFailed { returned: 4 }));
        let copy = read(Failure::Copy, libc::ENOSPC, 0, "/tmp/x/a.so");
        assert_eq!(copy.cause, LoadCause::CopyFailed { path: "/tmp/x/a.so".to_owned(), errno: libc::ENOSPC });
        assert_eq!((copy.said.as_deref(), Refusal::of_failure(&copy)), (None, Refusal::DiskFull));
        let open = read(Failure::Open, 0, 0, "/l/a.so: undefined symbol: cbrt");
        let cause = LoadCause::MissingSymbol { symbol: Some("cbrt".to_owned()), exports: None };
        assert_eq!((open.cause, open.said.as_deref()), (cause, Some("/l/a.so: undefined symbol: cbrt")));
        assert_eq!(read(Failure::Close, 0, 0, "").said, None);
    }
}
