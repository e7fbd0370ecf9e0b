//! Signal handlers that stay, and above all those whose code does not.

use super::Case;
use super::crash::at;
use super::snapshot::Action;
use crate::record::{Evidence, Residue, SignalAction};
use crate::sys::signal_name;

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
pub(super) fn find(case: &Case<'_>) -> Vec<Residue> {
    let pairs = case.before.signals.iter().zip(&case.after.signals).enumerate();
    let changed = pairs
        .map(|(index, (before, after))| (index + 1, before, after))
        .filter(|(signal, before, after)| !OF_GLIBC.contains(signal) && what(before) != what(after));
    changed.filter_map(|(signal, before, after)| left(case, signal, before, after)).collect()
}

fn left(case: &Case<'_>, signal: usize, before: &Action, after: &Action) -> Option<Residue> {
    let known = |action: &Action| match action.handler {
        DEFAULT => SignalAction::Default,
        IGNORE => SignalAction::Ignore,
        handler => {
            SignalAction::Handler { at: at(handler, case.after), flags: format!("{:#x}", action.flags) }
        }
    };
    let gone = after.handler > IGNORE && !case.after.is_code(after.handler);
    // A handler of something that is still loaded is at its place.
    (gone || !case.context.is_held()).then(|| {
        Residue::once(Evidence::SignalHandler {
            signal: signal_name(signal),
            old: known(before),
            new: known(after),
            gone,
        })
    })
}
