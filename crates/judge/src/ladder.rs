//! Growth in jumps that become larger and rarer, as that of a container that doubles. To a line its jumps are noise; over two octaves
//! they cancel out.

use super::line::Point;

/// Part of the points of the last two octaves that may lie below [`STEADY`], because a jump and a checkpoint at a quarter of it never
/// match exactly.
const MISALIGNED: f64 = 0.15;
/// Growth is to t to the power of at least this. A square root has 0.5, a steady leak 1.
const STEADY: f64 = 0.8;
/// The same in the mean of the last quarter.
const STEADY_AT_LAST: f64 = 0.85;
/// The mean of the last octave is at least this part of that in the octave before.
const LASTING: f64 = 0.85;
/// An octave's lowest value is at least this many times that of the octave before.
const NO_RETURN: f64 = 1.3;
/// With this many rises in the last octave, those of its second half are at least half as many as those of its first.
const MANY_RISES: usize = 8;
/// Fewest points in the last two octaves.
const FEWEST: usize = 40;
/// A maximum that has risen by less than this part has not risen.
const ROSE: f64 = 1.02;
/// A doubling container has grown by this factor over the last three octaves.
const GREW: f64 = 4.0;
/// Parts of the run that a container is sought before. A jump that lies where two octaves meet seems to be missing in one of them.
const ENDS: [f64; 3] = [1.0, 0.94, 0.88];
/// By this many times the cycle of its last rise it has doubled again, and the jump lies back far enough to be compared with those before.
const NEXT: f64 = 2.8;
/// The largest rise of an octave is at least this many times that of the octave before, where jumps grow.
const JUMPS_GROW: f64 = 1.3;

/// What the running maximum of a series shows, octave by octave.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ladder {
    /// The octaves before N, and before earlier [`ENDS`].
    ends: [End; 3],
    /// The exponent of the growth over two octaves: the quantile [`MISALIGNED`] of the last two octaves, and the means of the last
    /// quarter, the last octave and the one before. `None` where there is nothing to compare with.
    exponents: Option<[f64; 4]>,
    /// Rises in the last four octaves, newest first.
    rises: [usize; 4],
    /// Rises in the last quarter and in the one before.
    quarters: [usize; 2],
    /// Least, typical and largest growth per unit of exposure.
    rates: (f64, f64, f64),
    /// Exposure at the last rise.
    last_rise: f64,
    /// Exposure of the run.
    length: f64,
}

/// The octaves before one cycle of the run.
#[derive(Debug, Clone, PartialEq)]
struct End {
    /// The maximum above the first checkpoint at this end, and at a half, a quarter and an eighth of it.
    heights: [f64; 4],
    /// The lowest values of the last three octaves, newest first.
    floors: [f64; 3],
    /// The largest rise of the last octave and of the one before.
    jumps: [f64; 2],
}

impl End {
    /// Whether it came back down in one of the last three octaves.
    fn returns(&self) -> bool {
        !self.floors.windows(2).all(|pair| pair[0] > NO_RETURN * pair[1].max(1.0))
    }

    /// Whether it rose in each of the last three octaves, and fourfold over all of them.
    fn doubles(&self) -> bool {
        let [now, .., long_ago] = self.heights;
        now > GREW * long_ago.max(1.0) && self.heights.windows(2).all(|pair| pair[0] > ROSE * pair[1])
    }

    /// Whether it doubles in jumps that become larger.
    fn jumps(&self) -> bool {
        let [last, before] = self.jumps;
        self.doubles() && !self.returns() && last >= JUMPS_GROW * before
    }
}

impl Ladder {
    pub(super) fn of(series: &[Point]) -> Option<Self> {
        let (first, last) = (series.first()?, series.last()?);
        let length = last.0 - first.0;
        if length <= 0.0 {
            return None;
        }
        let mut highest = first.1;
        let ladder: Vec<Point> = series
            .iter()
            .map(|(x, y)| {
                highest = highest.max(*y);
                (x - first.0, highest - first.1)
            })
            .collect();
        // The first point at or after this exposure: the higher one errs on the side of less growth.
        let at = |x: f64| {
            let index = ladder.partition_point(|point| point.0 < x - 1e-9);
            ladder.get(index).map_or(highest - first.1, |point| point.1)
        };
        let recent = &ladder[ladder.partition_point(|point| point.0 < length / 4.0 * 0.999)..];
        let exponents: Vec<Point> =
            recent.iter().map(|(x, height)| (x / length, (height / at(x / 4.0)).log(4.0))).collect();
        let known = exponents.len() >= FEWEST && exponents.iter().all(|(_, exponent)| exponent.is_finite());
        let part =
            |from: f64, to: f64| mean(exponents.iter().filter(|(x, _)| from < *x && *x <= to).map(|e| e.1));
        let exponents = known.then(|| {
            let mut sorted: Vec<f64> = exponents.iter().map(|exponent| exponent.1).collect();
            sorted.sort_by(f64::total_cmp);
            let index = MISALIGNED * (sorted.len() - 1) as f64;
            let below = sorted[index as usize];
            let above = sorted[(index as usize + 1).min(sorted.len() - 1)];
            [below + (above - below) * index.fract(), part(0.75, 1.0), part(0.5, 1.0), part(0.0, 0.5)]
        });
        let rose: Vec<f64> =
            ladder.windows(2).filter(|pair| pair[1].1 > pair[0].1).map(|pair| pair[1].0 / length).collect();
        let count = |from: f64, to: f64| rose.iter().filter(|x| from < **x && **x <= to).count();
        let lowest = |from: f64, to: f64| {
            let inside = series.iter().filter(|(x, _)| {
                let share = (x - first.0) / length;
                from < share && share <= to
            });
            inside.map(|(_, y)| y - first.1).fold(f64::INFINITY, f64::min)
        };
        let largest = |from: f64, to: f64| {
            let inside =
                ladder.windows(2).filter(|pair| from < pair[1].0 / length && pair[1].0 / length <= to);
            inside.map(|pair| pair[1].1 - pair[0].1).fold(0.0, f64::max)
        };
        let end = |end: f64| End {
            heights: [1.0, 2.0, 4.0, 8.0].map(|part| at(end * length / part)),
            floors: [1.0, 0.5, 0.25].map(|to| lowest(end * to / 2.0, end * to)),
            jumps: [1.0, 0.5].map(|to| largest(end * to / 2.0, end * to)),
        };
        let per_exposure = |(x, height): &Point| height / x;
        let newest = recent.iter().filter(|(x, _)| *x > length / 2.0);
        Some(Self {
            ends: ENDS.map(end),
            exponents,
            rises: [count(0.5, 1.0), count(0.25, 0.5), count(0.125, 0.25), count(0.0625, 0.125)],
            quarters: [count(0.75, 1.0), count(0.5, 0.75)],
            rates: (
                recent.iter().map(per_exposure).fold(f64::INFINITY, f64::min),
                mean(newest.map(|point| per_exposure(point).ln())).exp(),
                recent.iter().map(per_exposure).fold(0.0, f64::max),
            ),
            last_rise: rose.last().map_or(0.0, |share| share * length),
            length,
        })
    }

    /// Whether it grows by more than `limit` and as fast as ever.
    pub(super) fn grows(&self, limit: f64) -> bool {
        let Some([low, last, newest, before]) = self.exponents else { return false };
        let stops = self.rises[0] >= MANY_RISES && 2 * self.quarters[0] < self.quarters[1];
        low >= STEADY
            && last >= STEADY_AT_LAST
            && newest >= LASTING * before
            && self.rises.iter().all(|rises| *rises > 0)
            && !stops
            && !self.ends[0].returns()
            && self.rates.0 > limit
    }

    /// Whether it may be a container that doubles and grows by more than `limit`.
    pub(super) fn doubles(&self, limit: f64) -> bool {
        self.rates.2 > limit && self.ends[0].doubles()
    }

    /// The same in jumps that become larger, and without coming back down.
    pub(super) fn jumps(&self, limit: f64) -> bool {
        self.rates.2 > limit && self.rises[0] < MANY_RISES && self.ends.iter().any(End::jumps)
    }

    /// Whether growth of this size and shape is more than the garbage that a collector lets pile up: half of the run ago it was above
    /// `garbage` already, it goes on, and it does not come back.
    pub(super) fn outgrows(&self, garbage: f64) -> bool {
        let lasts = self.exponents.is_some_and(|[_, last, ..]| last >= 0.75);
        self.ends[0].heights[1] > garbage && lasts && !self.ends[0].returns()
    }

    /// Growth per unit of exposure: the mean, the least, and the largest.
    pub(super) fn rate(&self) -> (f64, f64, f64) {
        (self.rates.1, self.rates.0, self.rates.2)
    }

    /// Exposure by which it doubles again, if it grows.
    pub(super) fn next(&self) -> f64 {
        NEXT * self.last_rise
    }

    /// Exposure by which half of it had grown by `amount`, if it goes on as before.
    pub(super) fn reaches(&self, amount: f64) -> f64 {
        2.0 * amount * self.length / self.ends[0].heights[0]
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::{container, series};
    use super::*;

    /// Lengths within an octave, so that the last jump lies anywhere in the run.
    fn lengths() -> impl Iterator<Item = u64> {
        (0..24).map(|part| (80_000.0 * 2.0_f64.powf(f64::from(part) / 24.0)) as u64)
    }

    /// Of 24 lengths those that grow, and those that at least may double.
    fn found(value: impl Fn(f64) -> f64) -> (usize, usize) {
        let ladders: Vec<Ladder> =
            lengths().map(|cycles| Ladder::of(&series(cycles, &value)).unwrap()).collect();
        let count = |is: &dyn Fn(&Ladder) -> bool| ladders.iter().filter(|ladder| is(ladder)).count();
        (count(&|ladder| ladder.grows(0.1)), count(&|ladder| ladder.grows(0.1) || ladder.doubles(0.1)))
    }

    #[test]
    fn a_container_that_doubles_grows_at_most_lengths_and_passes_at_none() {
        let (grows, suspected) = found(container(2.0));
        assert!(grows >= 16 && suspected == 24, "{grows} {suspected}");
        // Where it is not shown to grow, it is named.
        let named = |cycles| {
            let ladder = Ladder::of(&series(cycles, container(2.0))).unwrap();
            ladder.grows(0.1) || ladder.jumps(0.1)
        };
        assert!(lengths().all(named));
        assert_eq!(found(container(1.5)), (24, 24));
        assert_eq!(found(container(1.25)), (24, 24));
    }

    #[test]
    fn a_container_of_factor_four_is_never_claimed() {
        // It is flat for two octaves after its jump, and one that jumped once in the run looks the same.
        assert_eq!(found(container(4.0)).0, 0);
        let bounded = container(4.0);
        assert_eq!(found(|cycle| bounded(cycle.min(30e3))).0, 0);
    }

    #[test]
    fn what_fades_ends_or_comes_back_does_not_grow() {
        let square_root = |cycle: f64| 1e4 * cycle.sqrt();
        assert_eq!(found(square_root).0, 0);
        let power = |cycle: f64| 1e3 * cycle.powf(0.7);
        assert_eq!(found(power).0, 0);
        let logarithm = |cycle: f64| 1e6 * (cycle + 500.0).ln();
        assert_eq!(found(logarithm).0, 0);
        let full_cache = |cycle: f64| 80.0 * cycle.min(40e3);
        assert_eq!(found(full_cache).0, 0);
        let cache_of_random_keys = |cycle: f64| 3.2e6 * (1.0 - (-cycle / 40e3).exp());
        assert_eq!(found(cache_of_random_keys).0, 0);
        let sawtooth = |cycle: f64| 80.0 * (cycle % 45e3);
        assert_eq!(found(sawtooth).0, 0);
        assert_eq!(found(|_| 1e6).0, 0);
        assert_eq!(found(|cycle| -80.0 * cycle).0, 0);
    }

    #[test]
    fn steady_growth_grows_at_its_rate_and_only_above_the_limit() {
        let ladder = Ladder::of(&series(100_000, |cycle| 32.0 * cycle)).unwrap();
        assert!(ladder.grows(31.9) && !ladder.grows(32.0));
        let (rate, low, high) = ladder.rate();
        assert!([rate, low, high].iter().all(|rate| (rate - 32.0).abs() < 1e-9), "{rate} {low} {high}");
    }

    #[test]
    fn a_container_is_promised_to_show_by_a_cycle_at_which_it_does() {
        let value = container(2.0);
        for cycles in lengths() {
            let next = Ladder::of(&series(cycles, &value)).unwrap().next();
            assert!(Ladder::of(&series(next as u64, &value)).unwrap().grows(0.1), "{cycles}, then {next}");
        }
    }
}
