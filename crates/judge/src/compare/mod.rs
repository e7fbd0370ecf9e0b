//! Two or more runs side by side: what changed from the first to each of the others, and what only looks like it.
//! `docs/compare.md` describes the tests, their sources and their measured error rates.

mod growth;
mod languages;
mod latency;
mod limits;
mod pairs;
mod state;
mod warnings;

use serde::Serialize;

use dlsoak_record::{Metric, Run, Soak, UnloadState, Verdict};

pub use languages::{Language, Work};
pub use latency::{Figures, LatencyChange, Told};
pub use limits::{passed, rules};
pub use pairs::like;

/// Runs compared: the first one is what the others are held against.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// What people call the first run.
    pub base: String,
    /// Each other run.
    pub others: Vec<Against>,
    /// The languages on the same work, over all the runs.
    pub languages: Vec<Work>,
}

/// One run against the first one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Against {
    /// What people call it.
    pub label: String,
    /// Why the two can't be compared as they stand, in plain words.
    pub warnings: Vec<String>,
    /// How many times as long everything took, as the median over all phases of all soaks; `None` where too little was
    /// timed to say.
    pub pace: Option<f64>,
    /// One entry per library that is in both.
    pub soaks: Vec<SoakChange>,
    /// Soaks of the first run that have no counterpart.
    pub only_in_base: Vec<String>,
    /// Soaks of this run that have no counterpart.
    pub only_here: Vec<String>,
}

impl Against {
    /// The soaks in which something changed.
    pub fn changed(&self) -> impl Iterator<Item = &SoakChange> {
        self.soaks.iter().filter(|soak| !soak.changes.is_empty())
    }
}

/// What became of one library.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SoakChange {
    /// Its name in the first run.
    pub name: String,
    /// Its name in the other run, where it was matched by something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_name: Option<String>,
    /// What changed, most important first; empty where nothing did.
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What kind of change.
    pub kind: ChangeKind,
    /// Whether it is for the worse; `None` where that is not for us to say.
    pub worse: Option<bool>,
    /// In plain words.
    pub text: String,
}

/// Kinds of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// The verdict.
    Verdict,
    /// How the soak ended.
    End,
    /// Whether the library is unloaded.
    Unload,
    /// Why it is not.
    Causes,
    /// What each cycle leaves behind.
    Growth,
    /// What else stays.
    Residue,
    /// How long a phase takes.
    Latency,
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
    /// Whether it is a change, and not noise.
    pub changed: bool,
}

/// Compares runs, each with what people call it; the first is the base.
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
    let mut warnings = warnings::warnings(base, other, &pairs.both);
    if let Some(pace) = pace.filter(|pace| latency::is_large(*pace)) {
        warnings.push(format!(
            "everything took {pace:.2} times as long: another machine, another load, or all libraries changed \
             alike; a phase is called changed only where it stands out from that"
        ));
    }
    let soaks = pairs
        .both
        .iter()
        .zip(timed)
        .map(|((a, b), mut timed)| {
            latency::tell(&mut timed, pace);
            soak(a, b, timed)
        })
        .collect();
    let names = |soaks: &[&Soak]| soaks.iter().map(|soak| soak.name.clone()).collect();
    Against {
        label: label.to_owned(),
        warnings,
        pace,
        soaks,
        only_in_base: names(&pairs.only_in_base),
        only_here: names(&pairs.only_in_other),
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
        verdict: (base.verdict, other.verdict),
        unload: (base.unload.state, other.unload.state),
        growth,
        latency,
    }
}
