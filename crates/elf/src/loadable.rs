//! Whether a file can be loaded here, decided before the loader is asked, because its answer comes late and says little.

use super::{Class, Endian, Facts, Kind, Machine, Problem};

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
