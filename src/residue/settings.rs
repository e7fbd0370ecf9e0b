//! Settings that a process or a thread has one of, and that a library has left other than it found them. They count
//! also where the library is still loaded: nobody owns them but the host.

use super::snapshot::Thread;
use super::{Case, Found, Kind, signal_name};

/// Finds settings that differ.
pub(super) fn find(case: &Case<'_>) -> Vec<(Kind, Found)> {
    let (before, after) = (case.before, case.after);
    let mut found = Vec::new();
    let mut told = |kind: Kind, detail: String| found.push((kind, Found::once(detail)));
    if let (Some(old), Some(new)) = (&before.cwd, &after.cwd)
        && old != new
    {
        told(
            Kind::Cwd,
            format!(
                "the working directory is {new} and was {old}: every relative path of the host now means \
                 another file; use openat and full paths instead of chdir"
            ),
        );
    }
    if let (Some(old), Some(new)) = (before.umask, after.umask)
        && old != new
    {
        told(
            Kind::Umask,
            format!(
                "the umask is {new:04o} and was {old:04o}: files that the host makes get other permissions; \
                 set modes with fchmod instead, or put the umask back"
            ),
        );
    }
    if let (Some(old), Some(new)) = (&before.locale, &after.locale)
        && old != new
    {
        told(
            Kind::Locale,
            format!(
                "the locale is {new} and was {old}: decimal points, collation and messages of the host change; \
                 use newlocale and uselocale, or put back what setlocale returned"
            ),
        );
    }
    if let (Some(old), Some(new)) = (before.oom_score, after.oom_score)
        && old != new
    {
        told(
            Kind::OomScore,
            format!("oom_score_adj is {new} and was {old}: the kernel chooses otherwise whom to kill"),
        );
    }
    for (name, new) in &after.limits {
        // Go's runtime raises the soft limit on open files and stays: more than before takes nothing from the host.
        let counts = |old: &&String| *old != new && (!case.context.is_held() || is_lower(new, old));
        if let Some(old) = before.limits.get(name).filter(counts) {
            told(
                Kind::Rlimits,
                format!(
                    "the limit on {name} (soft / hard) is {new} and was {old}; put it back with setrlimit, and \
                     never lower a hard limit: an unprivileged host can't raise it again"
                ),
            );
        }
    }
    found.extend(threads(case));
    found
}

/// Whether the soft or the hard value of a limit is lower than it was.
fn is_lower(new: &str, old: &str) -> bool {
    let values = |text: &str| -> Vec<u64> {
        text.split(" / ").map(|value| value.parse().unwrap_or(u64::MAX)).collect()
    };
    values(new).iter().zip(values(old)).any(|(new, old)| *new < old)
}

/// Settings of the threads that ran the library.
fn threads(case: &Case<'_>) -> Vec<(Kind, Found)> {
    let mut found: Vec<(Kind, Found)> = Vec::new();
    for old in case.before.threads.iter().filter(|thread| thread.own.is_some()) {
        let Some(new) = case.after.threads.iter().find(|thread| thread.id == old.id) else { continue };
        for told in thread(old, new) {
            // Threads that did the same have the same to tell.
            if !found.contains(&told) {
                found.push(told);
            }
        }
    }
    found
}

fn thread(old: &Thread, new: &Thread) -> Vec<(Kind, Found)> {
    let mut found = Vec::new();
    let mut told = |kind: Kind, detail: String| found.push((kind, Found::once(detail)));
    if old.name != new.name {
        told(
            Kind::ThreadName,
            format!(
                "the thread that ran the library is called `{}` now; name only threads of one's own (PR_SET_NAME, \
                 pthread_setname_np)",
                new.name
            ),
        );
    }
    if let (Some(before), Some(after)) = (old.blocked, new.blocked)
        && before != after
    {
        let list = |mask: u64| {
            let names = (1..=64).filter(|n| mask >> (n - 1) & 1 == 1).map(signal_name);
            names.collect::<Vec<_>>().join(", ")
        };
        let mut parts = Vec::new();
        if after & !before != 0 {
            parts.push(format!("blocks {}", list(after & !before)));
        }
        if before & !after != 0 {
            parts.push(format!("no longer blocks {}", list(before & !after)));
        }
        told(
            Kind::SignalMask,
            format!(
                "the thread that ran the library {}; put back the mask that pthread_sigmask returned",
                parts.join(" and ")
            ),
        );
    }
    let (Some(before), Some(after)) = (old.own, new.own) else { return found };
    if before.float_control != after.float_control {
        let changes = float_changes(before.float_control, after.float_control);
        told(
            Kind::FpMode,
            format!(
                "the floating-point modes of the thread that ran the library are {:#x} and were {:#x}{changes}; \
                 a library linked with -ffast-math or -Ofast does this in a constructor (crtfastmath.o): link \
                 without them, or with -mno-daz-ftz; else save and restore with fegetenv and fesetenv",
                after.float_control, before.float_control
            ),
        );
    }
    if before.x87_control != after.x87_control {
        told(
            Kind::FpMode,
            format!(
                "the x87 control word of the thread that ran the library is {:#x} and was {:#x}: long double \
                 computes with other precision, rounding or traps; put it back with fesetenv",
                after.x87_control, before.x87_control
            ),
        );
    }
    if before.locale != after.locale {
        told(
            Kind::Locale,
            "the thread that ran the library has another locale of its own (uselocale); put back what uselocale \
             returned"
                .to_owned(),
        );
    }
    found
}

/// What the bits that differ mean, as `: ...`.
fn float_changes(before: u32, after: u32) -> String {
    /// Names of single bits, and the bits of the rounding mode.
    #[cfg(target_arch = "aarch64")]
    const BITS: (&[(u32, &str)], u32) =
        (&[(1 << 24, "denormals flushed to zero"), (1 << 25, "default NaN")], 3 << 22);
    #[cfg(not(target_arch = "aarch64"))]
    const BITS: (&[(u32, &str)], u32) = (
        &[(1 << 15, "denormal results flushed to zero"), (1 << 6, "denormal operands read as zero")],
        3 << 13,
    );
    let changed = before ^ after;
    let mut named: Vec<String> = Vec::new();
    for (bit, name) in BITS.0 {
        if changed & bit != 0 {
            named.push(if after & bit != 0 { (*name).to_owned() } else { format!("no longer {name}") });
        }
    }
    if changed & BITS.1 != 0 {
        named.push("another rounding mode".to_owned());
    }
    if changed & !(BITS.1 | BITS.0.iter().map(|(bit, _)| bit).fold(0, |all, bit| all | bit)) != 0 {
        named.push("other exceptions trap".to_owned());
    }
    if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) }
}
