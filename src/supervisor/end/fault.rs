//! A signal that ended the worker, in words: what it was about, and what is at the address, or was.

use crate::observer::{Backing, Capture, Caught, Mapping};
use crate::record::Fault;
use crate::supervisor::loads::Loads;
use crate::supervisor::staging::Staging;
use procfs::process::MMPermissions;

use super::stacks::name_of;

/// Addresses that a null pointer reaches: what Linux lets nobody map by default (vm.mmap_min_addr).
const NULL: u64 = 65_536;
/// How far below a stack its overflow is told: the gap that Linux keeps free there.
const GAP: u64 = 1 << 20;
/// How far from the stack pointer a stack is accessed.
const REACH: u64 = 1 << 16;

/// Codes of siginfo(2) that tell what is wrong.
const SI_KERNEL: i32 = 0x80;
const SEGV_MAPERR: i32 = 1;
const BUS_ADRERR: i32 = 2;
const FPE_INTDIV: i32 = 1;

/// What is known besides the capture.
pub(super) struct Known<'a> {
    /// Where the library was, cycle by cycle.
    pub(super) loads: &'a Loads,
    /// The last load of each thread, which may be over.
    pub(super) last: &'a [Last],
    /// Bytes that the library takes.
    pub(super) extent: u64,
    pub(super) staging: &'a Staging,
}

/// Where a thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Last {
    /// Where it loaded the library last.
    pub(super) base: u64,
    /// The cycle it is in.
    pub(super) cycle: u64,
    /// Whether it has opened the library in this cycle.
    pub(super) opened: bool,
}

/// The fault that a signal tells of; `None` for signals that somebody sent.
pub(super) fn fault(caught: &Caught, known: &Known<'_>) -> Option<Fault> {
    let info = caught.info;
    if info.code <= 0 || !matches!(info.signal, libc::SIGSEGV | libc::SIGBUS) {
        return None;
    }
    let registers = caught.capture.threads.first()?.registers?;
    let unknown = info.signal == libc::SIGSEGV && info.code == SI_KERNEL;
    // The machine tells no address where it is none that it could have.
    let address = if unknown { "unknown".to_owned() } else { format!("{:#x}", info.address) };
    let place = (!unknown).then(|| match returned(caught, info.address, known) {
        Some(words) => words,
        None => place(&caught.capture, info.address, registers.sp, known),
    });
    let mapping = caught.capture.mapping(info.address);
    let access = if unknown {
        None
    } else if info.address == registers.pc {
        Some("execute".to_owned())
    } else {
        // What may be read and was refused was written to.
        mapping.filter(|mapping| may(mapping, MMPermissions::READ)).map(|_| "write".to_owned())
    };
    Some(Fault { address, instruction: format!("{:#x}", registers.pc), place, access })
}

/// What happened, for the beginning of the detail.
pub(super) fn words(caught: &Caught, fault: Option<&Fault>) -> String {
    let info = caught.info;
    let pid = info.sender;
    let to_itself = pid == caught.capture.process;
    match (info.signal, info.code, fault) {
        (libc::SIGSEGV, SI_KERNEL, _) => {
            "a pointer was followed that is no address at all (the machine does not tell which)".to_owned()
        }
        (libc::SIGBUS, BUS_ADRERR, Some(fault)) => format!(
            "an access to {}: behind the end of a file that is mapped there, or of memory that is shared",
            fault.address
        ),
        (libc::SIGSEGV | libc::SIGBUS, _, Some(fault)) => {
            let place = fault.place.as_deref().unwrap_or("unknown");
            let address = &fault.address;
            match fault.access.as_deref() {
                Some("execute") => format!("a jump to {address}: {place}"),
                Some(access) => format!("a {access} to {address}: {place}"),
                None => format!("an access to {address}: {place}"),
            }
        }
        (libc::SIGFPE, FPE_INTDIV, _) => "an integer was divided by zero".to_owned(),
        (libc::SIGFPE, code, _) if code > 0 => "a floating-point or integer operation was refused".to_owned(),
        (libc::SIGILL, code, _) if code > 0 => {
            "an instruction that the machine does not know: __builtin_trap, an unreachable place, or code for another \
             machine"
                .to_owned()
        }
        (libc::SIGTRAP, code, _) if code > 0 => "a breakpoint instruction".to_owned(),
        (libc::SIGSYS, ..) => "a system call that a seccomp filter forbids".to_owned(),
        (libc::SIGPIPE, ..) => "it wrote to a pipe or socket that nobody reads any more".to_owned(),
        (libc::SIGABRT, ..) => "abort".to_owned(),
        (_, code, _) if code <= 0 && to_itself => "sent by the process to itself".to_owned(),
        (_, code, _) if code <= 0 && pid > 0 => format!("sent by process {pid}"),
        (libc::SIGALRM | libc::SIGVTALRM | libc::SIGPROF, ..) => {
            "a timer went off, and nobody handles its signal".to_owned()
        }
        _ => "nobody handles it".to_owned(),
    }
}

fn may(mapping: &Mapping, access: MMPermissions) -> bool {
    mapping.access.contains(access)
}

/// What is at an address, or was.
pub(super) fn place(capture: &Capture, address: u64, sp: u64, known: &Known<'_>) -> String {
    if let Some(words) = overflow(capture, address, sp) {
        return words;
    }
    if let Some(mapping) = capture.mapping(address) {
        let what = match (capture.place(address), &mapping.of) {
            (Some(place), Backing::File(path)) => {
                format!("{}+{:#x}", name_of(known.staging, path), place.in_object)
            }
            (_, Backing::File(path)) => format!("the file {}", path.display()),
            (_, Backing::Stack) => "the first thread's stack".to_owned(),
            (_, Backing::Vdso) => "code of the kernel's".to_owned(),
            (_, Backing::Other) => "memory of no file".to_owned(),
        };
        let allowed = [
            (MMPermissions::READ, "read"),
            (MMPermissions::WRITE, "written"),
            (MMPermissions::EXECUTE, "executed"),
        ];
        let allowed: Vec<&str> =
            allowed.iter().filter(|(bit, _)| may(mapping, *bit)).map(|(_, word)| *word).collect();
        return match allowed.as_slice() {
            [] => format!("{what}, which may not be accessed"),
            words => format!("{what}, which may only be {}", words.join(" and ")),
        };
    }
    if address < NULL {
        return if address == 0 {
            "a null pointer".to_owned()
        } else {
            "near null: a null pointer".to_owned()
        };
    }
    gone(address, known).unwrap_or_else(|| "nothing is mapped there".to_owned())
}

/// What is mapped at an address where, by the kernel, nothing was: another thread loaded it there again meanwhile.
pub(super) fn returned(caught: &Caught, address: u64, known: &Known<'_>) -> Option<String> {
    let absent = caught.info.signal == libc::SIGSEGV && caught.info.code == SEGV_MAPERR;
    let path = caught.capture.file(address).filter(|_| absent)?;
    Some(format!("{}, unloaded, and loaded there again meanwhile", name_of(known.staging, path)))
}

/// Where the address lies in the library as it was loaded before.
pub(super) fn gone(address: u64, known: &Known<'_>) -> Option<String> {
    let name = known.staging.first().file_name()?.to_string_lossy().into_owned();
    let under_way = |last: &&Last| last.opened && address.wrapping_sub(last.base) < known.extent;
    if known.last.iter().any(|last| under_way(&last)) {
        return Some(format!("{name}, unloaded in this cycle"));
    }
    let load = known.loads.find(address, known.extent)?;
    let cycle = known.last.get(load.thread).map_or(load.cycle, |last| last.cycle);
    let ago = cycle.saturating_sub(load.cycle);
    Some(match ago {
        0 => format!("{name}, unloaded"),
        1 => format!("{name}, unloaded 1 cycle ago"),
        _ => format!("{name}, unloaded {ago} cycles ago"),
    })
}

/// Whether the address is just below a stack that the stack pointer has run out of.
fn overflow(capture: &Capture, address: u64, sp: u64) -> Option<String> {
    let near = address.abs_diff(sp) <= REACH;
    let open = |mapping: &Mapping| may(mapping, MMPermissions::WRITE);
    if !near || capture.mapping(address).is_some_and(open) {
        return None;
    }
    let above = capture.mappings.iter().find(|mapping| mapping.start > address && open(mapping))?;
    (above.start - address <= GAP).then(|| {
        format!("just below a stack of {} KiB: the stack has overflowed", (above.end - above.start) / 1024)
    })
}
