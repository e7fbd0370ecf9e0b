//! Compares two or more runs: what changed from the first to each of the others, beyond noise. `docs/compare.md` describes the
//! tests, their sources and their measured error rates.

mod differences;
mod growth;
mod languages;
mod latency;
mod limits;
mod pairs;
mod state;
mod watched;

use serde::Serialize;

use dlsoak_record::{Metric, OutcomeKind, Phase, Run, Soak, UnloadState, Verdict, WatchVerdict};

pub use differences::{Difference, HostField, Setting};
pub use languages::{Language, Work};
pub use latency::{Figures, LatencyChange, LatencyOutcome};
pub(crate) use limits::findings;
pub use limits::{baseline_of, passed, rules};
pub use watched::{LibraryChange, rules_of_watched};

/// Runs compared with the first of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Label of the first run.
    pub base: String,
    /// Each other run.
    pub others: Vec<Against>,
    /// The languages on the same work, over all the runs.
    pub languages: Vec<Work>,
}

/// One run compared with the first one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Against {
    /// Label of this run.
    pub label: String,
    /// Differences in hosts, versions and settings, which limit what the comparison means.
    pub differences: Vec<Difference>,
    /// Ratio of all times to those of the first run: the median over all phases of all soaks. `None` if fewer than three phases were
    /// long enough.
    pub pace: Option<f64>,
    /// Whether `pace` is beyond noise. A phase then counts as changed only if it stands out from `pace`.
    pub pace_changed: bool,
    /// One entry per library that is in both runs.
    pub soaks: Vec<SoakChange>,
    /// One entry per library of a watched host that is in both runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub libraries: Vec<LibraryChange>,
    /// Soaks and libraries of the first run without a counterpart.
    pub only_in_base: Vec<String>,
    /// Soaks and libraries of this run without a counterpart.
    pub only_here: Vec<String>,
}

impl Against {
    /// The soaks in which something changed.
    pub fn changed(&self) -> impl Iterator<Item = &SoakChange> {
        self.soaks.iter().filter(|soak| !soak.changes.is_empty())
    }

    /// The libraries of a watched host in which something changed.
    pub fn changed_libraries(&self) -> impl Iterator<Item = &LibraryChange> {
        self.libraries.iter().filter(|library| !library.changes.is_empty())
    }
}

/// One library in both runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SoakChange {
    /// Its name in the first run.
    pub name: String,
    /// Its name in the other run, where that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_name: Option<String>,
    /// What changed, most important first; empty if nothing did.
    pub changes: Vec<Change>,
    /// Verdicts, before and after.
    pub verdict: (Verdict, Verdict),
    /// Unload states, before and after.
    pub unload: (UnloadState, UnloadState),
    /// Growth of each metric that decides.
    pub growth: Vec<GrowthChange>,
    /// Latency of each phase.
    pub latency: Vec<LatencyChange>,
}

/// One thing that changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Whether it is for the worse; `None` where that depends on the user.
    pub worse: Option<bool>,
    /// What changed, before and after.
    #[serde(flatten)]
    pub what: Changed,
}

/// What changed, before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Changed {
    /// The verdict.
    Verdict {
        /// Before.
        before: Verdict,
        /// After.
        after: Verdict,
    },
    /// The verdict on a library of a watched host.
    #[serde(rename = "verdict")]
    Watched {
        /// Before.
        before: WatchVerdict,
        /// After.
        after: WatchVerdict,
    },
    /// How the soak ended.
    Outcome {
        /// Before.
        before: OutcomeKind,
        /// After.
        after: OutcomeKind,
        /// The signal that ended it now.
        #[serde(skip_serializing_if = "Option::is_none")]
        signal: Option<String>,
        /// The phase that it ended in now.
        #[serde(skip_serializing_if = "Option::is_none")]
        phase: Option<Phase>,
    },
    /// Whether the library is unloaded.
    Unload {
        /// Before.
        before: UnloadState,
        /// After.
        after: UnloadState,
    },
    /// Why the library stays loaded: kinds of cause.
    Causes {
        /// Kinds that are new.
        new: Vec<String>,
        /// Kinds that are gone.
        gone: Vec<String>,
    },
    /// Growth of a metric, per cycle.
    Growth {
        /// The metric that best shows the kind of growth.
        metric: Metric,
        /// Before.
        before: f64,
        /// After.
        after: f64,
        /// Other metrics whose growth changed.
        also: Vec<Metric>,
    },
    /// What else stays behind: kinds of residue.
    Residue {
        /// Kinds that are new.
        new: Vec<String>,
        /// Kinds that are gone.
        gone: Vec<String>,
    },
    /// Median time of a phase.
    Latency {
        /// The phase.
        phase: Phase,
        /// Before, in nanoseconds.
        before: u64,
        /// After, in nanoseconds.
        after: u64,
        /// `after` divided by `before`.
        ratio: f64,
    },
}

/// Growth of one metric, before and after, per cycle.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GrowthChange {
    /// What grows.
    pub metric: Metric,
    /// Before.
    pub base: f64,
    /// After.
    pub other: f64,
    /// Lower bound of the 95 % interval of the difference.
    pub low: f64,
    /// Upper bound of the 95 % interval of the difference.
    pub high: f64,
    /// Whether the difference is beyond noise.
    pub changed: bool,
}

/// Compares runs, each with its label; the first is the base.
pub fn compare(runs: &[(String, Run)]) -> Comparison {
    let languages = languages::languages(runs);
    let Some(((base, first), others)) = runs.split_first() else {
        return Comparison { base: String::new(), others: Vec::new(), languages };
    };
    let others = others.iter().map(|(label, run)| against(first, label, run)).collect();
    Comparison { base: base.clone(), others, languages }
}

fn against(base: &Run, label: &str, other: &Run) -> Against {
    let pairs = pairs::pairs(&base.soaks, &other.soaks);
    let timed: Vec<Vec<LatencyChange>> =
        pairs.both.iter().map(|(a, b)| latency::latency(&a.latency_ns, &b.latency_ns)).collect();
    let pace = latency::pace(timed.iter().flatten());
    let soaks = pairs
        .both
        .iter()
        .zip(timed)
        .map(|((a, b), mut timed)| {
            latency::tell(&mut timed, pace);
            soak(a, b, timed)
        })
        .collect();
    let watched = watched::watched(base.watch.as_ref(), other.watch.as_ref());
    let names = |soaks: &[&Soak], more| [soaks.iter().map(|soak| soak.name.clone()).collect(), more].concat();
    Against {
        label: label.to_owned(),
        differences: differences::differences(base, other, &pairs.both),
        pace,
        pace_changed: pace.is_some_and(latency::is_large),
        soaks,
        libraries: watched.both,
        only_in_base: names(&pairs.only_in_base, watched.only_in_base),
        only_here: names(&pairs.only_in_other, watched.only_here),
    }
}

fn soak(base: &Soak, other: &Soak, latency: Vec<LatencyChange>) -> SoakChange {
    let growth = growth::growth(base, other);
    let mut changes = state::changes(base, other);
    changes.extend(growth::changes(&growth));
    changes.extend(state::residue(base, other));
    changes.extend(latency::changes(&latency));
    SoakChange {
        name: base.name.clone(),
        other_name: (other.name != base.name).then(|| other.name.clone()),
        changes,
        verdict: (base.judged.verdict, other.judged.verdict),
        unload: (base.unload.state, other.unload.state),
        growth,
        latency,
    }
}
