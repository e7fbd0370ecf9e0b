//! Whether a file can be loaded here, told before the loader is asked: its answer comes too late and says
//! little.

use super::error::ElfError;
use super::machine::Machine;
use super::{Class, Endian, Facts, Kind};

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
        machine: Machine::of_this_program(),
    };
}

/// Checks whether a file is a shared library that `host` can load. Whether the libraries it needs are there is
/// not for its bytes to say.
///
/// # Errors
///
/// The [`ElfError`] that says why not, and what to do.
pub fn check_loadable(facts: &Facts, host: Host) -> Result<(), ElfError> {
    let machine = facts.machine;
    // The machine first: a 32-bit ARM file on x86-64 is of the wrong machine above all.
    match host.machine {
        Some(here) if here != machine && !same_family(here, machine) => {
            return Err(ElfError::WrongMachine { machine, host: here });
        }
        _ => {}
    }
    if facts.endian != host.endian {
        return Err(ElfError::WrongEndian { endian: facts.endian, machine });
    }
    if facts.class != host.class {
        return Err(ElfError::WrongClass { class: facts.class, machine });
    }
    match facts.kind {
        Kind::SharedObject if facts.noopen() => Err(ElfError::NoOpen),
        Kind::SharedObject => Ok(()),
        kind => Err(ElfError::NotShared(kind)),
    }
}

/// An i386 library on x86-64 has the wrong width rather than the wrong machine.
fn same_family(one: Machine, other: Machine) -> bool {
    matches!((one, other), (Machine::X86_64, Machine::I386) | (Machine::I386, Machine::X86_64))
}
