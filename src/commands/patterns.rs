//! `--patterns all`: a short soak of each calling pattern, since what a library leaves depends on which thread calls it.

use std::sync::atomic::Ordering::Relaxed;

use crate::record::{CallFrom, Measured};
use crate::suite::plan::SoakPlan;
use crate::supervisor::Context;

/// Cycles of each short soak: fewer than the 1,024 thread keys of a process would hide the most common difference.
const CYCLES: u64 = 2_000;

/// Soaks each pattern shortly.
pub(super) fn all(plan: &SoakPlan, context: &Context<'_>) -> Vec<Measured> {
    let left = CallFrom::ALL.into_iter().take_while(|_| !context.interrupted.load(Relaxed));
    left.map(|call_from| crate::conduct::measured(&plan.called_from(call_from, CYCLES), context)).collect()
}
