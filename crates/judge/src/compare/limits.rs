//! The gate's rules on change: how much more a library may leak, and how much longer its slowest cycles may take, than in
//! a baseline.

use super::super::growth::is_memory;
use super::super::verdict::{seconds_per_cycle, takes_part};
use super::super::words;
use super::growth::difference;
use super::latency::{self, LatencyChange};
use dlsoak_record::Limits;
use dlsoak_record::{Rule, Soak};

/// Phases that a host waits for. `dlsym` is the loader's own.
const WAITED_FOR: [&str; 3] = ["open", "call", "close"];
/// Differences of the 99th percentile that count as none, in nanoseconds.
const NONE_NS: u64 = 500;

/// The rules on change that were asked for, applied to `soak` with `base` before it; without a `base` there is nothing to
/// hold it against, and the rules pass with a word on why.
pub fn rules(base: Option<&Soak>, soak: &Soak, limits: &Limits) -> Vec<Rule> {
    let mut rules = Vec::new();
    let not_there = |name: &str, limit: String| Rule {
        name: name.to_owned(),
        limit,
        measured: "nothing to compare with".to_owned(),
        passed: Some(true),
        limit_per_cycle: None,
        detail: Some("the library is new: the baseline has no soak of this name".to_owned()),
    };
    if let Some(limit) = &limits.max_leak_increase {
        let name = "max-leak-increase";
        let shown = format!("{limit} more than the baseline");
        rules.push(match base {
            None => not_there(name, shown),
            Some(base) => leak(base, soak, limit.bytes_per_cycle(seconds_per_cycle(soak)), name, shown),
        });
    }
    if let Some(limit) = &limits.max_p99_increase {
        let name = "max-p99-increase";
        let shown = format!("p99 {limit} above the baseline");
        rules.push(match base {
            None => not_there(name, shown),
            Some(base) => p99(base, soak, limit.share(), name, shown),
        });
    }
    rules
}

/// The gate's answer once these rules are added to what it was before: one that fails decides, then one that is open.
pub fn passed(before: Option<bool>, rules: &[Rule]) -> Option<bool> {
    let mut all = rules.iter().map(|rule| rule.passed).chain([before]);
    if all.clone().any(|passed| passed == Some(false)) {
        return Some(false);
    }
    all.all(|passed| passed == Some(true)).then_some(true)
}

/// Memory: passes where the whole interval of each difference is within the limit, fails where one lies beyond it.
fn leak(base: &Soak, soak: &Soak, limit: f64, name: &str, shown: String) -> Rule {
    let of = |metric| base.growth.iter().find(|growth| growth.metric == metric);
    let differences: Vec<_> = soak
        .growth
        .iter()
        .filter(|growth| is_memory(growth.metric) && takes_part(growth.metric))
        .filter_map(|growth| Some(difference(of(growth.metric)?, growth)))
        .collect();
    let worst = |passed: Option<bool>| {
        let of_kind = differences.iter().filter(|d| match passed {
            Some(false) => d.low > limit,
            None => d.low <= limit && d.high > limit,
            Some(true) => true,
        });
        of_kind.max_by(|a, b| a.high.total_cmp(&b.high))
    };
    let (passed, found) = match (worst(Some(false)), worst(None), worst(Some(true))) {
        (Some(beyond), _, _) => (Some(false), Some(beyond)),
        (None, Some(unclear), _) => (None, Some(unclear)),
        (None, None, Some(within)) => (Some(true), Some(within)),
        (None, None, None) => (None, None),
    };
    let measured = found.map_or_else(
        || "nothing".to_owned(),
        |d| {
            let change = words::number(d.other - d.base);
            let (low, high) = (words::number(d.low), words::number(d.high));
            let interval =
                if d.low == d.high { " exactly".to_owned() } else { format!(" (95 %: {low} to {high})") };
            format!("{}: {change} B/cycle more{interval}", words::name(d.metric))
        },
    );
    let detail = (passed.is_none() && found.is_some())
        .then(|| "the interval straddles the limit: run more cycles, in the baseline as well".to_owned());
    Rule { name: name.to_owned(), limit: shown, measured, passed, limit_per_cycle: None, detail }
}

/// Latency: passes where the measured increase is within the limit; fails where the whole distribution, from the quiet cycles
/// on, has moved beyond it. A tail alone is no proof: a busy machine makes one.
fn p99(base: &Soak, soak: &Soak, limit: f64, name: &str, shown: String) -> Rule {
    let rule = |measured, passed, detail| Rule {
        name: name.to_owned(),
        limit: shown,
        measured,
        passed,
        limit_per_cycle: None,
        detail,
    };
    let (before, now) = (base.worker.agent, soak.worker.agent);
    if before != now {
        let detail = format!(
            "the worker's agent was `{}` in the baseline and is `{}` now, so dlsoak can't compare calls that allocate: save \
             the baseline again",
            before.name(),
            now.name()
        );
        return rule("nothing".to_owned(), None, Some(detail));
    }
    let mut phases = latency::latency(&base.latency_ns, &soak.latency_ns);
    let pace = latency::pace(phases.iter());
    latency::tell(&mut phases, pace);
    phases.retain(|phase| WAITED_FOR.contains(&phase.phase));
    let factor = 1.0 + limit;
    let judge = |phase: &LatencyChange| {
        let more = phase.other.p99.saturating_sub(phase.base.p99);
        if phase.p99_ratio <= factor || more <= NONE_NS {
            Some(true)
        } else if phase.moved_up(factor) {
            Some(false)
        } else {
            None
        }
    };
    let rank = |phase: &&LatencyChange| match judge(phase) {
        Some(true) => 0,
        None => 1,
        Some(false) => 2,
    };
    let worst = phases.iter().max_by(|a, b| rank(a).cmp(&rank(b)).then(a.p99_ratio.total_cmp(&b.p99_ratio)));
    let passed = worst.and_then(judge);
    let measured = worst.map_or_else(
        || "nothing was timed in both".to_owned(),
        |phase| {
            let change = words::number((phase.p99_ratio - 1.0) * 100.0);
            let micro = |ns: u64| words::number(ns as f64 / 1e3);
            let (a, b) = (micro(phase.base.p99), micro(phase.other.p99));
            format!("{}: {change} % ({b} us, was {a} us)", phase.phase)
        },
    );
    let detail = (passed.is_none() && worst.is_some()).then(|| {
        "only the slowest cycles take longer, as they do on a busy machine: run it again, or on a quieter one".to_owned()
    });
    rule(measured, passed, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::{Agent, Growth, Latencies, Metric, Trend, Unit, Worker};

    fn limits(text: &str) -> Limits {
        toml::from_str(text).unwrap_or_default()
    }

    fn grown(per_cycle: f64, half: f64) -> Soak {
        let growth = Growth {
            metric: Metric::Heap,
            unit: Unit::Bytes,
            per_cycle,
            low: per_cycle - half,
            high: per_cycle + half,
            per_second: 0.0,
            per_load: None,
            detectable: 0.0,
            trend: Trend::Growing,
            exact: false,
            fit: None,
        };
        Soak { growth: vec![growth], ..Soak::default() }
    }

    #[test]
    fn a_leak_is_held_against_what_leaked_before() {
        let limits = limits("max-leak-increase = '8B/cycle'");
        let answer = |base: &Soak, soak: &Soak| rules(Some(base), soak, &limits)[0].passed;
        let before = grown(32.0, 1.0);
        assert_eq!(answer(&before, &grown(33.0, 1.0)), Some(true));
        assert_eq!(answer(&before, &grown(64.0, 1.0)), Some(false));
        assert_eq!(answer(&before, &grown(39.5, 1.0)), None);
        assert_eq!(answer(&before, &grown(0.0, 1.0)), Some(true));
        // Nothing was measured, which is no proof of anything; and what is new has nothing before it.
        assert_eq!(answer(&before, &Soak::default()), None);
        let new = rules(None, &grown(64.0, 1.0), &limits);
        assert_eq!((new.len(), new[0].passed), (1, Some(true)));
        assert!(new[0].detail.as_ref().is_some_and(|detail| detail.contains("is new")));
        assert!(rules(Some(&before), &before, &Limits::default()).is_empty());
    }

    #[test]
    fn a_tail_fails_only_where_the_quiet_cycles_moved_too() {
        let limits = limits("max-p99-increase = '20%'");
        let soak = |middle, tail| {
            let call = Some(latency::tests::sample(middle, tail, 1));
            Soak { latency_ns: Latencies { call, ..Latencies::default() }, ..Soak::default() }
        };
        let before = soak(4_000.0, 3.0);
        let answer = |soak: &Soak| rules(Some(&before), soak, &limits)[0].passed;
        assert_eq!(answer(&soak(4_000.0, 3.0)), Some(true));
        assert_eq!(answer(&soak(5_600.0, 3.0)), Some(false));
        assert_eq!(answer(&soak(4_000.0, 30.0)), None);
        assert_eq!(answer(&Soak::default()), None);
        // With another agent, it would look faster or slower by that alone.
        let with = |agent| {
            let worker = Worker { agent, ..Worker::default() };
            Soak { worker, ..soak(4_000.0, 3.0) }
        };
        let rule = &rules(Some(&with(Agent::Plain)), &with(Agent::Counting), &limits)[0];
        assert_eq!(rule.passed, None);
        assert!(rule.detail.as_ref().is_some_and(|detail| detail.contains("was `plain` in")), "{rule:?}");
        for agent in [Agent::Plain, Agent::Counting] {
            assert_eq!(rules(Some(&with(agent)), &with(agent), &limits)[0].passed, Some(true));
        }
    }

    #[test]
    fn one_rule_that_fails_decides() {
        let rule = |passed| Rule {
            name: String::new(),
            limit: String::new(),
            measured: String::new(),
            passed,
            limit_per_cycle: None,
            detail: None,
        };
        assert_eq!(passed(Some(true), &[]), Some(true));
        assert_eq!(passed(Some(true), &[rule(None), rule(Some(false))]), Some(false));
        assert_eq!(passed(Some(true), &[rule(None)]), None);
        assert_eq!(passed(None, &[rule(Some(true))]), None);
        assert_eq!(passed(Some(false), &[rule(Some(true))]), Some(false));
    }
}
