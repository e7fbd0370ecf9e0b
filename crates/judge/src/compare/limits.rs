//! The gate's rules on change: how much more a library may leak, and how much longer its slowest cycles may take, than in
//! a baseline.

use dlsoak_record::{
    Baseline, BaselineSoak, Facts, Finding, Growth, Limits, Measured, Pass, Phase, Rule, RuleMeasured,
    RuleName, Run, Severity, Soak,
};

use super::super::growth::is_memory;
use super::super::verdict::seconds_per_cycle;
use super::growth::difference;
use super::latency::{self, LatencyChange};

/// Phases that a host waits for. `dlsym` is the loader's own.
const WAITED_FOR: [Phase; 3] = [Phase::Open, Phase::Call, Phase::Close];
/// Differences of the 99th percentile that count as none, in nanoseconds.
const NONE_NS: u64 = 500;

/// What of a soak a later one is compared with.
fn baseline(soak: &Soak) -> BaselineSoak {
    BaselineSoak {
        agent: soak.worker.agent,
        growth: soak.judged.growth.clone(),
        latency_ns: soak.latency_ns.clone(),
    }
}

/// What a later soak of this name is compared with, in an earlier run that is called `named`.
pub fn baseline_of(run: &Run, name: &str, named: &str) -> Baseline {
    let soak = run.soaks.iter().find(|soak| soak.name == name).map(baseline);
    Baseline { name: named.to_owned(), soak }
}

/// The rules on change that were asked for, applied to `soak`, which grew by `growth`, with the baseline that it names. Where the
/// baseline has no such soak, the library is new and the rules pass.
pub fn rules(soak: &Measured, growth: &[Growth], limits: &Limits) -> Vec<Rule> {
    let Some(baseline) = &soak.baseline else { return Vec::new() };
    let rule = |name, limit: String, (measured, passed)| Rule {
        name,
        metric: None,
        limit: Some(limit),
        limit_per_cycle: None,
        measured,
        passed,
    };
    let new = (RuleMeasured::NotInBaseline, Some(true));
    let base = baseline.soak.as_ref();
    let mut rules = Vec::new();
    if let Some(limit) = &limits.max_leak_increase {
        let most = limit.bytes_per_cycle(seconds_per_cycle(soak));
        let found = base.map_or(new.clone(), |base| leak(base, growth, most));
        rules.push(Rule {
            limit_per_cycle: Some(most),
            ..rule(RuleName::MaxLeakIncrease, limit.to_string(), found)
        });
    }
    if let Some(limit) = &limits.max_p99_increase {
        let found = base.map_or(new, |base| p99(base, soak, limit.share()));
        rules.push(rule(RuleName::MaxP99Increase, limit.to_string(), found));
    }
    rules
}

/// What the rules on change say that are not met, and that a baseline lacks the library.
pub(crate) fn findings(soak: &Measured, rules: &[Rule]) -> Vec<Finding> {
    let Some(baseline) = &soak.baseline else { return Vec::new() };
    let on_change = |rule: &&Rule| matches!(rule.name, RuleName::MaxLeakIncrease | RuleName::MaxP99Increase);
    let mut findings: Vec<Finding> = rules
        .iter()
        .filter(on_change)
        .filter(|rule| rule.passed != Some(true))
        .map(|rule| {
            let severity = if rule.passed.is_none() { Severity::Undecided } else { Severity::Fail };
            let facts = Facts::Baseline { baseline: baseline.name.clone(), rule: rule.clone() };
            Finding::new(severity, facts).of_pass(Pass::Baseline)
        })
        .collect();
    if baseline.soak.is_none() {
        let facts = Facts::NotInBaseline { baseline: baseline.name.clone() };
        findings.push(Finding::new(Severity::Note, facts).of_pass(Pass::Baseline));
    }
    findings
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
fn leak(base: &BaselineSoak, growth: &[Growth], limit: f64) -> (RuleMeasured, Option<bool>) {
    let of = |metric| base.growth.iter().find(|growth| growth.metric == metric);
    let differences: Vec<_> = growth
        .iter()
        .filter(|growth| is_memory(growth.metric) && growth.metric.takes_part())
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
    let measured = found.map_or(RuleMeasured::Nothing, |d| RuleMeasured::Increase {
        metric: d.metric,
        per_cycle: d.other - d.base,
        low: d.low,
        high: d.high,
    });
    (measured, passed)
}

/// Latency: passes where the measured increase is within the limit; fails where the whole distribution, from the quiet cycles
/// on, has moved beyond it. A tail alone is no proof: a busy machine makes one.
fn p99(base: &BaselineSoak, soak: &Measured, limit: f64) -> (RuleMeasured, Option<bool>) {
    if base.agent != soak.worker.agent {
        return (RuleMeasured::OtherAgent, None);
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
    let measured = worst.map(|phase| RuleMeasured::P99 {
        phase: phase.phase,
        ratio: phase.p99_ratio,
        base_ns: phase.base.p99,
        ns: phase.other.p99,
    });
    (measured.unwrap_or(RuleMeasured::Nothing), passed)
}

#[cfg(test)]
mod tests {
    use dlsoak_record::{Agent, Baseline, Latencies, Trend, Worker};

    use super::*;
    use crate::synthetic;

    fn limits(text: &str) -> Limits {
        toml::from_str(text).unwrap_or_default()
    }

    fn growth(per_cycle: f64, half: f64) -> Vec<Growth> {
        vec![Growth { detectable: 0.0, ..synthetic::growth(per_cycle, half, Trend::Growing) }]
    }

    fn against(soak: Option<BaselineSoak>, measured: Measured) -> Measured {
        Measured { baseline: Some(Baseline { name: "main".to_owned(), soak }), ..measured }
    }

    #[test]
    fn a_leak_is_compared_with_what_leaked_before() {
        let limits = limits("max-leak-increase = '8B/cycle'");
        let answer = |now: &[Growth]| {
            let base = BaselineSoak { growth: growth(32.0, 1.0), ..BaselineSoak::default() };
            rules(&against(Some(base), Measured::default()), now, &limits)[0].passed
        };
        assert_eq!(answer(&growth(33.0, 1.0)), Some(true));
        assert_eq!(answer(&growth(64.0, 1.0)), Some(false));
        assert_eq!(answer(&growth(39.5, 1.0)), None);
        assert_eq!(answer(&growth(0.0, 1.0)), Some(true));
        // Nothing was measured, which proves nothing; and what is new has nothing before it.
        assert_eq!(answer(&[]), None);
        let new = rules(&against(None, Measured::default()), &growth(64.0, 1.0), &limits);
        assert_eq!((new.len(), new[0].passed), (1, Some(true)));
        assert_eq!(new[0].measured, RuleMeasured::NotInBaseline);
        assert!(rules(&against(None, Measured::default()), &[], &Limits::default()).is_empty());
        assert!(rules(&Measured::default(), &[], &limits).is_empty());
    }

    #[test]
    fn a_tail_fails_only_where_the_quiet_cycles_moved_too() {
        let limits = limits("max-p99-increase = '20%'");
        let latencies = |middle, tail| {
            let call = Some(latency::tests::sample(middle, tail, 1));
            Latencies { call, ..Latencies::default() }
        };
        let answer = |now: Latencies, agents: [Agent; 2]| {
            let base =
                BaselineSoak { latency_ns: latencies(4_000.0, 3.0), agent: agents[0], growth: Vec::new() };
            let worker = Worker { agent: agents[1], ..Worker::default() };
            let soak = Measured { latency_ns: now, worker, ..Measured::default() };
            let rule = rules(&against(Some(base), soak), &[], &limits).remove(0);
            (rule.passed, rule.measured == RuleMeasured::OtherAgent)
        };
        let same = [Agent::Counting; 2];
        assert_eq!(answer(latencies(4_000.0, 3.0), same), (Some(true), false));
        assert_eq!(answer(latencies(5_600.0, 3.0), same), (Some(false), false));
        assert_eq!(answer(latencies(4_000.0, 30.0), same), (None, false));
        assert_eq!(answer(Latencies::default(), same), (None, false));
        // With another agent, it would look faster or slower by that alone.
        assert_eq!(answer(latencies(4_000.0, 3.0), [Agent::Plain, Agent::Counting]), (None, true));
        assert_eq!(answer(latencies(4_000.0, 3.0), [Agent::Plain; 2]), (Some(true), false));
    }

    #[test]
    fn one_rule_that_fails_decides() {
        let rule = |passed| Rule {
            name: RuleName::MaxLeakRate,
            metric: None,
            limit: None,
            limit_per_cycle: None,
            measured: RuleMeasured::Nothing,
            passed,
        };
        assert_eq!(passed(Some(true), &[]), Some(true));
        assert_eq!(passed(Some(true), &[rule(None), rule(Some(false))]), Some(false));
        assert_eq!(passed(Some(true), &[rule(None)]), None);
        assert_eq!(passed(None, &[rule(Some(true))]), None);
        assert_eq!(passed(Some(false), &[rule(Some(true))]), Some(false));
    }
}
