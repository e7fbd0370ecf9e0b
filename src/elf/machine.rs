//! Names of machines, as people know them. Kept apart because the table would hide the rest.

use std::fmt;

use serde::{Serialize, Serializer};

/// A machine, by its number in the ELF header (`e_machine`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine(pub u16);

/// Numbers of the System V ABI and the names that `uname -m` or a compiler's target begins with.
const NAMES: [(u16, &str); 18] = [
    (2, "sparc"),
    (3, "i386"),
    (4, "m68k"),
    (8, "mips"),
    (15, "parisc"),
    (20, "powerpc"),
    (21, "powerpc64"),
    (22, "s390x"),
    (40, "arm"),
    (42, "sh4"),
    (43, "sparc64"),
    (50, "ia64"),
    (62, "x86-64"),
    (183, "aarch64"),
    (243, "riscv"),
    (247, "bpf"),
    (258, "loongarch"),
    (36902, "alpha"),
];

impl Machine {
    /// The Intel 80386 and its successors, 32-bit.
    pub const I386: Self = Self(3);
    /// AMD and Intel, 64-bit (and x32, by its class).
    pub const X86_64: Self = Self(62);
    /// ARM, 64-bit.
    pub const AARCH64: Self = Self(183);
    /// RISC-V of either width.
    pub const RISCV: Self = Self(243);

    /// The machine this program was built for; `None` for one without a name here.
    pub(super) const fn of_this_program() -> Option<Self> {
        if cfg!(target_arch = "x86_64") {
            Some(Self::X86_64)
        } else if cfg!(target_arch = "aarch64") {
            Some(Self::AARCH64)
        } else if cfg!(any(target_arch = "riscv64", target_arch = "riscv32")) {
            Some(Self::RISCV)
        } else if cfg!(target_arch = "x86") {
            Some(Self::I386)
        } else {
            None
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "machine {}", self.0),
        }
    }
}

impl Serialize for Machine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
