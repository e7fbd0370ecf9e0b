//! A signal that ended the worker: what it was about, and what is at the address, or was.

use crate::observer::{Backing, Capture, Caught, Mapping};
use crate::record::Fault;
use crate::record::why::{Access, CrashCause, FaultMapping, FaultPlace, Sender, Unloaded};
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
    /// The name of each library, and the bytes that it takes.
    pub(super) libraries: &'a [(String, u64)],
    /// The last visit of each thread and library, where there are several.
    pub(super) visits: &'a [Visited],
    pub(super) staging: &'a Staging,
}

/// A library that a thread has closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Visited {
    pub(super) library: usize,
    pub(super) base: u64,
    pub(super) cycle: u64,
    /// How many libraries the thread had opened by then.
    pub(super) number: u64,
}

/// Where a thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Last {
    /// Where it loaded the library last.
    pub(super) base: u64,
    /// The cycle it is in.
    pub(super) cycle: u64,
    /// Whether it has opened the library in this cycle, and not yet closed it.
    pub(super) opened: bool,
    /// Which library that is.
    pub(super) library: usize,
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
    let address = (!unknown).then(|| format!("{:#x}", info.address));
    let place = (!unknown).then(|| match returned(caught, info.address, known) {
        Some(object) => FaultPlace::Unloaded { object, unloaded: Unloaded::LoadedAgain },
        // No program executes its stack, so code that is gone stays what it is where a thread's stack lies right above it.
        None => {
            let sp = (info.address != registers.pc).then_some(registers.sp);
            place(&caught.capture, info.address, sp, known)
        }
    });
    let mapping = caught.capture.mapping(info.address);
    let access = if unknown {
        None
    } else if info.address == registers.pc {
        Some(Access::Execute)
    } else {
        // What may be read and was refused was written to.
        mapping.filter(|mapping| may(mapping, MMPermissions::READ)).map(|_| Access::Write)
    };
    Some(Fault { address, instruction: format!("{:#x}", registers.pc), place, access })
}

/// What the signal was about; of an abort without what was printed.
pub(super) fn cause(caught: &Caught, fault: Option<&Fault>) -> CrashCause {
    let info = caught.info;
    match (info.signal, info.code, fault) {
        (libc::SIGSEGV, SI_KERNEL, _) => CrashCause::NotAnAddress,
        (libc::SIGBUS, BUS_ADRERR, Some(_)) => CrashCause::BeyondFile,
        (libc::SIGSEGV | libc::SIGBUS, _, Some(_)) => CrashCause::Access,
        (libc::SIGFPE, FPE_INTDIV, _) => CrashCause::DivisionByZero,
        (libc::SIGFPE, code, _) if code > 0 => CrashCause::Arithmetic,
        (libc::SIGILL, code, _) if code > 0 => CrashCause::IllegalInstruction,
        (libc::SIGTRAP, code, _) if code > 0 => CrashCause::Breakpoint,
        (libc::SIGSYS, ..) => CrashCause::ForbiddenCall,
        (libc::SIGPIPE, ..) => CrashCause::BrokenPipe,
        (libc::SIGABRT, ..) => CrashCause::Abort { said: None },
        (_, code, _) if code <= 0 && (info.sender > 0 || sender(caught) == Sender::Itself) => {
            CrashCause::Sent { sender: sender(caught) }
        }
        (libc::SIGALRM | libc::SIGVTALRM | libc::SIGPROF, ..) => CrashCause::Timer,
        _ => CrashCause::Unhandled,
    }
}

/// Who sent a signal.
pub(super) fn sender(caught: &Caught) -> Sender {
    match caught.info.sender {
        pid if pid == caught.capture.process => Sender::Itself,
        pid => Sender::Process { pid },
    }
}

fn may(mapping: &Mapping, access: MMPermissions) -> bool {
    mapping.access.contains(access)
}

/// What is at an address, or was.
pub(super) fn place(capture: &Capture, address: u64, sp: Option<u64>, known: &Known<'_>) -> FaultPlace {
    if let Some(stack_kib) = sp.and_then(|sp| overflow(capture, address, sp)) {
        return FaultPlace::BelowStack { stack_kib };
    }
    if let Some(mapping) = capture.mapping(address) {
        let of = match (capture.place(address), &mapping.of) {
            (Some(place), Backing::File(path)) => {
                FaultMapping::Object { object: name_of(known.staging, path), offset: place.in_object }
            }
            (_, Backing::File(path)) => FaultMapping::File { path: path.to_string_lossy().into_owned() },
            (_, Backing::Stack) => FaultMapping::Stack,
            (_, Backing::Vdso) => FaultMapping::Kernel,
            (_, Backing::Other) => FaultMapping::Memory,
        };
        let allowed = [
            (MMPermissions::READ, Access::Read),
            (MMPermissions::WRITE, Access::Write),
            (MMPermissions::EXECUTE, Access::Execute),
        ];
        let allowed = allowed.iter().filter(|(bit, _)| may(mapping, *bit)).map(|(_, access)| *access);
        return FaultPlace::Mapped { of, allowed: allowed.collect() };
    }
    match address {
        0 => FaultPlace::Null,
        1..NULL => FaultPlace::NearNull,
        _ => match gone(capture, address, known) {
            Some((object, unloaded)) => FaultPlace::Unloaded { object, unloaded },
            None => FaultPlace::Nothing,
        },
    }
}

/// The object that is mapped at an address where, by the kernel, nothing was: another thread loaded it there again meanwhile.
pub(super) fn returned(caught: &Caught, address: u64, known: &Known<'_>) -> Option<String> {
    let absent = caught.info.signal == libc::SIGSEGV && caught.info.code == SEGV_MAPERR;
    let path = caught.capture.file(address).filter(|_| absent)?;
    Some(name_of(known.staging, path))
}

/// The library, where the address lies in it as it was loaded before; and when it was unloaded.
pub(super) fn gone(capture: &Capture, address: u64, known: &Known<'_>) -> Option<(String, Unloaded)> {
    let is_in = |library: usize, base: u64| {
        known.libraries.get(library).is_some_and(|(_, extent)| address.wrapping_sub(base) < *extent)
    };
    let name = |library: usize| known.libraries.get(library).map(|(name, _)| name.clone());
    if let Some(last) = known.last.iter().find(|last| last.opened && is_in(last.library, last.base)) {
        // While its beginning is mapped the loader has not unloaded it: it took a part of itself away.
        let gone = capture.mapping(last.base).is_none();
        return gone.then(|| Some((name(last.library)?, Unloaded::ThisCycle))).flatten();
    }
    if known.libraries.len() > 1 {
        let around = known.visits.iter().filter(|visit| is_in(visit.library, visit.base));
        let visit = around.max_by_key(|visit| visit.number)?;
        let now = known.last.iter().map(|last| last.cycle).max().unwrap_or(visit.cycle);
        let unloaded = match now.saturating_sub(visit.cycle) {
            0 => Unloaded::ThisCycle,
            cycles_ago => Unloaded::Earlier { cycles_ago },
        };
        return Some((name(visit.library)?, unloaded));
    }
    let (name, extent) = known.libraries.first()?;
    let load = known.loads.find(address, *extent)?;
    let cycle = known.last.get(load.thread).map_or(load.cycle, |last| last.cycle);
    Some((name.clone(), Unloaded::Earlier { cycles_ago: cycle.saturating_sub(load.cycle) }))
}

/// The size in KiB of the stack that the address is just below, where the stack pointer has run out of it.
fn overflow(capture: &Capture, address: u64, sp: u64) -> Option<u64> {
    let near = address.abs_diff(sp) <= REACH;
    let open = |mapping: &Mapping| may(mapping, MMPermissions::WRITE);
    if !near || capture.mapping(address).is_some_and(open) {
        return None;
    }
    let above = capture.mappings.iter().find(|mapping| mapping.start > address && open(mapping))?;
    (above.start - address <= GAP).then(|| (above.end - above.start) / 1024)
}
