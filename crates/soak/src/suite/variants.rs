//! Soaks beside the requested one: the same library without its calls, or called from another thread.

use std::path::Path;

use super::plan::{Purpose, SoakPlan};
use crate::record::{CallFrom, Metric};
use crate::settings::quantity::Cycles;
use crate::settings::{Companion, Driver, Hold, Order, Per, command};

/// Most checkpoints of a soak that only separates growth with the call from growth without it: 33 in each octave that decides.
const CHECKPOINTS_ASIDE: u32 = 100;

/// Garbage that Go's collector lets pile up, in percent of what is alive, in the pass `collected`.
pub(crate) const GOGC: u32 = 10;

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
        let mut plan = self.shortened(cycles);
        plan.name = format!("{}, called from {}", self.name, call_from.name());
        plan.call_from = call_from;
        plan.asked.call_from = Some(call_from);
        plan
    }

    /// The same soak with the agent that leaves malloc alone.
    #[must_use]
    pub fn plainly(&self) -> Self {
        Self { plain: true, ..self.clone() }
    }

    /// This many cycles of the same on one thread, after each of which pointers into what is gone are looked for.
    #[must_use]
    pub fn for_pointers(&self, cycles: u64) -> Self {
        let mut plan = self.shortened(cycles);
        (plan.threads, plan.asked.threads) = (1, None);
        (plan.share_path, plan.chaos) = (false, Vec::new());
        // A library comes again after as many loads each time.
        plan.order = Order::Given;
        plan.purpose = Purpose::Pointers;
        plan
    }

    /// The same soak without its calls, of at most `cycles` cycles; `leak` is what was found with them, and `lost` whether nothing points to
    /// it.
    #[must_use]
    pub fn without_calls(&self, cycles: u64, leak: Option<(Metric, f64)>, lost: bool) -> Self {
        let mut plan = self.shortened(cycles);
        plan.name = format!("{}, without the call", self.name);
        // The driver stays for what it sets up: that is the host's, and there in both soaks.
        plan.calls = Vec::new();
        (plan.asked.call, plan.asked.exercise, plan.asked.r#as) = (None, None, Some(Driver::None));
        plan.checkpoints = self.checkpoints.min(CHECKPOINTS_ASIDE);
        plan.purpose = Purpose::Share { leak, lost };
        plan
    }

    /// The same soak over this many cycles with `GOGC=10`, which may be more than this one's.
    #[must_use]
    pub fn collected(&self, cycles: u64) -> Self {
        let mut plan = Self { cycles, ..self.clone() }.shortened(cycles);
        plan.name = format!("{}, with GOGC={GOGC}", self.name);
        plan.env.insert("GOGC".to_owned(), GOGC.to_string());
        plan.purpose = Purpose::Collected;
        plan
    }

    /// The same soak in another host, of at most `cycles` cycles.
    #[must_use]
    pub fn elsewhere(&self, cycles: u64) -> Self {
        let mut plan = self.shortened(cycles);
        plan.name = format!("{}, in another host", self.name);
        plan.checkpoints = self.checkpoints.min(CHECKPOINTS_ASIDE);
        plan.purpose = Purpose::OtherHost;
        plan.chaos = Vec::new();
        plan.asked.chaos = None;
        plan
    }

    /// A soak in the same host of one library that this one brings, by itself and without any call.
    #[must_use]
    pub fn alone(&self, library: &Path, cycles: u64) -> Self {
        let mut plan = self.elsewhere(cycles);
        plan.name = format!("{}, what it brings alone", self.name);
        plan.path = library.to_owned();
        (plan.together, plan.replace, plan.exercise, plan.driven) = (Vec::new(), None, None, None);
        (plan.calls, plan.setup, plan.after) = (Vec::new(), Vec::new(), Vec::new());
        let asked = &mut plan.asked;
        (asked.call, asked.setup, asked.after) = (None, None, None);
        (asked.exercise, asked.together, asked.replace) = (None, None, None);
        asked.r#as = Some(Driver::None);
        plan
    }

    /// The same soak, of at most `cycles` cycles.
    fn shortened(&self, cycles: u64) -> Self {
        let mut plan = self.clone();
        plan.cycles = self.cycles.min(cycles);
        (plan.max_cycles, plan.until_decided, plan.duration) = (None, false, None);
        let asked = &mut plan.asked;
        asked.cycles = Some(Cycles::nearest(plan.cycles));
        (asked.max_cycles, asked.until_decided, asked.duration) = (None, None, None);
        plan
    }

    /// A shell command that makes the same soak from any directory: what differs from the defaults.
    #[must_use]
    pub fn replay(&self) -> String {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let mut asked = self.asked.clone();
        if let Some(exercise) = &mut asked.exercise {
            exercise.driver = absolute(&exercise.driver);
        }
        for companion in asked.together.iter_mut().flatten() {
            if let Some(path) = Companion::new(&absolute(companion.path())) {
                *companion = path;
            }
        }
        for hold in asked.hold.iter_mut().flatten() {
            if let Hold::Library { library, .. } = hold
                && library.components().count() > 1
            {
                *library = absolute(library);
            }
        }
        if let Ok(here) = std::env::current_dir() {
            asked.host = asked.host.map(|host| host.in_directory(&here));
            asked.replace = asked.replace.map(|other| other.in_directory(&here));
        }
        command(&absolute(&self.path), &asked)
    }
}
