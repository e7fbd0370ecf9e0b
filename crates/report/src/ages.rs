//! What is left of what cycles allocated, by their age: the stretches of a record, several to a row, for a chart and the table behind it.

use dlsoak_record::{Alive, Cohorts, PlaceTrend};

use super::{trace, units, words};

/// Ages that are distinguished: the windows of the judgement begin and end at their borders, and more would not fit a phone.
const AGES: usize = 8;

/// The cycles of one age, and what is left of what they allocated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Age {
    /// The first of these cycles.
    pub(super) from: u64,
    /// The cycle after the last of them.
    pub(super) to: u64,
    /// What was left half-way through the soak, where they came before.
    pub(super) halfway: Option<Alive>,
    /// What was left at its end.
    pub(super) end: Alive,
}

impl Age {
    /// Bytes per cycle.
    pub(super) fn per_cycle(&self, alive: Alive) -> f64 {
        alive.bytes as f64 / self.to.saturating_sub(self.from).max(1) as f64
    }
}

/// The ages, oldest first; none where nothing was noted.
pub(super) fn ages(cohorts: &Cohorts) -> Vec<Age> {
    let count = cohorts.stretches.len();
    if cohorts.cycles == 0 || count == 0 {
        return Vec::new();
    }
    let cycle = |stretch: usize| (u128::from(cohorts.cycles) * stretch as u128 / count as u128) as u64;
    let each = count.div_ceil(AGES);
    let age = |(index, stretches): (usize, &[dlsoak_record::Stretch])| {
        let (from, to) = (cycle(index * each), cycle(index * each + stretches.len()));
        let (mut halfway, mut end) = (Alive::default(), Alive::default());
        for stretch in stretches {
            halfway += stretch.halfway;
            end += stretch.end;
        }
        Age { from, to, halfway: (from < cohorts.cycles / 2).then_some(halfway), end }
    };
    cohorts.stretches.chunks(each).enumerate().map(age).collect()
}

/// How to read them, where most come from, and what is missing.
pub(super) fn explained(cohorts: &Cohorts) -> String {
    let mut text = "Bytes per cycle that are still there, by the cycles that allocated them. Blocks of old cycles that are still there are a \
                    leak. A cache replaces them. A bar with a gap is higher than the chart."
        .to_owned();
    let place = cohorts.places.iter().find(|place| place.trend == PlaceTrend::Growing);
    if let Some(place) = place {
        text.push_str(&format!(" Most come from {}.", trace::title(place)));
    }
    if cohorts.lost > 0 {
        text.push_str(&format!(" {} could not be noted.", words::counted(cohorts.lost, "block")));
    }
    if let Some(ended) = &cohorts.ended {
        text.push_str(&format!(
            " The soak with notes ended early: {}.",
            units::printable(&words::early(ended))
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use dlsoak_record::{EndedEarly, Stretch, sample};

    use super::*;

    #[test]
    fn the_stretches_of_a_record_are_eight_ages() {
        let cohorts = sample::cohorts();
        let ages = ages(&cohorts);
        assert_eq!(ages.len(), 8);
        assert_eq!((ages[0].from, ages[0].to, ages[7].from, ages[7].to), (0, 500, 3_500, 4_000));
        assert_eq!(ages.iter().filter(|age| age.halfway.is_some()).count(), 4);
        let all: u64 = ages.iter().map(|age| age.end.bytes).sum();
        assert_eq!(all, cohorts.stretches.iter().map(|stretch| stretch.end.bytes).sum::<u64>());
        // 62 blocks of 32 B in each stretch of 62.5 cycles.
        assert_eq!(ages[1].per_cycle(ages[1].end), 31.744);
    }

    #[test]
    fn odd_records_do_no_harm() {
        let full = Alive { blocks: u64::MAX, bytes: u64::MAX, squares: f64::MAX };
        for (count, cycles) in [(0, 9), (64, 0), (1, 1), (3, 2), (65, u64::MAX)] {
            let stretches = vec![Stretch { halfway: full, end: full }; count];
            let cohorts = Cohorts { cycles, stretches, ..Cohorts::default() };
            let ages = ages(&cohorts);
            assert_eq!(ages.is_empty(), count == 0 || cycles == 0);
            assert!(ages.len() <= AGES && ages.last().is_none_or(|last| last.to == cycles), "{ages:?}");
            assert!(ages.iter().all(|age| age.per_cycle(age.end).is_finite()));
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        let cohorts = Cohorts { lost: 3, ended: Some(EndedEarly::Duration), ..sample::cohorts() };
        insta::assert_snapshot!(format!("{}\n{}", explained(&sample::cohorts()), explained(&cohorts)));
    }
}
