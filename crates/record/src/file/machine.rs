//! Names of machines, as people know them. Kept apart because the table would hide the rest.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

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

/// What stands before the number of a machine that has no name here.
const NUMBERED: &str = "machine ";

impl Machine {
    /// The Intel 80386 and its successors, 32-bit.
    pub const I386: Self = Self(3);
    /// AMD and Intel, 64-bit (and x32, by its class).
    pub const X86_64: Self = Self(62);
    /// ARM, 64-bit.
    pub const AARCH64: Self = Self(183);
    /// RISC-V of either width.
    pub const RISCV: Self = Self(243);
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "{NUMBERED}{}", self.0),
        }
    }
}

impl Serialize for Machine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Machine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let known = NAMES.iter().find(|(_, name)| *name == text).map(|(number, _)| *number);
        let number = known.or_else(|| text.strip_prefix(NUMBERED)?.parse().ok());
        number.map(Self).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no machine")))
    }
}

impl schemars::JsonSchema for Machine {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Machine".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "A machine by its name, as `uname -m` or a compiler's target begins." })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_comes_back_from_its_name() {
        for machine in NAMES.map(|(number, _)| Machine(number)).into_iter().chain([Machine(12345)]) {
            let json = serde_json::to_string(&machine).unwrap();
            assert_eq!(serde_json::from_str::<Machine>(&json).unwrap(), machine, "{json}");
        }
        assert!(serde_json::from_str::<Machine>("\"abacus\"").is_err());
    }
}
