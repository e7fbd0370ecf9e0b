//! Settings that a process or a thread has one of, and that a library has left other than it found them. They count
//! also where the library is still loaded: nobody owns them but the host.

use super::Case;
use super::snapshot::Thread;
use crate::record::{Evidence, FpChange, FpRegister, LocaleChange, Residue, SoftHard};
use crate::sys::signal_name;

/// Finds settings that differ.
pub(super) fn find(case: &Case<'_>) -> Vec<Residue> {
    process(case).into_iter().chain(threads(case)).map(Residue::once).collect()
}

/// The pair of values, where both are known and they differ.
fn differ<'a, T: PartialEq>(old: Option<&'a T>, new: Option<&'a T>) -> Option<(&'a T, &'a T)> {
    old.zip(new).filter(|(old, new)| old != new)
}

/// Settings of the process.
fn process(case: &Case<'_>) -> Vec<Evidence> {
    let (before, after) = (case.before, case.after);
    let mut found = Vec::new();
    if let Some((old, new)) = differ(before.cwd.as_ref(), after.cwd.as_ref()) {
        found.push(Evidence::Cwd { old: old.clone(), new: new.clone() });
    }
    if let Some((old, new)) = differ(before.umask.as_ref(), after.umask.as_ref()) {
        found.push(Evidence::Umask { old: format!("{old:04o}"), new: format!("{new:04o}") });
    }
    if let Some((old, new)) = differ(before.locale.as_ref(), after.locale.as_ref()) {
        found.push(Evidence::Locale(LocaleChange::Process { old: old.clone(), new: new.clone() }));
    }
    if let Some((old, new)) = differ(before.oom_score.as_ref(), after.oom_score.as_ref()) {
        found.push(Evidence::OomScore { old: *old, new: *new });
    }
    for (name, new) in &after.limits {
        let Some((old, new)) = differ(before.limits.get(name), Some(new)) else { continue };
        let (old, new) = (values(old), values(new));
        // Go's runtime raises the soft limit on open files and stays: more than before takes nothing from the host.
        if !case.context.is_held() || is_lower(new, old) {
            found.push(Evidence::Rlimits { limit: name.clone(), old, new });
        }
    }
    found
}

/// The values of a limit; a word stands for none.
fn values(text: &str) -> SoftHard {
    let mut values = text.split(" / ").map(|value| value.parse().ok());
    SoftHard { soft: values.next().flatten(), hard: values.next().flatten() }
}

/// Whether the soft or the hard value of a limit is lower than it was.
fn is_lower(new: SoftHard, old: SoftHard) -> bool {
    let lower = |new: Option<u64>, old: Option<u64>| new.unwrap_or(u64::MAX) < old.unwrap_or(u64::MAX);
    lower(new.soft, old.soft) || lower(new.hard, old.hard)
}

/// Settings of the threads that ran the library. Threads that differ in the same way are one finding.
fn threads(case: &Case<'_>) -> Vec<Evidence> {
    let mut found: Vec<Evidence> = Vec::new();
    for old in case.before.threads.iter().filter(|thread| thread.own.is_some()) {
        let Some(new) = case.after.threads.iter().find(|thread| thread.id == old.id) else { continue };
        for evidence in thread(old, new) {
            if !found.contains(&evidence) {
                found.push(evidence);
            }
        }
    }
    found
}

fn thread(old: &Thread, new: &Thread) -> Vec<Evidence> {
    let mut found = Vec::new();
    if old.name != new.name {
        found.push(Evidence::ThreadName { new: new.name.clone() });
    }
    if let Some((before, after)) = differ(old.blocked.as_ref(), new.blocked.as_ref()) {
        let list = |mask: u64| (1..=64).filter(|n| mask >> (n - 1) & 1 == 1).map(signal_name).collect();
        found.push(Evidence::SignalMask { blocked: list(after & !before), unblocked: list(before & !after) });
    }
    let (Some(before), Some(after)) = (old.own, new.own) else { return found };
    let registers =
        [(FLOAT, before.float_control, after.float_control), (X87, before.x87_control, after.x87_control)];
    for (register, old, new) in registers.into_iter().filter(|(_, old, new)| old != new) {
        found.push(Evidence::FpMode {
            register: register.register,
            old: format!("{old:#x}"),
            new: format!("{new:#x}"),
            changes: register.changes(old, new),
        });
    }
    if before.locale != after.locale {
        found.push(Evidence::Locale(LocaleChange::Thread));
    }
    found
}

/// The bits of a control register of the floating-point unit.
struct Register {
    register: FpRegister,
    flush_to_zero: u32,
    denormals_are_zero: u32,
    default_nan: u32,
    rounding: u32,
    precision: u32,
    traps: u32,
}

/// The register of the unit that `float` and `double` are computed in.
#[cfg(target_arch = "aarch64")]
const FLOAT: Register = Register {
    register: FpRegister::Fpcr,
    flush_to_zero: 1 << 24,
    denormals_are_zero: 0,
    default_nan: 1 << 25,
    rounding: 3 << 22,
    precision: 0,
    traps: 0x9f << 8,
};
/// The register of the unit that `float` and `double` are computed in.
#[cfg(not(target_arch = "aarch64"))]
const FLOAT: Register = Register {
    register: FpRegister::Mxcsr,
    flush_to_zero: 1 << 15,
    denormals_are_zero: 1 << 6,
    default_nan: 0,
    rounding: 3 << 13,
    precision: 0,
    traps: 0x3f << 7,
};
/// The register of the unit that `long double` is computed in.
const X87: Register = Register {
    register: FpRegister::X87,
    flush_to_zero: 0,
    denormals_are_zero: 0,
    default_nan: 0,
    rounding: 3 << 10,
    precision: 3 << 8,
    traps: 0x3f,
};

impl Register {
    /// What the bits that differ mean.
    fn changes(&self, old: u32, new: u32) -> Vec<FpChange> {
        let on = |bit: u32| new & bit != 0;
        let all = [
            (self.flush_to_zero, FpChange::FlushToZero { on: on(self.flush_to_zero) }),
            (self.denormals_are_zero, FpChange::DenormalsAreZero { on: on(self.denormals_are_zero) }),
            (self.default_nan, FpChange::DefaultNan { on: on(self.default_nan) }),
            (self.rounding, FpChange::Rounding),
            (self.precision, FpChange::Precision),
            (self.traps, FpChange::Traps),
        ];
        let changed = |bits: &u32| (old ^ new) & bits != 0;
        all.into_iter().filter(|(bits, _)| changed(bits)).map(|(_, change)| change).collect()
    }
}
