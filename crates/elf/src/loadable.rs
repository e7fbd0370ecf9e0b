//! Whether a file can be loaded here, decided before the loader is asked, because its answer comes late and says little.

use super::{Class, Endian, Facts, Kind, Libc, Machine, Problem};

/// The machine that a library is to be loaded on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    /// Width of its addresses.
    pub class: Class,
    /// Its byte order.
    pub endian: Endian,
    /// Its number; `None` when this program does not know it, and then it is not checked.
    pub machine: Option<Machine>,
}

impl Host {
    /// The machine that this program was built for: a library must fit the program that loads it.
    pub const CURRENT: Self = Self {
        class: if cfg!(target_pointer_width = "64") { Class::Bits64 } else { Class::Bits32 },
        endian: if cfg!(target_endian = "big") { Endian::Big } else { Endian::Little },
        machine: machine_of_this_program(),
    };
}

/// Checks whether a file is a shared library that `host` can load. Whether the libraries it needs are there is
/// not for its bytes to say.
///
/// # Errors
///
/// The [`Problem`] that keeps it from being loaded.
pub fn check_loadable(facts: &Facts, host: Host) -> Result<(), Problem> {
    check_machine(facts, host)?;
    match facts.kind {
        Kind::SharedObject if facts.noopen() => Err(Problem::NoOpen),
        // "initial-exec TLS resolves to dynamic definition": musl 1.2.3 and 1.2.5 refuse each of them.
        Kind::SharedObject if facts.initial_exec && facts.libc == Libc::Musl => {
            Err(Problem::InitialExecInMusl { language: facts.language })
        }
        Kind::SharedObject => Ok(()),
        kind => Err(Problem::NotShared { kind }),
    }
}

/// Checks whether a file is for the machine of `host`, whatever kind of file it is.
///
/// # Errors
///
/// The [`Problem`] with its machine.
pub fn check_machine(facts: &Facts, host: Host) -> Result<(), Problem> {
    let machine = facts.machine;
    // The machine first: a 32-bit ARM file on x86-64 is of the wrong machine above all.
    match host.machine {
        Some(here) if here != machine && !same_family(here, machine) => {
            return Err(Problem::WrongMachine { machine, host: here });
        }
        _ => {}
    }
    if facts.endian != host.endian {
        return Err(Problem::WrongEndian { endian: facts.endian, machine });
    }
    if facts.class != host.class {
        return Err(Problem::WrongClass { class: facts.class, machine });
    }
    Ok(())
}

/// Checks whether a C library, as `glibc 2.36` or `musl 1.2.3` names it, can read packed relative relocations, where a file has them. glibc
/// before 2.36 refuses such a file if its linker made it say so (`GLIBC_ABI_DT_RELR`). Otherwise, and in musl before 1.2.4, none of its
/// pointers is relocated, and it crashes while it is opened.
///
/// # Errors
///
/// The [`Problem`] with that C library.
pub fn check_relocations(facts: &Facts, libc: &str) -> Result<(), Problem> {
    let reads = match libc.split_once(' ') {
        Some(("glibc", version)) => numbers(version) >= numbers("2.36"),
        Some(("musl", version)) => numbers(version) >= numbers("1.2.4"),
        // Of others nothing is known.
        _ => true,
    };
    if facts.relr && !reads { Err(Problem::PackedRelocations { libc: libc.to_owned() }) } else { Ok(()) }
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

/// An i386 library on x86-64 has the wrong width rather than the wrong machine.
fn same_family(one: Machine, other: Machine) -> bool {
    matches!((one, other), (Machine::X86_64, Machine::I386) | (Machine::I386, Machine::X86_64))
}

const fn machine_of_this_program() -> Option<Machine> {
    if cfg!(target_arch = "x86_64") {
        Some(Machine::X86_64)
    } else if cfg!(target_arch = "aarch64") {
        Some(Machine::AARCH64)
    } else if cfg!(any(target_arch = "riscv64", target_arch = "riscv32")) {
        Some(Machine::RISCV)
    } else if cfg!(target_arch = "x86") {
        Some(Machine::I386)
    } else {
        None
    }
}
