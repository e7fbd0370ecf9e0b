//! The clock that times phases. A read of the processor's time stamp counter costs about half of what the vDSO takes,
//! which shows where a cycle loads nothing and is as short as a few reads; where the counter can't be relied on it is
//! `CLOCK_MONOTONIC`.

use dlsoak_wire::channel::Clock;

use super::glibc::monotonic_ns;

/// What the kernel itself keeps time by: it has checked the counters of all CPUs against each other before it says `tsc`.
const KERNELS_CLOCK: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";

/// The cheapest clock that can be relied on here: the processor's counter where it says that it is invariant and the kernel itself
/// keeps time by it.
pub fn best() -> Clock {
    let trusted = || std::fs::read_to_string(KERNELS_CLOCK).is_ok_and(|name| name.trim() == "tsc");
    if has_invariant_tsc() && trusted() { Clock::Tsc } else { Clock::Monotonic }
}

/// As the record has it.
pub fn recorded(clock: Clock) -> crate::record::Clock {
    match clock {
        Clock::Monotonic => crate::record::Clock::Monotonic,
        Clock::Tsc => crate::record::Clock::Tsc,
    }
}

/// Ticks since some moment in the past.
fn now(clock: Clock) -> u64 {
    match clock {
        Clock::Monotonic => monotonic_ns(),
        Clock::Tsc => tsc(),
    }
}

/// The counter. Without a fence, which costs half as much again: the processor may read it some ten nanoseconds before what
/// comes ahead of it is done, at the end of a phase and so at the beginning of the next.
#[cfg(target_arch = "x86_64")]
#[inline]
fn tsc() -> u64 {
    // SAFETY: the instruction is there on every x86-64, and touches no memory.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// Never called: [`Clock::Tsc`] is not made here.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn tsc() -> u64 {
    monotonic_ns()
}

/// Bit 8 of EDX in CPUID leaf 0x80000007.
#[cfg(target_arch = "x86_64")]
fn has_invariant_tsc() -> bool {
    use std::arch::x86_64::__cpuid;
    const POWER_MANAGEMENT: u32 = 0x8000_0007;
    #[allow(unused_unsafe, reason = "safe to call since Rust 1.94")]
    // SAFETY: CPUID is there on every x86-64.
    unsafe {
        __cpuid(0x8000_0000).eax >= POWER_MANAGEMENT && __cpuid(POWER_MANAGEMENT).edx & (1 << 8) != 0
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn has_invariant_tsc() -> bool {
    false
}

/// How long a tick is, from two looks at both clocks: one when this was made, one when it is asked. Its error is that of
/// the looks, some ten nanoseconds, over the time between them.
#[derive(Debug, Clone, Copy)]
pub struct Calibration {
    clock: Clock,
    /// Ticks and nanoseconds when this was made.
    began: (u64, u64),
}

impl Calibration {
    /// Begins with a look at both clocks.
    pub fn new(clock: Clock) -> Self {
        Self { clock, began: both(clock) }
    }

    /// The clock that it is for.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Nanoseconds of a tick; 1 for a clock that counts nanoseconds.
    pub fn ns_per_tick(&self) -> f64 {
        if self.clock == Clock::Monotonic {
            return 1.0;
        }
        let (ticks, ns) = both(self.clock);
        let (ticks, ns) = (ticks.saturating_sub(self.began.0), ns.saturating_sub(self.began.1));
        if ticks == 0 { 1.0 } else { ns as f64 / ticks as f64 }
    }
}

/// Both clocks at one moment: the closest of a few looks.
fn both(clock: Clock) -> (u64, u64) {
    let look = || {
        let before = monotonic_ns();
        let ticks = now(clock);
        let after = monotonic_ns();
        (after.saturating_sub(before), ticks, before + after.saturating_sub(before) / 2)
    };
    let (_, ticks, ns) = (0..8).map(|_| look()).min_by_key(|(apart, ..)| *apart).unwrap_or_default();
    (ticks, ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_nanoseconds() {
        for clock in [Clock::Monotonic, best()] {
            assert_eq!(Clock::from_u32(clock as u32), clock);
            let calibration = Calibration::new(clock);
            // Each reading lies between two of the other clock, so that no interruption can put it out of its bounds.
            let read = || (monotonic_ns(), now(clock), monotonic_ns());
            let (before, ticks, after) = read();
            std::thread::sleep(std::time::Duration::from_millis(20));
            let (before_last, last, after_last) = read();
            let told = (last - ticks) as f64 * calibration.ns_per_tick();
            let (low, high) = ((before_last - after) as f64, (after_last - before) as f64);
            // What the calibration itself may be off by.
            assert!(0.8 * low <= told && told <= 1.2 * high, "{clock:?}: {low} {told} {high}");
        }
        assert_eq!(Clock::from_u32(77), Clock::Monotonic);
    }
}
