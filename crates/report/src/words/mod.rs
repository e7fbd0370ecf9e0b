//! Findings in sentences: what was measured, what it means, and what helps, each a line of its own.
//!
//! A finding's sentences come from its facts alone, so that a saved record reads the same wherever it is shown.

mod ended;
mod exhausted;
mod growth;
mod hosts;
mod load;
mod measuring;
mod replaced;
mod residue;
mod rule;
mod runtimes;
mod stack;
mod stays;
#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::fmt::Display;

use dlsoak_record::{Facts, Finding, units};

pub use ended::{access_word, at_address, early, outcome};
pub use growth::metric;
pub(crate) use growth::{amount, estimate};
pub use residue::left as residue;
pub use rule::{limit as rule_limit, measured as rule_measured};
pub(crate) use runtimes::with_runtime;
pub use stack::stacks;
pub use stays::{cause, prediction};

/// A finding for people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text {
    /// What was measured.
    pub fact: String,
    /// What it means in a host, or what else is known of it.
    pub consequence: Option<String>,
    /// One thing to do.
    pub help: Option<String>,
}

impl Text {
    /// A fact that speaks for itself.
    pub fn fact(fact: impl Into<String>) -> Self {
        Self { fact: fact.into(), ..Self::default() }
    }

    /// The same with what it means.
    #[must_use]
    pub fn means(self, consequence: impl Into<String>) -> Self {
        Self { consequence: Some(consequence.into()), ..self }
    }

    /// The same with one thing to do.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// Its lines, in order.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let help = self.help.as_ref().map(|help| format!("help: {help}"));
        [Some(self.fact.clone()), self.consequence.clone(), help].into_iter().flatten()
    }

    /// All in one line, for formats that have no room for more.
    pub fn line(&self) -> String {
        self.lines().collect::<Vec<_>>().join("; ")
    }
}

/// `a, b and c`.
pub(crate) fn listed<T: Borrow<str> + Display>(items: &[T]) -> String {
    match items {
        [] => "nothing".to_owned(),
        [one] => one.to_string(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// `1 cycle`, `3 cycles`.
pub(crate) fn counted(count: u64, one: &str) -> String {
    format!("{} {one}{}", units::count(count), if count == 1 { "" } else { "s" })
}

/// The last part of a path.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What the system says of an `errno(3)`, without its number.
fn system_error(errno: i32) -> String {
    let words = std::io::Error::from_raw_os_error(errno).to_string();
    words.split(" (os error").next().unwrap_or_default().to_owned()
}

/// A finding in sentences.
pub fn finding(finding: &Finding) -> Text {
    let text = of_facts(finding);
    match &finding.allowed {
        // Somebody knows what it means, and does not want to be helped.
        Some(reason) => Text::fact(text.fact).means(format!("this is allowed: {reason}")),
        None => text,
    }
}

fn of_facts(finding: &Finding) -> Text {
    match &finding.facts {
        Facts::Leak(leak) => growth::leak(leak),
        Facts::Exhausted(ran_out) => exhausted::ran_out(ran_out),
        Facts::Share(share) => growth::share(share),
        Facts::Unsettled(open) => growth::unsettled(open),
        Facts::NothingMeasured {} => Text::fact("nothing was measured, because there is no checkpoint"),
        Facts::HeapNotMeasured {} => Text::fact(
            "the heap was not measured, because the library's C library is one whose heap dlsoak can't count",
        )
        .means("a leak of malloc memory would show in resident memory only"),
        Facts::WithinLimit { growth, limit } => growth::within_limit(growth, *limit),
        Facts::NoGrowth { cycles, detectable } => growth::none(*cycles, *detectable),
        Facts::Survivors(survivors) => growth::survivors(survivors),
        Facts::Lost(lost) => growth::lost(lost),
        Facts::Collected(collection) => growth::collected(collection),
        Facts::KeptOnce(kept) => growth::kept_once(kept),
        Facts::MallocHoldsFree(held) => growth::malloc_holds_free(held),
        Facts::DependenciesStay { objects } => stays::dependencies(objects),
        Facts::Replaced(replaced) => replaced::answers(replaced),
        Facts::BuildsLeak(replaced) => replaced::leaks(replaced),
        Facts::Stays(cause) => stays::cause(cause),
        Facts::Held { opens, closes, by } => stays::held(*opens, *closes, by.as_ref()),
        Facts::NeverReloaded { opens, closes } => stays::never_reloaded(*opens, *closes),
        Facts::Left(left) => residue(left),
        Facts::Ended(ended) => ended::ended(ended),
        Facts::Limit(limit) => rule::odd_limit(limit),
        Facts::Note(note) => measuring::note(note),
        Facts::Disturbed(done) => measuring::disturbed(done),
        Facts::DisturbanceRefused(refused) => measuring::refused(refused),
        Facts::Sandboxed(sandbox) => measuring::sandboxed(sandbox),
        Facts::SandboxIncomplete(sandbox) => measuring::sandbox_incomplete(sandbox),
        Facts::FewerCycles { completed, requested } => measuring::fewer_cycles(*completed, *requested),
        Facts::LatenciesUncached {} => measuring::latencies_uncached(),
        Facts::HostsDiffer { here, there } => hosts::differ(here, there),
        Facts::DependencyAtFault(dependency) => hosts::dependency(dependency),
        Facts::PatternsDiffer(patterns) => measuring::patterns_differ(patterns),
        Facts::Baseline { baseline, rule } => rule::worse(baseline, rule, finding.severity),
        Facts::NotInBaseline { baseline } => Text::fact(format!(
            "the baseline `{baseline}` has no soak of this name, so there is nothing to compare with"
        )),
        Facts::Leaker { kind, phase, bytes_per_cycle, count_per_cycle, module, offset } => growth::leaker(
            (*kind, *phase),
            *bytes_per_cycle,
            *count_per_cycle,
            module,
            *offset,
            finding.place.as_ref(),
        ),
    }
}
