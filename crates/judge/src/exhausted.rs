//! Finds the resources that ran out during a soak, and the cycle that each ran out in. A series that stops growing at its limit looks
//! flat, so growth is judged by the cycles before.

use dlsoak_record::{Allowance, Code, Column, Exhausted, Measured, OutcomeKind, Resource, Shortage, Why};

use super::line::Point;

/// Fewest steps up in the last half of a series that make a rate of them: what the first loads keep is no rate.
const FEWEST_STEPS: usize = 3;

/// The resources that ran out, first those that ran out first.
pub fn exhausted(soak: &Measured) -> Vec<Exhausted> {
    let mut found: Vec<Exhausted> =
        soak.allowances.iter().filter_map(|allowance| at_the_limit(soak, *allowance)).collect();
    if let Some(end) = by_the_end(soak)
        && !found.iter().any(|one| one.resource == end.resource)
    {
        found.push(end);
    }
    found.sort_by_key(|one| one.cycle);
    found
}

/// Measured cycles that growth is judged by, where something ran out.
pub fn judged_until(soak: &Measured, exhausted: &[Exhausted]) -> Option<u64> {
    exhausted.first().map(|first| first.cycle.saturating_sub(soak.cycles.warmup))
}

/// The resource for want of which the soak ended, as its outcome has it.
pub(super) fn by_the_end(soak: &Measured) -> Option<Exhausted> {
    let (resource, limit) = match &soak.outcome.why {
        Some(Why::LoadFailed(failure)) => match failure.shortage.as_ref()? {
            Shortage::StaticTls { .. } => (Resource::StaticTls, None),
            Shortage::Fds { allowed, .. } => (Resource::Fds, *allowed),
            Shortage::Mappings { allowed, .. } => (Resource::Mappings, Some(*allowed)),
            Shortage::AddressSpace { allowed, .. } => (Resource::AddressSpace, Some(*allowed)),
            Shortage::Memory { .. } => (Resource::Memory, None),
            Shortage::Namespaces { allowed } => (Resource::Namespaces, Some(*allowed)),
            _ => return None,
        },
        _ if soak.outcome.code() == Code::CrashedTlsKeys => (Resource::TlsKeys, None),
        _ => return None,
    };
    let cycle = completed(soak);
    // A library that can't be loaded even once has used up nothing.
    (cycle > 0).then_some(Exhausted { resource, limit, cycle, per_cycle: None })
}

/// Cycles completed, warm-up included: the number of the one under way when the soak ended.
fn completed(soak: &Measured) -> u64 {
    soak.cycles.warmup.saturating_add(soak.cycles.completed)
}

/// Whether a resource is used up to its limit by what was there at the checkpoints, or must have been when the soak ended early.
fn at_the_limit(soak: &Measured, allowance: Allowance) -> Option<Exhausted> {
    let points = &soak.checkpoints;
    let (cycle, value) = (points.position(Column::Cycle)?, points.position(allowance.resource.column()?)?);
    let before = *points.before_first_open.as_ref()?.get(value)? as f64;
    let limit = allowance.allowed.saturating_sub(allowance.elsewhere) as f64;
    let series: Vec<Point> = points
        .rows
        .iter()
        .filter_map(|row| {
            Some((soak.cycles.warmup as f64 + *row.get(cycle)? as f64, *row.get(value)? as f64))
        })
        .collect();
    // What is left over is less than a cycle takes.
    let is_full = |left: f64, rate: Option<f64>| left < rate.unwrap_or(1.0).max(1.0);
    // Others may have taken most of what a user can have.
    let by_library = |reached: f64| reached - before >= allowance.allowed as f64 / 2.0;
    let at = (0..series.len())
        .find(|at| by_library(series[*at].1) && is_full(limit - series[*at].1, rate(&series[..*at])));
    let (known, reached, end) = match at {
        Some(at) => (&series[..at], series[at].1, series[at].0),
        // What began after the last checkpoint had its part, too.
        None if ended_early(soak.outcome.kind) => {
            let (last, end) = (*series.last()?, completed(soak) as f64);
            let reached = last.1 + rate(&series)? * (end - last.0);
            if !is_full(limit - reached, rate(&series)) {
                return None;
            }
            (&series[..], reached, end)
        }
        None => return None,
    };
    let rate = rate(known);
    // A library may give back what it took, or raise the limit.
    let most = 2.0 * rate.unwrap_or(1.0).max(1.0);
    let goes_on =
        at.is_some_and(|at| series[at..].iter().any(|point| !(0.0..most).contains(&(limit - point.1))));
    if goes_on || !by_library(reached) {
        return None;
    }
    let first = match (known.last(), rate) {
        (Some(last), Some(rate)) => (last.0 + ((limit - last.1) / rate).floor()).max(last.0).min(end),
        _ => end,
    };
    Some(Exhausted {
        resource: allowance.resource,
        limit: Some(allowance.allowed),
        cycle: first as u64,
        per_cycle: rate,
    })
}

fn ended_early(kind: OutcomeKind) -> bool {
    !matches!(kind, OutcomeKind::Completed | OutcomeKind::Interrupted | OutcomeKind::Limit)
}

/// Growth per cycle in the last half of a series; `None` where it does not grow step by step.
fn rate(series: &[Point]) -> Option<f64> {
    let last = series.last()?;
    let half = &series[series.partition_point(|point| point.0 < last.0 / 2.0)..];
    let steps = half.windows(2).filter(|pair| pair[1].1 > pair[0].1).count();
    let first = half.first()?;
    (steps >= FEWEST_STEPS && last.1 > first.1).then(|| (last.1 - first.1) / (last.0 - first.0))
}

#[cfg(test)]
mod tests {
    use dlsoak_record::{Checkpoints, Cycles};

    use super::*;

    /// A soak of 500 cycles after 10 of warm-up, with a checkpoint every 5 cycles.
    fn soak(resource: Resource, allowed: u64, in_use: impl Fn(i64) -> i64) -> Measured {
        let row = |cycle: i64| vec![cycle, in_use(10 + cycle)];
        Measured {
            cycles: Cycles { requested: 500, completed: 500, warmup: 10 },
            allowances: vec![Allowance { resource, allowed, elsewhere: 0 }],
            checkpoints: Checkpoints {
                columns: vec![Column::Cycle, resource.column().unwrap()],
                rows: (0..=100).map(|at| row(5 * at)).collect(),
                before_first_open: Some(vec![0, in_use(0)]),
            },
            ..Measured::default()
        }
    }

    fn found(soak: &Measured) -> Option<(u64, Option<f64>)> {
        exhausted(soak).first().map(|one| (one.cycle, one.per_cycle))
    }

    #[test]
    fn what_grows_up_to_its_limit_ran_out_in_the_cycle_that_lacked_it() {
        let keys = soak(Resource::TlsKeys, 256, |cycle| (2 + cycle).min(256));
        assert_eq!(found(&keys), Some((254, Some(1.0))));
        assert_eq!(judged_until(&keys, &exhausted(&keys)), Some(244));
        // Each cycle wants 8, and 4 of the last 8 are there.
        let fds = soak(Resource::Fds, 256, |cycle| (4 + 8 * cycle).min(256));
        assert_eq!(found(&fds), Some((31, Some(8.0))));
        // Of two that are wanted together, one is left over.
        let pipes = soak(Resource::Fds, 256, |cycle| (3 + 2 * cycle).min(255));
        assert_eq!(found(&pipes), Some((126, Some(2.0))));
    }

    #[test]
    fn what_stays_below_its_limit_or_comes_back_did_not_run_out() {
        let of = |in_use: fn(i64) -> i64| found(&soak(Resource::Fds, 1024, in_use));
        // 900 once, a pool of 1,000, and what is given back before it runs out.
        assert_eq!(of(|cycle| if cycle > 0 { 903 } else { 3 }), None);
        assert_eq!(of(|cycle| (3 + 4 * cycle).min(1000)), None);
        assert_eq!(of(|cycle| 3 + (4 * cycle) % 1021), None);
        assert_eq!(of(|cycle| 3 + cycle), None);
        // Beyond what was the limit at first.
        assert_eq!(of(|cycle| 3 + 4 * cycle), None);
    }

    #[test]
    fn what_a_user_has_is_shared() {
        let mut shared = soak(Resource::Inotify, 128, |cycle| cycle.min(120));
        assert_eq!(found(&shared), None);
        shared.allowances[0].elsewhere = 8;
        assert_eq!(found(&shared), Some((120, Some(1.0))));
        // Others have nearly all.
        let mut others = soak(Resource::Inotify, 128, |cycle| cycle.min(3));
        others.allowances[0].elsewhere = 125;
        assert_eq!(found(&others), None);
    }

    #[test]
    fn what_was_gone_before_the_first_checkpoint_ran_out_by_then() {
        assert_eq!(found(&soak(Resource::TlsKeys, 256, |cycle| (200 * cycle).min(256))), Some((10, None)));
    }

    #[test]
    fn a_crash_between_two_checkpoints_follows_from_what_ran_out_there() {
        let mut keys = soak(Resource::TlsKeys, 256, |cycle| 2 + cycle);
        keys.checkpoints.rows.truncate(49);
        keys.cycles.completed = 244;
        assert_eq!(found(&keys), None);
        keys.outcome.kind = OutcomeKind::Crashed;
        assert_eq!(found(&keys), Some((254, Some(1.0))));
        keys.cycles.completed = 240;
        assert_eq!(found(&keys), None);
    }
}
