//! Soaks beside the requested one: the same library without its calls, or called from another thread.

use super::plan::{Purpose, SoakPlan};
use crate::record::{CallFrom, Metric};
use crate::settings::Per;

/// Most checkpoints of a soak that only separates growth with the call from growth without it: 33 in each octave that decides.
const CHECKPOINTS_ASIDE: u32 = 100;

impl SoakPlan {
    /// Whether it must not run beside others: it is gated by time, which passes more slowly for its cycles then, so that a
    /// leak per second appears smaller; or what disturbs it would disturb them.
    #[must_use]
    pub fn needs_the_machine(&self) -> bool {
        let limits = &self.limits;
        let rates = [&limits.max_leak_rate, &limits.max_leak_increase];
        rates.into_iter().flatten().any(|rate| rate.per() == Per::Second)
            || limits.max_p99_increase.is_some()
            || !self.chaos.is_empty()
    }

    /// The same soak with its cycles on this thread, of at most `cycles` cycles.
    #[must_use]
    pub fn called_from(&self, call_from: CallFrom, cycles: u64) -> Self {
        let name = format!("{}, called from {}", self.name, call_from.name());
        Self { name, call_from, ..self.shortened(cycles) }
    }

    /// The same soak with the agent that leaves malloc alone.
    #[must_use]
    pub fn plainly(&self) -> Self {
        Self { plain: true, ..self.clone() }
    }

    /// The same soak without its calls, of at most `cycles` cycles; `leak` is what was found with them.
    #[must_use]
    pub fn without_calls(&self, cycles: u64, leak: Option<(Metric, f64)>) -> Self {
        let name = format!("{}, without the call", self.name);
        Self {
            name,
            calls: Vec::new(),
            exercise: None,
            checkpoints: self.checkpoints.min(CHECKPOINTS_ASIDE),
            purpose: Purpose::Share { leak },
            ..self.shortened(cycles)
        }
    }

    /// The same soak, of at most `cycles` cycles.
    fn shortened(&self, cycles: u64) -> Self {
        Self {
            cycles: self.cycles.min(cycles),
            max_cycles: None,
            until_decided: false,
            duration: None,
            ..self.clone()
        }
    }
}
