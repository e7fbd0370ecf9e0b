//! Signal handlers that stay, and above all those whose code does not.

use super::crash::{consequence, place};
use super::snapshot::Action;
use super::{Case, Found, Kind, signal_name};

/// `SIG_DFL` and `SIG_IGN`, as the kernel keeps them.
const DEFAULT: u64 = 0;
const IGNORE: u64 = 1;

/// Signals that glibc uses for itself: cancelling a thread and timers (32), changing a thread's user (33).
const OF_GLIBC: [usize; 2] = [32, 33];

/// `SA_RESTORER`, which glibc adds to all flags that it passes on, so that an action put back has it.
const RESTORER: u64 = 0x0400_0000;

/// The part of an action that matters: flags are for handlers only.
fn what(action: &Action) -> (u64, u64) {
    let flags = if action.handler > IGNORE { action.flags & !RESTORER } else { 0 };
    (action.handler, flags)
}

/// Finds signals that do something else than before.
pub(super) fn find(case: &Case<'_>) -> Vec<(Kind, Found)> {
    let pairs = case.before.signals.iter().zip(&case.after.signals).enumerate();
    let changed = pairs
        .map(|(index, (before, after))| (index + 1, before, after))
        .filter(|(signal, before, after)| !OF_GLIBC.contains(signal) && what(before) != what(after));
    changed.filter_map(|(signal, before, after)| left(case, signal, before, after)).collect()
}

fn left(case: &Case<'_>, signal: usize, before: &Action, after: &Action) -> Option<(Kind, Found)> {
    let name = signal_name(signal);
    let known = |action: &Action| match action.handler {
        DEFAULT => "its default".to_owned(),
        IGNORE => "being ignored".to_owned(),
        handler => format!("a handler at {}", place(handler, case.after)),
    };
    let gone = after.handler > IGNORE && !case.after.is_code(after.handler);
    let detail = if gone {
        format!(
            "{name} has a handler at {}: {}; restore the old action with sigaction before the library is \
             unloaded",
            place(after.handler, case.after),
            consequence(Kind::SignalHandler, &name)
        )
    } else if case.context.is_held() {
        // A handler of something that is still loaded is at its place.
        return None;
    } else if after.handler == before.handler {
        format!("{name} has other flags than before: {:#x}, and was {:#x}", after.flags, before.flags)
    } else {
        format!("{name} has {}, and had {}; the host did not ask for that", known(after), known(before))
    };
    Some((Kind::SignalHandler, Found::once(detail)))
}
