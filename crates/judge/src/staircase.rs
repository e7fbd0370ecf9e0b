//! Sparse growth of an exact count: a staircase whose steps are events. A line through it measures the noise of their number; this
//! counts them.
//!
//! The rate is bounded as that of a compound Poisson process. Its shape is that of the power-law process (Crow 1974): events come with
//! an intensity of t^(b-1). A steady leak has b = 1, a square root 0.5, a logarithm and everything that warms up 0.

use super::line::Point;
use super::quantile;

/// Part of the run that the shape is fitted to, each from this share on, with the normal quantile at its part of 1.3 %. What the warm-up
/// freed may lie in the first ones.
const STARTS: [(f64, f64); 3] = [(1.0 / 64.0, 2.326), (1.0 / 16.0, 2.878), (1.0 / 4.0, 3.09)];
/// Falls may be up to this part of the rises.
const FALLS: f64 = 0.02;
/// Fewest intervals that rise in each of the last two octaves.
const FEWEST_RISES: usize = 6;
/// The largest rise is at most this part of all.
const ONE_JUMP: f64 = 0.3;
/// Parts of the last two octaves that show how regular the events are.
const PARTS: usize = 12;
/// Sums of these parts that vary by less than this part of what chance would make of them are regular: chance does so in 0.2 %.
const REGULAR: f64 = 0.2;
/// Where at least this part of the intervals rises, and the rises are smooth, a line is the better measure.
const DENSE: f64 = 0.6;
/// See [`DENSE`]: roughness as a part of what it would be if each interval had one event.
const SMOOTH: f64 = 0.05;
/// Each event of a regular staircase counts for this many: their number is known that much better.
const REGULAR_COUNTS: f64 = 4.0;
/// The shape of a square root. The shape of a leak is above it by [`Z_SHAPE`] standard errors.
const SQUARE_ROOT: f64 = 0.5;
/// Normal quantile at 1 %.
const Z_SHAPE: f64 = 2.326;
/// Least shape of a leak.
pub(super) const LEAST_SHAPE: f64 = 0.75;
/// Events of the last quarter, as a part of those in the quarter before.
const RECENT: f64 = 0.6;
/// Normal quantile at 5 %: so much rarer may the last quarter's events be by chance.
const Z_RECENT: f64 = 1.645;
/// With this many events in the last half the ratio of its quarters is known well, and is at least [`RECENT_OF_MANY`].
const MANY: f64 = 400.0;
/// See [`MANY`].
const RECENT_OF_MANY: f64 = 0.9;

/// The events of a sparse series, in its last two octaves.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Staircase {
    /// Rises and length of the octaves, newest first.
    octaves: [Octave; 2],
    /// The amount of one event, with the larger ones weighing more.
    event: f64,
    /// Shape, standard error and the errors that the shape must be above a square root's, for each of [`STARTS`] without falls.
    shapes: Vec<(f64, f64, f64)>,
    /// Events in the last quarter of the run and in the one before.
    quarters: [f64; 2],
}

/// The events of a series that never falls in its last two octaves, however few there are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sparse {
    /// What they add.
    pub sum: f64,
    /// The amount of one, with the larger ones weighing more.
    pub event: f64,
    /// Exposure of the two octaves.
    pub length: f64,
    /// See [`shape`]: of the longest part of the run without a fall.
    pub shape: Option<f64>,
}

impl Sparse {
    /// `None` if there is none, or if they are so many and so even that a line is better.
    pub(super) fn of(series: &[Point]) -> Option<Self> {
        let recent = from(series, 0.25)?;
        let (first, last) = (recent.first()?, recent.last()?);
        let falls = |part: &[Point]| part.windows(2).any(|pair| pair[1].1 < pair[0].1);
        let (count, event) = events(recent);
        if count == 0 || falls(recent) || is_smooth(recent) {
            return None;
        }
        let part = STARTS.iter().filter_map(|(start, _)| from(series, *start)).find(|part| !falls(part))?;
        let mut rises: Vec<f64> = recent.windows(2).map(|pair| pair[1].1 - pair[0].1).collect();
        rises.retain(|rise| *rise > 0.0);
        rises.sort_by(f64::total_cmp);
        let length = series.last()?.0 - series.first()?.0;
        let at = |x: f64| (x - series[0].0) / length;
        let steps: Vec<(f64, f64)> =
            steps(part, rises[rises.len() / 10]).map(|step| (at(step.at), step.events)).collect();
        let shape = shape(&steps, at(part.first()?.0)).map(|(shape, _)| shape);
        let event = event / regularity(recent);
        Some(Self { sum: last.1 - first.1, event, length: last.0 - first.0, shape })
    }
}

/// What an octave adds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Octave {
    rise: f64,
    length: f64,
}

/// A rise between two checkpoints.
struct Step {
    /// Middle of the interval.
    at: f64,
    /// Number of events.
    events: f64,
    rise: f64,
}

impl Staircase {
    /// The staircase of a series; `None` if it is none: it falls, or rises too seldom, or most of the rise is one jump.
    pub(super) fn of(series: &[Point]) -> Option<Self> {
        let (first, last) = (series.first()?.0, series.last()?.0);
        let length = last - first;
        let recent = from(series, 0.25)?;
        let mut rises: Vec<f64> = rises(recent)?;
        let sum: f64 = rises.iter().sum();
        let largest = rises.iter().copied().fold(0.0, f64::max);
        if largest > ONE_JUMP * sum {
            return None;
        }
        rises.sort_by(f64::total_cmp);
        let unit = rises[rises.len() / 10];
        let event = rises.iter().map(|rise| rise * rise).sum::<f64>() / sum;
        if is_smooth(recent) {
            return None;
        }
        let count = regularity(recent);
        let event = event / count;
        let steps = |part| {
            let steps = steps(part, unit);
            let step =
                |step: Step| Step { at: (step.at - first) / length, events: step.events * count, ..step };
            steps.map(step).collect::<Vec<Step>>()
        };
        let shapes = STARTS
            .iter()
            .filter_map(|(start, errors)| {
                let part = from(series, *start)?;
                self::rises(part)?;
                let steps: Vec<(f64, f64)> = steps(part).iter().map(|step| (step.at, step.events)).collect();
                let (shape, error) = shape(&steps, (part.first()?.0 - first) / length)?;
                Some((shape, error, *errors))
            })
            .collect();
        let steps = steps(recent);
        let within = |from: f64, to: f64| steps.iter().filter(move |step| from < step.at && step.at <= to);
        let octave = |from: f64, to: f64, length: f64| {
            let enough = within(from, to).count() >= FEWEST_RISES;
            enough.then(|| Octave { rise: within(from, to).map(|step| step.rise).sum(), length })
        };
        let newest = octave(0.5, 1.0, length / 2.0)?;
        let before = octave(0.0, 0.5, first + length / 2.0 - recent.first()?.0)?;
        let events = |from: f64, to: f64| within(from, to).map(|step| step.events).sum();
        Some(Self {
            octaves: [newest, before],
            event,
            shapes,
            quarters: [events(0.75, 1.0), events(0.5, 0.75)],
        })
    }

    /// Whether it grows by more than `limit` in both octaves, each with error `alpha`, and neither fades nor ends.
    pub(super) fn leaks(&self, limit: f64, alpha: f64) -> bool {
        self.rises_by(limit, alpha) && self.is_steady() && !self.has_become_rare()
    }

    /// Whether both octaves grow by more than `limit`, each with error `alpha`.
    pub(super) fn rises_by(&self, limit: f64, alpha: f64) -> bool {
        self.octaves.iter().all(|octave| self.low(octave, alpha) > limit)
    }

    /// Growth per unit of exposure in the last octave, with its interval at one-sided error `alpha`.
    pub(super) fn rate(&self, alpha: f64) -> (f64, f64, f64) {
        let newest = &self.octaves[0];
        let high = quantile::rate_at_most(newest.rise, self.event, newest.length, alpha);
        (newest.rise / newest.length, self.low(newest, alpha), high)
    }

    fn low(&self, octave: &Octave, alpha: f64) -> f64 {
        quantile::rate_at_least(octave.rise, self.event, octave.length, alpha)
    }

    fn is_steady(&self) -> bool {
        self.shapes
            .iter()
            .any(|(shape, error, errors)| *shape >= LEAST_SHAPE && shape - errors * error > SQUARE_ROOT)
    }

    fn has_become_rare(&self) -> bool {
        let [last, before] = self.quarters;
        let all = last + before;
        let by_chance = Z_RECENT * (all / 4.0).sqrt();
        last < RECENT * before
            || last - all / 2.0 <= -by_chance
            || all >= MANY && last < RECENT_OF_MANY * before
    }
}

/// Whether a stretch grows so evenly that a line through it is better than the number of its events.
pub(super) fn is_smooth(stretch: &[Point]) -> bool {
    let (count, event) = events(stretch);
    count as f64 >= DENSE * (stretch.len() - 1) as f64 && roughness(&parts(stretch)) < SMOOTH * event
}

/// How many events each one of a stretch counts for, because they come so regularly.
pub(super) fn regularity(stretch: &[Point]) -> f64 {
    // Where an interval has several events, only its smallest rise may be a single one.
    let rises = stretch.windows(2).map(|pair| pair[1].1 - pair[0].1).filter(|rise| *rise > 0.0);
    let smallest = rises.fold(f64::INFINITY, f64::min);
    let many = events(stretch).0 >= 2 * FEWEST_RISES;
    if many && dispersion(&parts(stretch)) < REGULAR * smallest { REGULAR_COUNTS } else { 1.0 }
}

/// The number of rises, and their amount, with the larger ones weighing more.
fn events(stretch: &[Point]) -> (usize, f64) {
    let rises = stretch.windows(2).map(|pair| pair[1].1 - pair[0].1).filter(|rise| *rise > 0.0);
    let (count, sum, squares) = rises
        .fold((0, 0.0, 0.0), |(count, sum, squares), rise| (count + 1, sum + rise, squares + rise * rise));
    (count, squares / sum)
}

/// The part of a series from this share of its exposure on.
fn from(series: &[Point], share: f64) -> Option<&[Point]> {
    let (first, last) = (series.first()?.0, series.last()?.0);
    let start = series.partition_point(|(x, _)| x - first < share * (last - first) * 0.999);
    Some(&series[start..])
}

/// The rises of a part, where one event adds `unit`.
fn steps(part: &[Point], unit: f64) -> impl Iterator<Item = Step> {
    part.windows(2).filter(|pair| pair[1].1 > pair[0].1).map(move |pair| {
        let rise = pair[1].1 - pair[0].1;
        let at = f64::midpoint(pair[0].0, pair[1].0);
        Step { at, events: (rise / unit).round().max(1.0), rise }
    })
}

/// What [`PARTS`] nearly equal parts of a stretch add, and what they would add if it grew evenly.
fn parts(stretch: &[Point]) -> Vec<(f64, f64)> {
    let (first, last) = (stretch[0], stretch[stretch.len() - 1]);
    let rate = (last.1 - first.1) / (last.0 - first.0);
    let edge = |part: usize| {
        let at = first.0 + (last.0 - first.0) * part as f64 / PARTS as f64;
        stretch[stretch.partition_point(|(x, _)| *x < at).min(stretch.len() - 1)]
    };
    let parts = (0..PARTS).map(|part| (edge(part), edge(part + 1))).filter(|(from, to)| to.0 > from.0);
    parts.map(|(from, to)| (to.1 - from.1, rate * (to.0 - from.0))).collect()
}

/// Variance of what the parts add, over its mean: the amount of one event, if the events come at random.
fn dispersion(parts: &[(f64, f64)]) -> f64 {
    let squares = parts.iter().map(|(added, expected)| (added - expected).powi(2) / expected);
    squares.sum::<f64>() / (PARTS - 1) as f64
}

/// The same from the differences of neighbouring parts, so that growth that slows down adds nothing (von Neumann 1941).
fn roughness(parts: &[(f64, f64)]) -> f64 {
    let differences = parts.windows(2).map(|pair| {
        let off = |(added, expected): (f64, f64)| (added - expected) / expected.sqrt();
        (off(pair[1]) - off(pair[0])).powi(2) / 2.0
    });
    differences.sum::<f64>() / (PARTS - 1) as f64
}

/// The rises between checkpoints; `None` if there are falls beyond [`FALLS`], or too few rises.
fn rises(part: &[Point]) -> Option<Vec<f64>> {
    let steps = part.windows(2).map(|pair| pair[1].1 - pair[0].1);
    let (up, down): (Vec<f64>, Vec<f64>) = steps.filter(|step| *step != 0.0).partition(|step| *step > 0.0);
    let fallen: f64 = -down.iter().sum::<f64>();
    (up.len() >= 2 * FEWEST_RISES && fallen <= FALLS * up.iter().sum::<f64>()).then_some(up)
}

/// Whether a shape is at least `least`, and surely above that of a square root.
pub(super) fn is_steady((shape, error): (f64, f64), least: f64) -> bool {
    shape >= least && shape - Z_SHAPE * error > SQUARE_ROOT
}

/// The shape b of a power-law process on (`from`, 1], and its standard error: the maximum of the likelihood, where the score
/// K / b + sum ln t + K a^b ln a / (1 - a^b) is 0. Each step is a time and a number of events.
pub(super) fn shape(steps: &[(f64, f64)], from: f64) -> Option<(f64, f64)> {
    let events: f64 = steps.iter().map(|(_, events)| events).sum();
    let logs: f64 = steps.iter().map(|(at, events)| events * at.ln()).sum();
    if events < 8.0 || !(0.0..1.0).contains(&from) || from <= 0.0 {
        return None;
    }
    let (mut low, mut high) = (0.01, 8.0);
    let start = from.ln();
    for _ in 0..50 {
        let b = f64::midpoint(low, high);
        let power = from.powf(b);
        if events / b + logs + events * power * start / (1.0 - power) > 0.0 { low = b } else { high = b }
    }
    let power = from.powf(low);
    let information = events / (low * low) - events * power * start * start / (1.0 - power).powi(2);
    Some((low, information.max(1e-9).sqrt().recip()))
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::{events, series};
    use super::*;

    /// The part of the error probability of a leak that one octave has.
    const ALPHA: f64 = 0.00125;
    const BLOCK: f64 = 4016.0;

    fn leaks(series: &[Point]) -> bool {
        Staircase::of(series).is_some_and(|staircase| staircase.leaks(0.1, ALPHA))
    }

    fn at_random(seed: u64, rate: impl Fn(f64) -> f64) -> Vec<Point> {
        let count = events(100_000, seed, rate);
        series(100_000, |cycle| BLOCK * count[cycle as usize])
    }

    #[test]
    fn a_regular_staircase_leaks_at_its_rate() {
        for every in [1_000.0, 1_500.0, 2_000.0, 3_000.0] {
            let series = series(100_000, |cycle| BLOCK * (cycle / every).floor());
            let staircase = Staircase::of(&series).unwrap();
            let (rate, low, high) = staircase.rate(0.025);
            assert!(staircase.leaks(0.1, ALPHA) && !staircase.leaks(BLOCK / every, ALPHA), "{every}");
            assert!(low < BLOCK / every && BLOCK / every < high, "{every}: {rate} {low} {high}");
            assert!((rate / (BLOCK / every) - 1.0).abs() < 0.05, "{every}: {rate}");
        }
    }

    #[test]
    fn one_that_stops_or_fades_is_no_leak() {
        for every in [300.0, 1_000.0] {
            for stops in [30e3, 50e3, 60e3, 75e3, 80e3] {
                let series = series(100_000, |cycle| BLOCK * (cycle.min(stops) / every).floor());
                assert!(!leaks(&series), "every {every} up to {stops}");
            }
        }
        for blocks in [100.0, 300.0, 1_000.0] {
            let root = |cycle: f64| BLOCK * (blocks * ((cycle + 500.0) / 100_500.0).sqrt()).floor();
            let log = |cycle: f64| BLOCK * (blocks / 5.3 * ((cycle + 500.0) / 500.0).ln()).floor();
            assert!(!leaks(&series(100_000, root)), "{blocks} as a square root");
            assert!(!leaks(&series(100_000, log)), "{blocks} as a logarithm");
        }
    }

    #[test]
    fn events_at_random_are_found_and_fading_ones_rarely() {
        let found = |rate: fn(f64) -> f64| (0..40).filter(|seed| leaks(&at_random(*seed, rate))).count();
        assert!(found(|_| 1.0 / 500.0) >= 37);
        assert!(found(|at| 75.0 / ((at + 500.0) * 100_500.0).sqrt()) <= 2);
        assert_eq!(found(|at| 28.0 / (at + 500.0)), 0);
    }

    #[test]
    fn only_events_that_come_regularly_count_for_more() {
        for every in [300.0, 1_000.0] {
            let regular = series(100_000, |cycle| BLOCK * (cycle / every).floor());
            let recent = from(&regular, 0.25).unwrap();
            assert_eq!(regularity(recent), REGULAR_COUNTS, "{every}");
            // Several events in each interval between two checkpoints are as random as few.
            let random = |seed| {
                let series = at_random(seed, |_| 1.0 / every);
                let recent = from(&series, 0.25).unwrap();
                regularity(recent) > 1.0 || is_smooth(recent)
            };
            assert!((0..100).filter(|seed| random(*seed)).count() <= 2, "{every}");
        }
    }

    #[test]
    fn intervals_hold_the_true_rate() {
        let held = (0..100).filter(|seed| {
            let staircase = Staircase::of(&at_random(*seed, |_| 1.0 / 500.0));
            let (_, low, high) = staircase.map_or((0.0, 0.0, 0.0), |staircase| staircase.rate(0.025));
            low < BLOCK / 500.0 && BLOCK / 500.0 < high
        });
        assert!(held.count() >= 90);
    }

    #[test]
    fn what_falls_or_jumps_once_is_no_staircase() {
        let saw = series(100_000, |cycle| BLOCK * ((cycle % 20_000.0) / 1_000.0).floor());
        assert_eq!(Staircase::of(&saw), None);
        let jump = |cycle: f64| if cycle > 70e3 { 100.0 * BLOCK } else { 0.0 };
        let jump = series(100_000, |cycle| BLOCK * (cycle / 1_000.0).floor() + jump(cycle));
        assert_eq!(Staircase::of(&jump), None);
        assert_eq!(Staircase::of(&series(100_000, |_| BLOCK)), None);
    }

    #[test]
    fn the_shape_is_the_power_that_events_come_with() {
        for power in [0.5, 0.7, 1.0, 1.5] {
            let all = (1..=400).map(|event| (f64::from(event) / 400.0).powf(1.0 / power));
            let steps: Vec<(f64, f64)> = all.filter(|at| *at > 1.0 / 64.0).map(|at| (at, 1.0)).collect();
            let (found, error) = shape(&steps, 1.0 / 64.0).unwrap();
            assert!((found - power).abs() < 0.02 + error / 2.0, "{power}: {found} {error}");
            assert_eq!(is_steady((found, error), LEAST_SHAPE), power >= 1.0);
        }
        assert_eq!(shape(&[(0.5, 7.0)], 1.0 / 64.0), None, "too few");
    }
}
