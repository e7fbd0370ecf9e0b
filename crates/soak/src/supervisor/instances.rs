//! What an instance costs that stays in the process: each copy or namespace of a library that is not unloaded. And
//! what the loader's refusal of the next one has to do with them.

use crate::elf::Facts;
use crate::record::{
    Checkpoints, Column, InstanceCost, Instances, Metric, Mode, Outcome, OutcomeKind, Phase, Shortage,
    Staying, Why,
};

/// What is told of each instance.
const METRICS: [Metric; 7] = [
    Metric::Rss,
    Metric::Anon,
    Metric::Heap,
    Metric::Virtual,
    Metric::Mappings,
    Metric::Threads,
    Metric::Fds,
];

/// Whether each cycle of this mode makes an instance that may stay.
pub(super) fn may_stay(mode: Mode) -> bool {
    matches!(mode, Mode::Copies | Mode::Namespace)
}

/// What the checkpoints say of instances; `None` where none stays.
pub(super) fn instances(checkpoints: &Checkpoints) -> Option<Instances> {
    let (cycle, loads, unloads) = (
        checkpoints.position(Column::Cycle)?,
        checkpoints.position(Column::Loads)?,
        checkpoints.position(Column::Unloads)?,
    );
    let before = checkpoints.before_first_open.as_ref()?;
    let (first, last) = (checkpoints.rows.first()?, checkpoints.rows.last()?);
    let objects = |row: &[i64]| Some(row.get(loads)? - row.get(unloads)?);
    let cycles = last.get(cycle)? - first.get(cycle)?;
    let each = if cycles > 0 { (objects(last)? - objects(first)?) / cycles } else { 0 };
    if each < 1 {
        return None;
    }
    let live = |row: &[i64]| Some((objects(row)? - objects(before)?) / each);
    let more = live(last)? - live(first)?;
    let cost = METRICS.into_iter().filter_map(|metric| {
        let column = checkpoints.position(metric)?;
        let grown = last.get(column)? - first.get(column)?;
        (more > 0).then(|| InstanceCost { metric, per_instance: grown as f64 / more as f64 })
    });
    Some(Instances { live: u64::try_from(live(last)?).ok()?, cost: cost.collect(), next_load: None })
}

/// Where the next instance was refused: adds how many stay, and what they take.
pub(super) fn explain(instances: &mut Instances, outcome: &mut Outcome, facts: &Facts, mode: Mode) {
    if outcome.kind != OutcomeKind::LoadFailed || outcome.phase != Some(Phase::Open) {
        return;
    }
    let Some(Why::LoadFailed(failure)) = &mut outcome.why else { return };
    let live = instances.live;
    failure.staying = Some(Staying { mode, live });
    if let Some(Shortage::StaticTls { each, tunable }) = &mut failure.shortage
        && mode != Mode::Namespace
        && let Some(tls) = facts.tls
    {
        let size = tls.size.next_multiple_of(tls.align.max(1));
        *each = Some(size);
        *tunable = wanted(live, size);
    }
    instances.next_load = Some(failure.clone());
}

/// The tunable for four times as many instances as fit now.
fn wanted(live: u64, size: u64) -> u64 {
    const DEFAULT: u64 = 512;
    DEFAULT.saturating_add(live.saturating_mul(3).saturating_mul(size)).next_multiple_of(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoints(rows: &[[i64; 5]]) -> Checkpoints {
        let columns = vec![
            Column::Cycle,
            Column::Loads,
            Column::Unloads,
            Column::Metric(Metric::Rss),
            Column::Metric(Metric::Threads),
        ];
        Checkpoints {
            columns,
            rows: rows.iter().map(|row| row.to_vec()).collect(),
            before_first_open: Some(vec![0, 4, 0, 1000, 1]),
        }
    }

    #[test]
    fn the_cost_is_that_of_one_more() {
        let stays = checkpoints(&[[0, 6, 0, 9000, 11], [5, 11, 0, 9500, 36], [10, 16, 0, 10_000, 61]]);
        let told = instances(&stays).unwrap();
        assert_eq!(told.live, 12);
        let of = |metric| told.cost.iter().find(|cost| cost.metric == metric).map(|cost| cost.per_instance);
        assert_eq!((of(Metric::Rss), of(Metric::Threads), of(Metric::Fds)), (Some(100.0), Some(5.0), None));
    }

    #[test]
    fn what_is_unloaded_has_no_instances() {
        assert_eq!(instances(&checkpoints(&[[0, 6, 2, 1000, 1], [10, 16, 12, 1000, 1]])), None);
        assert_eq!(instances(&checkpoints(&[[0, 6, 2, 1000, 1]])), None);
        assert_eq!(instances(&Checkpoints::default()), None);
    }
}
