//! Limits in sentences: what a rule of the gate allows, what was measured, and where a limit can't mean what it says.

use dlsoak_record::{LimitFacts, OddLimit, Per, Rule, RuleMeasured, RuleName, Severity, UnloadState, units};

use super::Text;
use super::growth::{bounded, metric, rate};

/// What a rule allows.
pub fn limit(rule: &Rule) -> String {
    let given = rule.limit.as_deref();
    match rule.name {
        RuleName::MaxLeakRate => given.map_or_else(
            || {
                format!(
                    "no proven growth, and growth of {} excluded",
                    rate(dlsoak_record::Metric::Heap, rule.limit_per_cycle.unwrap_or(0.0))
                )
            },
            str::to_owned,
        ),
        RuleName::MaxGrowth => match (given, rule.metric) {
            (Some(given), Some(of)) => format!("{given} {}/cycle", of.name()),
            (_, of) => format!("no growth of {}", of.map_or("counts", metric)),
        },
        RuleName::AllowPinned => {
            given.map_or_else(|| "unloaded".to_owned(), |why| format!("may stay loaded: {why}"))
        }
        RuleName::AllowResidue => given.unwrap_or("nothing").to_owned(),
        RuleName::MaxLeakIncrease => format!("at most {} more than the baseline", given.unwrap_or("0")),
        RuleName::Blame => "only what the library itself does fails".to_owned(),
        RuleName::MaxP99Increase => format!("p99 at most {} above the baseline", given.unwrap_or("0 %")),
    }
}

/// What was measured against a rule.
pub fn measured(rule: &Rule) -> String {
    match &rule.measured {
        RuleMeasured::Nothing => "nothing".to_owned(),
        RuleMeasured::NotInBaseline => "the library is new".to_owned(),
        RuleMeasured::OtherAgent => {
            "nothing, because malloc was counted in another way than in the baseline".to_owned()
        }
        RuleMeasured::Growth { metric: of, per_cycle, low, high, exact } => {
            format!("{}: {}", metric(*of), bounded(*of, *per_cycle, low.zip(*high), *exact))
        }
        RuleMeasured::Unload { state: UnloadState::Pinned } => "not unloaded".to_owned(),
        RuleMeasured::Unload { .. } => "unloaded".to_owned(),
        RuleMeasured::Dependencies { objects } => {
            format!("all of it is the fault of {}", super::listed(objects))
        }
        RuleMeasured::Residue { kinds } if kinds.is_empty() => "nothing".to_owned(),
        RuleMeasured::Residue { kinds } => {
            kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")
        }
        RuleMeasured::Increase { metric: of, per_cycle, low, high } => {
            format!("{}: {} more", metric(*of), bounded(*of, *per_cycle, Some((*low, *high)), low == high))
        }
        RuleMeasured::P99 { phase, ratio, base_ns, ns } => format!(
            "{}: {} % ({}, was {})",
            phase.name(),
            units::number((ratio - 1.0) * 100.0),
            units::nanos(*ns as f64),
            units::nanos(*base_ns as f64)
        ),
    }
}

/// A rule on change that is not met.
pub(super) fn worse(baseline: &str, rule: &Rule, severity: Severity) -> Text {
    let word = if severity == Severity::Undecided { "undecided against" } else { "worse than" };
    let text = Text::fact(format!(
        "{word} the baseline `{baseline}` ({}): the limit is {}, and dlsoak measured {}",
        rule.name.name(),
        limit(rule),
        measured(rule)
    ));
    match (&rule.measured, severity) {
        (RuleMeasured::OtherAgent, _) => text.help("save the baseline again"),
        (RuleMeasured::Increase { .. }, Severity::Undecided) => {
            text.means("the interval straddles the limit").help("run more cycles, in the baseline as well")
        }
        (RuleMeasured::P99 { .. }, Severity::Undecided) => text
            .means("only the slowest cycles take longer, as they do on a busy machine")
            .help("run it again, or on a quieter machine"),
        _ => text,
    }
}

/// A limit that can't mean what it says.
pub(super) fn odd_limit(facts: &LimitFacts) -> Text {
    let at = |limit: &LimitFacts| {
        format!(
            "at {} per cycle, {} is {} B per cycle",
            units::nanos(limit.seconds_per_cycle * 1e9),
            limit.limit,
            units::number(limit.per_cycle)
        )
    };
    match facts.why {
        OddLimit::Untimed => {
            Text::fact(format!("{} has no meaning, because no cycle was timed", facts.limit))
        }
        OddLimit::TooSmall => {
            let least = format!(
                "less than these {} cycles can distinguish from no growth ({} B per cycle)",
                units::count(facts.cycles),
                units::number(facts.distinguishable)
            );
            match facts.limit.per() {
                Per::Cycle => Text::fact(format!("{} is {least}", facts.limit)).help("run more cycles"),
                Per::Second => Text::fact(format!("{}, which is {least}", at(facts)))
                    .help("run more cycles, or set the limit in B/cycle"),
            }
        }
        OddLimit::AllowsChunk => Text::fact(at(facts))
            .means("that is enough to hide one leaked malloc chunk per cycle")
            .help("set the limit in B/cycle"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_per_cycle_is_not_to_be_set_per_cycle() {
        let of = |limit: &str| {
            odd_limit(&LimitFacts {
                why: OddLimit::TooSmall,
                limit: limit.parse().unwrap(),
                per_cycle: 16.0,
                seconds_per_cycle: 46e-6,
                distinguishable: 31.4,
                cycles: 500,
            })
            .line()
        };
        assert_eq!(
            of("16B/cycle"),
            "16B/cycle is less than these 500 cycles can distinguish from no growth (31.4 B per cycle); help: run more cycles"
        );
        assert!(of("0.35MB/s").ends_with("help: run more cycles, or set the limit in B/cycle"));
    }
}
